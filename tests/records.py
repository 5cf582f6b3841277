"""Decision documents made by hand, for what reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from validation.document import (
    AnswerRecord,
    CheckRecord,
    CodeRecord,
    FlipRecord,
    MetricRecord,
    Record,
    RequirementRecord,
    SideRecord,
)
from validation.explanation import Explanation
from validation.outcomes import Interval
from validation.requirements import Wording

if TYPE_CHECKING:
    from typing import Literal

    from validation.outcomes import Outcome, Verdict

QUESTIONS = 120
INTERVAL = Interval(lower=-0.0125, upper=0.0458, level=0.95, standard_error=0.0178)
EXPLANATION = Explanation(
    disagreement=0.05,
    flip_p=0.171875,
    mcnemar_p=0.00004,
    questions_needed=731,
    hits_needed=3,
    hits_among=("q7", "q8", "q9"),
    hits_to_spare=None,
    loss_nominal=-0.0,
    loss_even=-0.0292,
    loss_rare=0.03,
)


def make_check(check_id: str, outcome: Outcome, **fields: Any) -> CheckRecord:
    """Return a check as it stands in the document."""
    names = (
        "title",
        "characteristic",
        "observed",
        "limit",
        "unit",
        "n",
        "interval",
        "detail",
        "blocked_by",
        "explanation",
    )
    told: dict[str, Any] = {"subject": "fr", "requirements": [], "inputs": [], "remedy": "do this"}
    told |= dict.fromkeys(names) | fields
    told |= {name: Wording(en=text, fr=text) for name in ("title", "remedy") if isinstance(text := told[name], str)}
    return CheckRecord(id=check_id, outcome=outcome, **told)


def make_interval_check(outcome: Outcome, **changes: Any) -> CheckRecord:
    """Return a check that an interval decides, with what stands behind it."""
    fields = {
        "title": "more", "observed": 0.0167, "limit": 0.0, "n": QUESTIONS, "interval": INTERVAL,
        "explanation": EXPLANATION,
    }  # fmt: skip
    return make_check("RET301", outcome, **fields | changes)


def make_requirement(**changes: Any) -> RequirementRecord:
    """Return a requirement as it stands in the document."""
    wording = Wording(en="must hold", fr="doit tenir")
    told: dict[str, Any] = {
        "section": "2", "statement": wording, "rationale": wording, "owner": "corpus", "metric": wording,
        "operator": "=", "limit": 0, "clauses": ["ISO/IEC 42001 A.7.4"], "bound": 0, "sha256": "5" * 64,
    }  # fmt: skip
    return RequirementRecord(**told | changes)


def make_metric(base_hits: int, candidate_hits: int, *, counted: bool = True) -> MetricRecord:
    """Return a metric whose values are hits by questions; the hits are told where they are counted."""
    base, candidate = (
        SideRecord(n=QUESTIONS, value=hits / QUESTIONS, hits=hits if counted else None)
        for hits in (base_hits, candidate_hits)
    )
    return MetricRecord(
        base=base,
        candidate=candidate,
        difference=candidate.value - base.value,
        interval=INTERVAL,
        flip_p=0.171875,
    )


def make_flip(
    direction: Literal["lost", "gained"], text: str = "Qui ?", excerpt: str = "L'arbitre.", question: str = "q1"
) -> FlipRecord:
    """Return a question that one store answers and the other does not."""
    ranks = (1, 9) if direction == "lost" else (9, 1)
    base, candidate = (
        AnswerRecord(rank=rank, returned=f"passage {rank}", section=None, excerpt=excerpt) for rank in ranks
    )
    return FlipRecord(
        question=question,
        text=text,
        metadata={},
        direction=direction,
        relevant=["passage 1"],
        base=base,
        candidate=candidate,
    )


def make_record(
    verdict: Verdict, *checks: CheckRecord, reasons: tuple[str, ...] = ("because",), **fields: Any
) -> Record:
    """Return a decision document, without any comparison unless told."""
    told: dict[str, Any] = {
        "policy": "release", "retrieval": {}, "baselines": {}, "slices": {}, "flips": {}, "latency": None,
        "waivers": [], "as_of": None, "attempt": None, "run": None,
        "code": CodeRecord(revision=None, sha256="0" * 64), "inputs": {}, "answers": None, "requirements": {},
    }  # fmt: skip
    return Record(
        schema_version=1,
        decision=verdict,
        exit_code=verdict.exit_code,
        reasons=list(reasons),
        checks=list(checks),
        **told | fields,
    )
