"""Let base and candidate answer every gold question, and set their answers side by side, question by question."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.database import open_database
from pipeline.fulltext import rank_questions
from pipeline.retrieval import Ranking, fuse_rankings
from validation.metrics import RECALL_DEPTHS, Values, compute_metrics
from validation.ranks import Positions, Ranks, rank_listed, rank_passages, rank_relevant
from validation.statistics import Bootstrap, find_clusters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.vectors import Matrix
    from validation.evidence import CorpusEvidence, StoreEvidence
    from validation.outcomes import Interval
    from validation.policy import Policy, Statistics

PRIMARY = "recall@5"
DEPTHS = {f"recall@{depth}": depth for depth in RECALL_DEPTHS}
LIST_DEPTH = max(RECALL_DEPTHS)


@dataclass(frozen=True, slots=True)
class Slice:
    """The questions that share a value of a metadata field; `bootstrap` is None where they are too few to be tested.

    Attributes:
        field, value: such as `category` and `laws`.
        places: positions of the questions, int64 `(n,)`.
    """

    field: str
    value: str
    places: Positions
    bootstrap: Bootstrap | None


@dataclass(frozen=True, slots=True)
class Design:
    """A gold set as it is resampled: drawn once, whatever stores are compared on it."""

    corpus: CorpusEvidence
    bootstrap: Bootstrap
    slices: tuple[Slice, ...]

    @property
    def n(self) -> int:
        """Number of questions."""
        return len(self.corpus.gold.questions)


@dataclass(frozen=True, slots=True)
class Answers:
    """What one store answers: ranks of the relevant passages, ties against them, and every metric by name."""

    ranks: Ranks
    metrics: dict[str, Values]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both stores' answers to one gold set, paired by question, with the interval of every mean difference."""

    design: Design
    base: Answers
    candidate: Answers
    intervals: dict[str, Interval]

    @property
    def corpus(self) -> CorpusEvidence:
        """The corpus with the gold set."""
        return self.design.corpus

    def subtract(self, metric: str) -> Values:
        """Return candidate minus base of each question, float64 `(n_questions,)`."""
        difference: Values = self.candidate.metrics[metric] - self.base.metrics[metric]
        return difference


def build_design(corpus: CorpusEvidence, policy: Policy) -> Design:
    """Draw the resamples of a gold set and of each of its slices of at least `slice_min` questions.

    The draws depend on the gold set and the policy alone, and are the same objects as long as these are the same: a
    certification judges one gold set some forty times.
    """
    found = find_slices(corpus, policy.limits.slice_fields)
    tested = tuple(tuple(each.tolist()) for each in found.values() if len(each) >= policy.limits.slice_min)
    whole, *parts = _draw(tuple(map(tuple, corpus.gold.relevant)), tested, policy.statistics)
    drawn = iter(parts)
    slices = tuple(
        Slice(field, value, places, next(drawn) if len(places) >= policy.limits.slice_min else None)
        for (field, value), places in found.items()
    )
    return Design(corpus, whole, slices)


@functools.lru_cache(maxsize=2)  # one for each corpus
def _draw(
    relevant: tuple[tuple[int, ...], ...], slices: tuple[tuple[int, ...], ...], settings: Statistics
) -> tuple[Bootstrap, ...]:
    """Draw the resamples of all questions and of those of each slice, by their places."""
    clusters = find_clusters(relevant)
    parts = (np.unique(clusters[list(places)], return_inverse=True)[1] for places in slices)
    return (Bootstrap(clusters, settings), *(Bootstrap(part, settings) for part in parts))


def find_slices(corpus: CorpusEvidence, fields: list[str]) -> dict[tuple[str, str], Positions]:
    """Return the positions of the questions of each slice, sorted by field and value; only text counts as a value."""
    members: dict[tuple[str, str], list[int]] = {}
    for place, question in enumerate(corpus.gold.questions):
        for field in fields:
            value = question.metadata.get(field)
            if isinstance(value, str):
                members.setdefault((field, value), []).append(place)
    return {name: np.array(places) for name, places in sorted(members.items())}


def answer_questions(questions: Matrix, passages: Matrix, corpus: CorpusEvidence) -> Answers:
    """Rank the passages of a store for every gold question.

    Raises:
        ValueError: a similarity is not finite.
    """
    return build_answers(rank_relevant(questions, passages, corpus.gold.relevant))


def build_answers(ranks: Ranks) -> Answers:
    """Return ranks with every metric."""
    return Answers(ranks, compute_metrics(ranks))


def compare_answers(design: Design, base: Answers, candidate: Answers) -> Comparison:
    """Compute the interval of every metric's mean paired difference."""
    return compare_pairs(design, [(base, candidate)])[0]


def compare_pairs(design: Design, pairs: Sequence[tuple[Answers, Answers]]) -> list[Comparison]:
    """Compare several pairs of stores on the same questions, which costs little more than comparing one."""
    differences = [
        candidate.metrics[name] - values for base, candidate in pairs for name, values in base.metrics.items()
    ]
    intervals = iter(design.bootstrap.compute_intervals(differences))
    return [Comparison(design, *pair, {name: next(intervals) for name in pair[0].metrics}) for pair in pairs]


def compute_flip_p(comparison: Comparison) -> dict[str, float]:
    """Return the one-sided sign-flip p-value of "the candidate is better" for every metric."""
    names = list(comparison.intervals)
    values = comparison.design.bootstrap.compute_flip_p([comparison.subtract(name) for name in names])
    return dict(zip(names, values, strict=True))


def search_store(store: StoreEvidence, corpus: CorpusEvidence) -> tuple[Ranks, Ranking]:
    """Return what a store finds for every gold question: ranks of relevant passages, ties against them, and a list.

    The list holds the positions of the nearest passages, nearest first, int64 `(n_questions, ≤ 100)`; those that are as
    near stand in the order of the corpus.

    Raises:
        ValueError: a similarity is not finite.
    """
    return rank_passages(*get_matrices(store), corpus.gold.relevant, LIST_DEPTH)


def get_matrices(store: StoreEvidence) -> tuple[Matrix, Matrix]:
    """Return the vectors of questions and of passages, float32 `(rows, 768)` each."""
    questions, passages = (
        vectors.values.astype(np.float32, copy=False) for vectors in (store.questions, store.passages)
    )
    return questions, passages


def rank_baselines(store: StoreEvidence, corpus: CorpusEvidence, nearest: dict[str, Ranking]) -> dict[str, Answers]:
    """Return what full-text search (BM25) answers, and it fused with each store's nearest passages.

    Both databases hold the same text (STO203), so one of them is asked.
    """
    with open_database(store.folder / store.manifest.files.database.name) as connection:
        lexical = rank_questions(connection, [question.text for question in corpus.gold.questions], LIST_DEPTH)
    rankings = {"BM25": lexical}
    for name, listed in nearest.items():
        pairs = zip(lexical, listed, strict=True)
        rankings[f"BM25 + {name}"] = [fuse_rankings(list(pair), LIST_DEPTH) for pair in pairs]
    ranks = {name: rank_listed(lists, corpus.gold.relevant) for name, lists in rankings.items()}
    return {name: build_answers(found) for name, found in ranks.items()}
