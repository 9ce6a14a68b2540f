// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import { Vm } from "./Vm.sol";

/// @dev Receipts are hashed by no contract, only committed to; this is what a contract that read one would compute. The
///      file is committed and read by Python.
contract ReceiptVectorsTest {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    bytes32 private constant RECEIPT_TYPEHASH = keccak256(
        "Receipt(bytes32 id,address consumer,address key,uint256 model,uint256 version,bytes32 weightsHash,bytes32 promptHash,bytes32 outputHash,uint256 promptTokens,uint256 outputTokens,uint256 inputPrice,uint256 outputPrice,uint256 fee,uint256 laneTotal,bytes32 termsHash,bytes32 conditionsHash,bytes32 codeHash,uint256 servedAt)"
    );
    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    uint256 private constant SIGNER_KEY = 0xA11CE;
    uint256 private constant CHAIN = 31_337;
    address private constant ESCROW = 0x6f55c9Fa4042BE84C42e71F7C24278F059d25194;

    struct Receipt {
        bytes32 id;
        address consumer;
        address key;
        uint256 model;
        uint256 version;
        bytes32 weightsHash;
        bytes32 promptHash;
        bytes32 outputHash;
        uint256 promptTokens;
        uint256 outputTokens;
        uint256 inputPrice;
        uint256 outputPrice;
        uint256 fee;
        uint256 laneTotal;
        bytes32 termsHash;
        bytes32 conditionsHash;
        bytes32 codeHash;
        uint256 servedAt;
    }

    function test_Vectors_WhenAReceiptIsHashed_ThenTheFileHoldsIt() external {
        Receipt memory receipt = Receipt({
            id: keccak256("receipt"),
            consumer: vm.addr(0xB0B),
            key: vm.addr(0xCAFE),
            model: 7,
            version: 3,
            weightsHash: keccak256("weights"),
            promptHash: keccak256("prompt"),
            outputHash: keccak256("output"),
            promptTokens: 1200,
            outputTokens: 345,
            inputPrice: 2e15,
            outputPrice: 6e15,
            fee: 4_470_000_000_000_001,
            laneTotal: 123_456_789_012_345_678_901,
            termsHash: keccak256("terms"),
            conditionsHash: keccak256("conditions"),
            codeHash: keccak256("code"),
            servedAt: 1_800_000_123
        });
        bytes32 receiptHash = keccak256(abi.encode(RECEIPT_TYPEHASH, receipt));
        bytes32 domain =
            keccak256(abi.encode(DOMAIN_TYPEHASH, keccak256("OpenLedger Receipts"), keccak256("1"), CHAIN, ESCROW));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", domain, receiptHash));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(SIGNER_KEY, digest);
        string memory all = "receipts";
        vm.serializeAddress(all, "consumer", receipt.consumer);
        vm.serializeAddress(all, "key", receipt.key);
        vm.serializeAddress(all, "escrow", ESCROW);
        vm.serializeAddress(all, "signer", vm.addr(SIGNER_KEY));
        vm.serializeBytes32(all, "receiptHash", receiptHash);
        vm.serializeBytes32(all, "digest", digest);
        vm.writeJson(vm.serializeBytes(all, "signature", abi.encodePacked(r, s, v)), "tests/vectors/receipts.json");
    }
}
