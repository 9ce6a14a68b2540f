"""How long it takes from a closed epoch to a root, what a tree of a million costs, and what a receipt costs on chain.

    python scripts/bench/settlement.py [--quick] [--json FILE] [--seed N] [--only sqlite|postgresql|tree|gas]

Each part is measured in a process of its own, so that none has another's memory. Time is that process's on one core
(user and system); wall-clock time stands beside it, since what PostgreSQL's server does is in no time of this process.
The store is filled by yet another one. OpenZeppelin's package takes minutes for a million leaves: the two are held
against each other at a hundred thousand.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "scripts" / "bench")]

import numpy as np  # noqa: E402
import orjson  # noqa: E402
from eth_utils.address import to_checksum_address  # noqa: E402
from sqlalchemy import Connection  # noqa: E402
from unit.settlement.world import World  # noqa: E402

from fixtures import postgres  # noqa: E402
from oracle.settlement import batch as batching  # noqa: E402
from oracle.settlement.coverage import Funds, covered  # noqa: E402
from oracle.settlement.document import Head  # noqa: E402
from oracle.settlement.hashing import NOTHING  # noqa: E402
from oracle.settlement.tree import RewardTree, Tree, double_rows  # noqa: E402
from oracle.store import batches, owing, receipts  # noqa: E402
from oracle.store.blobs import Blobs  # noqa: E402
from oracle.store.columns import METADATA, WeiColumn  # noqa: E402
from oracle.store.database import Database  # noqa: E402
from oracle.store.receipts import Lane  # noqa: E402
from oracle.types import Address, ChainId, Epoch, Timestamp, Wei  # noqa: E402
from report import Report  # noqa: E402

PEER_LEAVES = 100_000
PARTS = ("sqlite", "postgresql", "tree", "gas")
CHAIN = ChainId(31337)
AMOUNT = WeiColumn()
ESCROW, DISTRIBUTOR, MODELS = (Address(f"0x{number:040d}") for number in (1, 2, 3))
PEER = """
const { StandardMerkleTree } = require(process.argv[1]);
const count = Number(process.argv[2]);
const values = [];
for (let i = 0; i < count; i++) values.push(['0x' + (i + 1).toString(16).padStart(40, '0'), String(i + 1)]);
const began = process.cpuUsage();
const tree = StandardMerkleTree.of(values, ['address', 'uint256'], { sortLeaves: true });
const used = process.cpuUsage(began);
console.log(JSON.stringify({ seconds: (used.user + used.system) / 1e6, root: tree.root }));
"""


def timed(action: Callable[[], Any]) -> tuple[Any, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    found = action()
    return found, time.process_time() - cpu, time.perf_counter() - wall


def memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def rows_of(count: int) -> Any:
    """abi.encode(account i + 1, i + 1) for all i, as the peer makes them."""
    rows = np.zeros((count, 64), dtype=np.uint8)
    numbers = np.arange(1, count + 1, dtype=">u8").view(np.uint8).reshape(-1, 8)
    rows[:, 24:32], rows[:, 56:64] = numbers, numbers
    return rows


def trees(count: int) -> tuple[dict[str, float], list[dict[str, Any]]]:
    tree, cpu, wall = timed(lambda: Tree(double_rows(rows_of(count)), sorted_leaves=True))
    proofs, proof_cpu, _ = timed(lambda: [tree.proof(at) for at in range(0, count, max(1, count // 10_000))])
    found: list[dict[str, Any]] = [
        {"job": "tree, sorted leaves", "leaves": count, "cpu_s": cpu, "wall_s": wall, "memory_mb": memory_mb()},
        {"job": "10,000 proofs", "cpu_s": proof_cpu, "each_us": proof_cpu / len(proofs) * 1e6},
    ]
    balances = [(Address(f"0x{number:040x}"), Wei(number)) for number in range(1, count + 1)]
    rewards, reward_cpu, _ = timed(lambda: RewardTree(balances))
    changed = {at: (balances[at][0], Wei(7)) for at in random.Random(1).sample(range(count), count // 100)}
    _, update_cpu, _ = timed(lambda: rewards.update(changed))
    found.append({"job": "reward tree, built", "leaves": count, "cpu_s": reward_cpu})
    found.append({"job": "reward tree, 1 % changed", "cpu_s": update_cpu, "of_a_rebuild": update_cpu / reward_cpu})
    figures = {"merkle_1m_s": cpu, "merkle_update_1pct_s": update_cpu}
    ratio, rows = peer(min(count, PEER_LEAVES))
    return figures | ratio, found + rows


def peer(count: int) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """The same leaves by OpenZeppelin's package, in the same run; nothing where it is not installed."""
    node = shutil.which("node")
    package = ROOT / "node_modules" / "@openzeppelin" / "merkle-tree"
    if not node or not package.exists():
        return {}, []
    command = [node, "-e", PEER, str(package), str(count)]
    theirs = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    ours, cpu, _ = timed(lambda: Tree(double_rows(rows_of(count)), sorted_leaves=True))
    assert theirs["root"] == "0x" + ours.root.hex(), "the two trees differ"
    rows = [
        {"job": "@openzeppelin/merkle-tree, same root", "leaves": count, "cpu_s": theirs["seconds"]},
        {"job": "the same leaves here", "leaves": count, "cpu_s": cpu},
    ]
    return {"merkle_ratio_openzeppelin": theirs["seconds"] / cpu}, rows


