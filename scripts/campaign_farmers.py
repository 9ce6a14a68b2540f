"""The farmers: everybody who tries to take more out than they put in, and what each gets back.

    python scripts/campaign_farmers.py [--seeds N] [--first SEED]

Nothing about influence is assumed. Each seed makes a small datanet, trains an adapter on it, records it, calibrates,
and attributes answers by the rules of oracle.attribution; intake is that of oracle.datanets, pay that of
oracle.settlement, costs are the gas and the bonds of the contracts. A return is what the attacker's side gains, in
parts of what it spent: below zero for every attack. Where accounts cost nothing, splitting is a game of chance (whether
one's own rows hinder each other's answers, nobody knows beforehand): there its mean has to be below zero.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import numpy as np  # noqa: E402
import orjson  # noqa: E402
import torch  # noqa: E402
import yaml  # noqa: E402
from peft import LoraConfig, PeftModel, get_peft_model  # noqa: E402
from transformers import LlamaConfig, LlamaForCausalLM  # noqa: E402
from unit.settlement.publishing import new_store, new_world, publish  # noqa: E402
from unit.settlement.world import account, text  # noqa: E402

from oracle.attribution.calibration import limits_from  # noqa: E402
from oracle.attribution.gain import gains  # noqa: E402
from oracle.attribution.index import Index, digest_of, write_index  # noqa: E402
from oracle.attribution.queries import answer_losses  # noqa: E402
from oracle.attribution.recorder import Record, Recorder  # noqa: E402
from oracle.attribution.records import Query, plan_for  # noqa: E402
from oracle.attribution.scoring import score  # noqa: E402
from oracle.attribution.shares import Limits, propose  # noqa: E402
from oracle.datanets.near import NearIndex  # noqa: E402
from oracle.datanets.policy import Policy  # noqa: E402
from oracle.datanets.words import Splitter  # noqa: E402
from oracle.settlement.differing import Difference  # noqa: E402
from oracle.settlement.document import Reader, packed  # noqa: E402
from oracle.settlement.onchain import Quorum  # noqa: E402
from oracle.settlement.replay import Replay  # noqa: E402
from oracle.settlement.shares import shares_of  # noqa: E402
from oracle.store.paid import Attribution, Credit, Terms  # noqa: E402
from oracle.types import OPEN, Address, BasisPoints, Wei  # noqa: E402

WORDS = (
    "lamp router cable button screen window garden bottle pepper ladder carpet engine library doctor harvest river"
    " copper violin anchor basket candle desert falcon glacier hammer island jacket kettle lantern magnet needle"
    " orchid pillow quarry"
).split()
PARTS = 1_000_000
UNREAD = "(for comparison: a junk flood that nobody reads)"
FREE = "(for comparison: splitting where accounts cost nothing)"  # in parts of the fees
FEW = 10  # seeds, of which a mean says little
EPOCHS, BATCH = 10, 4
GAS_PRICE, OPEN_PER_ETHER = 10**9, 2_000  # what a contribution costs beside its bond
FARMER, TREASURY, COMMONS = account(500), account(902), account(903)
SPLIT = tuple(BasisPoints(part) for part in (7_000, 2_000, 0, 300, 300, 400))
TERMS = Terms(SPLIT, account(901), TREASURY, COMMONS, (), ((account(904), 1),), ((account(906), 1),))


Scored = tuple[dict[str, float], float, float]  # scores by account, length of the gradient, gain


@dataclass(frozen=True)
class Row:
    """Words, of which those from `answer_from` on are the answer."""

    words: tuple[str, ...]
    answer_from: int
    owner: Address

    def query(self, name: str) -> Query:
        return Query(name, tuple(1 + WORDS.index(word) for word in self.words), self.answer_from)


class Datanet:
    """Rows in the order in which they came, and the adapter that was trained on them."""

    def __init__(self, rows: Sequence[Row], seed: int) -> None:
        self.rows, self._seed = list(rows), seed
        self.accounts = self._holders()

    def _holders(self) -> list[Address]:
        """Whose each row's credit is: that of the earliest owner of its cluster, by intake's own index."""
        index = NearIndex(Policy().near_share)
        near, founders = index.add(
            Splitter().split([" ".join(row.words) for row in self.rows]), np.ones(len(self.rows), bool)
        )
        founded = [int(place) for place in founders.rows]
        held = [row.owner for row in self.rows]
        for one in near:
            if not one.facts_differ:
                held[one.row] = self.rows[founded[one.founder]].owner
        return held

    @cached_property
    def asked(self) -> tuple[Limits, list[Scored]]:
        """The limits that calibration measures, and scores, length and gain of every answer that a row teaches."""
        model = taught_model(self._seed)
        said = [row.query(f"row {number}") for number, row in enumerate(self.rows)]
        record = recorded(model, said, self.accounts)
        digest = digest_of(model)
        with tempfile.TemporaryDirectory() as folder:
            write_index(Path(folder), record, digest)
            index = Index(Path(folder), digest)
            chance = random.Random(f"unrelated {self._seed}")
            unrelated = [Query(f"u{n}", tuple(chance.choices(range(1, 35), k=8)), 4) for n in range(16)]
            limits = limits_from(score(model, index, unrelated), index.rows_of(), gains(model, unrelated))
            scores, raised = score(model, index, said), gains(model, said)
        return limits, [(scores.of(one.id), scores.length(one.id), raised[one.id]) for one in said]

    def attribution(self, number: int) -> Attribution:
        """Of the answer that a row teaches: soft thresholds, abstention and all."""
        limits, asked = self.asked
        return credited(asked[number], limits)

    def income(self, answers: Sequence[int], fee: Wei, side: Sequence[Address], terms: Terms = TERMS) -> int:
        """What accounts get of answers of one fee."""
        return sum(
            amount
            for number in answers
            for _, who, amount in shares_of(fee, terms, self.attribution(number))
            if who in side
        )


def credited(answer: Scored, limits: Limits) -> Attribution:
    """By the share rule, in the integers that settlement reads."""
    found = propose(*answer, limits)
    paid = tuple(Credit(text(name), Address(name), int(share * PARTS)) for name, share in found.shares)
    return Attribution(paid, PARTS - sum(credit.weight for credit in paid))


def taught_model(seed: int) -> PeftModel:
    """A base that knows nothing, with an adapter that has learned nothing yet."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=40,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=32,
    )
    made = get_peft_model(LlamaForCausalLM(config), LoraConfig(r=8, lora_alpha=16, target_modules="all-linear"))
    assert isinstance(made, PeftModel)
    return made


