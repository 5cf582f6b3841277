"""How long embedding takes beside `SentenceTransformer.encode`, on texts of a real corpus's lengths, by two threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.embedded_rows import EmbeddedRows
from pipeline.encoder import load_transformer
from pipeline.filling import fill_matrix
from pipeline.network import Network
from pipeline.vectors import DIMENSION, Matrix
from tests.benchmarks.embedding_methods import (
    build_texts,
    edit,
    save_bert,
    save_embedded_model,
    save_texts,
    take_batches,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.benchmarks.race import Race

RATIO = 1 / 1.3
EDIT_RATIO = 0.05
TOLERANCE = 1e-5
THREADS = 2
# Of 58 batches of 32, from short to long. In a part of the corpus fewer texts share a length, and so a pass.
ALL = range(58)
TWO = (12, 40)
METHODS = {
    "ours": "tests.benchmarks.embedding_methods:embed_by_ours",
    "sentence-transformers": "tests.benchmarks.embedding_methods:embed_by_peer",
}
EDITS = {
    "ours, 1 % edited": "tests.benchmarks.embedding_methods:embed_edited",
    "ours, all anew": "tests.benchmarks.embedding_methods:embed_edited_anew",
}


def assert_same_vectors(ours: Matrix, theirs: Matrix) -> None:
    """Every component of every vector is equal within 1e-5."""
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("save_model", "batches", "rounds"),
    [
        pytest.param(
            *(save_embedded_model, ALL, 3),
            marks=pytest.mark.benchmark(group="embedding 1857 texts, model of the default profile"),
            id="embedded model",
        ),
        pytest.param(
            *(save_bert, TWO, 3),
            marks=pytest.mark.benchmark(group="embedding 64 texts, BERT of 110 M parameters"),
            id="BERT",
        ),
    ],
)
def test_embedding_beside_the_library(
    race: Race, tmp_path: Path, save_model: Callable[[Path], None], batches: Sequence[int], rounds: int
) -> None:
    """At least 1.3 times as quick as `encode(batch_size=32)`, on batches that it makes of the whole corpus."""
    save_model(tmp_path)
    save_texts(tmp_path, take_batches(build_texts(), batches))

    limits = {"sentence-transformers": RATIO}
    race(METHODS, tmp_path, rounds=rounds, threads=THREADS, agree=assert_same_vectors, limits=limits)


@pytest.mark.benchmark(group="embedding 1857 texts after an edit")
def test_embedding_after_an_edit(race: Race, tmp_path: Path) -> None:
    """Of 1857 texts 19 are edited: at most 5 % of the time, and of the tokens, that all of them take."""
    texts = build_texts()
    save_embedded_model(tmp_path)
    save_texts(tmp_path, texts)
    edited, whole = count_tokens(tmp_path, texts)

    assert 0 < edited <= EDIT_RATIO * whole
    limits = {"ours, all anew": EDIT_RATIO}
    race(EDITS, tmp_path, rounds=3, threads=THREADS, agree=assert_same_vectors, limits=limits)


def count_tokens(folder: Path, texts: list[str]) -> tuple[int, int]:
    """Return how many tokens go through the model after an edit, and for all texts."""
    model = load_transformer(folder / "model", device="cpu")
    network, spent = Network(model), [0]

    def embed(asked: Sequence[str]) -> Iterator[tuple[list[int], Matrix]]:
        if asked:
            spent[-1] += int(model.preprocess(list(asked))["attention_mask"].sum())
        return network.embed(asked)

    rows = EmbeddedRows(folder / "counted", {})
    for version in (texts, edit(texts, 0)):
        fill_matrix(np.empty((len(texts), DIMENSION), dtype=np.float32), version, embed, "texts", rows)
        spent.append(0)
    rows.close()
    return spent[1], spent[0]
