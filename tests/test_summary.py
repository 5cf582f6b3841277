"""The decision on GitHub: the verdict at a glance, within its limits, and nothing that evidence says can act."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from unicodedata import category

import pytest
import typer
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from pipeline.documents import load_json
from pipeline.errors import InputError
from tests.bad_input import ROOT
from tests.records import (
    EXPLANATION,
    INTERVAL,
    make_check,
    make_flip,
    make_interval_check,
    make_metric,
    make_record,
)
from validation.document import CodeRecord, InputRecord, Record, WaiverRecord
from validation.markdown import SHOWN_TEXT, SMALLEST_LIMIT
from validation.outcomes import Outcome, Verdict
from validation.record import write_record
from validation.slices import SliceResult
from validation.summary import COMMENT_LIMIT, STEP_SUMMARY_LIMIT, render_summary, summary, write_summaries
from validation.workflow_run import WorkflowRun

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "d" * 64
MEBIBYTE = 1024 * 1024
OWN_TAGS = {"b", "br", "code", "details", "h3", "li", "p", "summary", "table", "td", "th", "tr", "ul"}
MACHINE = {
    "cpu": "AMD EPYC", "cores": 2, "system": "Linux", "release": "6", "python_version": "3.11",
    "python_implementation": "CPython",
}  # fmt: skip
MEDIANS = {"rounds": 40, "base_median_ms": 5.3, "candidate_median_ms": 5.25}
HOSTILE = (
    "@octocat", "#12", "GH-12", "user/repo#1", "d0193b2ed6d284b857b8783b18ac1b3a5a42f481", ":tada:", "$x$",
    "www.example.org", "https://example.org", "a@example.org", "[a](https://example.org)", "![a](b.png)",
    "<img src=x>", "<a href='x'>", "</code>", "</details>", "</td></tr></table>", "<script>", "<!--",
    "-->", "&lt;b&gt;", "| a | b |", "`", "```", "~~~", "**b**", "\n\n", "\n\n# head\n\n", "\r\n\r\n- [ ] a",
    "\n\n    code", "\\", "\x1b[2J", "\x00", "\u202e", "\u2066", "\u2028", "\x85", "\ufeff", "\U000e0041",
    "é « à »", " ", "\t",
)  # fmt: skip


class Page(HTMLParser):
    """What a reader sees: tags, rows of tables as texts, and all text that is not quoted."""

    def __init__(self, markdown: str) -> None:
        """Parse with tables on; what is no fixed heading and no HTML block would be a token of another type."""
        super().__init__()
        parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
        self.tokens = parser.parse(markdown)
        self.tags: list[str] = []
        self.rows: list[list[str]] = []
        self.widths: list[list[int]] = []
        self.said: list[str] = []
        self._cell: list[str] | None = None
        self._quoted = False
        self.feed(parser.render(markdown))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag with its attributes, and where a table, a row or a cell begins."""
        self.tags.append(" ".join([tag, *(f"{name}={value}" for name, value in attrs)]))
        self._quoted = self._quoted or tag == "code"
        if tag == "table":
            self.widths.append([])
        elif tag == "tr":
            self.rows.append([])
            self.widths[-1].append(0)
        elif tag in {"td", "th"}:
            self._cell = []
            self.widths[-1][-1] += int(dict(attrs).get("colspan") or 1)
        elif tag == "br" and self._cell is not None:
            self._cell.append(" / ")

    def handle_endtag(self, tag: str) -> None:
        """Note where a cell or a quotation ends."""
        self.tags.append(f"/{tag}")
        self._quoted = self._quoted and tag != "code"
        if tag in {"td", "th"} and self._cell is not None:
            self.rows[-1].append("".join(self._cell))
            self._cell = None

    def handle_data(self, data: str) -> None:
        """Note text by where it stands."""
        if self._cell is not None:
            self._cell.append(data)
        if not self._quoted:
            self.said.append(data)

    def find_row(self, start: str) -> list[str]:
        """Return the cells of the first row whose first cell begins with `start`."""
        return next(row for row in self.rows if row and row[0].startswith(start))


def render(record: Record, limit: int = MEBIBYTE) -> Page:
    """Return the page of a decision."""
    return Page(render_summary(record, DIGEST, limit))


