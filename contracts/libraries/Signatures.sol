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

    /// @dev Bytes of one signature in a list of them: r, s, v.
    uint256 internal constant LENGTH = 65;

    /// @dev Half of the curve's order: a signature with an s above it is the twin of another one and is refused.
    uint256 private constant MAX_S = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    /// @dev Whether `signer` signed with its key.
    function isByKey(address signer, bytes32 digest, bytes memory signature) internal pure returns (bool) {
        (address recovered, ECDSA.RecoverError fault,) = ECDSA.tryRecover(digest, signature);
        return fault == ECDSA.RecoverError.NoError && recovered == signer;
    }

    /// @dev Whether `signer` is a contract that vouches for the signature now.
    function isByContract(address signer, bytes32 digest, bytes memory signature) internal view returns (bool) {
        return signer.code.length != 0 && _isValidForContract(signer, digest, signature);
    }

    function isValid(address signer, bytes32 digest, bytes memory signature) internal view returns (bool) {
        return isByKey(signer, digest, signature) || isByContract(signer, digest, signature);
    }

    /// @dev Recovers signature number `index` of a list; zero where there is no valid one. Read straight from calldata, since a
    ///      quorum does it for every signer: through OpenZeppelin's ECDSA it costs 700 gas more each.
    function recoverAt(bytes calldata signatures, uint256 index, bytes32 digest)
        internal
        view
        returns (address signer)
    {
        assembly ("memory-safe") {
            let input := mload(0x40)
            let at := add(signatures.offset, mul(index, 65))
            mstore(input, digest)
            mstore(add(input, 0x20), byte(0, calldataload(add(at, 0x40))))
            calldatacopy(add(input, 0x40), at, 0x40)
            if iszero(gt(mload(add(input, 0x60)), MAX_S)) {
                // The precompile answers with nothing where there is no signer: what stands here then stays zero.
                mstore(0x00, 0)
                pop(staticcall(gas(), 0x01, input, 0x80, 0x00, 0x20))
                signer := mload(0x00)
            }
        }
    }

    /// @dev Whether `signer`, given as a word, made a compact signature (ERC-2098).
    function isByKey(uint256 signer, bytes32 digest, bytes32 r, bytes32 vs) internal view returns (bool valid) {
        assembly ("memory-safe") {
            let input := mload(0x40)
            let s := shr(1, shl(1, vs))
            if iszero(gt(s, MAX_S)) {
                mstore(input, digest)
                mstore(add(input, 0x20), add(27, shr(255, vs)))
                mstore(add(input, 0x40), r)
                mstore(add(input, 0x60), s)
                // The precompile answers with nothing where there is no signer: what stands here then is no address.
                mstore(0x00, not(0))
                pop(staticcall(gas(), 0x01, input, 0x80, 0x00, 0x20))
                valid := eq(mload(0x00), signer)
            }
        }
    }

    /// @dev Reads one word of the answer and no more: a wallet that returns a megabyte must not cost the caller its gas.
    function _isValidForContract(address signer, bytes32 digest, bytes memory signature)
        private
        view
        returns (bool ok)
    {
        bytes memory data = abi.encodeCall(IERC1271.isValidSignature, (digest, signature));
        bytes32 expected = IERC1271.isValidSignature.selector;
        assembly ("memory-safe") {
            mstore(0x00, 0)
            let success := staticcall(ERC1271_GAS, signer, add(data, 0x20), mload(data), 0x00, 0x20)
            ok := and(and(success, gt(returndatasize(), 0x1f)), eq(mload(0x00), expected))
        }
    }
}
