"""The harness of the benchmarks: processes, turns and threads, and what it does not let pass."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.benchmarks.race import Race
from tests.benchmarks.tables import render_tables

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MODULE = "tests.test_race"


@dataclass
class Stopwatch:
    """What the harness asks of pytest-benchmark's fixture."""

    extra_info: dict[str, Any] = field(default_factory=dict)

    def pedantic(self, target: Callable[[], object], *, rounds: int) -> None:
        """Call `target` as often as told."""
        for _ in range(rounds):
            target()


def answer_at_once(folder: Path) -> Callable[[], dict[str, str]]:
    """Return the method's threads, and leave a mark at each call."""
    return lambda: _answer(folder, "quick", 0.0)


def answer_slowly(folder: Path) -> Callable[[], dict[str, str]]:
    """Return the same some time later, with 40 MB in hand meanwhile."""
    return lambda: _answer(folder, "slow", 0.05, bytearray(os.urandom(1)) * 40_000_000)


def answer_otherwise(_folder: Path) -> Callable[[], dict[str, str]]:
    """Return something else."""
    return lambda: {"threads": "many"}


def ask_the_network(_folder: Path) -> Callable[[], None]:
    """Try to leave the machine."""
    import socket

    return lambda: socket.socket(socket.AF_INET).connect(("192.0.2.1", 80))


def _answer(folder: Path, name: str, seconds: float, _held: bytearray | None = None) -> dict[str, str]:
    with (folder / "calls").open("a", encoding="utf-8") as stream:
        stream.write(f"{name} {os.getpid()}\n")
    time.sleep(seconds)
    return {"threads": os.environ["OMP_NUM_THREADS"] + os.environ["OPENBLAS_NUM_THREADS"]}


def assert_same(ours: dict[str, str], theirs: dict[str, str]) -> None:
    """Both answers are the same."""
    assert ours == theirs


def name_methods(*functions: Callable[..., object]) -> dict[str, str]:
    """Name functions of this module as the harness wants them."""
    return {function.__name__: f"{MODULE}:{function.__name__}" for function in functions}


def render(info: dict[str, Any], *parameters: str) -> str:
    """Render one race that was run on some machine, as often as there are parameters."""
    machine = {"cpu": {"brand_raw": "A chip", "count": 2}, "memory_gb": 8.0, "blas": "openblas", "packages": {}}
    machine |= {"system": "Linux", "release": "6", "python_version": "3.11.7", "machine": "x86_64"}
    result = {"group": "a group", "name": "test", "extra_info": info, "stats": {"median": 1.0}}
    results = [result | {"param": name} for name in parameters or [None]]
    return render_tables({"machine_info": machine, "benchmarks": results})


def test_methods_run_in_turn_each_in_its_own_process(tmp_path: Path) -> None:
    """Every round calls each method as often, forwards and then backwards, with the threads asked for; all is told."""
    watch = Stopwatch()
    methods = name_methods(answer_at_once, answer_slowly)
    lanes = Race(watch)(methods, tmp_path, rounds=2, calls=2, threads=3, agree=assert_same, limits={"answer_slowly": 1})
    calls = [line.split() for line in (tmp_path / "calls").read_text(encoding="utf-8").splitlines()]

    turns = ["quick", "slow"]  # untimed
    assert [name for name, _ in calls] == [*turns, "quick", "quick", "slow", "slow", "slow", "slow", "quick", "quick"]
    assert len({process for _, process in calls} - {str(os.getpid())}) == 2
    assert [len(lane.seconds) for lane in lanes.values()] == [2, 2]
    assert lanes["answer_at_once"].median < 0.05 <= lanes["answer_slowly"].median
    assert lanes["answer_slowly"].anonymous_mb - lanes["answer_at_once"].anonymous_mb > 30
    text = render(watch.extra_info)
    assert "3 thread(s), 2 rounds of 2 call(s). Both answers are the same." in text
    assert "ours ≤ 1 × this: held" in text


def test_races_of_one_group_are_told_apart(tmp_path: Path) -> None:
    """A race that is run with several parameters has a table under a heading of its own for each."""
    watch = Stopwatch()
    Race(watch)(name_methods(answer_at_once), tmp_path, rounds=1)

    assert "## a group: one\n" in (text := render(watch.extra_info, "one", "two"))
    assert "## a group: two\n" in text
    assert "## a group\n" in render(watch.extra_info)


def test_a_limit_that_does_not_hold_fails(tmp_path: Path) -> None:
    """A ratio above its limit fails the benchmark, and stands in the report all the same."""
    watch = Stopwatch()
    methods = name_methods(answer_slowly, answer_at_once)
    with pytest.raises(AssertionError, match="answer_at_once"):
        Race(watch)(methods, tmp_path, rounds=1, agree=assert_same, limits={"answer_at_once": 0.5})

    assert "ours ≥ 2 × quicker: NOT HELD" in render(watch.extra_info)


def test_another_answer_fails(tmp_path: Path) -> None:
    """However quick, an answer that differs fails the benchmark, and the report says so."""
    watch = Stopwatch()
    methods = name_methods(answer_at_once, answer_otherwise)
    with pytest.raises(AssertionError):
        Race(watch)(methods, tmp_path, rounds=1, agree=assert_same, limits={"answer_otherwise": 1e9})

    assert "DIFFER: Both answers are the same." in render(watch.extra_info)


def test_methods_have_no_network(tmp_path: Path) -> None:
    """A method that would fetch something ends the benchmark."""
    with pytest.raises(AssertionError, match=r"tried to reach.*192\.0\.2\.1"):
        Race(Stopwatch())(name_methods(ask_the_network), tmp_path, rounds=1)