def make_slice(value: str, **changes: Any) -> SliceResult:
    """Return a slice that was tested and holds."""
    return replace(SliceResult("category", value, 40, 20, 21, 0.025, INTERVAL, 0.75, False, False), **changes)


def make_full(text: str, verdict: Verdict = Verdict.KEEP, *, times: int = 1, **changes: Any) -> Record:
    """Return a decision that has something in every part, with one text wherever there may be one."""
    told = {"title": text, "detail": text, "remedy": text, "subject": text}
    checks = [
        make_check(text, Outcome.FAIL, observed=text, limit=text, **told),
        make_check(text, Outcome.WAIVED, observed={text: [text]}, **told),
        make_check(text, Outcome.ERROR, blocked_by="VEC106 fr", **told),
        make_interval_check(Outcome.INCONCLUSIVE, explanation=replace(EXPLANATION, hits_among=(text,)), **told),
        make_check("LAT401", Outcome.PASS, observed=1.0, limit=1.25, interval=INTERVAL, **told),
    ]
    flip = make_flip("lost", text, f"L'arbitre {text}", text)
    answer = flip.base.model_copy(update={"returned": text})
    flip = flip.model_copy(update={"base": answer, "candidate": answer})
    fields: dict[str, Any] = {
        "retrieval": {text: {text: make_metric(40, 80)}},
        "baselines": {text: {text: {text: 0.5}, "BM25": {}}},
        "slices": {text: [make_slice(text), make_slice(text, loses=True)] * times},
        "flips": {text: [flip, make_flip("gained")] * times},
        "latency": {"machine": MACHINE | {"cpu": text}, "corpora": {text: {text: MEDIANS}}},
        "waivers": [WaiverRecord(id=text, check=text, subject=text, owner=text, reason=text, expires=text,
                                 state="applied")] * times,
        "as_of": text,
        "code": CodeRecord(revision=text, sha256="c" * 64),
        "inputs": {f"{text}{n or ''}": InputRecord(path=text, sha256="a" * 64) for n in range(times)},
    }  # fmt: skip
    return make_record(verdict, *checks * times, reasons=(text,) * 3, **fields | changes)


@pytest.mark.parametrize(
    ("verdict", "line"),
    [
        (Verdict.RELEASE, "## 🟢 RELEASE: the candidate may be tagged"),
        (Verdict.KEEP, "## 🟡 KEEP: the base stays the release"),
        (Verdict.NOT_EVALUATED, "## 🟣 NOT_EVALUATED: nothing moves; the evidence is missing or cannot be trusted"),
        (Verdict.HALT, "## 🔴 HALT: nothing moves; a person must look at the base"),
    ],
    ids=str,
)
def test_the_verdict_stands_first(verdict: Verdict, line: str) -> None:
    """The first line is the verdict with what it means, then its first reason and the exit code follow."""
    first, _, reason, _, counts, *_ = render_summary(make_record(verdict), DIGEST, MEBIBYTE).split("\n")

    assert first == line
    assert reason == "<p><code>because</code></p>"
    told = "0 checks declared and accounted for: none"
    assert counts == f"<p>{told}. Policy: release. Exit code: {verdict.exit_code}.</p>"


def test_reasons_come_before_everything_else() -> None:
    """As many reasons are listed as in the terminal, and the number of the others."""
    text = render_summary(make_record(Verdict.KEEP, reasons=tuple(f"reason {n}" for n in range(10))), DIGEST, MEBIBYTE)

    assert re.findall(r"reason \d|… and \d more|<details>", text) == [
        *(f"reason {n}" for n in range(8)), "… and 2 more", "<details>",
    ]  # fmt: skip


def test_retrieval_of_both_stores_stands_beside_the_baselines() -> None:
    """A row a metric: both stores, their difference with its bounds, hits, and every lexical system."""
    baselines = {"fr": {"BM25": {"recall@5": 0.25, "mrr@10": 0.125}, "BM25 + base": {"recall@5": 0.5}}}
    metrics = {"recall@5": make_metric(40, 80), "mrr@10": make_metric(40, 80, counted=False)}
    page = render(make_record(Verdict.KEEP, retrieval={"fr": metrics, "intl": metrics}, baselines=baselines))

    assert "".join(page.said).count("120 questions, 95% bounds; per cent") == 2
    assert page.rows[:3] == [
        ["metric", "base", "candidate", "change", "bounds", "questions hit", "BM25", "BM25 + base"],
        ["recall@5", "33.3", "66.7", "+33.3", "[-1.2, +4.6]", "40 → 80", "25.0", "50.0"],
        ["mrr@10", "33.3", "66.7", "+33.3", "[-1.2, +4.6]", "–", "12.5", "–"],
    ]
    assert [len(row) for row in page.rows[3:6]] == [6, 6, 6]


