"""Explain a decision in the terminal: why, how certain, how far from another one. It reads the document alone."""

from __future__ import annotations

from textwrap import shorten
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from pipeline.errors import InputError
from validation.outcomes import Outcome
from validation.render import describe_interval, describe_points, describe_value, get_remedy, make_table, quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from validation.document import CheckRecord, FlipRecord, Record
    from validation.explanation import Explanation
    from validation.outcomes import Interval
    from validation.slices import SliceResult

SHOWN_QUESTIONS = 10
SHOWN_FLIPS = 12
SHOWN_EXCERPT = 160
SMALLEST_P = 0.0001
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
    compared = dict.fromkeys(check.subject for check in wanted if check.id.startswith(RETRIEVAL))
    for corpus in (subject for subject in compared if subject in record.slices):
        parts += [_render_slices(corpus, record.slices[corpus])]
        parts += _render_flips(corpus, record.flips.get(corpus, []), whole=check_id is not None)
    return Group(*parts)


def _is_wanted(check: CheckRecord, check_id: str | None) -> bool:
    if check_id is not None:
        return check.id == check_id
    return check.blocked_by is None and (check.outcome is not Outcome.PASS or check.explanation is not None)


def _render_head(record: Record) -> Group:
    title = f"{record.decision} (policy {record.policy}, exit code {record.exit_code})"
    return Group(Text(title, style="bold"), *(_indent(reason) for reason in record.reasons), Text())


def _indent(text: str, by: int = 2, style: str = "") -> Padding:
    """Return text from evidence with every line that it takes indented, not only the first."""
    return Padding(quote(text, style=style), (0, 0, 0, by), expand=False)


def _explain_check(check: CheckRecord) -> Iterator[RenderableType]:
    yield quote(f"{check.id} {check.subject}: {check.outcome}. {check.title.en if check.title else ''}", style="bold")
    if check.interval and check.explanation:
        yield from map(_indent, explain_interval(check, check.interval, check.explanation))
    else:
        unit = f" ({check.unit})" if check.unit else ""
        items = f", n = {check.n}" if check.n is not None else ""
        yield _indent(f"observed {describe_value(check.observed)}, limit {describe_value(check.limit)}{unit}{items}")
    if check.detail:
        yield _indent(f"why: {check.detail}")
    if remedy := get_remedy(check):
        yield _indent(f"what to do: {remedy}")
    yield Text()


def explain_interval(check: CheckRecord, interval: Interval, found: Explanation) -> Iterator[str]:
    """Say in sentences how certain an outcome is and what would change it."""
    yield (
        f"difference {describe_points(check.observed)} points, one-sided {interval.level:.0%} bounds "
        f"{describe_interval(interval)}, limit {describe_points(check.limit)}, n = {check.n}"
    )
    yield f"the stores differ on {found.disagreement:.1%} of the questions"
    mcnemar = f", {_describe_p(found.mcnemar_p)} by McNemar (mid-p)" if found.mcnemar_p is not None else ""
    yield f"one-sided p that the candidate is better: {_describe_p(found.flip_p)} by sign flips{mcnemar}"
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
        f"the policy accepts {_describe_loss(found.loss_nominal) or 'no loss'}; with {check.n} questions "
        f"{_describe_loss(found.loss_even) or 'no difference'} passes every other time, "
        f"{_describe_loss(found.loss_rare) or 'no difference'} 1 time in 20"
    )


def _describe_p(value: float) -> str:
    return f"{value:.4f}" if value >= SMALLEST_P else f"< {SMALLEST_P}"


def _describe_loss(share: float) -> str:
    points = describe_points(abs(share)).lstrip("+")
    return "" if points == "0.0" else f"a {'loss' if share > 0 else 'gain'} of {points} points"


def _render_slices(corpus: str, slices: list[SliceResult]) -> Table:
    table = make_table(f"Slices of {corpus} (hits in the top 5, change in points)")
    for name in ("slice", "n", "hits", "change", "bounds", "p of loss", ""):
        table.add_column(name, justify="left" if name in {"slice", ""} else "right", overflow="fold")
    for found in slices:
        said = "collapsed" if found.collapsed else "loses" if found.loses else ""
        table.add_row(
            quote(f"{found.field}={found.value}"),
            str(found.n),
            f"{found.base_hits}→{found.candidate_hits}",
            describe_points(found.difference),
            Text(describe_interval(found.interval) if found.interval else "not tested"),
            f"{found.loss_p:.3f}" if found.loss_p is not None else "–",
            Text(said, style="red"),
        )
    return table


def _render_flips(corpus: str, flips: list[FlipRecord], *, whole: bool) -> Iterator[RenderableType]:
    lost = [flip for flip in flips if flip.direction == "lost"]
    shown = flips if whole else lost[:SHOWN_FLIPS]
    yield quote(f"Answers that flipped on {corpus}: {len(lost)} lost, {len(flips) - len(lost)} gained", style="bold")
    for flip in shown:
        yield _indent(f"{flip.direction}: {flip.text}  ({flip.question}; relevant: {', '.join(flip.relevant)})")
        for store, answer in (("base", flip.base), ("candidate", flip.candidate)):
            excerpt = shorten(answer.excerpt, SHOWN_EXCERPT, placeholder="…")
            text = f"{store} finds it at rank {answer.rank}; first comes {answer.returned}: {excerpt}"
            yield _indent(text, 4, style="dim")
    if len(shown) < len(flips):
        yield _indent(f"… name a retrieval check to see all {len(flips)}")
