"""Describe a comparison for the decision document: metrics, lexical baselines, slices, flips and explanations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from validation.comparison import (
    DEPTHS,
    PRIMARY,
    Answers,
    Comparison,
    compute_flip_p,
    rank_baselines,
)
from validation.declared import list_criteria
from validation.document import AnswerRecord, FlipRecord, MetricRecord, SideRecord
from validation.explanation import Explanation, explain_criterion
from validation.statistics import compute_mean

if TYPE_CHECKING:
    from pipeline.retrieval import Ranking
    from validation.decision import Key
    from validation.evidence import StoreEvidence
    from validation.gate import Compared
    from validation.policy import Policy, Rules
    from validation.slices import SliceResult
    from validation.stores import CorpusRequest

EXCERPT = 200


@dataclass(frozen=True, slots=True)
class RetrievalDescription:
    """What the decision document says of one corpus's retrieval."""

    metrics: dict[str, MetricRecord]
    baselines: dict[str, dict[str, float]]
    slices: list[SliceResult]
    flips: list[FlipRecord]
    explanations: dict[Key, Explanation]


def describe_comparison(
    policy: Policy, rules: Rules, request: CorpusRequest, base: StoreEvidence, compared: Compared
) -> RetrievalDescription:
    """Describe what was compared on a corpus; `base` is the base's store, whose full text is asked as well."""
    comparison, slices, listed = compared
    flip_p = compute_flip_p(comparison)
    nearest = {"base": listed["base"], "candidate": listed["qlora"]}
    baselines = rank_baselines(base, comparison.corpus, nearest)
    enough = comparison.design.n >= policy.limits.questions_min
    return RetrievalDescription(
        metrics={name: _describe_metric(comparison, name, flip_p[name]) for name in comparison.intervals},
        baselines={
            system: {name: compute_mean(values) for name, values in answers.metrics.items()}
            for system, answers in baselines.items()
        },
        slices=slices,
        flips=list_flips(comparison, nearest),
        explanations={
            (criterion.check, comparison.corpus.name): explain_criterion(
                criterion, comparison, flip_p[criterion.metric], policy
            )
            for criterion in list_criteria(request, rules)
            if enough
        },
    )


def list_flips(comparison: Comparison, nearest: dict[str, Ranking]) -> list[FlipRecord]:
    """Return the questions with a hit in the top 5 of one store only, lost ones first, in the order of the gold set."""
    base, candidate = (side.ranks.find_hits(DEPTHS[PRIMARY]) for side in (comparison.base, comparison.candidate))
    lost, gained = (places.nonzero()[0].tolist() for places in (base & ~candidate, candidate & ~base))
    return [_describe_flip(comparison, nearest, place, "lost") for place in lost] + [
        _describe_flip(comparison, nearest, place, "gained") for place in gained
    ]


def _describe_metric(comparison: Comparison, name: str, flip_p: float) -> MetricRecord:
    return MetricRecord(
        base=_describe_side(name, comparison.base),
        candidate=_describe_side(name, comparison.candidate),
        difference=compute_mean(comparison.subtract(name)),
        interval=comparison.intervals[name],
        flip_p=flip_p,
    )


def _describe_side(name: str, answers: Answers) -> SideRecord:
    values = answers.metrics[name]
    hits = answers.ranks.count_hits(DEPTHS[name]) if name in DEPTHS else None
    return SideRecord(n=len(values), value=compute_mean(values), hits=hits)


def _describe_flip(
    comparison: Comparison, nearest: dict[str, Ranking], place: int, direction: Literal["lost", "gained"]
) -> FlipRecord:
    corpus = comparison.corpus
    question = corpus.gold.questions[place]
    return FlipRecord(
        question=question.id,
        text=question.text,
        metadata=question.metadata,
        direction=direction,
        relevant=[corpus.chunks.chunks[position].id for position in corpus.gold.relevant[place]],
        base=_describe_answer(comparison, comparison.base, nearest["base"], place),
        candidate=_describe_answer(comparison, comparison.candidate, nearest["candidate"], place),
    )


def _describe_answer(comparison: Comparison, answers: Answers, nearest: Ranking, place: int) -> AnswerRecord:
    passage = comparison.corpus.chunks.chunks[nearest[place, 0]]
    return AnswerRecord(
        rank=int(answers.ranks.ranks[place, 0]),
        returned=passage.id,
        section=passage.section,
        excerpt=passage.text[:EXCERPT],
    )