def test_what_did_not_pass_says_why_and_what_to_do() -> None:
    """FAIL, INCONCLUSIVE, ERROR and WAIVED are listed; what passed or was blocked by another is only counted."""
    page = render(
        make_record(
            Verdict.KEEP,
            make_check("VEC106", Outcome.FAIL, title="unit length", observed=1.5, limit=1.001, detail="too long"),
            make_check("RET303", Outcome.WAIVED, detail="A. Arbitre answers for it"),
            make_check("CER501", Outcome.ERROR),
            make_check("STO201", Outcome.PASS),
            make_check("RET301", Outcome.ERROR, blocked_by="VEC106 fr"),
        )
    )
    first = [row[0] for row in page.rows]

    assert page.find_row("VEC106") == [
        "VEC106 / unit length", "fr", "🔴 FAIL", "1.5000", "1.0010", "too long / → do this",
    ]  # fmt: skip
    assert page.find_row("RET303") == ["RET303", "fr", "🔵 WAIVED", "–", "–", "A. Arbitre answers for it"]
    assert page.find_row("CER501") == ["CER501", "fr", "🟣 ERROR", "–", "–", "do this"]
    assert not [name for name in ("STO201", "RET301") if name in first]
    counts = "1 PASS, 1 FAIL, 1 WAIVED, 2 ERROR (1 could not be evaluated because another did not pass)"
    assert f"5 checks declared and accounted for: {counts}." in "".join(page.said)


def test_criteria_and_latency_show_what_an_interval_decides() -> None:
    """A criterion has its change, bounds and limit in points with what stands behind it, a ratio its own bounds."""
    record = make_record(
        Verdict.KEEP,
        make_interval_check(Outcome.INCONCLUSIVE, limit=-0.03),
        make_check("LAT401", Outcome.PASS, observed=1.02, limit=1.25, interval=INTERVAL),
        latency={"machine": MACHINE, "corpora": {"fr": {"gold-set": MEDIANS}}},
    )
    page = render(record)
    rows = [row for row in page.rows if row[0].startswith("RET301")]

    assert rows[1] == ["RET301 / more", "fr", "🟡 INCONCLUSIVE", "+1.7", "[-1.2, +4.6]", "-3.0", "120"]
    assert page.find_row("LAT401") == ["LAT401", "fr", "🟢 PASS", "1.0200", "[-0.0125, 0.0458]", "1.2500"]
    assert ["fr", "gold-set", "40", "5.300", "5.250"] in page.rows
    assert "<code>about 731 questions would decide it, " in render_summary(record, DIGEST, MEBIBYTE)


def test_slices_that_hurt_come_first() -> None:
    """Slices that lose or collapse stand on top, those that are too small to be tested are only counted."""
    slices = [
        make_slice("laws"),
        make_slice("tiny", interval=None, loss_p=None),
        make_slice("clock", loses=True, loss_p=0.001),
        make_slice("titles", collapsed=True, candidate_hits=0, interval=None, loss_p=None),
    ]
    page = render(make_record(Verdict.KEEP, slices={"fr": slices}))

    assert page.rows[1:4] == [
        ["category=clock", "40", "20 → 21", "+2.5", "[-1.2, +4.6]", "0.001", "🔴 loses"],
        ["category=titles", "40", "20 → 0", "+2.5", "–", "–", "🔴 collapsed"],
        ["category=laws", "40", "20 → 21", "+2.5", "[-1.2, +4.6]", "0.750", ""],
    ]
    assert "2 lose or collapse, 1 hold, 1 are too small to be tested" in "".join(page.said)
    assert "category=tiny" not in [row[0] for row in page.rows]


