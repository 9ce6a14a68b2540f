"""What of the suite stands on the chain that a node serves."""

from __future__ import annotations

from pathlib import Path

from eth_utils.address import to_checksum_address
from web3 import Web3
from web3.exceptions import Web3Exception

from oracle.chain.contracts import CONTRACTS, read_address_book
from oracle.errors import NotDeployed, Retry
from oracle.types import Address, ChainId


def standing(rpc: str, deployments: Path) -> list[tuple[str, Address, int]]:
    """(contract, address, bytes of code) for the whole suite; raises NotDeployed where an address is empty."""
    node = Web3(Web3.HTTPProvider(rpc))
    try:
        chain = ChainId(node.eth.chain_id)
        book = read_address_book(deployments, chain)
        found = [(name, book[name], len(node.eth.get_code(to_checksum_address(book[name])))) for name in CONTRACTS]
    except (Web3Exception, OSError) as error:
        raise Retry(f"{rpc}: no answer from a node there ({error}); is it running?") from error
    empty = [name for name, _, size in found if size == 0]
    if empty:
        raise NotDeployed(
            f"chain {chain}: nothing stands where {', '.join(empty)} should; was the chain reset? deploy again"
        )
    return found
