// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import { OpenToken } from "../../contracts/OpenToken.sol";
import { RewardDistributor } from "../../contracts/RewardDistributor.sol";
import { IAttestorSet } from "../../contracts/interfaces/IAttestorSet.sol";
import { Vm } from "../forge/Vm.sol";
import { Proofs } from "./Svm.sol";

/// @dev Agrees to everything: what is proven holds whatever attestors sign.
contract Yes {
    function checkQuorum(bytes32, bytes calldata) external pure { }
}

/// @dev Creates its token itself, since each of the two names the other.
contract Distributor is RewardDistributor {
    constructor(address holder, address owner)
        RewardDistributor(
            new OpenToken(holder, address(this)),
            IAttestorSet(address(new Yes())),
            owner,
            owner,
            owner,
            1 days,
            2e26,
            7 days,
            1e22,
            14 days
        )
    { }
}

/// @dev Proofs for every leaf, claim and proof of up to one node, after one refill and before any claim. Run by
///      scripts/halmos.sh.
contract ClaimProofs is Proofs {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    address private constant HOLDER = address(0x401DE5);
    uint256 private constant POOL = 1e26;

    OpenToken private token;
    RewardDistributor private distributor;

    function setUp() public {
        vm.warp(1_800_000_000);
        distributor = new Distributor(HOLDER, address(this));
        token = OpenToken(address(distributor.TOKEN()));
        vm.prank(HOLDER);
        token.transfer(address(distributor), POOL);
        distributor.collect(POOL);
    }

    /// A claim without a proof pays the one leaf of the tree, to its account, once.
    function check_Claim_PaysTheLeafOnce(uint256 whose, uint256 amount, uint256 cumulative) external {
        address account = _any(whose);
        _activate(distributor.leafOf(account, amount));
        _claim(account, amount, cumulative, new bytes32[](0));
    }

    /// A claim with a sibling pays the leaf beside it, once.
    function check_Claim_PaysOneOfTwoLeavesOnce(uint256 whose, uint256 amount, bytes32 sibling, uint256 cumulative)
        external
    {
        address account = _any(whose);
        _claim(account, amount, cumulative, _activateTwo(distributor.leafOf(account, amount), sibling));
    }

    /// The one leaf of a tree pays no other account anything.
    function check_Claim_PaysNobodyElse(uint256 amount, address claimant, uint256 cumulative) external {
        vm.assume(claimant != ALICE);
        _activate(distributor.leafOf(ALICE, amount));
        _refused(claimant, cumulative, new bytes32[](0));
    }

    /// Neither does one of two, by the proof that is its own.
    function check_Claim_PaysNobodyElseOfTwo(uint256 amount, bytes32 sibling, address claimant, uint256 cumulative)
        external
    {
        vm.assume(claimant != ALICE);
        _refused(claimant, cumulative, _activateTwo(distributor.leafOf(ALICE, amount), sibling));
    }

    /// @dev Nobody, the token, the distributor, or Alice.
    function _any(uint256 which) private view returns (address) {
        return which == 3 ? ALICE : oneOf(which, address(0), address(token), address(distributor));
    }

    function _claim(address account, uint256 amount, uint256 cumulative, bytes32[] memory proof) private {
        uint256 before = token.balanceOf(account);
        try distributor.claim(account, cumulative, proof) returns (uint256 paid) {
            assert(cumulative == amount);
            assert(both(paid != 0, both(paid <= amount, paid <= POOL)));
            assert(both(token.credited(account) == paid, token.balanceOf(account) == before + paid));
            assert(token.rewardPool() == POOL - paid);
        } catch {
            assert(both(token.credited(account) == 0, token.balanceOf(account) == before));
            assert(token.rewardPool() == POOL);
        }
        // Once more: only what the pool did not reach can still be due, and here the pool had it all or is empty.
        _refused(account, cumulative, proof);
    }

    function _refused(address claimant, uint256 cumulative, bytes32[] memory proof) private {
        (bool ok,) = address(distributor).call(abi.encodeCall(distributor.claim, (claimant, cumulative, proof)));
        assert(!ok);
    }

    function _activate(bytes32 root) private {
        distributor.submitRoot(0, root, 1, POOL, 0, "");
        vm.warp(block.timestamp + 1 days);
        distributor.refill(root);
    }

    function _activateTwo(bytes32 leaf, bytes32 sibling) private returns (bytes32[] memory proof) {
        _activate(leaf < sibling ? _hash(leaf, sibling) : _hash(sibling, leaf));
        proof = new bytes32[](1);
        proof[0] = sibling;
    }

    function _hash(bytes32 left, bytes32 right) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(left, right));
    }
}