def test_flips_are_folded_away_with_what_each_store_returned() -> None:
    """Lost answers come before gained ones, each with both stores' first passage and rank."""
    flips = [make_flip("gained", "Quand ?", question="q2"), make_flip("lost")]
    text = render_summary(make_record(Verdict.KEEP, flips={"fr": flips}), DIGEST, MEBIBYTE)
    page = Page(text)

    assert [row[:2] for row in page.rows[1:3]] == [["lost", "Qui ? / q1"], ["gained", "Quand ? / q2"]]
    assert page.rows[1][2:] == [
        "relevant at rank 1; first comes passage 1 / L'arbitre.",
        "relevant at rank 9; first comes passage 9 / L'arbitre.",
    ]
    assert "<details><summary>Answers that flipped: 1 lost and 1 gained on <code>fr</code></summary>" in text


def test_waivers_and_digests_are_named() -> None:
    """Who answers for what until when, the run, and the digests of decision, code and every file, close the page."""
    waiver = WaiverRecord(
        id="W1", check="RET302", subject="fr", owner="A. Arbitre", reason="known", expires="2027-01-31", state="applied"
    )
    inputs = {"policy": InputRecord(path="expectations/policy.yaml", sha256="a" * 64)}
    code = CodeRecord(revision="f00", sha256="c" * 64)
    run = WorkflowRun(id="77", attempt="2")
    page = render(
        make_record(Verdict.RELEASE, waivers=[waiver], as_of="2026-01-25", inputs=inputs, code=code, attempt=3, run=run)
    )

    assert page.find_row("W1") == ["W1", "RET302", "fr", "A. Arbitre", "2027-01-31", "applied", "known"]
    assert page.rows[-4:] == [
        ["decision", DIGEST, "number 3 of the log"],
        ["workflow run", "", "77 attempt 2"],
        ["code", "c" * 64, "commit f00"],
        ["policy", "a" * 64, "expectations/policy.yaml"],
    ]


def test_a_refusal_has_its_verdict_and_nothing_to_compare() -> None:
    """Where nothing was judged there is the verdict, why, and the digests."""
    page = render(make_record(Verdict.NOT_EVALUATED))

    assert [row[0] for row in page.rows] == ["what", "decision", "code"]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(HOSTILE) | st.text(max_size=5), min_size=1, max_size=6).map("".join).filter(str.strip))
@example("".join(HOSTILE)[:SHOWN_TEXT])
def test_nothing_that_evidence_says_can_act(text: str) -> None:
    """Whatever the text, the page is that of a harmless one but for what is quoted, and quoted signs are visible."""
    hostile, harmless = (render_summary(make_full(each), DIGEST, MEBIBYTE) for each in (text, "x"))
    seen, expected = Page(hostile), Page(harmless)

    assert {token.type for token in seen.tokens} == {"heading_open", "inline", "heading_close", "html_block"}
    assert {tag.split()[0].removeprefix("/") for tag in seen.tags} - {"h2"} == OWN_TAGS
    assert (seen.tags, seen.said) == (expected.tags, expected.said)
    assert seen.widths == expected.widths
    assert {len(set(table)) for table in seen.widths} == {1}
    assert {sign for sign in hostile if category(sign).startswith("C")} == {"\n"}


@pytest.mark.parametrize("text", [*HOSTILE[:25], "a|b", "`a`"])
def test_evidence_is_shown_as_it_is(text: str) -> None:
    """What is harmless once quoted can be read as it was written."""
    page = render(make_record(Verdict.KEEP, make_check("VEC106", Outcome.FAIL, subject=text)))

    assert page.find_row("VEC106")[1] == text


def test_long_evidence_is_cut() -> None:
    """No text fills the page, and a sign says that there was more."""
    reason = "a" * (SHOWN_TEXT - 1)
    shown = render_summary(make_record(Verdict.KEEP, reasons=(reason + "bc", reason + "d")), DIGEST, MEBIBYTE)

    assert f"<p><code>{reason}…</code></p>" in shown
    assert f"<li><code>{reason}d</code></li>" in shown


@settings(max_examples=40, deadline=None)
@given(
    text=st.sampled_from(["&" * 500, "é" * 500, "\U000e0001" * 500, "short"]),
    times=st.integers(1, 30),
    limit=st.integers(SMALLEST_LIMIT, 120_000),
)
def test_the_limit_is_always_kept(text: str, times: int, limit: int) -> None:
    """However much there is to tell, the page is below the limit, whole, and has verdict and first reason."""
    shown = render_summary(make_full(text, times=times), DIGEST, limit)
    page = Page(shown)

    assert len(shown.encode()) <= limit
    assert shown.startswith("## 🟡 KEEP: the base stays the release\n\n<p><code>")
    assert {token.type for token in page.tokens} == {"heading_open", "inline", "heading_close", "html_block"}
    assert all(page.tags.count(tag) == page.tags.count(f"/{tag}") for tag in OWN_TAGS - {"br", "td"})
    assert {len(set(table)) for table in page.widths} <= {1}


