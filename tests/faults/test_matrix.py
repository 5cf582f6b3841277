"""The fault matrix says what was observed, and fails where that is not what is expected."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.faults import matrix
from tests.faults.catalogue import FAULTS, RUNNABLE
from tests.faults.content import Content
from validation.outcomes import Check, Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.catalogue import Fault

ALARM = Check("CHK103", "fr", Outcome.FAIL)
CAUGHT = RUNNABLE["A4"]
ELSEWHERE = next(fault for fault in FAULTS if fault.id == "D2")


def run_matrix(monkeypatch: pytest.MonkeyPatch, folder: Path, *faults: Fault) -> int:
    """Run the matrix over some faults and one good store."""
    monkeypatch.setattr(matrix, "FAULTS", faults)
    monkeypatch.setattr(matrix, "list_contents", lambda *, large: [Content(1, 2)] * large)
    return matrix.main(str(folder))


def test_what_is_caught_is_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fault with what was expected and observed of it, and one that others cover, end well."""
    code = run_matrix(monkeypatch, tmp_path, CAUGHT, ELSEWHERE)
    document = json.loads((tmp_path / "fault-matrix.json").read_text("utf-8"))
    caught, other = document["faults"]

    assert code == 0
    assert document["summary"] == {"caught": 1, "missed": 0, "elsewhere": 1, "good_stores": 1, "false_alarms": 0}
    assert caught["expected"] == {"outcome": "ERROR", "check": "INT101", "verdict": "NOT_EVALUATED"}
    assert caught["observed"]["outcome"] == "ERROR"
    assert (caught["observed"]["check"], caught["observed"]["subject"]) == ("INT101", "qlora/fr")
    assert caught["characteristic"] == "integrity"
    assert caught["caught"] is True
    assert (other["covered_by"], other["observed"], other["caught"]) == (list(ELSEWHERE.covered_by), None, None)
    assert "A4" in (out := capsys.readouterr().out)
    assert f"D2: {ELSEWHERE.covered_by[0]}" in out


@pytest.mark.parametrize(
    "changes",
    [{"check": "INT102"}, {"said": "something else"}, {"inject": lambda case, _stack: case}],
    ids=["other check", "other reason", "nothing injected"],
)
def test_what_is_missed_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], changes: dict[str, object]
) -> None:
    """A fault that another check found, for another reason or that nothing found is named, and is a failure."""
    missed: Fault = replace(CAUGHT, **changes)  # type: ignore[arg-type]

    assert run_matrix(monkeypatch, tmp_path, CAUGHT, missed) == 1
    assert "missed: ['A4']" in capsys.readouterr().out


def test_a_false_alarm_ends_with_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A good store that a check does not let through is a failure, however many faults are caught."""
    monkeypatch.setattr("tests.faults.content.check_corpus", lambda *_arguments: [ALARM])

    assert run_matrix(monkeypatch, tmp_path, CAUGHT) == 1
