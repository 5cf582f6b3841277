"""Let our method and its peers run the same workload in turn, each in a process of its own with as many threads.

A benchmark writes its workload to a folder, names the methods, ours first, and says when two answers agree:

    METHODS = {
        "ours": "tests.benchmarks.search_methods:rank_by_ours",
        "faiss": "tests.benchmarks.search_methods:rank_by_faiss",
    }

    @pytest.mark.benchmark(group="exact top 10")
    def test_search(race: Race, tmp_path: Path) -> None:
        save_workload(tmp_path)
        race(METHODS, tmp_path, rounds=21, agree=assert_same_passages, limits={"faiss": 1.1})

A method is a function, `module:function`, that takes the folder, reads what it needs and returns what is timed: a
function without arguments that returns the answer, which must survive pickling. Peers are imported inside of the
method, so that no process holds another's libraries. A round calls each method once (or `calls` times in a row, for
what takes milliseconds), forwards and backwards in turn, while all others wait. The test fails when a peer's answer
differs from ours, or when the ratio of the medians is above its limit.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import statistics
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol
from unittest import mock

from tests.benchmarks import worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
    *("NUMBA_NUM_THREADS", "RAYON_NUM_THREADS"),
)


class Benchmark(Protocol):
    """What is used of pytest-benchmark's fixture, which has no types."""

    extra_info: dict[str, Any]

    def pedantic(self, target: Callable[[], object], *, rounds: int) -> object:
        """Call `target` as often as told, and measure it."""


@dataclass(frozen=True, slots=True)
class Lane:
    """What one method did; memory in MB of 1e6 bytes.

    Attributes:
        seconds: of each round, for one call.
        peak_mb: the most memory resident during the calls, mapped files included.
        anonymous_mb: the most memory during a call without the pages of files.
        setup_seconds, setup_mb: what it took before, imports included.
    """

    seconds: list[float]
    peak_mb: float
    anonymous_mb: float
    setup_seconds: float
    setup_mb: float

    @property
    def median(self) -> float:
        """Median seconds of a call."""
        return statistics.median(self.seconds)


@dataclass(frozen=True, slots=True)
class Race:
    """The fixture `race`: measures, compares, takes everything down for the report, and only then judges."""

    benchmark: Benchmark

    def __call__(
        self,
        methods: Mapping[str, str],
        folder: Path,
        *,
        rounds: int,
        agree: Callable[[Any, Any], None],
        limits: Mapping[str, float] | None = None,
        calls: int = 1,
        threads: int = 1,
    ) -> dict[str, Lane]:
        """Run the methods in turn, the first of them ours, and return what each did.

        Args:
            methods: `module:function` by name, ours first.
            folder: with the workload, given to each method.
            rounds: how often each is measured, after one call that is not.
            agree: called with our answer and that of each peer; raises `AssertionError` where they differ. The first
                line of its docstring says in the report what was compared.
            limits: how many times as long as a peer ours may take, by peer: 0.1 is ten times as quick.
            calls: calls in a row that make up one round.
            threads: of each process.

        Raises:
            AssertionError: a peer's answer differs from ours, or ours takes longer than a limit allows.
        """
        with open_workers(methods, threads) as workers:
            trials = {name: workers[name].submit(worker.try_method, methods[name], folder).result() for name in methods}
            seconds: dict[str, list[float]] = {name: [] for name in methods}
            order = list(methods)

            def run_round() -> None:
                for name in order:
                    timed = workers[name].submit(worker.time_calls, methods[name], folder, calls)
                    seconds[name].append(timed.result())
                order.reverse()

            self.benchmark.pedantic(run_round, rounds=rounds)
            peaks = {name: workers[name].submit(worker.read_peak).result() for name in methods}
        lanes = {
            name: Lane(seconds[name], peaks[name], trial.anonymous_mb, trial.setup_seconds, trial.setup_mb)
            for name, trial in trials.items()
        }
        self.benchmark.extra_info.update(threads=threads, rounds=rounds, calls=calls)
        self._record(lanes, limits or {})
        self._compare(agree, {name: trial.answer for name, trial in trials.items()})
        for limit in self.benchmark.extra_info["limits"].values():
            assert limit["held"], self.benchmark.extra_info["limits"]
        return lanes

    def _record(self, lanes: dict[str, Lane], limits: Mapping[str, float]) -> None:
        """Take down what was measured, and which limits hold."""
        ours = next(iter(lanes.values())).median
        ratios = {peer: ours / lanes[peer].median for peer in limits}
        self.benchmark.extra_info.update(
            methods={name: {"median": lane.median, **asdict(lane)} for name, lane in lanes.items()},
            limits={
                peer: {"limit": limit, "ratio": ratios[peer], "held": ratios[peer] <= limit}
                for peer, limit in limits.items()
            },
        )

    def _compare(self, agree: Callable[[Any, Any], None], answers: dict[str, Any]) -> None:
        """Hold every peer's answer against ours; until all are compared, the report says that they differ."""
        what = (agree.__doc__ or "").partition("\n")[0]
        ours, *peers = answers.values()
        self.benchmark.extra_info["answers"] = f"DIFFER: {what}"
        for answer in peers:
            agree(ours, answer)
        self.benchmark.extra_info["answers"] = what if peers else "no peer"


@contextlib.contextmanager
def open_workers(methods: Mapping[str, str], threads: int) -> Iterator[dict[str, ProcessPoolExecutor]]:
    """Start a process for each method, without a network, its threads fixed before it imports anything."""
    context = multiprocessing.get_context("spawn")
    variables = dict.fromkeys(THREAD_VARIABLES, str(threads)) | {"TOKENIZERS_PARALLELISM": "false"}
    with contextlib.ExitStack() as stack, mock.patch.dict(os.environ, variables):
        yield {
            name: stack.enter_context(ProcessPoolExecutor(1, context, initializer=worker.stay_offline))
            for name in methods
        }
