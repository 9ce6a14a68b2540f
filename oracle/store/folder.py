"""A folder by URL, through fsspec: files appear whole or not at all, on a disk as in an object store."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

import fsspec
from fsspec.implementations.local import LocalFileSystem

from oracle.errors import NeedsPerson, Retry


class FolderUnavailable(Retry):
    """The folder's machine does not answer, or its disk is full."""


class Folder:
    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise NeedsPerson(f"{url}: not a folder that can be opened ({error})") from error
        # On a disk, atomic writing takes care of its own; in an object store, a file exists when its upload has ended.
        self._on_disk = isinstance(self._files, LocalFileSystem)

    def has(self, name: str) -> bool:
        with self._watched():
            return bool(self._files.exists(self._path(name)))

    def names(self, suffix: str = "") -> list[str]:
        with self._watched():
            if not self._files.exists(self._root):
                return []
            found = self._files.find(self._root)
            return sorted(str(path)[len(self._root) + 1 :] for path in found if str(path).endswith(suffix))

    def read(self, name: str) -> bytes:
        """Raises FileNotFoundError."""
        with self._watched():
            return bytes(self._files.cat_file(self._path(name)))

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """The file as it is now, seekable: a later writer cannot change it. Raises FileNotFoundError."""
        with self._watched():
            opened = self._opened(name)
        with opened:
            yield opened

    def _opened(self, name: str) -> BinaryIO:
        if self._on_disk:
            return Path(self._path(name)).open("rb")
        copy = tempfile.TemporaryFile()  # noqa: SIM115 — closed by whoever opened it
        with self._files.open(self._path(name), "rb") as remote:
            shutil.copyfileobj(remote, copy)
        copy.seek(0)
        return copy

    def write(self, name: str, content: IO[bytes]) -> None:
        """Replaces what stood there."""
        with self._watched():
            if not self._on_disk:
                with tempfile.NamedTemporaryFile() as whole:
                    shutil.copyfileobj(content, whole)
                    whole.flush()
                    self._files.put_file(whole.name, self._path(name))
                return
            target = Path(self._path(name))
            temporary = _written(target, content)
            try:
                temporary.replace(target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            _sync(target.parent)

    def create(self, name: str, content: IO[bytes]) -> bool:
        """Writes it unless something stands there already; says whether it did."""
        with self._watched():
            if not self._on_disk:
                try:
                    self._files.pipe_file(self._path(name), content.read(), mode="create")
                except FileExistsError:
                    return False
                return True
            target = Path(self._path(name))
            temporary = _written(target, content)
            try:
                os.link(temporary, target)
            except FileExistsError:
                return False
            finally:
                temporary.unlink()
            _sync(target.parent)
            return True

    def destroy(self, name: str) -> None:
        """Removes it if it is there; on a disk its bytes are overwritten first."""
        with self._watched():
            path = self._path(name)
            if not self._files.exists(path):
                return
            if self._on_disk:
                with Path(path).open("r+b") as opened:
                    opened.write(bytes(Path(path).stat().st_size))
                    opened.flush()
                    os.fsync(opened.fileno())
            self._files.rm_file(path)

    def _path(self, name: str) -> str:
        if any(part in ("", ".", "..") for part in name.split("/")):
            raise ValueError(f"{name!r} is not the name of a file in {self.url}")
        return f"{self._root}/{name}"

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, FileExistsError):
            raise
        except PermissionError as error:
            raise NeedsPerson(f"{self.url}: {error}; the oracle's account has to read and write there") from error
        except OSError as error:
            raise FolderUnavailable(f"{self.url}: {error}") from error


def _written(target: Path, content: IO[bytes]) -> Path:
    """A finished file beside its place, safe on the disk."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as opened:
            shutil.copyfileobj(content, opened)
            opened.flush()
            os.fsync(opened.fileno())
    except BaseException:
        Path(name).unlink()
        raise
    return Path(name)


def _sync(folder: Path) -> None:
    """A new name survives a power cut only when its folder is written too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
