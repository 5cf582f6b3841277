"""Lay a model into a hub cache as a download would leave it: blobs, and a snapshot of links to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.files import compute_sha256

if TYPE_CHECKING:
    from pathlib import Path

REVISION = "57c266a740f537b4dc058e1b0cda161fd15afa75"


def cache_model(folder: Path, cache: Path, model: str, revision: str = REVISION) -> Path:
    """Put a copy of a model folder into the cache under a hub id and commit; return its snapshot folder."""
    home = cache / f"models--{model.replace('/', '--')}"
    snapshot = home / "snapshots" / revision
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or path.name == "identity.json":
            continue
        blob = home / "blobs" / compute_sha256(path)
        link = snapshot / path.relative_to(folder)
        for parent in (blob.parent, link.parent):
            parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(path.read_bytes())
        link.symlink_to(blob)
    return snapshot
