"""Why splitting over accounts gains or loses: the same seeds, with one possible cause after the other taken away.

    python scripts/campaign_splitting.py [--seeds N] [--first SEED]

The farmer of scripts/campaign_farmers.py with six rows in one account, and with the same rows in six that cost nothing.
A gain is what six get more than one, in parts of all fees.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts"), str(ROOT / "tests")]

import torch  # noqa: E402
from campaign_farmers import FARMER, TERMS, Datanet, Scored, credited, in_many_accounts, opening  # noqa: E402
from torch import Tensor  # noqa: E402

from oracle.attribution import index  # noqa: E402
from oracle.attribution.shares import Limits  # noqa: E402
from oracle.settlement.shares import shares_of  # noqa: E402
from oracle.types import Address, Wei  # noqa: E402


def gains(seed: int) -> dict[str, float]:
    """By what was taken away, each in addition to the one before."""
    torch.set_num_threads(1)
    _, fee, honest, own = opening(seed)
    many = in_many_accounts(own)
    side = [one.owner for one in many]
    one, split = Datanet([*honest, *own], seed), Datanet([*honest, *many], seed)
    (of_one, alone), (of_split, apart) = one.asked, split.asked
    with patch.object(index, "packed", _in_floats):
        exact_one, exact = Datanet(one.rows, seed).asked, Datanet(split.rows, seed).asked
    helping: list[Scored] = [
        ({who: max(v, 0.0) if who in side else v for who, v in scores.items()}, length, raised)
        for scores, length, raised in exact[1]
    ]

    def gain(after: Sequence[Scored], its: Limits, before: Sequence[Scored], limits: Limits) -> float:
        more = _income(after, its, fee, side) - _income(before, limits, fee, [FARMER])
        return more / (fee * len(after))

    return {
        "nothing": gain(apart, of_split, alone, of_one),
        "int8": gain(exact[1], exact[0], exact_one[1], exact_one[0]),
        "another measured noise": gain(exact[1], exact_one[0], exact_one[1], exact_one[0]),
        "own rows that hinder": gain(
            helping, exact_one[0], [_joined(scored, side) for scored in helping], exact_one[0]
        ),
    }


def _in_floats(values: Tensor) -> tuple[Tensor, Tensor]:
    return values.clone(), torch.ones_like(values[:, :, :1])


def _joined(scored: Scored, side: Sequence[Address]) -> Scored:
    """As if the side were one account."""
    scores, *rest = scored
    others = {who: value for who, value in scores.items() if who not in side}
    return others | {str(FARMER): sum(scores[who] for who in side)}, *rest  # type: ignore[return-value]


def _income(asked: Sequence[Scored], limits: Limits, fee: Wei, side: Sequence[Address]) -> int:
    paid = (share for answer in asked for share in shares_of(fee, TERMS, credited(answer, limits)))
    return sum(amount for _, who, amount in paid if who in side)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1001)
    chosen = parser.parse_args()
    found: dict[str, list[float]] = {}
    for seed in range(chosen.first, chosen.first + chosen.seeds):
        for name, gain in gains(seed).items():
            found.setdefault(name, []).append(gain)
        print(f"seed {seed}: " + "  ".join(f"{values[-1]:+.6f}" for values in found.values()), flush=True)
    for name, values in found.items():
        wide = 1.96 * stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
        above = sum(value > 0 for value in values)
        print(f"without {name:<24} best {max(values):+.6f}  mean {fmean(values):+.6f} ± {wide:.6f}  above zero {above}")


if __name__ == "__main__":
    main()
