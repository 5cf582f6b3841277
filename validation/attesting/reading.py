"""Read small files whole and open files below a folder: regular files alone, no larger than told, no way out."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from validation.attesting.errors import AttestationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader
    from pathlib import Path

MAX_PATH = 1000


def _require_inside(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or {"..", "."} & {*value.split("/")} or str(path) != value or not value.isprintable():
        message = f"expected a plain relative path without `..`, got {value!r}"
        raise ValueError(message)
    if "\\" in value or ":" in value:
        message = f"expected a path that means the same on every system, got {value!r}"
        raise ValueError(message)
    return value


InsidePath = Annotated[str, Field(min_length=1, max_length=MAX_PATH), AfterValidator(_require_inside)]


def resolve(path: Path) -> Path:
    """Return where a path leads, links followed. Raises `AttestationError` where they lead round in a circle."""
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:
        raise AttestationError(path, "is a link that leads nowhere", "check the path") from error


def read_small(path: Path, limit: int) -> bytes:
    """Return the bytes of a regular file of at most `limit` bytes; of a larger one nothing is read.

    Raises:
        AttestationError: it is missing, no regular file, or larger.
    """
    with _open_regular(path, os.O_RDONLY) as stream:
        size = os.fstat(stream.fileno()).st_size
        content = stream.read(limit + 1) if size <= limit else b""
    if max(size, len(content)) > limit:
        raise AttestationError(path, f"expected at most {limit} bytes, got {size}", "name the right file")
    return content


@contextlib.contextmanager
def open_inside(folder: Path, name: str) -> Iterator[BufferedReader]:
    """Open a regular file by its path relative to a folder.

    Raises:
        AttestationError: it is missing, is a link or no regular file, or lies outside of the folder.
    """
    path = folder / name
    if not resolve(path).is_relative_to(resolve(folder)):
        raise AttestationError(name, f"leads out of {folder}", "put the file itself there")
    with _open_regular(path, os.O_RDONLY | os.O_NOFOLLOW) as stream:
        yield stream


def hash_inside(folder: Path, name: str) -> str:
    """Return the SHA-256 of a file below a folder. Raises `AttestationError` like `open_inside`."""
    with open_inside(folder, name) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def _open_regular(path: Path, flags: int) -> Iterator[BufferedReader]:
    # Without waiting for the other end of a pipe.
    try:
        stream = open(path, "rb", opener=lambda name, _: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115
    except (OSError, ValueError) as error:
        found = error.strerror if isinstance(error, OSError) else str(error)
        raise AttestationError(path, f"expected a file, but it cannot be opened ({found})", "check the path") from error
    with stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise AttestationError(path, "expected a regular file", "check the path")
        yield stream
