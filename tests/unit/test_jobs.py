"""Queues, rounds and steps fit together."""

from __future__ import annotations

from pathlib import Path

import pytest

from oracle import jobs, worker
from oracle.config import Settings


def test_rounds__when_declared__then_the_worker_knows_each_and_a_queue_has_it() -> None:
    assert set(worker.ROUNDS) == set(jobs.ROUNDS)
    assert {jobs.queue_of(name) for name in (*worker.ROUNDS, *worker.STEPS)} <= set(jobs.QUEUES)


def test_queue_of__when_no_queue_stands_before_the_dot__then_refuses() -> None:
    with pytest.raises(ValueError, match="has to begin with a queue"):
        jobs.queue_of("settel.post")


def test_app__when_made__then_loses_no_message_and_holds_none_back(tmp_path: Path) -> None:
    conf = jobs.app(Settings(home=tmp_path)).conf
    assert conf.task_acks_late and conf.task_reject_on_worker_lost
    assert conf.worker_prefetch_multiplier == 1
    assert conf.broker_transport_options["visibility_timeout"] > conf.task_time_limit
    assert conf.accept_content == ["json"]


def test_broker__when_no_url_is_set__then_is_a_socket_in_the_home(tmp_path: Path) -> None:
    assert jobs.broker_url(Settings(home=tmp_path)) == f"redis+socket://{tmp_path}/redis/redis.sock"
    assert jobs.broker_url(Settings(home=tmp_path, redis_url="redis://elsewhere/1")) == "redis://elsewhere/1"
