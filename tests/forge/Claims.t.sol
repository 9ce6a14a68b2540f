// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import { IRewardDistributor } from "../../contracts/interfaces/IRewardDistributor.sol";
import { PlainTree } from "./PlainTree.sol";
import { Suite } from "./Suite.sol";

/// @dev Claims against trees of every size and order: what is paid is what the leaves say, once.
contract ClaimsTest is Suite {
    using PlainTree for PlainTree.Tree;

    uint256 private constant MOST = 1_000_000e18;

    address[] private _accounts;
    uint256[] private _amounts;

    function setUp() public {
        deploySuite();
        collectFees(4 * MOST);
    }

    function testFuzz_Claims_WhenMadeInAnyOrderAndRepeatedly_ThenPayExactlyTheLeaves(uint256 seed, uint256 count)
        external
    {
        PlainTree.Tree memory tree = _activeTree(seed, bound(count, 1, 19), seed % 2 == 0);
        uint256 size = _accounts.length;
        // A full round from a drawn start, with a drawn stride, then a few repetitions: any order, some twice.
        uint256 at = (seed >> 8) % size;
        for (uint256 i = 0; i < size + 5; ++i) {
            address account = _accounts[at];
            uint256 due = _amounts[at] - token.credited(account);
            bytes32[] memory proof = tree.proof(at, 0);
            if (due == 0) {
                vm.expectRevert(
                    abi.encodeWithSelector(IRewardDistributor.NothingToClaim.selector, account, _amounts[at])
                );
                distributor.claim(account, _amounts[at], proof);
            } else {
                vm.assertEq(distributor.claim(account, _amounts[at], proof), due, "a claim pays what is due");
            }
            at = (at + 1 + (i < size ? 0 : seed >> 16)) % size;
        }
        for (uint256 i = 0; i < size; ++i) {
            vm.assertEq(token.balanceOf(_accounts[i]), _amounts[i], "everybody has exactly the leaf");
        }
    }

    function testFuzz_Push_WhenAnAlignedRunIsPushed_ThenPaysWhatSingleClaimsWould(
        uint256 seed,
        uint256 depth,
        uint256 height
    ) external {
        depth = bound(depth, 1, 4);
        height = bound(height, 1, depth);
        PlainTree.Tree memory tree = _activeTree(seed, 1 << depth, false);
        uint256 first = (seed % (1 << (depth - height))) << height;
        uint256 claimed = first + (seed >> 64) % (1 << height);
        uint256 before;
        if (_amounts[claimed] != 0 && seed >> 128 & 1 == 0) {
            before = distributor.claim(_accounts[claimed], _amounts[claimed], tree.proof(claimed, 0));
        }
        uint256[] memory leaves = new uint256[](1 << height);
        uint256 sum;
        for (uint256 i = 0; i < leaves.length; ++i) {
            leaves[i] = uint256(uint160(_accounts[first + i])) << 96 | _amounts[first + i];
            sum += _amounts[first + i];
        }
        uint256 paid = distributor.pushSubtree(leaves, tree.proof(first, height));
        vm.assertEq(paid, sum - before, "a push pays what was still due");
        for (uint256 i = 0; i < _accounts.length; ++i) {
            uint256 expected = i >= first && i < first + leaves.length ? _amounts[i] : 0;
            vm.assertEq(token.balanceOf(_accounts[i]), expected, "each of the run has its leaf, nobody else anything");
            vm.assertEq(token.credited(_accounts[i]), expected, "and so stands the lifetime credit");
        }
        vm.assertEq(distributor.pushSubtree(leaves, tree.proof(first, height)), 0, "a second push pays nothing");
    }

    function testFuzz_Claim_WhenTheProofIsOfAnotherLeafOrAmount_ThenRootIsUnknown(
        uint256 seed,
        uint256 count,
        uint256 wrong
    ) external {
        PlainTree.Tree memory tree = _activeTree(seed, bound(count, 2, 16), false);
        uint256 at = seed % _accounts.length;
        bytes32[] memory proof = tree.proof(at, 0);
        uint256 amount = _amounts[at];
        if (wrong % 4 == 0) proof[(wrong >> 8) % proof.length] ^= bytes32(uint256(1) << (wrong >> 16) % 256);
        else if (wrong % 4 == 1) amount += 1 + (wrong >> 8) % 1e27;
        else if (wrong % 4 == 2) at = (at + 1) % _accounts.length;
        else proof = _shortened(proof);
        vm.expectPartialRevert(IRewardDistributor.RootNotActive.selector);
        distributor.claim(_accounts[at], amount, proof);
    }

    function testFuzz_Push_WhenInnerNodesAreGivenAsLeaves_ThenRootIsUnknown(uint256 seed, uint256 level) external {
        PlainTree.Tree memory tree = _activeTree(seed, 16, false);
        // The children of a node, cut into (account, amount), are no leaves of the tree although they hash to it.
        uint256 node = 1 << bound(level, 0, 3);
        uint256[] memory leaves = new uint256[](2);
        leaves[0] = uint256(tree.nodes[2 * node]);
        leaves[1] = uint256(tree.nodes[2 * node + 1]);
        vm.expectPartialRevert(IRewardDistributor.RootNotActive.selector);
        distributor.pushSubtree(leaves, new bytes32[](0));
    }

    function testFuzz_Claim_WhenAnInnerNodeIsGivenAsLeaf_ThenRootIsUnknown(uint256 seed, uint256 node) external {
        PlainTree.Tree memory tree = _activeTree(seed, 8, true);
        node = bound(node, 1, 7);
        (bytes32 left, bytes32 right) = (tree.nodes[2 * node], tree.nodes[2 * node + 1]);
        (left, right) = left < right ? (left, right) : (right, left);
        vm.expectPartialRevert(IRewardDistributor.RootNotActive.selector);
        distributor.claim(address(uint160(uint256(left))), uint256(right), _siblings(tree, node));
    }

    function testFuzz_Claim_WhenThePoolFallsShort_ThenPaysThePoolAndLaterTheRest(uint256 amount) external {
        // Half a cap stands in the pool: whatever is due beyond it waits for the next refill.
        amount = bound(amount, MOST + 1, 2 * MOST);
        bytes32 root = PlainTree.leaf(contributor, amount);
        post(0, root, 1, amount);
        activate(root);
        distributor.refill(root);
        vm.assertEq(distributor.claim(contributor, amount, new bytes32[](0)), MOST, "what the pool holds");
        vm.warp(block.timestamp + EPOCH + 1);
        vm.assertEq(distributor.refill(root), amount - MOST, "no more than what is owed comes in");
        vm.assertEq(distributor.claim(contributor, amount, new bytes32[](0)), amount - MOST, "the rest");
        vm.assertEq(token.balanceOf(contributor), amount, "no wei is lost in between");
    }

    function testFuzz_ClaimMany_WhenSomeHaveNothingLeft_ThenPaysTheOthers(uint256 seed, uint256 claimed) external {
        PlainTree.Tree memory tree = _activeTree(seed, 6, false);
        IRewardDistributor.Claim[] memory claims = new IRewardDistributor.Claim[](6);
        uint256 sum;
        for (uint256 i = 0; i < 6; ++i) {
            claims[i] = IRewardDistributor.Claim(_accounts[i], _amounts[i], tree.proof(i, 0));
            bool early = claimed >> i & 1 == 1 && _amounts[i] != 0;
            if (early) distributor.claim(_accounts[i], _amounts[i], claims[i].proof);
            else sum += _amounts[i];
        }
        vm.assertEq(distributor.claimMany(claims), sum, "the sum of what was due");
        for (uint256 i = 0; i < 6; ++i) {
            vm.assertEq(token.balanceOf(_accounts[i]), _amounts[i], "each has its leaf");
        }
    }

    /// @dev Draws accounts with amounts, some zero, sorts their leaves or not, and brings the tree into force.
    function _activeTree(uint256 seed, uint256 count, bool sorted) private returns (PlainTree.Tree memory tree) {
        bytes32[] memory leaves = new bytes32[](count);
        uint256 total;
        for (uint256 i = 0; i < count; ++i) {
            uint256 draw = uint256(keccak256(abi.encode(seed, i)));
            address account = address(uint160(draw >> 96) | 1 << 159);
            uint256 amount = draw % 4 == 0 ? draw % 3 : draw % (MOST / 20);
            _accounts.push(account);
            _amounts.push(amount);
            leaves[i] = PlainTree.leaf(account, amount);
            total += amount;
        }
        if (sorted) _sort(leaves);
        tree = PlainTree.build(leaves);
        if (total == 0) {
            total = 1;
        }
        post(0, tree.root(), 1, total);
        activate(tree.root());
        distributor.refill(tree.root());
    }

    /// @dev Insertion sort of the leaves together with what they stand for.
    function _sort(bytes32[] memory leaves) private {
        for (uint256 i = 1; i < leaves.length; ++i) {
            for (uint256 j = i; j > 0 && leaves[j] < leaves[j - 1]; --j) {
                (leaves[j], leaves[j - 1]) = (leaves[j - 1], leaves[j]);
                (_accounts[j], _accounts[j - 1]) = (_accounts[j - 1], _accounts[j]);
                (_amounts[j], _amounts[j - 1]) = (_amounts[j - 1], _amounts[j]);
            }
        }
    }

    function _shortened(bytes32[] memory proof) private pure returns (bytes32[] memory rest) {
        rest = new bytes32[](proof.length - 1);
        for (uint256 i = 0; i < rest.length; ++i) {
            rest[i] = proof[i + 1];
        }
    }

    function _siblings(PlainTree.Tree memory tree, uint256 node) private pure returns (bytes32[] memory) {
        uint256 height;
        uint256 leafNode = node;
        while (leafNode < tree.size) {
            leafNode *= 2;
            ++height;
        }
        return tree.proof(leafNode - tree.size, height);
    }
}
