"""Folders that are replaced as a whole: only what was written there before may go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path


def require_own(output: Path, *marks: str) -> None:
    """Raise `StoreError` where something is in a place that is no older folder of this kind, with these files."""
    if output.is_symlink() or (output.exists() and not output.is_dir()):
        raise StoreError(output, "exists and is no folder", "name another one")
    if output.is_dir() and any(output.iterdir()) and not all((output / mark).is_file() for mark in marks):
        message = f"exists and holds something else, as there is no {' and no '.join(marks)} in it"
        raise StoreError(output, message, "name another folder, or remove this one")
