"""Comparisons for tests, from the ranks that two stores are made to give to the relevant passages of a gold set."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.chunks import Chunk, ChunkFile
from pipeline.gold import GoldSet, Question
from tests.conftest import build_chunk
from validation.comparison import Answers, Comparison, build_design, compare_answers
from validation.evidence import CorpusEvidence
from validation.metrics import compute_metrics
from validation.policy import EXPECTATIONS, Policy, load_rulebook
from validation.ranks import NOT_FOUND, Ranks

if TYPE_CHECKING:
    from collections.abc import Sequence

Rows = list[tuple[int, ...]]
Metadata = list[dict[str, Any]]

HIT: tuple[int, ...] = (1,)
MISS: tuple[int, ...] = (NOT_FOUND,)
NOWHERE = Path("nowhere")


@cache
def load_policy() -> Policy:
    """Return the policy of the project."""
    return load_rulebook(EXPECTATIONS / "policy.yaml").policy


def alter_policy(*, resamples: int = 1000, flips: int = 1000, **limits: object) -> Policy:
    """Return the policy of the project with fewer draws and other limits."""
    policy = load_policy()
    statistics = policy.statistics.model_copy(update={"resamples": resamples, "flips": flips})
    return policy.model_copy(update={"statistics": statistics, "limits": policy.limits.model_copy(update=limits)})


def make_rows(*groups: tuple[int, tuple[int, ...]]) -> Rows:
    """Return the ranks of as many questions as told, one group of equal ones after another."""
    return [row for count, row in groups for _ in range(count)]


def make_corpus(relevant: Sequence[Sequence[int]], metadata: Metadata | None = None) -> CorpusEvidence:
    """Return a corpus with one question, `q0`, `q1`, …, for each row of relevant passages."""
    total = 1 + max(max(row) for row in relevant)
    found = metadata or [{"category": "laws"}] * len(relevant)
    questions = [
        Question.model_validate({"_id": f"q{place}", "text": f"Question {place} ?", "metadata": each})
        for place, each in enumerate(found)
    ]
    return CorpusEvidence(
        name="fr",
        total=total,
        chunks=ChunkFile(corpus="fr", total=total, chunks=[Chunk(**build_chunk(place)) for place in range(total)]),
        gold=GoldSet(tuple(questions), tuple(tuple(row) for row in relevant)),
        chunks_path=NOWHERE,
        questions_path=NOWHERE,
        qrels_path=NOWHERE,
        chunks_sha256="",
        questions_sha256="",
        qrels_sha256="",
    )


def make_answers(rows: Rows) -> Answers:
    """Return the answers of a store that ranks the relevant passages of each question as told."""
    width = max(map(len, rows))
    padded = [[*sorted(row), *[NOT_FOUND] * (width - len(row))] for row in rows]
    ranks = Ranks(np.array(padded), np.array([len(row) for row in rows]))
    return Answers(ranks, compute_metrics(ranks))


def number_passages(rows: Rows) -> list[list[int]]:
    """Return relevant passages, as many as there are ranks, that no two questions share."""
    ends = np.cumsum([len(row) for row in rows]).tolist()
    return [list(range(end - len(row), end)) for end, row in zip(ends, rows, strict=True)]


def make_comparison(
    base: Rows,
    candidate: Rows,
    policy: Policy,
    *,
    relevant: Sequence[Sequence[int]] | None = None,
    metadata: Metadata | None = None,
) -> Comparison:
    """Compare two stores by the ranks that they give, one row a question; without `relevant` none share a passage."""
    corpus = make_corpus(relevant or number_passages(base), metadata)
    return compare_answers(build_design(corpus, policy), make_answers(base), make_answers(candidate))
