"""Show a decision in the terminal. It reads the decision document and nothing else."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING
from unicodedata import category

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from validation.outcomes import Outcome

if TYPE_CHECKING:
    from validation.document import CheckRecord, MetricRecord, Record
    from validation.outcomes import Interval

COLOURS = {"RELEASE": "green", "KEEP": "yellow", "NOT_EVALUATED": "magenta", "HALT": "red"}
MARKS = {"PASS": "green", "FAIL": "red", "INCONCLUSIVE": "yellow", "WAIVED": "cyan", "ERROR": "magenta"}
EXPLANATIONS = {
    "RELEASE": "the candidate may be tagged",
    "KEEP": "the base stays the release",
    "NOT_EVALUATED": "nothing moves; the evidence is missing or cannot be trusted",
    "HALT": "nothing moves; a person must look at the base",
}
SHOWN_REASONS = 8
# More than a path and a sentence about it can have.
SHOWN_TEXT = 5000
# Checks that are shown even when they pass.
DECIDING = ("RET", "LAT", "TRN", "CER", "FBK")


def render_decision(record: Record, path: str) -> Group:
    """Return the verdict, its reasons, recall of both stores, the criteria and a count of all checks."""
    parts: list[RenderableType] = [Table.grid(), _render_verdict(record)]
    parts += [_render_retrieval(corpus, record) for corpus in record.retrieval]
    parts += [_render_checks(record.checks), count_checks(record.checks)]
    parts.append(quote(f"{path}   exit code {record.exit_code} ({record.decision})", style="dim"))
    return Group(*parts)


def show_decision(record: Record, path: str) -> None:
    """Print a decision on standard output."""
    Console().print(render_decision(record, path))


def quote(text: str, style: str = "") -> Text:
    """Return text that comes from evidence: no markup, and control characters written out, so no terminal obeys it.

    The tail of a text that would fill the terminal is cut.
    """
    cut = text if len(text) <= SHOWN_TEXT else f"{text[: SHOWN_TEXT - 1]}…"
    shown = (sign.encode("unicode_escape").decode() if category(sign).startswith("C") else sign for sign in cut)
    return Text("".join(shown), style=style)


def make_table(title: str) -> Table:
    """Return an empty table that spends no columns on lines."""
    return Table(title=quote(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))


def _render_verdict(record: Record) -> Panel:
    verdict, reasons = record.decision, record.reasons
    body = Text(EXPLANATIONS[verdict])
    for reason in reasons[:SHOWN_REASONS]:
        body.append("\n• ").append_text(quote(reason))
    if len(reasons) > SHOWN_REASONS:
        body.append(f"\n… and {len(reasons) - SHOWN_REASONS} more")
    return Panel(
        body, title=Text(f" {verdict} ", style=f"bold reverse {COLOURS[verdict]}"), border_style=COLOURS[verdict]
    )


def _render_retrieval(corpus: str, record: Record) -> Table:
    metrics = record.retrieval[corpus]
    first = next(iter(metrics.values()))
    title = f"Retrieval on {corpus}, {first.base.n} questions (per cent, one-sided {first.interval.level:.0%} bounds)"
    table = make_table(title)
    table.add_column("")
    for name in metrics:
        table.add_column(quote(name), justify="right")
    rows: dict[str, list[str]] = {
        "base": [describe_percent(metric.base.value) for metric in metrics.values()],
        "candidate": [describe_percent(metric.candidate.value) for metric in metrics.values()],
        "questions hit": [_describe_hits(metric) for metric in metrics.values()],
        "difference": [describe_points(metric.difference) for metric in metrics.values()],
        "lower bound": [describe_points(metric.interval.lower) for metric in metrics.values()],
        "upper bound": [describe_points(metric.interval.upper) for metric in metrics.values()],
    }
    rows |= {name: [describe_percent(values[m]) for m in metrics] for name, values in record.baselines[corpus].items()}
    for name, cells in rows.items():
        table.add_row(quote(name), *cells)
    return table


def describe_interval(interval: Interval) -> str:
    """Return both bounds in points, such as `[+1.2, +3.4]`."""
    return f"[{describe_points(interval.lower)}, {describe_points(interval.upper)}]"


def describe_points(share: float) -> str:
    """Return a difference of shares in points with its sign; nothing is `0.0`, neither `+0.0` nor `-0.0`."""
    told = f"{100 * share:+.1f}"
    return told[1:] if told in {"+0.0", "-0.0"} else told


def describe_percent(share: float) -> str:
    """Return a share in per cent, without the sign of it."""
    return f"{100 * share:.1f}"


def _describe_hits(metric: MetricRecord) -> str:
    return "" if metric.base.hits is None else f"{metric.base.hits}→{metric.candidate.hits}"


def _render_checks(checks: list[CheckRecord]) -> Table:
    table = make_table("What decides, and everything that did not pass")
    for name in ("check", "subject", "outcome", "observed", "limit", "what to do"):
        table.add_column(name)
    for check in checks:
        passed = check.outcome is Outcome.PASS
        if check.blocked_by or (passed and not check.id.startswith(DECIDING)):
            continue
        outcome = Text(check.outcome, style=MARKS[check.outcome])
        cells = [quote(text) for text in (check.id, check.subject)]
        values = [quote(describe_value(value)) for value in (check.observed, check.limit)]
        table.add_row(*cells, outcome, *values, quote(get_remedy(check)))
    return table


def get_remedy(check: CheckRecord) -> str:
    """Return what to do about a check; nothing where it passed or someone answers for it."""
    settled = check.outcome in {Outcome.PASS, Outcome.WAIVED}
    return "" if settled or check.remedy is None else check.remedy.en


def describe_value(value: object) -> str:
    """Return what was observed, or a limit, in at most 40 characters."""
    if value is None:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else str(value)[:40]


def count_checks(checks: list[CheckRecord]) -> Text:
    """Return how many checks there were, by outcome."""
    counts = Counter(check.outcome for check in checks)
    said = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome]) or "none"
    blocked = sum(check.blocked_by is not None for check in checks)
    because = f" ({blocked} could not be evaluated because another did not pass)" if blocked else ""
    return Text(f"{len(checks)} checks declared and accounted for: {said}{because}")
