"""The queues: Celery on Redis. A message is a hint that there is work in the store; losing one costs time, never work.

infer      answers            train     adapters, in resumable pieces
attribute  whose rows         bench     evaluations and calibrations
ingest     contributions      settle    chain, batches, roots
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from celery import Celery
from kombu.entity import Queue

from oracle.config import Settings

QUEUES = ("infer", "attribute", "train", "bench", "ingest", "settle")

# What runs again and again: seconds between two rounds. The queue stands before the dot.
ROUNDS: Mapping[str, int] = {
    "settle.reconcile": 5,
    "settle.index": 4,
    "settle.send": 4,
    "settle.hear": 4,
    "settle.advance": 6,
    "settle.earnings": 10,
    "settle.models": 4,
    "ingest.look": 4,
    "bench.documents": 10,
    "ingest.forget": 600,
}

# A step may run for so long; a longer piece of work is cut into steps that go on where the last one ended.
LONGEST_STEP = 6 * 3600
# Longer than that: else the broker would hand a message to a second worker while the first still works on it.
VISIBILITY = LONGEST_STEP + 3600


def app(settings: Settings) -> Celery:
    """The Celery application: the same for those who send hints and those who follow them."""
    made = Celery("openledger", broker=broker_url(settings), set_as_current=False)
    made.conf.update(
        task_queues=[Queue(name) for name in QUEUES],
        task_create_missing_queues=True,  # the canaries'
        task_ignore_result=True,  # results are in the store
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        task_time_limit=LONGEST_STEP,
        task_serializer="json",
        accept_content=["json"],
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # a broker may be away for a night
        # A step goes on when the broker goes away: its lease in the store keeps a second one from being begun.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_transport_options={
            "visibility_timeout": VISIBILITY,
            "socket_keepalive": True,
            "socket_timeout": 30,
            "health_check_interval": 20,
        },
        worker_hijack_root_logger=False,
        worker_enable_remote_control=True,
        worker_send_task_events=False,
        enable_utc=True,
    )
    return made


def hint(sender: Celery, step: str, subject: str) -> None:
    """Tells the workers of a step's queue to look at the store."""
    sender.send_task(step, args=[subject], queue=queue_of(step), retry=False)


def queue_of(step: str) -> str:
    queue = step.partition(".")[0]
    if queue not in QUEUES:
        raise ValueError(f"step {step}: its name has to begin with a queue: {', '.join(QUEUES)}")
    return queue


def broker_url(settings: Settings) -> str:
    given = settings.redis_url.get_secret_value()
    return given or f"redis+socket://{private_socket(settings.home)}"


def private_socket(home: Path) -> Path:
    """Where the Redis of `openledger up` listens: a file that this account alone can open."""
    return home / "redis" / "redis.sock"


def beat(settings: Settings) -> None:
    """Sends out the rounds until it is ended, each once at the beginning: else a beat that is restarted often would
    never come to the slow ones. A round that nobody came to in time is dropped.
    """
    sender, long_ago = app(settings), datetime.fromtimestamp(0, UTC)
    sender.conf.beat_schedule = {
        name: {
            "task": name,
            "schedule": every,
            "last_run_at": long_ago,
            "options": {"queue": queue_of(name), "expires": every},
        }
        for name, every in ROUNDS.items()
    }
    # It keeps nothing between two lives: rounds are frequent, and running one twice does no harm.
    sender.Beat(scheduler_cls="celery.beat:Scheduler", loglevel="WARNING", quiet=True).run()
