"""Great Expectations in a process beside: the same checks as in this one, and no answer is ever taken for granted."""

from __future__ import annotations

import copy
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipeline.errors import InputError, StoreError
from pipeline.vectors import VectorHeader
from tests.conftest import draw_unit_vectors
from validation.beside import ExpectationError, RunnerBeside
from validation.evidence import VectorEvidence
from validation.expectations import ExpectationRunner, list_parameters
from validation.frames import build_vector_frame
from validation.outcomes import Check, Outcome
from validation.policy import EXPECTATIONS, load_rulebook

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd

SUITES = EXPECTATIONS / "suites"
ROWS = 12


@pytest.fixture(scope="module")
def parameters() -> dict[str, Any]:
    """What the suites are told of a store of twelve rows."""
    limits = load_rulebook(EXPECTATIONS / "policy.yaml").policy.limits
    return list_parameters(limits, rows=ROWS, model_id="m", corpora=["fr"])


@pytest.fixture(scope="module")
def beside() -> Iterator[RunnerBeside]:
    """A process that runs the project's suites."""
    with RunnerBeside() as runner:
        runner.open(SUITES)
        yield runner


def sum_up(*, rows: int = ROWS, poison: bool = False) -> pd.DataFrame:
    """Return what is said of a matrix."""
    matrix = draw_unit_vectors(rows, seed=1)
    if poison:
        matrix[3, 5] = np.nan
    header = VectorHeader(dtype="<f4", shape=matrix.shape, fortran_order=False, offset=128)
    return build_vector_frame(VectorEvidence(header, matrix))


@pytest.mark.parametrize(
    "frame", [sum_up(), sum_up(rows=7), sum_up(poison=True), sum_up().drop(columns="length_min")],
    ids=["sound", "too few rows", "not a number", "a column is missing"],
)  # fmt: skip
def test_the_checks_are_those_of_this_process(
    beside: RunnerBeside, parameters: dict[str, Any], frame: pd.DataFrame
) -> None:
    """What passes, fails or raises here does so there, with the same values and words."""
    there = beside.run("vectors", "base/fr/passages", frame, parameters)
    here = ExpectationRunner(SUITES).run("vectors", "base/fr/passages", frame, parameters)

    assert there == here
    assert {type(check) for check in there} == {Check}
    assert {check.outcome for check in there} >= ({Outcome.PASS} if len(frame.columns) > 8 else {Outcome.ERROR})


def test_a_defect_there_is_an_error_here(beside: RunnerBeside, parameters: dict[str, Any]) -> None:
    """What nobody foresaw is named, and the process goes on answering."""
    with pytest.raises(RuntimeError, match="KeyError: 'nothing'"):
        beside.run("nothing", "base/fr/passages", sum_up(), parameters)

    assert beside.run("vectors", "base/fr/passages", sum_up(), parameters)


def test_a_malformed_suite_is_refused_as_in_this_process(tmp_path: Path, parameters: dict[str, Any]) -> None:
    """The file and its fault are told, whatever is asked; it is read after its folder was named, not before."""
    with RunnerBeside() as runner:
        broken = shutil.copytree(SUITES, tmp_path / "suites") / "vectors.json"
        broken.write_text("{", encoding="utf-8")
        runner.open(broken.parent)
        with pytest.raises(InputError) as here:
            ExpectationRunner(broken.parent)
        for suite in ("vectors", "chunks"):
            with pytest.raises(InputError) as there:
                runner.run(suite, "base/fr/passages", sum_up(), parameters)

            assert str(there.value) == str(here.value)


@pytest.mark.parametrize("when", ["before it is asked", "while it is asked"])
def test_a_process_that_is_gone_is_an_error(parameters: dict[str, Any], when: str) -> None:
    """Killed for its memory, say: one line, and no check that anyone could take for passed."""
    with RunnerBeside() as runner:
        if when == "while it is asked":
            runner.open(SUITES)
        runner.process.kill()
        runner.process.join()
        with pytest.raises(ExpectationError, match="its process ended without an answer; free memory and run again"):
            runner.run("vectors", "base/fr/passages", sum_up(), parameters)


def test_nothing_runs_on_when_the_block_ends() -> None:
    """Whoever leaves early, as on wrong input, does not wait for the import."""
    with pytest.raises(StoreError), RunnerBeside() as runner:
        raise StoreError(7, "problem", "remedy")

    assert runner.process.exitcode == -9


def test_an_error_survives_the_way_between_processes() -> None:
    """Type, parts and text are the same."""
    error = copy.copy(InputError("a.json: x", "expected 1, got 2", "mend that field"))

    assert type(error) is InputError
    assert (error.where, error.problem, error.remedy) == ("a.json: x", "expected 1, got 2", "mend that field")
    assert str(error) == "a.json: x: expected 1, got 2; mend that field"
