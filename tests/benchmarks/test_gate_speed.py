"""How long a verdict takes beside `python -c "import great_expectations"`, in turn: both are whole processes."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.documents import load_json
from pipeline.files import write_json
from pipeline.params import BUILD, PROJECT_ROOT
from tests.releases import build_latency
from tests.stores import build_request, list_options, write_pair
from validation.document import Record

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 7
RATIO, SECONDS = 1.15, 1.0
IMPORT = (sys.executable, "-c", "import great_expectations")
VERDICTS = (0, 20, 30)


def run(*command: object, codes: tuple[int, ...] = (0,)) -> float:
    """Run a command in the project and return its seconds."""
    begun = time.perf_counter()
    ended = subprocess.run([*map(str, command)], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begun

    assert ended.returncode in codes, ended.stderr
    assert ended.stderr == ""
    return seconds


def name_stores(kind: str, folder: Path) -> list[object]:
    """Return the options by which small stores, or the built ones of this project, are judged; latency is at hand."""
    if kind == "built":
        run(sys.executable, "-m", "validation", "gate", "--output", folder, codes=VERDICTS)
        return ["gate", "--output", folder]
    request = build_request(*write_pair(folder, base_hits=40, candidate_hits=80))
    write_json(folder / "reports" / "latency.json", build_latency([request]).model_dump())
    return [*list_options(request, folder / "reports")]


@pytest.mark.parametrize("kind", ["small", "built"])
def test_a_verdict_takes_little_more_than_an_import(benchmark: Any, tmp_path: Path, kind: str) -> None:
    """The median is at most 1.15 × the import and a second."""
    if kind == "built" and not (BUILD / "qlora").is_dir():
        pytest.skip("nothing is built: `nox -s build`")
    options = name_stores(kind, tmp_path)
    imports: list[float] = []
    gates: list[float] = []

    def judge() -> None:
        gates.append(run(sys.executable, "-m", "validation", *options, codes=VERDICTS))

    benchmark.pedantic(judge, setup=lambda: imports.append(run(*IMPORT)), rounds=ROUNDS)
    record = load_json(next(tmp_path.rglob("decision.json")), Record)
    importing, judging = statistics.median(imports), statistics.median(gates)
    benchmark.extra_info.update(import_seconds=importing, ratio=judging / importing)

    assert record.checks
    assert record.retrieval
    assert judging <= RATIO * importing + SECONDS
