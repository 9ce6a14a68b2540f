// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import { IInferenceEscrow } from "../../contracts/interfaces/IInferenceEscrow.sol";
import { IRewardDistributor } from "../../contracts/interfaces/IRewardDistributor.sol";
import { PlainTree } from "./PlainTree.sol";
import { Suite } from "./Suite.sol";

/// @dev Everybody who can move money, acting at random. Attestors sign any leaves at all: what must hold, holds
///      even then.
///      Every call is brought into the range where it must succeed, so that a revert is a finding.
contract MoneyHandler is Suite {
    using PlainTree for PlainTree.Tree;

    uint256 public constant ACTORS = 4;
    uint256 private constant MOST = 3_000_000e18;

    struct Posted {
        bytes32 root;
        bool condemned;
        uint256[ACTORS] amounts;
    }

    struct Payout {
        uint256 at;
        uint256 amount;
    }

    uint256[ACTORS] private _keys;
    address[ACTORS] public actors;
    mapping(address consumer => mapping(address key => uint256)) public highestSigned;
    /// @dev Every root ever posted, with its leaves.
    Posted[] private _posted;
    /// @dev The roots in force and the pending one, as the distributor should have them.
    bytes32[] public chain;
    uint256[] public openChallenges;
    Payout[] private _payouts;
    mapping(address account => uint256) private _lastCredit;
    bool public creditFell;
    uint256 private _clock;

    modifier timed() {
        vm.warp(_clock);
        _;
        for (uint256 i = 0; i < ACTORS; ++i) {
            uint256 credited = token.credited(actors[i]);
            if (credited < _lastCredit[actors[i]]) creditFell = true;
            _lastCredit[actors[i]] = credited;
        }
    }

    constructor() {
        deploySuite();
        _clock = block.timestamp;
        for (uint256 i = 0; i < ACTORS; ++i) {
            _keys[i] = uint256(keccak256(abi.encode("actor", i)));
            actors[i] = vm.addr(_keys[i]);
            fund(actors[i], 50_000_000e18);
            vm.startPrank(actors[i]);
            token.approve(address(escrow), type(uint256).max);
            token.approve(address(distributor), type(uint256).max);
            vm.stopPrank();
        }
    }

    // Time and tokens

    function pass(uint256 draw) external timed {
        _clock += bound(draw, 1, draw % 3 == 0 ? EPOCH : DELAY);
    }

    function transfer(uint256 from, uint256 to, uint256 amount) external timed {
        address sender = actors[from % ACTORS];
        amount = bound(amount, 0, token.balanceOf(sender) / 4);
        vm.prank(sender);
        token.transfer(actors[to % ACTORS], amount);
    }

    function delegate(uint256 from, uint256 to) external timed {
        vm.prank(actors[from % ACTORS]);
        token.delegate(actors[to % ACTORS]);
    }

    // Consumers

    function deposit(uint256 from, uint256 to, uint256 amount) external timed {
        address payer = actors[from % ACTORS];
        uint256 balance = token.balanceOf(payer);
        if (balance == 0) return;
        amount = bound(amount, 1, balance < MOST ? balance : MOST);
        vm.prank(payer);
        escrow.depositFor(actors[to % ACTORS], amount);
    }

    function openSession(uint256 who, uint256 more, uint256 duration) external timed {
        address owner = actors[who % ACTORS];
        address key = sessionKey(who);
        IInferenceEscrow.Session memory session = escrow.sessionOf(owner, key);
        uint256 start = session.expiresAt > _clock ? session.expiresAt : _clock;
        vm.prank(owner);
        escrow.openSession(key, session.cap + bound(more, 0, MOST), start + bound(duration, 1, EPOCH));
    }

    function revokeSession(uint256 who) external timed {
        address owner = actors[who % ACTORS];
        if (escrow.sessionOf(owner, sessionKey(who)).expiresAt <= _clock) return;
        vm.prank(owner);
        escrow.revokeSession(sessionKey(who));
    }

    function settle(uint256 who, uint256 cumulative, bool bySession, bytes32 batch) external timed {
        address owner = actors[who % ACTORS];
        uint256 key = bySession ? _sessionKey(who) : _keys[who % ACTORS];
        // Running sums go on from what was spent, or start over: old vouchers come again and take nothing.
        cumulative = bound(cumulative, 0, MOST) + (cumulative % 3 == 0 ? 0 : highestSigned[owner][vm.addr(key)]);
        bytes32 digest = escrow.voucherDigest(owner, vm.addr(key), cumulative, _clock);
        if (cumulative > highestSigned[owner][vm.addr(key)]) highestSigned[owner][vm.addr(key)] = cumulative;
        IInferenceEscrow.Voucher[] memory vouchers = new IInferenceEscrow.Voucher[](1);
        vouchers[0] = IInferenceEscrow.Voucher(owner, vm.addr(key), cumulative, _clock, signature(key, digest));
        escrow.settle(batch, vouchers);
    }

    function requestWithdrawal(uint256 who, uint256 amount) external timed {
        address owner = actors[who % ACTORS];
        uint256 balance = escrow.accountOf(owner).balance;
        if (balance == 0) return;
        vm.prank(owner);
        escrow.requestWithdrawal(bound(amount, 1, balance));
    }

    function withdraw(uint256 who, uint256 to) external timed {
        address owner = actors[who % ACTORS];
        IInferenceEscrow.Withdrawal memory request = escrow.withdrawalOf(owner);
        if (request.amount == 0 || request.readyAt > _clock) return;
        vm.prank(owner);
        escrow.withdraw(actors[to % ACTORS]);
    }

    // Roots

    function postRoot(uint256 seed) external timed {
        if (_pending()) return;
        Posted storage posted = _posted.push();
        for (uint256 i = 0; i < ACTORS; ++i) {
            posted.amounts[i] = uint256(keccak256(abi.encode(seed, _posted.length, i))) % MOST;
        }
        posted.root = _tree(_posted.length - 1).root();
        _post(posted.root, seed);
    }

    /// @dev A stopped root comes back: attestors sign it anew.
    function postAgain(uint256 which, uint256 seed) external timed {
        if (_posted.length == 0 || _pending()) return;
        bytes32 root = _posted[which % _posted.length].root;
        uint256 activatesAt = distributor.recordOf(root).activatesAt;
        if (activatesAt == 0 || activatesAt == type(uint40).max) _post(root, seed);
    }

    function veto() external timed {
        if (!_pending()) return;
        vm.prank(guardian);
        distributor.veto(chain[chain.length - 1]);
        chain.pop();
    }

    function challenge(uint256 who) external timed {
        if (!_pending() || token.balanceOf(actors[who % ACTORS]) < CHALLENGE_BOND) return;
        vm.prank(actors[who % ACTORS]);
        openChallenges.push(distributor.challenge(chain[chain.length - 1], 0));
        chain.pop();
    }

    function rejectChallenge(uint256 which) external timed {
        if (openChallenges.length == 0) return;
        which %= openChallenges.length;
        IRewardDistributor.Challenge memory open = distributor.challengeOf(openChallenges[which]);
        if (open.deadline < _clock) return;
        vm.prank(address(timelock));
        distributor.rejectChallenge(openChallenges[which]);
        IRewardDistributor.Record memory record = distributor.recordOf(open.root);
        if (record.activatesAt != type(uint40).max && record.epoch == chain.length + 1) chain.push(open.root);
        _close(which);
    }

    /// @dev A bad root got past its window and governance ends what it pays.
    function condemn(uint256 which) external timed {
        if (which % 4 != 0) return;
        (uint256 index, bool found) = _active(which);
        if (!found) return;
        bytes32 root = _posted[index].root;
        if (distributor.recordOf(root).activatesAt + distributor.CONDEMN_WINDOW() < _clock) return;
        vm.prank(address(timelock));
        distributor.condemn(root);
        _posted[index].condemned = true;
    }

    /// @dev Attestors whose votes split sign the epoch anew.
    function skipRound() external timed {
        vm.prank(address(timelock));
        distributor.skipRound();
    }

    function returnBond(uint256 which) external timed {
        if (openChallenges.length == 0) return;
        which %= openChallenges.length;
        if (distributor.challengeOf(openChallenges[which]).deadline >= _clock) return;
        distributor.returnChallengeBond(openChallenges[which]);
        _close(which);
    }

    // Claims

    function refill(uint256 which) external timed {
        (uint256 index, bool found) = _active(which);
        if (!found) return;
        (, uint96 funded) = distributor.ledger();
        (uint96 cap, uint40 length, uint40 refilledAt) = distributor.poolLimit();
        if (_clock <= uint256(refilledAt) + length || token.rewardPool() >= cap / 2) return;
        IRewardDistributor.Record memory record = distributor.recordOf(_posted[index].root);
        if (record.total <= funded || record.epoch + 1 < chain.length) return;
        distributor.refill(_posted[index].root);
    }

    function claim(uint256 which, uint256 who) external timed {
        (uint256 index, bool found) = _active(which);
        who %= ACTORS;
        if (!found || token.rewardPool() == 0) return;
        uint256 amount = _posted[index].amounts[who];
        if (amount <= token.credited(actors[who])) return;
        _payouts.push(Payout(_clock, distributor.claim(actors[who], amount, _tree(index).proof(who, 0))));
    }

    function claimTo(uint256 which, uint256 who, uint256 to) external timed {
        (uint256 index, bool found) = _active(which);
        who %= ACTORS;
        if (!found || token.rewardPool() == 0) return;
        uint256 amount = _posted[index].amounts[who];
        if (amount <= token.credited(actors[who])) return;
        address recipient = actors[to % ACTORS];
        bytes memory signed = signature(_keys[who], distributor.claimDigest(actors[who], recipient, amount, _clock));
        bytes32[] memory proof = _tree(index).proof(who, 0);
        _payouts.push(Payout(_clock, distributor.claimTo(actors[who], recipient, amount, proof, _clock, signed)));
    }

    function push(uint256 which, bool whole, bool second) external timed {
        (uint256 index, bool found) = _active(which);
        if (!found) return;
        uint256 first = whole || !second ? 0 : 2;
        uint256[] memory leaves = new uint256[](whole ? 4 : 2);
        for (uint256 i = 0; i < leaves.length; ++i) {
            leaves[i] = uint256(uint160(actors[first + i])) << 96 | _posted[index].amounts[first + i];
        }
        bytes32[] memory proof = _tree(index).proof(first, whole ? 2 : 1);
        _payouts.push(Payout(_clock, distributor.pushSubtree(leaves, proof)));
    }

    // What the invariants ask

    function sessionKey(uint256 who) public pure returns (address) {
        return vm.addr(_sessionKey(who));
    }

    function clock() external view returns (uint256) {
        return _clock;
    }

    function chainLength() external view returns (uint256) {
        return chain.length;
    }

    /// @dev The highest amount that any active root ever gave an actor.
    function highestLeaf(uint256 who) external view returns (uint256 highest) {
        for (uint256 i = 0; i < _posted.length; ++i) {
            uint256 amount = _posted[i].amounts[who];
            if (amount > highest && (_inForce(i) || _posted[i].condemned)) highest = amount;
        }
    }

    function pendingRoots() external view returns (uint256 pending) {
        for (uint256 i = 0; i < _posted.length; ++i) {
            uint256 activatesAt = distributor.recordOf(_posted[i].root).activatesAt;
            if (activatesAt > _clock && activatesAt < type(uint40).max - 1) ++pending;
        }
    }

    function isCondemned(bytes32 root) external view returns (bool) {
        return distributor.recordOf(root).activatesAt == type(uint40).max - 1;
    }

    /// @dev What was paid in the span that is as long as an epoch, both ends included, and ends with the last payout;
    ///      earlier spans were asked about before.
    function paidInLastEpoch() external view returns (uint256 paid) {
        for (uint256 i = _payouts.length; i > 0; --i) {
            if (_payouts[i - 1].at + EPOCH < _payouts[_payouts.length - 1].at) break;
            paid += _payouts[i - 1].amount;
        }
    }

    function paidInAll() external view returns (uint256 paid) {
        for (uint256 i = 0; i < _payouts.length; ++i) {
            paid += _payouts[i].amount;
        }
    }

    function openBonds() external view returns (uint256 bonds) {
        for (uint256 i = 0; i < openChallenges.length; ++i) {
            bonds += distributor.challengeOf(openChallenges[i]).bond;
        }
    }

    function suite() external view returns (address, address, address, address, address, address) {
        return (address(token), address(escrow), address(distributor), address(attestors), address(timelock), holder);
    }

    function _sessionKey(uint256 who) private pure returns (uint256) {
        return uint256(keccak256(abi.encode("session key", who % ACTORS)));
    }

    function _close(uint256 which) private {
        openChallenges[which] = openChallenges[openChallenges.length - 1];
        openChallenges.pop();
    }

    function _post(bytes32 root, uint256 seed) private {
        bytes32 previous = chain.length == 0 ? bytes32(0) : chain[chain.length - 1];
        (uint96 collected,) = distributor.ledger();
        post(previous, root, chain.length + 1, bound(seed, distributor.recordOf(previous).total, collected));
        chain.push(root);
    }

    function _pending() private view returns (bool) {
        if (chain.length == 0) return false;
        uint256 activatesAt = distributor.recordOf(chain[chain.length - 1]).activatesAt;
        return activatesAt > _clock && activatesAt != type(uint40).max - 1;
    }

    function _inForce(uint256 index) private view returns (bool) {
        uint256 activatesAt = distributor.recordOf(_posted[index].root).activatesAt;
        return activatesAt != 0 && activatesAt <= _clock;
    }

    /// @dev An active root, looked for from a drawn place on.
    function _active(uint256 which) private view returns (uint256 index, bool found) {
        for (uint256 i = 0; i < _posted.length; ++i) {
            index = (which % _posted.length + i) % _posted.length;
            if (_inForce(index)) return (index, true);
        }
    }

    function _tree(uint256 index) private view returns (PlainTree.Tree memory) {
        bytes32[] memory leaves = new bytes32[](ACTORS);
        for (uint256 i = 0; i < ACTORS; ++i) {
            leaves[i] = PlainTree.leaf(actors[i], _posted[index].amounts[i]);
        }
        return PlainTree.build(leaves);
    }
}
