"""Two stores' answers set side by side, against plain loops over questions, and the baselines beside them."""

from __future__ import annotations

import itertools
import json
import math
import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.answers import HIT, MISS, Rows, alter_policy, make_comparison, make_corpus, make_rows
from tests.conftest import build_sample_store, draw_unit_vectors, write_sample
from tests.stores import load_sample, replace_array
from validation.comparison import (
    Comparison,
    answer_questions,
    build_design,
    compare_answers,
    compute_flip_p,
    find_slices,
    get_matrices,
    rank_baselines,
    search_store,
)
from validation.criteria import check_criterion
from validation.evidence import CorpusEvidence, StoreEvidence, collect_store
from validation.ranks import TIE_TOLERANCE
from validation.statistics import Bootstrap, find_clusters
from validation.stores import ROLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.vectors import Matrix
    from tests.conftest import Sample

ROWS = 60
METRICS = ["recall@1", "recall@5", "recall@10", "recall@100", "mrr@10", "ndcg@10"]
POLICY = alter_policy()
MANY_FLIPS = alter_policy(flips=100_000)


@dataclass(frozen=True, slots=True)
class Pair:
    """A corpus with two real stores."""

    corpus: CorpusEvidence
    base: StoreEvidence
    candidate: StoreEvidence


def write_gold(sample: Sample, texts: list[str], relevant: list[list[int]]) -> None:
    """Ask these questions of a written sample, each with its relevant chunks."""
    names = [chunk["id"] for chunk in json.loads(sample.chunks.read_text(encoding="utf-8"))["chunks"]]
    asked = [{"_id": f"q{place}", "text": text, "metadata": {}} for place, text in enumerate(texts)]
    judged = [f"q{place}\t{names[passage]}\t1" for place, row in enumerate(relevant) for passage in row]
    sample.questions.write_text("".join(json.dumps(row) + "\n" for row in asked), encoding="utf-8")
    sample.qrels.write_text("\n".join(["query-id\tcorpus-id\tscore", *judged]) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Two stores over one corpus whose questions have one to three passages, near some of them and far from others."""
    folder, draw = tmp_path_factory.mktemp("pair"), np.random.default_rng(6)
    sample = write_sample(folder / "corpus", rows=ROWS, questions=ROWS)
    relevant = [sorted(draw.choice(ROWS, draw.integers(1, 4), replace=False).tolist()) for _ in range(ROWS)]
    texts = [f"Que dit l'ARBITRE de l'echec, article {row[0]}, et en {1900 + row[-1]} ?" for row in relevant]
    texts[7], texts[8] = "… ?!", "zzz"
    write_gold(sample, texts, relevant)
    corpus, stores = load_sample(sample), []
    for seed, role in enumerate(ROLES):
        passages = draw_unit_vectors(ROWS, seed)
        passages[11] = passages[12]
        near = passages[[row[seed % len(row)] for row in relevant]]
        questions = near + (0.5 + 4 * seed) * draw_unit_vectors(ROWS, 20 + seed)
        questions[find_question(relevant, 12)] = passages[12]
        store = build_sample_store(sample, folder / role, model_id=role, hits=0, passages=passages)
        replace_array(store, "questions", questions / np.linalg.norm(questions, axis=1, keepdims=True))
        stores.append(collect_store(role, store, corpus)[0])

    assert stores[0] is not None
    assert stores[1] is not None
    return Pair(corpus, stores[0], stores[1])


def find_question(relevant: Sequence[Sequence[int]], passage: int) -> int:
    """Return the first question to which a passage is relevant."""
    return next(place for place, row in enumerate(relevant) if passage in row)


def rank_by_cosine(question: Matrix, passages: Matrix) -> list[float]:
    """Return the dot product of a question with every passage, in double precision."""
    return [math.fsum((question.astype(float) * passage.astype(float)).tolist()) for passage in passages]


def rank_against(scores: list[float], relevant: Sequence[int]) -> list[int]:
    """Return the ranks of the relevant passages; another one within the tolerance stands before them."""
    wanted = sorted((scores[passage] for passage in relevant), reverse=True)
    others = [score for passage, score in enumerate(scores) if passage not in relevant]
    return [place + sum(other >= score - TIE_TOLERANCE for other in others) for place, score in enumerate(wanted, 1)]


def measure_naively(ranks: list[int], relevant: int) -> dict[str, float]:
    """Return every metric of one question from the ranks of the passages that were found."""
    found = {f"recall@{depth}": sum(rank <= depth for rank in ranks) / relevant for depth in (1, 5, 10, 100)}
    top = [rank for rank in ranks if rank <= 10]
    best = sum(1 / math.log2(place + 1) for place in range(1, min(relevant, 10) + 1))
    gained = sum(1 / math.log2(rank + 1) for rank in top)
    return found | {"mrr@10": 1 / min(top) if top else 0.0, "ndcg@10": gained / best}


def split_words(text: str) -> list[str]:
    """Return the words of a text as the index has them: small letters without accents."""
    plain = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if not unicodedata.combining(c))
    return "".join(c if c.isalnum() else " " for c in plain).split()


def rank_by_words(question: str, passages: list[list[str]]) -> list[int]:
    """Return the passages that share a word with the question by BM25 (k1 = 1.2, b = 0.75), at most 100."""
    mean = sum(map(len, passages)) / len(passages)
    counts = [Counter(words) for words in passages]
    scores = dict.fromkeys(range(len(passages)), 0.0)
    for word in split_words(question):
        holders = sum(word in count for count in counts)
        weight = math.log((len(passages) - holders + 0.5) / (holders + 0.5))
        for place, count in enumerate(counts):
            often = count[word]
            norm = often + 1.2 * (1 - 0.75 + 0.75 * len(passages[place]) / mean)
            scores[place] += (weight if weight > 0 else 1e-6) * (often * 2.2 / norm)
    return sorted((place for place in scores if scores[place]), key=lambda place: -scores[place])[:100]


def fuse_naively(rankings: list[list[int]]) -> list[int]:
    """Return passages by the sum of 1 / (60 + rank), at most 100."""
    scores: Counter[int] = Counter()
    for ranking in rankings:
        for rank, place in enumerate(ranking, 1):
            scores[place] += 1 / (60 + rank)  # type: ignore[assignment]  # a Counter of shares
    return sorted(scores, key=lambda place: (-scores[place], place))[:100]


def evaluate_lists(rankings: list[list[int]], corpus: CorpusEvidence) -> dict[str, list[float]]:
    """Return every metric of ranked lists, question by question."""
    rows = [
        measure_naively([ranking.index(passage) + 1 for passage in row if passage in ranking], len(row))
        for ranking, row in zip(rankings, corpus.gold.relevant, strict=True)
    ]
    return {metric: [row[metric] for row in rows] for metric in METRICS}


def test_answers_are_those_of_a_loop_over_questions(pair: Pair) -> None:
    """Ranks and metrics of every question are those of plain dot products, ties against the passage sought."""
    for store in (pair.base, pair.candidate):
        questions, passages = get_matrices(store)
        answers = answer_questions(questions, passages, pair.corpus)
        scores = [rank_by_cosine(question, passages) for question in questions]
        ranks = [rank_against(row, wanted) for row, wanted in zip(scores, pair.corpus.gold.relevant, strict=True)]
        rows = [measure_naively(row, len(row)) for row in ranks]

        assert list(answers.metrics) == METRICS
        assert [row[: len(ranks[at])] for at, row in enumerate(answers.ranks.ranks.tolist())] == ranks
        for name, values in answers.metrics.items():
            assert values.tolist() == pytest.approx([row[name] for row in rows], abs=1e-12)
            assert values.mean() > 0


def test_equal_passages_do_not_earn_a_hit(pair: Pair) -> None:
    """A question that has a passage's very vector finds it second when another passage has the same vector."""
    place = find_question(pair.corpus.gold.relevant, 12)
    answers = answer_questions(*get_matrices(pair.base), pair.corpus)

    assert 11 not in pair.corpus.gold.relevant[place]
    assert answers.ranks.ranks[place, 0] == 2


def test_a_similarity_that_is_not_finite_is_refused(pair: Pair) -> None:
    """NaN in a vector cannot be ranked."""
    questions, passages = (matrix.copy() for matrix in get_matrices(pair.base))
    questions[3, 5] = np.nan

    with pytest.raises(ValueError, match="not finite"):
        answer_questions(questions, passages, pair.corpus)


def test_matrices_are_float32_whatever_lies_on_disk(pair: Pair) -> None:
    """Questions come first, passages second, both as the search takes them."""
    wide = replace(pair.base.questions, values=pair.base.questions.values.astype(np.float64))
    questions, passages = get_matrices(replace(pair.base, questions=wide))

    assert {questions.dtype, passages.dtype} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(questions, pair.base.questions.values)
    np.testing.assert_array_equal(passages, pair.base.passages.values)


def test_stores_are_compared_question_by_question(pair: Pair) -> None:
    """Each metric's difference is candidate minus base, and its interval that of a bootstrap by shared passages."""
    base, candidate = (answer_questions(*get_matrices(store), pair.corpus) for store in (pair.base, pair.candidate))
    comparison = compare_answers(build_design(pair.corpus, POLICY), base, candidate)
    bootstrap = Bootstrap(find_clusters(pair.corpus.gold.relevant), POLICY.statistics)

    assert comparison.design.n == ROWS
    assert comparison.corpus is pair.corpus
    assert list(comparison.intervals) == METRICS
    for name, interval in comparison.intervals.items():
        difference = np.array([c - b for b, c in zip(base.metrics[name], candidate.metrics[name], strict=True)])
        expected = bootstrap.compute_intervals([difference])[0]

        np.testing.assert_array_equal(comparison.subtract(name), difference)
        assert (interval.lower, interval.upper, interval.level) == (expected.lower, expected.upper, 0.95)
        assert interval.standard_error == pytest.approx(expected.standard_error, rel=1e-12)


def test_questions_that_share_a_passage_are_drawn_together() -> None:
    """The same answers are worth less where questions share passages: the interval of the comparison is wider."""
    base, candidate = make_rows((120, MISS)), make_rows((30, HIT), (90, MISS))
    alone = make_comparison(base, candidate, POLICY)
    shared = make_comparison(base, candidate, POLICY, relevant=[[place // 5] for place in range(120)])
    widths = [each.intervals["recall@5"].upper - each.intervals["recall@5"].lower for each in (alone, shared)]

    assert widths[1] > 1.8 * widths[0]


draw_rank = st.sampled_from([HIT, (4,), (7,), (60,), MISS])


@given(
    rows=st.lists(st.tuples(draw_rank, draw_rank, st.integers(0, 9)), min_size=3, max_size=40), seed=st.integers(0, 99)
)
@settings(max_examples=25, deadline=None)
def test_the_order_of_questions_changes_no_bit(rows: list[tuple[Any, Any, int]], seed: int) -> None:
    """The same questions in another file order give the same intervals and p-values to the last bit."""
    order = np.random.default_rng(seed).permutation(len(rows)).tolist()
    found: list[tuple[object, ...]] = []
    for places in (range(len(rows)), order):
        base, candidate, passages = zip(*(rows[place] for place in places), strict=True)
        comparison = make_comparison(list(base), list(candidate), POLICY, relevant=[[each] for each in passages])
        observed = [check_criterion(each, comparison, POLICY).observed for each in POLICY.release.primary]
        found.append((comparison.intervals, compute_flip_p(comparison), observed))

    assert found[0] == found[1]


def test_flips_ask_whether_the_candidate_is_better() -> None:
    """Every metric has the exact sign-flip p-value of a gain: 1/2 ** 4 for four gains, 15/16 the other way round."""
    base, candidate = make_rows((20, MISS)), make_rows((4, (3,)), (16, MISS))
    gain = compute_flip_p(make_comparison(base, candidate, MANY_FLIPS))
    loss = compute_flip_p(make_comparison(candidate, base, MANY_FLIPS))

    assert gain == {name: pytest.approx(1.0 if name == "recall@1" else 1 / 16, abs=0.004) for name in METRICS}
    assert loss == dict.fromkeys(METRICS, 1.0)


METADATA: list[dict[str, Any]] = [
    {"category": "laws", "difficulty": "easy"},
    {"category": "laws", "difficulty": 3},
    {"category": "clock", "difficulty": True, "author": "someone"},
    {"category": None, "difficulty": "easy"},
    {"category": ["laws"], "difficulty": {"laws": 1}},
    {},
    {"category": "laws", "difficulty": "Easy"},
]


def test_slices_are_the_questions_with_a_text_in_a_field() -> None:
    """A question is in a slice of every field in which it has text; other types, no value and other fields are none."""
    corpus = make_corpus([[place] for place in range(len(METADATA))], METADATA)
    found = {name: places.tolist() for name, places in find_slices(corpus, ["difficulty", "category"]).items()}

    assert list(found.items()) == [
        (("category", "clock"), [2]),
        (("category", "laws"), [0, 1, 6]),
        (("difficulty", "Easy"), [6]),
        (("difficulty", "easy"), [0, 3]),
    ]


@pytest.mark.parametrize(("least", "tested"), [(2, [False, True]), (3, [False, True]), (4, [False, False])])
def test_slices_are_resampled_from_the_least_size_on(least: int, tested: list[bool]) -> None:
    """A slice of exactly `slice_min` questions is tested; a smaller one is kept to be reported."""
    corpus = make_corpus([[place] for place in range(len(METADATA))], METADATA)
    design = build_design(corpus, alter_policy(slice_min=least, slice_fields=["category"]))

    assert [(found.field, found.value) for found in design.slices] == [("category", "clock"), ("category", "laws")]
    assert [found.bootstrap is not None for found in design.slices] == tested


def test_questions_of_a_slice_keep_the_clusters_of_the_whole() -> None:
    """Two questions that a third one outside the slice links are one cluster, so that nothing is left to draw."""
    metadata = [{"category": "in"}, {"category": "out"}, {"category": "in"}, {"category": "out"}]
    policy = alter_policy(slice_min=2, slice_fields=["category"])
    design = build_design(make_corpus([[0], [0, 1], [1], [2]], metadata), policy)
    inside, outside = (found.bootstrap for found in design.slices)

    assert inside is not None
    assert outside is not None
    assert set(inside.compute_means([np.array([1.0, 0.0])]).ravel().tolist()) == {0.5}
    assert set(outside.compute_means([np.array([1.0, 0.0])]).ravel().tolist()) == {0.0, 0.5, 1.0}


def test_a_design_serves_every_comparison() -> None:
    """One gold set drawn once gives each comparison the interval that it has on its own."""
    base, middle, best = make_rows((60, MISS)), make_rows((20, HIT), (40, MISS)), make_rows((40, HIT), (20, MISS))
    one, other = make_comparison(base, middle, POLICY), make_comparison(base, best, POLICY)
    again = compare_answers(one.design, other.base, other.candidate)

    assert again.intervals == other.intervals
    assert again.intervals != one.intervals


def test_nearest_passages_are_those_of_a_full_sort(pair: Pair) -> None:
    """Every passage is listed when there are fewer than 100, nearest first."""
    questions, passages = get_matrices(pair.candidate)
    _, listed = search_store(pair.candidate, pair.corpus)

    assert listed.shape == (ROWS, ROWS)
    for question, ranking in zip(questions, listed.tolist(), strict=True):
        scores = rank_by_cosine(question, passages)
        assert sorted(ranking) == list(range(ROWS))
        assert all(scores[near] >= scores[far] - 1e-6 for near, far in itertools.pairwise(ranking))


def test_baselines_are_those_of_a_plain_computation(pair: Pair) -> None:
    """BM25, and BM25 fused with each store, have the metrics of a textbook's formulae, question by question."""
    stores = {"base": pair.base, "qlora": pair.candidate}
    nearest = {name: search_store(store, pair.corpus)[1] for name, store in stores.items()}
    found = rank_baselines(pair.base, pair.corpus, nearest)
    chunks = pair.corpus.chunks.chunks
    words = [[*split_words(chunk.section or ""), *split_words(chunk.text)] for chunk in chunks]
    lexical = [rank_by_words(question.text, words) for question in pair.corpus.gold.questions]
    expected = {"BM25": evaluate_lists(lexical, pair.corpus)}
    for name, listed in nearest.items():
        fused = [fuse_naively([first, second]) for first, second in zip(lexical, listed.tolist(), strict=True)]
        expected[f"BM25 + {name}"] = evaluate_lists(fused, pair.corpus)

    assert list(found) == list(expected)
    assert len({answers.metrics["ndcg@10"].mean() for answers in found.values()}) == 3
    for name, answers in found.items():
        assert list(answers.metrics) == METRICS
        for metric, values in answers.metrics.items():
            assert values.tolist() == pytest.approx(expected[name][metric], abs=1e-12)


def test_questions_without_an_answer_count_as_nothing(pair: Pair) -> None:
    """A question without a word, or without a known one, scores 0 by BM25 and stays in the denominator."""
    found = rank_baselines(pair.base, pair.corpus, {"base": search_store(pair.base, pair.corpus)[1]})

    for metric, values in found["BM25"].metrics.items():
        assert len(values) == ROWS
        assert (metric, values[[7, 8]].tolist()) == (metric, [0.0, 0.0])
    assert found["BM25 + base"].metrics["recall@100"][[7, 8]].tolist() == [1.0, 1.0]
    assert found["BM25"].ranks.count_hits(100) <= ROWS - 2


@pytest.mark.parametrize("rows", [make_rows((3, HIT), (5, MISS))], ids=["3 of 8"])
def test_identical_answers_differ_by_nothing(rows: Rows) -> None:
    """A store compared with itself has intervals of exactly 0 and p-values of 1 for every metric."""
    comparison: Comparison = make_comparison(rows, rows, POLICY)

    assert {(each.lower, each.upper, each.standard_error) for each in comparison.intervals.values()} == {(0, 0, 0)}
    assert compute_flip_p(comparison) == dict.fromkeys(METRICS, 1.0)
