"""From a question to everybody's claim: vouchers, answers, whose rows they came from, epoch, attestors, root."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import httpx
import openai

from oracle.client.paying import Vouchers
from oracle.settlement.onchain import Onchain
from oracle.settlement.pace import pace_of
from oracle.settlement.post import Settler
from oracle.types import Address
from playing.people import CONSUMER, EVERYBODY, OPERATOR, Person
from playing.rows import Entry, Fact
from playing.stage import CHAIN, OPEN, Stage
from playing.telling import Teller, in_open, until

_DEPOSIT = 20 * OPEN


class Using:
    def __init__(self, stage: Stage, teller: Teller, model: str) -> None:
        self._stage, self._tell, self._model = stage, teller, model
        self._http = httpx.Client(base_url=stage.url, timeout=120)
        self.receipts: list[str] = []
        self.paid = 0

    def deposit(self) -> None:
        stage = self._stage
        stage.pay(CONSUMER, 5 * _DEPOSIT)
        stage.send(CONSUMER, "OpenToken", "approve", stage.address("InferenceEscrow"), _DEPOSIT)
        stage.send(CONSUMER, "InferenceEscrow", "deposit", _DEPOSIT)
        self._tell.step(f"the consumer deposits {in_open(_DEPOSIT)} in the escrow, once")

    def ask(self, asked: Sequence[Fact | Entry]) -> int:
        """With the stock client of OpenAI; each answer is paid by a voucher. Says how many were right."""
        lane = CONSUMER.wallet.lane(CHAIN, self._stage.address("InferenceEscrow"))
        http = httpx.Client(auth=Vouchers(lane, limit=_DEPOSIT), timeout=120)
        client = openai.OpenAI(
            base_url=f"{self._stage.url}/v1",
            api_key="none",
            http_client=http,  # type: ignore[arg-type]  # its types name a fork of httpx; httpx itself does
            max_retries=0,
        )
        right = 0
        for one in asked:
            answer = until("the API answers", partial(self._answer, client, one.question), 120)
            receipt = answer.model_extra["receipt"]
            said = (answer.choices[0].message.content or "").strip()
            right += one.value in said
            self.receipts.append(receipt["id"])
            self.paid += int(receipt["fee"])
            mark = "right" if one.value in said else f"wrong: {one.value}"
            self._tell.step(f"{one.question} “{said}” {mark}; {in_open(int(receipt['fee']))}")
            for source in (answer.model_extra.get("retrieval") or {}).get("used", ()):
                title, owner = source["title"], self._name(source["owner"])
                self._tell.step(f"    it looked up [{source['number']}] “{title}”, given by {owner}")
        # The last answers still need a voucher that ends at their total.
        at = self._http.get(f"/v1/lanes/{CONSUMER.address}/{CONSUMER.address}").json()
        header = lane.header(int(at["total"]))
        self._http.post("/v1/vouchers", json={"vouchers": next(iter(header.values()))}).raise_for_status()
        return right

    def why(self) -> None:
        """Whose rows shaped the answers, as the attribution says."""
        for receipt in self.receipts:
            found = until("the answer is attributed", partial(self._attribution, receipt), 180)
            weights: Counter[str] = Counter()
            for credit in [*found["credits"], *found["documents"]]:
                weights[self._name(credit["owner"])] += int(credit["weight"])
            weights["nobody (commons)"] += int(found.get("unattributed", 0))
            whole = sum(weights.values()) or 1
            shares = ", ".join(
                f"{name} {100 * weight / whole:.0f} %" for name, weight in weights.most_common() if weight
            )
            self._tell.step(f"receipt {receipt[:12]}…: {shares}")

    def settle(self) -> None:
        """The operator closes the epoch, the daemon does the rest; attestors recompute and sign; then the window
        passes."""
        ground = self._stage.ground(OPERATOR)
        onchain = Onchain(ground.rpc, ground.book, ground.settings.finality)
        settler = Settler(ground.database, ground.blobs, onchain, OPERATOR.address, pace_of(ground.settings))
        until("the epoch is closed", lambda: settler.advance(close_now=True), 180)
        said: set[str] = set()
        words = {
            "published": "the epoch is closed and its bytes are published: attestors recompute hashes, sums and terms",
            "attested": "a quorum of attestors has signed",
            "posted": "the root is posted and waits out its window of 600 s, which this chain lets fly",
            "active": "the root is active",
        }

        def active() -> bool:
            self._stage.watch()
            # The first epoch of this chain; the daemon may have opened the next one already.
            state = min(self._get("/settlement/batches"), key=lambda batch: batch["number"])["state"]
            if state in words and state not in said:
                said.add(state)
                self._tell.step(words[state])
                if state == "posted":
                    self._stage.ask("evm_increaseTime", 700)
            return bool(state == "active")

        until("the root is active", active, 240)

    def claim(self) -> dict[Person | str, int]:
        """What each account received, in wei."""
        stage = self._stage
        until("the pool holds what was paid", lambda: stage.read("RewardDistributor", "ledger")[1] >= self.paid, 90)
        accounts: list[tuple[Person | str, Address]] = [(person, person.address) for person in EVERYBODY]
        accounts.append(("treasury and commons", stage.address("OpenTimelock")))
        received: dict[Person | str, int] = {}
        for who, account in accounts:
            claim = self._http.get(f"/settlement/claims/{account}")
            if claim.status_code == 404:
                continue
            told = claim.json()
            before = stage.read("OpenToken", "balanceOf", account)
            sender = who.secret if isinstance(who, Person) else CONSUMER.secret
            stage.transact(sender, told["to"], told["data"])
            received[who] = stage.read("OpenToken", "balanceOf", account) - before
        return received

    def _name(self, account: str) -> str:
        return next((person.name for person in EVERYBODY if person.address == account), account)

    def _answer(self, client: openai.OpenAI, question: str) -> Any:
        self._stage.watch()
        with contextlib.suppress(openai.InternalServerError, openai.PermissionDeniedError, openai.NotFoundError):
            try:
                return client.chat.completions.create(
                    model=self._model, messages=[{"role": "user", "content": question}], max_tokens=24, temperature=0,
                    seed=1,
                )  # fmt: skip
            except openai.APIStatusError as error:
                # The deposit is not final yet.
                if error.status_code == 402:
                    return None
                raise
        return None

    def _attribution(self, receipt: str) -> dict[str, Any] | None:
        self._stage.watch()
        told: dict[str, Any] = self._http.get(f"/v1/receipts/{receipt}/attribution").json()
        return told["attribution"] if told.get("state") == "done" else None

    def _get(self, path: str) -> Any:
        return self._http.get(path).json()
