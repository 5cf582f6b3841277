"""Metrics against pytrec_eval where there are no ties, and against a naive reading of the tie rule where there are."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.retrieval import rank_cosine
from pipeline.vectors import DIMENSION, Matrix
from tests.conftest import cut_into_blocks
from validation.metrics import RECALL_DEPTHS, Values, compute_metrics, compute_mrr, compute_ndcg, compute_recall
from validation.ranks import NOT_FOUND, TIE_TOLERANCE, Ranks, rank_listed, rank_passages, rank_relevant

ORACLES = {
    "recall@1": "recall_1",
    "recall@5": "recall_5",
    "recall@10": "recall_10",
    "recall@100": "recall_100",
    "ndcg@10": "ndcg_cut_10",
}


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


@dataclass(frozen=True, slots=True)
class Listing:
    """A ranked list for every question, short, empty or without relevant passages, and the relevant passages."""

    rankings: list[npt.NDArray[np.int64]]
    relevant: list[list[int]]


@st.composite
def draw_listing(draw: st.DrawFn) -> Listing:
    """Draw ranked lists of 0 to 130 out of 130 passages, and 1 to 14 relevant passages a question."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    lengths = draw(st.lists(st.sampled_from([0, 1, 5, 10, 11, 100, 130]), min_size=1, max_size=6))
    rankings = [random.permutation(130)[:length] for length in lengths]
    relevant = [random.permutation(130)[: random.integers(1, 15)].tolist() for _ in lengths]
    return Listing(rankings, relevant)


def make_ranks(*rows: tuple[int, ...]) -> Ranks:
    """Return ranks as they are written, a row for each question; the rest of a row holds nothing."""
    width = max(map(len, rows))
    padded = [[*row, *[NOT_FOUND] * (width - len(row))] for row in rows]
    return Ranks(np.array(padded), np.array([len(row) for row in rows]))


def read_rows(ranks: Ranks) -> list[list[int]]:
    """Return the ranks of each question's relevant passages, without the padding."""
    return [row[:count] for row, count in zip(ranks.ranks.tolist(), ranks.relevant.tolist(), strict=True)]


def evaluate_by_oracle(scores: list[dict[str, float]], relevant: list[list[int]]) -> dict[str, list[float]]:
    """Return every metric by pytrec_eval, to whose MRR only the top ten are shown: it has no cut-off of its own."""
    qrels = {f"q{q}": {f"p{p}": 1 for p in row} for q, row in enumerate(relevant)}
    full = {f"q{q}": row for q, row in enumerate(scores)}
    top = {q: dict(sorted(row.items(), key=lambda item: -item[1])[:10]) for q, row in full.items()}
    deep = pytrec_eval.RelevanceEvaluator(qrels, {"recall.1,5,10,100", "ndcg_cut.10"}).evaluate(full)
    cut = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(top)
    found = {metric: [deep[key][oracle] for key in qrels] for metric, oracle in ORACLES.items()}
    return found | {"mrr@10": [cut[key]["recip_rank"] for key in qrels]}


def assert_equal_metrics(found: dict[str, Values], expected: dict[str, list[float]]) -> None:
    """Compare every metric of every question to 1e-12."""
    assert found.keys() == expected.keys()
    for name, values in found.items():
        np.testing.assert_allclose(values, expected[name], rtol=0, atol=1e-12, err_msg=name)


def embed(scores: npt.NDArray[np.float64]) -> tuple[Matrix, Matrix]:
    """Return questions and passages whose dot products are exactly these scores."""
    questions = np.eye(len(scores), DIMENSION, dtype=np.float32)
    passages = np.zeros((scores.shape[1], DIMENSION), dtype=np.float32)
    passages[:, : len(scores)] = scores.T
    return questions, passages


def rank_naively(scores: list[float], relevant: list[int]) -> list[int]:
    """Rank one passage after the other: every other passage that scores as much goes before a relevant one."""
    order = sorted(range(len(scores)), key=lambda passage: (-scores[passage], passage in relevant))
    return [rank for rank, passage in enumerate(order, 1) if passage in relevant]


