"""What happens in the process of one method: it is set up once, called in rounds, and tells its time and memory.

The process starts with its number of threads in the environment, before any library is imported. Memory is read from
`/proc`, so this needs Linux.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # of proc(5)
SAMPLE_SECONDS = 0.002
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Trial:
    """What a method answers, and what it took until then; memory in MB of 1e6 bytes.

    Attributes:
        answer: what one call returns.
        setup_seconds, setup_mb: time of reading the workload and building what the method needs, imports included,
            and the most memory that was resident meanwhile.
        anonymous_mb: the most anonymous memory during one call, sampled every 2 ms: resident pages without those of
            files, such as those of a memory-mapped matrix.
    """

    answer: Any
    setup_seconds: float
    setup_mb: float
    anonymous_mb: float


def stay_offline() -> None:
    """Refuse every connection that leaves this machine, from now on."""
    sys.addaudithook(_refuse_network)


def _refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] not in LOOPBACK:
        message = f"a benchmark tried to reach {arguments[1]}"
        raise AssertionError(message)


@functools.cache
def set_up(method: str, folder: Path) -> Callable[[], Any]:
    """Import a method, `module:function`, and let it read its workload; what it returns is what is measured."""
    module, function = method.split(":")
    call: Callable[[], Any] = getattr(importlib.import_module(module), function)(folder)
    return call


def try_method(method: str, folder: Path) -> Trial:
    """Set a method up and call it once, which warms it up; from here on the peak of memory is that of its calls."""
    begun = time.perf_counter()
    call = set_up(method, folder)
    setup_seconds, setup_mb = time.perf_counter() - begun, read_peak()
    RESET.write_text(RESET_PEAK, encoding="ascii")
    with _sampling_memory() as samples:
        answer = call()
    return Trial(answer, setup_seconds, setup_mb, max(samples))


def time_calls(method: str, folder: Path, calls: int) -> float:
    """Return the seconds that one call takes, on average over so many in a row."""
    call = set_up(method, folder)
    begun = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - begun) / calls


def read_peak() -> float:
    """Return the most memory, in MB, that was resident since the start or the last reset."""
    return _read_status("VmHWM")


@contextlib.contextmanager
def _sampling_memory() -> Iterator[list[float]]:
    """Take down the anonymous memory before, during and after the block, in MB."""
    samples, ended = [_read_status("RssAnon")], threading.Event()

    def sample() -> None:
        while not ended.wait(SAMPLE_SECONDS):
            samples.append(_read_status("RssAnon"))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()
        samples.append(_read_status("RssAnon"))


def _read_status(field: str) -> float:
    lines = STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{field}:"))
