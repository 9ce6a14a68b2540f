"""Commands of retrieval: an index made at once, and what a question finds."""

from __future__ import annotations

import click

from oracle.config import read_settings
from oracle.daemon.ground import Ground
from oracle.types import DatanetId


@click.group()
def retrieval() -> None:
    """Documents that models look up: their indexes, and what a question finds."""


@retrieval.command()
@click.argument("number", type=int)
def build(number: int) -> None:
    """Index the documents of a datanet's newest snapshot; what is indexed already is not read again."""
    ground = Ground(read_settings())
    ground.builder.build(DatanetId(number))
    made = ground.builder.segments.contents(DatanetId(number))
    assert made is not None
    model = made.encoder or "words alone"
    click.echo(f"datanet {number}: {len(made.segments)} segments of snapshot {made.snapshot}, {model}")


@retrieval.command()
@click.argument("question")
@click.option("--datanet", "numbers", type=int, multiple=True, required=True, help="May be given again.")
@click.option("--characters", default=4000, show_default=True, help="That the passages may take.")
def find(question: str, numbers: tuple[int, ...], characters: int) -> None:
    """The passages that a model would be given, and those that were looked at and left out."""
    ground = Ground(read_settings())
    found = ground.retriever.find(question, [DatanetId(each) for each in numbers], characters, len)
    for number, passage in enumerate(found.passages, 1):
        click.echo(f"[{number}] {passage.searched}\n    row 0x{passage.row.hex()}, owner {passage.owner}\n")
    for passage in found.considered:
        click.echo(f"left out  row 0x{passage.row.hex()}, owner {passage.owner}")
    if not found.passages and not found.considered:
        click.echo("nothing found")