@given(run=draw_run())
@settings(max_examples=50, deadline=None)
def test_metrics_equal_those_of_pytrec_eval(run: Run) -> None:
    """Without ties, each question's recall, MRR@10 and nDCG@10 are those of the reference implementation."""
    scores = [{f"p{p}": float(s) for p, s in enumerate(row)} for row in run.scores]

    found = compute_metrics(rank_relevant(*embed(run.scores), run.relevant))

    assert_equal_metrics(found, evaluate_by_oracle(scores, run.relevant))


@given(listing=draw_listing())
@settings(max_examples=50, deadline=None)
def test_metrics_of_lists_equal_those_of_pytrec_eval(listing: Listing) -> None:
    """Short and empty lists and lists without an answer score as in the reference implementation."""
    scores = [{f"p{p}": 1.0 / rank for rank, p in enumerate(row, 1)} for row in listing.rankings]

    found = compute_metrics(rank_listed(listing.rankings, listing.relevant))

    assert_equal_metrics(found, evaluate_by_oracle(scores, listing.relevant))


@given(run=draw_run(levels=4))
@settings(max_examples=50, deadline=None)
def test_ties_count_against_the_relevant_passage(run: Run) -> None:
    """Whatever scores as much as a relevant passage is ranked before it, relevant passages among themselves apart."""
    ranks = rank_relevant(*embed(run.scores), run.relevant)

    assert read_rows(ranks) == [
        rank_naively(scores.tolist(), wanted) for scores, wanted in zip(run.scores, run.relevant, strict=True)
    ]


@pytest.mark.parametrize(
    ("gap", "rank"),
    [(0.0, 3), (1e-7, 3), (9e-7, 3), (2e-6, 1), (-1e-7, 3), (-1e-3, 3)],
    ids=["equal", "above by rounding", "above within tolerance", "above", "below by rounding", "below"],
)
def test_scores_within_rounding_are_ties(gap: float, rank: int) -> None:
    """A lead of less than 1e-6 is noise of the matrix product and earns nothing; a larger one counts."""
    scores = np.array([[0.5 + gap, 0.5, 0.5]])

    assert read_rows(rank_relevant(*embed(scores), [[0]])) == [[rank]]


@pytest.mark.parametrize("score", [0.5, 0.3, 1e-3, -0.7])
def test_a_score_at_the_tolerance_is_a_tie(score: float) -> None:
    """Exactly 1e-6 below, in float32, is a tie still; the next smaller number is not."""
    sought = np.float32(score)
    limit = sought - np.float32(TIE_TOLERANCE)
    beyond = np.nextafter(limit, np.float32(-1))

    assert read_rows(rank_relevant(*embed(np.array([[sought, limit]])), [[0]])) == [[2]]
    assert read_rows(rank_relevant(*embed(np.array([[sought, beyond]])), [[0]])) == [[1]]


@given(run=draw_run(levels=4), rows=st.integers(1, 3), height=st.integers(1, 140))
@settings(max_examples=25, deadline=None)
def test_questions_are_ranked_alike_in_blocks(run: Run, rows: int, height: int) -> None:
    """However few scores are held at a time, the ranks are those of all questions and passages at once."""
    whole = rank_relevant(*embed(run.scores), run.relevant)
    with pytest.MonkeyPatch.context() as patch:
        cut_into_blocks(patch, rows, height)
        blocks = rank_relevant(*embed(run.scores), run.relevant)

    assert read_rows(blocks) == read_rows(whole)


@given(run=draw_run(levels=4), height=st.integers(1, 140), depth=st.sampled_from([0, 1, 10, 200]))
@settings(max_examples=25, deadline=None)
def test_one_pass_ranks_and_lists_as_two_do(run: Run, height: int, depth: int) -> None:
    """Ranks and nearest passages that come from the same scores are those that are computed one after the other."""
    vectors = embed(run.scores)
    with pytest.MonkeyPatch.context() as patch:
        cut_into_blocks(patch, 2, height)
        ranks, listed = rank_passages(*vectors, run.relevant, depth)

    assert read_rows(ranks) == read_rows(rank_relevant(*vectors, run.relevant))
    assert listed.tolist() == rank_cosine(*vectors, depth).tolist()