def recorded(model: PeftModel, said: Sequence[Query], owners: Sequence[str]) -> Record:
    """Trains it on the rows, and records whose rows moved it where."""
    steps = -(-len(said) // BATCH) * EPOCHS
    recorder = Recorder(model, plan_for(steps, EPOCHS, 3), owners)
    optimizer = torch.optim.AdamW([part for part in model.parameters() if part.requires_grad], 0.005, weight_decay=0)
    model.eval()  # no dropout: two runs of one seed are the same
    starts = [start for _ in range(EPOCHS) for start in range(0, len(said), BATCH)]
    for step, start in enumerate(starts):
        chosen = range(start, min(start + BATCH, len(said)))
        with recorder.step(step, chosen, len(chosen)):
            (answer_losses(model, [said[at] for at in chosen]).sum() / len(chosen)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    return recorder.finish()


@dataclass(frozen=True)
class Contracts:
    """What being caught, or only taking part, costs."""

    contribute: Wei
    bond: Wei  # an attestor's
    finder_bps: int

    @classmethod
    def read(cls) -> Contracts:
        gas = json.loads((ROOT / "docs" / "benchmarks" / "gas.json").read_text(encoding="utf-8"))["figures"]
        seats = yaml.safe_load((ROOT / "scripts" / "parameters.yaml").read_text())["defaults"]["attestor_set"]
        cost = Wei(gas["contribute"] * GAS_PRICE * OPEN_PER_ETHER)
        return cls(cost, Wei(seats["min_bond"] * OPEN), seats["finder_bps"])


def row(chance: random.Random, owner: Address, words: Sequence[str] = WORDS) -> Row:
    return Row(tuple(chance.sample(words, 10)), 5, owner)


def reworded(chance: random.Random, one: Row, owner: Address) -> Row:
    """One word of it another one."""
    words = list(one.words)
    words[chance.randrange(len(words))] = chance.choice([word for word in WORDS if word not in words])
    return Row(tuple(words), one.answer_from, owner)


def opening(seed: int) -> tuple[random.Random, Wei, list[Row], list[Row]]:
    """Chance, the fee of an answer, honest rows, and six rows of the farmer's own."""
    chance = random.Random(seed)
    fee = Wei(chance.randrange(10**15, 10**17))
    honest = [row(chance, account(n // 4)) for n in range(24)]
    return chance, fee, honest, [row(chance, FARMER) for _ in range(6)]


def in_many_accounts(own: Sequence[Row]) -> list[Row]:
    return [Row(one.words, one.answer_from, account(600 + n)) for n, one in enumerate(own)]


def farmers(seed: int) -> dict[str, float]:
    """By attack: what its side gains, in parts of what it spent."""
    torch.set_num_threads(1)
    contracts = Contracts.read()
    chance, fee, honest, own = opening(seed)
    market = range(24)  # the answers that others ask for: one for each honest row
    plain = Datanet(honest, seed)
    found: dict[str, float] = {}

    # Rows of one's own, one's own model and review, and one's own traffic.
    with_own = Datanet([*honest, *own], seed)
    mine = range(24, 30)
    everything = Terms(SPLIT, FARMER, TREASURY, COMMONS, (), ((FARMER, 1),), TERMS.attestors)
    spent = fee * len(mine) + contracts.contribute
    found["self-dealing: own rows, model, review and traffic"] = (
        with_own.income(mine, fee, [FARMER], everything) - spent
    ) / spent
    # A reviewer in league, who accepts what nobody needs, on a model of somebody else.
    league = Terms(SPLIT, TERMS.builder, TREASURY, COMMONS, (), ((FARMER, 1),), TERMS.attestors)
    extra = with_own.income(market, fee, [FARMER], league) - plain.income(market, fee, [FARMER], league)
    found["colluding reviewer: own rows waved through, and own traffic"] = (
        with_own.income(mine, fee, [FARMER], league) + extra - spent
    ) / spent

    # The same rows in many accounts: against the same rows in one.
    many = in_many_accounts(own)
    split = Datanet([*honest, *many], seed)
    asked = [*market, *mine]
    one_account = with_own.income(asked, fee, [FARMER])
    accounts = split.income(asked, fee, [each.owner for each in many])
    found[FREE] = (accounts - one_account) / (fee * len(asked))
    spent = contracts.contribute * (len(many) - 1)  # each of them contributes by itself
    found["sybil splitting: six rows in six accounts"] = (accounts - one_account - spent) / spent

    # Somebody else's rows, as they are and with a word changed.
    for name, copies in (
        ("cloning: all rows of another contributor", [Row(one.words, one.answer_from, FARMER) for one in honest[:4]]),
        ("rewording: all rows of another contributor", [reworded(chance, one, FARMER) for one in honest[:4]]),
    ):
        gained = Datanet([*honest, *copies], seed).income(market, fee, [FARMER])
        found[name] = (gained - contracts.contribute) / contracts.contribute

    # A flood of noise, in the hope that some of it sticks to other people's answers. A reviewer reads a few of its rows
    # and sees through every second one; what it would bring if nobody read it is shown beside.
    noise = [Row(tuple(chance.choices(WORDS, k=10)), 5, FARMER) for _ in range(24)]
    gained = Datanet([*honest, *noise], seed).income(market, fee, [FARMER])
    for name, accepted in (("junk flood: a reviewer reads three of its rows", 8), (UNREAD, 1)):
        found[name] = (gained / accepted - contracts.contribute) / contracts.contribute

    # Rows to be learned by heart, which only the farmer's own questions bring up.
    bait = row(chance, FARMER)
    baits = [bait] * 8
    baited = Datanet([*honest, *baits], seed)
    spent = fee * 8 + contracts.contribute
    gained = baited.income([24] * 8, fee, [FARMER]) + baited.income(market, fee, [FARMER])
    found["bait rows: one row eight times, and its question"] = (gained - spent) / spent

    return found | oracle_lies(seed, contracts) | attestor_lies(contracts)


def oracle_lies(seed: int, contracts: Contracts) -> dict[str, float]:
    """An operator that credits itself: whoever replays the document objects, and no root carries it."""
    with tempfile.TemporaryDirectory() as folder:
        database, blobs = new_store(Path(folder))
        world = new_world(seed=seed)
        with database.transaction() as connection:
            world.serve(connection, 6)
        made, _ = publish(database, blobs, world)
        told = [orjson.loads(line) for line in Reader(BytesIO(blobs.read(made.document))).lines()]
        database.close()
    thief, caught, lies = str(FARMER), 0, 0
    for one in (line for line in told if line["kind"] == "receipt"):
        lies += 1
        before = one["shares"][0][1]
        one["shares"][0][1] = thief
        try:
            Replay(BytesIO(packed(told)[0]), signatures=False).run()
        except Difference:
            caught += 1
        one["shares"][0][1] = before
    gas = json.loads((ROOT / "docs" / "benchmarks" / "gas.json").read_text(encoding="utf-8"))["figures"]
    spent = int(gas["settle100_each"]) * 3 * GAS_PRICE * OPEN_PER_ETHER  # the vouchers are settled, no root follows
    stolen = 0 if caught == lies else made.end.fees
    return {"lying oracle: credits of others for itself": (stolen - spent) / spent}


def attestor_lies(contracts: Contracts) -> dict[str, float]:
    """One of three who signs what is false: no quorum, and of its bond it can win back a finder's part alone."""
    seats = {account(n): contracts.bond for n in range(3)}
    quorum = Quorum(seats, sum(seats.values()), 2)
    stolen = 2**96 if quorum.reached([account(0)]) else 0
    back = contracts.bond * contracts.finder_bps // 10_000
    return {"lying attestor minority: one of three signs a lie": (stolen + back - contracts.bond) / contracts.bond}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--json", type=Path, help="where every attack's best and mean return is written")
    chosen = parser.parse_args()
    gained: dict[str, list[float]] = {}
    for seed in range(chosen.first, chosen.first + chosen.seeds):
        for name, gain in farmers(seed).items():
            gained.setdefault(name, []).append(gain)
        print(f"seed {seed}: best {max(v[-1] for n, v in gained.items() if n not in (UNREAD, FREE)):+.6f}", flush=True)
    for name, values in gained.items():
        print(f"{name:<64} best {max(values):+.6f}  mean {sum(values) / len(values):+.6f}")
    if chosen.json:
        rows = [{"attack": n, "best": max(v), "mean": sum(v) / len(v), "seeds": len(v)} for n, v in gained.items()]
        chosen.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 0 if all(is_loss(name, values) for name, values in gained.items()) else 1


def is_loss(name: str, gains: Sequence[float]) -> bool:
    """Over all seeds that were played; of one seed alone chance may say anything."""
    if name == UNREAD:
        return True  # what review is for
    if name == FREE:
        return len(gains) < FEW or sum(gains) < 0
    return max(gains) < 0


if __name__ == "__main__":
    sys.exit(main())
