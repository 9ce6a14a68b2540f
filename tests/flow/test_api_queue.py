"""Answers through a real Redis: the same tokens as from an engine in the process, also when Redis dies in between."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flow.test_api_openai import ASKED, book

from fixtures.queues import Redis
from fixtures.shop import Shop, engine_for_tests, running_shop, served
from fixtures.waiting import eventually
from oracle.api.shop import engine_of
from oracle.daemon.inference_queue import Host, connect


@contextmanager
def hosted(shop: Shop) -> Iterator[Host]:
    engine, over = engine_for_tests(shop.ground), threading.Event()
    host = Host(connect(shop.settings), shop.database, engine, "tests")
    thread = threading.Thread(target=host.run, args=(over,), daemon=True)
    thread.start()
    yield host
    over.set()
    thread.join(10)
    engine.close()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with running_shop(tmp_path, None, deployments=book(tmp_path), free=("law",)) as opened:
        yield opened


def ask(url: str, shop: Shop, **more: object) -> str:
    client = Shop(shop.settings, shop.ground, None, url).openai()
    stream = client.chat.completions.create(model="law", messages=ASKED, max_tokens=12, seed=5, stream=True, **more)  # type: ignore[call-overload]
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream)


def test_queue__when_an_engine_works_for_it__then_the_answer_is_that_of_an_engine_in_the_process(
    shop: Shop, private_redis: Redis
) -> None:
    by_queue = shop.settings.model_copy(update={"inference": "queue", "redis_url": private_redis_url(private_redis)})
    shop.settings = by_queue
    with hosted(shop), served(by_queue, engine_of) as (url, app):
        assert ask(url, shop) == ask(shop.url, shop) != ""
        private_redis.kill()
        engine = app.state.front._opened.engine
        eventually("nobody waits for an answer", lambda: engine.load().running == 0)
        private_redis.start()
        assert ask(url, shop) == ask(shop.url, shop)


def private_redis_url(server: Redis) -> object:
    from pydantic import SecretStr

    return SecretStr(f"redis+socket://{server.socket}")
