"""`python -m pipeline.adopt`: anyone's vectors become a store, or one line says why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.store import load_manifest
from pipeline.vectors import save_vectors
from tests.bad_input import check_refusal, list_scraps, run_limited
from tests.conftest import QUESTIONS, ROWS, Result, Sample, draw_unit_vectors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MODULE = "pipeline.adopt"
FILES = ("chunks", "embeddings", "questions", "question-embeddings")


@pytest.fixture
def paths(tmp_path: Path, sample: Sample) -> dict[str, Path]:
    """The input files by option."""
    paths = {
        "chunks": sample.chunks,
        "embeddings": tmp_path / "e.npy",
        "questions": sample.questions,
        "question-embeddings": tmp_path / "q.npy",
    }
    save_vectors(paths["embeddings"], draw_unit_vectors(ROWS, 1))
    save_vectors(paths["question-embeddings"], draw_unit_vectors(QUESTIONS, 2))
    return paths


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the store goes."""
    return tmp_path / "build" / "store"


@pytest.fixture
def command(paths: dict[str, Path], folder: Path) -> list[object]:
    """Arguments of an adoption that works."""
    options = [part for name, path in paths.items() for part in (f"--{name}", path)]
    return [*options, "--output", folder, "--model-id", "mine"]


def read_all(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file of a folder by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def keep_questions(paths: dict[str, Path], count: int) -> None:
    """Leave only the first questions with their vectors, so that no file is larger than the passages' vectors."""
    lines = paths["questions"].read_text(encoding="utf-8").splitlines(keepends=True)
    paths["questions"].write_text("".join(lines[:count]), encoding="utf-8")
    save_vectors(paths["question-embeddings"], draw_unit_vectors(count, 2))


def test_vectors_made_elsewhere_become_a_store(
    folder: Path, command: list[object], run_cli: Callable[..., Result]
) -> None:
    """The command says what it made, and the store is whole."""
    result = run_cli(MODULE, *command)

    assert (result.code, result.err) == (0, "")
    assert result.out == f"{folder}: 40 chunks of corpus 'fr' by mine\n"
    assert load_manifest(folder).model_id == "mine"
    assert len(read_all(folder)) == 4


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("older", [False, True], ids=["new", "replaced"])
def test_a_missing_file_is_refused(
    paths: dict[str, Path],
    folder: Path,
    command: list[object],
    run_cli: Callable[..., Result],
    name: str,
    *,
    older: bool,
) -> None:
    """Each of the four files is needed; without one nothing is written, and an older store stays."""
    if older:
        assert run_cli(MODULE, *command).code == 0
    before = read_all(folder) if older else None
    paths[name].unlink()

    check_refusal(run_cli(MODULE, *command), str(paths[name]), "expected a file, but it does not exist")

    assert (read_all(folder) if folder.exists() else None) == before
    assert list_scraps(folder.parent) == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("chunks", b'{"corpus": "fr", "total": 2, "chunks": []}', ["total says 2, but there are 0 chunks"]),
        ("chunks", b'{"corpus": "fr", "corpus": "fr"}', ['duplicate key "corpus"']),
        ("questions", b"", ["expected at least one question"]),
        ("questions", b'{"_id": "q", "text": "?"}\n{"_id": "q", "text": "!"}', [":2: _id: duplicate of line 1: 'q'"]),
        ("questions", b'{"_id": "q", "text": NaN}', [":1: text: expected a finite number"]),
        ("embeddings", b"pointer", ["expected a NumPy .npy file"]),
        ("question-embeddings", b"\x93NUMPY\x01\x00", ["unreadable .npy header"]),
    ],
    ids=["total", "duplicate key", "no questions", "duplicate question", "NaN", "no vectors", "truncated"],
)
def test_a_malformed_file_is_refused(
    paths: dict[str, Path],
    folder: Path,
    command: list[object],
    run_cli: Callable[..., Result],
    name: str,
    content: bytes,
    words: list[str],
) -> None:
    """The file and the place in it are named, and no folder appears."""
    paths[name].write_bytes(content)

    check_refusal(run_cli(MODULE, *command), str(paths[name]), *words)

    assert not folder.parent.exists()


@pytest.mark.parametrize("name", ["embeddings", "question-embeddings"])
def test_vectors_that_are_not_normalised_are_refused(
    paths: dict[str, Path], folder: Path, command: list[object], run_cli: Callable[..., Result], name: str
) -> None:
    """Anyone's vectors must be unit vectors, of passages and of questions alike."""
    np.save(paths[name], np.load(paths[name]) * np.float32(1.5))

    check_refusal(run_cli(MODULE, *command), str(paths[name]), "row 0 has length 1.5000, expected 1 ± 0.001")

    assert not folder.parent.exists()


def test_swapped_vectors_are_refused(
    paths: dict[str, Path], command: list[object], run_cli: Callable[..., Result]
) -> None:
    """Vectors of questions given as those of passages are told by their number."""
    position = command.index("--embeddings") + 1
    command[position] = paths["question-embeddings"]

    check_refusal(run_cli(MODULE, *command), str(paths["question-embeddings"]), "expected 40 rows, got 120")


def test_another_folder_is_kept(folder: Path, command: list[object], run_cli: Callable[..., Result]) -> None:
    """A folder that is no store is not replaced."""
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("years of work")

    check_refusal(run_cli(MODULE, *command), str(folder), "exists and is not a store", "name another folder")

    assert read_all(folder) == {"thesis.txt": b"years of work"}


@pytest.mark.parametrize("full_at", ["vectors", "database"])
@pytest.mark.parametrize("older", [False, True], ids=["new", "replaced"])
def test_a_full_disk_leaves_no_half_store(
    paths: dict[str, Path],
    folder: Path,
    command: list[object],
    run_cli: Callable[..., Result],
    full_at: str,
    *,
    older: bool,
) -> None:
    """Where one of its files does not fit, no store appears, and an older one stays whole."""
    if older:
        assert run_cli(MODULE, *command).code == 0
    before = read_all(folder) if older else None
    keep_questions(paths, 3)
    size = paths["embeddings"].stat().st_size
    result = run_limited(size if full_at == "database" else size // 2, MODULE, *command)

    check_refusal(result, "corpus_mode_b_fr.db" if full_at == "database" else "embeddings_mode_b_fr.npy", "run again")

    assert (read_all(folder) if folder.exists() else None) == before
    assert list_scraps(folder.parent) == []


@pytest.mark.parametrize("option", ["--chunks", "--embeddings", "--questions", "--question-embeddings", "--output"])
def test_every_option_but_the_label_is_needed(
    folder: Path, command: list[object], run_cli: Callable[..., Result], option: str
) -> None:
    """A command line without one of them is wrong usage."""
    position = command.index(option)
    result = run_cli(MODULE, *command[:position], *command[position + 2 :])

    assert (result.code, result.out) == (2, "")
    assert result.err == f"error: Missing option '{option}'; see --help\n"
    assert not folder.parent.exists()


def test_a_label_that_nothing_tells_is_asked_for(
    folder: Path, command: list[object], run_cli: Callable[..., Result]
) -> None:
    """Without provenance the label cannot be left out."""
    check_refusal(run_cli(MODULE, *command[:-2]), "nothing says which model made these vectors", "give --model-id")

    assert not folder.parent.exists()
