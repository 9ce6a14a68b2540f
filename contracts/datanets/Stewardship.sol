// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import { IDatanetRegistry } from "../interfaces/IDatanetRegistry.sol";
import { IOpenToken } from "../interfaces/IOpenToken.sol";

/// @title Who runs a datanet, and on which terms
abstract contract Stewardship is IDatanetRegistry {
    uint256 public constant MAX_FINDER_BPS = 5000;
    uint256 public constant MAX_WINDOW = 90 days;

    IOpenToken public immutable TOKEN;
    address public immutable GOVERNANCE;

    uint256 public override datanetCount;
    Terms internal _terms;
    mapping(uint256 datanet => Datanet) internal _datanets;
    mapping(uint256 datanet => mapping(address account => bool)) public override isReviewer;
    mapping(uint256 datanet => address) private _offers;

    modifier onlySteward(uint256 datanet) {
        address steward = _datanets[datanet].steward;
        if (steward == address(0)) revert UnknownDatanet(datanet);
        if (steward != msg.sender) revert OnlySteward(datanet, msg.sender);
        _;
    }

    constructor(IOpenToken token, address governance, Terms memory terms_) {
        TOKEN = token;
        GOVERNANCE = governance;
        _setTerms(terms_);
    }

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
    function setTerms(Terms calldata terms_) external override {
        if (msg.sender != GOVERNANCE) revert OnlyGovernance(msg.sender);
        _setTerms(terms_);
    }

    /// @inheritdoc IDatanetRegistry
    function datanetOf(uint256 datanet) external view override returns (Datanet memory) {
        return _datanets[datanet];
    }

    /// @inheritdoc IDatanetRegistry
    function terms() external view override returns (Terms memory) {
        return _terms;
    }

    function _requireOpen(uint256 datanet) internal view {
        Datanet storage opened = _datanets[datanet];
        if (opened.steward == address(0)) revert UnknownDatanet(datanet);
        uint256 closesAt = opened.closesAt;
        if (closesAt != 0 && block.timestamp > closesAt) revert DatanetClosed(datanet, closesAt);
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
