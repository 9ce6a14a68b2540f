// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import { IERC1271 } from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import { ECDSA } from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @title One rule for every signature of the suite
/// @dev The key is tried first and the contract (ERC-1271) only if that fails: accounts with a key pay nothing for the
///      existence of contract wallets, and accounts that carry delegated code (ERC-7702) keep their key.
library Signatures {
    /// @dev A contract wallet gets no more than this, so that one of them cannot burn the gas of a whole batch.
    uint256 internal constant ERC1271_GAS = 200_000;

    function isValid(address signer, bytes32 digest, bytes memory signature) internal view returns (bool) {
        (address recovered, ECDSA.RecoverError fault,) = ECDSA.tryRecover(digest, signature);
        if (fault == ECDSA.RecoverError.NoError && recovered == signer) return true;
        return signer.code.length != 0 && _isValidForContract(signer, digest, signature);
    }

    /// @dev Reads one word of the answer and no more: a wallet that returns a megabyte must not cost the caller its gas.
    function _isValidForContract(address signer, bytes32 digest, bytes memory signature) private view returns (bool ok) {
        bytes memory data = abi.encodeCall(IERC1271.isValidSignature, (digest, signature));
        bytes32 expected = IERC1271.isValidSignature.selector;
        assembly ("memory-safe") {
            mstore(0x00, 0)
            let success := staticcall(ERC1271_GAS, signer, add(data, 0x20), mload(data), 0x00, 0x20)
            ok := and(and(success, gt(returndatasize(), 0x1f)), eq(mload(0x00), expected))
        }
    }
}
