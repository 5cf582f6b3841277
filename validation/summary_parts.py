"""What a summary of a decision consists of, each part made from the decision document alone."""

from __future__ import annotations

from textwrap import shorten
from typing import TYPE_CHECKING

from validation.explain import SHOWN_EXCERPT, explain_interval
from validation.markdown import Html, Part, make_list, make_table, tell
from validation.outcomes import Outcome
from validation.render import (
    MARKS,
    SHOWN_REASONS,
    describe_interval,
    describe_percent,
    describe_points,
    describe_value,
    get_remedy,
)

if TYPE_CHECKING:
    from validation.document import AnswerRecord, CheckRecord, FlipRecord, MetricRecord, Record
    from validation.slices import SliceResult

SIGNS = {"green": "🟢", "yellow": "🟡", "red": "🔴", "magenta": "🟣", "cyan": "🔵"}
NOTHING = Html("–")


def build_parts(record: Record, decision_sha256: str) -> list[Part]:
    """Return every part that has something to tell, in the order in which they are read."""
    parts = [
        make_list("reasons", 0, None, record.reasons[1:SHOWN_REASONS], beyond=len(record.reasons[SHOWN_REASONS:])),
        *(_tell_retrieval(corpus, record) for corpus in record.retrieval),
        _tell_open_checks(record.checks),
        _tell_criteria(record.checks),
        _tell_certainty(record.checks),
        _tell_ratios(record.checks),
        _tell_milliseconds(record),
        *(_tell_slices(corpus, slices) for corpus, slices in record.slices.items()),
        *(_tell_flips(corpus, flips) for corpus, flips in record.flips.items()),
        _tell_waivers(record),
        _tell_digests(record, decision_sha256),
    ]
    return [part for part in parts if part.rows]


def _label(*names: str) -> list[Html]:
    return [Html(name) for name in names]


def _tell_retrieval(corpus: str, record: Record) -> Part:
    metrics, baselines = record.retrieval[corpus], record.baselines.get(corpus, {})
    asked = next((f"{each.base.n} questions, {each.interval.level:.0%} bounds" for each in metrics.values()), "")
    title = tell(Html("Retrieval on"), corpus, Html(f"({asked}; per cent)"))
    own = _label("metric", "base", "candidate", "change", "bounds", "questions hit")
    rows = (
        [metric, *_tell_metric(told), *(_percent(each.get(metric)) for each in baselines.values())]
        for metric, told in metrics.items()
    )
    return make_table("metrics", 2, title, [*own, *baselines], rows, folded=False)


def _tell_metric(told: MetricRecord) -> tuple[Html, ...]:
    hits = f"{told.base.hits} → {told.candidate.hits}" if told.base.hits is not None else "–"
    return (
        _percent(told.base.value),
        _percent(told.candidate.value),
        Html(f"<b>{describe_points(told.difference)}</b>"),
        Html(describe_interval(told.interval)),
        Html(hits),
    )


def _percent(share: float | None) -> Html:
    return NOTHING if share is None else Html(describe_percent(share))


def _tell_open_checks(checks: list[CheckRecord]) -> Part:
    columns = _label("check", "subject", "outcome", "observed", "limit", "why, and what to do")
    rows = (
        [
            *_introduce(check),
            describe_value(check.observed),
            describe_value(check.limit),
            tell(check.detail or "", get_remedy(check), between="<br>→ "),
        ]
        for check in checks
        if check.outcome is not Outcome.PASS and check.blocked_by is None
    )
    return make_table("open checks", 1, Html("What did not pass"), columns, rows, folded=False)


def _introduce(check: CheckRecord) -> tuple[str, str, Html]:
    mark = Html(f"{SIGNS[MARKS[check.outcome]]} {check.outcome}")
    return tell(check.id, check.title.en if check.title else "", between="<br>"), check.subject, mark


def _tell_criteria(checks: list[CheckRecord]) -> Part:
    columns = _label("criterion", "subject", "outcome", "change", "bounds", "limit", "questions")
    rows = (
        [
            *_introduce(check),
            Html(describe_points(check.observed)),
            Html(describe_interval(check.interval)),
            Html(describe_points(check.limit)),
            NOTHING if check.n is None else Html(str(check.n)),
        ]
        for check in checks
        if check.interval and check.explanation
    )
    return make_table("criteria", 3, Html("What an interval decides (in points)"), columns, rows, folded=False)


def _tell_certainty(checks: list[CheckRecord]) -> Part:
    items = (
        tell(check.id, check.subject, Html("<br>"), tell(*told, between="<br>"))
        for check in checks
        if check.interval and check.explanation
        for told in [explain_interval(check, check.interval, check.explanation)]
    )
    title = Html("How certain the criteria are, and how far from another outcome")
    return make_list("explanations", 6, title, items, folded=True)