def test_the_least_important_is_left_out_first() -> None:
    """As the limit falls, flips go first, then slices and digests; reasons go last; one line says what is missing."""
    record = make_full("x", times=30)
    whole = len(render_summary(record, DIGEST, MEBIBYTE).encode())
    marks = {
        "flips": "Answers that flipped", "slices": "Slices of", "digests": "Where it comes from",
        "medians": "Medians in", "waivers": "Waivers", "metrics": "Retrieval on", "open checks": "What did not pass",
    }  # fmt: skip
    gone: dict[str, int] = {}
    for limit in range(whole, SMALLEST_LIMIT, -400):
        shown = render_summary(record, DIGEST, limit)
        for name, mark in marks.items():
            if mark not in shown:
                gone.setdefault(name, limit)
        last = shown.rstrip("\n").rsplit("\n", 1)[-1]
        assert last.startswith("<p>Left out to stay within ") is (limit < whole)
        assert "<ul>\n<li><code>x</code></li>" in shown

    assert list(gone)[:4] == ["flips", "slices", "digests", "medians"]
    assert "Left out to stay within" not in render_summary(record, DIGEST, whole)


def test_a_list_is_cut_from_its_end() -> None:
    """The first rows stay, the row below them and the last line say how many do not, and both are right."""
    flips = [make_flip("lost", f"Question {n} ?", question=f"q{n}") for n in range(100)]
    shown = render_summary(make_record(Verdict.KEEP, flips={"fr": flips}), DIGEST, 10_000)
    found = [int(number) for number in re.findall(r"Question (\d+)", shown)]
    left = 100 - len(found)

    assert found == list(range(len(found)))
    assert 10 < len(found) < 100
    assert f'<tr><td colspan="4">… and {left} more</td></tr>\n</table></details>' in shown
    assert f"<p>Left out to stay within 10000 bytes: {left} of 100 flips." in shown


def make_listed() -> Record:
    """Return a decision on many files, with nothing beside their digests that could be left out."""
    return make_record(
        Verdict.KEEP, inputs={f"file {n}": InputRecord(path="x", sha256="a" * 64) for n in range(100, 300)}
    )


def test_every_byte_that_a_row_needs_is_used() -> None:
    """A list is cut where the next row would not fit, neither earlier nor later."""
    record = make_listed()
    row = next(line for line in render_summary(record, DIGEST, MEBIBYTE).split("\n") if "file 100" in line)
    spare = {limit - len(render_summary(record, DIGEST, limit).encode()) for limit in range(9_000, 9_300)}

    assert spare == set(range(len(row) + 1))


def test_what_stands_between_many_parts_counts() -> None:
    """The blank lines between a hundred parts are bytes, too."""
    slices = {f"corpus {n}": [make_slice("laws")] for n in range(100)}
    record = make_record(Verdict.KEEP, slices=slices, flips={"fr": [make_flip("lost")] * 100})
    whole = len(render_summary(record, DIGEST, MEBIBYTE).encode())

    assert all(
        len(render_summary(record, DIGEST, limit).encode()) <= limit
        for limit in range(whole - 9_000, whole - 8_500, 20)
    )


@pytest.mark.parametrize("limit", range(30_000, 40_000, 500))
def test_nothing_less_important_follows_what_is_cut(limit: int) -> None:
    """Where checks are cut, no lesser part takes the bytes that are left over, however small it is."""
    checks = [make_check(f"VEC{n}", Outcome.FAIL, detail="&" * SHOWN_TEXT) for n in range(30)]
    shown = render_summary(make_record(Verdict.KEEP, *checks), DIGEST, limit)

    assert "more</td>" in shown
    assert "Where it comes from" not in shown


def test_too_low_a_limit_is_refused() -> None:
    """Below the smallest limit a verdict might not fit, so nothing is cut in silence."""
    with pytest.raises(ValueError, match="at least 4096 bytes, got 4095"):
        render_summary(make_record(Verdict.KEEP), DIGEST, 4095)


