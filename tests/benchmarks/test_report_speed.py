"""How long the report takes for a decision on 600 questions, with stores of 1857 passages at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.benchmarks.race import Race


@pytest.mark.benchmark(group="report.html of 600 questions")
def test_writing_the_report(race: Race, tmp_path: Path) -> None:
    """All of it: reading, hashing, both maps, every plot and the page."""
    race({"ours": "tests.benchmarks.report_methods:write_page"}, tmp_path, rounds=3)