RECEIPT_COLUMNS = ("position", "chain", "id", "hash", "state", "consumer", "key", "fee", "lane_total")
CONTENT_COLUMNS = ("receipt", "content", "signature", "attribution")


def fill(url: str, count: int, accounts: int, seed: int) -> None:
    """Receipts of a thousand consumers. Signatures are noise: closing and publishing do not look at them."""
    database = Database(url)
    METADATA.create_all(database.engine)
    world = World(CHAIN, ESCROW, seed=seed, accounts=accounts, consumers=min(1_000, count))
    chance = random.Random(seed)
    names = [Address("0x" + chance.randbytes(20).hex()) for _ in range(accounts)]
    names = [Address(to_checksum_address(name)) for name in names]
    with database.transaction() as connection:
        receipts.put_terms(connection, world.terms_name, world.terms)
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA cache_size=-524288")  # of this connection, which fills and nothing else
    for start in range(0, count, 20_000):
        numbers = range(start, min(start + 20_000, count))
        with database.transaction() as connection:
            served = [answer(connection, world, chance, names, number) for number in numbers]
            put(connection, "receipts", RECEIPT_COLUMNS, [receipt for receipt, _ in served])
            put(connection, "receipt_contents", CONTENT_COLUMNS, [content for _, content in served])
    with database.transaction() as connection:
        for person in world.people:
            receipts.keep_voucher(connection, CHAIN, world.voucher(person))
    database.close()


