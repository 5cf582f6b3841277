"""`python -m pipeline.export_sdk`, from files to a file."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.provenance import write_provenance
from pipeline.vectors import save_vectors
from tests.bad_input import check_refusal, hold_writer, list_scraps, run_limited
from tests.conftest import IDENTITY, ROWS, Result, Sample, draw_unit_vectors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MODULE = "pipeline.export_sdk"


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """Vectors of the sample corpus."""
    path = tmp_path / "vectors.npy"
    save_vectors(path, draw_unit_vectors(ROWS, 5))
    return path


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Where the database goes."""
    return tmp_path / "out" / "corpus.db"


@pytest.fixture
def command(sample: Sample, vectors: Path, output: Path) -> list[object]:
    """Arguments of an export that works."""
    return ["--chunks", sample.chunks, "--embeddings", vectors, "--output", output, "--model-id", "tiny"]


def test_a_corpus_and_its_vectors_become_a_database(
    sample: Sample, vectors: Path, output: Path, command: list[object], run_cli: Callable[..., Result]
) -> None:
    """Ids lie in the order of the chunks, and each blob is its row of the `.npy` to the byte."""
    result = run_cli(MODULE, *command)
    ids = [chunk["id"] for chunk in json.loads(sample.chunks.read_text(encoding="utf-8"))["chunks"]]
    with contextlib.closing(sqlite3.connect(output)) as connection:
        rows = connection.execute("SELECT id, embedding FROM chunks ORDER BY rowid").fetchall()

    assert (result.code, result.err) == (0, "")
    assert rows == list(zip(ids, [row.tobytes() for row in np.load(vectors)], strict=True))
    assert list(output.parent.iterdir()) == [output]


def test_exporting_twice_gives_the_same_bytes(
    output: Path, command: list[object], run_cli: Callable[..., Result]
) -> None:
    """A second export replaces the first by the same bytes."""
    codes = [run_cli(MODULE, *command).code]
    first = output.read_bytes()
    codes.append(run_cli(MODULE, *command).code)

    assert codes == [0, 0]
    assert output.read_bytes() == first


def test_something_else_at_the_output_is_kept(
    output: Path, command: list[object], run_cli: Callable[..., Result]
) -> None:
    """A file that is no store database is not overwritten."""
    output.parent.mkdir()
    output.write_text("my notes")

    check_refusal(run_cli(MODULE, *command), str(output), "expected a SQLite database", "name another output")

    assert output.read_text() == "my notes"
    assert list_scraps(output.parent) == []


def test_inputs_are_never_the_output(sample: Sample, vectors: Path, run_cli: Callable[..., Result]) -> None:
    """Naming the chunks as output by mistake does not cost the chunks."""
    before = sample.chunks.read_bytes()
    result = run_cli(
        MODULE, "--chunks", sample.chunks, "--embeddings", vectors, "--output", sample.chunks, "--model-id", "tiny"
    )

    check_refusal(result, str(sample.chunks), "expected a SQLite database")

    assert sample.chunks.read_bytes() == before


def test_a_locked_output_is_kept(output: Path, command: list[object], run_cli: Callable[..., Result]) -> None:
    """A database that someone writes to is neither waited for without end nor replaced."""
    assert run_cli(MODULE, *command).code == 0
    before = output.read_bytes()
    with hold_writer(output, "BEGIN IMMEDIATE"):
        result = run_cli(MODULE, *command)

    check_refusal(result, str(output), "database is locked", "close whatever is using it")

    assert output.read_bytes() == before
    assert list_scraps(output.parent) == []


@pytest.mark.parametrize("older", [False, True], ids=["new", "replaced"])
def test_a_full_disk_leaves_no_half_database(
    output: Path, command: list[object], run_cli: Callable[..., Result], *, older: bool
) -> None:
    """Where the database does not fit, none appears, and an older one stays."""
    if older:
        assert run_cli(MODULE, *command).code == 0
    before = output.read_bytes() if older else None

    check_refusal(run_limited(50_000, MODULE, *command), str(output), "could not be written", "free disk space")

    assert (output.read_bytes() if output.exists() else None) == before
    assert list_scraps(output.parent) == []


def test_known_vectors_are_not_labelled_otherwise(
    sample: Sample, vectors: Path, output: Path, command: list[object], run_cli: Callable[..., Result]
) -> None:
    """Vectors whose provenance names a model carry that model's label and no other."""
    write_provenance(vectors, sample.chunks, "passages", IDENTITY)
    assert run_cli(MODULE, *command).code == 0
    before = output.read_bytes()
    command[-1] = "Tiny"

    check_refusal(run_cli(MODULE, *command), str(vectors), "made by 'tiny', but --model-id says 'Tiny'")

    assert output.read_bytes() == before


@pytest.mark.parametrize("label", ["", "  "], ids=["empty", "blank"])
def test_an_empty_label_is_refused(
    output: Path, command: list[object], run_cli: Callable[..., Result], label: str
) -> None:
    """A database says which model made its vectors."""
    command[-1] = label

    check_refusal(run_cli(MODULE, *command), "--model-id: expected a model id, got an empty label")

    assert not output.parent.exists()


@pytest.mark.parametrize("option", ["--chunks", "--embeddings", "--output", "--model-id"])
def test_every_option_is_needed(
    output: Path, command: list[object], run_cli: Callable[..., Result], option: str
) -> None:
    """A command line without one of them is wrong usage."""
    position = command.index(option)
    result = run_cli(MODULE, *command[:position], *command[position + 2 :])

    assert result.code == 2
    assert result.err == f"error: Missing option '{option}'; see --help\n"
    assert not output.parent.exists()
