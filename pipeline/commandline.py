"""The one boundary between exceptions and exit codes, shared by every command."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import click
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from pipeline.errors import EXIT_NOT_DONE, PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def make_progress() -> Progress:
    """Return a progress display on standard error, silent when that is not a terminal."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def run_command(command: Callable[..., None]) -> None:
    """Run one function as a command line program and exit with its code."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(command)
    run_app(app)


def run_app(app: typer.Typer) -> None:
    """Run a typer application; known errors become one line on standard error.

    Exit codes: 0 done, 2 wrong usage, 30 not done (bad input, no space, defect), 130 interrupted.
    """
    try:
        code = app(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_USAGE)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)
    except PipelineError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or 'operating system'}: {error.strerror or error}; free the resource and run again")
    except MemoryError:
        _fail("out of memory: the input is larger than this machine can hold; use a larger one")
    except Exception as error:  # noqa: BLE001 - the outermost boundary: a defect must not look like a verdict
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        _fail(f"internal error at {place}: {type(error).__name__}: {error}; please report it")
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> None:
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    sys.exit(EXIT_NOT_DONE)
