"""Every check of the suites fails by one sabotage of a store whose bytes are trusted, and passes on the good store."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import InputError
from tests.conftest import SMALL_ROWS, Sample, build_sample_store, write_sample
from tests.stores import build_request, copy_blobs, edit_database, get_path, load_sample, open_store, replace_array
from validation.engine import Engine
from validation.expectations import ExpectationRunner, list_parameters
from validation.frames import build_database_frame, build_metadata_frame, build_vector_frame
from validation.outcomes import Check, Outcome
from validation.policy import EXPECTATIONS, Policy, Rules, load_rulebook
from validation.stores import check_corpus, check_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from validation.evidence import CorpusEvidence
    from validation.spoiling import Part

    Change = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]

pytestmark = pytest.mark.requirement(
    "REQ-CHK-01",
    "REQ-CHK-02",
    "REQ-CHK-03",
    "REQ-VEC-01",
    "REQ-VEC-02",
    "REQ-VEC-03",
    "REQ-VEC-04",
    "REQ-VEC-05",
    "REQ-STO-01",
    "REQ-STO-02",
    "REQ-STO-03",
    "REQ-STO-04",
    "REQ-STO-05",
)

SUITES = EXPECTATIONS / "suites"


@pytest.fixture(scope="module")
def policy() -> Policy:
    """The policy of the project."""
    return load_rulebook(EXPECTATIONS / "policy.yaml").policy


def run_store(store: Path, small: Sample, policy: Policy) -> list[Check]:
    """Run every expectation over a store."""
    evidence, corpus = open_store(store, small)
    return check_store(
        evidence, corpus, build_request(small, store, store), policy.limits, Engine(ExpectationRunner(SUITES))
    )


def run_vectors(store: Path, small: Sample, policy: Policy, role: Part) -> list[Check]:
    """Run the expectations over one of a store's matrices."""
    evidence, _ = open_store(store, small)
    vectors = evidence.passages if role == "embeddings" else evidence.questions
    parameters = list_parameters(policy.limits, rows=SMALL_ROWS, model_id="base-model", corpora=["fr"])
    return ExpectationRunner(SUITES).run("vectors", role, build_vector_frame(vectors), parameters)


def run_database(store: Path, small: Sample, policy: Policy) -> list[Check]:
    """Run the expectations over a store's database."""
    evidence, _ = open_store(store, small)
    parameters = list_parameters(policy.limits, rows=SMALL_ROWS, model_id="base-model", corpora=["fr"])
    frames = {
        "database": build_database_frame(evidence),
        "metadata": build_metadata_frame(evidence),
    }
    runner = ExpectationRunner(SUITES)
    return [check for suite, frame in frames.items() for check in runner.run(suite, "base/fr", frame, parameters)]


def list_failed(checks: list[Check]) -> set[tuple[str, str]]:
    """Return id and subject of what did not pass; whatever did not pass must be a FAIL that says why."""
    failed = [check for check in checks if check.outcome is not Outcome.PASS]

    assert {check.outcome for check in failed} <= {Outcome.FAIL}
    assert all(check.detail for check in failed)

    return {check.key for check in failed}


def list_served(*suites: str) -> list[str]:
    """Return the check ids that suites on disk name."""
    documents = [json.loads((SUITES / f"{suite}.json").read_text("utf-8")) for suite in suites]
    return sorted({entry["meta"]["check"] for document in documents for entry in document["expectations"]})


def poison(array: npt.NDArray[Any], value: float) -> npt.NDArray[Any]:
    """Return an array with one value in its fourth row replaced."""
    spoilt = array.copy()
    spoilt[3, 5] = value
    return spoilt


