"""`python -m pipeline.search`: what an arbiter gets, by meaning, by words, by both, and by whose model."""

from __future__ import annotations

import re
import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest

from pipeline.chunks import Chunk, load_chunks
from pipeline.database import export_database
from pipeline.encoder import Encoder, load_encoder
from pipeline.files import compute_sha256
from pipeline.retrieval import fuse_rankings, rank_cosine, rank_fulltext
from tests.bad_input import check_refusal, list_scraps
from tests.conftest import write_sample

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Result

QUESTION = "Que fait l'arbitre si le drapeau tombe au cas 23 ?"


@pytest.fixture(scope="module")
def encoder(tiny_model: Path) -> Encoder:
    """The tiny model, loaded."""
    return load_encoder(str(tiny_model), device="cpu")


@pytest.fixture(scope="module")
def chunks(tmp_path_factory: pytest.TempPathFactory) -> list[Chunk]:
    """Forty passages."""
    return load_chunks(write_sample(tmp_path_factory.mktemp("search")).chunks).chunks


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder, chunks: list[Chunk]) -> Path:
    """A store's database that the tiny model made of the passages."""
    path = tmp_path_factory.mktemp("store") / "corpus.db"
    export_database(path, chunks, encoder.encode_documents(chunks), "tiny-base")
    return path


