"""The API against its own description: whatever is sent, nothing ends in a 500, and every refusal is the envelope."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode

from fixtures.escrowed import Counting, played
from oracle.api.app import create


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    opened, _, _ = played(
        tmp_path_factory.mktemp("fuzz") / "home", calls_per_minute=10**6, address_calls_per_minute=10**6, free="law"
    )
    app = create(opened, lambda ground: Counting())
    yield schemathesis.openapi.from_asgi("/openapi.json", app)
    asyncio.run(app.state.front.close())


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_api__when_fuzzed_by_its_own_description__then_it_never_breaks(described: Any, mode: GenerationMode) -> None:
    tried: set[str] = set()
    for found in described.get_all_operations():
        operation = found.ok()
        tried.add(operation.label)

        @settings(
            max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate],
            database=None,
        )  # fmt: skip
        @given(case=operation.as_strategy(generation_mode=mode))
        def fuzz(case: schemathesis.Case) -> None:
            answer = case.call()
            # 503: no loop has run here, and there is no chain to ask.
            assert answer.status_code < 500 or answer.status_code == 503, (case.as_curl_command(), answer.text)
            if answer.status_code >= 400 and case.path.startswith("/v1"):
                error = answer.json()["error"]
                assert error["message"] and error["code"] and "Traceback" not in answer.text

        with suppress(Unsatisfiable):  # nothing can be wrong with a call that takes nothing
            fuzz()
    assert {"POST /v1/chat/completions", "POST /v1/responses", "POST /v1/quote", "POST /v1/keys"} <= tried
