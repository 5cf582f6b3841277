"""The rows of a store against the same texts embedded anew: a right label on wrong vectors does not get through."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.canary import Canary, CorpusCanary, Sample, describe_sample, draw_rows
from pipeline.chunks import load_chunks
from pipeline.encoder import load_encoder, load_transformer
from pipeline.gold import load_questions
from pipeline.provenance import write_provenance
from pipeline.store import StoreInputs, build_store
from pipeline.vectors import DIMENSION, save_vectors
from tests.conftest import draw_unit_vectors, write_sample
from tests.stores import load_sample, name_model, write_pair
from validation.canaries import check_canary
from validation.evidence import CorpusEvidence, StoreEvidence, VectorEvidence, collect_store
from validation.outcomes import Check, Outcome
from validation.policy import EXPECTATIONS, load_rulebook

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.requirement("REQ-VEC-06")

LIMIT = load_rulebook(EXPECTATIONS / "policy.yaml").policy.limits.canary_similarity
ROWS = 60
PASSAGES, QUESTIONS = "qlora/fr/passages", "qlora/fr/questions"
Values = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Case:
    """A store, its corpus, and what its model gives for a sample of it."""

    store: StoreEvidence
    corpus: CorpusEvidence
    canary: Canary

    def check(self, canary: Canary | None, store: StoreEvidence | None = None, limit: Decimal = LIMIT) -> list[Check]:
        """Hold a store against a sample."""
        return check_canary("VEC109", store or self.store, self.corpus, canary, limit)

    def judge(self, canary: Canary | None, store: StoreEvidence | None = None) -> dict[str, Outcome]:
        """Return what is said of passages and questions."""
        return {check.subject: check.outcome for check in self.check(canary, store)}

    def with_sample(self, **changes: object) -> Canary:
        """Return the samples of this corpus with something changed."""
        part = self.canary.corpora["fr"].model_copy(update=changes)
        return self.canary.model_copy(update={"corpora": {"fr": part}})

    def with_passages(self, values: Values) -> StoreEvidence:
        """Return the store with other vectors of its passages."""
        return replace(self.store, passages=VectorEvidence(self.store.passages.header, values))


def build_canary(store: StoreEvidence, corpus: CorpusEvidence) -> Canary:
    """Return the canary of a model that gives exactly the vectors of a store."""
    places = draw_rows(corpus.chunks_sha256, corpus.total)
    asked = draw_rows(corpus.questions_sha256, len(corpus.gold.questions))
    part = CorpusCanary(
        chunks_sha256=corpus.chunks_sha256,
        questions_sha256=corpus.questions_sha256,
        passages=describe_sample(places, np.asarray(store.passages.values, dtype=np.float32)[places]),
        questions=describe_sample(asked, np.asarray(store.questions.values, dtype=np.float32)[asked]),
    )

    assert store.manifest.model is not None

    return Canary(schema_version=1, model=store.manifest.model, corpora={"fr": part})


def collect(folder: Path, corpus: CorpusEvidence) -> StoreEvidence:
    """Read a good store as the gate does."""
    store, _ = collect_store("qlora", folder, corpus)

    assert store is not None

    return store


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A store whose rows are what its model gives."""
    sample, _, candidate = write_pair(tmp_path_factory.mktemp("pair"), base_hits=4, candidate_hits=8, rows=ROWS)
    name_model(candidate)
    corpus = load_sample(sample)
    store = collect(candidate, corpus)
    return Case(store, corpus, build_canary(store, corpus))


def get_values(case: Case) -> Values:
    """Return a copy of the passages' vectors."""
    return np.array(case.store.passages.values)


def get_rows(case: Case) -> list[int]:
    """Return the passages that are drawn."""
    return draw_rows(case.corpus.chunks_sha256, ROWS)


def test_a_store_of_its_model_passes(case: Case) -> None:
    """Both matrices are held against 16 rows each, and the worst similarity is told with its limit."""
    checks = case.check(case.canary)

    assert [(check.id, check.subject, check.outcome, check.n) for check in checks] == [
        ("VEC109", PASSAGES, Outcome.PASS, 16),
        ("VEC109", QUESTIONS, Outcome.PASS, 16),
    ]
    for check in checks:
        assert check.observed == pytest.approx(1.0)
        assert (check.limit, check.detail) == (float(LIMIT), None)


def rotate(values: Values) -> Values:
    """Return the same vectors in a space whose axes are others."""
    turn, _ = np.linalg.qr(np.random.default_rng(5).standard_normal((DIMENSION, DIMENSION)))
    turned: Values = (values @ turn).astype(np.float32)
    return turned


