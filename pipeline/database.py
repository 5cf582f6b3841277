"""The SQLite file that the Android SDK's vector store reads: written in one transaction, opened read-only."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import struct
import sys
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import numpy as np

from pipeline.database_rows import BLOB_BYTES, fill_database
from pipeline.errors import PipelineError, StoreError
from pipeline.files import replace_file, require_file
from pipeline.vectors import DIMENSION, DTYPE, Matrix

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.chunks import Chunk

LOCK_TIMEOUT_S = 2.0
HEADER_BYTES = 100

_TABLES = {"metadata", "chunks", "chunks_fts"}
# SQLite's lock bytes lie at this offset, whatever the size of the file: PENDING, RESERVED, and 510 SHARED ones.
_LOCK_BYTES = 0x40000000
# struct flock of Linux on 64 bits: type, whence, start, length, process.
_FLOCK = "hhqqi4x"
_MAGIC = b"SQLite format 3\x00"
_REBUILD = "export the database again with `python -m pipeline.export_sdk`"


class StoredRow(NamedTuple):
    """One row of `chunks` as it lies in the database; values keep whatever type SQLite holds.

    `number` is SQLite's row id, by which the full-text index names the row: its place, from 1.
    """

    id: object
    text: object
    source: object
    page: object
    tokens: object
    metadata: object
    embedding: object
    number: int


def export_database(path: Path, chunks: list[Chunk], matrix: Matrix, model_id: str) -> None:
    """Write a store's database beside `path` and move it into place.

    An older store database at `path` is replaced; anything else there is left alone.

    Args:
        path: where the database goes.
        chunks: passages in corpus order.
        matrix: unit vectors, float32 of shape `(len(chunks), 768)`, in the same order.
        model_id: identity of the model that made the vectors.

    Raises:
        StoreError: `path` holds something else than a store database, one that a writer has locked, or the disk is
            full; what was there before is still there.
    """
    if path.exists():
        require_unlocked(path)
    try:
        with replace_file(path) as partial:
            fill_database(partial, chunks, matrix, model_id)
    except sqlite3.Error as error:
        raise StoreError(path, f"could not be written: {error}", "free disk space and run again") from error


@contextlib.contextmanager
def open_database(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a store's database for reading only; the file and its folder are left untouched.

    Raises:
        StoreError: no SQLite file, a journal beside it, a size that its header denies, or missing tables.
    """
    _check_container(path)
    uri = f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not names >= _TABLES:
                missing = ", ".join(sorted(_TABLES - names))
                raise StoreError(path, f"not a store database: no table {missing}", _REBUILD)
            yield connection
    # Python reads SQLite's messages as UTF-8, and a damaged schema is quoted in them byte for byte.
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise StoreError(path, f"damaged database: {error}", _REBUILD) from error


def _check_container(path: Path) -> None:
    require_file(path)
    with path.open("rb") as stream:
        header = stream.read(HEADER_BYTES)
    if not header.startswith(_MAGIC):
        raise StoreError(path, "expected a SQLite database, got other bytes", _REBUILD)
    page_size = int.from_bytes(header[16:18], "big")
    expected = (65536 if page_size == 1 else page_size) * int.from_bytes(header[28:32], "big")
    found = path.stat().st_size
    if found != expected:
        raise StoreError(path, f"expected {expected} bytes by its header, got {found}", _REBUILD)
    for suffix in ("-wal", "-shm", "-journal"):
        sidecar = path.with_name(path.name + suffix)
        if sidecar.exists():
            raise StoreError(sidecar, "a writer is active or died, so the database is not whole", _REBUILD)
    if header[18:20] != b"\x01\x01":
        raise StoreError(path, "keeps a write-ahead log, so the file alone is not the database", _REBUILD)


def require_no_writer(path: Path) -> None:
    """Raise `StoreError` when another process has begun to write; asks the system, and takes no lock itself."""
    if sys.platform != "linux":  # elsewhere the record that is asked for is laid out in another way
        return
    query = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, _LOCK_BYTES, 2, 0)
    with path.open("rb") as stream:
        kind = struct.unpack(_FLOCK, fcntl.fcntl(stream, fcntl.F_GETLK, query))[0]
    if kind != fcntl.F_UNLCK:
        raise StoreError(path, "is locked by a writer", "close whatever is using it and run again")


def require_unlocked(path: Path) -> None:
    """Raise `StoreError` unless `path` is a store database that no one is writing to."""
    try:
        with open_database(path):
            pass
    except PipelineError as error:
        remedy = "name another output, or remove what is there"
        raise StoreError(error.where, error.problem, remedy) from error
    with open_for_change(path):
        pass


@contextlib.contextmanager
def open_for_change(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a store's database in one write transaction, committed when the block ends well.

    Raises:
        StoreError: it is no store database, a writer holds it for more than two seconds, or it cannot be written;
            nothing is changed then.
    """
    with open_database(path):
        pass
    uri = f"file:{quote(str(path.resolve()))}?mode=rw"
    with contextlib.ExitStack() as stack:
        try:
            connection = sqlite3.connect(uri, uri=True, timeout=LOCK_TIMEOUT_S, isolation_level=None)
            stack.enter_context(contextlib.closing(connection))
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise StoreError(path, f"cannot be written: {error}", "close whatever is using it and run again") from error
        try:
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(path, f"could not be changed: {error}", "free disk space and run again") from error
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def load_metadata(connection: sqlite3.Connection) -> dict[str, str]:
    """Return the metadata table as a mapping."""
    return dict(connection.execute("SELECT key, value FROM metadata ORDER BY key"))


def iterate_rows(connection: sqlite3.Connection) -> Iterator[StoredRow]:
    """Yield every row of `chunks` in stored order, without interpretation and without holding another."""
    statement = "SELECT id, text, source, page, tokens, metadata, embedding, rowid FROM chunks ORDER BY rowid"
    return map(StoredRow._make, connection.execute(statement))


def load_rows(connection: sqlite3.Connection) -> list[StoredRow]:
    """Return every row of `chunks` in stored order, without interpretation."""
    return list(iterate_rows(connection))


def load_matrix(connection: sqlite3.Connection) -> Matrix:
    """Return the embeddings of all rows, float32 of shape `(rows, 768)`, in stored order.

    Raises:
        StoreError: a blob is not 768 little-endian float32 values.
    """
    content = bytearray()
    for row, (blob,) in enumerate(connection.execute("SELECT embedding FROM chunks ORDER BY rowid")):
        if not isinstance(blob, bytes) or len(blob) != BLOB_BYTES:
            raise StoreError(f"chunks[{row}].embedding", f"expected {BLOB_BYTES} bytes", _REBUILD)
        content += blob
    return np.frombuffer(content, dtype=DTYPE).reshape(-1, DIMENSION).astype(np.float32, copy=False)