def test_scores_are_not_held_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory that ranking takes is that of a block, not of every score there is."""
    cut_into_blocks(monkeypatch, 100, 500)
    questions, passages = embed(np.random.default_rng(1).random((DIMENSION, 4000)))
    tracemalloc.start()
    try:
        rank_passages(questions, passages, [[0]] * len(questions), 10)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < len(questions) * len(passages) * questions.itemsize / 4


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

    assert ranks.ranks.tolist() == [[copies]] * count
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
    questions, passages = embed(np.array([[0.5, 0.25], [0.5, 0.25]]))

    with pytest.raises(ValueError, match="passages of 2 questions, got 1"):
        rank_relevant(questions, passages, [[0]])
    with pytest.raises(ValueError, match="passages of 2 questions, got 3"):
        rank_listed([np.array([0]), np.array([1])], [[0], [1], [0]])


@pytest.mark.parametrize(
    ("relevant", "message"),
    [([[0], []], "question 1 has no relevant passage"), ([[0], [1, 0, 1]], "twice"), ([[0], [-1]], "negative")],
    ids=["none", "repeated", "negative"],
)
def test_a_broken_entry_of_the_gold_set_is_refused(relevant: list[list[int]], message: str) -> None:
    """No relevant passage, one that counts twice, or a position from the end would each give a wrong recall."""
    questions, passages = embed(np.array([[0.5, 0.25], [0.5, 0.25]]))

    with pytest.raises(ValueError, match=message):
        rank_relevant(questions, passages, relevant)
    with pytest.raises(ValueError, match=message):
        rank_listed([np.array([0]), np.array([1])], relevant)


def test_a_relevant_passage_outside_the_corpus_is_refused() -> None:
    """A position beyond the last passage is an error, not a miss."""
    with pytest.raises(IndexError, match="2"):
        rank_relevant(*embed(np.array([[0.5, 0.25]])), [[2]])


@pytest.mark.parametrize(
    ("ranking", "message"), [([3, 1, 3], "twice"), ([1, -1], "negative")], ids=["repeated", "negative"]
)
def test_a_ranking_that_cannot_be_is_refused(ranking: list[int], message: str) -> None:
    """A list that names a passage twice, or a position below 0, is no ranking."""
    with pytest.raises(ValueError, match=message):
        rank_listed([np.array([1, 2]), np.array(ranking)], [[1], [1]])


def test_ranks_in_lists_are_places() -> None:
    """A relevant passage has the place at which it stands, from 1, and `NOT_FOUND` where the list does not hold it."""
    rankings = [np.array([7, 3, 9, 5]), np.array([3]), np.array([], dtype=np.int64)]

    ranks = rank_listed(rankings, [[5, 2, 7], [7], [1, 2]])

    assert ranks.ranks.tolist() == [[1, 4, NOT_FOUND], [NOT_FOUND] * 3, [NOT_FOUND] * 3]
    assert ranks.relevant.tolist() == [3, 1, 2]
    assert ranks.ranks.dtype == ranks.relevant.dtype == np.int64


@given(run=draw_run(), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_a_full_list_ranks_as_its_scores_do(run: Run, seed: int) -> None:
    """Without ties, ranks in the sorted list of all passages are the ranks by score, in whatever order gold comes."""
    random = np.random.default_rng(seed)
    rankings = list(np.argsort(-run.scores, axis=1))
    shuffled = [random.permutation(row).tolist() for row in run.relevant]

    assert read_rows(rank_listed(rankings, shuffled)) == read_rows(rank_relevant(*embed(run.scores), run.relevant))


def test_no_question_gives_no_value() -> None:
    """An empty gold set has no metric values and no mean recall."""
    ranks = rank_listed([], [])

    assert {name: values.tolist() for name, values in compute_metrics(ranks).items()} == {
        **{f"recall@{depth}": [] for depth in RECALL_DEPTHS}, "mrr@10": [], "ndcg@10": [],
    }  # fmt: skip
    assert ranks.count_hits(5) == 0
    with pytest.raises(ZeroDivisionError):
        ranks.compute_recall_exact(5)


@pytest.mark.parametrize(
    ("rank", "recall", "mrr", "ndcg"),
    [(1, 1.0, 1.0, 1.0), (2, 1.0, 0.5, 1 / math.log2(3)), (10, 1.0, 0.1, 1 / math.log2(11)), (11, 0.0, 0.0, 0.0)],
    ids=["first", "second", "last that counts", "just beyond"],
)
def test_metrics_end_at_rank_ten(rank: int, recall: float, mrr: float, ndcg: float) -> None:
    """Rank 10 counts and rank 11 does not, in recall@10, MRR@10 and nDCG@10."""
    ranks = make_ranks((rank,))

    assert compute_recall(ranks, 10)[0] == recall
    assert compute_mrr(ranks)[0] == mrr
    assert compute_ndcg(ranks)[0] == pytest.approx(ndcg, abs=1e-15)


def test_recall_is_a_share_of_all_relevant_passages() -> None:
    """Of three relevant passages two in the top five make two thirds, and the question counts as one hit."""
    ranks = make_ranks((1, 5, 6))

    assert compute_recall(ranks, 5)[0] == pytest.approx(2 / 3)
    assert ranks.count_hits(5) == 1
    assert ranks.compute_recall_exact(5) == Fraction(2, 3)


def test_exact_recall_does_not_round() -> None:
    """Ten questions of one tenth each make exactly one tenth, which a sum of floats misses."""
    ranks = make_ranks(*[(1, *range(101, 110))] * 10)

    assert ranks.compute_recall_exact(5) == Fraction(1, 10)
    assert sum([0.1] * 10) / 10 != 0.1


@given(rows=st.lists(st.sets(st.integers(1, 20), min_size=1, max_size=7), min_size=1, max_size=40))
@settings(max_examples=50, deadline=None)
def test_exact_recall_is_the_mean_of_fractions(rows: list[set[int]]) -> None:
    """Questions with differing numbers of relevant passages add up as fractions do, and hits are whole questions."""
    ranks = make_ranks(*(tuple(sorted(row)) for row in rows))

    for depth in (1, 5, 10):
        found = [sum(rank <= depth for rank in row) for row in rows]
        shares = [Fraction(count, len(row)) for count, row in zip(found, rows, strict=True)]
        assert ranks.compute_recall_exact(depth) == sum(shares, Fraction(0)) / len(rows)
        assert ranks.find_hits(depth).tolist() == [count > 0 for count in found]
        assert ranks.count_hits(depth) == sum(count > 0 for count in found)


def test_a_perfect_ranking_scores_one() -> None:
    """Relevant passages in the first places make exactly 1, also where there are more of them than the cut-off."""
    ranks = make_ranks(*(tuple(range(1, count + 1)) for count in range(1, 15)))

    assert compute_ndcg(ranks).tolist() == [1.0] * 14
    assert compute_mrr(ranks).tolist() == [1.0] * 14


@given(run=draw_run())
@settings(max_examples=25, deadline=None)
def test_a_question_scores_alone_as_among_others(run: Run) -> None:
    """To the last bit, a question's metrics do not depend on how many relevant passages its neighbours have."""
    ranks = rank_relevant(*embed(run.scores), run.relevant)
    together = compute_metrics(ranks)

    for question, row in enumerate(read_rows(ranks)):
        alone = compute_metrics(make_ranks(tuple(row)))
        assert {name: values[0] for name, values in alone.items()} == {n: v[question] for n, v in together.items()}


@given(run=draw_run(levels=5), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_order_of_passages_does_not_matter(run: Run, seed: int) -> None:
    """The same vectors in another order give the same ranks, ties included."""
    questions, passages = embed(run.scores)
    order = np.random.default_rng(seed).permutation(len(passages))
    places = np.argsort(order)
    moved = [places[row].tolist() for row in run.relevant]

    ranks = rank_relevant(questions, passages[order], moved)

    assert read_rows(ranks) == read_rows(rank_relevant(questions, passages, run.relevant))
