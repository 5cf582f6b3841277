"""The decision in the terminal: a view of the document that adds nothing and obeys nothing."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from tests.records import INTERVAL, make_check, make_metric, make_record
from validation.outcomes import Interval, Outcome, Verdict
from validation.render import describe_interval, describe_points, describe_value, render_decision, show_decision

if TYPE_CHECKING:
    from validation.document import CheckRecord, Record

SYSTEMS = ("BM25", "BM25 + base", "BM25 + candidate")
METRICS = {
    "recall@1": make_metric(30, 60),
    "recall@5": make_metric(40, 80),
    "recall@10": make_metric(40, 80),
    "recall@100": make_metric(119, 120),
    "mrr@10": make_metric(40, 80, counted=False),
    "ndcg@10": make_metric(40, 80, counted=False),
}


def show(record: Record, path: str = "reports/decision.json", width: int = 200) -> str:
    """Return the decision as a terminal without colours shows it."""
    stream = io.StringIO()
    Console(file=stream, width=width).print(render_decision(record, path))
    return stream.getvalue()


def make_compared(verdict: Verdict, *checks: CheckRecord) -> Record:
    """Return a decision on one compared corpus."""
    baselines = {system: dict.fromkeys(METRICS, 0.5 + place / 10) for place, system in enumerate(SYSTEMS)}
    return make_record(verdict, *checks, retrieval={"fr": METRICS}, baselines={"fr": baselines})


@pytest.mark.parametrize("verdict", list(Verdict), ids=str)
def test_every_verdict_is_shown_with_its_exit_code(verdict: Verdict) -> None:
    """Verdict, reason, exit code and the place of the document are in the terminal."""
    shown = show(make_record(verdict))

    assert f" {verdict} " in shown
    assert "• because" in shown
    assert f"reports/decision.json   exit code {verdict.exit_code} ({verdict})" in shown


def find_row(shown: str, name: str) -> list[str]:
    """Return the cells of a table's row."""
    line = next(line for line in shown.splitlines() if line.strip().startswith(name))
    return line.strip().removeprefix(name).split()


def test_retrieval_is_shown_by_system_and_metric() -> None:
    """Both stores, hits, the difference with its bounds and the lexical systems stand below each metric."""
    shown = show(make_compared(Verdict.RELEASE))

    assert "Retrieval on fr, 120 questions (per cent, one-sided 95% bounds)" in shown
    assert find_row(shown, "recall@1 ") == ["recall@5", "recall@10", "recall@100", "mrr@10", "ndcg@10"]
    assert find_row(shown, "base") == ["25.0", "33.3", "33.3", "99.2", "33.3", "33.3"]
    assert find_row(shown, "candidate") == ["50.0", "66.7", "66.7", "100.0", "66.7", "66.7"]
    assert find_row(shown, "questions hit") == ["30→60", "40→80", "40→80", "119→120"]
    assert find_row(shown, "difference") == ["+25.0", "+33.3", "+33.3", "+0.8", "+33.3", "+33.3"]
    assert find_row(shown, "lower bound") == ["-1.2"] * 6
    assert find_row(shown, "upper bound") == ["+4.6"] * 6
    assert find_row(shown, "BM25 + candidate") == ["70.0"] * 6


@pytest.mark.parametrize("width", [80, 120])
def test_nothing_is_cut_in_a_terminal_of_common_width(width: int) -> None:
    """No metric, system or identifier is shortened where there are 80 columns, and no line is longer."""
    checks = [make_check(f"RET30{n}", Outcome.INCONCLUSIVE, observed=-0.1234, limit=-0.03) for n in range(1, 10)]
    shown = show(make_compared(Verdict.KEEP, *checks), width=width)

    assert "…" not in shown
    assert all(name in shown for name in (*METRICS, "INCONCLUSIVE", "-0.1234", "-0.0300", "do this"))
    assert max(map(len, shown.splitlines())) <= width


