"""Where stores are looked at and searched: in this process, or on Spark; what is found is the same."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.engine import EngineName

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from validation.comparison import Search
    from validation.expectations import ExpectationRunner


@dataclass(frozen=True, slots=True)
class Engine:
    """What runs the suites, and what searches."""

    runner: ExpectationRunner
    search: Search


@contextlib.contextmanager
def open_engine(name: EngineName, master: str, suites: Path) -> Iterator[Engine | None]:
    """Open the engine of a name; None stands for this process, which opens what it needs when it needs it.

    Raises:
        EngineError: Spark or its Java is missing, or a worker could not do its part.
    """
    if name is EngineName.LOCAL:
        yield None
        return
    from pipeline.spark.session import open_session
    from validation.spark.row_ranges import Cutter
    from validation.spark.search import SparkSearch
    from validation.spark.suites import SparkRunner

    with open_session(master) as session:
        cutter = Cutter(session)
        yield Engine(SparkRunner(session, suites, cutter), SparkSearch(session, cutter))
