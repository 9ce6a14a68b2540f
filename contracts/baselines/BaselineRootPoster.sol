// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import { ECDSA } from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import { EIP712 } from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

/// @title Roots by n-of-m votes, one vote a transaction, each kept in storage
/// @notice Mirrors the job of RewardDistributor's submitRoot and veto, in the way of most report oracles. Not deployed
///         with the suite.
contract BaselineRootPoster is EIP712 {
    struct Report {
        bytes32 root;
        uint96 total;
        uint40 activatesAt;
        bool vetoed;
    }

    bytes32 public constant VOTE_TYPEHASH =
        keccak256("Vote(bytes32 root,uint256 epoch,uint256 total,bytes32 contentHash)");

    uint256 public immutable THRESHOLD;
    uint256 public immutable DELAY;
    address public immutable GUARDIAN;

    uint256 public lastEpoch;
    mapping(address member => bool) public isMember;
    mapping(uint256 epoch => mapping(address member => bool)) public hasVoted;
    mapping(uint256 epoch => mapping(bytes32 structHash => uint256)) public votesFor;
    mapping(uint256 epoch => Report) public reportOf;

    event Voted(uint256 indexed epoch, address indexed member, bytes32 indexed root);
    event Posted(uint256 indexed epoch, bytes32 indexed root, uint256 total, bytes32 contentHash);
    event Vetoed(uint256 indexed epoch, bytes32 indexed root);

    error WrongEpoch(uint256 epoch);
    error NotAMember(address signer);
    error AlreadyVoted(address member);
    error OnlyGuardian(address caller);
    error WindowClosed(uint256 epoch);

    constructor(address[] memory members, uint256 threshold, uint256 delay, address guardian)
        EIP712("BaselineRootPoster", "1")
    {
        THRESHOLD = threshold;
        DELAY = delay;
        GUARDIAN = guardian;
        for (uint256 i = 0; i < members.length; ++i) {
            isMember[members[i]] = true;
        }
    }

    function vote(bytes32 root, uint256 epoch, uint256 total, bytes32 contentHash, bytes calldata signature) external {
        if (epoch != lastEpoch + 1) revert WrongEpoch(epoch);
        bytes32 structHash = keccak256(abi.encode(VOTE_TYPEHASH, root, epoch, total, contentHash));
        address member = ECDSA.recoverCalldata(_hashTypedDataV4(structHash), signature);
        if (!isMember[member]) revert NotAMember(member);
        if (hasVoted[epoch][member]) revert AlreadyVoted(member);
        hasVoted[epoch][member] = true;
        emit Voted(epoch, member, root);

        uint256 votes = ++votesFor[epoch][structHash];
        if (votes == THRESHOLD) {
            lastEpoch = epoch;
            reportOf[epoch] = Report(root, uint96(total), uint40(block.timestamp + DELAY), false);
            emit Posted(epoch, root, total, contentHash);
        }
    }

    function veto(uint256 epoch) external {
        if (msg.sender != GUARDIAN) revert OnlyGuardian(msg.sender);
        Report storage report = reportOf[epoch];
        if (epoch != lastEpoch || block.timestamp >= report.activatesAt) revert WindowClosed(epoch);
        report.vetoed = true;
        emit Vetoed(epoch, report.root);
    }
}
