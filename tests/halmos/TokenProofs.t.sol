// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import { OpenToken } from "../../contracts/OpenToken.sol";
import { Vm } from "../forge/Vm.sol";
import { Proofs } from "./Svm.sol";

/// @dev The checkpoints of voting grow lists, which symbolic execution cannot follow. That voting is told is proven; what
///      it does then is left to the fuzz tests.
contract BallotToken is OpenToken {
    uint256 public told;

    constructor(address holder, address distributor) OpenToken(holder, distributor) { }

    function forget() external {
        told = 0;
    }

    function _transferVotingUnits(address, address, uint256 amount) internal override {
        told += amount;
    }
}

/// @dev Proofs for every caller's argument and for every storage in which the few balances looked at sum to the supply at
///      most. Run by scripts/halmos.sh. The distributor is a stranger here: whatever it passes to the token, no token
///      comes into being and nobody loses one.
contract TokenProofs is Proofs {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    address private constant HOLDER = address(0x401DE5);
    address private constant PAYER = address(0xD157);
    uint256 private constant SUPPLY = 1e27;
    uint256 private constant ACCOUNTS_SLOT = 6;

    struct Holding {
        uint256 balance;
        uint256 credit;
        bool votes;
    }

    /// @dev The two accounts of a call, which may be one, and any third.
    struct Parties {
        address left;
        address right;
        address other;
    }

    struct Seen {
        uint256 pool;
        Holding left;
        Holding right;
        Holding other;
    }

    BallotToken private token;

    function setUp() public {
        token = new BallotToken(HOLDER, PAYER);
    }

    /// Credit moves what it pays from the pool to the recipient, raises the credit of the account by just that and not above
    /// what was asked for, and touches no other balance and no other credit.
    function check_Credit_CreatesNoTokenAndTouchesNobodyElse(
        uint256 whose,
        uint256 whither,
        address other,
        uint256 cumulative
    ) external {
        address account = _any(whose, ALICE);
        address recipient = whither == 3 ? account : _any(whither, BOB);
        Parties memory who = Parties(account, recipient, other);
        Seen memory before = _begin(who);
        vm.prank(PAYER);
        (bool ok, bytes memory result) =
            address(token).call(abi.encodeCall(token.credit, (account, recipient, cumulative)));
        uint256 paid;
        if (ok) paid = abi.decode(result, (uint256));
        Seen memory later = _see(who);
        _requireSame(later.other, before.other);
        _requirePaid(before.pool, later.pool, paid);
        assert(either(recipient == address(token), _isMore(later.right.balance, before.right.balance, paid)));
        assert(either(_isOneOf(account, recipient, address(token)), later.left.balance == before.left.balance));
        assert(
            both(
                _isMore(later.left.credit, before.left.credit, paid), either(paid == 0, later.left.credit <= cumulative)
            )
        );
        assert(either(account == recipient, later.right.credit == before.right.credit));
        assert(token.told() == when(before.right.votes, paid));
        // It is refused where it cannot be paid, and for no other reason.
        bool due = both(recipient != address(0), both(recipient != address(token), account != address(token)));
        assert(either(paid == 0, due));
        assert(either(!due, ok == (cumulative <= type(uint96).max)));
    }

    /// Paying one packed entry does what one credit does.
    function check_CreditMany_OfOneEntry(uint256 whose, address other, uint96 amount) external {
        address account = _any(whose, ALICE);
        bytes memory list = abi.encodePacked(uint256(1), account, amount);
        _creditMany(list, Parties(account, account, other), amount, amount);
    }

    /// Paying two packed entries of two accounts does what two credits do.
    function check_CreditMany_OfTwoEntries(
        uint256 whose,
        uint256 whoseToo,
        address other,
        uint96 amount,
        uint96 amountToo
    ) external {
        Parties memory who = Parties(_any(whose, ALICE), _any(whoseToo, BOB), other);
        bytes memory list = abi.encodePacked(uint256(2), who.left, amount, who.right, amountToo);
        _creditMany(list, who, amount, amountToo);
    }

    /// So does paying two entries of one account: the higher is what it was asked to be credited with.
    function check_CreditMany_OfOneAccountTwice(address other, uint96 amount, uint96 amountToo) external {
        bytes memory list = abi.encodePacked(uint256(2), ALICE, amount, ALICE, amountToo);
        uint256 asked = amount > amountToo ? amount : amountToo;
        _creditMany(list, Parties(ALICE, ALICE, other), asked, asked);
    }

    /// Only the distributor credits, and only from its own balance does it fund the pool.
    function check_Pool_IsMovedByNobodyElse(address caller, address account, address recipient, uint256 value)
        external
    {
        vm.assume(caller != PAYER);
        svm.enableSymbolicStorage(address(token));
        uint256[] memory entries = new uint256[](1);
        entries[0] = value;
        vm.startPrank(caller);
        (bool ok,) = address(token).call(abi.encodeCall(token.credit, (account, recipient, value)));
        assert(!ok);
        (ok,) = address(token).call(abi.encodeCall(token.creditMany, (entries)));
        assert(!ok);
        (ok,) = address(token).call(abi.encodeCall(token.fundRewardPool, (value)));
        assert(!ok);
        vm.stopPrank();
    }

    /// Funding takes from the distributor what it gives the pool.
    function check_Fund_Conserves(address other, uint256 value) external {
        Parties memory who = Parties(PAYER, PAYER, other);
        Seen memory before = _begin(who);
        vm.prank(PAYER);
        (bool ok,) = address(token).call(abi.encodeCall(token.fundRewardPool, (value)));
        Seen memory later = _see(who);
        _requireSame(later.other, before.other);
        assert(ok == (value <= before.left.balance));
        uint256 moved = when(ok, value);
        assert(_isMore(later.pool, before.pool, moved));
        assert(_isMore(before.left.balance, later.left.balance, moved));
        assert(later.left.credit == before.left.credit);
    }

    /// A transfer takes from the sender what it gives the receiver, and touches no other balance, no pool and no credit.
    function check_Transfer_Conserves(uint256 whither, address other, uint256 value) external {
        address to = whither == 3 ? ALICE : _any(whither, BOB);
        Parties memory who = Parties(ALICE, to, other);
        Seen memory before = _begin(who);
        vm.prank(ALICE);
        (bool ok,) = address(token).call(abi.encodeCall(token.transfer, (to, value)));
        _requireMoved(who, before, ok, value);
    }

    /// A transfer by allowance does the same, and takes no more than was allowed.
    function check_TransferFrom_Conserves(address caller, uint256 whence, uint256 whither, address other, uint256 value)
        external
    {
        // The token itself, whose balance is the pool, allows nobody to send for it.
        Parties memory who = Parties(whence == 0 ? address(0) : ALICE, _any(whither, BOB), other);
        if (whither == 3) who.right = who.left;
        Seen memory before = _begin(who);
        uint256 allowed = token.allowance(who.left, caller);
        vm.prank(caller);
        (bool ok,) = address(token).call(abi.encodeCall(token.transferFrom, (who.left, who.right, value)));
        _requireMoved(who, before, ok, value);
        assert(either(!ok, value <= allowed));
        value = when(both(ok, allowed != type(uint256).max), value);
        assert(_isMore(allowed, token.allowance(who.left, caller), value));
    }

    function _requireMoved(Parties memory who, Seen memory before, bool ok, uint256 value) private view {
        Seen memory later = _see(who);
        _requireSame(later.other, before.other);
        bool holder = both(who.right != address(token), who.right != address(0));
        assert(either(!ok, both(holder, value <= before.left.balance)));
        uint256 moved = when(both(ok, who.left != who.right), value);
        assert(_isMore(before.left.balance, later.left.balance, moved));
        assert(either(who.left == who.right, _isMore(later.right.balance, before.right.balance, moved)));
        assert(later.pool == before.pool);
        assert(both(later.left.credit == before.left.credit, later.right.credit == before.right.credit));
        assert(token.told() == when(both(ok, either(before.left.votes, before.right.votes)), value));
    }

    /// @dev `list` is the length and the entries; `askedLeft` and `askedRight` are the most that they ask for each account.
    function _creditMany(bytes memory list, Parties memory who, uint256 askedLeft, uint256 askedRight) private {
        Seen memory before = _begin(who);
        vm.prank(PAYER);
        (bool ok, bytes memory result) =
            address(token).call(abi.encodePacked(token.creditMany.selector, uint256(32), list));
        assert(ok);
        uint256 paid = abi.decode(result, (uint256));
        Seen memory later = _see(who);
        _requireSame(later.other, before.other);
        _requirePaid(before.pool, later.pool, paid);
        uint256 rise = _requireRise(who.left, before.left, later.left, askedLeft);
        uint256 riseToo = _requireRise(who.right, before.right, later.right, askedRight);
        assert(_isMore(paid, rise, when(who.left != who.right, riseToo)));
    }

    function _requirePaid(uint256 before, uint256 later, uint256 paid) private pure {
        assert(both(paid <= before, _isMore(before, later, paid)));
    }

    /// @dev The credit of an account rises by what its balance rises, and to what was asked for at most.
    function _requireRise(address account, Holding memory before, Holding memory later, uint256 asked)
        private
        view
        returns (uint256 rise)
    {
        unchecked {
            rise = later.credit - before.credit;
        }
        assert(either(account == address(token), _isMore(later.balance, before.balance, rise)));
        assert(either(rise == 0, both(later.credit > before.credit, later.credit <= asked)));
        assert(either(!_isOneOf(account, address(0), address(token)), rise == 0));
    }

    function _requireSame(Holding memory later, Holding memory before) private pure {
        assert(both(later.balance == before.balance, both(later.credit == before.credit, later.votes == before.votes)));
    }

    /// @dev Any storage in which the accounts looked at hold, together with the pool, the supply at most: invariant 1, as
    ///      far as they go. The third is any account but these and the token.
    function _begin(Parties memory who) private returns (Seen memory seen) {
        svm.enableSymbolicStorage(address(token));
        token.forget();
        vm.assume(!either(who.other == address(token), _isOneOf(who.other, who.left, who.right)));
        seen = _see(who);
        unchecked {
            uint256 sum = seen.pool + seen.other.balance + when(who.left != address(token), seen.left.balance);
            sum += when(!_isOneOf(who.right, who.left, address(token)), seen.right.balance);
            vm.assume(sum <= SUPPLY);
        }
    }

    function _see(Parties memory who) private view returns (Seen memory) {
        return Seen(token.rewardPool(), _holding(who.left), _holding(who.right), _holding(who.other));
    }

    function _holding(address account) private view returns (Holding memory) {
        bytes32 slot = keccak256(abi.encode(account, ACCOUNTS_SLOT));
        bool votes = uint256(vm.load(address(token), slot)) >> 192 & 1 != 0;
        return Holding(token.balanceOf(account), token.credited(account), votes);
    }

    /// @dev Nobody, the token itself, or an account of that name.
    function _any(uint256 which, address name) private view returns (address) {
        return oneOf(which, address(0), address(token), name);
    }

    function _isOneOf(address account, address first, address second) private pure returns (bool) {
        return either(account == first, account == second);
    }

    /// @dev Whether `more` is `amount` above `less`. No sum wraps: beside each use `amount` is bounded.
    function _isMore(uint256 more, uint256 less, uint256 amount) private pure returns (bool) {
        unchecked {
            return more == less + amount;
        }
    }
}
