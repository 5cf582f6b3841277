"""The command that judges. What takes long to import is imported while Great Expectations is, in a process beside."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.engine import LOCAL_MASTER, EngineName, EngineOption, MasterOption
from pipeline.params import REPORTS
from validation.beside import RunnerBeside
from validation.policy import EXPECTATIONS

if TYPE_CHECKING:
    from validation.stores import CorpusRequest


def gate(
    base: Annotated[Path | None, typer.Option(help="Base store from elsewhere.")] = None,
    candidate: Annotated[Path | None, typer.Option(help="Candidate store from elsewhere.")] = None,
    chunks: Annotated[Path | None, typer.Option(help="Corpus of those stores.")] = None,
    questions: Annotated[Path | None, typer.Option(help="Gold questions, JSON Lines.")] = None,
    qrels: Annotated[Path | None, typer.Option(help="Relevance judgements, BEIR TSV.")] = None,
    triplets: Annotated[Path | None, typer.Option(help="Training pairs of that candidate, searched for leaks.")] = None,
    policy: Annotated[Path, typer.Option(help="Limits and required checks.")] = EXPECTATIONS / "policy.yaml",
    output: Annotated[Path, typer.Option(help="Folder of the decision and its evidence.")] = REPORTS,
    engine: EngineOption = EngineName.LOCAL,
    spark_master: MasterOption = LOCAL_MASTER,
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day on which waivers are looked at; default: today.")
    ] = None,
) -> int:
    """Decide whether the candidate may replace the base.

    Without options, this project's built stores are judged for release. With --base, --candidate, --chunks, --questions
    and --qrels, two stores from anywhere are compared: no floor, no certificate, nothing to tag.
    """
    foreign = (base, candidate, chunks, questions, qrels)
    if any((*foreign, triplets)) and not all(foreign):
        message = "--base, --candidate, --chunks, --questions and --qrels go together"
        raise typer.BadParameter(message)
    is_local = engine is EngineName.LOCAL
    with RunnerBeside() if is_local else contextlib.nullcontext() as beside:
        from validation.engine import open_engine
        from validation.judging import build_pair, judge_and_record
        from validation.render import show_decision

        stores: CorpusRequest | None = None
        if base and candidate and chunks and questions and qrels:
            stores = build_pair(base, candidate, chunks, questions, qrels)
        day = as_of.date() if as_of else datetime.now(UTC).date()
        record, path = judge_and_record(
            stores, triplets, policy, output, day, partial(open_engine, beside, spark_master)
        )
    show_decision(record, str(path))
    return record.exit_code