def test_open_checks_are_shown_with_a_remedy() -> None:
    """Whatever did not pass is listed with what to do; what passed is only counted, criteria apart."""
    shown = show(
        make_record(
            Verdict.KEEP,
            make_check("RET301", Outcome.PASS, observed=0.25, remedy="passed"),
            make_check("VEC106", Outcome.FAIL, remedy="normalise"),
            make_check("STO201", Outcome.PASS),
            make_check("RET302", Outcome.ERROR, blocked_by="VEC106 fr", remedy="blocked"),
            make_check("RET303", Outcome.WAIVED, remedy="keep the base"),
            *(make_check(name, Outcome.PASS) for name in ("LAT401", "TRN101", "CER501")),
        )
    )

    assert "normalise" in shown
    assert "0.2500" in shown
    assert all(name in shown for name in ("RET301", "VEC106", "RET303", "LAT401", "TRN101", "CER501"))
    assert not [name for name in ("STO201", "RET302", "blocked", "passed ", "keep the base") if name in shown]
    assert "8 checks declared and accounted for: 5 PASS, 1 FAIL, 1 WAIVED, 1 ERROR (1 could not be evaluated" in shown


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
    """Markup and control characters are written out in whatever the document says, paths included."""
    check = make_check("VEC106", Outcome.FAIL, subject=text, observed=text, limit=text, remedy=text)
    record = make_record(
        Verdict.KEEP, check, reasons=(text,), retrieval={text: {text: make_metric(1, 2)}},
        baselines={text: {text: {text: 0.5}}},
    )  # fmt: skip
    shown = show(record, path=text)

    # Reason, four cells of the check, title, metric and system of the comparison, and the path.
    assert shown.count(expected) == 9
    assert not {"\x1b", "\x9b", "\u202e", "\t", "\r"} & set(shown)


def test_a_mebibyte_of_text_does_not_fill_the_terminal() -> None:
    """However long the texts of evidence are, the verdict is still on the screen."""
    text = "a<" * (1 << 19)
    check = make_check("VEC106", Outcome.FAIL, subject=text, observed=text, limit=text, remedy=text)
    shown = show(make_record(Verdict.KEEP, check, reasons=(text,)), path=text)

    assert len(shown) < 50_000
    assert "KEEP" in shown


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "–"), (0.25, "0.2500"), (-0.03, "-0.0300"), (0, "0"), (120, "120"), ("x" * 50, "x" * 40)],
    ids=["nothing", "number", "loss", "none", "count", "long text"],
)
def test_values_are_short(value: object, expected: str) -> None:
    """A number has four digits, nothing is a dash, and no text fills the line."""
    assert describe_value(value) == expected


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.0, "0.0"),
        (-0.0, "0.0"),
        (0.0004, "0.0"),
        (-0.0004, "0.0"),
        (0.0006, "+0.1"),
        (-0.0125, "-1.2"),
        (1.0, "+100.0"),
    ],
)
def test_points_carry_a_sign_unless_they_are_none(share: float, expected: str) -> None:
    """A difference says which way it goes; what rounds to nothing goes neither way."""
    assert describe_points(share) == expected


def test_an_interval_is_both_bounds() -> None:
    """Both bounds are told in points, the lower one first."""
    assert describe_interval(INTERVAL) == "[-1.2, +4.6]"
    assert describe_interval(Interval(0.0, 0.5, 0.95, 0.1)) == "[0.0, +50.0]"


def test_rendering_leaves_the_document_alone() -> None:
    """A view changes nothing of what it shows."""
    record = make_compared(Verdict.KEEP, make_check("RET301", Outcome.INCONCLUSIVE))
    before = record.model_dump_json()
    show(record)

    assert record.model_dump_json() == before


def test_a_decision_is_printed_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """What is shown can be piped; standard error is left to progress and faults."""
    show_decision(make_record(Verdict.HALT), "reports/decision.json")
    captured = capsys.readouterr()

    assert "exit code 40 (HALT)" in captured.out
    assert captured.err == ""
