"""Hash files, and write them so that they appear whole or not at all."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

# Of Linux's <fcntl.h>.
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_FAULTS = {errno.ELOOP: "is a symbolic link", errno.ENOENT: "does not exist", errno.EISDIR: "is a folder"}


def compute_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits.

    Raises:
        InputError: the file does not exist or is not a regular file.
    """
    require_file(path)
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def open_verified(path: Path, size: int, sha256: str) -> Iterator[BinaryIO]:
    """Open a file whose bytes are those that are expected; what is then read is what was hashed.

    The file must be a regular one of its own: a link shares its bytes with a name that somebody else may write to.

    Raises:
        InputError: there is no such file, it is a link or has a second name, or size or SHA-256 differ.
    """
    try:
        stream = open(path, "rb", opener=_open_own)  # noqa: SIM115 - Path.open takes no opener
    except OSError as error:
        found = _FAULTS.get(error.errno or 0) or f"cannot be opened ({error.strerror or error})"
        raise InputError(path, f"expected a file of its own, but it {found}", "copy the file itself here") from error
    with stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            found = f"has {status.st_nlink} names" if stat.S_ISREG(status.st_mode) else "is no regular file"
            raise InputError(path, f"expected a file of its own, but it {found}", "copy the file itself here")
        if status.st_size != size:
            raise InputError(path, f"expected {size} bytes, got {status.st_size}", "restore or rebuild it")
        if hashlib.file_digest(stream, "sha256").hexdigest() != sha256:
            raise InputError(path, "SHA-256 differs from the one on record", "restore or rebuild it")
        stream.seek(0)
        yield stream


def _open_own(name: str, flags: int) -> int:
    """Open without following a link, and without waiting for the other end of a pipe."""
    return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def require_file(path: Path) -> None:
    """Raise `InputError` unless `path` is a regular file."""
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(path, f"expected a file, but it {found}", "check the path")


@contextlib.contextmanager
def replace_file(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target` that takes its place when the block ends well.

    The data and the folder entry are flushed to disk before the context ends. When the block raises, the temporary
    file is removed and `target` keeps its old content.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent)
    os.close(descriptor)
    partial = Path(name)
    try:
        with _naming(target):
            yield partial
            _flush(partial)
            partial.chmod(0o644)
            partial.replace(target)
            _flush(target.parent)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def replace_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes `target` in one rename when the block ends well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    try:
        with _naming(target):
            yield partial
            for path in (*partial.rglob("*"), partial):
                _flush(path)
            partial.chmod(0o755)
            _swap_folder(partial, target)
            _flush(target.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_json(path: Path, document: object) -> None:
    """Write a document as indented UTF-8 JSON with a final newline, atomically; NaN is refused."""
    text = json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False)
    with replace_file(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def _swap_folder(partial: Path, target: Path) -> None:
    """Put `partial` in the place of `target` in one step; what was there before is then at `partial`."""
    if not target.exists():
        partial.rename(target)
    elif not _exchange(partial, target):
        retired = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".retired", dir=target.parent))
        try:
            target.rename(retired / "old")
            partial.rename(target)
        finally:
            if not target.exists():
                (retired / "old").rename(target)
            shutil.rmtree(retired, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change places at once, so that a kill leaves either; False where the system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    here = ctypes.c_int(_AT_FDCWD)
    return bool(rename(here, os.fsencode(one), here, os.fsencode(other), ctypes.c_uint(_RENAME_EXCHANGE)) == 0)


@contextlib.contextmanager
def _naming(target: Path) -> Iterator[None]:
    """Let an error of the operating system that names no file, such as a full disk, name the one being written."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror or str(error), str(target)) from error


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
