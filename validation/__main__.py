"""`python -m validation`: judge embedding stores, certify the gate and explain a decision, from the command line."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipeline.commandline import make_progress, run_app
from pipeline.documents import load_json
from pipeline.engine import LOCAL_MASTER, EngineName, EngineOption, MasterOption
from pipeline.params import REPORTS, CandidateName, load_params
from validation.answers import write_answers
from validation.attesting.commands import attest, keygen
from validation.auditing.commands import audit, documents, schemas
from validation.certify import certify_gate
from validation.custody import custody
from validation.document import Record
from validation.engine import Engine, open_engine
from validation.explain import render_explanation
from validation.gate import judge
from validation.policy import EXPECTATIONS, Rulebook, load_rulebook
from validation.record import DECISION, build_record, build_refusal, write_record
from validation.releasing.commands import drill, fallback, release, releases, verify
from validation.render import quote, show_decision
from validation.reporting.commands import report
from validation.request import Evidence, build_foreign_request, build_release_request
from validation.stores import CorpusRequest
from validation.summary import summary

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

PolicyOption = Annotated[Path, typer.Option(help="Limits and required checks.")]
OutputOption = Annotated[Path, typer.Option(help="Folder of the decision and its evidence.")]


@app.callback()
def describe() -> None:
    """Judge embedding stores. Exit codes: 0 RELEASE, 20 KEEP, 30 NOT_EVALUATED, 40 HALT, 2 wrong usage."""


@app.command()
def gate(
    base: Annotated[Path | None, typer.Option(help="Base store from elsewhere.")] = None,
    candidate: Annotated[Path | None, typer.Option(help="Candidate store from elsewhere.")] = None,
    chunks: Annotated[Path | None, typer.Option(help="Corpus of those stores.")] = None,
    questions: Annotated[Path | None, typer.Option(help="Gold questions, JSON Lines.")] = None,
    qrels: Annotated[Path | None, typer.Option(help="Relevance judgements, BEIR TSV.")] = None,
    triplets: Annotated[Path | None, typer.Option(help="Training pairs of that candidate, searched for leaks.")] = None,
    policy: PolicyOption = EXPECTATIONS / "policy.yaml",
    output: OutputOption = REPORTS,
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
    stores: CorpusRequest | None = None
    if base and candidate and chunks and questions and qrels:
        pair: dict[CandidateName, Path] = {"base": base, "qlora": candidate}
        stores = CorpusRequest(chunks, questions, qrels, pair, primary=True, total=None, model_ids=None)
    day = as_of.date() if as_of else datetime.now(UTC).date()
    try:
        rulebook = load_rulebook(policy)
        with open_engine(engine, spark_master, rulebook.suites) as place:
            record = decide_stores(stores, triplets, rulebook, output, day, place)
        path = write_record(record, output)
    except Exception as error:
        write_record(build_refusal(error, for_release=stores is None), output)
        raise
    show_decision(record, str(path))
    return record.exit_code


def decide_stores(
    stores: CorpusRequest | None,
    triplets: Path | None,
    rulebook: Rulebook,
    output: Path,
    day: date,
    engine: Engine | None = None,
) -> Record:
    """Gather evidence, judge it and return the decision document; without `stores`, the project's own are judged.

    Without `engine`, all of it is done in this process. The document does not name the engine: it changes nothing in
    it, so that a verdict of Spark can be held against one of this process byte for byte.

    Raises:
        PipelineError: a corpus, the evidence or params.yaml is malformed, so nothing can be judged.
    """
    console = Console(stderr=True)
    with console.status("gate") as status:
        evidence = Evidence(
            folder=output,
            rounds=rulebook.policy.statistics.rounds,
            announce=lambda what: status.update(quote(what)),
            warn=lambda what: console.print(quote(what), soft_wrap=True),
        )
        if stores:
            request = build_foreign_request(stores, triplets, day, evidence)
        else:
            request = build_release_request(load_params(), day, evidence)
        rules = rulebook.policy.comparison if stores else rulebook.policy.release
        judgement = judge(request, rulebook, rules, evidence.announce, engine)
        return build_record(judgement, request, rulebook, write_answers(judgement.findings, output))


@app.command()
def certify(policy: PolicyOption = EXPECTATIONS / "policy.yaml", output: OutputOption = REPORTS) -> None:
    """Prove the gate on this project's base stores: spoilt candidates, and candidates that do not differ.

    Writes certificate.json, without which nothing is released; does nothing where it still holds.
    """
    with make_progress() as progress:
        typer.echo(certify_gate(load_rulebook(policy), load_params(), output, progress))


@app.command()
def explain(
    decision: Annotated[Path, typer.Argument(help="A decision.json.")] = REPORTS / DECISION,
    check: Annotated[str | None, typer.Argument(help="A check such as RET301; default: all that matter.")] = None,
) -> None:
    """Say why a decision came out as it did, and how far it is from another one."""
    record = load_json(decision, Record)
    Console().print(render_explanation(record, check))


COMMANDS = (
    keygen,
    attest,
    audit,
    documents,
    schemas,
    summary,
    report,
    release,
    fallback,
    drill,
    verify,
    releases,
    custody,
)
for command in COMMANDS:
    app.command()(command)


if __name__ == "__main__":
    run_app(app)
