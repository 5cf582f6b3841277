"""Metrics against pytrec_eval where there are no ties, and against a naive reading of the tie rule where there are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.vectors import DIMENSION, Matrix
from validation.metrics import Ranks, compute_metrics, compute_mrr, compute_ndcg, compute_recall, rank_relevant

ORACLES = {"recall@1": "recall_1", "recall@5": "recall_5", "recall@10": "recall_10", "recall@100": "recall_100"}


@dataclass(frozen=True, slots=True)
class Run:
    """Scores of every passage for every question, and the relevant passages."""

    scores: npt.NDArray[np.float64]
    relevant: list[list[int]]


@st.composite
def draw_run(draw: st.DrawFn, *, levels: int | None = None) -> Run:
    """Draw a run with several relevant passages a question; without `levels` no two scores of a question are equal."""
    questions, passages = draw(st.integers(1, 6)), draw(st.integers(1, 130))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if levels is None:
        scores = np.array([random.permutation(passages) for _ in range(questions)]) / 1024
    else:
        scores = random.integers(0, levels, (questions, passages)) / 8
    counts = random.integers(1, min(passages, 14) + 1, questions)
    relevant = [sorted(random.choice(passages, count, replace=False).tolist()) for count in counts]
    return Run(scores, relevant)


def embed(scores: npt.NDArray[np.float64]) -> tuple[Matrix, Matrix]:
    """Return questions and passages whose dot products are exactly these scores."""
    questions = np.eye(len(scores), DIMENSION, dtype=np.float32)
    passages = np.zeros((scores.shape[1], DIMENSION), dtype=np.float32)
    passages[:, : len(scores)] = scores.T
    return questions, passages


def rank_naively(scores: list[float], relevant: list[int]) -> tuple[int, ...]:
    """Rank one passage after the other: every other passage that scores as much goes before a relevant one."""
    order = sorted(range(len(scores)), key=lambda passage: (-scores[passage], passage in relevant))
    return tuple(rank for rank, passage in enumerate(order, 1) if passage in relevant)


@given(run=draw_run())
@settings(max_examples=50, deadline=None)
def test_metrics_equal_those_of_pytrec_eval(run: Run) -> None:
    """Without ties, each question's recall, MRR@10 and nDCG@10 are those of the reference implementation."""
    found = compute_metrics(rank_relevant(*embed(run.scores), run.relevant))
    qrels = {f"q{q}": {f"p{p}": 1 for p in row} for q, row in enumerate(run.relevant)}
    full = {f"q{q}": {f"p{p}": float(s) for p, s in enumerate(row)} for q, row in enumerate(run.scores)}
    top = {q: dict(sorted(row.items(), key=lambda item: -item[1])[:10]) for q, row in full.items()}
    deep = pytrec_eval.RelevanceEvaluator(qrels, {"recall.1,5,10,100", "ndcg_cut.10"}).evaluate(full)
    cut = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(top)

    for question in range(len(run.relevant)):
        key = f"q{question}"
        for metric, oracle in ORACLES.items():
            assert found[metric][question] == pytest.approx(deep[key][oracle], rel=0, abs=1e-12)
        assert found["ndcg@10"][question] == pytest.approx(deep[key]["ndcg_cut_10"], rel=0, abs=1e-12)
        assert found["mrr@10"][question] == pytest.approx(cut[key]["recip_rank"], rel=0, abs=1e-12)


@given(run=draw_run(levels=4))
@settings(max_examples=50, deadline=None)
def test_ties_count_against_the_relevant_passage(run: Run) -> None:
    """Whatever scores as much as a relevant passage is ranked before it, relevant passages among themselves apart."""
    ranks = rank_relevant(*embed(run.scores), run.relevant)

    assert ranks.ranks == tuple(
        rank_naively(scores.tolist(), wanted) for scores, wanted in zip(run.scores, run.relevant, strict=True)
    )


