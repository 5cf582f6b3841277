"""Hold a report against its decision: figure by figure, and then letter by letter."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import zip_longest
from typing import TYPE_CHECKING, get_args

from validation.reporting.evidence import Missing, ReportEvidence, list_corpora, list_stores
from validation.reporting.quoting import clean
from validation.reporting.rendering import OF_EVIDENCE, render_report
from validation.reporting.values import tell_exactly
from validation.typography import Language

if TYPE_CHECKING:
    from validation.document import Record

SHOWN = 60
_SECTION = re.compile(rf'<section id="({"|".join(OF_EVIDENCE)})".*?</section>', re.DOTALL)

# What is measured, and what the page or the decision says of it, in the order of the page.
Figures = list[tuple[tuple[str, ...], tuple[str, ...]]]


class _Reader(HTMLParser):
    """Reads the figures that a page carries: verdict, every metric and every check."""

    def __init__(self) -> None:
        super().__init__()
        self.language = ""
        self.figures: Figures = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name.removeprefix("data-"): value or "" for name, value in attrs}
        if tag == "html":
            self.language = told.get("lang", "")
        if tag == "body":
            self._keep(told, (), "decision", "exit-code", "decision-sha256")
        if "metric" in told:
            self._keep(told, ("metric", "corpus"), "base", "candidate", "change")
        if "check" in told:
            self._keep(told, ("check", "subject"), "outcome", "observed", "limit")

    def _keep(self, told: dict[str, str], key: tuple[str, ...], *names: str) -> None:
        one, other = (tuple(told.get(name, "") for name in part) for part in (key, names))
        self.figures.append((one or ("decision",), other))


def read_figures(html: str) -> Figures:
    """Return the figures that a page carries, as it writes them down."""
    return _read(html).figures


def list_figures(record: Record, decision_sha256: str) -> Figures:
    """Return the figures of a decision, as a page of it must write them down."""
    figures: Figures = [(("decision",), (record.decision.value, str(record.exit_code), decision_sha256))]
    for corpus, metrics in record.retrieval.items():
        for metric, told in metrics.items():
            values = (told.base.value, told.candidate.value, told.difference)
            figures.append(((clean(metric), clean(corpus)), tuple(map(tell_exactly, values))))
    for check in record.checks:
        said = (check.outcome.value, tell_exactly(check.observed), tell_exactly(check.limit))
        figures.append(((clean(check.id), clean(check.subject)), said))
    return figures


def find_disagreement(html: str, record: Record, decision_sha256: str) -> str | None:
    """Return in what a report differs from its decision, or None.

    Sections that show evidence beside the decision are not looked at here: what is at hand of it may have changed.

    Args:
        html: the report.
        record: the decision.
        decision_sha256: digest of its bytes.
    """
    told = _read(html)
    if told.language not in get_args(Language):
        return f"expected a report in one of {', '.join(get_args(Language))}, got {told.language[:SHOWN]!r}"
    for said, expected in zip_longest(told.figures, list_figures(record, decision_sha256)):
        if said != expected:
            return f"the report says {_show(said)}, the decision {_show(expected)}"
    language: Language = "fr" if told.language == "fr" else "en"
    fresh = render_report(record, decision_sha256, _make_unseen(record), language)
    return _find_difference(_SECTION.sub(r"<\1>", html), _SECTION.sub(r"<\1>", fresh))


def list_differing(html: str, record: Record, decision_sha256: str, evidence: ReportEvidence) -> list[str]:
    """Return the sections of evidence that are not what the evidence at hand would give."""
    language: Language = "fr" if _read(html).language == "fr" else "en"
    told, fresh = (_cut_sections(text) for text in (html, render_report(record, decision_sha256, evidence, language)))
    return [name for name in OF_EVIDENCE if told.get(name) != fresh.get(name)]


def _read(html: str) -> _Reader:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader


def _show(figure: tuple[tuple[str, ...], tuple[str, ...]] | None) -> str:
    return "nothing" if figure is None else ": ".join(" ".join(part)[:SHOWN] for part in figure)


def _make_unseen(record: Record) -> ReportEvidence:
    return ReportEvidence(
        spaces={corpus: Missing(corpus, "absent") for corpus in list_corpora(record)},
        manifests={store: Missing(store, "absent") for store in list_stores(record)},
    )


def _cut_sections(html: str) -> dict[str, str]:
    return {found[1]: found[0] for found in _SECTION.finditer(html)}


def _find_difference(told: str, fresh: str) -> str | None:
    for number, (line, expected) in enumerate(zip(told.split("\n"), fresh.split("\n"), strict=False), 1):
        if line != expected:
            place = next((p for p, (a, b) in enumerate(zip(line, expected, strict=False)) if a != b), 0)
            shown = slice(max(0, place - SHOWN // 3), place + SHOWN)
            return f"line {number} says {line[shown]!r}, the decision {expected[shown]!r}"
    return None if told == fresh else "it is longer or shorter than what the decision says"
