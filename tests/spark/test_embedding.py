"""Embedding on Spark: the vectors of one process within 1e-5, the same provenance, and parts that are checked."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.embeddings import embed
from pipeline.engine import EngineName
from pipeline.errors import EngineError
from pipeline.files import compute_sha256
from pipeline.spark.embedding import Part, join_parts, require_one_model
from pipeline.spark.session import tell_fault
from pipeline.vectors import load_vectors, save_vectors
from tests.conftest import draw_unit_vectors, write_sample

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

    from pyspark.sql import SparkSession

    from tests.conftest import Sample

TOLERANCE = 1e-5
QUESTIONS = 25


@pytest.fixture(autouse=True)
def _session(monkeypatch: pytest.MonkeyPatch, spark: SparkSession) -> None:
    """Let the command use the session that is there: each start takes many seconds."""
    from contextlib import nullcontext

    monkeypatch.setattr("pipeline.spark.embedding.open_session", lambda _: nullcontext(spark))


@pytest.fixture
def asked(tmp_path: Path) -> Sample:
    """A small corpus with questions."""
    return write_sample(tmp_path / "corpus", questions=QUESTIONS)


def test_vectors_are_those_of_one_process(
    tmp_path: Path, asked: Sample, tiny_model: Path, compared: Counter[str]
) -> None:
    """Passages and questions lie in the order of the texts, with the same provenance, and nothing else is left."""
    for engine in EngineName:
        folder = tmp_path / engine
        embed(
            asked.chunks, folder / "p.npy", str(tiny_model), asked.questions, folder / "q.npy",
            token_budget=200, device="cpu", engine=engine, anew=True,
        )  # fmt: skip
    names = sorted(path.name for path in (tmp_path / "local").iterdir())

    assert names == ["p.npy", "p.provenance.json", "q.npy", "q.provenance.json"]
    assert sorted(path.name for path in (tmp_path / "spark").iterdir()) == names

    for name in ("p", "q"):
        local, distributed = (load_vectors(tmp_path / engine / f"{name}.npy") for engine in EngineName)
        told = [json.loads((tmp_path / engine / f"{name}.provenance.json").read_text("utf-8")) for engine in EngineName]
        compared["vectors within 1e-5"] += len(local)

        assert np.abs(local - distributed).max() <= TOLERANCE
        assert [record.pop("vectors_sha256") for record in told][1] == compute_sha256(
            tmp_path / "spark" / f"{name}.npy"
        )
        assert told[0] == told[1]


def test_a_model_that_cannot_be_loaded_is_named(tmp_path: Path, asked: Sample) -> None:
    """What a worker raises reaches the user as one line; nothing is written."""
    with pytest.raises(Exception, match="no such model") as raised:
        embed(asked.chunks, tmp_path / "p.npy", "no such model", engine=EngineName.SPARK)

    assert tell_fault(raised.value).startswith("pipeline.errors.ModelError: no such model: ")
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_workers_with_different_models_are_found_out() -> None:
    """A matrix must not hold vectors of two models, as where machines have a folder of their own each."""
    parts = [Part(0, 1, "a", "", '{"model": 1}'), Part(1, 1, "b", "", '{"model": 2}')]

    with pytest.raises(EngineError, match="workers: loaded 2 different models; let all machines share one folder"):
        require_one_model(parts)


@pytest.mark.parametrize(
    ("first", "problem"), [(0, "expected the vectors of texts from 2 on"), (3, "expected 5 vectors, got 4")],
    ids=["changed", "missing"],
)  # fmt: skip
def test_parts_that_are_not_what_was_written_are_refused(tmp_path: Path, first: int, problem: str) -> None:
    """A part with other bytes, or one that is missing, leaves no matrix."""
    output, parts = tmp_path / "out" / "p.npy", []
    for start in (0, 2):
        path = tmp_path / f"{start}.npy"
        save_vectors(path, draw_unit_vectors(2, seed=start))
        parts.append(Part(start, 2, path.name, compute_sha256(path), ""))
    if first == 0:
        parts[1] = replace(parts[1], sha256=parts[0].sha256)

    with pytest.raises(EngineError, match=problem):
        join_parts(tmp_path, parts, output, rows=4 if first == 0 else 5)

    assert list(output.parent.iterdir()) == []
