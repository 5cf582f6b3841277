"""The one boundary between exceptions and exit codes."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import typer

from pipeline.commandline import make_progress, run_app, run_command
from pipeline.errors import InputError, ModelError, PipelineError, StoreError
from pipeline.params import PROJECT_ROOT
from tests.conftest import Sample, build_sample_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RAISED = {
    "input": (InputError("a.json: id", "expected text", "mend it"), 30, "a.json: id: expected text; mend it"),
    "model": (ModelError("m", "no weights", "fetch it"), 30, "m: no weights; fetch it"),
    "store": (StoreError("s", "locked", "wait"), 30, "s: locked; wait"),
    "several lines": (PipelineError("a", "one\n  two\u2028three\r\n", "four"), 30, "a: one two three ; four"),
    "disk full": (
        OSError(errno.ENOSPC, "No space left on device", "out.db"),
        30,
        "out.db: No space left on device; free the resource and run again",
    ),
    "disk full, no name": (
        OSError(errno.ENOSPC, "No space left on device"),
        30,
        "operating system: No space left on device; free the resource and run again",
    ),
    "rename": (
        OSError(errno.EISDIR, "Is a directory", ".x.partial", None, "x"),
        30,
        "x: Is a directory; free the resource and run again",
    ),
    "own words": (OSError("4096 requested and 0 written"), 30, "operating system: 4096 requested and 0 written; free"),
    "memory": (MemoryError(), 30, "out of memory: the input is larger than this machine can hold"),
    "usage": (typer.BadParameter("give one"), 2, "Invalid value: give one; see --help"),
}  # fmt: skip


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int | str | None]:
    """Run a function as a command and return the exit code that the interpreter would see."""

    def start(command: Callable[..., None], *arguments: str) -> int | str | None:
        monkeypatch.setattr(sys, "argv", ["command", *arguments])
        with pytest.raises(SystemExit) as exit_info:
            run_command(command)
        return exit_info.value.code

    return start


def test_a_command_that_returns_ends_with_0(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    """What the command prints goes to standard output; standard error stays empty."""
    code = run(lambda: typer.echo("done"))

    assert (code, *capsys.readouterr()) == (0, "done\n", "")


@pytest.mark.parametrize(("error", "code", "line"), RAISED.values(), ids=RAISED)
def test_an_error_becomes_a_code_and_one_line(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str], error: Exception, code: int, line: str
) -> None:
    """Every known failure says what, where and what to do in one line, and never ends with 1."""

    def fail() -> None:
        raise error

    assert run(fail) == code
    captured = capsys.readouterr()

    assert captured.out == ""
    assert captured.err.startswith(f"error: {line}")
    assert captured.err.count("\n") == len(captured.err.splitlines()) == 1


def test_a_defect_says_where_it_is(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    """An exception that no one foresaw is no verdict: code 30, one line with its place."""

    def fail() -> None:
        {}["missing"]  # type: ignore[index]

    assert run(fail) == 30
    line = capsys.readouterr().err

    assert line.startswith("error: internal error at test_commandline.py:")
    assert line.endswith(": KeyError: 'missing'; please report it\n")


@pytest.mark.parametrize("signal", [KeyboardInterrupt(), typer.Abort()], ids=["interrupt", "abort"])
def test_an_interruption_ends_with_130(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str], signal: BaseException
) -> None:
    """Stopping a command is not reported as an error of the program."""

    def stop() -> None:
        raise signal

    assert run(stop) == 130
    assert "error" not in capsys.readouterr().err


@pytest.mark.parametrize("code", [0, 20, 40])
def test_a_command_may_choose_its_code(run: Callable[..., int], code: int) -> None:
    """A decision ends with the code of its own."""

    def decide() -> None:
        raise typer.Exit(code)

    assert run(decide) == code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing option '--count'"),
        (["--count", "x"], "Invalid value for '--count'"),
        (["--count", "1", "--other"], "No such option: --other"),
        (["--count", "1", "more"], "Got unexpected extra argument"),
    ],
    ids=["missing", "no number", "unknown", "extra"],
)
def test_wrong_usage_ends_with_2(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """Options that do not parse are one line that points to the help, and the command does not start."""
    started = []

    def command(count: int = typer.Option()) -> None:
        started.append(count)

    assert run(command, *arguments) == 2
    line = capsys.readouterr().err

    assert line.startswith(f"error: {message}")
    assert line.endswith("; see --help\n")
    assert line.count("\n") == 1
    assert started == []


@pytest.mark.parametrize(
    ("arguments", "code", "stream"), [([], 2, "err"), (["--help"], 0, "out")], ids=["bare", "help"]
)
def test_help_keeps_its_lines(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    stream: str,
) -> None:
    """A program with several commands shows them when it is called with none, which is wrong usage, or with --help."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)
    app.command("first")(lambda: None)
    app.command("second")(lambda: None)
    monkeypatch.setattr(sys, "argv", ["program", *arguments])

    with pytest.raises(SystemExit) as exit_info:
        run_app(app)
    shown = getattr(capsys.readouterr(), stream).splitlines()

    assert exit_info.value.code == code
    assert shown[0].startswith("Usage: ")
    assert {"first", "second"} <= {line.strip() for line in shown}


def test_progress_is_silent_outside_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A log gets no progress bar."""
    with make_progress() as progress:
        for _ in progress.track(range(3), description="passages"):
            pass

    assert capsys.readouterr() == ("", "")


def test_a_terminal_is_told_rate_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """How far, how many a second, and how long it will take."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with make_progress() as progress:
        task = progress.add_task("passages", total=400)
        for _ in range(3):
            time.sleep(0.01)
            progress.advance(task, 100)
        progress.refresh()
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)

    assert re.search(r"passages .* 300/400 [\d,]+\.\d/s 0:00:0\d", shown)


def test_errors_keep_their_parts() -> None:
    """An error carries place, problem and remedy, and all families have one root."""
    error = InputError(7, "problem", "remedy")

    assert (error.where, error.problem, error.remedy) == ("7", "problem", "remedy")
    assert all(issubclass(family, PipelineError) for family in (InputError, ModelError, StoreError))


def test_a_closed_pipe_does_not_end_with_1(sample: Sample, tmp_path: Path) -> None:
    """A reader that goes away early, as `| head` does, leaves code 30: 1 would look like a crash."""
    store = build_sample_store(sample, tmp_path / "store", model_id="m", hits=1)
    command = [
        sys.executable,
        "-m",
        "pipeline.search",
        "--db",
        str(store / "corpus_mode_b_fr.db"),
        "--mode",
        "fulltext",
    ]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        result = subprocess.run(
            [*command, "arbitre"], stdout=closed, stderr=subprocess.PIPE, cwd=PROJECT_ROOT, check=False
        )

    assert result.returncode == 30