def list_shown(result: Result) -> list[str]:
    """Return the ids that a search printed, in order; every passage has its rank, source and page."""
    assert result.code == 0, result
    shown = re.findall(r"^(\d+)\. règles\.md, p\. (\d+)\s+\((règles-\d+)\)$", result.out, re.MULTILINE)

    assert [int(rank) for rank, _, _ in shown] == list(range(1, len(shown) + 1))
    assert all(int(page) == 1 + int(name.split("-")[1]) // 5 for _, page, name in shown)
    return [name for _, _, name in shown]


def rank(encoder: Encoder, chunks: list[Chunk], database: Path, mode: str, top: int) -> list[str]:
    """Return the ids that a mode should give, straight from the ranking functions."""
    with sqlite3.connect(database) as connection:
        words = rank_fulltext(connection, QUESTION, 100)
    connection.close()
    meaning = rank_cosine(encoder.encode_questions([QUESTION]), encoder.encode_documents(chunks), 100)[0]
    chosen = {"cosine": meaning, "fulltext": words, "fused": fuse_rankings([meaning, words], 100)}[mode]
    return [chunks[position].id for position in chosen[:top]]


@pytest.mark.parametrize("mode", ["cosine", "fulltext", "fused"])
@pytest.mark.parametrize("top", [1, 5, 40])
def test_each_mode_shows_its_ranking(
    run_cli: Callable[..., Result],
    encoder: Encoder,
    chunks: list[Chunk],
    database: Path,
    tiny_model: Path,
    mode: str,
    top: int,
) -> None:
    """The passages printed are those of the retrieval functions, best first, as many as asked for."""
    before = compute_sha256(database)

    result = run_cli("pipeline.search", "--db", database, "--model", tiny_model, "--mode", mode, "--top", top, QUESTION)

    assert list_shown(result) == rank(encoder, chunks, database, mode, top)
    assert compute_sha256(database) == before
    assert list_scraps(database.parent) == []


def test_the_modes_differ(encoder: Encoder, chunks: list[Chunk], database: Path) -> None:
    """Control: for this question the three modes give three answers, so that none can pass for another."""
    answers = {tuple(rank(encoder, chunks, database, mode, 5)) for mode in ("cosine", "fulltext", "fused")}

    assert len(answers) == 3


def test_cosine_and_five_passages_are_the_default(
    run_cli: Callable[..., Result], encoder: Encoder, chunks: list[Chunk], database: Path, tiny_model: Path
) -> None:
    """Without options the five nearest by meaning are shown."""
    result = run_cli("pipeline.search", "--db", database, "--model", tiny_model, QUESTION)

    assert list_shown(result) == rank(encoder, chunks, database, "cosine", 5)


def test_the_text_is_shown_as_it_is(run_cli: Callable[..., Result], tmp_path: Path, chunks: list[Chunk]) -> None:
    """Brackets and backslashes of a passage are text, not markup."""
    text = r"Coup [bold]illégal[/bold] \[e4] noté [/] fin"
    chunk = chunks[0].model_copy(update={"text": text})
    matrix = [[1.0] + [0.0] * 767]
    path = tmp_path / "one.db"
    import numpy as np

    export_database(path, [chunk], np.asarray(matrix, dtype=np.float32), "any")

    result = run_cli("pipeline.search", "--db", path, "--mode", "fulltext", "illégal")

    assert result.code == 0
    assert text in result.out


def test_words_need_no_model(run_cli: Callable[..., Result], database: Path) -> None:
    """Full text works without any model."""
    result = run_cli("pipeline.search", "--db", database, "--mode", "fulltext", "numéro 23")

    assert list_shown(result)[0] == "règles-023"


@pytest.mark.parametrize(
    "question", ['"', "NEAR(", "a AND", "*", "section:", "-", "'; DROP TABLE chunks; --", "(", "^", ""],
    ids=["quote", "near", "and", "star", "column", "minus", "injection", "bracket", "caret", "empty"],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["fulltext", "fused"])
def test_no_question_breaks_the_search(
    run_cli: Callable[..., Result], database: Path, tiny_model: Path, mode: str, question: str
) -> None:
    """Operators and an empty question are answered, if need be with nothing found."""
    result = run_cli("pipeline.search", "--db", database, "--mode", mode, "--model", tiny_model, "--", question)

    assert (result.code, result.err) == (0, "")
    assert len(list_shown(result)) == 5 if mode == "fused" else True


def test_nothing_found_is_said(run_cli: Callable[..., Result], database: Path) -> None:
    """A question without a known word ends well with one sentence."""
    result = run_cli("pipeline.search", "--db", database, "--mode", "fulltext", "xyzzy")

    assert (result.code, result.out) == (0, "no passage matches\n")


def test_another_model_than_the_stores_is_refused(
    run_cli: Callable[..., Result], database: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """Vectors of two models cannot be compared: both names are given and nothing is shown."""
    other = tmp_path / "other"
    shutil.copytree(tiny_model, other)
    (other / "identity.json").write_text('{"model_id": "other-model", "revision": null}', encoding="utf-8")

    for mode in ("cosine", "fused"):
        result = run_cli("pipeline.search", "--db", database, "--model", other, "--mode", mode, QUESTION)

        check_refusal(
            result, str(database), "'tiny-base'", "'other-model'", "search with the model that made the store"
        )


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("absent.db", None, ["absent.db", "does not exist"]),
        ("text.db", b"no database", ["text.db", "expected a SQLite database, got other bytes"]),
        ("empty.db", b"", ["empty.db", "expected a SQLite database"]),
    ],
    ids=["missing", "text", "empty"],
)
def test_what_is_no_database_is_refused(
    run_cli: Callable[..., Result], tmp_path: Path, name: str, content: bytes | None, words: list[str]
) -> None:
    """One line names the file; a missing one is not created."""
    if content is not None:
        (tmp_path / name).write_bytes(content)

    result = run_cli("pipeline.search", "--db", tmp_path / name, "--mode", "fulltext", QUESTION)

    check_refusal(result, *words)
    assert (tmp_path / name).exists() == (content is not None)


@pytest.mark.parametrize(
    "arguments",
    [
        [QUESTION],
        ["--mode", "fused", QUESTION],
        ["--mode", "best", QUESTION],
        ["--mode", "fulltext", "--top", "0", QUESTION],
        ["--mode", "fulltext", "--top", "101", QUESTION],
        ["--mode", "fulltext"],
    ],
    ids=["cosine-no-model", "fused-no-model", "unknown-mode", "top-0", "top-101", "no-question"],
)
def test_wrong_usage(run_cli: Callable[..., Result], database: Path, arguments: list[str]) -> None:
    """Modes that need a model, unknown modes and depths outside 1–100 end with code 2."""
    result = run_cli("pipeline.search", "--db", database, *arguments)

    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: ")
