// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import { Batches } from "../libraries/Batches.sol";
import { IRewardDistributor } from "./IRewardDistributor.sol";

/// @title The attestors: who may vouch for a root, with what bond, and what proves them wrong
interface IAttestorSet {
    /// @param operator owns the bond; kept for retired keys, so that what they signed can still be punished.
    /// @param weight counts towards the quorum; zero for retired keys and attestors who leave.
    struct Seat {
        address operator;
        uint96 weight;
    }

    struct Bond {
        uint96 amount;
        uint40 leavesAt;
        bool admitted;
        bool slashed;
        address signer;
    }

    struct Totals {
        uint96 weight;
        uint32 seats;
        uint32 minSigners;
    }

    struct Terms {
        uint96 minBond;
        uint96 maxBond;
        uint40 exitDelay;
        uint16 finderBps;
    }

    enum Fault {
        Equivocation,
        HeaderSum,
        ReceiptSum,
        ReceiptSplit,
        ReceiptOrder,
        UnsignedVoucher
    }

    event AttestorAdmitted(address indexed operator);
    event AttestorExpelled(address indexed operator);
    event AttestorJoined(address indexed operator, address indexed signer, uint256 bond);
    event BondRaised(address indexed operator, uint256 bond);
    event KeyRotated(address indexed operator, address indexed oldSigner, address indexed newSigner);
    event ExitAnnounced(address indexed operator, uint256 leavesAt);
    event BondWithdrawn(address indexed operator, address indexed recipient, uint256 bond);
    event AttestorSlashed(
        address indexed operator,
        Fault indexed fault,
        address indexed finder,
        uint256 epoch,
        uint256 bond,
        uint256 reward
    );
    event TermsSet(uint256 minBond, uint256 maxBond, uint256 exitDelay, uint256 finderBps);
    event MinSignersSet(uint256 minSigners);

    error OnlyGovernance(address caller);
    error NotAdmitted(address operator);
    error AlreadyAdmitted(address operator);
    error WasSlashed(address operator);
    error AlreadyJoined(address operator);
    error NotJoined(address operator);
    error KeyTaken(address signer);
    error BondOutOfBounds(uint256 bond, uint256 least, uint256 most);
    error StillBonded(address operator, uint256 leavesAt);
    error Leaving(address operator, uint256 leavesAt);
    error SignaturesLength(uint256 length);
    error SignersNotAscending(address previous, address signer);
    error NotAnAttestor(address signer);
    error QuorumNotReached(uint256 weight, uint256 totalWeight, uint256 signers, uint256 minSigners);
    error InvalidSignature(uint256 index);
    error NothingToSlash(address operator);
    error NotAFault(Fault fault);
    error HeaderMismatch(bytes32 given, bytes32 signed);
    error ProofMismatch(bytes32 computed, bytes32 committed);
    error OutOfBounds(uint256 value, uint256 least, uint256 most);

    /// @notice Reverts unless the signers of `digest` hold more than half of all weight and are enough in number.
    function checkQuorum(bytes32 digest, bytes calldata signatures) external view;

    /// @notice Lets `operator` take a seat. One that was slashed comes back under another address, or not at all.
    function admit(address operator) external;
    function expel(address operator) external;

    /// @notice An admitted operator posts its bond and names the key that signs.
    /// @dev A key belongs to whoever named it first. A seated operator could name another's key before its owner does; the
    ///      owner then takes another key, and governance expels the squatter, who answers for all that the key ever signs.
    function join(address signer, uint256 amount) external;
    function raiseBond(uint256 amount) external;

    /// @notice Replaces the signing key at once. The old key signs no more, but its owner stays liable for what it signed.
    function rotateKey(address newSigner) external;

    /// @notice Gives up the seat; the bond can be withdrawn after the exit delay and be slashed until then.
    function announceExit() external;
    function withdrawBond(address recipient) external;

    /// @notice Two signatures of one attestor for different statements of the same epoch and round. An attestor signs once per
    ///         epoch and round; whoever has to change its mind waits for the next round.
    function proveEquivocation(
        IRewardDistributor.RewardRoot calldata first,
        bytes calldata firstSignature,
        IRewardDistributor.RewardRoot calldata second,
        bytes calldata secondSignature
    ) external;

    /// @notice The parts of the signed batch header do not sum to its fees, or it is the header of another epoch.
    function proveHeaderSum(
        IRewardDistributor.RewardRoot calldata statement,
        bytes calldata signature,
        Batches.Header calldata header
    ) external;

    /// @notice The shares of a receipt in the signed batch do not sum to its fee.
    function proveReceiptSum(
        IRewardDistributor.RewardRoot calldata statement,
        bytes calldata signature,
        Batches.Header calldata header,
        Batches.ReceiptProof calldata receipt,
        Batches.Share[] calldata shares
    ) external;

    /// @notice The shares of a receipt do not follow the split that its model published.
    function proveReceiptSplit(
        IRewardDistributor.RewardRoot calldata statement,
        bytes calldata signature,
        Batches.Header calldata header,
        Batches.ReceiptProof calldata receipt,
        Batches.Share[] calldata shares
    ) external;

    /// @notice Two receipts of the signed batch contradict each other or the header: one index twice, a running sum that
    ///         breaks, an index beyond the count, or a last sum that is not the header's. Give the same receipt twice
    ///         where one is enough.
    function proveReceiptOrder(
        IRewardDistributor.RewardRoot calldata statement,
        bytes calldata signature,
        Batches.Header calldata header,
        Batches.ReceiptProof calldata first,
        Batches.ReceiptProof calldata second
    ) external;

    /// @notice A voucher of the signed batch does not carry the signature of the key it names. An
    ///         attestor vouches only for a voucher that carries its key's signature, or of which the escrow's `foundGood` tells.
    function proveUnsignedVoucher(
        IRewardDistributor.RewardRoot calldata statement,
        bytes calldata signature,
        Batches.Header calldata header,
        Batches.VoucherProof calldata voucher
    ) external;

    function setTerms(uint256 minBond, uint256 maxBond, uint256 exitDelay, uint256 finderBps) external;
    function setMinSigners(uint256 minSigners) external;

    function seatOf(address signer) external view returns (Seat memory);
    function bondOf(address operator) external view returns (Bond memory);
    function totals() external view returns (Totals memory);
    function terms() external view returns (Terms memory);
}
