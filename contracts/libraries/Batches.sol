// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import { MerkleProof } from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

/// @title The shape of a published batch, as far as the chain can check it
/// @notice The header's hash is the `contentHash` that attestors sign. Everything that a fault is proven from hangs on it.
/// @dev Leaves are double-hashed and pairs sorted, as in OpenZeppelin's StandardMerkleTree.
library Batches {
    enum Role {
        Contributor,
        Builder,
        Upstream,
        Reviewer,
        Attestor,
        Treasury,
        Commons
    }

    uint256 internal constant ROLES = 7;

    /// @param fees the sum of all receipts' fees.
    /// @param amounts the same sum by role, in the order of Role.
    /// @param documentHash the digest of the published bytes.
    struct Header {
        uint256 epoch;
        bytes32 receiptsRoot;
        uint256 receiptCount;
        bytes32 vouchersRoot;
        uint96 fees;
        uint96[7] amounts;
        bytes32 documentHash;
    }

    /// @param feesBefore the fees of all receipts of lower index: a running sum that two neighbours can refute.
    struct Receipt {
        uint256 index;
        bytes32 receiptHash;
        address consumer;
        uint256 model;
        uint256 version;
        uint96 fee;
        uint96 feesBefore;
        bytes32 sharesHash;
    }

    struct Share {
        Role role;
        address account;
        uint96 amount;
    }

    struct ReceiptProof {
        Receipt receipt;
        bytes32[] proof;
    }

    struct VoucherProof {
        address consumer;
        address key;
        uint256 cumulative;
        uint256 deadline;
        bytes signature;
        bytes32[] proof;
    }

    bytes32 internal constant HEADER_TYPEHASH = keccak256(
        "BatchHeader(uint256 epoch,bytes32 receiptsRoot,uint256 receiptCount,bytes32 vouchersRoot,uint96 fees,uint96[7] amounts,bytes32 documentHash)"
    );

    /// @notice EIP-712 struct hash of the header; the roots' `contentHash`.
    function hash(Header memory header) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                HEADER_TYPEHASH,
                header.epoch,
                header.receiptsRoot,
                header.receiptCount,
                header.vouchersRoot,
                header.fees,
                keccak256(abi.encode(header.amounts)),
                header.documentHash
            )
        );
    }

    function leaf(Receipt memory receipt) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(receipt))));
    }

    function leaf(VoucherProof memory voucher) internal pure returns (bytes32) {
        return keccak256(
            bytes.concat(
                keccak256(
                    abi.encode(
                        voucher.consumer,
                        voucher.key,
                        voucher.cumulative,
                        voucher.deadline,
                        keccak256(voucher.signature)
                    )
                )
            )
        );
    }

    function hash(Share[] memory shares) internal pure returns (bytes32) {
        return keccak256(abi.encode(shares));
    }

    function rootOf(bytes32 leaf_, bytes32[] memory proof) internal pure returns (bytes32) {
        return MerkleProof.processProof(proof, leaf_);
    }

    // Rules. Each answers whether what attestors vouched for breaks it.

    function breaksHeaderSum(Header memory header) internal pure returns (bool) {
        uint256 sum;
        for (uint256 role = 0; role < ROLES; ++role) {
            sum += header.amounts[role];
        }
        return sum != header.fees;
    }

    function breaksReceiptSum(Receipt memory receipt, Share[] memory shares) internal pure returns (bool) {
        uint256 sum;
        for (uint256 i = 0; i < shares.length; ++i) {
            sum += shares[i].amount;
        }
        return sum != receipt.fee;
    }

    /// @dev Rounding moves less than one wei per role. What is not attributed (Commons) comes out of the contributors' part.
    /// @param split the model's basis points, in the order of Role, without Commons.
    function breaksReceiptSplit(Receipt memory receipt, Share[] memory shares, uint16[6] memory split)
        internal
        pure
        returns (bool)
    {
        uint256[6] memory sums;
        for (uint256 i = 0; i < shares.length; ++i) {
            Role role = shares[i].role == Role.Commons ? Role.Contributor : shares[i].role;
            sums[uint256(role)] += shares[i].amount;
        }
        for (uint256 role = 0; role < 6; ++role) {
            uint256 paid = sums[role] * 10_000;
            uint256 due = uint256(receipt.fee) * split[role];
            if (paid >= due + 10_000 || due >= paid + 10_000) return true;
        }
        return false;
    }

    function breaksReceiptOrder(Header memory header, Receipt memory first, Receipt memory second)
        internal
        pure
        returns (bool)
    {
        if (first.index >= header.receiptCount) return true;
        if (first.index == 0 && first.feesBefore != 0) return true;
        uint256 sum = uint256(first.feesBefore) + first.fee;
        if (first.index == header.receiptCount - 1 && sum != header.fees) return true;
        if (first.index == second.index) return leaf(first) != leaf(second);
        return second.index == first.index + 1 && second.feesBefore != sum;
    }
}
