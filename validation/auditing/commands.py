"""The commands of auditing: `documents`, `schemas` and `audit`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commandline import make_progress
from pipeline.errors import EXIT_NOT_DONE
from pipeline.params import PROJECT_ROOT, REPORTS
from validation.auditing.bundle import STEPS, Commission, write_bundle
from validation.auditing.case import open_case
from validation.auditing.schemas import SCHEMAS, write_schemas
from validation.auditing.writing import write_documents
from validation.outcomes import Outcome
from validation.record import DECISION

DecisionOption = Annotated[Path, typer.Option(help="A decision.json.")]


def documents(
    decision: DecisionOption = REPORTS / DECISION,
    output: Annotated[Path, typer.Option(help="Folder of the documents, which is replaced.")] = REPORTS / "audit",
) -> int:
    """Write the documents of an audit, as JSON and as Markdown in French and in English.

    Exit code 30 where a file that was judged is missing or changed, or lies beside a store without being on record; the
    documents are there all the same, and the configuration audit says which.
    """
    audited = write_documents(open_case(decision, PROJECT_ROOT), output)
    typer.echo(f"{output}: configuration audit {audited.outcome.value}")
    return 0 if audited.outcome is Outcome.PASS else EXIT_NOT_DONE


def schemas(output: Annotated[Path, typer.Option(help="Folder of the schemas, which is replaced.")] = SCHEMAS) -> None:
    """Write the JSON Schemas of everything that this project writes, from the models that it is read by."""
    write_schemas(output)
    typer.echo(output)


def audit(
    key: Annotated[Path, typer.Option(help="Private key, made by `keygen`.")],
    decision: DecisionOption = REPORTS / DECISION,
    output: Annotated[Path, typer.Option(help="Folder to take away; its zip lies beside it.")] = REPORTS
    / "audit-bundle",
) -> None:
    """Gather in one folder, and in a zip of it, all that an auditor takes away; it is signed, and verified at the end.

    Nothing is written where something that was judged is missing or has other bytes.
    """
    with make_progress() as progress:
        task = progress.add_task("audit", total=len(STEPS))

        def announce(step: str) -> None:
            progress.update(task, description=step, completed=STEPS.index(step))

        commission = Commission(decision, PROJECT_ROOT, key, datetime.now(UTC), output)
        archive = write_bundle(commission, announce)
    typer.echo(output)
    typer.echo(archive)
