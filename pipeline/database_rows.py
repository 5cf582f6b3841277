"""What an export writes into a store's database, row by row and in one transaction, with memory that stays flat."""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.database_schema import APPLICATION_ID, FULLTEXT, SCHEMA, USER_VERSION
from pipeline.vectors import DIMENSION, DTYPE, Matrix

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.chunks import Chunk

SCHEMA_VERSION = "2.0"
BLOB_BYTES = DIMENSION * np.dtype(DTYPE).itemsize
BLOCK_ROWS = 4096

# A row with its vector does not fit into a page of SQLite's usual 4 KiB, and reading all rows, as a search on the phone
# does, then takes nearly three times as long. The file is no larger.
PAGE_BYTES = 16384
_PAGES = f"PRAGMA page_size={PAGE_BYTES};"
# The file is a partial one until it is whole, flushed and renamed: until then nothing needs to survive a crash, and
# there is nothing secret in a page that is written again.
_QUICK = "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA secure_delete=OFF; PRAGMA locking_mode=EXCLUSIVE;"
_IDENTITY = f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={USER_VERSION};"
# How FTS5 writes: it gathers sixteen times as many bytes in memory as it does by itself, and merges what it has written
# once, at the end. This concerns only who writes, and is not left behind.
FULLTEXT_WRITING = {"hashsize": 16 << 20, "automerge": 0, "crisismerge": 1999}
# Where FTS5 keeps an index that has no content of its own: https://www.sqlite.org/fts5.html, "Appendix B".
_FULLTEXT_TABLES = ("chunks_fts_data", "chunks_fts_idx", "chunks_fts_docsize", "chunks_fts_config")

_serialise = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode


def fill_database(path: Path, chunks: list[Chunk], matrix: Matrix, model_id: str) -> None:
    """Write a whole store into an empty file that is nobody's yet.

    The full-text index is half of the work. It is made meanwhile in a file of its own, and its tables are copied.

    Args:
        path: an empty file.
        chunks: passages in corpus order.
        matrix: float32 of shape `(len(chunks), 768)`, in the same order; one that is mapped is read block by block.
        model_id: identity of the model that made the vectors.

    Raises:
        ValueError: there are more chunks than vectors, or fewer.
    """
    with (
        tempfile.TemporaryDirectory(prefix=f"{path.stem}.", suffix=path.suffix, dir=path.parent) as folder,
        ThreadPoolExecutor(max_workers=1) as pool,
        contextlib.closing(sqlite3.connect(path)) as connection,
    ):
        index = Path(folder) / "fulltext.db"
        indexed = pool.submit(_write_index, index, chunks)
        connection.executescript(f"{_QUICK} {_PAGES} {_IDENTITY} BEGIN; {SCHEMA}")
        connection.executemany("INSERT INTO metadata VALUES (?, ?)", _build_metadata(len(chunks), model_id))
        connection.executemany("INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?)", _build_rows(chunks, matrix))
        indexed.result()
        _copy_index(connection, index)
        connection.commit()


def _write_index(path: Path, chunks: list[Chunk]) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"{_QUICK} {_PAGES} BEGIN;")
        index_fulltext(connection, chunks)
        connection.commit()


def _copy_index(connection: sqlite3.Connection, path: Path) -> None:
    """Copy the tables of a full-text index into a database that has none."""
    connection.execute("ATTACH ? AS beside", (str(path),))
    connection.execute(FULLTEXT)
    for table in _FULLTEXT_TABLES:
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
        connection.execute(f"INSERT INTO {table} SELECT * FROM beside.{table}")  # noqa: S608


def index_fulltext(connection: sqlite3.Connection, chunks: Iterable[Chunk]) -> None:
    """Create the contentless full-text index over section and text, in one piece; row ids are positions from 1."""
    connection.execute(FULLTEXT)
    connection.executemany("INSERT INTO chunks_fts(chunks_fts, rank) VALUES (?, ?)", FULLTEXT_WRITING.items())
    rows = ((row, chunk.section or "", chunk.text) for row, chunk in enumerate(chunks, 1))
    # With one statement for a whole block, SQLite seldom needs Python, which another thread can use meanwhile.
    while block := list(itertools.chain.from_iterable(itertools.islice(rows, BLOCK_ROWS))):
        values = ", ".join(["(?, ?, ?)"] * (len(block) // 3))
        connection.execute(f"INSERT INTO chunks_fts(rowid, section, text) VALUES {values}", block)  # noqa: S608
    connection.execute("INSERT INTO chunks_fts(chunks_fts) VALUES ('optimize')")
    connection.executemany("DELETE FROM chunks_fts_config WHERE k = ?", ((name,) for name in FULLTEXT_WRITING))


def serialise_metadata(chunk: Chunk) -> str:
    """Return what stands in a row's `metadata` column: the chunk's further fields as JSON with sorted keys."""
    return _serialise(chunk.collect_metadata())


def _build_metadata(total: int, model_id: str) -> list[tuple[str, str]]:
    return [
        ("schema_version", SCHEMA_VERSION),
        ("embedding_dim", str(DIMENSION)),
        ("total_chunks", str(total)),
        ("model_id", model_id),
    ]


def _build_rows(chunks: list[Chunk], matrix: Matrix) -> Iterator[tuple[object, ...]]:
    for chunk, blob in zip(chunks, _cut_blobs(matrix), strict=True):
        yield (chunk.id, chunk.text, chunk.source, chunk.page, chunk.tokens, serialise_metadata(chunk), blob)


def _cut_blobs(matrix: Matrix) -> Iterator[memoryview]:
    """Yield the bytes of each row without copying any, as slices of whole blocks."""
    for start in range(0, len(matrix), BLOCK_ROWS):
        block = np.ascontiguousarray(matrix[start : start + BLOCK_ROWS], dtype=DTYPE).data.cast("B")
        for place in range(0, len(block), BLOB_BYTES):
            yield block[place : place + BLOB_BYTES]
