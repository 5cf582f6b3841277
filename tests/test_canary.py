"""`python -m pipeline.canary`: a sample of every corpus embedded anew by a candidate's own model."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.canary import Canary, Sample, describe_sample, draw_rows
from pipeline.chunks import load_chunks
from pipeline.documents import load_json
from pipeline.embedded_rows import EmbeddedRows
from pipeline.encoder import load_encoder
from pipeline.errors import InputError
from pipeline.gold import load_questions
from tests.bad_input import check_refusal, list_scraps
from tests.conftest import IDENTITY, Result, draw_unit_vectors
from tests.releases import list_requests, load_small_params, write_corpora
from tests.stores import enter_project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MODULE = "pipeline.canary"
UNITS = draw_unit_vectors(3, 8)
GOOD = describe_sample([2, 5, 9], UNITS)


@pytest.fixture
def project(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two small corpora whose base model is a tiny real one."""
    root = tmp_path / "project"
    write_corpora(root)
    params = load_small_params()
    enter_project(monkeypatch, root, params)
    shutil.copytree(tiny_model, root / "build" / "models" / "base")
    monkeypatch.setattr("pipeline.canary.BUILD", root / "build")
    monkeypatch.setattr("pipeline.canary.load_params", lambda: params)
    return root


def test_a_sample_of_every_corpus_is_embedded_by_the_model(project: Path, run_cli: Callable[..., Result]) -> None:
    """Model, digests of the texts, the rows that these draw, and for each row the vector that its text has anyway."""
    output = project / "build" / "canaries" / "base.json"
    result = run_cli(MODULE, "--candidate", "base", "--output", output)
    canary = load_json(output, Canary)
    encoder = load_encoder(str(project / "build" / "models" / "base"))

    assert (result.code, result.out) == (0, f"{output}: tiny-base, 2 corpora\n")
    assert canary.model == encoder.identity
    assert set(canary.corpora) == {"fr", "intl"}
    for request, name in zip(list_requests(project), ("fr", "intl"), strict=True):
        found = canary.corpora[name]
        digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (request.chunks, request.questions)]
        passages = encoder.encode_documents(load_chunks(request.chunks).chunks)
        questions = encoder.encode_questions([each.text for each in load_questions(request.questions)])

        assert [found.chunks_sha256, found.questions_sha256] == digests
        assert found.passages.rows == draw_rows(digests[0], len(passages))
        assert found.questions.rows == draw_rows(digests[1], len(questions))
        np.testing.assert_allclose(found.passages.decode(), passages[found.passages.rows], atol=1e-5)
        np.testing.assert_allclose(found.questions.decode(), questions[found.questions.rows], atol=1e-5)


def test_the_same_model_and_texts_give_the_same_bytes(project: Path, run_cli: Callable[..., Result]) -> None:
    """A second run replaces the first by the same bytes and leaves nothing beside it; other texts draw other rows."""
    output = project / "canaries" / "base.json"
    codes = [run_cli(MODULE, "--candidate", "base", "--output", output).code]
    first = output.read_bytes()
    codes.append(run_cli(MODULE, "--candidate", "base", "--output", output).code)
    second = output.read_bytes()
    chunks = list_requests(project)[0].chunks
    chunks.write_bytes(chunks.read_bytes() + b"\n")
    run_cli(MODULE, "--candidate", "base", "--output", output)
    before, after = (Canary.model_validate_json(content).corpora["fr"] for content in (first, output.read_bytes()))

    assert codes == [0, 0]
    assert first == second
    assert [path.name for path in output.parent.iterdir()] == ["base.json"]
    assert before.passages.rows != after.passages.rows
    assert before.questions == after.questions


