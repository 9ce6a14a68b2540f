#!/usr/bin/env python3
"""How fast the indexer takes in a chain's past: 100,000 events of a real Anvil, one process, proven complete.

    python scripts/bench/indexer.py                  # 100,000 events, SQLite and PostgreSQL
    python scripts/bench/indexer.py --quick          # 10,000

Needs the oracle's environment, Anvil (npm) and the suite's contracts (make setup-contracts). Half of the events are
transfers of OPEN, half contributions, many in a transaction; then a tenth as many with one event in each transaction,
where the receipts weigh more than the events.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from time import perf_counter, process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from report import ROOT, Report, command_line, text_table

sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT))

from fixtures import postgres
from fixtures.anvil import ACCOUNTS, binary
from fixtures.suite import Suite, running_suite, state
from oracle.chain.decoding import checksummed
from oracle.chain.headers import bloom_bits
from oracle.chain.indexer import Indexer
from oracle.chain.rpc import Rpc
from oracle.store.columns import METADATA
from oracle.store.database import Database
from oracle.store.event_table import count_events
from oracle.store.events import events, topic
from oracle.types import ChainId

SEED = 20_260_101
OPEN = 10**18
IN_ONE_TRANSACTION = 300
HEAD = ("database", "events", "shape", "seconds", "events/s", "events/CPU s", "load", "blocks", "memory MB")

CROWD = """
// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;
interface IToken { function transfer(address to, uint256 amount) external returns (bool); }
interface IRegistry {
    function contribute(uint256 datanet, uint8 kind, bytes32 rowsRoot, uint256 count, bytes32 manifestHash)
        external returns (bytes32);
}
contract Crowd {
    function act(address token, address registry, uint256 datanet, uint256 seed, uint256 times) external {
        for (uint256 i = 0; i < times; ++i) {
            bytes32 drawn = keccak256(abi.encode(seed, i));
            if (i % 2 == 0) IToken(token).transfer(address(uint160(uint256(drawn))), 1 + i);
            else IRegistry(registry).contribute(datanet, 0, drawn, 1 + i, keccak256(abi.encode(drawn)));
        }
    }
}
"""


def crowd() -> dict[str, Any]:
    """The contract that makes events, compiled."""
    asked = {
        "language": "Solidity",
        "sources": {"Crowd.sol": {"content": CROWD}},
        "settings": {
            "optimizer": {"enabled": True, "runs": 200},
            "evmVersion": "cancun",
            "outputSelection": {"*": {"*": ["abi", "evm.bytecode.object"]}},
        },
    }
    compiler = ROOT / ".solc" / "solc-v0.8.30"
    done = subprocess.run(
        [compiler, "--standard-json"], input=json.dumps(asked), capture_output=True, text=True, check=True, cwd=ROOT
    )
    found: dict[str, Any] = json.loads(done.stdout)["contracts"]["Crowd.sol"]["Crowd"]
    return found


def mined(suite: Suite, sent: str) -> Any:
    return suite.w3.eth.wait_for_transaction_receipt(sent, timeout=120, poll_latency=0.002)  # type: ignore[arg-type]


def datanet(suite: Suite) -> None:
    mined(suite, suite.send("OpenToken", "approve", suite.book["DatanetRegistry"], 1000 * OPEN))
    made = suite.send(
        "DatanetRegistry", "createDatanet", b"\1" * 32, "Bench", "CC0-1.0", "qa", [ACCOUNTS[0]], 1, 1000 * OPEN
    )
    assert mined(suite, made)["status"] == 1, "the datanet was refused"


def many_in_a_transaction(suite: Suite, count: int, seed: int) -> None:
    compiled = crowd()
    deployed = suite.w3.eth.contract(abi=compiled["abi"], bytecode=compiled["evm"]["bytecode"]["object"])
    made = suite.anvil.ask("eth_sendTransaction", {"from": ACCOUNTS[0], "data": deployed.bytecode.hex()})
    contract = suite.w3.eth.contract(mined(suite, made)["contractAddress"], abi=compiled["abi"])
    mined(suite, suite.send("OpenToken", "transfer", contract.address, 10**6 * OPEN))
    for begin in range(0, count, IN_ONE_TRANSACTION):
        times = min(IN_ONE_TRANSACTION, count - begin)
        data = contract.encode_abi(
            "act", [suite.book["OpenToken"], suite.book["DatanetRegistry"], 1, seed + begin, times]
        )
        call = {"from": ACCOUNTS[0], "to": contract.address, "data": data, "gas": hex(29_000_000)}
        assert mined(suite, suite.anvil.ask("eth_sendTransaction", call))["status"] == 1, "the events were refused"


def one_in_a_transaction(suite: Suite, count: int, seed: int) -> None:
    suite.anvil.ask("evm_setAutomine", False)
    for number in range(count):
        to = f"0x{(seed << 64) + number:040x}"
        suite.send("OpenToken", "transfer", suite.w3.to_checksum_address(to), 1 + number)
        if number % 300 == 299:
            suite.anvil.mine()
    suite.anvil.mine()
    suite.anvil.ask("evm_setAutomine", True)


def measure(suite: Suite, url: str, kind: str, shape: str) -> dict[str, Any]:
    database = Database(url)
    database.upgrade()
    METADATA.create_all(database.engine)
    rpc = Rpc.of_urls([suite.anvil.url], ChainId(31337), timeout_s=60)
    indexer = Indexer(rpc, database, suite.book, suite.deployments, "finalized")
    bloom_bits.cache_clear()  # so that the second database is not measured with the work of the first
    checksummed.cache_clear()
    gc.collect()
    began, cpu = perf_counter(), process_time()
    step = indexer.catch_up()
    seconds, cpu = perf_counter() - began, process_time() - cpu
    with database.reading() as connection:
        stored = count_events(connection, ChainId(31337))
        began = perf_counter()
        found = events(connection, ChainId(31337), "OpenToken", "Transfer", topic2=topic(ACCOUNTS[0]), limit=100)
        lookup = perf_counter() - began
    assert found, "the look-up by topic found nothing"
    database.close()
    return {
        "database": kind,
        "shape": shape,
        "events": stored,
        "seconds": round(seconds, 2),
        "events_per_s": round(stored / seconds),
        "cpu_seconds": round(cpu, 2),
        "events_per_cpu_s": round(stored / cpu),
        "load_average": round(os.getloadavg()[0], 1),
        "blocks": step.top,
        "blocks_per_s": round(step.top / seconds),
        "lookup_by_topic_ms": round(1000 * lookup, 2),
        "memory_mb": round(getrusage(RUSAGE_SELF).ru_maxrss / 1024),
    }


def in_truth(suite: Suite) -> int:
    """The number of the suite's logs, as eth_getLogs has it."""
    height, found = suite.anvil.height, 0
    ours = list(suite.book.addresses.values())
    for begin in range(0, height + 1, 20):
        asked = {"address": ours, "fromBlock": hex(begin), "toBlock": hex(min(height, begin + 19))}
        found += len(suite.anvil.ask("eth_getLogs", asked))
    return found


