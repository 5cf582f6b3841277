"""The one boundary between exceptions and exit codes, shared by every command."""

from __future__ import annotations

import io
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from unicodedata import category

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from pipeline.errors import EXIT_NOT_DONE, PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


class RateColumn(ProgressColumn):
    """How many steps a second are done, once that is known."""

    def render(self, task: Task) -> Text:
        """Return the rate."""
        rate = task.finished_speed or task.speed
        return Text("" if rate is None else f"{rate:,.1f}/s", style="progress.data.speed")


def make_progress() -> Progress:
    """Return a display of progress, rate and time left on standard error, silent when that is not a terminal."""
    console = Console(stderr=True)
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def run_command(command: Callable[..., None]) -> None:
    """Run one function as a command line program and exit with its code."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(command)
    run_app(app)


def run_app(app: typer.Typer) -> None:
    """Run a typer application; known errors become one line on standard error.

    Exit codes: 0 done, 2 wrong usage, 30 not done (bad input, no space, defect) or the error's own, 130 interrupted.
    """
    _relax_streams()
    try:
        code = app(standalone_mode=False)
    except typer.TyperException as error:
        _refuse_usage(error)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)
    except SystemExit as error:
        # rich and typer leave a closed pipe with code 1, which no command of this project uses.
        sys.exit(EXIT_NOT_DONE if error.code == 1 else error.code)
    except PipelineError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        where = error.filename2 or error.filename or "operating system"
        _fail(f"{where}: {error.strerror or error}; free the resource and run again")
    except MemoryError:
        _fail("out of memory: the input is larger than this machine can hold; use a larger one")
    except Exception as error:  # noqa: BLE001 - the outermost boundary: a defect must not look like a verdict
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        _fail(f"internal error at {place}: {type(error).__name__}: {error}; please report it")
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _relax_streams() -> None:
    # A terminal that cannot show a sign gets its code; it must not turn a verdict into an error.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _refuse_usage(error: typer.TyperException) -> NoReturn:
    message = error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(f"{message}\n")
        sys.exit(EXIT_USAGE)
    _fail(f"{message.rstrip('.')}; see --help", EXIT_USAGE)


def _fail(message: str, code: int = EXIT_NOT_DONE) -> NoReturn:
    line = " ".join(message.split())
    shown = (sign.encode("unicode_escape").decode() if category(sign).startswith("C") else sign for sign in line)
    sys.stderr.write(f"error: {''.join(shown)}\n")
    sys.exit(code)
