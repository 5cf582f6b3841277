"""What growth is measured on is a real corpus, and what was measured becomes a table and a plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.chunks import load_chunks
from pipeline.vectors import load_vectors
from tests.growth.report import WORDS, Measurement, draw_growth, render_table
from tests.growth.workload import draw_blocks, write_vectors, write_workload
from validation.gate import load_corpus
from validation.stores import CorpusRequest

if TYPE_CHECKING:
    from pathlib import Path

FOUND = [
    Measurement(part, rows, asked, rows / 1e4, rows / 2e4, 100 + rows / 50, 120 + rows / 40, rows / 100)
    for part in WORDS
    for rows, asked in ((2000, 328), (20_000, 328), (2000, 1000))
]


def test_a_workload_is_a_corpus_like_the_real_one(tmp_path: Path) -> None:
    """It is valid, no two texts are equal, and it is the same every time."""
    once, again = (write_workload(tmp_path / name, 3000, 20) for name in ("a", "b"))
    request = CorpusRequest(once.chunks, once.questions, once.qrels, {}, primary=True, total=None, model_ids=None)
    corpus = load_corpus(request)
    texts = [chunk.text for chunk in load_chunks(once.chunks).chunks]

    assert (corpus.total, len(corpus.gold.questions), len(set(texts)), once.count_rows()) == (3000, 20, 3000, 3000)
    assert 300 < np.mean([len(text) for text in texts]) < 450
    assert once.chunks.read_bytes() == again.chunks.read_bytes()
    assert np.array_equal(load_vectors(once.questions_npy, rows=20), load_vectors(again.questions_npy))


def test_vectors_are_drawn_in_blocks_of_any_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last block is cut where the rows end, and every row is a unit vector of its own."""
    monkeypatch.setattr("tests.growth.workload.BLOCK_ROWS", 64)
    write_vectors(tmp_path / "v.npy", 150, seed=1)
    loaded = load_vectors(tmp_path / "v.npy", rows=150)

    assert len(np.unique(loaded, axis=0)) == 150
    assert [len(block) for block in draw_blocks(150, 1)] == [64, 64, 22]


def test_every_measurement_has_its_line() -> None:
    """Each part at each size is a row of the table."""
    lines = render_table(FOUND).splitlines()

    assert len(lines) == 4 + len(FOUND)
    assert f"| {WORDS['export']} | 20,000 | 328 | 2 | 1 | 500 | 620 |" in lines


@pytest.mark.parametrize("name", ["growth.svg", "growth.png"])
def test_growth_is_drawn(tmp_path: Path, name: str) -> None:
    """The plot is a file of the kind that its name says."""
    draw_growth(FOUND, tmp_path / name)

    assert (tmp_path / name).read_bytes().lstrip().startswith((b"<?xml", b"\x89PNG"))
