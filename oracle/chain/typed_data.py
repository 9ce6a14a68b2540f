"""Every message of the suite that somebody signs, as EIP-712 typed data.

The same bytes are defined once more in Solidity; golden vectors hold the two together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

from oracle.types import Address, ChainId, Digest

Fields = Sequence[tuple[str, str]]

_DOMAIN: Fields = (
    ("name", "string"),
    ("version", "string"),
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
)

_CONTRIBUTION: Fields = (
    ("contributor", "address"),
    ("datanet", "uint256"),
    ("kind", "uint8"),
    ("rowsRoot", "bytes32"),
    ("count", "uint256"),
    ("manifestHash", "bytes32"),
)

_OUTCOME: Fields = (
    ("contribution", "bytes32"),
    ("acceptedRoot", "bytes32"),
    ("acceptedCount", "uint256"),
    ("reasonsHash", "bytes32"),
)

# contract (its EIP-712 name) → message → its types, the message's own first
MESSAGES: Mapping[str, Mapping[str, Mapping[str, Fields]]] = {
    "OpenLedger": {
        "Permit": {
            "Permit": (
                ("owner", "address"),
                ("spender", "address"),
                ("value", "uint256"),
                ("nonce", "uint256"),
                ("deadline", "uint256"),
            )
        },
        "TransferWithAuthorization": {
            "TransferWithAuthorization": (
                ("from", "address"),
                ("to", "address"),
                ("value", "uint256"),
                ("validAfter", "uint256"),
                ("validBefore", "uint256"),
                ("nonce", "bytes32"),
            )
        },
        "ReceiveWithAuthorization": {
            "ReceiveWithAuthorization": (
                ("from", "address"),
                ("to", "address"),
                ("value", "uint256"),
                ("validAfter", "uint256"),
                ("validBefore", "uint256"),
                ("nonce", "bytes32"),
            )
        },
        "CancelAuthorization": {"CancelAuthorization": (("authorizer", "address"), ("nonce", "bytes32"))},
        "Delegation": {"Delegation": (("delegatee", "address"), ("nonce", "uint256"), ("expiry", "uint256"))},
    },
    "OpenLedger DatanetRegistry": {
        "SignedContribution": {
            "SignedContribution": (("contribution", "Contribution"), ("deadline", "uint256")),
            "Contribution": _CONTRIBUTION,
        },
        "Erasure": {"Erasure": (("contribution", "bytes32"), ("rowsHash", "bytes32"), ("deadline", "uint256"))},
        "Outcomes": {"Outcomes": (("datanet", "uint256"), ("outcomes", "Outcome[]")), "Outcome": _OUTCOME},
    },
    "OpenLedger InferenceEscrow": {
        "Voucher": {
            "Voucher": (
                ("consumer", "address"),
                ("key", "address"),
                ("cumulative", "uint256"),
                ("deadline", "uint256"),
            )
        },
        "OpenSession": {
            "OpenSession": (
                ("consumer", "address"),
                ("key", "address"),
                ("cap", "uint256"),
                ("expiresAt", "uint256"),
                ("nonce", "uint256"),
                ("deadline", "uint256"),
            )
        },
    },
    # Under the address of the escrow, by a name of its own.
    "OpenLedger Receipts": {
        "Receipt": {
            "Receipt": (
                ("id", "bytes32"),
                ("consumer", "address"),
                ("key", "address"),
                ("model", "uint256"),
                ("version", "uint256"),
                ("weightsHash", "bytes32"),
                ("promptHash", "bytes32"),
                ("outputHash", "bytes32"),
                ("promptTokens", "uint256"),
                ("outputTokens", "uint256"),
                ("inputPrice", "uint256"),
                ("outputPrice", "uint256"),
                ("fee", "uint256"),
                ("laneTotal", "uint256"),
                ("termsHash", "bytes32"),
                ("conditionsHash", "bytes32"),
                ("codeHash", "bytes32"),
                ("servedAt", "uint256"),
            )
        }
    },
    "OpenLedger RewardDistributor": {
        "RewardRoot": {
            "RewardRoot": (
                ("previousRoot", "bytes32"),
                ("root", "bytes32"),
                ("epoch", "uint256"),
                ("round", "uint256"),
                ("total", "uint256"),
                ("contentHash", "bytes32"),
            )
        },
        "ClaimTo": {
            "ClaimTo": (
                ("account", "address"),
                ("recipient", "address"),
                ("cumulative", "uint256"),
                ("deadline", "uint256"),
            )
        },
    },
}


def typed_data(
    contract: str, message: str, content: Mapping[str, Any], chain: ChainId, address: Address
) -> dict[str, Any]:
    """The JSON that a wallet is asked to sign (eth_signTypedData_v4)."""
    types = {name: [{"name": f, "type": t} for f, t in fields] for name, fields in MESSAGES[contract][message].items()}
    return {
        "types": {"EIP712Domain": [{"name": f, "type": t} for f, t in _DOMAIN], **types},
        "primaryType": message,
        "domain": {"name": contract, "version": "1", "chainId": chain, "verifyingContract": address},
        "message": dict(content),
    }


def preimage(contract: str, message: str, content: Mapping[str, Any], chain: ChainId, address: Address) -> bytes:
    """The bytes whose hash is signed: 0x1901, the domain, the message."""
    signable = encode_typed_data(full_message=typed_data(contract, message, content, chain, address))
    return b"\x19" + signable.version + signable.header + signable.body


def digest(contract: str, message: str, content: Mapping[str, Any], chain: ChainId, address: Address) -> Digest:
    """The 32 bytes under the signature."""
    return Digest(keccak(preimage(contract, message, content, chain, address)))