def clear_row(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array whose last row is zero."""
    spoilt = array.copy()
    spoilt[-1] = 0
    return spoilt


def shorten(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return unit vectors of one dimension less."""
    cut = array[:, :-1]
    unit: npt.NDArray[Any] = (cut / np.linalg.norm(cut, axis=1, keepdims=True)).astype("<f4")
    return unit


def truncate(array: npt.NDArray[Any], padding: float) -> npt.NDArray[Any]:
    """Return unit vectors of which everything from the 257th dimension on is the same number."""
    cut = array[:, :256] / np.linalg.norm(array[:, :256], axis=1, keepdims=True) * (1 - 512 * padding**2) ** 0.5
    padded: npt.NDArray[Any] = np.hstack([cut, np.full((len(array), 512), padding)]).astype("<f4")
    return padded


def flatten_dimension(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return unit vectors that are all the same in their last dimension."""
    rest = array[:, :-1] / np.linalg.norm(array[:, :-1], axis=1, keepdims=True) * (1 - 0.05**2) ** 0.5
    flat: npt.NDArray[Any] = np.hstack([rest, np.full((len(array), 1), 0.05)]).astype("<f4")
    return flat


VECTOR_SABOTAGES: dict[str, tuple[Change, set[str]]] = {
    "row missing": (lambda array: array[:-1], {"VEC101"}),
    "row too many": (lambda array: np.vstack([array, -array[:1]]), {"VEC101"}),
    "one dimension less": (shorten, {"VEC102"}),
    "reshaped": (lambda array: array.reshape(len(array) // 2, -1) / np.float32(2**0.5), {"VEC101", "VEC102"}),
    "big endian": (lambda array: array.astype(">f4"), {"VEC103"}),
    "double precision": (lambda array: array.astype("<f8"), {"VEC103"}),
    "half precision": (lambda array: array.astype("<f2"), {"VEC103"}),
    "Fortran order": (np.asfortranarray, {"VEC104"}),
    "NaN": (lambda array: poison(array, np.nan), {"VEC105"}),
    "infinity": (lambda array: poison(array, np.inf), {"VEC105"}),
    "NaN everywhere": (lambda array: array * np.float32(np.nan), {"VEC105", "VEC106", "VEC107"}),
    "NaN and a row too long": (lambda array: poison(array, np.nan) * np.float32(1.01), {"VEC105", "VEC106"}),
    "length 1.01": (lambda array: array * np.float32(1.01), {"VEC106"}),
    "length 0.998": (lambda array: array * np.float32(0.998), {"VEC106"}),
    "zero row": (clear_row, {"VEC106"}),
    "all rows equal": (lambda array: np.repeat(array[:1], len(array), axis=0), {"VEC107", "VEC108"}),
    "one row twice": (lambda array: np.vstack([array[:1], array[:-1]]), {"VEC107"}),
    "truncated and padded": (lambda array: truncate(array, 0.0), {"VEC108"}),
    "truncated and padded with another number": (lambda array: truncate(array, 0.01), {"VEC108"}),
    "one dimension constant": (flatten_dimension, {"VEC108"}),
    "NaN among padded rows": (lambda array: poison(truncate(array, 0.0), np.nan), {"VEC105", "VEC108"}),
}


@pytest.mark.parametrize(("change", "expected"), VECTOR_SABOTAGES.values(), ids=VECTOR_SABOTAGES)
def test_spoilt_vectors_fail_their_check(
    store: Path, small: Sample, policy: Policy, change: Change, expected: set[str]
) -> None:
    """A matrix built wrong fails the check that is meant for it and no other."""
    replace_array(store, "embeddings", change(np.load(get_path(store, "embeddings"))))
    checks = run_vectors(store, small, policy, "embeddings")

    assert list_failed(checks) == {(check, "embeddings") for check in expected}


@pytest.mark.parametrize(("role", "part"), [("embeddings", "passages"), ("questions", "questions")])
def test_a_fault_is_seen_in_its_part_of_the_store(
    store: Path, small: Sample, policy: Policy, role: Part, part: str
) -> None:
    """A matrix that is wrong alike in `.npy` and database fails there, and every other part of the store passes."""
    array = np.load(get_path(store, role)) * np.float32(1.01)
    replace_array(store, role, array)
    if role == "embeddings":
        copy_blobs(store, array)

    assert list_failed(run_store(store, small, policy)) == {("VEC106", f"base/fr/{part}")}


@pytest.mark.parametrize("length", [0.9991, 1.0009], ids=str)
def test_a_length_within_the_tolerance_passes(store: Path, small: Sample, policy: Policy, length: float) -> None:
    """Lengths within 0.001 of 1 are unit lengths."""
    replace_array(store, "questions", np.load(get_path(store, "questions")) * np.float32(length))

    assert list_failed(run_vectors(store, small, policy, "questions")) == set()


def test_a_single_row_has_nothing_to_vary_against(tmp_path: Path, policy: Policy) -> None:
    """A corpus of one chunk and one question passes: its only vector cannot be told from a constant one."""
    tiny = write_sample(tmp_path / "corpus", rows=1, questions=1)
    store = build_sample_store(tiny, tmp_path / "store", model_id="base-model", hits=1)

    assert list_failed(run_store(store, tiny, policy)) == set()


@pytest.mark.parametrize(
    "rows", [[], [3], list(range(SMALL_ROWS - 1)), list(range(SMALL_ROWS))], ids=["none", "one", "most", "all"]
)
def test_rows_that_are_not_finite_make_no_dimension_constant(
    store: Path, small: Sample, policy: Policy, rows: list[int]
) -> None:
    """Good vectors with NaN in whole rows fail for that, and for nothing that the other rows do not show."""
    array = np.load(get_path(store, "embeddings"))
    array[rows] = np.nan
    replace_array(store, "embeddings", array)
    failed = {check for check, _ in list_failed(run_vectors(store, small, policy, "embeddings"))}

    expected = ({"VEC105"} if rows else set()) | ({"VEC106"} if len(rows) == SMALL_ROWS else set())

    assert failed - {"VEC107"} == expected


ODD_ARRAYS: dict[str, npt.NDArray[Any]] = {
    "no row": np.empty((0, 768), dtype="<f4"),
    "no column": np.empty((SMALL_ROWS, 0), dtype="<f4"),
    "a number": np.array(1.0, dtype="<f4"),
    "a list": np.full(SMALL_ROWS, 1.0, dtype="<f4"),
    "three axes": np.full((SMALL_ROWS, 768, 1), 768**-0.5, dtype="<f4"),
    "text": np.full((SMALL_ROWS, 768), "x"),
    "complex": np.full((SMALL_ROWS, 768), 1j, dtype="<c8"),
    "dates": np.zeros((SMALL_ROWS, 768), dtype="datetime64[D]"),
    "records": np.zeros((SMALL_ROWS, 768), dtype=[("a", "<f4")]),
    "huge numbers": np.full((SMALL_ROWS, 768), 1e300),
}


@pytest.mark.parametrize("array", ODD_ARRAYS.values(), ids=ODD_ARRAYS)
def test_an_array_that_is_no_matrix_fails(store: Path, small: Sample, policy: Policy, array: npt.NDArray[Any]) -> None:
    """Whatever array a store holds, the checks of vectors and database say FAIL; none of them breaks down."""
    replace_array(store, "embeddings", array)
    failed = list_failed(run_vectors(store, small, policy, "embeddings") + run_database(store, small, policy))

    assert {check for check, _ in failed} & {"VEC101", "VEC102", "VEC103"}
    assert ("STO204", "base/fr") in failed


SWAP = "UPDATE chunks SET embedding = (SELECT embedding FROM chunks WHERE rowid = 5) WHERE rowid = 4"
DATABASE_SABOTAGES = {
    "row missing": ("DELETE FROM chunks WHERE rowid = 12", "STO201"),
    "no row": ("DELETE FROM chunks", "STO201"),
    "other id": ("UPDATE chunks SET id = 'autre' WHERE rowid = 4", "STO202"),
    "id with a space": ("UPDATE chunks SET id = id || ' ' WHERE rowid = 12", "STO202"),
    "other text": ("UPDATE chunks SET text = text || '.' WHERE rowid = 1", "STO203"),
    "empty text": ("UPDATE chunks SET text = '' WHERE rowid = 4", "STO203"),
    "other source": ("UPDATE chunks SET source = 'autre.md' WHERE rowid = 4", "STO203"),
    "other page": ("UPDATE chunks SET page = page + 1 WHERE rowid = 4", "STO203"),
    "page in words": ("UPDATE chunks SET page = 'un' WHERE rowid = 4", "STO203"),
    "other tokens": ("UPDATE chunks SET tokens = tokens + 1 WHERE rowid = 12", "STO203"),
    "vector of another row": (SWAP, "STO204"),
    "vector cut": ("UPDATE chunks SET embedding = substr(embedding, 1, 3068) WHERE rowid = 4", "STO204"),
    "vector as text": ("UPDATE chunks SET embedding = 'x' WHERE rowid = 12", "STO204"),
    "older schema": ("UPDATE metadata SET value = '1.0' WHERE key = 'schema_version'", "STO205"),
    "schema in short": ("UPDATE metadata SET value = '2' WHERE key = 'schema_version'", "STO205"),
    "schema missing": ("DELETE FROM metadata WHERE key = 'schema_version'", "STO205"),
    "other dimension": ("UPDATE metadata SET value = '512' WHERE key = 'embedding_dim'", "STO206"),
    "dimension as a fraction": ("UPDATE metadata SET value = '768.0' WHERE key = 'embedding_dim'", "STO206"),
    "dimension missing": ("DELETE FROM metadata WHERE key = 'embedding_dim'", "STO206"),
    "other total": ("UPDATE metadata SET value = '11' WHERE key = 'total_chunks'", "STO207"),
    "total missing": ("DELETE FROM metadata WHERE key = 'total_chunks'", "STO207"),
    "other model": ("UPDATE metadata SET value = 'qlora-model' WHERE key = 'model_id'", "STO208"),
    "model in capitals": ("UPDATE metadata SET value = 'Base-model' WHERE key = 'model_id'", "STO208"),
    "model with a space": ("UPDATE metadata SET value = 'base-model ' WHERE key = 'model_id'", "STO208"),
    "model with another alphabet's letter": ("UPDATE metadata SET value = replace(value, 'a', '\u0430')", "STO208"),
    "model missing": ("DELETE FROM metadata WHERE key = 'model_id'", "STO208"),
    "another key": ("INSERT INTO metadata VALUES ('licence', 'free')", "STO209"),
    "second label": ("INSERT INTO metadata VALUES ('Model_id', 'qlora-model')", "STO209"),
    "key without a name": ("INSERT INTO metadata VALUES ('', 'x')", "STO209"),
    "key that is no text": ("INSERT INTO metadata VALUES (NULL, 'x')", "STO209"),
    "key as bytes": ("INSERT INTO metadata VALUES (CAST('model_id' AS BLOB), 'base-model')", "STO209"),
}


@pytest.mark.parametrize(("statement", "expected"), DATABASE_SABOTAGES.values(), ids=DATABASE_SABOTAGES)
def test_a_spoilt_database_fails_its_check(
    store: Path, small: Sample, policy: Policy, statement: str, expected: str
) -> None:
    """A database built wrong fails exactly the check that is meant for it."""
    edit_database(store, statement)

    assert list_failed(run_database(store, small, policy)) == {(expected, "base/fr")}


def test_rows_in_another_order_fail(store: Path, small: Sample, policy: Policy) -> None:
    """Rows shifted by one against the chunks are the wrong ids, texts and vectors, though none is missing."""
    edit_database(store, "UPDATE chunks SET rowid = 100 WHERE rowid = 1")

    assert list_failed(run_database(store, small, policy)) == {
        ("STO202", "base/fr"),
        ("STO203", "base/fr"),
        ("STO204", "base/fr"),
    }


def with_chunk(corpus: CorpusEvidence, /, **fields: object) -> CorpusEvidence:
    """Return a corpus with fields of its fourth chunk replaced, past what the loader would let through."""
    chunks = list(corpus.chunks.chunks)
    chunks[3] = chunks[3].model_copy(update=fields)
    return replace(corpus, chunks=corpus.chunks.model_copy(update={"chunks": chunks}))


CHUNK_SABOTAGES: dict[str, tuple[Callable[[CorpusEvidence], CorpusEvidence], str]] = {
    "fewer than declared": (lambda corpus: replace(corpus, total=SMALL_ROWS + 1), "CHK101"),
    "more than declared": (lambda corpus: replace(corpus, total=SMALL_ROWS - 1), "CHK101"),
    "id twice": (lambda corpus: with_chunk(corpus, id=corpus.chunks.chunks[0].id), "CHK102"),
    "blank": (lambda corpus: with_chunk(corpus, text=" \n\t"), "CHK103"),
    "page 0": (lambda corpus: with_chunk(corpus, page=0), "CHK104"),
    "no token": (lambda corpus: with_chunk(corpus, tokens=0), "CHK104"),
    "foreign chunk": (lambda corpus: with_chunk(corpus, corpus="intl"), "CHK105"),
    "text twice": (lambda corpus: with_chunk(corpus, text=corpus.chunks.chunks[0].text), "CHK106"),
}


@pytest.mark.parametrize(("change", "expected"), CHUNK_SABOTAGES.values(), ids=CHUNK_SABOTAGES)
def test_a_spoilt_corpus_fails_its_check(
    small: Sample, policy: Policy, change: Callable[[CorpusEvidence], CorpusEvidence], expected: str
) -> None:
    """A corpus that is not what it should be fails exactly the check that is meant for it."""
    corpus = change(load_sample(small))

    assert list_failed(check_corpus(corpus, policy.limits, ExpectationRunner(SUITES))) == {(expected, "fr")}


@pytest.mark.parametrize(("copies", "expected"), [(1, set()), (2, {("CHK106", "fr")})], ids=["2 %", "3 %"])
def test_share_of_distinct_texts_is_bounded(
    tmp_path: Path, policy: Policy, copies: int, expected: set[tuple[str, str]]
) -> None:
    """With 98 % distinct texts the corpus passes, at the limit; with 97 % it fails."""
    corpus = load_sample(write_sample(tmp_path / "corpus", rows=100, questions=1))
    chunks = list(corpus.chunks.chunks)
    for row in range(copies + 1):
        chunks[row + 1] = chunks[row + 1].model_copy(update={"text": chunks[0].text})
    spoilt = replace(corpus, chunks=corpus.chunks.model_copy(update={"chunks": chunks}))

    assert list_failed(check_corpus(spoilt, policy.limits, ExpectationRunner(SUITES))) == expected


def test_the_good_store_passes(store: Path, small: Sample, policy: Policy) -> None:
    """Every check of the suites reports once for each subject and passes, with what it saw and held it against."""
    checks = run_store(store, small, policy) + check_corpus(
        load_sample(small), policy.limits, ExpectationRunner(SUITES)
    )
    expected = [
        *((check, "fr") for check in list_served("chunks")),
        *((check, "base/fr") for check in list_served("database", "metadata")),
        *((check, f"base/fr/{part}") for part in ("passages", "questions") for check in list_served("vectors")),
    ]

    assert list_failed(checks) == set()
    assert sorted(check.key for check in checks) == sorted(expected)
    assert all(check.observed is not None and check.limit is not None for check in checks)


def copy_suites(folder: Path, drop: str) -> Path:
    """Write the suites without the expectations of one check."""
    folder.mkdir()
    for path in SUITES.glob("*.json"):
        document = json.loads(path.read_text(encoding="utf-8"))
        document["expectations"] = [each for each in document["expectations"] if each["meta"]["check"] != drop]
        (folder / path.name).write_text(json.dumps(document), encoding="utf-8")
    return folder


def test_suites_may_lie_in_another_folder(tmp_path: Path, store: Path, small: Sample, policy: Policy) -> None:
    """What runs is what stands in the folder that is named, and nothing of the project's own suites."""
    replace_array(store, "questions", truncate(np.load(get_path(store, "questions")), 0.0))
    evidence, _ = open_store(store, small)
    parameters = list_parameters(policy.limits, rows=SMALL_ROWS, model_id="base-model", corpora=["fr"])
    frame = build_vector_frame(evidence.questions)
    other = ExpectationRunner(copy_suites(tmp_path / "suites", "VEC108")).run("vectors", "x", frame, parameters)
    own = ExpectationRunner(SUITES).run("vectors", "x", frame, parameters)

    assert [check.id for check in own] == list_served("vectors")
    assert [check.id for check in other] == [check for check in list_served("vectors") if check != "VEC108"]
    assert [check.id for check in own if check.outcome is Outcome.FAIL] == ["VEC108"]
    assert {check.outcome for check in other} == {Outcome.PASS}


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "not valid JSON"), ('{"name": "vectors", "expectations": []}', "meta: Field required")],
    ids=["no JSON", "field missing"],
)
def test_a_malformed_suite_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """A suite that cannot be read is an error with its path, not a suite without checks."""
    (copy_suites(tmp_path / "suites", "") / "vectors.json").write_text(text, encoding="utf-8")

    with pytest.raises(InputError, match=rf"vectors\.json.*{said}"):
        ExpectationRunner(tmp_path / "suites")


