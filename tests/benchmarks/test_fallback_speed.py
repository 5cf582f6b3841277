"""How long the way back to the base takes beside `git checkout` and `dvc checkout`, which verify nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.benchmarks.fallback_methods import save_project
from tests.projects import ignore_configuration

if TYPE_CHECKING:
    from pathlib import Path

    from tests.benchmarks.race import Race

ROUNDS = 5
MODULE = "tests.benchmarks.fallback_methods"
METHODS = {"ours": f"{MODULE}:travel_by_ours", "git and dvc checkout": f"{MODULE}:travel_by_dvc"}


def assert_same_files(ours: list[dict[str, str]], theirs: list[dict[str, str]]) -> None:
    """At the base and after it the same files are served, to the byte."""
    assert ours == theirs
    assert ours[0] != ours[1]


@pytest.mark.benchmark(group="to the base and forward again, two corpora of 120 passages")
def test_return(race: Race, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What certainty costs, for information."""
    ignore_configuration(monkeypatch)
    save_project(tmp_path)

    race(METHODS, tmp_path, rounds=ROUNDS, agree=assert_same_files)
