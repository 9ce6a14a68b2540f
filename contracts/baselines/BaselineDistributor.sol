// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { SafeERC20 } from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import { MerkleProof } from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

/// @title Cumulative rewards by Merkle proof, on OpenZeppelin's MerkleProof and SafeERC20
/// @notice Mirrors the job of RewardDistributor's claim, claimMany and pushSubtree. Not deployed with the suite.
contract BaselineDistributor {
    using SafeERC20 for IERC20;

    struct Claim {
        address account;
        uint256 cumulative;
        bytes32[] proof;
    }

    IERC20 public immutable TOKEN;
    address public immutable POSTER;

    bytes32 public root;
    mapping(address account => uint256) public claimed;

    event RootSet(bytes32 indexed root);
    event Claimed(address indexed account, uint256 amount);

    error OnlyPoster(address caller);
    error InvalidProof(address account);
    error NothingToClaim(address account);

    constructor(IERC20 token, address poster) {
        TOKEN = token;
        POSTER = poster;
    }

    function setRoot(bytes32 root_) external {
        if (msg.sender != POSTER) revert OnlyPoster(msg.sender);
        root = root_;
        emit RootSet(root_);
    }

    function claim(address account, uint256 cumulative, bytes32[] calldata proof) external {
        _claim(account, cumulative, proof);
    }

    function claimMany(Claim[] calldata claims) external {
        for (uint256 i = 0; i < claims.length; ++i) {
            _claim(claims[i].account, claims[i].cumulative, claims[i].proof);
        }
    }

    function _claim(address account, uint256 cumulative, bytes32[] calldata proof) private {
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(account, cumulative))));
        if (!MerkleProof.verifyCalldata(proof, root, leaf)) revert InvalidProof(account);
        uint256 before = claimed[account];
        if (cumulative <= before) revert NothingToClaim(account);
        claimed[account] = cumulative;
        emit Claimed(account, cumulative - before);
        TOKEN.safeTransfer(account, cumulative - before);
    }
}
