"""Private rows: authentic or refused, and gone for ever once their key is destroyed."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.store.vault import BadMasterKey, BadSeal, KeyDestroyed, Vault, create_master_key

OWNER, OTHER = b"\x01" * 32, b"\x02" * 32


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    return new_vault(tmp_path_factory.mktemp("vault"))


def new_vault(folder: Path) -> Vault:
    create_master_key(folder / "master")
    return Vault(str(folder / "keys"), folder / "master")


def sealed(vault: Vault, content: bytes, owner: bytes = OWNER) -> bytes:
    return b"".join(vault.seal(owner, [content]))


def opened(vault: Vault, content: bytes, owner: bytes = OWNER) -> bytes:
    return b"".join(vault.unseal(owner, io.BytesIO(content)))


@pytest.mark.parametrize("size", [0, 1, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 200_000])
def test_vault__when_sealed_and_opened__then_gives_the_same(vault: Vault, size: int) -> None:
    content = bytes(size)
    noise = sealed(vault, content)
    assert opened(vault, noise) == content
    assert size < 64 or content[:64] not in noise


@settings(max_examples=60)
@given(st.data())
def test_vault__when_any_byte_changes_or_the_end_is_cut__then_refuses(vault: Vault, data: st.DataObject) -> None:
    noise = bytearray(sealed(vault, bytes(70_000)))
    at = data.draw(st.integers(0, len(noise) - 1))
    if data.draw(st.booleans()):
        noise[at] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del noise[at:]
    with pytest.raises(BadSeal):
        opened(vault, bytes(noise))


def test_vault__when_pieces_are_swapped__then_refuses(vault: Vault) -> None:
    noise, piece = sealed(vault, bytes(200_000)), 64 * 1024 + 16
    head, first, second, rest = (
        noise[:11],
        noise[11 : 11 + piece],
        noise[11 + piece : 11 + 2 * piece],
        noise[11 + 2 * piece :],
    )
    with pytest.raises(BadSeal, match="piece 0"):
        opened(vault, head + second + first + rest)


def test_vault__when_somebody_elses_key_is_used__then_refuses(vault: Vault) -> None:
    sealed(vault, b"of the other", OTHER)
    with pytest.raises(BadSeal):
        opened(vault, sealed(vault, b"rows"), OTHER)


def test_destroy__when_done__then_no_way_leads_back(tmp_path: Path) -> None:
    vault = new_vault(tmp_path)
    noise = sealed(vault, b"rows")
    (key,) = tmp_path.rglob("*.key")
    backup = key.read_bytes()
    vault.destroy(OWNER)
    vault.destroy(OWNER)
    assert not key.exists()
    key.write_bytes(backup)
    assert not vault.exists(OWNER)
    for attempt in (lambda: opened(vault, noise), lambda: sealed(vault, b"new rows")):
        with pytest.raises(KeyDestroyed, match="erased"):
            attempt()
    assert not key.exists()


def test_destroy__when_killed_between_mark_and_key__then_counts_as_done(tmp_path: Path) -> None:
    vault = new_vault(tmp_path)
    noise = sealed(vault, b"rows")
    (key,) = tmp_path.rglob("*.key")
    key.with_suffix(".destroyed").write_bytes(b"")
    with pytest.raises(KeyDestroyed):
        opened(vault, noise)


def test_vault__when_the_key_folder_is_elsewhere__then_does_not_call_it_erased(tmp_path: Path) -> None:
    with pytest.raises(BadSeal, match="was the folder moved"):
        opened(new_vault(tmp_path), b"OLV1" + bytes(40))


def test_master_key__when_there_is_one__then_is_never_replaced(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "master"
    assert create_master_key(file)
    before = file.read_bytes()
    assert not create_master_key(file)
    assert file.read_bytes() == before
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("content, said", [("zz", "64 hexadecimal"), ("ab" * 31, "not 62"), ("", "not 0")])
def test_master_key__when_it_is_none__then_is_refused_without_being_shown(
    tmp_path: Path, content: str, said: str
) -> None:
    file = tmp_path / "master"
    file.touch(0o600)
    file.write_text(content)
    with pytest.raises(BadMasterKey, match=said) as caught:
        Vault(str(tmp_path / "keys"), file)
    assert not content or content not in str(caught.value)


def test_master_key__when_missing_or_open_to_others__then_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "master"
    with pytest.raises(BadMasterKey, match="openledger init"):
        Vault(str(tmp_path / "keys"), file)
    create_master_key(file)
    file.chmod(0o644)
    with pytest.raises(BadMasterKey, match="chmod 600"):
        Vault(str(tmp_path / "keys"), file)
