"""The report as it is written, for a decision on 600 questions and stores of 1857 passages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.reporting.samples import make_keep, write_record, write_stores
from validation.reporting.report import write_report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FLIPS = 600
ROWS = 1857


def write_page(folder: Path) -> Callable[[], int]:
    """Write the page with reading, hashing, both maps and every plot, and return its size in bytes."""
    record = make_keep(FLIPS).model_copy(update={"inputs": write_stores(folder, ROWS)})
    decision = write_record(record, folder / "decision.json")
    return lambda: write_report(decision, folder, folder / "report.html", "fr").stat().st_size