def test_the_same_vectors_in_another_space_fail(case: Case) -> None:
    """Every distance within the store is as it was, and yet the vectors are another model's."""
    turned = rotate(get_values(case))

    np.testing.assert_allclose(turned @ turned.T, get_values(case) @ get_values(case).T, atol=1e-5)
    assert case.judge(case.canary, case.with_passages(turned)) == {PASSAGES: Outcome.FAIL, QUESTIONS: Outcome.PASS}


@pytest.mark.parametrize("place", [0, 7, 15], ids=["first", "middle", "last"])
def test_one_wrong_row_of_the_sample_fails_and_is_named(case: Case, place: int) -> None:
    """A single row that its text does not give is enough, and the row is told."""
    row, values = get_rows(case)[place], get_values(case)
    values[row] = draw_unit_vectors(1, 99)[0]
    check = case.check(case.canary, case.with_passages(values))[0]

    assert (check.outcome, check.detail) == (Outcome.FAIL, f"row {row} is not what its text gives")
    assert check.observed == pytest.approx(float(values[row] @ case.store.passages.values[row]), abs=1e-6)


def test_questions_are_looked_at_too(case: Case) -> None:
    """Wrong vectors of the questions fail by themselves: a prompt may be dropped on one side only."""
    values = rotate(np.array(case.store.questions.values))
    store = replace(case.store, questions=VectorEvidence(case.store.questions.header, values))

    assert case.judge(case.canary, store) == {PASSAGES: Outcome.PASS, QUESTIONS: Outcome.FAIL}


def test_rows_outside_of_the_sample_are_not_looked_at(case: Case) -> None:
    """It is a sample: what is not drawn is the business of the database, whose rows must equal all of them."""
    values = get_values(case)
    others = sorted(set(range(ROWS)) - set(get_rows(case)))
    values[others] = -values[others]

    assert case.judge(case.canary, case.with_passages(values))[PASSAGES] is Outcome.PASS


def test_the_length_of_a_vector_is_not_what_is_compared(case: Case) -> None:
    """Only the direction counts here; lengths have a check of their own."""
    assert case.judge(case.canary, case.with_passages(3 * get_values(case)))[PASSAGES] is Outcome.PASS


@pytest.mark.parametrize(
    ("limit", "outcome"),
    [("0.6", Outcome.PASS), ("0.6000000000000001", Outcome.FAIL), ("0.5999999", Outcome.PASS)],
    ids=["at the limit", "above", "below"],
)
def test_a_similarity_at_the_limit_passes(case: Case, limit: str, outcome: Outcome) -> None:
    """Three parts along and four across are a cosine of exactly 0.6."""
    anew, stored = np.zeros((ROWS, DIMENSION), dtype=np.float32), np.zeros((ROWS, DIMENSION), dtype=np.float32)
    anew[:, 0], stored[:, 0], stored[:, 1] = 1, 3, 4
    rows = get_rows(case)
    canary = case.with_sample(passages=describe_sample(rows, anew[rows]))
    check = case.check(canary, case.with_passages(stored), Decimal(limit))[0]

    assert (check.outcome, check.observed) == (outcome, 0.6)


def poison(value: float) -> Callable[[Values, int], Values]:
    """Return a way to put one value into a row."""

    def put(values: Values, row: int) -> Values:
        values[row, 3] = value
        return values

    return put


def empty(values: Values, row: int) -> Values:
    """Let a row be nothing."""
    values[row] = 0
    return values


def fade(values: Values, row: int) -> Values:
    """Let a row be so short that its length cannot be told from nothing, and point somewhere else."""
    wide = values.astype(np.float64)
    wide[row] = 1e-200 * (wide[row] + 2 * np.eye(DIMENSION)[0] * np.sign(wide[row, 0]))
    return wide


NO_DIRECTION = {"NaN": poison(np.nan), "infinity": poison(np.inf), "zero": empty, "next to zero": fade}


@pytest.mark.parametrize("spoil", NO_DIRECTION.values(), ids=NO_DIRECTION)
def test_a_row_without_a_direction_is_like_nothing(case: Case, spoil: Callable[[Values, int], Values]) -> None:
    """What has no cosine fails as the worst there is, in a number that can be written down."""
    row = get_rows(case)[4]
    check = case.check(case.canary, case.with_passages(spoil(get_values(case), row)))[0]

    assert (check.outcome, check.observed) == (Outcome.FAIL, -1.0)
    assert check.detail == f"row {row} is not what its text gives"


