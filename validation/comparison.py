"""Compare base and candidate question by question and turn each criterion of the policy into a check."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from validation.metrics import RECALL_DEPTHS, Ranks, Values, compute_metrics, rank_relevant
from validation.outcomes import Check, Interval, Outcome
from validation.statistics import compute_interval, find_clusters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from validation.evidence import CorpusEvidence, StoreEvidence
    from validation.policy import Criterion, Policy, Statistics

PRIMARY_DEPTH = 5


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both stores' metrics on one gold set, paired by question, with the interval of each mean difference."""

    corpus: str
    base_ranks: Ranks
    candidate_ranks: Ranks
    base: dict[str, Values]
    candidate: dict[str, Values]
    intervals: dict[str, Interval]

    @property
    def n(self) -> int:
        """Number of questions."""
        return len(self.base_ranks.ranks)


def compare_stores(
    base: StoreEvidence, candidate: StoreEvidence, corpus: CorpusEvidence, settings: Statistics
) -> Comparison:
    """Answer every gold question by both stores and compute the interval of every metric's paired difference."""
    relevant = corpus.gold.relevant
    base_ranks, candidate_ranks = (_rank_store(store, relevant) for store in (base, candidate))
    base_metrics, candidate_metrics = compute_metrics(base_ranks), compute_metrics(candidate_ranks)
    clusters = find_clusters(relevant)
    intervals = {
        name: compute_interval(candidate_metrics[name] - base_metrics[name], clusters, settings)
        for name in base_metrics
    }
    return Comparison(corpus.name, base_ranks, candidate_ranks, base_metrics, candidate_metrics, intervals)


def check_criterion(criterion: Criterion, comparison: Comparison, policy: Policy) -> Check:
    """Judge one metric by its interval.

    Superiority passes when the lower bound lies above 0, non-inferiority when it lies above minus the margin. An
    upper bound below the same limit is a FAIL; an interval that straddles it is INCONCLUSIVE. A gold set smaller than
    the policy's minimum is an ERROR: it cannot decide anything.
    """
    limit = Decimal(0) if criterion.kind == "superiority" else -policy.limits.margins[criterion.metric]
    interval = comparison.intervals[criterion.metric]
    outcome = judge_interval(interval, limit)
    detail = None if outcome is Outcome.PASS else _explain(criterion, interval, limit)
    if comparison.n < policy.limits.questions_min:
        outcome = Outcome.ERROR
        detail = f"{comparison.n} questions, the policy asks for at least {policy.limits.questions_min}"
    difference = comparison.candidate[criterion.metric].mean() - comparison.base[criterion.metric].mean()
    return Check(
        id=criterion.check,
        subject=comparison.corpus,
        outcome=outcome,
        observed=float(difference),
        limit=float(limit),
        n=comparison.n,
        interval=interval,
        detail=detail,
    )


def judge_interval(interval: Interval, limit: Decimal) -> Outcome:
    """Return PASS above the limit, FAIL below it, INCONCLUSIVE across it.

    Bounds are compared as the decimals that they are written as: the float -0.03 lies above -3/100, the bound does not.
    """
    if Decimal(str(interval.lower)) > limit:
        return Outcome.PASS
    return Outcome.FAIL if Decimal(str(interval.upper)) < limit else Outcome.INCONCLUSIVE


def check_floor(check_id: str, comparison: Comparison, floor: Decimal) -> Check:
    """Hold the candidate's recall@5 against the floor in exact fractions."""
    recall = comparison.candidate_ranks.compute_recall_exact(PRIMARY_DEPTH)
    enough = recall >= Fraction(floor)
    return Check(
        id=check_id,
        subject=comparison.corpus,
        outcome=Outcome.PASS if enough else Outcome.FAIL,
        observed=float(recall),
        limit=float(floor),
        n=comparison.n,
        detail=None if enough else f"recall@{PRIMARY_DEPTH} {float(recall):.4f} is below the floor {floor}",
    )


def describe_retrieval(comparison: Comparison) -> dict[str, object]:
    """Return both stores' metrics with differences and intervals, as they go into the decision."""
    described: dict[str, object] = {}
    for name, interval in comparison.intervals.items():
        base, candidate = comparison.base[name], comparison.candidate[name]
        described[name] = {
            "base": _describe_side(name, base, comparison.base_ranks),
            "candidate": _describe_side(name, candidate, comparison.candidate_ranks),
            "difference": float(candidate.mean() - base.mean()),
            "interval": asdict(interval),
        }
    return described


def _describe_side(name: str, values: Values, ranks: Ranks) -> dict[str, object]:
    side: dict[str, object] = {"n": len(values), "value": float(values.mean())}
    depths = {f"recall@{depth}": depth for depth in RECALL_DEPTHS}
    return {"hits": ranks.count_hits(depths[name]), **side} if name in depths else side


def _rank_store(store: StoreEvidence, relevant: Sequence[Sequence[int]]) -> Ranks:
    questions, passages = (
        vectors.values.astype("float32", copy=False) for vectors in (store.questions, store.passages)
    )
    return rank_relevant(questions, passages, relevant)


def _explain(criterion: Criterion, interval: Interval, limit: Decimal) -> str:
    bounds = f"[{interval.lower:+.4f}, {interval.upper:+.4f}]"
    return f"{criterion.metric}: the {interval.level:.0%} bounds {bounds} do not lie above {limit}"