def answer(
    connection: Connection, world: World, chance: random.Random, names: list[Address], number: int
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """A receipt's two rows, as the driver takes them."""
    receipt = world.receipt(world.people[number % len(world.people)])
    credited = []
    for part in range(3):
        contribution, owner = "0x" + chance.randbytes(32).hex(), names[(number * 3 + part) % len(names)]
        credited.append([contribution, owner, str(chance.randrange(1, 999)), None])
    fee, total = (AMOUNT.process_bind_param(one, connection.dialect) for one in (receipt.fee, receipt.lane_total))
    name, lane = chance.randbytes(32), (receipt.consumer, receipt.key)
    attribution = orjson.dumps({"credits": sorted(credited), "unattributed": "50"})
    return (
        (number + 1, CHAIN, receipt.id, name, "final", *lane, fee, total),
        (number + 1, receipt.as_json(), chance.randbytes(65), attribution),
    )


def put(connection: Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Past SQLAlchemy, which takes longer over two million rows than the databases do."""
    driver: Any = connection.connection.driver_connection
    listed = ", ".join(f'"{column}"' for column in columns)
    if connection.dialect.name == "sqlite":
        driver.executemany(f"INSERT INTO {table} ({listed}) VALUES ({', '.join('?' * len(columns))})", rows)
        return
    with driver.cursor() as cursor, cursor.copy(f"COPY {table} ({listed}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def epoch(url: str, count: int, accounts: int, seed: int, folder: Path) -> list[dict[str, Any]]:
    filling = multiprocessing.get_context("spawn").Process(target=fill, args=(url, count, accounts, seed))
    filling.start()
    filling.join()
    assert filling.exitcode == 0, "the store could not be filled"
    database, blobs = Database(url), Blobs(str(folder / "blobs"))
    before = memory_mb()

    def close() -> None:
        with database.transaction() as connection:
            batches.begin(connection, CHAIN, Epoch(1), Timestamp(1))
            current = batches.on_its_way(connection, CHAIN)
            assert current is not None
            kept = receipts.vouchers(connection, CHAIN)
            funds = {lane: Funds(Wei(0)) for lane in kept}
            balances = {Lane(*lane).consumer: Wei(10**30) for lane in kept}
            steps = owing.lane_steps(connection, CHAIN)
            plan = covered(steps, {}, kept, funds, balances, Timestamp(0))
            taken = batching.close(connection, current, plan, Timestamp(2), round=0, previous_root=NOTHING)
            assert taken == count, f"{taken} of {count} were taken"

    def root() -> Any:
        with database.reading() as connection:
            current = batches.on_its_way(connection, CHAIN)
            assert current is not None
            head = Head(CHAIN, Epoch(1), ESCROW, DISTRIBUTOR, MODELS, ESCROW, NOTHING, Wei(0))
            return batching.make(connection, blobs, current, head)

    _, close_cpu, close_wall = timed(close)
    made, root_cpu, root_wall = timed(root)
    with blobs.open(made.document) as published:
        size = published.seek(0, 2)
    named = "postgresql" if "postgres" in url else "sqlite"
    database.close()
    return [
        {"job": f"close, {named}", "receipts": count, "accounts": accounts, "cpu_s": close_cpu, "wall_s": close_wall},
        {
            "job": f"closed epoch to root, {named}",
            "receipts": count,
            "cpu_s": root_cpu,
            "wall_s": root_wall,
            "memory_mb": memory_mb(),
            "memory_before_mb": before,
            "document_mb": size / 1e6,
            "root": "0x" + made.end.root.hex(),
        },
    ]


def gas() -> tuple[dict[str, float], list[dict[str, Any]]]:
    """From docs/benchmarks/gas.json: one root, and a voucher for each consumer who paid in the batch.

    The figures are those of 100 receipts a consumer; the rows show how it falls with more.
    """
    measured = json.loads((ROOT / "docs" / "benchmarks" / "gas.json").read_text(encoding="utf-8"))["figures"]
    figures, found = {}, []
    for name, count in (("1k", 1_000), ("100k", 100_000), ("1m", 1_000_000)):
        for each in (1_000, 100):
            consumers = count // each
            used = measured["post_root_3of5"] + measured["settle100_each"] * consumers
            figures[f"gas_per_receipt_{name}"] = used / count
            row = {"job": "on chain", "receipts": count, "consumers": consumers, "gas": used, "each": used / count}
            found.append(row)
    return figures, found


def shown(rows: list[dict[str, Any]]) -> str:
    return "\n".join(
        f"{row['job']:<40} "
        + "  ".join(f"{k} {v:,.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items() if k != "job")
        for row in rows
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a hundredth of everything")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seed", type=int, default=20_260_101)
    parser.add_argument("--only", choices=PARTS, help="this part; what --json has of the others stays")
    chosen = parser.parse_args()
    figures: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    for part in (chosen.only,) if chosen.only else PARTS:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
            found, more = alone.submit(measured, part, 100 if chosen.quick else 1, chosen.seed).result()
        figures |= found
        rows += more
        print(shown(more), flush=True)
    print("\n" + "\n".join(f"{name:<32} {value:,.3f}" for name, value in figures.items()))
    if chosen.json:
        if chosen.only and chosen.json.exists():
            before = json.loads(chosen.json.read_text(encoding="utf-8"))
            again = {row["job"] for row in rows}
            figures = before["figures"] | figures
            rows = [row for row in before["rows"] if row["job"] not in again] + rows
        libraries = {name: version(name) for name in ("numpy", "safe-pysha3", "zstandard", "orjson", "sqlalchemy")}
        command = "python scripts/bench/settlement.py" + (" --quick" if chosen.quick else "")
        report = Report("settlement", command, libraries, chosen.seed, chosen.quick, figures, rows)
        chosen.json.write_text(report.as_json(), encoding="utf-8")


def measured(part: str, scale: int, seed: int) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """One part's figures and rows."""
    if part == "tree":
        return trees(1_000_000 // scale)
    if part == "gas":
        return gas()
    rows = _epoch(part, 1_000_000 // scale, 100_000 // scale, seed)
    named = "" if part == "sqlite" else "_postgresql"
    figures: dict[str, float] = {}
    if rows:
        closing, making = rows
        figures = {
            f"epoch_1m_receipts{named}_s": making["cpu_s"],
            f"epoch_1m_receipts{named}_wall_s": making["wall_s"],
            f"epoch_memory{named}_mb": making["memory_mb"],
            f"close_1m_receipts{named}_s": closing["cpu_s"],
            f"close_1m_receipts{named}_wall_s": closing["wall_s"],
        }
    return figures, rows


def _epoch(kind: str, count: int, accounts: int, seed: int) -> list[dict[str, Any]]:
    """On a new database of its own; nothing where no PostgreSQL is installed."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = f"sqlite:///{folder}/ledger.db"
        if kind == "postgresql":
            programs = postgres.server()
            if programs is None:
                print("no PostgreSQL is installed: not measured", file=sys.stderr)
                return []
            url = postgres.new_database(stack.enter_context(postgres.cluster(programs)), "settlement")
        return epoch(url, count, accounts, seed, folder)


if __name__ == "__main__":
    main()