def write_decision(folder: Path, record: Record) -> Path:
    """Write a decision document where its summaries are not."""
    return write_record(record, folder / "decided")


def test_the_same_decision_gives_the_same_bytes(tmp_path: Path) -> None:
    """Written, read back and shown again, nothing differs."""
    record = make_full("<é|@x>", times=3)
    decision = write_decision(tmp_path, record)
    digest = sha256(decision.read_bytes()).hexdigest()
    texts = [
        write_summaries(decision, tmp_path / name, None, None).read_text(encoding="utf-8") for name in ("one", "two")
    ]

    assert texts == [render_summary(record, digest, MEBIBYTE)] * 2


def test_both_files_stay_below_what_github_takes(tmp_path: Path) -> None:
    """A decision of several megabytes gives a summary below 1 MiB and a comment below 64 KiB, both nearly full."""
    decision = write_decision(tmp_path, make_full("&" * 300, times=150))
    path = write_summaries(decision, tmp_path, tmp_path / "step.md", None)
    sizes = [(tmp_path / name).stat().st_size for name in ("summary.md", "comment.md", "step.md")]

    assert path == tmp_path / "summary.md"
    assert STEP_SUMMARY_LIMIT < MEBIBYTE
    assert COMMENT_LIMIT < 65_536
    assert MEBIBYTE - 10_000 < sizes[0] < MEBIBYTE
    assert 65_536 - 10_000 < sizes[1] < 65_536
    assert MEBIBYTE - 10_000 < sizes[2] < MEBIBYTE


@pytest.mark.parametrize(
    ("older", "gap"), [(None, ""), ("", ""), ("a=b", "\n"), ("a=b\n", "\n")], ids=["new", "empty", "open line", "lines"]
)
def test_github_reads_verdict_digest_and_summary(tmp_path: Path, older: str | None, gap: str) -> None:
    """What is there stays, on lines of its own; the outputs are two lines out of closed sets."""
    decision = write_decision(tmp_path, make_record(Verdict.KEEP, reasons=("x\ndecision=RELEASE",)))
    step, outputs = tmp_path / "step.md", tmp_path / "outputs"
    for path in (step, outputs) if older is not None else ():
        path.write_text(older or "")
    write_summaries(decision, tmp_path / "reports", step, outputs)
    digest = sha256(decision.read_bytes()).hexdigest()

    assert outputs.read_text() == f"{older or ''}{gap}decision=KEEP\ndecision_sha256={digest}\n"
    assert step.read_text(encoding="utf-8") == (
        f"{older or ''}{gap * 2}{(tmp_path / 'reports' / 'summary.md').read_text(encoding='utf-8')}"
    )


@pytest.mark.parametrize(
    ("used", "shown"), [(MEBIBYTE - 6_000, True), (MEBIBYTE - 3_000, False), (2 * MEBIBYTE, False)]
)
def test_a_summary_takes_the_room_that_is_left(tmp_path: Path, used: int, *, shown: bool) -> None:
    """Where a step has already written much, less is shown, or nothing: GitHub refuses all of a file above 1 MiB."""
    decision = write_decision(tmp_path, make_full("x", times=30))
    step = tmp_path / "step.md"
    step.write_text("a" * used)
    write_summaries(decision, tmp_path, step, None)

    assert ("KEEP" in step.read_text(encoding="utf-8")) is shown
    assert (step.stat().st_size < MEBIBYTE) is (used < MEBIBYTE)


def test_the_gap_before_a_summary_takes_room_too(tmp_path: Path) -> None:
    """A summary that would fit to the last byte is shortened, because a blank line stands before it."""
    record = make_listed()
    decision = write_decision(tmp_path, record)
    exact = next(n for n in range(6_000, 9_000) if len(render_summary(record, DIGEST, n).encode()) == n)
    step = tmp_path / "step.md"
    step.write_text("a" * (STEP_SUMMARY_LIMIT - exact))
    write_summaries(decision, tmp_path, step, None)

    assert STEP_SUMMARY_LIMIT - exact < step.stat().st_size <= STEP_SUMMARY_LIMIT


