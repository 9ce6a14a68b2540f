"""What was once decided of a row is decided again: verdicts, clusters and roots of published rows never change unless
the version of the rules does.

The digests in tests/vectors/verdicts.json were taken when checks were first fast enough, and stay. To take them anew,
which says that old datanets will be judged otherwise: `python -m unit.datanets.test_same_verdicts` in tests/.
"""

from __future__ import annotations

import io
import json
from hashlib import sha256
from pathlib import Path

import pytest

from fixtures.every_kind import published
from oracle.datanets.checks import Checker
from oracle.datanets.founding import packed
from oracle.datanets.kinds import Kind
from oracle.datanets.merkle import rows_root
from oracle.datanets.near import NearIndex
from oracle.datanets.policy import Policy
from oracle.datanets.rowsfile import chunks_of
from oracle.datanets.verdicts import Finding, rejected
from oracle.types import Address, RowHash

VECTORS = Path(__file__).parents[2] / "vectors" / "verdicts.json"
OWNER = Address("0xe05fcC23807536bEe418f142D19fa0d21BB0cfF7")
ROWS = 9_000  # more than two chunks
POLICIES = {
    "plain": Policy(),
    "all rules": Policy(languages=("en",), toxic_words=("zounds", "gadzooks")),
    "strict": Policy(
        languages=("en", "de"), language_sure=300, language_unsure="hold", boilerplate="reject", near_share=700
    ),
}


def judged(seed: int, policy: Policy) -> dict[str, str | int]:
    """A digest of everything that comes of the rows."""
    checker, index = Checker(policy, Kind.TRAINING_ROW), NearIndex(policy.near_share)
    verdicts, near, founders = sha256(), sha256(), sha256()
    hashes: list[RowHash] = []
    codes: set[str] = set()
    for chunk in chunks_of(io.BytesIO(published(seed, ROWS)), Kind.TRAINING_ROW, 1 << 23):
        apart: dict[int, Finding] = dict.fromkeys(chunk.bad, rejected("not_canonical"))
        checked = checker.among(chunk.texts, index, apart | dict.fromkeys(chunk.erased, rejected("erased")))
        verdicts.update(repr(sorted(checked.findings.items())).encode())
        near.update(repr([vars(each) for each in checked.near]).encode())
        founders.update(packed(checked.founders))
        hashes += chunk.hashes
        codes |= {finding.code for finding in checked.findings.values()}
    return {
        "codes": len(codes),
        "verdicts": verdicts.hexdigest(),
        "near": near.hexdigest(),
        "founders": founders.hexdigest(),
        "root": rows_root(OWNER, hashes).hex(),
    }


@pytest.mark.parametrize("rules", POLICIES)
@pytest.mark.parametrize("seed", [1, 2])
def test_verdicts__of_rows_of_every_kind__then_are_those_of_before(seed: int, rules: str) -> None:
    assert judged(seed, POLICIES[rules]) == json.loads(VECTORS.read_text())[f"{rules}, seed {seed}"]


if __name__ == "__main__":
    taken = {f"{rules}, seed {seed}": judged(seed, policy) for rules, policy in POLICIES.items() for seed in (1, 2)}
    VECTORS.write_text(json.dumps(taken, indent=1) + "\n")
