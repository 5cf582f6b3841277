"""Where stores are looked at and searched: in this process, or on Spark; what is found is the same."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from validation.comparison import search_store
from validation.frames import build_vector_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pandas as pd

    from pipeline.retrieval import Ranking
    from validation.beside import RunnerBeside
    from validation.evidence import CorpusEvidence, StoreEvidence, VectorEvidence
    from validation.expectations import SuiteRunner
    from validation.ranks import Ranks


def sum_up_here(vectors: VectorEvidence, _path: Path) -> pd.DataFrame:
    """Return the row that sums a matrix up, from what this process holds or maps of it."""
    return build_vector_frame(vectors)


@dataclass(frozen=True, slots=True)
class Engine:
    """What runs the suites, what searches a store, and what sums up a matrix that lies at a path."""

    runner: SuiteRunner
    search: Callable[[StoreEvidence, CorpusEvidence], tuple[Ranks, Ranking]] = search_store
    sum_up: Callable[[VectorEvidence, Path], pd.DataFrame] = sum_up_here


@contextlib.contextmanager
def open_engine(beside: RunnerBeside | None, master: str, suites: Path) -> Iterator[Engine]:
    """Open the engine of this machine, with a process beside this one for the suites; without that, Spark.

    Raises:
        EngineError: Spark or its Java is missing, or a worker could not do its part.
    """
    if beside is not None:
        beside.open(suites)
        yield Engine(beside)
        return
    from pipeline.spark.session import open_session
    from validation.spark.row_ranges import Cutter
    from validation.spark.search import search_on_spark
    from validation.spark.suites import SparkRunner
    from validation.spark.tables import sum_up

    with open_session(master) as session:
        cutter = Cutter(session)
        yield Engine(SparkRunner(session, suites), partial(search_on_spark, session, cutter), partial(sum_up, cutter))
