"""What the guides tell people to type exists: commands, their subcommands, options and arguments; settings; pages."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path

import click
import pytest

from oracle.cli import COMMANDS
from oracle.config import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
GUIDES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"])
PEOPLE = ("contributor", "steward", "builder", "consumer", "operator", "attestor", "auditor")


def typed(text: str) -> list[str]:
    """Commands in indented blocks and between backticks, without their comments."""
    found = re.findall(r"^    (openledger [^\n]+)$", text, re.MULTILINE) + re.findall(r"`(openledger [^`\n]+)`", text)
    return [line.partition("  #")[0].replace("…", "X").strip() for line in found]


def fault(line: str) -> str | None:
    """What is wrong with a command, if it could not be typed so."""
    words = shlex.split(line)[1:]
    name = words.pop(0)
    if name not in COMMANDS:
        return f"{line}: no command {name}"
    command = getattr(import_module(f"oracle.commands.{COMMANDS[name][0]}"), name)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return f"{line}: {command.name} has no {words[0]}"
        command = command.commands[words.pop(0)]
    known = {name for each in command.params for name in (*each.opts, *each.secondary_opts) if name.startswith("-")}
    given = [word.strip("[]").partition("=")[0] for word in words]
    strange = [word for word in given if word.startswith("--") and word not in known]
    return f"{line}: no option {', '.join(strange)}" if strange else None


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: str(path.relative_to(ROOT)))
def test_guide__its_commands__then_they_can_be_typed(guide: Path) -> None:
    lines = typed(guide.read_text(encoding="utf-8"))
    assert [said for line in lines if (said := fault(line))] == []


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: str(path.relative_to(ROOT)))
def test_guide__its_settings__then_they_exist(guide: Path) -> None:
    named = set(re.findall(rf"{PREFIX}([A-Z0-9_]+)", guide.read_text(encoding="utf-8")))
    scripts = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "scripts").rglob("*.py"))
    allowed = {name.upper() for name in Settings.model_fields} | set(re.findall(rf"{PREFIX}([A-Z0-9_]+)", scripts))
    assert {name.rstrip("_") for name in named} - allowed == set()


def test_guides__then_there_is_one_for_each_person() -> None:
    assert {file.stem for file in (ROOT / "docs" / "guides").glob("*.md")} == set(PEOPLE)


@pytest.mark.parametrize(
    "line",
    ["openledger nothing", "openledger datanet nothing 1", "openledger contribute x --nothing", "openledger model --x"],
)
def test_fault__of_what_cannot_be_typed__then_it_is_named(line: str) -> None:
    assert fault(line) is not None


def test_web__its_table_of_pages__then_each_has_a_route() -> None:
    pages = ROOT / "oracle" / "web" / "pages"
    routes = set(
        re.findall(r'@routes\.get\("(/[a-z]*)', "\n".join(f.read_text(encoding="utf-8") for f in pages.glob("*.py")))
    )
    table = (ROOT / "docs" / "web.md").read_text(encoding="utf-8").partition("\n## ")[0]
    named = {"/" + path.split("/")[1] for path in re.findall(r"`(/[^`]*)`", table)} - {"/v1"}
    assert named == routes
