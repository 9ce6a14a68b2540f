"""Settings are read once, and say everything that is wrong with them at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from oracle.config import PREFIX, BadSettings, Settings, read_settings


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No settings but those of the test."""
    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def test_settings__when_nothing_is_set__then_all_lies_in_the_home_and_no_key_is_used(
    alone: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = read_settings()
    assert settings.home == tmp_path / ".openledger"
    assert settings.database == f"sqlite:///{tmp_path}/.openledger/ledger.db"
    assert settings.keystore is None and settings.remote_signer is None
    assert settings.http_host == "127.0.0.1"


def test_settings__when_several_are_wrong__then_all_are_named_and_no_value_is_shown(
    alone: pytest.MonkeyPatch,
) -> None:
    alone.setenv("OPENLEDGER_HTTP_PORT", "99999")
    alone.setenv("OPENLEDGER_LOG_LEVEL", "hunter2")
    alone.setenv("OPENLEDGER_DATABSE_URL", "sqlite:///typo.db")
    alone.setenv("OPENLEDGER_PRIVATE_KEY", "0xdeadbeef")
    with pytest.raises(BadSettings) as caught:
        read_settings()
    said = str(caught.value)
    for part in ("HTTP_PORT", "LOG_LEVEL", "DATABSE_URL: no such setting", "PRIVATE_KEY: a raw key does not belong"):
        assert part in said
    assert "hunter2" not in said
    assert "deadbeef" not in said


@pytest.mark.parametrize(
    "given, said",
    [
        ({"KEYSTORE": "key.json"}, "PASSWORD_FILE: missing"),
        ({"SETTLE": "true", "SETTLE_EVERY": "604800"}, "VOUCHER_SECONDS: 93600 s are over before an epoch is settled"),
        ({"REMOTE_SIGNER": "http://signer"}, "REMOTE_SIGNER_ADDRESS: missing"),
        ({"KEYSTORE": "k", "PASSWORD_FILE": "p", "REMOTE_SIGNER": "u", "REMOTE_SIGNER_ADDRESS": "a"}, "choose one"),
        ({"RPC_URLS": " , "}, "name at least one node"),
        ({"FINALITY": "soon"}, "FINALITY"),
    ],
)
def test_settings__when_they_contradict__then_say_how(
    alone: pytest.MonkeyPatch, given: dict[str, str], said: str
) -> None:
    for name, value in given.items():
        alone.setenv(PREFIX + name, value)
    with pytest.raises(BadSettings, match=said):
        read_settings()


def test_settings__when_in_the_file_and_in_the_environment__then_the_environment_wins(
    alone: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "openledger.yaml").write_text("http_port: 9000\nlog_level: DEBUG\nfinality: 12\n")
    alone.setenv("OPENLEDGER_HTTP_PORT", "9001")
    alone.setenv("OPENLEDGER_RPC_URLS", "http://a, http://b")
    settings = read_settings()
    assert (settings.http_port, settings.log_level, settings.finality) == (9001, "DEBUG", 12)
    assert [url.get_secret_value() for url in settings.rpc_urls] == ["http://a", "http://b"]


@pytest.mark.parametrize("content, said", [("a: [", "not YAML"), ("htp_port: 1", "HTP_PORT")])
def test_settings__when_the_file_is_wrong__then_say_so(
    alone: pytest.MonkeyPatch, tmp_path: Path, content: str, said: str
) -> None:
    (tmp_path / "openledger.yaml").write_text(content)
    with pytest.raises(BadSettings, match=said):
        read_settings()


def test_settings__when_shown__then_hide_what_may_be_secret(alone: pytest.MonkeyPatch) -> None:
    alone.setenv("OPENLEDGER_RPC_URLS", "https://node/v3/0123456789abcdef")
    alone.setenv("OPENLEDGER_REDIS_URL", "redis://:hunter2@host/0")
    shown = repr(read_settings())
    assert "0123456789abcdef" not in shown
    assert "hunter2" not in shown


def test_settings__when_described__then_every_one_is() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
