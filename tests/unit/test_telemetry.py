"""Log lines carry ids and never secrets."""

from __future__ import annotations

import io
import json
import logging

import pytest

from oracle.telemetry import JsonLines, about, hide


@pytest.fixture
def lines() -> tuple[logging.Logger, io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.Logger("trial")
    logger.addHandler(handler)
    return logger, stream


def test_line__when_inside_about__then_carries_the_ids(lines: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = lines
    with about(batch=7, tx=b"\x01" * 32), about(block=9):
        logger.info("posted %d", 3, extra={"receipt": b"\xff"})
    logger.info("after")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["said"] == "posted 3"
    assert (first["batch"], first["block"], first["tx"], first["receipt"]) == (7, 9, "0x" + "01" * 32, "0xff")
    assert "batch" not in second


def test_line__when_something_failed__then_is_still_one_line(lines: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = lines
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logger.exception("it failed")
    (line,) = stream.getvalue().splitlines()
    assert "ValueError: two\nlines" in json.loads(line)["error"]


def test_line__when_a_secret_turns_up__then_is_struck_out_wherever_it_stands(
    lines: tuple[logging.Logger, io.StringIO],
) -> None:
    logger, stream = lines
    hide("https://node/v3/0123456789abcdef")
    try:
        raise ConnectionError("https://node/v3/0123456789abcdef said no; redis://user:hunter2@host/0 neither")
    except ConnectionError:
        logger.exception("postgresql://ledger:hunter2@host/db and https://node/v3/0123456789abcdef")
    written = stream.getvalue()
    assert "0123456789abcdef" not in written
    assert "hunter2" not in written
    assert "@host/db" in written


def test_about__when_an_id_is_unknown__then_refuses() -> None:
    with pytest.raises(ValueError, match="prompt"), about(prompt="secret"):
        pass
