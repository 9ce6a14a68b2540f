// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import { InferenceEscrow } from "../../contracts/InferenceEscrow.sol";
import { IInferenceEscrow } from "../../contracts/interfaces/IInferenceEscrow.sol";
import { IOpenToken } from "../../contracts/interfaces/IOpenToken.sol";
import { IRewardDistributor } from "../../contracts/interfaces/IRewardDistributor.sol";
import { Vm } from "../forge/Vm.sol";
import { Proofs } from "./Svm.sol";

/// @dev Token and distributor in one: it keeps account of what the escrow asks of them. What the token does is proven in
///      TokenProofs. As a wallet it vouches for everything, so that also ERC-1271 is tried.
contract Till {
    address public receiver;
    uint256 public sent;
    uint256 public received;
    uint256 public collected;

    function transfer(address to, uint256 value) external returns (bool) {
        receiver = to;
        sent += value;
        return true;
    }

    function transferFrom(address, address, uint256 value) external returns (bool) {
        received += value;
        return true;
    }

    function collect(uint256 amount) external {
        collected += amount;
    }

    function isValidSignature(bytes32, bytes calldata) external pure returns (bytes4) {
        return this.isValidSignature.selector;
    }
}

/// @dev Proofs for every storage of the escrow, every caller and argument; signatures have 65 bytes. Since any state is a
///      start, what one call keeps, every sequence of calls keeps. Run by scripts/halmos.sh.
contract EscrowProofs is Proofs {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    Till private till;
    InferenceEscrow private escrow;

    function setUp() public {
        vm.warp(1_800_000_000);
        till = new Till();
        escrow =
            new InferenceEscrow(IOpenToken(address(till)), IRewardDistributor(address(till)), address(this), 1 days);
    }

    /// Settlement takes no more than was signed and not yet spent, no more than is there, and moves exactly that; of a
    /// session no more than its cap, and of nobody else anything.
    function check_Settle_NeverExceedsTheVoucherNorTheBalance(
        address consumer,
        address key,
        uint256 cumulative,
        uint256 deadline,
        bytes32 r,
        bytes32 s,
        uint8 v
    ) external {
        svm.enableSymbolicStorage(address(escrow));
        IInferenceEscrow.Voucher[] memory vouchers = new IInferenceEscrow.Voucher[](1);
        vouchers[0] = IInferenceEscrow.Voucher(consumer, key, cumulative, deadline, abi.encodePacked(r, s, v));
        uint256 balance = escrow.accountOf(consumer).balance;
        uint256 spent = _spent(consumer, key);
        (bool ok, bytes memory result) = address(escrow).call(abi.encodeCall(escrow.settle, (0, vouchers)));
        uint256 taken = ok ? abi.decode(result, (uint256)) : 0;
        assert(taken == 0 || (taken <= balance && spent + taken <= cumulative && block.timestamp <= deadline));
        assert(escrow.accountOf(consumer).balance == balance - taken);
        assert(_spent(consumer, key) == spent + taken);
        if (taken != 0 && key != consumer) {
            IInferenceEscrow.Session memory session = escrow.sessionOf(consumer, key);
            assert(spent + taken <= session.cap && block.timestamp <= session.expiresAt);
        }
        assert(till.sent() == taken && till.collected() == taken);
        assert(taken == 0 || till.receiver() == address(till));
    }

    /// Settlement touches no other account, and of the same account no other lane.
    function check_Settle_TouchesNobodyElse(
        address consumer,
        address key,
        uint256 cumulative,
        address other,
        address otherKey,
        bytes32 r,
        bytes32 s,
        uint8 v
    ) external {
        vm.assume(other != consumer || otherKey != key);
        svm.enableSymbolicStorage(address(escrow));
        IInferenceEscrow.Voucher[] memory vouchers = new IInferenceEscrow.Voucher[](1);
        vouchers[0] = IInferenceEscrow.Voucher(consumer, key, cumulative, block.timestamp, abi.encodePacked(r, s, v));
        uint256 balance = escrow.accountOf(other).balance;
        uint256 spent = _spent(other, otherKey);
        (bool ok,) = address(escrow).call(abi.encodeCall(escrow.settle, (0, vouchers)));
        assert(_spent(other, otherKey) == spent);
        assert((ok && other == consumer) || escrow.accountOf(other).balance == balance);
    }

    /// A withdrawal pays what was asked or what is left of it, out of its author's balance alone, once; and nothing but the
    /// notice, or the escrow as recipient, keeps it from being paid.
    function check_Withdraw_PaysWhatWasAskedOrIsLeft(address consumer, address recipient, address other) external {
        vm.assume(other != consumer);
        svm.enableSymbolicStorage(address(escrow));
        IInferenceEscrow.Withdrawal memory request = escrow.withdrawalOf(consumer);
        IInferenceEscrow.Account memory account = escrow.accountOf(consumer);
        uint256 theirs = escrow.accountOf(other).balance;
        vm.prank(consumer);
        (bool ok, bytes memory result) = address(escrow).call(abi.encodeCall(escrow.withdraw, (recipient)));
        assert(ok == (request.amount != 0 && block.timestamp >= request.readyAt && recipient != address(escrow)));
        uint256 paid = request.amount < account.balance ? request.amount : account.balance;
        if (!ok) paid = 0;
        assert(!ok || abi.decode(result, (uint256)) == paid);
        assert(escrow.accountOf(consumer).balance == account.balance - paid);
        assert(escrow.accountOf(consumer).spent == account.spent);
        assert(escrow.accountOf(other).balance == theirs);
        assert(till.sent() == paid && (!ok || till.receiver() == recipient));
        assert(escrow.withdrawalOf(consumer).amount == (ok ? 0 : request.amount));
    }

    /// A deposit books what it takes, to the consumer it names.
    function check_Deposit_BooksWhatItTakes(address payer, address consumer, uint256 amount, address other) external {
        vm.assume(other != consumer);
        svm.enableSymbolicStorage(address(escrow));
        uint256 balance = escrow.accountOf(consumer).balance;
        uint256 theirs = escrow.accountOf(other).balance;
        vm.prank(payer);
        (bool ok,) = address(escrow).call(abi.encodeCall(escrow.depositFor, (consumer, amount)));
        assert(till.received() == (ok ? amount : 0));
        assert(escrow.accountOf(consumer).balance == balance + till.received());
        assert(escrow.accountOf(other).balance == theirs);
    }

    /// No function but `withdraw` and `settle` lowers a balance, whoever calls it.
    function check_Balance_IsLoweredByNothingElse(address caller, address other) external {
        bytes memory data = svm.createCalldata("InferenceEscrow");
        vm.assume(bytes4(data) != IInferenceEscrow.settle.selector);
        vm.assume(bytes4(data) != IInferenceEscrow.withdraw.selector);
        svm.enableSymbolicStorage(address(escrow));
        uint256 balance = escrow.accountOf(other).balance;
        vm.prank(caller);
        (bool ok,) = address(escrow).call(data);
        assert(escrow.accountOf(other).balance >= balance && (ok || escrow.accountOf(other).balance == balance));
        assert(till.sent() == 0);
    }

    function _spent(address consumer, address key) private view returns (uint256) {
        return key == consumer ? escrow.accountOf(consumer).spent : escrow.sessionOf(consumer, key).spent;
    }
}
