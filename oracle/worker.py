"""The Celery worker: task bodies of a few lines. Load, call one step, save.

What a task does is a step (once per subject, its truth in the table of work) or a round (again and again).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import click
from celery import Celery
from celery.signals import task_postrun, task_prerun, worker_process_shutdown

from oracle import jobs
from oracle.config import read_settings
from oracle.daemon import attributing, documents, forgetting, intake, models, settling, training
from oracle.daemon.canary import Cage
from oracle.daemon.ground import Ground
from oracle.daemon.rounds import reconcile, run_round
from oracle.daemon.steps import Result, Runner
from oracle.daemon.watch import stop_for
from oracle.errors import Retry
from oracle.telemetry import configure_logs, forget_process

Step = Callable[[Ground, str], Result]
Round = Callable[[Ground, Celery], object]

STEPS: Mapping[str, Step] = {
    **{f"ingest.{name}": intake.step(name) for name in intake.STEPS},
    documents.STEP: documents.index,
    attributing.STEP: attributing.step,
    training.STEP: training.step,
}

ROUNDS: Mapping[str, Round] = {
    "settle.index": lambda ground, app: ground.indexer.catch_up(),
    "settle.hear": lambda ground, app: intake.hear(ground),
    "ingest.look": lambda ground, app: intake.look(ground, partial(jobs.hint, app)),
    "bench.documents": lambda ground, app: documents.look(ground, partial(jobs.hint, app)),
    "settle.advance": lambda ground, app: settling.advance(ground),
    "settle.earnings": lambda ground, app: settling.read_earnings(ground),
    "settle.models": lambda ground, app: (models.hear(ground), models.advance(ground)),
    "ingest.forget": lambda ground, app: forgetting.forget(ground),
    "settle.send": lambda ground, app: ground.sender.advance() if ground.sender else None,
    "settle.reconcile": lambda ground, app: reconcile(ground.database, partial(jobs.hint, app)),
}


@cache
def ground() -> Ground:
    """One per process: connections do not survive a fork."""
    return Ground(read_settings())


def tasks(app: Celery, cage: Cage) -> None:
    """Registers every step, every round and the canary."""
    for name, step in STEPS.items():
        _register_step(app, cage, name, step)
    for name, action in ROUNDS.items():
        _register_round(app, cage, name, action)

    @app.task(name="canary")
    def canary() -> None:
        cage.sang()


def _register_step(app: Celery, cage: Cage, name: str, step: Step) -> None:
    @app.task(name=name)
    def run(subject: str) -> None:
        outcome = _stopping(cage, lambda: Runner(ground().database).run(name, subject, partial(step, ground())))
        if outcome == "more":
            jobs.hint(app, name, subject)


def _register_round(app: Celery, cage: Cage, name: str, action: Round) -> None:
    every = jobs.ROUNDS[name]

    @app.task(name=name)
    def run() -> None:
        _stopping(cage, lambda: run_round(ground().database, name, every, lambda: action(ground(), app)))


def _stopping(cage: Cage, run: Callable[[], str]) -> str:
    """An unknown error, or one that may cost money, ends the worker. After a Retry a hint comes again by itself."""
    try:
        return run()
    except Retry:
        return "again"
    except Exception as error:
        stop_for(cage, f"{type(error).__name__}: {error}")
        raise


@click.command()
@click.option("--node", required=True)
@click.option("--queues", required=True)
def main(node: str, queues: str) -> None:
    """One worker, as `openledger worker` starts it."""
    settings = read_settings()
    configure_logs(settings.log_level)
    app, cage = jobs.app(settings), Cage(settings.home / "run", node)
    tasks(app, cage)

    def _begin(sender: Any = None, **_: object) -> None:
        if sender.name != "canary":
            cage.begin_work()

    def _end(**_: object) -> None:
        cage.end_work()

    def _forget(pid: int, **_: object) -> None:
        forget_process(pid)

    task_prerun.connect(_begin, weak=False)
    task_postrun.connect(_end, weak=False)
    worker_process_shutdown.connect(_forget, weak=False)
    arguments = ["worker", "--hostname", node, "--queues", queues, "--concurrency", "1", "--loglevel", "WARNING"]
    app.worker_main([*arguments, "--without-gossip", "--without-mingle"])


if __name__ == "__main__":
    main()
