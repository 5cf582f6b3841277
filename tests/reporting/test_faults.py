"""A report that does not say what its decision says is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.reporting.conftest import render
from tests.reporting.samples import DIGEST, make_hostile, make_keep, make_release
from validation.outcomes import Outcome, Verdict
from validation.reporting.agreement import find_disagreement, list_figures, read_figures

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from validation.document import Record


def _replace(old: str, new: str) -> Callable[[str], str]:
    def spoil(html: str) -> str:
        assert old in html
        return html.replace(old, new, 1)

    return spoil


EDITS: dict[str, Callable[[str], str]] = {
    "verdict": _replace('data-decision="RELEASE"', 'data-decision="KEEP"'),
    "shown verdict": _replace("<code>RELEASE</code>", "<code>KEEP</code>"),
    "heading": _replace("Le candidat peut être publié", "La base reste en service"),
    "outcome": _replace('data-outcome="PASS"', 'data-outcome="FAIL"'),
    "shown outcome": _replace('<span class="badge pass">satisfait', '<span class="badge pass">non satisfait'),
    "observed": _replace('data-observed="0.0167"', 'data-observed="0.9"'),
    "limit": _replace('data-limit="-0.05"', 'data-limit="-0.5"'),
    "recall": _replace('data-candidate="0.5166666666666667"', 'data-candidate="0.99"'),
    "shown recall": _replace("51,7\u202f%", "99,9\u202f%"),
    "digest": _replace(f'data-decision-sha256="{DIGEST}"', f'data-decision-sha256="{"e" * 64}"'),
    "check left out": _replace('<tr data-check="RET306"', "<tr"),
    "another check": _replace("</tbody>", '<tr data-check="A" data-subject="b"></tr></tbody>'),
    "plot": _replace("<path d=", '<path opacity="0" d='),
    "policy": _replace("default-src &#39;none&#39;", "default-src *"),
    "language": _replace('<html lang="fr">', '<html lang="de">'),
    "other language": _replace('<html lang="fr">', '<html lang="en">'),
    "section left out": _replace('<section id="spaces"', '<section id="spaces2"'),
    "cut short": lambda html: html[:-20],
    "added": lambda html: f"{html}<p>RELEASE</p>",
    "nothing": lambda _: "",
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_html_and_json_cannot_disagree(edit: Callable[[str], str], release: tuple[Record, str]) -> None:
    """A report that was edited anywhere, in what is shown or in what machines read, is found out."""
    record, html = release

    assert find_disagreement(edit(html), record, DIGEST) is not None


def test_a_report_agrees_with_its_own_decision(release: tuple[Record, str]) -> None:
    """What was written is accepted, with evidence at hand or without."""
    record, html = release

    assert find_disagreement(html, record, DIGEST) is None


@pytest.mark.parametrize("make", [make_release, make_keep, make_hostile], ids=["release", "keep", "hostile"])
def test_every_figure_of_the_page_is_that_of_the_decision(make: Callable[[], Record], tmp_path: Path) -> None:
    """Read back from the page and from JSON on its own, verdict, checks and metrics are the same."""
    record = make()
    document = json.loads(record.model_dump_json())
    figures = read_figures(render(record, tmp_path, "en"))
    metrics = [
        tuple(map(json.dumps, (told["base"]["value"], told["candidate"]["value"], told["difference"])))
        for corpus in document["retrieval"].values()
        for told in corpus.values()
    ]

    assert figures == list_figures(record, DIGEST)
    assert figures[0] == (("decision",), (document["decision"], str(document["exit_code"]), DIGEST))
    assert [told for _, told in figures[1 : len(metrics) + 1]] == metrics
    assert [told[0] for _, told in figures[len(metrics) + 1 :]] == [each["outcome"] for each in document["checks"]]


def test_a_report_of_another_decision_is_refused(release: tuple[Record, str]) -> None:
    """The same page is not that of a decision in which one outcome is another."""
    record, html = release
    changed = record.checks[0].model_copy(update={"outcome": Outcome.FAIL})
    other = record.model_copy(update={"checks": [changed, *record.checks[1:]]})
    kept = record.model_copy(update={"decision": Verdict.KEEP})

    assert "RET301 fr: PASS" in (find_disagreement(html, other, DIGEST) or "")
    assert "KEEP" in (find_disagreement(html, kept, DIGEST) or "")
    assert "decision" in (find_disagreement(html, record, "e" * 64) or "")