def _tell_ratios(checks: list[CheckRecord]) -> Part:
    columns = _label("check", "subject", "outcome", "ratio", "bounds", "limit")
    rows = (
        [
            *_introduce(check),
            describe_value(check.observed),
            Html(f"[{describe_value(check.interval.lower)}, {describe_value(check.interval.upper)}]"),
            describe_value(check.limit),
        ]
        for check in checks
        if check.interval and not check.explanation
    )
    return make_table("latency checks", 5, Html("Latency (candidate by base)"), columns, rows, folded=False)


def _tell_milliseconds(record: Record) -> Part:
    told = record.latency
    columns = _label("corpus", "operation", "rounds", "base, ms", "candidate, ms")
    rows = (
        [corpus, operation, *_label(f"{each.rounds}", f"{each.base_median_ms:.3f}", f"{each.candidate_median_ms:.3f}")]
        for corpus, operations in (told.corpora.items() if told else ())
        for operation, each in operations.items()
    )
    title = tell(Html("Medians in milliseconds, which only inform; measured on"), told.machine.cpu if told else "")
    return make_table("medians", 6, title, columns, rows, folded=True)


def _tell_slices(corpus: str, slices: list[SliceResult]) -> Part:
    """Return the slices that were tested or collapsed, those that lose or collapse first."""
    hurt = [found for found in slices if found.loses or found.collapsed]
    sound = [found for found in slices if found.loss_p is not None and not (found.loses or found.collapsed)]
    small = len(slices) - len(hurt) - len(sound)
    counts = f"{len(hurt)} lose or collapse, {len(sound)} hold, {small} are too small to be tested"
    columns = _label("slice", "questions", "hits", "change", "bounds", "p of loss", "")
    title = tell(Html("Slices of"), corpus, Html(f"by recall@5, in points: {counts}"))
    return make_table("slices", 8, title, columns, map(_tell_slice, [*hurt, *sound]), folded=True)


def _tell_slice(found: SliceResult) -> list[str]:
    return [
        f"{found.field}={found.value}",
        Html(f"{found.n}"),
        Html(f"{found.base_hits} → {found.candidate_hits}"),
        Html(describe_points(found.difference)),
        Html(describe_interval(found.interval)) if found.interval else NOTHING,
        Html(f"{found.loss_p:.3f}") if found.loss_p is not None else NOTHING,
        Html("🔴 collapsed" if found.collapsed else "🔴 loses" if found.loses else ""),
    ]


def _tell_flips(corpus: str, flips: list[FlipRecord]) -> Part:
    lost = [flip for flip in flips if flip.direction == "lost"]
    gained = [flip for flip in flips if flip.direction == "gained"]
    columns = _label("", "question", "base", "candidate")
    title = tell(Html(f"Answers that flipped: {len(lost)} lost and {len(gained)} gained on"), corpus)
    rows = (
        [
            Html(flip.direction),
            tell(flip.text, flip.question, between="<br>"),
            _tell_answer(flip.base),
            _tell_answer(flip.candidate),
        ]
        for flip in (*lost, *gained)
    )
    return make_table("flips", 9, title, columns, rows, folded=True)


def _tell_answer(answer: AnswerRecord) -> Html:
    found = tell(Html(f"relevant at rank {answer.rank}; first comes"), answer.returned)
    return tell(found, shorten(answer.excerpt, SHOWN_EXCERPT, placeholder="…"), between="<br>")


def _tell_waivers(record: Record) -> Part:
    columns = _label("waiver", "check", "subject", "answered for by", "until", "state", "reason")
    rows = (
        [each.id, each.check, each.subject, each.owner, each.expires, Html(each.state), each.reason]
        for each in record.waivers
    )
    title = tell(Html("Waivers, as of"), record.as_of or "–")
    return make_table("waivers", 4, title, columns, rows, folded=False)


def _tell_digests(record: Record, decision_sha256: str) -> Part:
    columns = _label("what", "SHA-256", "where")
    commit = tell(Html("commit"), record.code.revision) if record.code.revision else ""
    number = tell(Html("number"), str(record.attempt), Html("of the log")) if record.attempt else ""
    rows = [
        ["decision", decision_sha256, number],
        *([["workflow run", "", tell(record.run.id, Html("attempt"), record.run.attempt)]] if record.run else []),
        ["code", record.code.sha256, commit],
        *([name, each.sha256, each.path] for name, each in record.inputs.items()),
    ]
    title = Html("Where it comes from: digests of decision, code, policy and stores")
    return make_table("digests", 7, title, columns, rows, folded=True)
