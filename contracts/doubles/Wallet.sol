// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import { IERC1271 } from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import { ECDSA } from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @dev A contract wallet with one owner, for tests. It answers about signatures honestly or in ways that hurt.
///      It does not inherit ERC-1271: a thief's answer is no view.
contract Wallet {
    enum Answer {
        Owner,
        Yes,
        No,
        Short,
        Long,
        Burn,
        Reenter
    }

    address public immutable OWNER;

    Answer public answer;
    uint256 public length;
    address public target;
    bytes public data;

    constructor(address owner) {
        OWNER = owner;
    }

    function behave(Answer answer_) external {
        answer = answer_;
    }

    /// @param length_ how many bytes the answer takes.
    function answerAtLength(uint256 length_) external {
        answer = Answer.Long;
        length = length_;
    }

    /// @dev While asked about a signature, calls `target_`, and answers yes whatever comes of it.
    function reenter(address target_, bytes calldata data_) external {
        answer = Answer.Reenter;
        target = target_;
        data = data_;
    }

    function execute(address target_, bytes calldata data_) external returns (bytes memory result) {
        bool success;
        (success, result) = target_.call(data_);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(result, 0x20), mload(result))
            }
        }
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external returns (bytes4) {
        bytes4 yes = IERC1271.isValidSignature.selector;
        if (answer == Answer.Owner) {
            (address signer,,) = ECDSA.tryRecover(digest, signature);
            return signer == OWNER ? yes : bytes4(0xffffffff);
        }
        if (answer == Answer.Yes) return yes;
        if (answer == Answer.No) return 0xffffffff;
        if (answer == Answer.Short) {
            assembly {
                mstore(0x00, yes)
                return(0x00, 0x04)
            }
        }
        if (answer == Answer.Long) {
            uint256 size = length;
            assembly {
                let start := mload(0x40)
                mstore(start, yes)
                return(start, size)
            }
        }
        if (answer == Answer.Burn) {
            assembly {
                invalid()
            }
        }
        // A static call reaches this function, so that nothing below can write; the thief tries nonetheless.
        (bool ignored,) = target.call(data);
        ignored;
        return yes;
    }
}
