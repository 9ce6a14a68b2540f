"""Where commands about models find the oracle of this machine, and runs without one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from oracle.config import read_settings
from oracle.daemon.ground import Ground
from oracle.errors import NeedsPerson

if TYPE_CHECKING:
    from oracle.daemon.workshop import Prepared
    from oracle.store.models import Model

FOLDER = click.Path(path_type=Path, file_okay=False)


def ground_here() -> Ground | None:
    """None where no oracle was made here: folders can be trained on all the same."""
    ground = Ground(read_settings())
    return ground if ground.settings.database_url or (ground.settings.home / "ledger.db").exists() else None


def needed() -> Ground:
    ground = ground_here()
    if ground is None:
        raise NeedsPerson("there is no oracle here: run `openledger init`")
    return ground


def found_in(ground: Ground, name: str) -> Model:
    from oracle.daemon.workshop import find

    return find(ground, name)


def run_folder(name: str, out: Path | None) -> Path:
    return out or read_settings().home / "runs" / name


def prepared_from(file: Path, ground: Ground | None) -> Prepared:
    from oracle.daemon.workshop import gather
    from oracle.factory.recipe import read

    return gather(read(file), ground, read_settings().home / "factory")