@pytest.mark.parametrize("kept", [0, 1, ROWS // 2, -1], ids=["none", "one", "half", "up to the last drawn"])
def test_rows_that_are_not_there_fail(case: Case, kept: int) -> None:
    """A store with fewer rows than texts lacks what its texts give; the first missing row is named."""
    rows = get_rows(case)
    total = rows[-1] if kept == -1 else kept
    check = case.check(case.canary, case.with_passages(get_values(case)[:total]))[0]
    missing = next(row for row in rows if row >= total)

    assert (check.outcome, check.observed, check.n) == (Outcome.FAIL, -1.0, 16)
    assert check.detail == f"row {missing} is not what its text gives"


SHAPES: dict[str, Callable[[Values], Values]] = {
    "half the dimension": lambda values: values[:, :384],
    "twice the dimension": lambda values: values.reshape(ROWS // 2, 2 * DIMENSION),
    "flat": lambda values: values.ravel(),
    "a single value": lambda _: np.zeros(()),
    "three axes": lambda values: values[None],
    "integers": lambda values: values.astype(np.int32),
    "text": lambda values: values.astype("S4"),
    "days": lambda values: values.astype(np.int64).astype("M8[s]"),
}


@pytest.mark.parametrize("change", SHAPES.values(), ids=SHAPES)
def test_what_is_no_matrix_of_vectors_fails(case: Case, change: Callable[[Values], Values]) -> None:
    """Another dimension, other axes and what are no numbers fail with the shape that was found."""
    values = change(get_values(case))
    check = case.check(case.canary, case.with_passages(values))[0]

    assert (check.outcome, check.limit) == (Outcome.FAIL, float(LIMIT))
    assert f"of shape {values.shape}" in (check.detail or "")


def rename_model(case: Case, field: str, value: object) -> Canary:
    """Return the canary of a model that differs in one respect."""
    return case.canary.model_copy(update={"model": case.canary.model.model_copy(update={field: value})})


def move_rows(case: Case) -> Canary:
    """Return the vectors under other rows than are drawn."""
    sample = case.canary.corpora["fr"].passages
    rows = sorted(set(range(ROWS)) - set(sample.rows))[: len(sample.rows)]
    vectors = np.asarray(case.store.passages.values, dtype=np.float32)
    return case.with_sample(passages=describe_sample(rows, vectors[rows]))


def halve(case: Case) -> Canary:
    """Return fewer rows than are drawn, each as it should be."""
    sample = case.canary.corpora["fr"].passages
    return case.with_sample(passages=Sample(rows=sample.rows[:8], vectors=sample.vectors[:8]))


def respell(change: Callable[[list[str]], list[str]]) -> Callable[[Case], Canary]:
    """Return a way to write the vectors of the passages in another way."""

    def build(case: Case) -> Canary:
        sample = case.canary.corpora["fr"].passages
        return case.with_sample(passages=Sample(rows=sample.rows, vectors=change(list(sample.vectors))))

    return build


UNREADABLE = "the sample cannot be read: "
OTHER_MODEL = "with other weights or prompts"
# What is wrong with the sample, what is said of it, and whether only the passages are concerned.
UNTRUSTED: dict[str, tuple[Callable[[Case], Canary | None], str, bool]] = {
    "no canary": (lambda _: None, "no sample was embedded anew", False),
    "another corpus": (
        lambda case: case.canary.model_copy(update={"corpora": {"intl": case.canary.corpora["fr"]}}),
        "no sample was embedded anew", False,
    ),
    "another model": (
        lambda case: rename_model(case, "model_id", "other"), f"embedded by other, {OTHER_MODEL}", False,
    ),
    "other weights": (lambda case: rename_model(case, "weights_sha256", "1" * 64), OTHER_MODEL, False),
    "another revision": (lambda case: rename_model(case, "revision", "a" * 40), OTHER_MODEL, False),
    "another prompt for questions": (lambda case: rename_model(case, "question_prompt", "{text}"), OTHER_MODEL, False),
    "another prompt for passages": (lambda case: rename_model(case, "document_prompt", "{text}"), OTHER_MODEL, False),
    "other passages": (lambda case: case.with_sample(chunks_sha256="1" * 64), "of other texts", False),
    "other questions": (lambda case: case.with_sample(questions_sha256="1" * 64), "of other texts", False),
    "other rows": (move_rows, "not of the rows that the texts draw", True),
    "fewer rows": (halve, "not of the rows that the texts draw", True),
    "no base64": (respell(lambda texts: ["&" + texts[0][1:], *texts[1:]]), UNREADABLE, True),
    "a vector less": (respell(lambda texts: texts[1:]), UNREADABLE, True),
    "a vector more": (respell(lambda texts: [*texts, texts[0]]), UNREADABLE, True),
    "all in one": (
        respell(lambda texts: [base64.b64encode(b"".join(map(base64.b64decode, texts))).decode(), *[""] * 15]),
        UNREADABLE, True,
    ),
    "NaN": (respell(lambda texts: [base64.b64encode(b"\xff" * 3072).decode(), *texts[1:]]), UNREADABLE, True),
    "zero": (respell(lambda texts: [base64.b64encode(bytes(3072)).decode(), *texts[1:]]), UNREADABLE, True),
}  # fmt: skip


@pytest.mark.parametrize(("build", "said", "passages_only"), UNTRUSTED.values(), ids=UNTRUSTED)
def test_a_sample_that_cannot_be_trusted_is_an_error(
    case: Case, build: Callable[[Case], Canary | None], said: str, *, passages_only: bool
) -> None:
    """A sample that is missing, or is not of this model, these texts or these rows, says nothing about a store."""
    passages, questions = case.check(build(case))

    assert (passages.subject, questions.subject) == (PASSAGES, QUESTIONS)
    assert passages.outcome is Outcome.ERROR
    assert said in (passages.detail or "")
    assert questions.outcome is (Outcome.PASS if passages_only else Outcome.ERROR)


def test_an_untrusted_sample_is_an_error_even_of_a_poor_store(case: Case) -> None:
    """Whether the store holds cannot be known then, and what is wrong with it is not told by this check."""
    store = case.with_passages(get_values(case)[:, :384])

    assert case.judge(None, store) == {PASSAGES: Outcome.ERROR, QUESTIONS: Outcome.ERROR}
    assert case.judge(case.canary, store)[PASSAGES] is Outcome.FAIL


def test_vectors_of_which_no_model_is_known_are_an_error(case: Case) -> None:
    """A store that was made elsewhere names no model whose sample it could be held against."""
    store = replace(case.store, manifest=case.store.manifest.model_copy(update={"model": None}))

    assert case.judge(case.canary, store) == {PASSAGES: Outcome.ERROR, QUESTIONS: Outcome.ERROR}


@pytest.mark.parametrize("dropped", [False, True], ids=["as it should be", "prompt dropped"])
def test_a_real_model_is_held_to_its_prompt(tmp_path: Path, tiny_model: Path, *, dropped: bool) -> None:
    """Vectors that a model made in one batch pass; those that it made of bare questions carry its label and fail."""
    sample = write_sample(tmp_path / "text", rows=24, questions=24)
    chunks, asked = load_chunks(sample.chunks).chunks, [each.text for each in load_questions(sample.questions)]
    encoder = load_encoder(str(tiny_model), device="cpu")
    bare = load_transformer(tiny_model, device="cpu").encode(asked, normalize_embeddings=True)
    inputs = StoreInputs(sample.chunks, tmp_path / "e.npy", sample.questions, tmp_path / "q.npy")
    save_vectors(inputs.embeddings, encoder.encode_documents(chunks))
    save_vectors(inputs.question_embeddings, bare if dropped else encoder.encode_questions(asked))
    write_provenance(inputs.embeddings, inputs.chunks, "passages", encoder.identity)
    write_provenance(inputs.question_embeddings, inputs.questions, "questions", encoder.identity)
    build_store(inputs, None, tmp_path / "store")
    corpus = load_sample(sample)
    places, drawn = draw_rows(corpus.chunks_sha256, 24), draw_rows(corpus.questions_sha256, 24)
    part = CorpusCanary(
        chunks_sha256=corpus.chunks_sha256,
        questions_sha256=corpus.questions_sha256,
        passages=describe_sample(places, encoder.encode_documents([chunks[place] for place in places])),
        questions=describe_sample(drawn, encoder.encode_questions([asked[place] for place in drawn])),
    )
    canary = Canary(schema_version=1, model=encoder.identity, corpora={"fr": part})
    checks = check_canary("VEC109", collect(tmp_path / "store", corpus), corpus, canary, LIMIT)

    assert [check.outcome for check in checks] == [Outcome.PASS, Outcome.FAIL if dropped else Outcome.PASS]
