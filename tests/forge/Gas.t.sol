// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import { IDatanetRegistry } from "../../contracts/interfaces/IDatanetRegistry.sol";
import { IInferenceEscrow } from "../../contracts/interfaces/IInferenceEscrow.sol";
import { Suite } from "./Suite.sol";

/// @dev Each test ends in the call that is measured; with `--isolate` the recorded gas is what a receipt says.
///      The tree has the depth of 1,000,000 padded to 2^20 leaves: one real path, the other nodes random.
contract GasTest is Suite {
    uint256 private constant CUMULATIVE = 1234.567890123456789e18;

    function setUp() external {
        deploySuite();
        collectFees(1_000_000 * OPEN);
    }

    function path(bytes32 leaf, uint256 depth, uint256 seed)
        private
        pure
        returns (bytes32 root, bytes32[] memory proof)
    {
        proof = new bytes32[](depth);
        root = leaf;
        for (uint256 i = 0; i < depth; ++i) {
            proof[i] = keccak256(abi.encode(seed, i));
            root = root < proof[i] ? keccak256(abi.encode(root, proof[i])) : keccak256(abi.encode(proof[i], root));
        }
    }

    function openRoot(bytes32 previousRoot, bytes32 root, uint256 epoch) private {
        post(previousRoot, root, epoch, 900_000 * OPEN);
        activate(root);
        vm.warp(block.timestamp + EPOCH);
        if (token.rewardPool() < 100_000 * OPEN) distributor.refill(root);
    }

    function test_claim_first_1m() external {
        (bytes32 root, bytes32[] memory proof) = path(distributor.leafOf(contributor, CUMULATIVE), 20, 1);
        openRoot(0, root, 1);
        distributor.claim(contributor, CUMULATIVE, proof);
        vm.snapshotGasLastCall("claim_first_1m");
    }

    function test_claim_repeat_1m() external {
        (bytes32 root, bytes32[] memory proof) = path(distributor.leafOf(contributor, CUMULATIVE), 20, 1);
        openRoot(0, root, 1);
        distributor.claim(contributor, CUMULATIVE, proof);
        bytes32 previous = root;
        (root, proof) = path(distributor.leafOf(contributor, 2 * CUMULATIVE), 20, 2);
        openRoot(previous, root, 2);
        distributor.claim(contributor, 2 * CUMULATIVE, proof);
        vm.snapshotGasLastCall("claim_repeat_1m");
    }

    function subtree(uint256 cumulative) private view returns (uint256[] memory leaves, bytes32 node) {
        leaves = new uint256[](64);
        bytes32[] memory nodes = new bytes32[](64);
        for (uint256 i = 0; i < 64; ++i) {
            address account = address(uint160(uint256(keccak256(abi.encode("account", i)))));
            leaves[i] = uint256(uint160(account)) << 96 | (cumulative + i);
            nodes[i] = distributor.leafOf(account, cumulative + i);
        }
        for (uint256 size = 32; size != 0; size >>= 1) {
            for (uint256 i = 0; i < size; ++i) {
                (bytes32 a, bytes32 b) = (nodes[2 * i], nodes[2 * i + 1]);
                nodes[i] = a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
            }
        }
        node = nodes[0];
    }

    function test_push64_first() external {
        (uint256[] memory leaves, bytes32 node) = subtree(CUMULATIVE);
        (bytes32 root, bytes32[] memory proof) = path(node, 14, 1);
        openRoot(0, root, 1);
        distributor.pushSubtree(leaves, proof);
        vm.snapshotGasLastCall("push64_first");
    }

    function test_push64_repeat() external {
        (uint256[] memory leaves, bytes32 node) = subtree(CUMULATIVE);
        (bytes32 root, bytes32[] memory proof) = path(node, 14, 1);
        openRoot(0, root, 1);
        distributor.pushSubtree(leaves, proof);
        bytes32 previous = root;
        (leaves, node) = subtree(2 * CUMULATIVE);
        (root, proof) = path(node, 14, 2);
        openRoot(previous, root, 2);
        distributor.pushSubtree(leaves, proof);
        vm.snapshotGasLastCall("push64_repeat");
    }

    function test_post_root_3of5() external {
        openRoot(0, keccak256("first"), 1);
        post(keccak256("first"), keccak256("second"), 2, 950_000 * OPEN);
        vm.snapshotGasLastCall("post_root_3of5");
    }

    function test_veto() external {
        openRoot(0, keccak256("first"), 1);
        post(keccak256("first"), keccak256("second"), 2, 950_000 * OPEN);
        vm.prank(guardian);
        distributor.veto(keccak256("second"));
        vm.snapshotGasLastCall("veto");
    }

    function createDatanet() private returns (uint256 datanet) {
        fund(steward, 10_000 * OPEN);
        address[] memory reviewers = new address[](1);
        reviewers[0] = steward;
        vm.startPrank(steward);
        token.approve(address(datanets), type(uint256).max);
        datanet = datanets.createDatanet(keccak256("policy"), "n", "CC-BY-4.0", "text", reviewers, 1, 1000 * OPEN);
        vm.stopPrank();
    }

    function test_contribute() external {
        uint256 datanet = createDatanet();
        datanets.contribute(datanet, IDatanetRegistry.Kind.TrainingRow, keccak256("a"), 1000, keccak256("m"));
        vm.snapshotGasLastCall("contribute_first");
        datanets.contribute(datanet, IDatanetRegistry.Kind.TrainingRow, keccak256("b"), 1000, keccak256("m"));
        vm.snapshotGasLastCall("contribute");
    }

    function test_relay100() external {
        uint256 datanet = createDatanet();
        datanets.contribute(datanet, IDatanetRegistry.Kind.TrainingRow, keccak256("a"), 1000, keccak256("m"));
        IDatanetRegistry.SignedRows[] memory items = new IDatanetRegistry.SignedRows[](100);
        for (uint256 i = 0; i < 100; ++i) {
            uint256 key = uint256(keccak256(abi.encode("contributor", i)));
            bytes32 name = datanets.nameOf(
                IDatanetRegistry.Contribution(
                    vm.addr(key),
                    datanet,
                    IDatanetRegistry.Kind.TrainingRow,
                    keccak256(abi.encode(i)),
                    500 + i,
                    keccak256(abi.encode("m", i))
                )
            );
            uint256 deadline = block.timestamp + 1 days;
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, datanets.contributionDigest(name, deadline));
            items[i] = IDatanetRegistry.SignedRows({
                head: uint256(uint160(vm.addr(key))) << 96 | (500 + i) << 40 | deadline,
                rowsRoot: keccak256(abi.encode(i)),
                manifestHash: keccak256(abi.encode("m", i)),
                r: r,
                vs: bytes32(uint256(v - 27) << 255 | uint256(s))
            });
        }
        datanets.contributeMany(datanet, items, true);
        vm.snapshotGasLastCall("relay100");
    }

    function test_settle100() external {
        IInferenceEscrow.Voucher[] memory first = new IInferenceEscrow.Voucher[](100);
        IInferenceEscrow.Voucher[] memory second = new IInferenceEscrow.Voucher[](100);
        for (uint256 i = 0; i < 100; ++i) {
            uint256 key = uint256(keccak256(abi.encode("consumer", i)));
            deposit(vm.addr(key), 100 * OPEN);
            first[i] = voucher(key, vm.addr(key), 10 * OPEN + i);
            second[i] = voucher(key, vm.addr(key), 20 * OPEN + i);
        }
        escrow.settle(keccak256("one"), first);
        vm.snapshotGasLastCall("settle100_first");
        escrow.settle(keccak256("two"), second);
        vm.snapshotGasLastCall("settle100_repeat");
    }

    function test_transfer() external {
        fund(contributor, 10 * OPEN);
        fund(consumer, 10 * OPEN);
        vm.prank(contributor);
        token.transfer(consumer, OPEN);
        vm.snapshotGasLastCall("transfer");
    }
}
