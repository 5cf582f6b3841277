"""Explain a decision in the terminal: why, how certain, how far from another one. It reads the document alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.errors import InputError
from validation.outcomes import Outcome
from validation.render import describe_interval, describe_value, quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validation.document import AnswerRecord, CheckRecord, FlipRecord, Record
    from validation.explanation import Explanation
    from validation.slices import SliceResult

SHOWN_QUESTIONS = 10
SHOWN_FLIPS = 12
RETRIEVAL = "RET"


def render_explanation(record: Record, check_id: str | None) -> Group:
    """Explain one check on every subject, or else every check that did not pass and every one decided by an interval.

    Raises:
        InputError: the decision knows no check of that identifier.
    """
    known = {check.id for check in record.checks}
    if check_id is not None and check_id not in known:
        raise InputError(
            check_id, f"not among the {len(known)} checks of this decision", "name one of them, such as RET301"
        )
    wanted = [check for check in record.checks if _is_wanted(check, check_id)]
    parts: list[RenderableType] = [_render_head(record)]
    parts += [part for check in wanted for part in _explain_check(check)]
    for corpus in dict.fromkeys(check.subject for check in wanted if check.id.startswith(RETRIEVAL)):
        parts += [_render_slices(corpus, record.slices.get(corpus, []))]
        parts += [_render_flips(corpus, record.flips.get(corpus, []), whole=check_id is not None)]
    return Group(*parts)


def _is_wanted(check: CheckRecord, check_id: str | None) -> bool:
    if check_id is not None:
        return check.id == check_id
    return check.blocked_by is None and (check.outcome is not Outcome.PASS or check.explanation is not None)


def _render_head(record: Record) -> Text:
    text = Text(f"{record.decision} (policy {record.policy}, exit code {record.exit_code})", style="bold")
    for reason in record.reasons:
        text.append("\n  ").append_text(quote(reason, style="not bold"))
    return text.append("\n")


def _explain_check(check: CheckRecord) -> Iterator[Text]:
    yield quote(f"{check.id} {check.subject}: {check.outcome}. {check.title or ''}", style="bold")
    unit = f" {check.unit}" if check.unit else ""
    items = f", n = {check.n}" if check.n is not None else ""
    yield quote(f"  observed {describe_value(check.observed)}, limit {describe_value(check.limit)}{unit}{items}")
    if check.interval and check.explanation:
        bounds = describe_interval(check.interval)
        yield Text(f"  one-sided {check.interval.level:.0%} bounds {bounds} points, limit {_points(check.limit)}")
        for line in explain_interval(check, check.explanation):
            yield quote(f"  {line}")
    if check.detail:
        yield quote(f"  why: {check.detail}")
    if check.outcome is not Outcome.PASS and check.remedy:
        yield quote(f"  what to do: {check.remedy}")
    yield Text()


def explain_interval(check: CheckRecord, found: Explanation) -> Iterator[str]:
    """Say in sentences how certain an outcome is and what would change it."""
    yield f"the stores differ on {found.disagreement:.1%} of the questions"
    mcnemar = f", McNemar mid-p {found.mcnemar_p:.4f}" if found.mcnemar_p is not None else ""
    yield f"that the candidate is better: sign-flip p {found.flip_p:.5f}{mcnemar}"
    if found.hits_needed is not None:
        among = ", ".join(found.hits_among[:SHOWN_QUESTIONS])
        more = ", …" if len(found.hits_among) > SHOWN_QUESTIONS else ""
        yield f"{found.hits_needed} more questions answered in full would pass, the nearest being {among}{more}"
    elif check.outcome is not Outcome.PASS:
        yield "not even every question answered in full would pass"
    if found.hits_to_spare is not None:
        yield f"{found.hits_to_spare} answers could be lost and it would still pass"
    if found.questions_needed is not None:
        yield f"about {found.questions_needed} questions would decide it, if the stores go on to differ as they do"
    yield (
        f"policy accepts a loss of {_points(found.loss_nominal)} points; with {check.n} questions a true loss of "
        f"{_points(found.loss_even)} passes every other time, and one of {_points(found.loss_rare)} 1 time in 20"
    )


def _points(share: object) -> str:
    return f"{100 * share:+.1f}" if isinstance(share, float) else describe_value(share)


def _render_slices(corpus: str, slices: list[SliceResult]) -> Table:
    table = Table(title=quote(f"Slices of {corpus} (hits in the top 5)"), title_justify="left")
    for name in ("slice", "n", "base", "candidate", "difference", "interval", "p of a loss (Holm)", ""):
        table.add_column(name, justify="left" if name in {"slice", ""} else "right")
    for found in slices:
        said = "collapsed" if found.collapsed else "loses" if found.loses else ""
        tested = found.interval is not None and found.loss_p is not None
        table.add_row(
            quote(f"{found.field}={found.value}"),
            str(found.n),
            str(found.base_hits),
            str(found.candidate_hits),
            f"{100 * found.difference:+.1f}",
            Text(describe_interval(found.interval) if found.interval else "too few to test"),
            f"{found.loss_p:.3f}" if tested else "–",
            Text(said, style="red"),
        )
    return table


def _render_flips(corpus: str, flips: list[FlipRecord], *, whole: bool) -> Group:
    lost = [flip for flip in flips if flip.direction == "lost"]
    shown = flips if whole else lost[:SHOWN_FLIPS]
    title = f"Answers that flipped on {corpus}: {len(lost)} lost, {len(flips) - len(lost)} gained"
    parts: list[RenderableType] = [quote(title, style="bold")]
    for flip in shown:
        parts.append(quote(f"  {flip.direction}: {flip.text}  ({flip.question}; relevant: {', '.join(flip.relevant)})"))
        parts.append(quote(f"    base {_describe_answer(flip.base)}", style="dim"))
        parts.append(quote(f"    candidate {_describe_answer(flip.candidate)}", style="dim"))
    if len(shown) < len(flips):
        parts.append(Text(f"  … name a retrieval check to see all {len(flips)}"))
    return Group(*parts)


def _describe_answer(answer: AnswerRecord) -> str:
    return f"finds it at rank {answer.rank}; first comes {answer.returned}: {answer.excerpt}"
