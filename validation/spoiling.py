"""Ways to spoil a store, as real faults do: before its manifest is written, or behind its manifest's back."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pipeline.files import compute_sha256, write_json
from pipeline.store import MANIFEST, load_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

Part = Literal["embeddings", "questions", "database"]


def get_path(store: Path, part: Part) -> Path:
    """Return the path of one of a store's three files."""
    return store / str(getattr(load_manifest(store).files, part).name)


def load_array(store: Path, part: Part) -> npt.NDArray[Any]:
    """Return one of a store's matrices."""
    array: npt.NDArray[Any] = np.load(get_path(store, part), allow_pickle=False)
    return array


def edit_manifest(store: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Rewrite a store's manifest after `change` altered it."""
    document = json.loads((store / MANIFEST).read_text(encoding="utf-8"))
    change(document)
    write_json(store / MANIFEST, document)


def sign(store: Path) -> None:
    """Make the manifest say what the files now are, so that their bytes are trusted."""

    def update(document: dict[str, Any]) -> None:
        for record in document["files"].values():
            path = store / record["name"]
            record["size"], record["sha256"] = path.stat().st_size, compute_sha256(path)

    edit_manifest(store, update)


def replace_array(store: Path, part: Part, array: npt.NDArray[Any]) -> None:
    """Put another array in the place of a store's matrix and sign it."""
    np.save(get_path(store, part), array)
    sign(store)


def replace_passages(store: Path, array: npt.NDArray[Any]) -> None:
    """Put other passage vectors into a store's matrix and into its database, and sign them."""
    np.save(get_path(store, "embeddings"), array)
    copy_blobs(store, array)


def copy_blobs(store: Path, array: npt.NDArray[Any]) -> None:
    """Write the rows of an array as the blobs of a store's database and sign it."""
    with contextlib.closing(sqlite3.connect(get_path(store, "database"))) as connection:
        rows = [(row.tobytes(), position) for position, row in enumerate(array, 1)]
        connection.executemany("UPDATE chunks SET embedding = ? WHERE rowid = ?", rows)
        connection.commit()
    sign(store)


def edit_database(store: Path, statement: str, parameters: tuple[object, ...] = ()) -> None:
    """Change a store's database by one statement and sign it."""
    with contextlib.closing(sqlite3.connect(get_path(store, "database"))) as connection:
        connection.execute(statement, parameters)
        connection.commit()
    sign(store)


def flip_bit(store: Path, part: Part) -> None:
    """Change one bit in the middle of a file and leave the manifest as it was."""
    path = get_path(store, part)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
