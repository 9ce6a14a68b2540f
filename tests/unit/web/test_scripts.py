"""The hashes of the browser's scripts against the oracle's own, by Node; and what pages may load."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from oracle.settlement.hashing import Header, keccak, receipt_leaf, reward_leaf, shares_hash, voucher_leaf
from oracle.settlement.shares import Share
from oracle.settlement.tree import RewardTree, Tree
from oracle.types import Address, Epoch, Wei

WEB = Path(__file__).resolve().parents[3] / "oracle" / "web"


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that Node takes for modules."""
    folder = tmp_path_factory.mktemp("scripts")
    for file in (WEB / "static").glob("*.js"):
        shutil.copy(file, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    return folder


def run(scripts: Path, script: str, given: Any) -> Any:
    """`script` sees `given` and says its answer with `say`."""
    (scripts / "test.js").write_text(
        'import { Keccak, keccak } from "./keccak.js";\nimport * as trees from "./trees.js";\n'
        'import { readFileSync } from "node:fs";\n'
        'const given = JSON.parse(readFileSync(0, "utf8")), say = (what) => console.log(JSON.stringify(what));\n'
        + script
    )
    done = subprocess.run(
        ["node", "test.js"],
        cwd=scripts,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout)


def test_keccak__of_every_length_around_a_block__then_it_is_the_oracles(scripts: Path) -> None:
    chance = random.Random(4)
    contents = [chance.randbytes(length) for length in (0, 1, 31, 64, 135, 136, 137, 271, 272, 273, 5000)]
    script = """say(given.map((text) => { const content = trees.bytes(text), cut = Math.floor(content.length / 3);
        return [trees.hex(keccak(content)),
          trees.hex(new Keccak().update(content.subarray(0, cut)).update(content.subarray(cut)).digest())]; }))"""
    found = run(scripts, script, [content.hex() for content in contents])
    assert found == [["0x" + keccak(content).hex()] * 2 for content in contents]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 33])
def test_reward_root__of_any_number_of_accounts__then_it_is_the_oracles(scripts: Path, count: int) -> None:
    balances = [(_account(number), Wei(10**18 * number + 7)) for number in range(count)]
    found = run(scripts, "say(trees.hex(trees.rewardRoot(given)))", [[who, str(amount)] for who, amount in balances])
    assert found == "0x" + RewardTree(balances).root.hex()
    leaf = run(scripts, "say(trees.hex(trees.rewardLeaf(...given[0])))", [[balances[0][0], str(balances[0][1])]])
    assert leaf == "0x" + reward_leaf(*balances[0]).hex()


def test_content_hash__of_a_batch__then_it_is_the_oracles(scripts: Path) -> None:
    shares = [Share(0, _account(1), Wei(70)), Share(6, _account(2), Wei(30))]
    name, signature = keccak(b"receipt"), b"\x07" * 65
    leaf = receipt_leaf(0, name, _account(3), 4, 1, Wei(100), Wei(0), shares_hash(shares))
    voucher = voucher_leaf(_account(3), _account(3), Wei(100), 2**40 - 1, signature)
    amounts = tuple(Wei(amount) for amount in (70, 0, 0, 0, 0, 0, 30))
    header = Header(Epoch(9), Tree.of([leaf]).root, 1, Tree.of([voucher]).root, Wei(100), amounts, keccak(b"bytes"))
    line = {
        "hash": "0x" + name.hex(),
        "receipt": {"consumer": _account(3), "model": 4, "version": 1, "fee": "100"},
        "shares": [[role, who, str(amount)] for role, who, amount in shares],
        "voucher": {
            "consumer": _account(3), "key": _account(3), "cumulative": "100", "deadline": 2**40 - 1,
            "signature": "0x" + signature.hex(),
        },
    }  # fmt: skip
    script = """const receiptsRoot = trees.root([trees.receiptLeaf(0, given, 0n)]);
        const vouchersRoot = trees.root([trees.voucherLeaf(given.voucher)]);
        const documentHash = keccak(new TextEncoder().encode("bytes"));
        say(trees.hex(trees.contentHash({ epoch: 9, receiptsRoot, receiptCount: 1, vouchersRoot, fees: 100n,
          amounts: [70n, 0n, 0n, 0n, 0n, 0n, 30n], documentHash })))"""
    assert run(scripts, script, line) == "0x" + header.hash.hex()


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_root__of_any_number_of_leaves__then_it_is_the_oracles(scripts: Path, count: int) -> None:
    leaves = [keccak(bytes([number])) for number in range(count)]
    found = run(scripts, "say(trees.hex(trees.root(given.map(trees.bytes))))", [leaf.hex() for leaf in leaves])
    assert found == "0x" + Tree.of(leaves).root.hex()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ({"code": 4001, "message": "User rejected the request."}, "You declined it in your wallet"),
        ({"code": -32603, "data": {"originalError": {"code": 4001}}}, "You declined it in your wallet"),
        ({"code": 4100}, "does not give this account"),
        ({"code": -32002}, "already waits for an answer"),
        ({"code": 4900}, "no connection to its network"),
        ({"code": -32000, "message": "insufficient funds for gas * price + value"}, "not enough ETH"),
        ({"code": -32000, "message": "nonce too low"}, "Another transaction of this account"),
        ({"message": "Failed to fetch"}, "This site cannot be reached"),
        ({}, "did not say which"),
    ],
)
def test_sentence__of_what_wallets_say__then_a_person_understands_it(
    scripts: Path, error: dict[str, Any], words: str
) -> None:
    script = 'import("./sentences.js").then(({ sentence }) => say(sentence(given)))'
    assert words in run(scripts, script, error)


def test_pages__then_they_hold_no_script_style_or_foreign_address() -> None:
    for file in (WEB / "templates").glob("*.html"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"<script(?![^>]*\ssrc=)|\sstyle=|\son[a-z]+=|javascript:", text), file.name
        assert "://" not in text, file.name
    for file in (WEB / "static").glob("*"):
        found = re.findall(r"https?://[^\s\"'`<>)]+", file.read_text(encoding="utf-8"))
        assert [each for each in found if each != "http://www.w3.org/2000/svg"] == [], file.name


def _account(number: int) -> Address:
    from eth_utils.address import to_checksum_address

    return Address(to_checksum_address(keccak(b"account %d" % number)[:20]))
