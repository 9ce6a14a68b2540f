"""What is typed wrongly is refused where it was typed, in a sentence and not in a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from oracle.cli import main

ACCOUNT = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def typed(*words: str) -> Result:
    return CliRunner().invoke(main, words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["statement", "0xabc"], "0x and 40 hexadecimal digits"),
        (["claim", ACCOUNT[:-1] + "9"], "a character of this address is wrong"),
        (["datanet", "create", "--name", "a", "--licence", "b", "--reviewer", "anna"], "0x and 40 hexadecimal digits"),
        (["erase", "the first"], "it is 64 hexadecimal digits"),
        (["erase", "0x" + 32 * "ab", "--row", "3"], "it is 64 hexadecimal digits"),
        (["sign", 32 * "ab", "signature", "--deadline", "1"], "it is hexadecimal digits"),
        (["review", "decide", "ab", "1", "--accept"], "it is 64 hexadecimal digits"),
        (["review", "decide", 32 * "ab", "0", "--accept"], "not in the range x>=1"),
        (["datanet", "bond", "1", "0"], "not in the range x>=1"),
    ],
)
def test_command__given_what_is_none__then_says_which_and_how_it_is_written(words: list[str], said: str) -> None:
    done = typed(*words)
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())


@pytest.mark.parametrize("written", [ACCOUNT, ACCOUNT.lower(), "0x" + ACCOUNT[2:].upper()])
def test_command__given_an_account_in_any_of_its_forms__then_goes_on(written: str) -> None:
    done = typed("statement", written)
    assert done.exit_code == 1
    assert "`openledger init` makes" in done.output  # the next thing that is missing here


def test_command__where_its_home_cannot_be__then_names_the_file(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty / "file").touch()
    monkeypatch.setenv("OPENLEDGER_HOME", str(empty / "file" / "home"))
    done = typed("init")
    assert done.exit_code == 1
    assert f"Error: {empty / 'file' / 'home'}: Not a directory" in done.output
