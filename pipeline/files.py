"""Hash files, and write them so that they appear whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator


def compute_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits.

    Raises:
        InputError: the file does not exist or is not a regular file.
    """
    require_file(path)
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
    if not target.exists():
        partial.rename(target)
        return
    retired = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".retired", dir=target.parent))
    target.rename(retired / "old")
    partial.rename(target)
    shutil.rmtree(retired)


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
