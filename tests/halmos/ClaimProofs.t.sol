// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import { OpenToken } from "../../contracts/OpenToken.sol";
import { RewardDistributor } from "../../contracts/RewardDistributor.sol";
import { IAttestorSet } from "../../contracts/interfaces/IAttestorSet.sol";
import { Vm } from "../forge/Vm.sol";

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

/// @dev Proofs for every leaf, claim and proof of up to one node. Run by scripts/halmos.sh.
contract ClaimProofs {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    address private constant HOLDER = address(0x401DE5);

    OpenToken private token;
    RewardDistributor private distributor;

    function setUp() public {
        vm.warp(1_800_000_000);
        distributor = new Distributor(HOLDER, address(this));
        token = OpenToken(address(distributor.TOKEN()));
        vm.prank(HOLDER);
        token.transfer(address(distributor), 1e26);
        distributor.collect(1e26);
    }

    /// A claim without a proof pays the one leaf of the tree, to its account, once.
    function check_Claim_PaysTheLeafAndNeverMore(address account, uint256 amount, address claimant, uint256 cumulative)
        external
    {
        bytes32 root = distributor.leafOf(account, amount);
        _activate(root);
        _claims(account, amount, claimant, cumulative, new bytes32[](0));
    }

    /// A claim with a sibling pays the leaf beside it and nothing else.
    function check_Claim_PaysOneOfTwoLeavesAndNeverMore(
        address account,
        uint256 amount,
        bytes32 sibling,
        address claimant,
        uint256 cumulative
    ) external {
        bytes32 leaf = distributor.leafOf(account, amount);
        _activate(leaf < sibling ? _hash(leaf, sibling) : _hash(sibling, leaf));
        bytes32[] memory proof = new bytes32[](1);
        proof[0] = sibling;
        _claims(account, amount, claimant, cumulative, proof);
    }

    function _claims(address account, uint256 amount, address claimant, uint256 cumulative, bytes32[] memory proof)
        private
    {
        uint256 before = token.balanceOf(claimant);
        try distributor.claim(claimant, cumulative, proof) returns (uint256 paid) {
            assert(claimant == account && cumulative == amount);
            assert(paid <= amount && paid <= 1e26);
            assert(token.credited(account) == paid);
            assert(claimant == address(distributor) || token.balanceOf(claimant) == before + paid);
        } catch {
            assert(token.balanceOf(claimant) == before);
        }
        // Once more: only what the pool did not reach can still be due, and here the pool had it all or is empty.
        (bool ok,) = address(distributor).call(abi.encodeCall(distributor.claim, (claimant, cumulative, proof)));
        assert(!ok);
    }

    function _activate(bytes32 root) private {
        vm.assume(root != 0);
        distributor.submitRoot(0, root, 1, 1e26, 0, "");
        vm.warp(block.timestamp + 1 days);
        distributor.refill(root);
    }

    function _hash(bytes32 left, bytes32 right) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(left, right));
    }
}
