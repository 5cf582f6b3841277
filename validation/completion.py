"""The completion report of a decision: the nine parts that ISO/IEC/IEEE 29119-3 asks for, each there even when empty.

Everything is derived from the decision; nothing is typed in.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from pydantic import Field

from pipeline.documents import Strict
from validation.completion_words import TITLES, say
from validation.outcomes import Outcome
from validation.requirements import Wording
from validation.trace import find_uncovered, settle_requirements
from validation.typography import (
    Language,
    format_count,
    format_decimal,
    format_percent,
    format_points,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from validation.document import CheckRecord, Record

PartName = Literal[
    "tested", "deviations", "evaluation", "blocked", "measures", "risks", "deliverables", "assets", "lessons"
]
LANGUAGES: tuple[Language, ...] = get_args(Language)
PRIMARY = "recall@5"
RATIO = "ratio of medians"
# Half of what one decimal of a point shows.
SHOWN_LOSS = 0.0005
# Inputs that are made anew for every decision, and those that the next one uses again.
MADE = ("certificate", "drill", "latency", "canary_base", "canary_qlora", "training", "graph", "log")
KEPT = ("requirements", "policy", "checks")
KEPT_PREFIX, KEPT_SUFFIXES = "suite_", ("/questions", "/qrels", "/chunks")


class CompletionItem(Strict):
    """One statement of our own, and what evidence says verbatim, in English and from outside."""

    text: Wording
    evidence: str | None = None


class CompletionPart(Strict):
    """One of the nine parts, with at least one item: where there is nothing to tell, that is told."""

    name: PartName
    title: Wording
    items: Annotated[list[CompletionItem], Field(min_length=1)]
    empty: bool


class Completion(Strict):
    """All nine parts, in the order of the standard."""

    parts: Annotated[list[CompletionPart], Field(min_length=9, max_length=9)]


def build_completion(record: Record) -> Completion:
    """Return the completion report of a decision; the same decision gives the same report."""
    return Completion(parts=[_build_part(name, list(tell(record))) for name, tell in _TELLERS.items()])


def _build_part(name: PartName, items: list[CompletionItem]) -> CompletionPart:
    french, english = TITLES[name]
    told = items or [_item("none")]
    return CompletionPart(name=name, title=Wording(fr=french, en=english), items=told, empty=not items)


def _item(name: str, evidence: str | None = None, /, **values: str | Wording) -> CompletionItem:
    return CompletionItem(text=say(name, **values), evidence=evidence)


def _in_both(tell: Callable[..., str], value: float | None, *options: int) -> Wording:
    return Wording(**{language: tell(value, language, *options) for language in LANGUAGES})


def _tell_tested(record: Record) -> Iterator[CompletionItem]:
    yield _item(record.policy)
    yield _item(
        "checks",
        checks=_in_both(format_count, len(record.checks)),
        subjects=_in_both(format_count, len({check.subject for check in record.checks})),
        requirements=_in_both(format_count, len(record.requirements)),
    )
    for corpus, metrics in record.retrieval.items():
        asked = next((metric.base.n for metric in metrics.values()), 0)
        yield _item("questions", corpus=corpus, n=_in_both(format_count, asked))
    yield _item("code", revision=record.code.revision or "–", sha256=record.code.sha256)


def _tell_deviations(record: Record) -> Iterator[CompletionItem]:
    if not record.retrieval:
        yield _item("not_compared")
    for each in record.waivers:
        told = {"id": each.id, "check": each.check, "subject": each.subject, "owner": each.owner}
        yield _item(f"waiver_{each.state}", each.reason, expires=each.expires, **told)
    for check in _list_open(record, Outcome.ERROR):
        yield _item("error", check.detail, check=check.id, subject=check.subject)
    for requirement in find_uncovered(record):
        yield _item("uncovered", requirement=requirement)
    if record.attempt and record.attempt > 1:
        yield _item("attempt", attempt=str(record.attempt))


def _tell_evaluation(record: Record) -> Iterator[CompletionItem]:
    yield _item("verdict", verdict=record.decision.value, code=str(record.exit_code))
    for reason in record.reasons:
        yield _item("reason", reason)
    settled = settle_requirements(record)
    met = sum(outcome is Outcome.PASS for outcome in settled.values())
    yield _item("met", met=_in_both(format_count, met), all=_in_both(format_count, len(settled)))
    for requirement, outcome in settled.items():
        if outcome is not Outcome.PASS:
            statement = record.requirements[requirement].statement
            yield CompletionItem(
                text=_append(say("not_met", requirement=requirement, outcome=outcome.value), statement)
            )


def _append(one: Wording, other: Wording) -> Wording:
    return Wording(fr=f"{one.fr} {other.fr}", en=f"{one.en} {other.en}")


def _tell_blocked(record: Record) -> Iterator[CompletionItem]:
    blocked = Counter(check.blocked_by for check in record.checks if check.blocked_by)
    for blocker, count in blocked.items():
        yield _item("blocking", blocker=blocker, n=_in_both(format_count, count))


def _tell_measures(record: Record) -> Iterator[CompletionItem]:
    counts = Counter(check.outcome for check in record.checks)
    said = ", ".join(f"{outcome.value} {counts[outcome]}" for outcome in Outcome if counts[outcome])
    if said:
        yield _item("outcomes", counts=said)
    for corpus, metrics in record.retrieval.items():
        if found := metrics.get(PRIMARY):
            yield _item(
                "recall",
                corpus=corpus,
                base=_in_both(format_percent, found.base.value),
                candidate=_in_both(format_percent, found.candidate.value),
                difference=_in_both(format_points, found.difference),
                lower=_in_both(format_points, found.interval.lower),
                upper=_in_both(format_points, found.interval.upper),
            )
    for corpus in record.flips:
        yield _item("flips", corpus=corpus, **_count_flips(record, corpus))
    for check in record.checks:
        if check.unit == RATIO and isinstance(check.observed, float):
            yield _item(
                "ratio",
                check=check.id,
                subject=check.subject,
                observed=_in_both(format_decimal, check.observed, 3),
                limit=_in_both(format_decimal, check.limit, 2),
            )


def _count_flips(record: Record, corpus: str) -> dict[str, Wording]:
    counts = Counter(flip.direction for flip in record.flips[corpus])
    return {"lost": _in_both(format_count, counts["lost"]), "gained": _in_both(format_count, counts["gained"])}


def _tell_risks(record: Record) -> Iterator[CompletionItem]:
    for outcome, sentence in ((Outcome.INCONCLUSIVE, "inconclusive"), (Outcome.WAIVED, "waived")):
        for check in _list_open(record, outcome):
            yield _item(sentence, check.detail, check=check.id, subject=check.subject)
    for check in record.checks:
        if check.outcome is Outcome.PASS and check.explanation and check.explanation.loss_rare >= SHOWN_LOSS:
            loss = Wording(**{each: format_decimal(100 * check.explanation.loss_rare, each) for each in LANGUAGES})
            yield _item("tolerated", check=check.id, subject=check.subject, loss=loss)
    for corpus, flips in record.flips.items():
        if any(flip.direction == "lost" for flip in flips):
            yield _item("lost", corpus=corpus, **_count_flips(record, corpus))
    for corpus, slices in record.slices.items():
        if small := sum(each.interval is None for each in slices):
            yield _item("untested", corpus=corpus, n=_in_both(format_count, small))


def _tell_deliverables(record: Record) -> Iterator[CompletionItem]:
    yield _item("decision")
    if record.answers:
        yield _item("file", name="answers", path=record.answers.path, sha256=record.answers.sha256)
    yield from _list_files(record, lambda name: name in MADE)


def _tell_assets(record: Record) -> Iterator[CompletionItem]:
    yield from _list_files(record, _is_kept)


def _is_kept(name: str) -> bool:
    is_gold = name.endswith(KEPT_SUFFIXES) and name.count("/") == 1
    return name in KEPT or name.startswith(KEPT_PREFIX) or is_gold


def _list_files(record: Record, wanted: Callable[[str], bool]) -> Iterator[CompletionItem]:
    for name, each in record.inputs.items():
        if wanted(name):
            yield _item("file", name=name, path=each.path, sha256=each.sha256)


def _tell_lessons(record: Record) -> Iterator[CompletionItem]:
    for check in record.checks:
        if check.explanation and check.explanation.questions_needed:
            needed = _in_both(format_count, check.explanation.questions_needed)
            yield _item("more_questions", check=check.id, subject=check.subject, n=needed)
        if check.remedy and check.outcome not in {Outcome.PASS, Outcome.WAIVED} and check.blocked_by is None:
            yield _item("remedy", check=check.id, subject=check.subject, remedy=check.remedy)


def _list_open(record: Record, outcome: Outcome) -> list[CheckRecord]:
    """Return the checks of an outcome that are not the consequence of another one."""
    return [check for check in record.checks if check.outcome is outcome and check.blocked_by is None]


_TELLERS: dict[PartName, Callable[[Record], Iterator[CompletionItem]]] = {
    "tested": _tell_tested,
    "deviations": _tell_deviations,
    "evaluation": _tell_evaluation,
    "blocked": _tell_blocked,
    "measures": _tell_measures,
    "risks": _tell_risks,
    "deliverables": _tell_deliverables,
    "assets": _tell_assets,
    "lessons": _tell_lessons,
}
