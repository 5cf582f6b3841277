"""Digests of a folder, and a zip that has the same bytes whenever the folder has."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from pipeline.files import compute_sha256

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUMS = "SHA256SUMS"
# The first day that a zip can name.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644 << 16
_UNIX = 3


def list_contents(folder: Path) -> Iterator[Path]:
    """List the files of a folder by their path in it, in the order of its characters."""
    yield from sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.as_posix())


def write_sums(folder: Path) -> None:
    """Write `SHA256SUMS` over everything else in a folder, as `sha256sum -c` reads it."""
    (folder / SUMS).unlink(missing_ok=True)
    lines = [f"{compute_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in list_contents(folder)]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8", newline="\n")


def write_archive(folder: Path, archive: Path, name: str) -> None:
    """Write a folder into a zip, below `name`: sorted, with one time and mode for all, so that no clock has a say."""
    with zipfile.ZipFile(archive, "w", compression=zipfile.ZIP_DEFLATED, compresslevel=6) as stream:
        for path in list_contents(folder):
            entry = zipfile.ZipInfo(f"{name}/{path.relative_to(folder).as_posix()}", _EPOCH)
            entry.compress_type, entry.external_attr, entry.create_system = zipfile.ZIP_DEFLATED, _MODE, _UNIX
            stream.writestr(entry, path.read_bytes())
