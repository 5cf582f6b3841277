"""The command that writes or checks the report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.params import PROJECT_ROOT, REPORTS
from validation.record import DECISION
from validation.reporting.report import NAMES, check_report, is_of_decision, write_report
from validation.typography import Language  # noqa: TC001 - typer reads annotations at run time


def report(
    decision: Annotated[Path, typer.Option(help="A decision.json.")] = REPORTS / DECISION,
    folder: Annotated[Path, typer.Option(help="Where the decision's inputs lie, at their paths.")] = PROJECT_ROOT,
    output: Annotated[Path, typer.Option(help="Folder of the page.")] = REPORTS,
    lang: Annotated[Language, typer.Option(help="Language of everything that is not evidence.")] = "fr",
    check: Annotated[
        Path | None, typer.Option(help="Instead of writing one, hold this report against the decision.")
    ] = None,
) -> None:
    """Write a decision as one self-contained page, report.html (French) or report.en.html.

    With --check, a report that was edited, or is that of another decision, is refused with exit code 30.
    """
    if check is None:
        typer.echo(_write(decision, folder, output, lang))
        return
    unlike = check_report(check, decision, folder)
    beside = f" (not compared, as the evidence at hand differs: {', '.join(unlike)})" if unlike else ""
    typer.echo(f"{check}: says what {decision} says{beside}")


def _write(decision: Path, folder: Path, output: Path, language: Language) -> Path:
    """Write the page; the one in the other language stays only where it is of this decision."""
    written: Path | None = None
    try:
        written = write_report(decision, folder, output / NAMES[language], language)
        return written
    finally:
        for path in (output / name for name in NAMES.values()):
            if path != written and path.exists() and not (written and is_of_decision(path, decision)):
                path.unlink()
