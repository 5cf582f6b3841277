"""Gather what is to be judged, judge it, and leave a decision whatever happens."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console

from pipeline.params import load_params
from validation.answers import write_answers
from validation.gate import judge
from validation.policy import load_rulebook
from validation.record import build_record, build_refusal, write_record
from validation.render import quote
from validation.request import Evidence, build_foreign_request, build_release_request
from validation.retrieval_record import describe_comparison
from validation.stores import CorpusRequest

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from datetime import date
    from pathlib import Path

    from pipeline.params import CandidateName
    from validation.document import Record
    from validation.engine import Engine
    from validation.policy import Rulebook


def build_pair(base: Path, candidate: Path, chunks: Path, questions: Path, qrels: Path) -> CorpusRequest:
    """Return the request to compare two stores from anywhere."""
    stores: dict[CandidateName, Path] = {"base": base, "qlora": candidate}
    return CorpusRequest(chunks, questions, qrels, stores, primary=True, total=None, model_ids=None)


def judge_and_record(
    stores: CorpusRequest | None,
    triplets: Path | None,
    policy: Path,
    output: Path,
    day: date,
    open_engine: Callable[[Path], AbstractContextManager[Engine]],
) -> tuple[Record, Path]:
    """Decide, and write the decision; what stands in the way of one is written down as well, and then raised.

    `open_engine` is given the folder of the suites. The decision does not name the engine: it changes nothing in it, so
    that a verdict of Spark can be held against one of this machine byte for byte.
    """
    try:
        rulebook = load_rulebook(policy)
        with open_engine(rulebook.suites) as engine:
            record = decide_stores(stores, triplets, rulebook, output, day, engine)
        return record, write_record(record, output)
    except Exception as error:
        write_record(build_refusal(error, for_release=stores is None), output)
        raise


def decide_stores(
    stores: CorpusRequest | None,
    triplets: Path | None,
    rulebook: Rulebook,
    output: Path,
    day: date,
    engine: Engine,
) -> Record:
    """Gather evidence, judge it and return the decision document; without `stores`, the project's own are judged.

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
        describe = partial(describe_comparison, rulebook.policy, rules)
        judgement = judge(request, rulebook, rules, evidence.announce, engine, describe)
        return build_record(judgement, request, rulebook, write_answers(judgement.findings, output))
