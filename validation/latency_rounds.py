"""The rounds of a latency measurement: planned, run by pytest-benchmark over this very file, and read back.

Every item of pytest is one round of one operation on one store, after one run that warms the caches and is not
measured. The process that measures learns the plan from a JSON file that one environment variable names.
"""

from __future__ import annotations

import functools
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, Self, get_args

from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, model_validator

from pipeline.database import load_matrix, open_database
from pipeline.documents import Strict, load_json
from pipeline.errors import InputError, StoreError
from pipeline.files import write_json
from pipeline.params import PROJECT_ROOT
from pipeline.retrieval import Ranking, rank_cosine
from pipeline.store import load_manifest
from pipeline.vectors import Matrix, load_vectors
from validation.policy import Operation

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

Side = Literal["base", "candidate"]
# A clock of nanoseconds, and no round that takes a day: within these bounds every ratio is finite.
Seconds = Annotated[float, Field(ge=1e-9, le=86_400)]

OPERATIONS: tuple[Operation, ...] = get_args(Operation)
SIDES: tuple[Side, ...] = get_args(Side)
PLAN_VARIABLE = "LATENCY_PLAN"
DEPTH = 10
TIMEOUT_S = 3600.0  # far more than any run takes: what lasts longer hangs

_MODULE = "validation/latency_rounds.py"
# One thread for either store: how a machine shares out its cores is not the question.
_THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
# Nobody's configuration, conftest, cache or plugin has a say.
_OPTIONS = (
    *("-c", os.devnull, "--rootdir", str(PROJECT_ROOT), "--noconftest", "-p", "no:cacheprovider"),
    *("--import-mode=importlib", "--disable-plugin-autoload", "-p", "pytest_benchmark.plugin"),
    *("--benchmark-disable-gc", "--benchmark-quiet", "--quiet", "--exitfirst", "--tb=no", "-rfE"),
)


def _machine(*path: str) -> AliasPath:
    return AliasPath("machine_info", *path)


class Run(Strict):
    """One round of one operation on one store."""

    corpus: str
    operation: Operation
    round: int
    store: Side


class Plan(Strict):
    """What is measured: the store folders by corpus and side, and how many rounds of each operation."""

    stores: dict[str, dict[Side, Path]]
    rounds: Annotated[int, Field(ge=1)]

    def list_runs(self) -> list[Run]:
        """Return all runs in the order in which they are measured.

        Base and candidate follow each other directly and take turns in going first, so that neither drift nor order
        favours one. All corpora and operations share a round, so that a disturbance spoils few rounds of any of them.
        """
        return [
            Run(corpus=corpus, operation=operation, round=number, store=side)
            for number in range(self.rounds)
            for corpus in self.stores
            for operation in OPERATIONS
            for side in (SIDES if number % 2 == 0 else SIDES[::-1])
        ]


class RoundTimes(Strict):
    """Seconds that each round of an operation took, the same round at the same position."""

    base: Annotated[list[Seconds], Field(min_length=1)]
    candidate: Annotated[list[Seconds], Field(min_length=1)]

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        if len(self.base) != len(self.candidate):
            message = f"expected rounds in pairs, got {len(self.base)} of base and {len(self.candidate)} of candidate"
            raise ValueError(message)
        return self

    def describe(self) -> dict[str, float]:
        """Return the number of rounds and the median milliseconds of both stores."""
        medians = {f"{side}_median_ms": 1000 * statistics.median(getattr(self, side)) for side in SIDES}
        return {"rounds": len(self.base), **medians}


class Machine(Strict):
    """Where the rounds were measured, without the names of host and user."""

    cpu: str
    cores: int
    system: str
    release: str
    python_version: str
    python_implementation: str


class Item(BaseModel):
    """One measured run, out of all that pytest-benchmark says of it."""

    model_config = ConfigDict(strict=True, extra="ignore")

    run: Annotated[Run, Field(validation_alias="extra_info")]
    seconds: Annotated[Seconds, Field(validation_alias=AliasPath("stats", "data", 0))]


class Report(BaseModel):
    """All measured runs in their order, and of the machine what identifies it; some processors have no brand."""

    model_config = ConfigDict(strict=True, extra="ignore")

    cpu: Annotated[str, Field(validation_alias=AliasChoices(_machine("cpu", "brand_raw"), _machine("machine")))]
    cores: Annotated[int, Field(validation_alias=_machine("cpu", "count"))]
    system: Annotated[str, Field(validation_alias=_machine("system"))]
    release: Annotated[str, Field(validation_alias=_machine("release"))]
    python_version: Annotated[str, Field(validation_alias=_machine("python_version"))]
    python_implementation: Annotated[str, Field(validation_alias=_machine("python_implementation"))]
    items: Annotated[list[Item], Field(validation_alias="benchmarks")]

    def get_machine(self) -> Machine:
        """Return where the rounds were measured."""
        return Machine(**self.model_dump(exclude={"items"}))

    def pair_rounds(self, corpus: str) -> dict[Operation, RoundTimes]:
        """Return the times of a corpus by operation, base and candidate of each round side by side."""
        times: dict[Operation, dict[Side, list[float]]] = {name: {side: [] for side in SIDES} for name in OPERATIONS}
        for item in self.items:
            if item.run.corpus == corpus:
                times[item.run.operation][item.run.store].append(item.seconds)
        return {name: RoundTimes(**pair) for name, pair in times.items()}


