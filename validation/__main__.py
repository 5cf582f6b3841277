"""`python -m validation`: judge embedding stores from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from pipeline.commandline import run_app
from pipeline.errors import StoreError
from pipeline.params import BUILD, PROJECT_ROOT, Params, load_params
from validation.gate import ROLES, CorpusRequest, judge
from validation.policy import EXPECTATIONS, load_rulebook
from validation.record import build_record, write_record
from validation.render import show_decision

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)


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
    policy: Annotated[Path, typer.Option(help="Limits and required checks.")] = EXPECTATIONS / "policy.yaml",
    output: Annotated[Path, typer.Option(help="Folder for decision.json.")] = PROJECT_ROOT / "reports",
) -> int:
    """Decide whether the candidate may replace the base.

    Without options, this project's built stores are judged for release. With --base, --candidate, --chunks, --questions
    and --qrels, two stores from anywhere are compared: no floor, nothing to tag.
    """
    foreign = (base, candidate, chunks, questions, qrels)
    if any(foreign) and not all(foreign):
        message = "--base, --candidate, --chunks, --questions and --qrels go together"
        raise typer.BadParameter(message)
    rulebook = load_rulebook(policy)
    if base and candidate and chunks and questions and qrels:
        requests = [
            CorpusRequest(
                chunks, questions, qrels, {"base": base, "qlora": candidate}, primary=True, total=None, model_ids=None
            )
        ]
        rules, name = rulebook.policy.comparison, "comparison"
    else:
        requests = list_release_requests(load_params())
        require_built(requests)
        rules, name = rulebook.policy.release, "release"
    console = Console(stderr=True)
    with console.status("gate") as status:
        judgement = judge(
            requests,
            rulebook.policy,
            rules,
            for_release=name == "release",
            announce=lambda what: status.update(Text(what)),
        )
    record = build_record(judgement, rulebook, name)
    path = write_record(record, output)
    show_decision(record, str(path))
    return int(record["exit_code"])


def list_release_requests(params: Params) -> list[CorpusRequest]:
    """Return what is judged for release: every corpus of params.yaml with both built stores."""
    return [
        CorpusRequest(
            chunks=corpus.chunks,
            questions=corpus.questions,
            qrels=corpus.qrels,
            stores={role: BUILD / role / corpus.name for role in ROLES},
            primary=corpus.role == "primary",
            total=corpus.total,
            model_ids={role: params.get_model_id(role) for role in ROLES},
        )
        for corpus in params.corpora
    ]


def require_built(requests: list[CorpusRequest]) -> None:
    """Raise `StoreError` when there is no store at all: nothing was built yet, which is no reason to call a person."""
    folders = [folder for request in requests for folder in request.stores.values()]
    if not any(folder.exists() for folder in folders):
        raise StoreError(folders[0], "no store has been built yet", "run `nox -s gate`, or `dvc repro` first")


if __name__ == "__main__":
    run_app(app)
