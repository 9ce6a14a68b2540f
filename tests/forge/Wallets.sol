// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @dev A contract wallet that answers isValidSignature in any way a stranger might.
contract Wallet {
    enum Answer {
        Magic,
        Wrong,
        Short,
        Long,
        Refused,
        Dirty,
        Burnt
    }

    Answer private immutable ANSWER;
    uint256 private _sum;

    constructor(Answer answer) {
        ANSWER = answer;
    }

    function isValidSignature(bytes32, bytes calldata) external view returns (bytes4) {
        Answer answer = ANSWER;
        assembly ("memory-safe") {
            let magic := shl(224, 0x1626ba7e)
            mstore(0, magic)
            switch answer
            case 0 { return(0, 32) }
            case 1 {
                mstore(0, shl(224, 0x1626ba7f))
                return(0, 32)
            }
            case 2 { return(0, 31) }
            case 3 { return(0, 4096) }
            case 4 { revert(0, 32) }
            case 5 {
                mstore(0, or(magic, 1))
                return(0, 32)
            }
            case 6 { for { } gt(gas(), 0) { } { } }
        }
        return 0;
    }
}

/// @dev Accepts one digest with one byte string as its signature.
contract OneTimeWallet {
    bytes32 private immutable DIGEST;
    bytes32 private immutable SIGNATURE;

    constructor(bytes32 digest, bytes memory signature) {
        DIGEST = digest;
        SIGNATURE = keccak256(signature);
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        return digest == DIGEST && keccak256(signature) == SIGNATURE ? bytes4(0x1626ba7e) : bytes4(0);
    }
}
