"""Writing and checking the report: whole or not at all, and never an older one in the place of an error."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from pipeline.errors import InputError
from tests.bad_input import ROOT
from tests.reporting.samples import hash_file, make_empty, make_release, write_record, write_stores
from validation.__main__ import app
from validation.reporting.report import ReportError, check_report, write_report

if TYPE_CHECKING:
    from pathlib import Path


def test_both_languages_are_written_beside_each_other(tmp_path: Path) -> None:
    """The command writes French by default and English on request, each under its own name."""
    decision = write_record(make_empty(), tmp_path / "decision.json")
    places = ["--decision", str(decision), "--folder", str(tmp_path), "--output", str(tmp_path)]

    for languages in ([], ["--lang", "en"]):
        assert CliRunner().invoke(app, ["report", *places, *languages]).exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"decision.json", "report.html", "report.en.html"}
    assert "Aucun jugement" in (tmp_path / "report.html").read_text("utf-8")
    assert "No judgement" in (tmp_path / "report.en.html").read_text("utf-8")


@pytest.mark.parametrize("content", [None, "{", '{"decision": "RELEASE"}'], ids=["missing", "no JSON", "malformed"])
def test_no_older_report_is_left_standing(content: str | None, tmp_path: Path) -> None:
    """A decision that cannot be read leaves no page from which one could take an older verdict for this one."""
    decision, page = tmp_path / "decision.json", tmp_path / "report.html"
    page.write_text("RELEASE", encoding="utf-8")
    if content is not None:
        decision.write_text(content, encoding="utf-8")

    with pytest.raises(InputError):
        write_report(decision, tmp_path, page, "fr")
    assert not page.exists()


@pytest.mark.parametrize("broken", [False, True], ids=["another decision", "a broken one"])
def test_a_page_of_an_older_decision_goes_with_it(tmp_path: Path, *, broken: bool) -> None:
    """Beside a new page no older one stands in the other language, nor does any beside a decision that is none."""
    decision = write_record(make_empty(), tmp_path / "decision.json")
    places = ["--decision", str(decision), "--folder", str(tmp_path), "--output", str(tmp_path)]
    CliRunner().invoke(app, ["report", *places])
    CliRunner().invoke(app, ["report", *places, "--lang", "en"])
    if broken:
        decision.write_text("{", encoding="utf-8")
    else:
        write_record(make_release(), decision)
    ended = CliRunner().invoke(app, ["report", *places])

    assert (ended.exit_code == 0) is not broken
    assert {path.name for path in tmp_path.glob("*.html")} == (set() if broken else {"report.html"})


def test_other_commands_load_no_plotting_library() -> None:
    """Whoever does not ask for a report does not wait for what draws it."""
    code = "import sys, validation.__main__; print({'matplotlib', 'sklearn'} & {*sys.modules})"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "set()"


def test_a_report_is_checked_with_its_evidence(tmp_path: Path) -> None:
    """With the same stores all is compared; when they change, the check says which sections it could not compare."""
    inputs = write_stores(tmp_path)
    decision = write_record(make_release(inputs=inputs), tmp_path / "decision.json")
    page = write_report(decision, tmp_path, tmp_path / "report.html", "fr")

    assert check_report(page, decision, tmp_path) == []
    (tmp_path / inputs["qlora/fr/embeddings"].path).unlink()
    assert check_report(page, decision, tmp_path) == ["spaces"]


def test_an_edited_report_is_refused_with_30(tmp_path: Path) -> None:
    """The command accepts what it wrote, and refuses it after one letter was changed."""
    decision = write_record(make_release(), tmp_path / "decision.json")
    page = write_report(decision, tmp_path, tmp_path / "report.html", "fr")
    arguments = ["report", "--decision", str(decision), "--folder", str(tmp_path), "--check", str(page)]

    accepted = CliRunner().invoke(app, arguments)
    page.write_text(page.read_text("utf-8").replace("51,7", "91,7", 1), encoding="utf-8")
    refused = CliRunner().invoke(app, arguments)

    assert accepted.exit_code == 0
    assert isinstance(refused.exception, ReportError)
    assert refused.exception.exit_code == 30


def test_the_page_names_the_bytes_of_the_decision(tmp_path: Path) -> None:
    """The digest on the page is that of the file, by which anyone can tell which decision it shows."""
    decision = write_record(make_empty(), tmp_path / "decision.json")
    page = write_report(decision, tmp_path, tmp_path / "report.html", "en")

    assert f'data-decision-sha256="{hash_file(decision)}"' in page.read_text("utf-8")