def measure_rounds(plan: Plan, folder: Path) -> Report:
    """Measure every run of a plan in a process of its own, which gets no more of the environment than it needs.

    Args:
        plan: stores, as absolute paths, and rounds.
        folder: where plan and report are written; left out where an error names a store in it.

    Raises:
        StoreError: a run failed or hangs, or pytest-benchmark reports other runs than the planned ones.
    """
    source, target = folder / "plan.json", folder / "report.json"
    write_json(source, plan.model_dump(mode="json"))
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | _THREADS
    environment |= {PLAN_VARIABLE: str(source), "COLUMNS": "1000"}  # wide enough for the reason of a failure
    written = (f"--benchmark-json={target}", f"--benchmark-storage=file://{folder}")
    command = [sys.executable, "-m", "pytest", _MODULE, *_OPTIONS, *written]
    captured: dict[str, Any] = {"capture_output": True, "encoding": "utf-8", "errors": "replace", "timeout": TIMEOUT_S}
    try:
        ended = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, check=False, **captured)  # noqa: S603 - our own
    except subprocess.TimeoutExpired as error:
        raise StoreError(_MODULE, f"ended after {TIMEOUT_S:g} seconds", "measure again on a calmer machine") from error
    if ended.returncode != 0:
        reason = _find_reason(ended.stdout + ended.stderr).replace(f"{folder}{os.sep}", "")
        message = f"pytest ended with {ended.returncode}: {reason}"
        raise StoreError(_MODULE, message, "mend what it names and measure the latency again")
    return load_report(target, plan)


def load_report(path: Path, plan: Plan) -> Report:
    """Read what pytest-benchmark wrote. Raises `StoreError` when it is malformed or not of exactly the planned runs."""
    remedy = "measure the latency again with the pinned pytest-benchmark"
    try:
        report = load_json(path, Report)
    except InputError as error:
        raise StoreError(error.where, error.problem, remedy) from error
    planned = plan.list_runs()
    if [item.run for item in report.items] != planned:
        message = f"expected the {len(planned)} planned runs in their order, got {len(report.items)} others"
        raise StoreError(path, message, remedy)
    return report


def _find_reason(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()] or ["no output"]
    return next((line for line in lines if line.startswith(("FAILED", "ERROR"))), lines[-1]).strip()


class Benchmark(Protocol):
    """What is used of pytest-benchmark's fixture, which has no types."""

    extra_info: dict[str, Any]

    def pedantic(
        self, target: Callable[..., object], args: tuple[object, ...], *, rounds: int, warmup_rounds: int
    ) -> object:
        """Run `target` as often as told and measure all but the rounds of warming up."""


@functools.cache
def load_plan() -> Plan:
    """Read the plan that the environment names."""
    return load_json(Path(os.environ[PLAN_VARIABLE]), Plan)


@functools.cache
def load_store(folder: Path) -> tuple[Path, Matrix, Matrix]:
    """Return a store's database and its matrices of passages and questions, float32 `(rows, 768)`."""
    files = load_manifest(folder).files
    passages, questions = (load_vectors(folder / file.name) for file in (files.embeddings, files.questions))
    return folder / files.database.name, passages, questions


def open_and_search(database: Path, question: Matrix) -> Ranking:
    """Answer one question, float32 `(1, 768)`, as a phone does that has yet to open its database."""
    with open_database(database) as connection:
        passages = load_matrix(connection)
    return rank_cosine(question, passages, DEPTH)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one item of every planned run, in the planned order."""
    runs = load_plan().list_runs()
    ids = [f"{run.corpus}-{run.operation}-{run.round}-{run.store}" for run in runs]
    metafunc.parametrize("run", runs, ids=ids)


def test_round(benchmark: Benchmark, run: Run) -> None:
    """Measure one run; the question that is searched changes with the round, alike for both stores."""
    database, passages, questions = load_store(load_plan().stores[run.corpus][run.store])
    benchmark.extra_info.update(run.model_dump())
    if run.operation == "gold-set":
        benchmark.pedantic(rank_cosine, (questions, passages, DEPTH), rounds=1, warmup_rounds=1)
    else:
        asked = run.round % len(questions)
        benchmark.pedantic(open_and_search, (database, questions[asked : asked + 1]), rounds=1, warmup_rounds=1)