def make_text(change: dict[str, Any] | str) -> str:
    """Return a decision document with some fields changed, or another text in its place."""
    document = make_record(Verdict.RELEASE).model_dump(mode="json")
    return change if isinstance(change, str) else json.dumps(document | change)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (None, "expected a file, but it does not exist"),
        ("{", "not valid JSON"),
        ({"decision": "RELEASE\nx=y"}, "decision: expected 'RELEASE'"),
        ({"rest": 1}, "rest: Extra inputs"),
        ({"latency": {"machine": MACHINE}}, "latency.corpora: Field required"),
        (
            {"latency": {"machine": MACHINE, "corpora": {"fr": {"gold-set": {"rounds": "40"}}}}},
            "latency.corpora.fr.gold-set.rounds: expected a valid integer",
        ),
    ],
    ids=["missing", "cut", "no verdict", "unknown field", "half a latency run", "other latency"],
)
def test_without_a_decision_nothing_is_left_to_read(
    tmp_path: Path, change: dict[str, Any] | str | None, said: str
) -> None:
    """A missing or malformed decision is an error; nothing is written, and no older summary is left standing."""
    decision = tmp_path / "decision.json"
    if change is not None:
        decision.write_text(make_text(change), encoding="utf-8")
    for name in ("summary.md", "comment.md"):
        (tmp_path / name).write_text("RELEASE")
    with pytest.raises(InputError, match=re.escape(said)):
        write_summaries(decision, tmp_path, tmp_path / "step.md", tmp_path / "outputs")

    assert [path.name for path in tmp_path.iterdir()] == ["decision.json"] * (change is not None)


def test_a_decision_replaced_meanwhile_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest told is that of the bytes that were read; where another gate writes in between, nothing is told."""

    def load_late(path: Path, kind: type[Record]) -> Record:
        record = load_json(path, kind)
        write_record(make_record(Verdict.HALT), path.parent)
        return record

    decision = write_decision(tmp_path, make_record(Verdict.RELEASE))
    monkeypatch.setattr("validation.summary.load_json", load_late)
    with pytest.raises(InputError, match="was replaced while it was read"):
        write_summaries(decision, tmp_path / "reports", None, tmp_path / "outputs")

    assert [path.name for path in tmp_path.iterdir()] == ["decided"]


def test_what_github_reads_is_added_whole_or_not_at_all(tmp_path: Path) -> None:
    """On a full disk the step's file keeps what it had, not half of a summary, and no output is told."""
    decision = write_decision(tmp_path, make_full("x"))
    step, outputs = tmp_path / "step.md", tmp_path / "outputs"
    step.write_text("a" * 59_000)
    code = (
        "import resource, sys, pathlib; from validation.summary import write_summaries;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000));"
        "write_summaries(*map(pathlib.Path, sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, *map(str, (decision, tmp_path / "reports", step, outputs))]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert "File too large" in ended.stderr
    assert (tmp_path / "reports" / "comment.md").is_file()
    assert step.read_text() == "a" * 59_000
    assert not outputs.exists()


@pytest.mark.parametrize("named", ["options", "variables", "nothing"])
def test_the_command_takes_githubs_files_from_its_environment(tmp_path: Path, named: str) -> None:
    """Options and GitHub's variables name the same files; where neither is set, or it is empty, none is written."""
    decision = write_decision(tmp_path, make_record(Verdict.RELEASE))
    step, outputs = str(tmp_path / "step.md"), str(tmp_path / "outputs")
    options = ["--step-summary", step, "--outputs", outputs] if named == "options" else []
    variables = {"GITHUB_STEP_SUMMARY": "", "GITHUB_OUTPUT": ""}
    if named == "variables":
        variables = {"GITHUB_STEP_SUMMARY": step, "GITHUB_OUTPUT": outputs}
    app = typer.Typer()
    app.command()(summary)
    arguments = ["--decision", str(decision), "--output", str(tmp_path / "reports"), *options]
    result = CliRunner().invoke(app, arguments, env=variables)
    written = {path.name for path in tmp_path.iterdir()} - {"decided"}

    assert (result.exit_code, result.output) == (0, f"{tmp_path / 'reports' / 'summary.md'}\n")
    assert written == ({"reports"} if named == "nothing" else {"reports", "step.md", "outputs"})
    assert {path.name for path in (tmp_path / "reports").iterdir()} == {"summary.md", "comment.md"}
