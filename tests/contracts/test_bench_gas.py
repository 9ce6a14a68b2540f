"""The gas benchmark, in its quick form: every figure within its target. Gas repeats to the unit, unlike time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from merkle import PADDING, rewards

sys.path.insert(0, str(ROOT / "scripts" / "bench"))

from gas_jobs.reward_tree import DEPTH, RewardTree, node, population

# Figures that are above their target, each with the reason why that is accepted.
KNOWN_MISSES: dict[str, str] = {}

TARGETS = {
    "claim_first_1m": 71_500,
    "claim_repeat_1m": 54_500,
    "push64_first": 26_500,
    "push64_repeat": 9_200,
    "post_root_3of5": 85_000,
    "veto": 30_000,
    "contribute": 52_000,
    "relay100_each": 8_000,
    "settle100_each": 18_000,
    "transfer": 35_000,
}
CHEAPER_THAN_BASELINE = (
    "claim_first_1m claim_repeat_1m push64_first push64_repeat post_root_3of5 veto contribute relay100_each "
    "settle100_each transfer"
).split()
PAID_FOR = (
    "contribute_first settle100_first_each settle100_session_each claim_to challenge refill submit_first deploy_suite "
    "deposit request_withdrawal withdraw create_datanet publish_snapshot publish_model join_attestor"
).split()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The report as the program writes it."""
    file = tmp_path_factory.mktemp("gas") / "gas.json"
    command = [sys.executable, str(ROOT / "scripts" / "bench" / "gas.py"), "--quick", "--json", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return file.read_text()


@pytest.fixture(scope="module")
def report(written):
    return json.loads(written)


@pytest.mark.parametrize("figure", sorted(TARGETS))
def test_figure__when_measured__then_it_meets_its_target(report, figure):
    missed = report["figures"][figure] > TARGETS[figure]
    assert missed == (figure in KNOWN_MISSES), f"{figure}: {report['figures'][figure]:,} against {TARGETS[figure]:,}"


@pytest.mark.parametrize("figure", CHEAPER_THAN_BASELINE)
def test_figure__when_measured_beside_its_baseline__then_it_is_cheaper(report, figure):
    (row,) = [row for row in report["rows"] if row["figure"] == figure]
    assert row["ours"] < row["baseline"]


def test_report__when_written__then_it_judges_by_these_targets(report):
    judged = {row["figure"]: row["target"] for row in report["rows"] if row["target"] is not None}
    assert judged == TARGETS
    assert all(row["met"] == (row["ours"] <= row["target"]) for row in report["rows"] if row["target"] is not None)


def test_report__when_written__then_everything_users_pay_for_is_in_it(report):
    assert set(PAID_FOR) <= set(report["figures"])
    assert all(gas > 0 for gas in report["figures"].values())


def test_report__when_written__then_it_names_no_path_and_no_user(report, written):
    assert str(ROOT) not in written
    assert str(Path.home()) not in written
    assert "/home/" not in written
    assert "/tmp/" not in written
    assert report["command"] == "python scripts/bench/gas.py --quick --json gas.json"


def test_tree__when_built_for_the_benchmark__then_it_is_the_tree_of_the_tests_under_twenty_levels():
    people = population(seed=7, count=37, keyed={})
    fast = RewardTree(people.accounts, people.cumulative[1], seed=7)
    named = [("0x" + account.hex(), amount) for account, amount in zip(people.accounts, people.cumulative[1])]
    plain = rewards(named)
    top = plain.root
    for sibling in fast.upper:
        top = node(top, sibling)
    assert fast.root == top
    assert all(fast.proof(i) == plain.proof(i) + fast.upper for i in range(len(named)))
    assert fast.proof(16, 3) == plain.proof(16, 3) + fast.upper
    assert len(fast.proof(0)) == DEPTH


def test_population__when_an_account_earns_again__then_its_cumulative_amount_only_grows():
    people = population(seed=7, count=1_000, keyed={})
    assert all(first < second for first, second in zip(*people.cumulative))
    assert len(set(people.accounts)) == 1_000
    assert PADDING[0] not in people.accounts
