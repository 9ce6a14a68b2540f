// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import { EIP712 } from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import { Hashes } from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import { MerkleProof } from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

import { IDatanetRegistry } from "./interfaces/IDatanetRegistry.sol";
import { IOpenToken } from "./interfaces/IOpenToken.sol";
import { Contributions } from "./libraries/Contributions.sol";
import { Signatures } from "./libraries/Signatures.sol";

/// @title DatanetRegistry
/// @dev Invariant 1: the accumulator of a datanet is the fold of the names of all its contributions, in the log's order.
///      Invariant 2: an outcome, a snapshot and a checkpoint are written once and never change.
///      Invariant 3: no snapshot is published while a forced contribution is past its deadline without an outcome.
///      Invariant 4: the tokens held here cover all bonds: of datanets, of contributors, of forced contributions.
contract DatanetRegistry is IDatanetRegistry, EIP712 {
    // Parts of the head of a relayed item.
    uint256 private constant COUNT_MASK = uint256(type(uint48).max) << 40;
    uint256 private constant KIND_MASK = uint256(type(uint8).max) << 88;
    uint256 private constant LAST_KIND = uint256(type(Kind).max) << 88;

    uint256 public constant MAX_FINDER_BPS = 5_000;
    uint256 public constant MAX_WINDOW = 90 days;

    IOpenToken public immutable TOKEN;
    address public immutable GOVERNANCE;

    uint256 public override datanetCount;
    Terms private _terms;
    mapping(uint256 datanet => Datanet) private _datanets;
    mapping(uint256 datanet => bytes32) public override accumulatorOf;
    mapping(uint256 datanet => mapping(address account => bool)) public override isReviewer;
    mapping(uint256 datanet => address) private _offers;
    mapping(uint256 datanet => mapping(bytes32 accumulator => uint256)) public override checkpointedAt;
    mapping(uint256 datanet => mapping(uint256 version => Snapshot)) private _snapshots;
    mapping(uint256 datanet => mapping(address account => ContributorBond)) private _bonds;
    /// @dev By datanet too: the reviewers of one must have no say over the contributions of another.
    mapping(uint256 datanet => mapping(bytes32 contribution => bytes32)) public override outcomeOf;
    mapping(uint256 datanet => mapping(bytes32 contribution => Forced)) private _forced;
    mapping(bytes32 contribution => bool) private _slashed;
    /// @dev Forced contributions in the order of their deadlines; all before `_nextForced` have their outcome.
    mapping(uint256 datanet => bytes32[]) private _forcedQueue;
    mapping(uint256 datanet => uint256) private _nextForced;

    modifier onlySteward(uint256 datanet) {
        address steward = _datanets[datanet].steward;
        if (steward == address(0)) revert UnknownDatanet(datanet);
        if (steward != msg.sender) revert OnlySteward(datanet, msg.sender);
        _;
    }

    constructor(IOpenToken token, address governance, Terms memory terms_) EIP712("OpenLedger DatanetRegistry", "1") {
        TOKEN = token;
        GOVERNANCE = governance;
        _setTerms(terms_);
    }

    // Datanets

    /// @inheritdoc IDatanetRegistry
    function createDatanet(
        bytes32 policyHash,
        string calldata name,
        string calldata licence,
        string calldata datatype,
        address[] calldata reviewers,
        uint256 quorum,
        uint256 bond
    ) external override returns (uint256 datanet) {
        if (policyHash == 0) revert EmptyHash();
        if (bond < _terms.minDatanetBond) revert BondTooSmall(bond, _terms.minDatanetBond);
        if (bond > type(uint96).max) revert OutOfBounds(bond, 0, type(uint96).max);
        datanet = ++datanetCount;
        Datanet storage created = _datanets[datanet];
        created.steward = msg.sender;
        created.policyHash = policyHash;
        created.bond = uint96(bond);
        emit DatanetCreated(datanet, msg.sender, policyHash, name, licence, datatype, bond);
        for (uint256 i = 0; i < reviewers.length; ++i) {
            _setReviewer(datanet, reviewers[i], true);
        }
        _setQuorum(datanet, quorum);
        TOKEN.transferFrom(msg.sender, address(this), bond);
    }

    /// @inheritdoc IDatanetRegistry
    function setPolicy(uint256 datanet, bytes32 policyHash) external override onlySteward(datanet) {
        if (policyHash == 0) revert EmptyHash();
        _datanets[datanet].policyHash = policyHash;
        emit PolicySet(datanet, policyHash);
    }

    /// @inheritdoc IDatanetRegistry
    function setReviewer(uint256 datanet, address reviewer, bool active) external override onlySteward(datanet) {
        _setReviewer(datanet, reviewer, active);
        Datanet storage changed = _datanets[datanet];
        if (changed.quorum > changed.reviewers) revert QuorumOutOfRange(changed.quorum, changed.reviewers);
    }

    /// @inheritdoc IDatanetRegistry
    function setQuorum(uint256 datanet, uint256 quorum) external override onlySteward(datanet) {
        _setQuorum(datanet, quorum);
    }

    /// @inheritdoc IDatanetRegistry
    function offerSteward(uint256 datanet, address to) external override onlySteward(datanet) {
        _offers[datanet] = to;
        emit StewardOffered(datanet, to);
    }

    /// @inheritdoc IDatanetRegistry
    function acceptSteward(uint256 datanet) external override {
        if (_offers[datanet] != msg.sender) revert NotOffered(msg.sender);
        address from = _datanets[datanet].steward;
        delete _offers[datanet];
        _datanets[datanet].steward = msg.sender;
        emit StewardChanged(datanet, from, msg.sender);
    }

    /// @inheritdoc IDatanetRegistry
    function announceClosing(uint256 datanet) external override onlySteward(datanet) {
        Datanet storage closing = _datanets[datanet];
        if (closing.closesAt != 0) revert DatanetClosed(datanet, closing.closesAt);
        closing.closesAt = uint40(block.timestamp) + _terms.closingNotice;
        emit ClosingAnnounced(datanet, closing.closesAt);
    }

    /// @inheritdoc IDatanetRegistry
    function withdrawDatanetBond(uint256 datanet) external override onlySteward(datanet) {
        Datanet storage closed = _datanets[datanet];
        if (closed.closesAt == 0 || block.timestamp <= closed.closesAt) {
            revert DatanetNotClosed(datanet, closed.closesAt);
        }
        _advanceForced(datanet, type(uint256).max);
        uint256 pending = _forcedQueue[datanet].length - _nextForced[datanet];
        if (pending != 0) revert InclusionsPending(pending);
        uint256 amount = closed.bond;
        if (amount == 0) revert NoBond(msg.sender);
        closed.bond = 0;
        emit DatanetBondWithdrawn(datanet, msg.sender, amount);
        TOKEN.transfer(msg.sender, amount);
    }

    // Contributions

    /// @inheritdoc IDatanetRegistry
    function contribute(uint256 datanet, Kind kind, bytes32 rowsRoot, uint256 count, bytes32 manifestHash)
        external
        override
        returns (bytes32 contribution)
    {
        return _contribute(Contribution(msg.sender, datanet, kind, rowsRoot, count, manifestHash));
    }

    /// @inheritdoc IDatanetRegistry
    function contributeBySig(Contribution calldata contribution, uint256 deadline, bytes calldata signature)
        external
        override
        returns (bytes32 name)
    {
        if (block.timestamp > deadline) revert SignatureExpired(deadline);
        name = _contribute(contribution);
        if (!Signatures.isValid(contribution.contributor, contributionDigest(name, deadline), signature)) {
            revert InvalidSignature(contribution.contributor);
        }
    }

    /// @inheritdoc IDatanetRegistry
    function contributeMany(uint256 datanet, SignedRows[] calldata items, bool all)
        external
        override
        returns (uint256 accepted)
    {
        _requireOpen(datanet);
        uint256 desk = Contributions.desk(_domainSeparatorV4(), datanet);
        bytes32 accumulator = accumulatorOf[datanet];
        uint256 entry = Contributions.open(items.length);
        for (uint256 i = 0; i < items.length; ++i) {
            SignedRows calldata item = items[i];
            (bytes32 name, bytes32 digest) = Contributions.nameAndDigest(desk, item);
            uint256 head = item.head;
            Refusal reason = _check(item, head, digest);
            if (reason != Refusal.None) {
                address contributor = address(uint160(head >> 96));
                if (all) revert ItemRefused(i, contributor, reason);
                emit ContributionRefused(datanet, contributor, i, reason);
                continue;
            }
            accumulator = Hashes.efficientKeccak256(accumulator, name);
            unchecked {
                Contributions.put(entry, accepted++, item);
            }
        }
        if (accepted == 0) return 0;
        accumulatorOf[datanet] = accumulator;
        Contributions.emitEntry(entry, accepted, datanet, accumulator);
    }

    /// @inheritdoc IDatanetRegistry
    function contributeForced(uint256 datanet, Kind kind, bytes32 rowsRoot, uint256 count, bytes32 manifestHash)
        external
        override
        returns (bytes32 contribution)
    {
        contribution = _contribute(Contribution(msg.sender, datanet, kind, rowsRoot, count, manifestHash));
        if (_forced[datanet][contribution].deadline != 0) revert AlreadyForced(contribution);
        if (outcomeOf[datanet][contribution] != 0) revert OutcomeAlreadyRecorded(contribution);
        uint96 bond = _terms.forcedBond;
        uint40 deadline = _lastDeadline(datanet, uint40(block.timestamp) + _terms.inclusionWindow);
        _forced[datanet][contribution] =
            Forced({ contributor: msg.sender, deadline: deadline, resolved: false, neglected: false, bond: bond });
        _forcedQueue[datanet].push(contribution);
        emit InclusionForced(datanet, contribution, msg.sender, deadline);
        TOKEN.transferFrom(msg.sender, address(this), bond);
    }

    /// @inheritdoc IDatanetRegistry
    function proveNeglect(uint256 datanet, bytes32 contribution) external override {
        Forced storage forced = _forced[datanet][contribution];
        if (forced.deadline == 0 || forced.resolved || forced.neglected || block.timestamp <= forced.deadline) {
            revert NotOverdue(contribution, forced.deadline);
        }
        forced.neglected = true;
        Datanet storage neglecting = _datanets[datanet];
        uint96 penalty = forced.bond < neglecting.bond ? forced.bond : neglecting.bond;
        neglecting.bond -= penalty;
        emit Neglected(datanet, contribution, penalty);
        TOKEN.transfer(forced.contributor, penalty);
    }

    /// @inheritdoc IDatanetRegistry
    function skipResolved(uint256 datanet, uint256 most) external override returns (uint256 pending) {
        _advanceForced(datanet, most);
        return _forcedQueue[datanet].length - _nextForced[datanet];
    }

    // Review

    /// @inheritdoc IDatanetRegistry
    function recordOutcomes(uint256 datanet, Outcome[] calldata outcomes, bytes calldata signatures) external override {
        _requireReviewers(datanet, outcomesDigest(datanet, outcomes), signatures);
        for (uint256 i = 0; i < outcomes.length; ++i) {
            Outcome calldata outcome = outcomes[i];
            bytes32 contribution = outcome.contribution;
            if (outcomeOf[datanet][contribution] != 0) revert OutcomeAlreadyRecorded(contribution);
            outcomeOf[datanet][contribution] = keccak256(abi.encode(datanet, outcome));
            emit OutcomeRecorded(
                datanet, contribution, outcome.acceptedRoot, outcome.acceptedCount, outcome.reasonsHash
            );
            _settleForced(datanet, contribution, outcome.acceptedCount != 0);
        }
    }

    /// @inheritdoc IDatanetRegistry
    function publishSnapshot(
        uint256 datanet,
        bytes32 root,
        uint256 count,
        bytes32 manifestHash,
        bytes32 accumulator
    ) external override onlySteward(datanet) returns (uint256 version) {
        if (root == 0 || manifestHash == 0) revert EmptyHash();
        if (count == 0) revert EmptyRows();
        if (count > type(uint64).max) revert CountTooLarge(count);
        _advanceForced(datanet, type(uint256).max);
        if (_nextForced[datanet] < _forcedQueue[datanet].length) {
            bytes32 waiting = _forcedQueue[datanet][_nextForced[datanet]];
            uint256 deadline = _forced[datanet][waiting].deadline;
            if (block.timestamp > deadline) revert InclusionOverdue(waiting, deadline);
        }
        if (accumulator == accumulatorOf[datanet]) {
            _checkpoint(datanet, accumulator);
        } else if (checkpointedAt[datanet][accumulator] == 0) {
            revert UnknownAccumulator(accumulator);
        }
        version = ++_datanets[datanet].snapshots;
        _snapshots[datanet][version] = Snapshot(root, uint64(count), uint40(block.timestamp), accumulator);
        emit SnapshotPublished(datanet, version, root, count, manifestHash, accumulator);
    }

    /// @inheritdoc IDatanetRegistry
    function checkpoint(uint256 datanet) external override returns (bytes32 accumulator) {
        accumulator = accumulatorOf[datanet];
        if (accumulator == 0) revert UnknownAccumulator(accumulator);
        _checkpoint(datanet, accumulator);
    }

    // Erasure

    /// @inheritdoc IDatanetRegistry
    function requestErasure(Contribution calldata contribution, bytes32 rowsHash) external override {
        if (contribution.contributor != msg.sender) revert OnlyContributor(contribution.contributor, msg.sender);
        emit ErasureRequested(contribution.datanet, Contributions.nameOf(contribution), msg.sender, rowsHash);
    }

    /// @inheritdoc IDatanetRegistry
    function requestErasureBySig(
        Contribution calldata contribution,
        bytes32 rowsHash,
        uint256 deadline,
        bytes calldata signature
    ) external override {
        if (block.timestamp > deadline) revert SignatureExpired(deadline);
        bytes32 name = Contributions.nameOf(contribution);
        if (!Signatures.isValid(contribution.contributor, erasureDigest(name, rowsHash, deadline), signature)) {
            revert InvalidSignature(contribution.contributor);
        }
        emit ErasureRequested(contribution.datanet, name, contribution.contributor, rowsHash);
    }

    // Bonds of contributors and reviewers

    /// @inheritdoc IDatanetRegistry
    function postBond(uint256 datanet, uint256 amount) external override {
        if (_datanets[datanet].steward == address(0)) revert UnknownDatanet(datanet);
        ContributorBond storage bond = _bonds[datanet][msg.sender];
        uint256 raised = bond.amount + amount;
        if (amount == 0 || raised > type(uint96).max) revert OutOfBounds(raised, 1, type(uint96).max);
        bond.amount = uint96(raised);
        bond.readyAt = 0;
        emit ContributorBonded(datanet, msg.sender, raised);
        TOKEN.transferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IDatanetRegistry
    function announceBondExit(uint256 datanet) external override {
        ContributorBond storage bond = _bonds[datanet][msg.sender];
        if (bond.amount == 0) revert NoBond(msg.sender);
        bond.readyAt = uint40(block.timestamp) + _terms.bondDelay;
        emit ContributorBondExit(datanet, msg.sender, bond.readyAt);
    }

    /// @inheritdoc IDatanetRegistry
    function withdrawBond(uint256 datanet) external override {
        ContributorBond memory bond = _bonds[datanet][msg.sender];
        if (bond.amount == 0) revert NoBond(msg.sender);
        if (bond.readyAt == 0 || block.timestamp < bond.readyAt) revert BondNotReady(bond.readyAt);
        delete _bonds[datanet][msg.sender];
        emit ContributorBondWithdrawn(datanet, msg.sender, bond.amount);
        TOKEN.transfer(msg.sender, bond.amount);
    }

    /// @inheritdoc IDatanetRegistry
    function proveDuplicate(DuplicateProof calldata proof) external override {
        uint256 datanet = proof.older.datanet;
        bytes32 older = Contributions.nameOf(proof.older);
        bytes32 newer = Contributions.nameOf(proof.newer);
        address contributor = proof.newer.contributor;
        if (
            proof.newer.datanet != datanet || contributor == proof.older.contributor
                || proof.newerAt >= proof.later.length || proof.later[proof.newerAt] != newer
                || !_holdsRow(proof.older, proof.rowHash, proof.olderProof)
                || !_holdsRow(proof.newer, proof.rowHash, proof.newerProof)
        ) revert NotADuplicate();
        bytes32 end = Contributions.fold(Hashes.efficientKeccak256(proof.before, older), proof.later);
        if (end != accumulatorOf[datanet] && checkpointedAt[datanet][end] == 0) revert UnknownAccumulator(end);
        if (_slashed[newer]) revert AlreadySlashed(newer);
        _slashed[newer] = true;

        ContributorBond storage bond = _bonds[datanet][contributor];
        uint256 amount = bond.amount < _terms.duplicateSlash ? bond.amount : _terms.duplicateSlash;
        if (amount == 0) revert NoBond(contributor);
        bond.amount -= uint96(amount);
        uint256 reward = amount * _terms.finderBps / 10_000;
        emit DuplicateSlashed(datanet, contributor, msg.sender, older, newer, proof.rowHash, amount, reward);
        TOKEN.transfer(msg.sender, reward);
        TOKEN.transfer(GOVERNANCE, amount - reward);
    }

    // Governance

    /// @inheritdoc IDatanetRegistry
    function setTerms(Terms calldata terms_) external override {
        if (msg.sender != GOVERNANCE) revert OnlyGovernance(msg.sender);
        _setTerms(terms_);
    }

    // Views

    /// @inheritdoc IDatanetRegistry
    function datanetOf(uint256 datanet) external view override returns (Datanet memory) {
        return _datanets[datanet];
    }

    /// @inheritdoc IDatanetRegistry
    function forcedOf(uint256 datanet, bytes32 contribution) external view override returns (Forced memory) {
        return _forced[datanet][contribution];
    }

    /// @inheritdoc IDatanetRegistry
    function snapshotOf(uint256 datanet, uint256 version) external view override returns (Snapshot memory) {
        return _snapshots[datanet][version];
    }

    /// @inheritdoc IDatanetRegistry
    function snapshotRoot(uint256 datanet, uint256 version) external view override returns (bytes32) {
        return _snapshots[datanet][version].root;
    }

    /// @inheritdoc IDatanetRegistry
    function bondOf(uint256 datanet, address account) external view override returns (ContributorBond memory) {
        return _bonds[datanet][account];
    }

    /// @inheritdoc IDatanetRegistry
    function terms() external view override returns (Terms memory) {
        return _terms;
    }

    /// @inheritdoc IDatanetRegistry
    function nameOf(Contribution calldata contribution) external pure override returns (bytes32) {
        return Contributions.nameOf(contribution);
    }

    /// @inheritdoc IDatanetRegistry
    function contributionDigest(bytes32 contribution, uint256 deadline) public view override returns (bytes32) {
        return _hashTypedDataV4(Contributions.signedHash(contribution, deadline));
    }

    /// @inheritdoc IDatanetRegistry
    function erasureDigest(bytes32 contribution, bytes32 rowsHash, uint256 deadline)
        public
        view
        override
        returns (bytes32)
    {
        return _hashTypedDataV4(Contributions.erasureHash(contribution, rowsHash, deadline));
    }

    /// @inheritdoc IDatanetRegistry
    function outcomesDigest(uint256 datanet, Outcome[] calldata outcomes) public view override returns (bytes32) {
        return _hashTypedDataV4(Contributions.outcomesHash(datanet, outcomes));
    }

    /// @inheritdoc IDatanetRegistry
    function rowLeaf(address contributor, bytes32 rowHash) external pure override returns (bytes32) {
        return Contributions.rowLeaf(contributor, rowHash);
    }

    /// @inheritdoc IDatanetRegistry
    function fold(bytes32 accumulator, bytes32[] calldata names) external pure override returns (bytes32) {
        return Contributions.fold(accumulator, names);
    }

    // Internal

    function _contribute(Contribution memory contribution) private returns (bytes32 name) {
        uint256 datanet = contribution.datanet;
        _requireOpen(datanet);
        if (contribution.rowsRoot == 0 || contribution.count == 0) revert EmptyRows();
        if (contribution.count > type(uint48).max) revert CountTooLarge(contribution.count);
        name = Contributions.nameOf(contribution);
        accumulatorOf[datanet] = Hashes.efficientKeccak256(accumulatorOf[datanet], name);
        emit Contributed(
            datanet,
            contribution.contributor,
            name,
            contribution.kind,
            contribution.count,
            contribution.rowsRoot,
            contribution.manifestHash
        );
    }

    function _check(SignedRows calldata item, uint256 head, bytes32 digest) private view returns (Refusal) {
        if (block.timestamp > head & type(uint40).max) return Refusal.Expired;
        if (head & COUNT_MASK == 0 || item.rowsRoot == 0) return Refusal.EmptyRows;
        if (head & KIND_MASK > LAST_KIND) return Refusal.UnknownKind;
        uint256 signer = Signatures.recover(digest, item.r, item.vs);
        if (signer == 0 || signer != head >> 96) return Refusal.BadSignature;
        return Refusal.None;
    }

    function _requireOpen(uint256 datanet) private view {
        Datanet storage opened = _datanets[datanet];
        if (opened.steward == address(0)) revert UnknownDatanet(datanet);
        uint256 closesAt = opened.closesAt;
        if (closesAt != 0 && block.timestamp > closesAt) revert DatanetClosed(datanet, closesAt);
    }

    function _requireReviewers(uint256 datanet, bytes32 digest, bytes calldata signatures) private view {
        if (signatures.length % Signatures.LENGTH != 0) revert SignaturesLength(signatures.length);
        uint256 signers = signatures.length / Signatures.LENGTH;
        uint256 quorum = _datanets[datanet].quorum;
        if (quorum == 0) revert UnknownDatanet(datanet);
        if (signers < quorum) revert QuorumNotReached(signers, quorum);
        address last;
        for (uint256 i = 0; i < signers; ++i) {
            address signer = Signatures.recoverAt(signatures, i, digest);
            if (signer <= last) revert SignersNotAscending(last, signer);
            if (!isReviewer[datanet][signer]) revert NotAReviewer(signer);
            last = signer;
        }
    }

    /// @dev Deadlines never fall along the queue, whatever governance does to the window, so that its head tells all.
    function _lastDeadline(uint256 datanet, uint40 deadline) private view returns (uint40) {
        bytes32[] storage queue = _forcedQueue[datanet];
        if (queue.length == 0) return deadline;
        uint40 last = _forced[datanet][queue[queue.length - 1]].deadline;
        return last > deadline ? last : deadline;
    }

    function _settleForced(uint256 datanet, bytes32 contribution, bool accepted) private {
        Forced storage forced = _forced[datanet][contribution];
        if (forced.deadline == 0 || forced.resolved) return;
        forced.resolved = true;
        address recipient = accepted ? forced.contributor : _datanets[datanet].steward;
        emit ForcedBondPaid(contribution, recipient, forced.bond);
        TOKEN.transfer(recipient, forced.bond);
    }

    function _advanceForced(uint256 datanet, uint256 most) private {
        bytes32[] storage queue = _forcedQueue[datanet];
        uint256 next = _nextForced[datanet];
        uint256 length = queue.length;
        for (; most != 0 && next < length && _forced[datanet][queue[next]].resolved; --most) {
            ++next;
        }
        _nextForced[datanet] = next;
    }

    function _checkpoint(uint256 datanet, bytes32 accumulator) private {
        if (checkpointedAt[datanet][accumulator] != 0) return;
        checkpointedAt[datanet][accumulator] = block.timestamp;
        emit Checkpointed(datanet, accumulator);
    }

    function _holdsRow(Contribution calldata contribution, bytes32 rowHash, bytes32[] calldata proof)
        private
        pure
        returns (bool)
    {
        bytes32 leaf = Contributions.rowLeaf(contribution.contributor, rowHash);
        return MerkleProof.processProofCalldata(proof, leaf) == contribution.rowsRoot;
    }

    function _setReviewer(uint256 datanet, address reviewer, bool active) private {
        if (reviewer == address(0) || isReviewer[datanet][reviewer] == active) revert ReviewerUnchanged(reviewer);
        isReviewer[datanet][reviewer] = active;
        if (active) _datanets[datanet].reviewers += 1;
        else _datanets[datanet].reviewers -= 1;
        emit ReviewerSet(datanet, reviewer, active);
    }

    function _setQuorum(uint256 datanet, uint256 quorum) private {
        uint256 reviewers = _datanets[datanet].reviewers;
        if (quorum == 0 || quorum > reviewers) revert QuorumOutOfRange(quorum, reviewers);
        _datanets[datanet].quorum = uint16(quorum);
        emit QuorumSet(datanet, quorum);
    }

    function _setTerms(Terms memory terms_) private {
        if (terms_.finderBps > MAX_FINDER_BPS) revert OutOfBounds(terms_.finderBps, 0, MAX_FINDER_BPS);
        _requireWindow(terms_.inclusionWindow);
        _requireWindow(terms_.bondDelay);
        _requireWindow(terms_.closingNotice);
        _terms = terms_;
        emit TermsSet(terms_);
    }

    function _requireWindow(uint256 window) private pure {
        if (window == 0 || window > MAX_WINDOW) revert OutOfBounds(window, 1, MAX_WINDOW);
    }
}
