"""Ways to put text and vectors into SQLite: ours, and what one writes with `sqlite3` and nothing else.

Each reads `chunks.json` and `vectors.npy` out of a folder, of which the vectors are mapped, and answers with the path
of the database that it wrote.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from typing import TYPE_CHECKING, cast

import numpy as np

from pipeline.chunks import STORED_FIELDS, Chunk, load_chunks
from pipeline.database import export_database
from pipeline.database_schema import FULLTEXT, SCHEMA
from pipeline.vectors import DTYPE, Matrix
from tests.conftest import build_chunk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Export = Callable[[], Path]

FEW_ROWS, MANY_ROWS = 20_000, 100_000
ROW = "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?)"
WORDS = "INSERT INTO chunks_fts(rowid, section, text) VALUES (?, ?, ?)"


def load_workload(folder: Path) -> tuple[list[Chunk], Matrix]:
    """Return chunks and vectors."""
    return load_chunks(folder / "chunks.json").chunks, map_vectors(folder)


def map_vectors(folder: Path) -> Matrix:
    """Return the vectors, mapped."""
    matrix: Matrix = np.load(folder / "vectors.npy", mmap_mode="r")
    return matrix


def export_by_ours(folder: Path) -> Export:
    """Export a whole store's database."""
    chunks, matrix = load_workload(folder)
    return lambda: export(folder / "ours.db", chunks, matrix)


def export_few(folder: Path) -> Export:
    """Export the fewer of the chunks of `export_unheld`."""
    return export_unheld(folder, FEW_ROWS)


def export_many(folder: Path) -> Export:
    """Export all of them."""
    return export_unheld(folder, MANY_ROWS)


def export_unheld(folder: Path, rows: int) -> Export:
    """Export chunks that are made one by one and held by no one, so that all memory is the export's own."""
    matrix = map_vectors(folder)[:rows]
    return lambda: export(folder / f"{rows}.db", cast("list[Chunk]", Unheld(rows)), matrix)


class Unheld:
    """Chunks that exist while they are looked at."""

    def __init__(self, count: int) -> None:
        """Say how many there are."""
        self._count = count

    def __len__(self) -> int:
        """Return how many there are."""
        return self._count

    def __iter__(self) -> Iterator[Chunk]:
        """Make them again."""
        return (Chunk.model_validate(build_chunk(place)) for place in range(self._count))


def export(path: Path, chunks: list[Chunk], matrix: Matrix) -> Path:
    """Write to a place where nothing is."""
    path.unlink(missing_ok=True)
    export_database(path, chunks, matrix, "speed")
    return path


def export_plainly(folder: Path) -> Export:
    """Write tables and index in one transaction with `executemany`, and flush the file, as one does by hand."""
    chunks, matrix = load_workload(folder)
    return lambda: write_plainly(folder / "plain.db", chunks, matrix)


def index_plainly(folder: Path) -> Export:
    """Write the full-text index alone: what no export of the same text by FTS5 goes below."""
    chunks, matrix = load_workload(folder)
    return lambda: write_plainly(folder / "index.db", chunks, matrix[:0])


def write_bytes(folder: Path) -> Export:
    """Write as many bytes as the vectors have into a file and flush it: what no export goes below."""
    matrix = map_vectors(folder)

    def run() -> Path:
        with (folder / "bytes").open("wb") as stream:
            stream.write(matrix.data)
            stream.flush()
            os.fsync(stream.fileno())
        return folder / "bytes"

    return run


def write_plainly(path: Path, chunks: list[Chunk], matrix: Matrix) -> Path:
    """Write what an export writes, but its metadata; without vectors, no rows."""
    path.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCHEMA)
        connection.executemany(ROW, build_rows(chunks, matrix))
        connection.execute(FULLTEXT)
        connection.executemany(WORDS, ((row, each.section or "", each.text) for row, each in enumerate(chunks, 1)))
        connection.commit()
    return path


def build_rows(chunks: list[Chunk], matrix: Matrix) -> Iterator[tuple[object, ...]]:
    """Yield the rows of `chunks`."""
    for chunk, vector in zip(chunks, matrix, strict=False):
        fields = {key: value for key, value in chunk.model_dump().items() if key not in STORED_FIELDS}
        metadata = json.dumps(fields, ensure_ascii=False, sort_keys=True)
        blob = vector.astype(DTYPE).tobytes()
        yield chunk.id, chunk.text, chunk.source, chunk.page, chunk.tokens, metadata, blob
