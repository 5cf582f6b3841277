"""Vectors that were computed before, by model and text: one SQLite file a model, which any run may lose.

It is no evidence and belongs to no store: it lies in `build/`, out of Git and DVC, and whoever can write there can
write the vectors of a build as well. That a store's rows are what its model gives is shown by `pipeline.canary`, which
never looks here.

A vector found here may differ in its last bits, by up to 1e-6, from one embedded anew, which may have gone through the
model beside other texts. On a CPU, where nothing is padded, none did where this was tried.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import sqlite3
import sys
from typing import TYPE_CHECKING

import numpy as np

from pipeline.vectors import DIMENSION, DTYPE, Matrix

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

WAIT_SECONDS = 30.0
ASKED_AT_ONCE = 500
NAME_DIGITS = 16
BLOB_BYTES = DIMENSION * np.dtype(DTYPE).itemsize

_TABLE = "CREATE TABLE IF NOT EXISTS rows (key BLOB PRIMARY KEY, vector BLOB NOT NULL, checksum BLOB NOT NULL)"
# Two processes may write at once, and a kill may come at any time; a power cut may take the last seconds.
_SETTINGS = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", _TABLE)


class EmbeddedRows:
    """The rows of one model.

    Nothing that is wrong with the file stops a run: a damaged row is as one that is not there, a damaged file is put
    aside and begun again, and where there can be no file every text is embedded. Each is said once.
    """

    def __init__(self, folder: Path, identity: Mapping[str, object]) -> None:
        """Open the file of a model in `folder`; `identity` is all that a vector depends on beside the text."""
        self._identity = json.dumps(identity, sort_keys=True).encode()
        self.path = folder / f"{hashlib.sha256(self._identity).hexdigest()[:NAME_DIGITS]}.db"
        self._connection: sqlite3.Connection | None = None
        with self._enduring():
            self._open()

    def find(self, texts: Sequence[str]) -> dict[str, Matrix]:
        """Return the vectors that are known, float32 `(768,)` each, by text."""
        keys = {self._compute_key(text): text for text in texts}
        with self._enduring():
            return {keys[key]: vector for key, vector in self._read(keys)}
        return {}

    def keep(self, rows: Mapping[str, Matrix]) -> None:
        """Write vectors, float32 `(768,)` each, by text, in one transaction."""
        entries = [(self._compute_key(text), vector.astype(DTYPE).tobytes()) for text, vector in rows.items()]
        signed = [(key, content, _compute_checksum(key, content)) for key, content in entries]
        with self._enduring():
            if self._connection:
                with self._connection:
                    self._connection.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?)", signed)

    def close(self) -> None:
        """Close the file."""
        if self._connection:
            self._connection.close()

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(self.path, timeout=WAIT_SECONDS)
        self._file = self.path.stat().st_ino
        for statement in _SETTINGS:
            self._connection.execute(statement)

    def _read(self, keys: Iterable[bytes]) -> Iterator[tuple[bytes, Matrix]]:
        """Yield the keys that are known, with vectors that are those once written."""
        waiting = iter(keys)
        while self._connection and (asked := list(itertools.islice(waiting, ASKED_AT_ONCE))):
            marks = ", ".join("?" * len(asked))
            statement = f"SELECT key, vector, checksum FROM rows WHERE key IN ({marks})"  # noqa: S608 - only marks
            for key, content, checksum in self._connection.execute(statement, asked):
                if _is_whole(key, content, checksum):
                    yield key, np.frombuffer(content, DTYPE)

    def _compute_key(self, text: str) -> bytes:
        return hashlib.sha256(self._identity + b"\0" + text.encode("utf-8", "surrogatepass")).digest()

    @contextlib.contextmanager
    def _enduring(self) -> Iterator[None]:
        """Let a run go on when the file fails it: with a new one in the place of a damaged one, else without."""
        try:
            yield
        except (sqlite3.OperationalError, OSError) as error:
            self._give_up(f"cannot be used, every text is embedded: {error}")
        # Python reads SQLite's messages as UTF-8, and a damaged schema is quoted in them byte for byte.
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            self._give_up(f"is damaged and was put aside: {error}")
            with contextlib.suppress(sqlite3.Error, OSError):
                self._put_aside()
                self._open()

    def _give_up(self, reason: str) -> None:
        self.close()
        self._connection = None
        sys.stderr.write(f"warning: {self.path} {' '.join(reason.split())}\n")

    def _put_aside(self) -> None:
        """Move the file away, unless another process has done so and begun a new one."""
        if self.path.stat().st_ino == self._file:
            self.path.replace(self.path.with_suffix(".damaged"))
            for suffix in ("-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)


def _compute_checksum(key: bytes, content: bytes) -> bytes:
    """Return what tells that a vector is the one that was written for its key."""
    return hashlib.sha256(key + content).digest()


def _is_whole(key: bytes, content: object, checksum: object) -> bool:
    return isinstance(content, bytes) and len(content) == BLOB_BYTES and checksum == _compute_checksum(key, content)
