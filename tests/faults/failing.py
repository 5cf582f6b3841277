"""Let the n-th call of one kind fail, or kill the process: below one folder, and for everything that runs there."""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import os
import signal
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

# By operation, what a real system says when it fails.
CODES = {
    "open": errno.EIO,
    "read": errno.EIO,
    "write": errno.ENOSPC,
    "copy": errno.ENOSPC,
    "stat": errno.EIO,
    "fsync": errno.EIO,
    "replace": errno.EROFS,
    "mkdir": errno.ENOSPC,
    "chmod": errno.EROFS,
    "connect": None,
    "execute": None,
}
_NAMES = {
    "copy": ("sendfile",),
    "stat": ("stat", "lstat", "fstat", "scandir", "listdir"),
    "fsync": ("fsync",),
    "replace": ("replace", "rename"),
    "mkdir": ("mkdir",),
    "chmod": ("chmod",),
}
_SQL = ("execute", "executemany", "executescript", "commit")


class Countdown:
    """Counts the calls of one operation below a folder and lets the n-th of them fail, once."""

    def __init__(self, folder: Path, operation: str, number: int, *, kill: bool) -> None:
        """Nothing is counted before the first call of `step`."""
        self.reached = False
        self._folder = os.fspath(folder)
        self._operation = operation
        self._left = number
        self._kill = kill

    def is_concerned(self, place: object) -> bool:
        """Return whether a path, database address or open descriptor lies below the folder."""
        if isinstance(place, int) and not isinstance(place, bool):
            with contextlib.suppress(OSError):
                place = Path(f"/proc/self/fd/{place}").readlink()
        return isinstance(place, str | os.PathLike) and self._folder in os.fspath(place)

    def step(self, operation: str, place: object) -> None:
        """Fail if this is the call whose turn it is."""
        if operation != self._operation or not self.is_concerned(place):
            return
        self._left -= 1
        if self._left != 0:
            return
        self.reached = True
        if self._kill:
            os.kill(os.getpid(), signal.SIGKILL)
        code = CODES[operation]
        if code is None:
            message = "disk I/O error"
            raise sqlite3.OperationalError(message)
        raise OSError(code, os.strerror(code))


@contextlib.contextmanager
def fail(folder: Path, operation: str, number: int, *, kill: bool = False) -> Iterator[Countdown]:
    """Let the n-th call of an operation fail as long as this lasts, or kill this process."""
    countdown = Countdown(folder, operation, number, kill=kill)
    with pytest.MonkeyPatch.context() as patch:
        if operation in {"open", "read", "write"}:
            _count_files(patch, countdown)
        elif operation in {"connect", "execute"}:
            _count_databases(patch, countdown)
        for name in _NAMES.get(operation, ()):
            patch.setattr(os, name, _wrap(countdown, operation, getattr(os, name)))
        yield countdown


def _wrap(countdown: Countdown, operation: str, call: Any) -> Any:
    def counted(*arguments: Any, **options: Any) -> Any:
        countdown.step(operation, arguments[0] if arguments else ".")
        return call(*arguments, **options)

    return counted


def _count_files(patch: pytest.MonkeyPatch, countdown: Countdown) -> None:
    class File(io.FileIO):
        """A file whose reads and writes are counted, below the buffers of Python."""

        def readinto(self, buffer: Any, /) -> int:
            countdown.step("read", self.fileno())
            return super().readinto(buffer) or 0

        def readall(self) -> bytes:
            countdown.step("read", self.fileno())
            return super().readall()

        def write(self, content: Any, /) -> int:
            countdown.step("write", self.fileno())
            return super().write(content) or 0

    real = io.open

    def counted(file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **options: Any) -> Any:
        if not countdown.is_concerned(file):
            return real(file, mode, buffering, *rest, **options)
        countdown.step("open", file)
        raw = File(file, mode.replace("b", "").replace("t", ""))
        buffered: Any = io.BufferedReader(raw) if "r" in mode else io.BufferedWriter(raw)
        told: Any = dict(zip(("encoding", "errors", "newline"), rest, strict=False)) | options
        return buffered if "b" in mode else io.TextIOWrapper(buffered, **told)

    patch.setattr(io, "open", counted)
    patch.setattr(builtins, "open", counted)
    patch.setattr(os, "open", _wrap(countdown, "open", os.open))


def _count_databases(patch: pytest.MonkeyPatch, countdown: Countdown) -> None:
    connect = sqlite3.connect

    def counted(database: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
        countdown.step("connect", database)
        return connect(database, *arguments, **options, factory=_make_connection(countdown, database))

    patch.setattr(sqlite3, "connect", counted)


def _make_connection(countdown: Countdown, database: Any) -> type[sqlite3.Connection]:
    def make(name: str) -> Any:
        def counted(self: sqlite3.Connection, *arguments: Any) -> Any:
            countdown.step("execute", database)
            return getattr(sqlite3.Connection, name)(self, *arguments)

        return counted

    return type("Connection", (sqlite3.Connection,), {name: make(name) for name in _SQL})


def list_content(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file below a folder by path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
