"""The decision document: what it says of each check, where its inputs lie, and how it is written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pipeline.params import PROJECT_ROOT
from validation.gate import Judgement
from validation.outcomes import Check, Decision, Interval, Outcome, Verdict
from validation.policy import EXPECTATIONS, Rulebook, load_rulebook
from validation.record import build_record, write_record

if TYPE_CHECKING:
    from pathlib import Path

FAILED = Check(
    "RET301", "fr", Outcome.FAIL, -0.1, 0.0, n=120, interval=Interval(-0.2, -0.05, 0.95), detail="below the limit"
)


@pytest.fixture(scope="module")
def rulebook() -> Rulebook:
    """Policy and catalogue of the project."""
    return load_rulebook(EXPECTATIONS / "policy.yaml")


def make_judgement(*checks: Check) -> Judgement:
    """Return a judgement that rests on checks alone."""
    return Judgement(Decision(Verdict.KEEP, ("because",)), list(checks), [], [], [])


def test_a_check_is_recorded_with_requirement_unit_and_remedy(rulebook: Rulebook) -> None:
    """What the catalogue knows of a check stands beside what was found."""
    declared = rulebook.catalogue["RET301"]

    assert build_record(make_judgement(FAILED), rulebook, "release")["checks"] == [
        {
            "id": "RET301",
            "requirement": declared.requirement,
            "subject": "fr",
            "outcome": "FAIL",
            "observed": -0.1,
            "limit": 0.0,
            "unit": declared.unit,
            "n": 120,
            "interval": {"lower": -0.2, "upper": -0.05, "level": 0.95},
            "detail": "below the limit",
            "blocked_by": None,
            "remedy": declared.remedy,
        }
    ]


def test_an_undeclared_check_is_recorded_without_them(rulebook: Rulebook) -> None:
    """A check that the catalogue does not know is not hidden."""
    check = build_record(make_judgement(Check("XYZ999", "fr", Outcome.ERROR)), rulebook, "release")["checks"][0]

    assert (check["id"], check["requirement"], check["unit"], check["remedy"]) == ("XYZ999", None, None, None)


def test_paths_of_the_project_are_relative(rulebook: Rulebook) -> None:
    """A decision reads the same wherever the project is checked out."""
    inputs = build_record(make_judgement(FAILED), rulebook, "release")["inputs"]

    assert inputs["checks"]["path"] == "expectations/checks.yaml"
    assert str(PROJECT_ROOT) not in json.dumps(inputs)


def test_the_record_replaces_an_older_one_whole(tmp_path: Path, rulebook: Rulebook) -> None:
    """The document is JSON in UTF-8, makes its folder, takes the place of an older one and leaves nothing beside it."""
    record = build_record(make_judgement(FAILED), rulebook, "release")
    output = tmp_path / "new" / "reports"
    first = write_record(record, output)
    first.write_text("older and much longer" * 10_000, encoding="utf-8")
    second = write_record(record, output)

    assert first == second == output / "decision.json"
    assert json.loads(second.read_text(encoding="utf-8")) == record
    assert [path.name for path in output.iterdir()] == ["decision.json"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")], ids=["NaN", "infinity"])
def test_a_number_that_is_not_finite_is_never_recorded(tmp_path: Path, rulebook: Rulebook, value: float) -> None:
    """Such a document would be no JSON: nothing is written."""
    record = build_record(make_judgement(Check("RET301", "fr", Outcome.FAIL, value)), rulebook, "release")

    with pytest.raises(ValueError, match="not JSON compliant"):
        write_record(record, tmp_path)

    assert list(tmp_path.iterdir()) == []
