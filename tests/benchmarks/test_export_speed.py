"""How long an export takes beside plain `sqlite3`, and whether its memory stays flat."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.benchmarks.export_methods import FEW_ROWS, MANY_ROWS
from tests.conftest import draw_unit_vectors
from tests.growth.workload import write_chunks

if TYPE_CHECKING:
    from pathlib import Path

    from tests.benchmarks.race import Race

ROWS = 20_000
ROUNDS = 5
PLAIN_RATIO = 1.0
MORE_MEMORY_MB = 25
METHODS = ("export_by_ours", "export_plainly", "index_plainly", "write_bytes")
MATCHES = ("arbitre OR joueur", "section : appel", "echec AND pendule")


def list_methods(*functions: str) -> dict[str, str]:
    """Return methods by name."""
    return {name: f"tests.benchmarks.export_methods:{name}" for name in functions}


def save_workload(folder: Path, rows: int) -> None:
    """Write a corpus with the lengths of the real one, and vectors, of which each stands there ten times."""
    write_chunks(folder / "chunks.json", rows)
    np.save(folder / "vectors.npy", np.tile(draw_unit_vectors(rows // 10, 1), (10, 1)))


def read_content(path: Path) -> list[object]:
    """Return rows and BM25 scores of a database."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT * FROM chunks ORDER BY rowid").fetchall()
        match = "SELECT rowid, bm25(chunks_fts) FROM chunks_fts WHERE chunks_fts MATCH ? ORDER BY rank, rowid"
        found = [connection.execute(match, (words,)).fetchall() for words in MATCHES]
    return [*rows, *found]


def assert_same_content(ours: Path, theirs: Path) -> None:
    """Rows and full-text ranks with their scores are equal, where the other writes them."""
    if theirs.name == "plain.db":
        assert read_content(ours) == read_content(theirs)


@pytest.mark.benchmark(group=f"export of {ROWS} rows of 768 dimensions")
def test_export(race: Race, tmp_path: Path) -> None:
    """An export takes no longer than plain inserts of the same rows, and holds the same."""
    save_workload(tmp_path, ROWS)

    limits = {"export_plainly": PLAIN_RATIO}
    race(list_methods(*METHODS), tmp_path, rounds=ROUNDS, agree=assert_same_content, limits=limits)


@pytest.mark.benchmark(group=f"export of {FEW_ROWS} rows and of {MANY_ROWS}, which nobody holds")
def test_memory_of_an_export_is_flat(race: Race, tmp_path: Path) -> None:
    """Five times as many rows take no more memory."""
    np.save(tmp_path / "vectors.npy", np.tile(draw_unit_vectors(MANY_ROWS // 10, 1), (10, 1)))
    lanes = race(list_methods("export_few", "export_many"), tmp_path, rounds=1, agree=assert_same_content)

    assert lanes["export_many"].anonymous_mb <= lanes["export_few"].anonymous_mb + MORE_MEMORY_MB
