"""What a contributor sees before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from oracle.commands.datanets import contribute, datanet


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "rows.jsonl"
    made.write_text(
        '{"prompt": "How do I reset it?", "completion": "Hold the small button for ten seconds."}\n'
        '{"prompt": "twice", "prompt": "twice", "completion": "b"}\n'
        '{"prompt": "Who do I write to?", "completion": "Send it to anna.lindqvist@gmail.com today."}\n'
        '{"prompt": "The key?", "completion": "It is ghp_k3Jd8fQz1LmN5vXc7RtY2wBp9HsG4aUe6ToI as always."}\n'
        '{"prompt": "torn',
        encoding="utf-8",
    )
    return made


def test_contribute__as_a_dry_run__then_each_bad_row_is_shown_with_its_line(file: Path) -> None:
    result = CliRunner().invoke(contribute, [str(file), "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "line        2  duplicate_key" in result.output
    assert "line        3  personal_data" in result.output
    assert "line        4  secret" in result.output
    assert "line        5  torn" in result.output
    assert "ghp_k3" not in result.output
    counts = {line[:26].strip(): line[26:].strip() for line in result.output.splitlines()[-4:]}
    assert counts == {"rows": "5", "contributed": "2", "of these for a review": "1", "left out": "3"}


def test_contribute__as_a_dry_run_of_very_many_bad_rows__then_shows_some_and_counts_all(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"foo": 1}\n' * 300)
    result = CliRunner().invoke(contribute, [str(bad), "--dry-run", "--most", "5"])
    assert "… and 295 more" in result.output


@pytest.mark.parametrize(
    "options, says", [(["--kind", "poem"], "--kind: one of training-row"), ([], "--datanet: to which one")]
)
def test_contribute__with_wrong_options__then_says_what_is_missing(file: Path, options: list[str], says: str) -> None:
    result = CliRunner().invoke(contribute, [str(file), *options])
    assert result.exit_code == 2
    assert says in result.output


def test_policy__of_a_file__then_its_rules_and_hash_are_shown(tmp_path: Path) -> None:
    rules = tmp_path / "policy.json"
    rules.write_text('{"languages": ["en"]}')
    result = CliRunner().invoke(datanet, ["policy", "--check", str(rules)])
    assert result.exit_code == 0, result.output
    assert "languages          en" in result.output
    assert "hash 0x" in result.output
