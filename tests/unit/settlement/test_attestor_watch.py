"""An attestor that watches: says what it found once, asks again for what is missing, and is told when it is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import requests
from unit.settlement.world import Person

from oracle.settlement.attest import Opinion
from oracle.settlement.watching import OperatorSilent, OpinionRefused, Publisher
from oracle.types import Address


@dataclass
class Answer:
    status_code: int
    content: bytes = b""

    @property
    def text(self) -> str:
        return self.content.decode()


@dataclass
class Session:
    """Stands where the network is; the server itself is tried by the flow tests."""

    answer: Callable[[str], Answer]
    asked: list[str] = field(default_factory=list)

    def get(self, url: str, timeout: float) -> Answer:
        self.asked.append(url)
        return self.answer(url)

    def post(self, url: str, data: bytes, timeout: float) -> Answer:
        self.asked.append(url)
        return self.answer(url)


def publisher(answer: Callable[[str], Answer]) -> Publisher:
    return Publisher("https://oracle.example/", cast(Any, Session(answer)))


OPINION = Opinion(Address(Person("attestor 0").address), bytes(65), {"sampled": 1, "recomputed": 0})


def test_publisher__when_nothing_is_published__then_none_and_when_it_is_unwell__then_again() -> None:
    assert publisher(lambda url: Answer(404)).published() is None
    with pytest.raises(OperatorSilent, match="502"):
        publisher(lambda url: Answer(502, b"bad gateway")).published()

    def gone(url: str) -> Answer:
        raise requests.ConnectionError("no route")

    with pytest.raises(OperatorSilent, match="no route"):
        publisher(gone).published()


@pytest.mark.parametrize(("status", "error"), [(409, OperatorSilent), (503, OperatorSilent), (422, OpinionRefused)])
def test_give__when_the_operator_does_not_take_it__then_later_or_a_person(status: int, error: type[Exception]) -> None:
    publisher(lambda url: Answer(202)).give(OPINION)
    with pytest.raises(error):
        publisher(lambda url: Answer(status, b"why")).give(OPINION)


def test_opinion__through_json__then_it_is_itself() -> None:
    opinion = Opinion(OPINION.signer, bytes(65), {"sampled": 2}, unable={"no model": 2}, drawn_at=7)
    assert Opinion.from_json(opinion.as_json()) == opinion