def test_what_was_embedded_before_is_not_looked_at(
    project: Path, run_cli: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sample is evidence of what the model gives now: no rows are opened for it."""

    def refuse(*_arguments: object) -> None:
        message = "rows were opened"
        raise AssertionError(message)

    monkeypatch.setattr(EmbeddedRows, "__init__", refuse)

    assert run_cli(MODULE, "--candidate", "base", "--output", project / "c.json").code == 0


def test_a_sample_is_embedded_in_the_precision_of_the_store(project: Path, run_cli: Callable[..., Result]) -> None:
    """A store in bfloat16 is held against a sample in bfloat16, which says so."""
    output = project / "c.json"
    result = run_cli(MODULE, "--candidate", "base", "--output", output, "--precision", "bfloat16")

    assert result.code == 0
    assert load_json(output, Canary).model.precision == "bfloat16"


FAULTS = {
    "no model": ("qlora", None, "build/models/qlora"),
    "malformed corpus": ("base", "corpus/processed/chunks_mode_b_intl.json", "chunks_mode_b_intl.json"),
    "malformed questions": ("base", "corpus/gold/questions_intl.jsonl", "questions_intl.jsonl"),
}


@pytest.mark.parametrize(("candidate", "spoilt", "named"), FAULTS.values(), ids=FAULTS)
def test_what_cannot_be_embedded_is_refused(
    project: Path, run_cli: Callable[..., Result], candidate: str, spoilt: str | None, named: str
) -> None:
    """Without a model, or with texts that cannot be read, an older sample stays and no half one is written."""
    output = project / "canaries" / "canary.json"
    output.parent.mkdir()
    output.write_text("older", encoding="utf-8")
    if spoilt:
        (project / spoilt).write_text("{}\n", encoding="utf-8")

    result = run_cli(MODULE, "--candidate", candidate, "--output", output)
    result = Result(result.code, result.out, result.err.strip().splitlines()[-1] + "\n")

    check_refusal(result, named)

    assert output.read_text(encoding="utf-8") == "older"
    assert list_scraps(project) == []


@pytest.mark.parametrize(
    "arguments",
    [["--candidate", "other", "--output", "x"], ["--output", "x"], ["--candidate", "base"]],
    ids=["stranger", "no candidate", "no output"],
)
def test_half_a_command_is_wrong_usage(run_cli: Callable[..., Result], arguments: list[str]) -> None:
    """Only the two candidates have a model, and where the sample goes must be said."""
    result = run_cli(MODULE, *arguments)

    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)


@settings(max_examples=50, deadline=None)
@given(digest=st.binary(min_size=32, max_size=32), total=st.integers(1, 2000))
def test_rows_are_drawn_by_the_digest(digest: bytes, total: int) -> None:
    """Sixteen different rows of those that there are, or all, ascending; the same digest always draws the same."""
    rows = draw_rows(digest.hex(), total)

    assert rows == sorted(set(rows)) == draw_rows(digest.hex(), total)
    assert len(rows) == min(16, total)
    assert 0 <= rows[0] <= rows[-1] < total
    assert {type(row) for row in rows} == {int}


def test_every_row_may_be_drawn() -> None:
    """Over many texts all rows come up about as often: none is safe from being looked at."""
    counts = np.zeros(40, dtype=int)
    for number in range(400):
        counts[draw_rows(hashlib.sha256(b"%d" % number).hexdigest(), 40)] += 1

    assert counts.sum() == 6400
    assert counts.min() > 100
    assert counts.max() < 220


def test_vectors_come_back_to_the_bit() -> None:
    """A vector is the base64 of its little-endian float32 values, and is read as what was written."""
    decoded = GOOD.decode()

    assert GOOD.rows == [2, 5, 9]
    assert base64.b64decode(GOOD.vectors[1]) == UNITS[1].astype("<f4").tobytes()
    assert decoded.dtype == np.float32
    assert decoded.tobytes() == UNITS.tobytes()


def encode(vector: object) -> str:
    """Return the base64 of a vector's values."""
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode("ascii")


BAD_VECTORS = {
    "no base64": ["&" * 4096, *GOOD.vectors[1:]],
    "base64 with a line break": [GOOD.vectors[0][:76] + "\n" + GOOD.vectors[0][76:], *GOOD.vectors[1:]],
    "letters beyond ASCII": ["é" * 4096, *GOOD.vectors[1:]],
    "padding cut off": [encode(UNITS[0][:-1]).rstrip("=")[:-1], *GOOD.vectors[1:]],
    "one value less": [encode(UNITS[0][:-1]), *GOOD.vectors[1:]],
    "one value more": [encode([*UNITS[0], 0]), *GOOD.vectors[1:]],
    "one less and one more": [encode(UNITS[0][:-1]), encode([UNITS[0][-1], *UNITS[1]]), GOOD.vectors[2]],
    "empty": ["", *GOOD.vectors[1:]],
    "a vector less": GOOD.vectors[1:],
    "a vector more": [*GOOD.vectors, GOOD.vectors[0]],
    "NaN": [encode(UNITS[0] * np.nan), *GOOD.vectors[1:]],
    "zero": [encode(UNITS[0] * 0), *GOOD.vectors[1:]],
    "twice the length": [encode(UNITS[0] * 2), *GOOD.vectors[1:]],
}


@pytest.mark.parametrize("vectors", BAD_VECTORS.values(), ids=BAD_VECTORS)
def test_what_are_no_vectors_of_the_rows_is_refused(vectors: list[str]) -> None:
    """Other letters, another length or number, and what no model gives cannot be read as a sample."""
    with pytest.raises(ValueError, match=r".+"):
        Sample(rows=GOOD.rows, vectors=vectors).decode()


FIELDS: dict[str, tuple[str, str]] = {
    "another version": ('"schema_version": 1', '"schema_version": 2'),
    "version of text": ('"schema_version": 1', '"schema_version": "1"'),
    "row before the first": ('"rows": [2', '"rows": [-2'),
    "row of text": ('"rows": [2', '"rows": ["2"'),
    "unknown field": ('"schema_version": 1', '"schema_version": 1, "more": 1'),
    "no model": ('"model": {', '"model": null, "was": {'),
}


@pytest.mark.parametrize(("old", "new"), FIELDS.values(), ids=FIELDS)
def test_a_malformed_canary_is_refused_by_its_file(tmp_path: Path, old: str, new: str) -> None:
    """The file is read as strictly as any other."""
    part: dict[str, Any] = {"chunks_sha256": "0" * 64, "questions_sha256": "1" * 64}
    part |= {"passages": GOOD.model_dump(), "questions": GOOD.model_dump()}
    text = json.dumps({"schema_version": 1, "model": IDENTITY.model_dump(), "corpora": {"fr": part}})
    path = tmp_path / "canary.json"
    path.write_text(text, encoding="utf-8")

    assert load_json(path, Canary).corpora["fr"].questions == GOOD
    assert old in text

    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match=r"canary\.json"):
        load_json(path, Canary)