@pytest.mark.parametrize(
    ("gap", "rank"),
    [(0.0, 3), (1e-7, 3), (9e-7, 3), (2e-6, 1), (-1e-7, 3), (-1e-3, 3)],
    ids=["equal", "above by rounding", "above within tolerance", "above", "below by rounding", "below"],
)
def test_scores_within_rounding_are_ties(gap: float, rank: int) -> None:
    """A lead of less than 1e-6 is noise of the matrix product and earns nothing; a larger one counts."""
    scores = np.array([[0.5 + gap, 0.5, 0.5]])

    assert rank_relevant(*embed(scores), [[0]]).ranks == ((rank,),)


def test_a_constant_scorer_earns_nothing() -> None:
    """A model that gives every passage the same score has recall, MRR and nDCG of 0 at every depth."""
    scores = np.full((3, 150), 0.5)
    found = compute_metrics(rank_relevant(*embed(scores), [[0], [149], [3, 77]]))

    assert {name: values.sum() for name, values in found.items()} == dict.fromkeys(found, 0.0)


@given(count=st.integers(2, 8), copies=st.integers(11, 40), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_equal_vectors_never_earn_recall(count: int, copies: int, seed: int) -> None:
    """A relevant passage whose vector more than ten other passages share is not in the top ten of its own question."""
    vectors = np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    passages = np.repeat(vectors, copies, axis=0)
    ranks = rank_relevant(vectors, passages, [[position * copies] for position in range(count)])

    assert [row[0] for row in ranks.ranks] == [copies] * count
    assert compute_recall(ranks, 10).tolist() == [0.0] * count


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=["NaN", "infinity", "minus infinity"])
def test_a_score_that_is_not_finite_is_refused(value: float) -> None:
    """No rank is made from a similarity that is not a number."""
    questions, passages = embed(np.array([[0.5, 0.25]]))
    passages[1, 0] = value

    with pytest.raises(ValueError, match="not finite"), np.errstate(invalid="ignore"):
        rank_relevant(questions, passages, [[0]])


def test_each_question_needs_its_relevant_passages() -> None:
    """A question without an entry in the gold set is an error, never dropped from the mean."""
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        rank_relevant(*embed(np.array([[0.5, 0.25], [0.5, 0.25]])), [[0]])


@pytest.mark.parametrize(
    ("rank", "recall", "mrr", "ndcg"),
    [(1, 1.0, 1.0, 1.0), (2, 1.0, 0.5, 1 / math.log2(3)), (10, 1.0, 0.1, 1 / math.log2(11)), (11, 0.0, 0.0, 0.0)],
    ids=["first", "second", "last that counts", "just beyond"],
)
def test_metrics_end_at_rank_ten(rank: int, recall: float, mrr: float, ndcg: float) -> None:
    """Rank 10 counts and rank 11 does not, in recall@10, MRR@10 and nDCG@10."""
    ranks = Ranks(((rank,),))

    assert compute_recall(ranks, 10)[0] == recall
    assert compute_mrr(ranks)[0] == mrr
    assert compute_ndcg(ranks)[0] == pytest.approx(ndcg, abs=1e-15)


def test_recall_is_a_share_of_all_relevant_passages() -> None:
    """Of three relevant passages two in the top five make two thirds, and the question counts as one hit."""
    ranks = Ranks(((1, 5, 6),))

    assert compute_recall(ranks, 5)[0] == pytest.approx(2 / 3)
    assert ranks.count_hits(5) == 1
    assert ranks.compute_recall_exact(5) == Fraction(2, 3)


def test_exact_recall_does_not_round() -> None:
    """Ten questions of one tenth each make exactly one tenth, which a sum of floats misses."""
    ranks = Ranks(tuple((1, *range(101, 110)) for _ in range(10)))

    assert ranks.compute_recall_exact(5) == Fraction(1, 10)
    assert sum([0.1] * 10) / 10 != 0.1


@given(run=draw_run(levels=5), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_order_of_passages_does_not_matter(run: Run, seed: int) -> None:
    """The same vectors in another order give the same ranks, ties included."""
    questions, passages = embed(run.scores)
    order = np.random.default_rng(seed).permutation(len(passages))
    places = np.argsort(order)
    moved = [places[row].tolist() for row in run.relevant]

    assert rank_relevant(questions, passages[order], moved) == rank_relevant(questions, passages, run.relevant)
