// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import { FaultProofs } from "./attestors/FaultProofs.sol";
import { IAttestorSet } from "./interfaces/IAttestorSet.sol";
import { IInferenceEscrow } from "./interfaces/IInferenceEscrow.sol";
import { IModelRegistry } from "./interfaces/IModelRegistry.sol";
import { IOpenToken } from "./interfaces/IOpenToken.sol";
import { IRewardDistributor } from "./interfaces/IRewardDistributor.sol";
import { Signatures } from "./libraries/Signatures.sol";

/// @title AttestorSet
/// @dev Governance admits operators, so that a stranger's borrowed stake never counts; bonds have a floor and a ceiling, so
///      that one rich operator does not become the quorum.
///
///      Invariant 1: `totals.weight` is the sum of the weights of all seats, and each weight is its operator's bond.
///      Invariant 2: the tokens held here cover the sum of all bonds.
///      Invariant 3: a bond leaves only by withdrawal after the exit delay, or by a proof.
contract AttestorSet is FaultProofs {
    uint256 public constant MIN_EXIT_DELAY = 1 days;
    uint256 public constant MAX_EXIT_DELAY = 180 days;
    uint256 public constant MAX_FINDER_BPS = 5000;

    IOpenToken public immutable TOKEN;
    address public immutable GOVERNANCE;

    mapping(address signer => Seat) private _seats;
    mapping(address operator => Bond) private _bonds;
    Totals private _totals;
    Terms private _terms;

    modifier onlyGovernance() {
        if (msg.sender != GOVERNANCE) revert OnlyGovernance(msg.sender);
        _;
    }

    /// @param operators are admitted at once; each has yet to post its bond.
    constructor(
        IOpenToken token,
        IRewardDistributor distributor,
        IInferenceEscrow escrow,
        IModelRegistry models,
        address governance,
        Terms memory terms_,
        uint256 minSigners,
        address[] memory operators
    ) FaultProofs(distributor, escrow, models) {
        TOKEN = token;
        GOVERNANCE = governance;
        _setTerms(terms_.minBond, terms_.maxBond, terms_.exitDelay, terms_.finderBps);
        _setMinSigners(minSigners);
        for (uint256 i = 0; i < operators.length; ++i) {
            _admit(operators[i]);
        }
    }

    // Quorum

    /// @inheritdoc IAttestorSet
    function checkQuorum(bytes32 digest, bytes calldata signatures) external view override {
        uint256 signers = signatures.length / Signatures.LENGTH;
        uint256 weight;
        address last;
        unchecked {
            if (signers * Signatures.LENGTH != signatures.length) revert SignaturesLength(signatures.length);
            for (uint256 i = 0; i < signers; ++i) {
                address signer = Signatures.recoverAt(signatures, i, digest);
                // Also refuses zero, which stands for a signature that is none.
                if (signer <= last) revert SignersNotAscending(last, signer);
                last = signer;
                uint256 seatWeight = _seats[signer].weight;
                if (seatWeight == 0) revert NotAnAttestor(signer);
                // Weights are below 2^96: neither the sum nor its double can wrap.
                weight += seatWeight;
            }
            weight *= 2;
        }
        uint256 all = _totals.weight;
        uint256 least = _totals.minSigners;
        if (weight <= all || signers < least) revert QuorumNotReached(weight / 2, all, signers, least);
    }

    // Membership

    /// @inheritdoc IAttestorSet
    function admit(address operator) external override onlyGovernance {
        _admit(operator);
    }

    /// @inheritdoc IAttestorSet
    function expel(address operator) external override onlyGovernance {
        Bond storage bond = _bonds[operator];
        if (!bond.admitted) revert NotAdmitted(operator);
        bond.admitted = false;
        emit AttestorExpelled(operator);
        if (bond.amount != 0 && bond.leavesAt == 0) _leave(operator, bond);
    }

    /// @inheritdoc IAttestorSet
    function join(address signer, uint256 amount) external override {
        Bond storage bond = _bonds[msg.sender];
        if (!bond.admitted) revert NotAdmitted(msg.sender);
        if (bond.amount != 0) revert AlreadyJoined(msg.sender);
        _requireBondInBounds(amount);
        bond.amount = uint96(amount);
        bond.signer = signer;
        _takeSeat(msg.sender, signer, uint96(amount));
        _totals.weight += uint96(amount);
        _totals.seats += 1;
        emit AttestorJoined(msg.sender, signer, amount);
        TOKEN.transferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IAttestorSet
    function raiseBond(uint256 amount) external override {
        Bond storage bond = _seated(msg.sender);
        uint256 raised = bond.amount + amount;
        _requireBondInBounds(raised);
        bond.amount = uint96(raised);
        _seats[bond.signer].weight = uint96(raised);
        _totals.weight += uint96(amount);
        emit BondRaised(msg.sender, raised);
        TOKEN.transferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IAttestorSet
    function rotateKey(address newSigner) external override {
        Bond storage bond = _seated(msg.sender);
        address oldSigner = bond.signer;
        _seats[oldSigner].weight = 0;
        bond.signer = newSigner;
        _takeSeat(msg.sender, newSigner, bond.amount);
        emit KeyRotated(msg.sender, oldSigner, newSigner);
    }

    /// @inheritdoc IAttestorSet
    function announceExit() external override {
        _leave(msg.sender, _seated(msg.sender));
    }

    /// @inheritdoc IAttestorSet
    function withdrawBond(address recipient) external override {
        Bond storage bond = _bonds[msg.sender];
        uint256 amount = bond.amount;
        if (amount == 0) revert NotJoined(msg.sender);
        if (bond.leavesAt == 0 || block.timestamp < bond.leavesAt) revert StillBonded(msg.sender, bond.leavesAt);
        bond.amount = 0;
        bond.leavesAt = 0;
        emit BondWithdrawn(msg.sender, recipient, amount);
        TOKEN.transfer(recipient, amount);
    }

    // Governance

    /// @inheritdoc IAttestorSet
    function setTerms(uint256 minBond, uint256 maxBond, uint256 exitDelay, uint256 finderBps)
        external
        override
        onlyGovernance
    {
        _setTerms(minBond, maxBond, exitDelay, finderBps);
    }

    /// @inheritdoc IAttestorSet
    function setMinSigners(uint256 minSigners) external override onlyGovernance {
        _setMinSigners(minSigners);
    }

    // Views

    /// @inheritdoc IAttestorSet
    function seatOf(address signer) external view override returns (Seat memory) {
        return _seats[signer];
    }

    /// @inheritdoc IAttestorSet
    function bondOf(address operator) external view override returns (Bond memory) {
        return _bonds[operator];
    }

    /// @inheritdoc IAttestorSet
    function totals() external view override returns (Totals memory) {
        return _totals;
    }

    /// @inheritdoc IAttestorSet
    function terms() external view override returns (Terms memory) {
        return _terms;
    }

    // Internal

    function _operatorOf(address signer) internal view override returns (address) {
        return _seats[signer].operator;
    }

    function _admit(address operator) private {
        if (operator == address(0)) revert NotAdmitted(operator);
        if (_bonds[operator].admitted) revert AlreadyAdmitted(operator);
        // The proof of its old fault would cost it the new bond as well.
        if (_bonds[operator].slashed) revert WasSlashed(operator);
        _bonds[operator].admitted = true;
        emit AttestorAdmitted(operator);
    }

    /// @dev A key keeps its first owner for ever, so that nobody inherits another's faults.
    function _takeSeat(address operator, address signer, uint96 weight) private {
        Seat storage seat = _seats[signer];
        if (signer == address(0) || (seat.operator != address(0) && seat.operator != operator)) {
            revert KeyTaken(signer);
        }
        seat.operator = operator;
        seat.weight = weight;
    }

    function _seated(address operator) private view returns (Bond storage bond) {
        bond = _bonds[operator];
        if (bond.amount == 0) revert NotJoined(operator);
        if (bond.leavesAt != 0) revert Leaving(operator, bond.leavesAt);
    }

    function _leave(address operator, Bond storage bond) private {
        uint256 leavesAt = block.timestamp + _terms.exitDelay;
        bond.leavesAt = uint40(leavesAt);
        _vacate(bond);
        emit ExitAnnounced(operator, leavesAt);
    }

    function _vacate(Bond storage bond) private {
        _seats[bond.signer].weight = 0;
        _totals.weight -= bond.amount;
        _totals.seats -= 1;
    }

    function _slash(address operator, Fault fault, uint256 epoch) internal override {
        Bond storage bond = _bonds[operator];
        uint256 amount = bond.amount;
        if (amount == 0) revert NothingToSlash(operator);
        if (bond.leavesAt == 0) _vacate(bond);
        bond.amount = 0;
        bond.leavesAt = 0;
        bond.admitted = false;
        bond.slashed = true;
        uint256 reward = amount * _terms.finderBps / 10_000;
        emit AttestorSlashed(operator, fault, msg.sender, epoch, amount, reward);
        TOKEN.transfer(msg.sender, reward);
        TOKEN.transfer(GOVERNANCE, amount - reward);
    }

    function _requireBondInBounds(uint256 bond) private view {
        if (bond < _terms.minBond || bond > _terms.maxBond) {
            revert BondOutOfBounds(bond, _terms.minBond, _terms.maxBond);
        }
    }

    function _setTerms(uint256 minBond, uint256 maxBond, uint256 exitDelay, uint256 finderBps) private {
        if (minBond == 0 || minBond > maxBond) revert OutOfBounds(minBond, 1, maxBond);
        if (maxBond > type(uint96).max) revert OutOfBounds(maxBond, minBond, type(uint96).max);
        if (exitDelay < MIN_EXIT_DELAY || exitDelay > MAX_EXIT_DELAY) {
            revert OutOfBounds(exitDelay, MIN_EXIT_DELAY, MAX_EXIT_DELAY);
        }
        // A finder who is the culprit in disguise must lose by it: most of a slashed bond goes to the treasury.
        if (finderBps > MAX_FINDER_BPS) revert OutOfBounds(finderBps, 0, MAX_FINDER_BPS);
        _terms = Terms(uint96(minBond), uint96(maxBond), uint40(exitDelay), uint16(finderBps));
        emit TermsSet(minBond, maxBond, exitDelay, finderBps);
    }

    function _setMinSigners(uint256 minSigners) private {
        if (minSigners == 0 || minSigners > type(uint32).max) revert OutOfBounds(minSigners, 1, type(uint32).max);
        _totals.minSigners = uint32(minSigners);
        emit MinSignersSet(minSigners);
    }
}