def run(count: int, seed: int, only: str | None) -> list[dict[str, Any]]:
    rows = []
    single = max(1000, count // 10)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        programs = postgres.server()
        maintenance = stack.enter_context(postgres.cluster(programs)) if programs else ""
        for shape, make, number in (
            ("many in a transaction", many_in_a_transaction, count),
            ("one in a transaction", one_in_a_transaction, single),
        ):
            with running_suite(state(), "--prune-history") as suite:  # or it copies its state for each block
                datanet(suite)
                make(suite, number, seed)
                expected = in_truth(suite)
                for kind in ("sqlite", "postgresql"):
                    if (only and kind != only) or (kind == "postgresql" and not maintenance):
                        continue
                    name = f"bench{len(rows)}"
                    url = f"sqlite:///{folder}/{name}.db"
                    if kind == "postgresql":
                        url = postgres.new_database(maintenance, name)
                    row = measure(suite, url, kind, shape)
                    assert row["events"] == expected, f"{row['events']} events, the chain has {expected}"
                    rows.append(row)
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10,000 events")
    parser.add_argument("--events", type=int, help="another number of them")
    parser.add_argument("--seed", type=int, default=SEED, help="of accounts and rows")
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report as JSON")
    options = parser.parse_args(arguments)
    rows = run(options.events or (10_000 if options.quick else 100_000), options.seed, options.only)
    anvil = subprocess.run([binary(), "--version"], capture_output=True, text=True, check=True).stdout
    given = {"--quick": options.quick, "--events": options.events, "--only": options.only}
    given |= {"--seed": None if options.seed == SEED else options.seed, "--json": options.json}
    report = Report(
        name="indexer",
        command=command_line("scripts/bench/indexer.py", given),
        versions={
            "anvil": anvil.splitlines()[0].split(":")[-1].strip(),
            **{name: version(name) for name in ("web3", "sqlalchemy", "psycopg")},
        },
        seed=options.seed,
        quick=options.quick,
        figures={
            "events_per_s": rows[0]["events_per_s"],
            # Of this process alone: what is left when others share the machine.
            "events_per_cpu_s": rows[0]["events_per_cpu_s"],
            **{
                f"events_per_s_{row['database']}_{'many' if row['shape'].startswith('many') else 'one'}": row[
                    "events_per_s"
                ]
                for row in rows
            },
        },
        rows=rows,
    )
    shown = (
        "database",
        "events",
        "shape",
        "seconds",
        "events_per_s",
        "events_per_cpu_s",
        "load_average",
        "blocks",
        "memory_mb",
    )
    print(
        text_table(
            HEAD,
            [[f"{row[name]:,}" if isinstance(row[name], int) else str(row[name]) for name in shown] for row in rows],
        )
    )
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(report.as_json(), encoding="utf-8")


if __name__ == "__main__":
    main()
