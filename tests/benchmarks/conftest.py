"""The fixture of the benchmarks, and what stands in their report beside pytest-benchmark's own figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.files import replace_file
from tests.benchmarks.race import Race
from tests.benchmarks.tables import describe_machine, render_tables

if TYPE_CHECKING:
    from tests.benchmarks.race import Benchmark


@pytest.fixture
def race(benchmark: Benchmark) -> Race:
    """Let methods run side by side and in turn; see `tests/benchmarks/race.py`."""
    return Race(benchmark)


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Say what the figures depend on, and not whose machine it is."""
    del machine_info["node"]
    machine_info.update(describe_machine())


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Write the same results as tables, beside the JSON that pytest-benchmark writes."""
    written = config.getoption("benchmark_json")
    if written is not None:
        with replace_file(Path(written).with_suffix(".md")) as partial:
            partial.write_text(render_tables(output_json), encoding="utf-8")
