"""How long the report takes for a decision on 600 questions, with stores of 1857 passages at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.reporting.samples import make_keep, write_record, write_stores
from validation.reporting.report import write_report

if TYPE_CHECKING:
    from pathlib import Path

FLIPS = 600
ROWS = 1857


def test_writing_the_report(benchmark: Any, tmp_path: Path) -> None:
    """All of it: reading, hashing, both maps, every plot and the page, of which the size is given."""
    record = make_keep(FLIPS).model_copy(update={"inputs": write_stores(tmp_path, ROWS)})
    decision = write_record(record, tmp_path / "decision.json")

    page = benchmark.pedantic(write_report, (decision, tmp_path, tmp_path / "report.html", "fr"), rounds=3)

    benchmark.extra_info["bytes"] = page.stat().st_size