@pytest.mark.parametrize("way", ["release", "comparison"])
def test_the_suites_serve_what_the_policy_requires(policy: Policy, way: str) -> None:
    """No required check lacks an expectation, and no expectation reports what nobody requires."""
    rules: Rules = getattr(policy, way)

    assert list_served("chunks") == sorted(rules.corpus)
    assert list_served("vectors") == sorted(rules.vectors)
    assert list_served("database", "metadata") == sorted(rules.database)


def test_every_check_of_the_suites_has_a_sabotage(policy: Policy) -> None:
    """The tables of this file leave no check of the families CHK, VEC and STO without a failing case."""
    shown = {check for _, checks in VECTOR_SABOTAGES.values() for check in checks}
    shown |= {check for _, check in [*DATABASE_SABOTAGES.values(), *CHUNK_SABOTAGES.values()]}

    assert sorted(shown) == sorted([*policy.release.corpus, *policy.release.vectors, *policy.release.database])


GOOD_FRAME: dict[str, list[Any]] = {
    "rows": [3],
    "dimension": [768],
    "dtype": ["<f4"],
    "order": ["C"],
    "not_finite": [0],
    "length_min": [1.0],
    "length_max": [1.0],
    "distinct": [1.0],
    "constant_dimensions": [0],
}


@pytest.mark.parametrize(
    ("columns", "expected", "said"),
    [
        ({"distinct": None}, "VEC107", "distinct"),
        ({"length_min": None}, "VEC106", "length_min"),
        ({"length_max": None}, "VEC106", "length_max"),
        ({"rows": None}, "VEC101", "rows"),
        ({"length_max": [{}]}, "VEC106", "not supported"),
    ],
    ids=[
        "one expectation",
        "two expectations",
        "the last of three",
        "the first check",
        "values that cannot be compared",
    ],
)
def test_an_expectation_that_raises_is_an_error(
    policy: Policy, columns: dict[str, list[Any] | None], expected: str, said: str
) -> None:
    """What could not be evaluated is neither a pass nor a failure, and the check carries what was raised."""
    frame = pd.DataFrame({name: cells for name, cells in (GOOD_FRAME | columns).items() if cells is not None})
    parameters = list_parameters(policy.limits, rows=3, model_id="m", corpora=["fr"])
    checks = ExpectationRunner(SUITES).run("vectors", "base/fr/passages", frame, parameters)

    assert [check.id for check in checks] == list_served("vectors")

    errors = [check for check in checks if check.outcome is Outcome.ERROR]

    assert [check.id for check in errors] == [expected]
    assert said in (errors[0].detail or "")
    assert {check.outcome for check in checks if check.id != expected} == {Outcome.PASS}
