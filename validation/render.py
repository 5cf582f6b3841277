"""Show a decision in the terminal. It reads the decision document and nothing else."""

from __future__ import annotations

from collections import Counter
from typing import Any
from unicodedata import category

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

COLOURS = {"RELEASE": "green", "KEEP": "yellow", "NOT_EVALUATED": "magenta", "HALT": "red"}
MARKS = {"PASS": "green", "FAIL": "red", "INCONCLUSIVE": "yellow", "ERROR": "magenta"}
EXPLANATIONS = {
    "RELEASE": "the candidate may be tagged",
    "KEEP": "the base stays the release",
    "NOT_EVALUATED": "nothing moves; the evidence is missing or cannot be trusted",
    "HALT": "nothing moves; a person must look at the base",
}
SHOWN_REASONS = 8


def render_decision(record: dict[str, Any], path: str) -> Group:
    """Return the verdict, its reasons, recall of both stores, the criteria and a count of all checks."""
    verdict = record["decision"]
    parts: list[Any] = [Table.grid(), _render_verdict(record)]
    parts += [_render_retrieval(corpus, metrics) for corpus, metrics in record["retrieval"].items()]
    parts += [_render_criteria(record["checks"]), _count_checks(record["checks"])]
    parts.append(_quote(f"{path}   exit code {record['exit_code']} ({verdict})", style="dim"))
    return Group(*parts)


def show_decision(record: dict[str, Any], path: str) -> None:
    """Print a decision on standard output."""
    Console().print(render_decision(record, path))


def _quote(text: str, style: str = "") -> Text:
    """Return text that comes from evidence: no markup, and control characters written out, so no terminal obeys it."""
    shown = (sign.encode("unicode_escape").decode() if category(sign).startswith("C") else sign for sign in text)
    return Text("".join(shown), style=style)


def _render_verdict(record: dict[str, Any]) -> Panel:
    verdict, reasons = record["decision"], record["reasons"]
    body = Text(EXPLANATIONS[verdict])
    for reason in reasons[:SHOWN_REASONS]:
        body.append("\n• ").append_text(_quote(reason))
    if len(reasons) > SHOWN_REASONS:
        body.append(f"\n… and {len(reasons) - SHOWN_REASONS} more")
    return Panel(
        body, title=Text(f" {verdict} ", style=f"bold reverse {COLOURS[verdict]}"), border_style=COLOURS[verdict]
    )


def _render_retrieval(corpus: str, metrics: dict[str, Any]) -> Table:
    n = next(iter(metrics.values()))["base"]["n"]
    table = Table(title=_quote(f"Retrieval on {corpus}, {n} questions"), title_justify="left")
    for name in ("metric", "base", "candidate", "difference", "interval"):
        table.add_column(name, justify="left" if name == "metric" else "right")
    for name, metric in metrics.items():
        interval = metric["interval"]
        table.add_row(
            name,
            _percent(metric["base"]),
            _percent(metric["candidate"]),
            f"{100 * metric['difference']:+.1f}",
            f"[{100 * interval['lower']:+.1f}, {100 * interval['upper']:+.1f}]".replace("[", "\\["),
        )
    return table


def _percent(side: dict[str, Any]) -> str:
    hits = f" ({side['hits']})" if "hits" in side else ""
    return f"{100 * side['value']:.1f} %{hits}"


def _render_criteria(checks: list[dict[str, Any]]) -> Table:
    table = Table(title="Criteria and everything that did not pass", title_justify="left")
    for name in ("check", "subject", "outcome", "observed", "limit", "what to do"):
        table.add_column(name)
    for check in checks:
        passed = check["outcome"] == "PASS"
        if check["blocked_by"] or (passed and not check["id"].startswith("RET")):
            continue
        outcome = Text(check["outcome"], style=MARKS[check["outcome"]])
        remedy = "" if passed else check["remedy"] or ""
        cells = [_quote(str(value)) for value in (check["id"], check["subject"])]
        table.add_row(*cells, outcome, _quote(_short(check["observed"])), _quote(_short(check["limit"])), Text(remedy))
    return table


def _short(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:+.4f}" if isinstance(value, float) else str(value)[:40]


def _count_checks(checks: list[dict[str, Any]]) -> Text:
    counts = Counter(check["outcome"] for check in checks)
    said = ", ".join(f"{counts[outcome]} {outcome}" for outcome in MARKS if counts[outcome])
    blocked = sum(check["blocked_by"] is not None for check in checks)
    because = f" ({blocked} could not be evaluated because another did not pass)" if blocked else ""
    return Text(f"{len(checks)} checks declared and accounted for: {said}{because}")
