"""Hypothesis as fuzzing needs it: a pytest plugin that only `nox -s fuzz` loads.

Many examples, new ones each time; at the end it says how many inputs were tried, and writes `reports/fuzz.json`.
"""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    import pytest

REPORT = Path(__file__).resolve().parents[1] / "reports" / "fuzz.json"
# Of which every test takes its share; all of them together try more than 100,000 inputs.
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "15000"))
WANTED = 100_000
MOST_MEMORY_KB = 1_000_000
STARTED = time.monotonic()

settings.register_profile(
    "fuzz",
    max_examples=EXAMPLES,
    deadline=2000,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("fuzz")


def measure_peak() -> int:
    """Return the most memory that this process has held, in kB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a whole run that tried too little or held too much."""
    from tests.fuzz.spoil import TRIED

    whole = "FUZZ_EXAMPLES" not in os.environ
    if whole and session.exitstatus == 0 and (TRIED.total() < WANTED or measure_peak() > MOST_MEMORY_KB):
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many inputs were tried, in what time and memory, and write it down."""
    from pipeline.files import write_json
    from tests.fuzz.spoil import TRIED

    failed = [report.nodeid for report in terminalreporter.stats.get("failed", [])]
    seconds, peak = time.monotonic() - STARTED, measure_peak()
    report = {
        "cases": TRIED.total(),
        "wanted": WANTED,
        "seconds": round(seconds, 1),
        "peak_memory_kb": peak,
        "failed": failed,
        "readers": dict(sorted(TRIED.items())),
    }
    write_json(REPORT, report)
    terminalreporter.write_line(
        f"fuzz: {TRIED.total()} cases in {seconds:.0f} s, peak memory {peak // 1000} MB, {len(failed)} tests failed"
    )
