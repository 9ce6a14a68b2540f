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

    struct Seen {
        uint256 pool;
        uint256 left;
        uint256 credit;
        uint256 right;
        uint256 other;
        uint256 otherCredit;
        bool leftVotes;
        bool rightVotes;
    }

    BallotToken private token;

    function setUp() public {
        token = new BallotToken(HOLDER, PAYER);
    }

    /// Credit moves what it pays from the pool to the recipient, raises the credit of the account by just that and not above
    /// what was asked for, and touches no other balance and no other credit.
    function check_Credit_CreatesNoTokenAndTouchesNobodyElse(
        address account,
        address recipient,
        address other,
        uint256 cumulative
    ) external {
        _begin();
        _sumsToSupply(account, recipient, other);
        Seen memory before = _see(account, recipient, other);
        vm.prank(PAYER);
        (bool ok, bytes memory result) =
            address(token).call(abi.encodeCall(token.credit, (account, recipient, cumulative)));
        uint256 paid;
        if (ok) paid = abi.decode(result, (uint256));
        Seen memory later = _see(account, recipient, other);
        assert(both(later.pool == before.pool - paid, paid <= before.pool));
        assert(either(recipient == address(token), later.right == before.right + paid));
        assert(both(later.credit == before.credit + paid, either(paid == 0, later.credit <= cumulative)));
        assert(either(other == account, later.otherCredit == before.otherCredit));
        assert(either(either(other == recipient, other == address(token)), later.other == before.other));
        assert(token.told() == when(before.rightVotes, paid));
        // It is refused where it cannot be paid, and for no other reason.
        bool holders = both(recipient != address(0), both(recipient != address(token), account != address(token)));
        assert(either(paid == 0, holders));
        assert(either(!holders, ok == (cumulative <= type(uint96).max)));
    }

    /// Paying one packed entry does what one credit does.
    function check_CreditMany_OfOneEntry(uint256 entry, address other) external {
        uint256[] memory entries = new uint256[](1);
        entries[0] = entry;
        _creditMany(entries, address(uint160(entry >> 96)), address(uint160(entry >> 96)), other);
    }

    /// Paying two packed entries, also two of one account, does what two credits do.
    function check_CreditMany_OfTwoEntries(uint256 first, uint256 second, address other) external {
        uint256[] memory entries = new uint256[](2);
        entries[0] = first;
        entries[1] = second;
        _creditMany(entries, address(uint160(first >> 96)), address(uint160(second >> 96)), other);
    }

    /// Only the distributor credits, and only from its own balance does it fund the pool.
    function check_Pool_IsMovedByNobodyElse(address caller, address account, address recipient, uint256 value)
        external
    {
        vm.assume(caller != PAYER);
        _begin();
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
        _begin();
        _sumsToSupply(PAYER, PAYER, other);
        uint256 pool = token.rewardPool();
        uint256 held = token.balanceOf(PAYER);
        uint256 otherBefore = token.balanceOf(other);
        uint256 credit = token.credited(other);
        vm.prank(PAYER);
        (bool ok,) = address(token).call(abi.encodeCall(token.fundRewardPool, (value)));
        assert(ok == (value <= held));
        assert(token.rewardPool() == pool + when(ok, value));
        assert(token.balanceOf(PAYER) == held - when(ok, value));
        assert(either(either(other == PAYER, other == address(token)), token.balanceOf(other) == otherBefore));
        assert(token.credited(other) == credit);
    }

    /// A transfer takes from the sender what it gives the receiver, and touches no other balance, no pool and no credit.
    function check_Transfer_Conserves(address from, address to, address other, uint256 value) external {
        _begin();
        _moves(from, from, to, other, value, abi.encodeCall(token.transfer, (to, value)));
    }

    /// A transfer by allowance does the same, and takes no more than was allowed.
    function check_TransferFrom_Conserves(address caller, address from, address to, address other, uint256 value)
        external
    {
        _begin();
        uint256 allowed = token.allowance(from, caller);
        bool ok = _moves(caller, from, to, other, value, abi.encodeCall(token.transferFrom, (from, to, value)));
        uint256 left = token.allowance(from, caller);
        assert(either(!ok, value <= allowed));
        assert(left == allowed - when(both(ok, allowed != type(uint256).max), value));
    }

    function _moves(address caller, address from, address to, address other, uint256 value, bytes memory data)
        private
        returns (bool ok)
    {
        // The token never sends by itself; its balance is the pool.
        vm.assume(from != address(token));
        _sumsToSupply(from, to, other);
        Seen memory before = _see(from, to, other);
        vm.prank(caller);
        (ok,) = address(token).call(data);
        Seen memory later = _see(from, to, other);
        bool holder = both(to != address(token), to != address(0));
        assert(either(!ok, both(holder, value <= before.left)));
        uint256 moved = when(both(ok, from != to), value);
        assert(later.left == before.left - moved);
        assert(either(from == to, later.right == before.right + moved));
        assert(either(either(other == from, other == to), later.other == before.other));
        assert(later.otherCredit == before.otherCredit);
        assert(token.told() == when(both(ok, either(before.leftVotes, before.rightVotes)), value));
    }

    function _creditMany(uint256[] memory entries, address first, address second, address other) private {
        _begin();
        _sumsToSupply(first, second, other);
        Seen memory before = _see(first, second, other);
        uint256 sum = _sum(first, second);
        vm.prank(PAYER);
        uint256 paid = token.creditMany(entries);
        Seen memory later = _see(first, second, other);
        assert(both(paid <= before.pool, later.pool == before.pool - paid));
        assert(_sum(first, second) == sum);
        // The credit of each account rises by what its balance rises, and to what was asked for at most.
        uint256 rise = later.otherCredit - before.otherCredit;
        assert(either(later.other == before.other + rise, both(other == address(token), rise == 0)));
        assert(either(rise == 0, _asked(entries, other, later.otherCredit)));
    }

    /// @dev Whether an entry of `account` asks for that much or more.
    function _asked(uint256[] memory entries, address account, uint256 amount) private pure returns (bool asked) {
        for (uint256 i = 0; i < entries.length; ++i) {
            asked = either(asked, both(address(uint160(entries[i] >> 96)) == account, amount <= uint96(entries[i])));
        }
    }

    function _see(address left, address right, address other) private view returns (Seen memory seen) {
        seen.pool = token.rewardPool();
        seen.left = token.balanceOf(left);
        seen.credit = token.credited(left);
        seen.right = token.balanceOf(right);
        seen.other = token.balanceOf(other);
        seen.otherCredit = token.credited(other);
        seen.leftVotes = _votes(left);
        seen.rightVotes = _votes(right);
    }

    /// @dev Any storage.
    function _begin() private {
        svm.enableSymbolicStorage(address(token));
        token.forget();
    }

    /// @dev Invariant 1, as far as the accounts looked at go: together with the pool they hold the supply at most.
    function _sumsToSupply(address first, address second, address other) private view {
        bool known = either(either(other == first, other == second), other == address(token));
        vm.assume(_sum(first, second) + when(!known, token.balanceOf(other)) <= SUPPLY);
    }

    /// @dev The balances of the pool and of two accounts, each counted once.
    function _sum(address first, address second) private view returns (uint256) {
        bool known = either(second == first, second == address(token));
        return token.rewardPool() + when(first != address(token), token.balanceOf(first))
            + when(!known, token.balanceOf(second));
    }

    function _votes(address account) private view returns (bool) {
        return uint256(vm.load(address(token), keccak256(abi.encode(account, ACCOUNTS_SLOT)))) >> 192 & 1 != 0;
    }
}
