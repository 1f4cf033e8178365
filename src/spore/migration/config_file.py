"""A configuration file that is replaced: backed up beside it, whole or not at all, and prepared before anything depends on it.

Invariant: whatever needs room on the disk, or may be refused, has happened once a file is staged. What is left is a rename.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from spore.deploy import make_plan
from spore.deploy.config import SystemConfig
from spore.deploy.load import parse_config

__all__ = ["Staged", "back_up", "checked", "staged"]


def checked(data: bytes, source: str | Path) -> SystemConfig:
    """What a configuration says, once it is sure that it can run.

    Raises:
        ConfigError: with every problem of it.
    """
    config = parse_config(data, source=str(source))
    make_plan(config, apart=True, source=str(source))
    return config


def back_up(path: Path, data: bytes, now: datetime) -> Path:
    """A copy beside a file, with the time in its name, and on the disk. It replaces nothing.

    Args:
        path: the file.
        data: what is in it.
        now: the time.

    Raises:
        OSError: if it cannot be written. There is none then.
    """
    name = f"{path.name}.{now:%Y%m%dT%H%M%SZ}"
    number = 1
    while True:
        copy = path.with_name(f"{name}.bak" if number == 1 else f"{name}-{number}.bak")
        try:
            _write(copy, data, like=path)
        except FileExistsError:
            number += 1
            continue
        _sync_folder(path.parent)
        return copy


class Staged:
    """What is to take the place of a file. Made by `staged`."""

    def __init__(self, path: Path, beside: Path) -> None:
        self._path = path
        self._beside = beside
        self.in_place = False

    def put(self) -> None:
        """Let it take the file's place, at once and whole.

        Raises:
            OSError: if it cannot. The file is as it was.
        """
        try:
            self._beside.replace(self._path)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from None
        self.in_place = True
        with suppress(OSError):  # it is in place, and will be on the disk sooner or later
            _sync_folder(self._path.parent)


@contextmanager
def staged(path: Path, data: bytes) -> Iterator[Staged]:
    """Write what is to take the place of a file beside it, with its mode and owner. Unless it is put, it is gone after the block.

    Raises:
        OSError: if it cannot be written.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        _write(beside, data, like=path)
        yield Staged(path, beside)
    finally:
        beside.unlink(missing_ok=True)


def _write(path: Path, data: bytes, *, like: Path) -> None:
    """Write a new file that others may read and write as they may another one; or none."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        with os.fdopen(handle, "wb") as file:
            with suppress(FileNotFoundError):
                model = like.stat()
                if (model.st_uid, model.st_gid) != (os.getuid(), os.getgid()):
                    with suppress(PermissionError):  # who may replace a file need not be its owner
                        os.fchown(handle, model.st_uid, model.st_gid)
                os.fchmod(handle, model.st_mode & 0o7777)
            file.write(data)
            file.flush()
            os.fsync(handle)
    except OSError as error:
        path.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from None
    except BaseException:
        path.unlink()
        raise


def _sync_folder(folder: Path) -> None:
    """A name is on the disk once its folder is."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
