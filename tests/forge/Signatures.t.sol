// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import { Signatures } from "../../contracts/libraries/Signatures.sol";
import { Suite } from "./Suite.sol";
import { OneTimeWallet, Wallet } from "./Wallets.sol";

/// @dev One rule for every signature: the key's own, or else the contract's word, read with bounded gas.
contract SignaturesTest is Suite {
    uint256 private constant ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    function testFuzz_Key_WhenItSigned_ThenIsValidAndNobodyElseIs(uint256 key, address other, bytes32 digest)
        external
        view
    {
        key = bound(key, 1, ORDER - 1);
        bytes memory signed = signature(key, digest);
        vm.assertTrue(Signatures.isValid(vm.addr(key), digest, signed), "the signer's own signature");
        if (other == vm.addr(key) || other.code.length != 0) return;
        vm.assertFalse(Signatures.isValid(other, digest, signed), "not the signature of another account");
        vm.assertFalse(Signatures.isValid(vm.addr(key), ~digest, signed), "nor for another digest");
    }

    function testFuzz_Key_WhenTheSignatureIsMirrored_ThenInvalid(uint256 key, bytes32 digest) external view {
        key = bound(key, 1, ORDER - 1);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        bytes memory mirrored = abi.encodePacked(r, bytes32(ORDER - uint256(s)), v == 27 ? uint8(28) : uint8(27));
        vm.assertFalse(Signatures.isValid(vm.addr(key), digest, mirrored), "a signature has one form");
    }

    function testFuzz_Noise_WhenGivenAsSignature_ThenNobodySigned(bytes32 digest, bytes calldata noise) external view {
        vm.assertFalse(Signatures.isValid(address(0), digest, noise), "nobody signs nothing");
        vm.assertFalse(Signatures.isValid(consumer, digest, noise), "nor does an account");
    }

    function testFuzz_Wallet_WhenItAcceptsOneSignature_ThenOnlyThatIsValid(
        bytes32 digest,
        bytes calldata accepted,
        bytes calldata other
    ) external {
        address wallet = address(new OneTimeWallet(digest, accepted));
        vm.assertTrue(Signatures.isValid(wallet, digest, accepted), "what the wallet accepts");
        vm.assertFalse(Signatures.isValid(wallet, ~digest, accepted), "not for another digest");
        bool same = keccak256(accepted) == keccak256(other);
        vm.assertEq(Signatures.isValid(wallet, digest, other), same, "nor with other bytes");
    }

    function test_Wallet_WhenItAnswersTheMagicWord_ThenValid() external {
        vm.assertTrue(_askWallet(Wallet.Answer.Magic), "the magic word");
    }

    function test_Wallet_WhenTheAnswerIsLonger_ThenOnlyItsFirstWordCounts() external {
        vm.assertTrue(_askWallet(Wallet.Answer.Long), "a long answer that starts with the magic word");
    }

    function test_Wallet_WhenTheAnswerIsWrongShortRefusedOrDirty_ThenInvalid() external {
        vm.assertFalse(_askWallet(Wallet.Answer.Wrong), "another word");
        vm.assertFalse(_askWallet(Wallet.Answer.Short), "31 bytes");
        vm.assertFalse(_askWallet(Wallet.Answer.Refused), "the magic word in a revert");
        vm.assertFalse(_askWallet(Wallet.Answer.Dirty), "the magic word with a bit after it");
    }

    function test_Wallet_WhenItBurnsItsGas_ThenInvalidAndTheCallerLosesNoMore() external {
        address wallet = address(new Wallet(Wallet.Answer.Burnt));
        uint256 before = gasleft();
        vm.assertFalse(Signatures.isValid(wallet, keccak256("x"), "y"), "no answer");
        vm.assertLe(before - gasleft(), 220_000, "gas of one wallet");
    }

    function test_Key_WhenTheAccountCarriesCodeToo_ThenItsKeyStillSigns() external {
        vm.etch(vm.addr(CONSUMER_KEY), address(new Wallet(Wallet.Answer.Refused)).code);
        bytes32 digest = keccak256("delegated account");
        bytes memory signed = signature(CONSUMER_KEY, digest);
        vm.assertTrue(Signatures.isValid(vm.addr(CONSUMER_KEY), digest, signed), "the key comes first");
    }

    function _askWallet(Wallet.Answer answer) private returns (bool) {
        return Signatures.isValid(address(new Wallet(answer)), keccak256("digest"), "any bytes");
    }
}
