"""What an operator signs for one answer, and how it is checked: the API makes receipts, attestors check them."""

from __future__ import annotations

from functools import lru_cache

from coincurve import PublicKey
from eth_utils.address import to_checksum_address

from oracle.settlement.hashing import (
    ESCROW,
    RECEIPT_TYPE,
    RECEIPTS,
    address_word,
    domain,
    keccak,
    typed_preimage,
    voucher_struct,
    word,
)
from oracle.store.receipts import Receipt, Terms, Voucher
from oracle.types import Address, ChainId, Hash32

_HALF_OF_THE_CURVE = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


def receipt_hash(receipt: Receipt) -> Hash32:
    """The EIP-712 struct hash: what stands as `receiptHash` in the batch's leaf."""
    return keccak(
        RECEIPT_TYPE
        + receipt.id
        + address_word(receipt.consumer)
        + address_word(receipt.key)
        + word(receipt.model)
        + word(receipt.version)
        + receipt.weights
        + receipt.prompt
        + receipt.output
        + word(receipt.prompt_tokens)
        + word(receipt.output_tokens)
        + word(receipt.input_price)
        + word(receipt.output_price)
        + word(receipt.fee)
        + word(receipt.lane_total)
        + receipt.terms
        + receipt.conditions
        + receipt.code
        + word(receipt.served_at)
    )


def receipt_preimage(name: Hash32, chain: ChainId, escrow: Address) -> bytes:
    """What a Signer signs; the domain is that of the escrow which pays."""
    return typed_preimage(domain(RECEIPTS, chain, escrow), name)


def voucher_preimage(voucher: Voucher, chain: ChainId, escrow: Address) -> bytes:
    """What the key of a lane signs."""
    struct = voucher_struct(voucher.consumer, voucher.key, voucher.cumulative, voucher.deadline)
    return typed_preimage(domain(ESCROW, chain, escrow), struct)


def terms_hash(terms: Terms) -> Hash32:
    return keccak(terms.as_json())


def recovered(digest: bytes, signature: bytes) -> Address | None:
    """Who signed, by the chain's rules: 65 bytes, v of 27 or 28, the lower s. None where nobody did."""
    if len(signature) != 65 or signature[64] not in (27, 28):
        return None
    if int.from_bytes(signature[32:64], "big") > _HALF_OF_THE_CURVE:
        return None  # the twin of another signature
    try:
        compact = signature[:64] + bytes([signature[64] - 27])
        key = PublicKey.from_signature_and_message(compact, digest, hasher=None)
    except Exception:  # libsecp256k1's binding raises bare Exception where there is no such point on the curve
        return None
    return checksummed(keccak(key.format(compressed=False)[1:])[-20:])


@lru_cache(maxsize=1 << 16)
def checksummed(account: bytes) -> Address:
    """Remembered: the capitals cost more than the signature."""
    return Address(to_checksum_address(account))
