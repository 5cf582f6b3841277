"""The commands that certify the gate and explain a decision."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipeline.commandline import make_progress
from pipeline.documents import load_json
from pipeline.params import REPORTS, load_params
from validation.certify import certify_gate
from validation.document import Record
from validation.explain import render_explanation
from validation.policy import EXPECTATIONS, load_rulebook
from validation.record import DECISION


def certify(
    policy: Annotated[Path, typer.Option(help="Limits and required checks.")] = EXPECTATIONS / "policy.yaml",
    output: Annotated[Path, typer.Option(help="Folder of the certificate.")] = REPORTS,
) -> None:
    """Prove the gate on this project's base stores: spoilt candidates, and candidates that do not differ.

    Writes certificate.json, without which nothing is released; does nothing where it still holds.
    """
    beside = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
    with make_progress() as progress, beside as pool:
        typer.echo(certify_gate(load_rulebook(policy), load_params(), output, progress, pool))


def explain(
    decision: Annotated[Path, typer.Argument(help="A decision.json.")] = REPORTS / DECISION,
    check: Annotated[str | None, typer.Argument(help="A check such as RET301; default: all that matter.")] = None,
) -> None:
    """Say why a decision came out as it did, and how far it is from another one."""
    record = load_json(decision, Record)
    Console().print(render_explanation(record, check))
