"""Show a decision in the terminal. It reads the decision document and nothing else."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING
from unicodedata import category

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from validation.outcomes import Outcome

if TYPE_CHECKING:
    from validation.document import CheckRecord, Record, SideRecord
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
# Checks that are shown even when they pass.
DECIDING = ("RET", "LAT", "TRN", "CER")


def render_decision(record: Record, path: str) -> Group:
    """Return the verdict, its reasons, recall of both stores, the criteria and a count of all checks."""
    parts: list[RenderableType] = [Table.grid(), _render_verdict(record)]
    parts += [_render_retrieval(corpus, record) for corpus in record.retrieval]
    parts += [_render_checks(record.checks), _count_checks(record.checks)]
    parts.append(quote(f"{path}   exit code {record.exit_code} ({record.decision})", style="dim"))
    return Group(*parts)


def show_decision(record: Record, path: str) -> None:
    """Print a decision on standard output."""
    Console().print(render_decision(record, path))


def quote(text: str, style: str = "") -> Text:
    """Return text that comes from evidence: no markup, and control characters written out, so no terminal obeys it."""
    shown = (sign.encode("unicode_escape").decode() if category(sign).startswith("C") else sign for sign in text)
    return Text("".join(shown), style=style)


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
    n = next(iter(metrics.values())).base.n
    table = Table(title=quote(f"Retrieval on {corpus}, {n} questions"), title_justify="left")
    for name in ("metric", "base", "candidate", "difference", "interval", *record.baselines[corpus]):
        table.add_column(name, justify="left" if name == "metric" else "right")
    for name, metric in metrics.items():
        beside = [f"{100 * values[name]:.1f} %" for values in record.baselines[corpus].values()]
        table.add_row(
            name,
            _percent(metric.base),
            _percent(metric.candidate),
            f"{100 * metric.difference:+.1f}",
            Text(describe_interval(metric.interval)),
            *beside,
        )
    return table


def describe_interval(interval: Interval) -> str:
    """Return both bounds in points, such as `[+1.2, +3.4]`."""
    return f"[{100 * interval.lower:+.1f}, {100 * interval.upper:+.1f}]"


def _percent(side: SideRecord) -> str:
    hits = f" ({side.hits})" if side.hits is not None else ""
    return f"{100 * side.value:.1f} %{hits}"


def _render_checks(checks: list[CheckRecord]) -> Table:
    table = Table(title="What decides, and everything that did not pass", title_justify="left")
    for name in ("check", "subject", "outcome", "observed", "limit", "what to do"):
        table.add_column(name)
    for check in checks:
        passed = check.outcome is Outcome.PASS
        if check.blocked_by or (passed and not check.id.startswith(DECIDING)):
            continue
        outcome = Text(check.outcome, style=MARKS[check.outcome])
        remedy = "" if passed else check.remedy or ""
        cells = [quote(text) for text in (check.id, check.subject)]
        values = [quote(describe_value(value)) for value in (check.observed, check.limit)]
        table.add_row(*cells, outcome, *values, Text(remedy))
    return table


def describe_value(value: object) -> str:
    """Return what was observed, or a limit, in at most 40 characters."""
    if value is None:
        return "–"
    return f"{value:+.4f}" if isinstance(value, float) else str(value)[:40]


def _count_checks(checks: list[CheckRecord]) -> Text:
    counts = Counter(check.outcome for check in checks)
    said = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome])
    blocked = sum(check.blocked_by is not None for check in checks)
    because = f" ({blocked} could not be evaluated because another did not pass)" if blocked else ""
    return Text(f"{len(checks)} checks declared and accounted for: {said}{because}")
