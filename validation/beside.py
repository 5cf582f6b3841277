"""Great Expectations in a process beside this one: it is imported there while this one reads, searches and compares."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import sys
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

    import pandas as pd

    from validation.outcomes import Check


class ExpectationError(PipelineError):
    """The expectations could not be run."""


class RunnerBeside:
    """Runs suites as `validation.expectations.ExpectationRunner` does, in a process of its own.

    A table goes there and its checks, or the error that was raised, come back; nothing is ever taken for granted: a
    process that ended without an answer is an error. When the block ends the process is ended, whatever it does.

    Attributes:
        process: the one beside.
    """

    def __init__(self) -> None:
        """Start the process, which at once imports Great Expectations."""
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()

    def __enter__(self) -> Self:
        """Return this runner."""
        return self

    def __exit__(self, *_error: object) -> None:
        """End the process."""
        self._connection.close()
        self.process.kill()
        self.process.join()

    def open(self, suites: Path) -> None:
        """Name the folder of the suites; it is read after this, and a fault in it is raised by the first `run`."""
        self._ask(suites)

    def run(self, suite: str, subject: str, frame: pd.DataFrame, parameters: dict[str, Any]) -> list[Check]:
        """Validate a table and return one check for each check id that the suite serves.

        Raises:
            InputError: a suite is malformed.
            ExpectationError: the process is gone.
        """
        self._ask((suite, subject, frame, parameters))
        try:
            answer: list[Check] | Exception = self._connection.recv()
        except (EOFError, OSError) as error:
            raise _tell_gone() from error
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _ask(self, what: object) -> None:
        try:
            self._connection.send(what)
        except OSError as error:
            raise _tell_gone() from error


def _tell_gone() -> ExpectationError:
    return ExpectationError("Great Expectations", "its process ended without an answer", "free memory and run again")


def serve(connection: Connection) -> None:
    """Import Great Expectations, take the folder of suites, and answer one table after the other until nobody asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who is interrupted ends this process
    gc.disable()  # it makes no garbage worth looking for in the seconds that it lives
    from validation.expectations import ExpectationRunner, import_great_expectations

    # Spark ends a process that was spawned when it is imported, as Great Expectations does wherever it is installed.
    sys.modules["pyspark"] = None  # type: ignore[assignment]
    import_great_expectations()
    import_module("tqdm").tqdm.set_lock(
        threading.RLock()
    )  # one of its own would be shared between processes, and be missed when this ends
    with contextlib.suppress(EOFError):
        suites, runner = connection.recv(), None
        while True:
            asked = connection.recv()
            try:
                runner = runner or ExpectationRunner(suites)
                answer: object = runner.run(*asked)
            except Exception as error:  # noqa: BLE001 - raised again by who asked
                answer = _make_portable(error)
            connection.send(answer)
    os._exit(0)  # nobody waits for a thousand modules to be torn down


def _make_portable(error: Exception) -> Exception:
    """Return an error that survives the way between processes."""
    if isinstance(error, PipelineError | OSError | MemoryError):
        return error
    return RuntimeError(f"{type(error).__name__}: {error}")
