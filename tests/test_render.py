"""The decision in the terminal: a view of the document that adds nothing and obeys nothing."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
from rich.console import Console

from validation.outcomes import Outcome, Verdict
from validation.render import render_decision


def make_check(check_id: str, outcome: Outcome, **fields: object) -> dict[str, Any]:
    """Return a check as it stands in the document."""
    empty = dict.fromkeys(("requirement", "observed", "limit", "unit", "n", "interval", "detail", "blocked_by"))
    return {**empty, "id": check_id, "subject": "fr", "outcome": outcome.value, "remedy": "do this", **fields}


def make_record(verdict: Verdict, *checks: dict[str, Any], reasons: tuple[str, ...] = ("because",)) -> dict[str, Any]:
    """Return a decision document with one metric."""
    side = {"hits": 40, "n": 120, "value": 1 / 3}
    recall = {
        "base": side,
        "candidate": {"hits": 80, "n": 120, "value": 2 / 3},
        "difference": 1 / 3,
        "interval": {"lower": 0.25, "upper": 0.4, "level": 0.95},
    }
    return {
        "decision": verdict.value,
        "exit_code": verdict.exit_code,
        "reasons": list(reasons),
        "checks": list(checks),
        "retrieval": {"fr": {"recall@5": recall}},
    }


def show(record: dict[str, Any], path: str = "reports/decision.json") -> str:
    """Return the decision as a wide terminal without colours shows it."""
    stream = io.StringIO()
    Console(file=stream, width=200).print(render_decision(record, path))
    return stream.getvalue()


@pytest.mark.parametrize("verdict", list(Verdict), ids=str)
def test_every_verdict_is_shown_with_its_exit_code(verdict: Verdict) -> None:
    """Verdict, reason, exit code and the place of the document are in the terminal."""
    shown = show(make_record(verdict))

    assert f" {verdict} " in shown
    assert "• because" in shown
    assert f"reports/decision.json   exit code {verdict.exit_code} ({verdict})" in shown


def test_retrieval_is_shown_in_per_cent() -> None:
    """Both stores' values with their hits, the difference and its interval stand in one row."""
    row = next(line for line in show(make_record(Verdict.RELEASE)).splitlines() if "recall@5" in line)

    assert "33.3 % (40)" in row
    assert "66.7 % (80)" in row
    assert "+33.3" in row
    assert "[+25.0, +40.0]" in row


def test_open_checks_are_shown_with_a_remedy() -> None:
    """Whatever did not pass is listed with what to do; what passed is only counted, criteria apart."""
    shown = show(
        make_record(
            Verdict.KEEP,
            make_check("RET301", Outcome.PASS, observed=0.25),
            make_check("VEC106", Outcome.FAIL, remedy="normalise"),
            make_check("STO201", Outcome.PASS),
            make_check("RET302", Outcome.ERROR, blocked_by="VEC106", remedy="blocked"),
        )
    )

    assert "VEC106" in shown
    assert "normalise" in shown
    assert "+0.2500" in shown
    assert "STO201" not in shown
    assert "RET302" not in shown
    assert "4 checks declared and accounted for: 2 PASS, 1 FAIL, 1 ERROR (1 could not be evaluated" in shown


def test_many_reasons_are_cut_and_counted() -> None:
    """A hundred reasons do not fill the screen, and the reader is told how many are left."""
    shown = show(make_record(Verdict.KEEP, reasons=tuple(f"reason {number}" for number in range(100))))

    assert "• reason 7" in shown
    assert "reason 8" not in shown
    assert "… and 92 more" in shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[/red]", "[/red]"),
        ("[bold]x", "[bold]x"),
        ("\x1b[2Jx", "\\x1b[2Jx"),
        ("\x9b2Jx", "\\x9b2Jx"),
        ("\u202ex", "\\u202ex"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        (":smile:", ":smile:"),
        ("é\u00a0« à »", "é\u00a0« à »"),
    ],
    ids=["closing tag", "tag", "escape", "C1 control", "reversed", "line breaks", "emoji", "French"],
)
def test_text_from_evidence_is_shown_as_it_is(text: str, expected: str) -> None:
    """Markup and control characters are written out in reasons, subjects, observations, titles and paths alike."""
    check = make_check("VEC106", Outcome.FAIL, subject=text, observed=text, limit=text)
    record = make_record(Verdict.KEEP, check, reasons=(text,))
    record["retrieval"] = {text: record["retrieval"]["fr"]}
    shown = show(record, path=text)

    assert shown.count(expected) == 6
    assert not {"\x1b", "\x9b", "\u202e", "\t", "\r"} & set(shown)


def test_rendering_leaves_the_document_alone() -> None:
    """A view changes nothing of what it shows."""
    record = make_record(Verdict.KEEP, make_check("RET301", Outcome.INCONCLUSIVE))
    before = copy.deepcopy(record)
    show(record)

    assert record == before
