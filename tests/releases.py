"""Small releases: two corpora with slices, both stores of each, and all the evidence that the gate asks for."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.files import write_json
from pipeline.params import Params, load_params
from pipeline.provenance import write_provenance
from pipeline.store import StoreInputs, build_store, load_manifest
from pipeline.vectors import save_vectors
from tests.conftest import IDENTITY, draw_unit_vectors, write_sample
from tests.stores import ROWS, enter_project
from validation.certificate import Certificate, NullRuns, Trial, list_bound
from validation.certify import build_case
from validation.expectations import open_remembering
from validation.gate import GateRequest, Judgement, judge, load_corpus
from validation.latency import CorpusLatency, LatencyEvidence, LatencyTarget, collect_digests
from validation.latency_rounds import OPERATIONS, Machine, RoundTimes
from validation.leakage import TrainingEvidence
from validation.outcomes import Check, Outcome, Verdict
from validation.policy import EXPECTATIONS, Rulebook, load_rulebook
from validation.release_case import ORDERLY, blur, build_canaries, build_receipt
from validation.retrieval_record import describe_comparison
from validation.stores import ROLES, CorpusRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pipeline.params import CandidateName
    from pipeline.vectors import Matrix
    from validation.policy import Rules
    from validation.release_case import ReleaseCase

CORPORA: dict[str, Literal["primary", "secondary"]] = {"fr": "primary", "intl": "secondary"}
MODEL_IDS: dict[CandidateName, str] = {role: load_params().get_model_id(role) for role in ROLES}
DAY = date(2026, 1, 25)
# What a question of a base shares with the passage that answers it: enough to find it about every other time.
FAINT = 0.07
NUMBERS = np.arange(ROWS)
# Slices of 40 questions and, too small for a loss to be shown, of 20.
CLOCK, HARD = NUMBERS % 3 == 0, NUMBERS % 6 == 0
Answered = npt.NDArray[np.bool_]
Hits = dict[str, tuple[int | Answered, int | Answered]]


class RunnerHere:
    """Stands for the process beside, where it is of no interest: the suites run in this one."""

    def open(self, suites: Path) -> None:
        """Read the suites."""
        self.run = open_remembering(suites).run

    def __enter__(self) -> Self:
        """Return this runner."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Leave nothing behind."""


@contextlib.contextmanager
def remember_expectations() -> Iterator[None]:
    """Let the gate remember, as long as this lasts, what Great Expectations said of a table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("validation.gate.ExpectationRunner", open_remembering)
        patch.setattr("validation.gate_command.RunnerBeside", RunnerHere)
        yield


def load_small_rulebook(*, resamples: int = 1000, runs: int = 1000) -> Rulebook:
    """Load the rules of the project, with fewer draws than its policy asks for."""
    rulebook = load_rulebook(EXPECTATIONS / "policy.yaml")
    policy = rulebook.policy
    changes = {
        "statistics": policy.statistics.model_copy(update={"resamples": resamples}),
        "certification": policy.certification.model_copy(update={"runs": runs}),
    }
    return replace(rulebook, policy=policy.model_copy(update=changes))


def load_small_params() -> Params:
    """Load the parameters of the project, with corpora as small as those of `write_corpora`."""
    params = load_params()
    corpora = [corpus.model_copy(update={"total": ROWS}) for corpus in params.corpora]
    return params.model_copy(update={"corpora": corpora})


def list_requests(folder: Path) -> list[CorpusRequest]:
    """Return what is judged for release in a folder that is laid out as the project is."""
    return [
        CorpusRequest(
            chunks=folder / "corpus" / "processed" / f"chunks_mode_b_{name}.json",
            questions=folder / "corpus" / "gold" / f"questions_{name}.jsonl",
            qrels=folder / "corpus" / "gold" / f"qrels_{name}.tsv",
            stores={role: folder / "build" / role / name for role in ROLES},
            primary=part == "primary",
            total=ROWS,
            model_ids=MODEL_IDS,
        )
        for name, part in CORPORA.items()
    ]


def write_corpora(folder: Path) -> list[CorpusRequest]:
    """Write both corpora with as many questions as chunks, in slices, and without any store yet."""
    requests = list_requests(folder)
    for name, request in zip(CORPORA, requests, strict=True):
        sample = write_sample(folder / "sample" / name, name, rows=ROWS, questions=ROWS)
        asked = [json.loads(line) for line in sample.questions.read_text(encoding="utf-8").splitlines()]
        for number, question in enumerate(asked):
            category, difficulty = "clock" if CLOCK[number] else "laws", "hard" if HARD[number] else "easy"
            question["metadata"] = {"category": category, "difficulty": difficulty, "question_type": "factual"}
        for path in (request.chunks, request.questions):
            path.parent.mkdir(parents=True, exist_ok=True)
        sample.chunks.rename(request.chunks)
        sample.qrels.rename(request.qrels)
        text = "".join(json.dumps(question, ensure_ascii=False) + "\n" for question in asked)
        request.questions.write_text(text, encoding="utf-8")
    return requests


def write_store(request: CorpusRequest, role: CandidateName, passages: Matrix, questions: Matrix) -> Path:
    """Build a real store of whose vectors the pipeline knows the model."""
    folder = request.stores[role]
    work = folder.parent / f"{folder.name}-vectors"
    inputs = StoreInputs(request.chunks, work / "embeddings.npy", request.questions, work / "questions.npy")
    model = IDENTITY.model_copy(update={"model_id": MODEL_IDS[role]})
    for path, text, kind, matrix in (
        (inputs.embeddings, request.chunks, "passages", passages),
        (inputs.question_embeddings, request.questions, "questions", questions),
    ):
        save_vectors(path, matrix)
        write_provenance(path, text, "passages" if kind == "passages" else "questions", model)
    build_store(inputs, None, folder)
    return folder


def write_faint_bases(requests: Sequence[CorpusRequest]) -> None:
    """Build base stores whose questions lean towards what answers them, so that some find it."""
    draw = np.random.default_rng(11)
    for seed, request in enumerate(requests):
        passages = draw_unit_vectors(ROWS, seed)
        write_store(request, "base", passages, blur(FAINT * passages, 1.0, draw))


def write_release(folder: Path, hits: Hits) -> list[CorpusRequest]:
    """Write both corpora with both stores each; base and candidate answer as many questions as told, or just these."""
    requests = write_corpora(folder)
    for seed, (name, request) in enumerate(zip(CORPORA, requests, strict=True)):
        for offset, (role, count) in enumerate(zip(ROLES, hits[name], strict=True)):
            passages = draw_unit_vectors(ROWS, 10 * seed + offset)
            answered = count > NUMBERS if isinstance(count, int) else count
            questions = np.where(answered[:, None], passages, -passages)
            write_store(request, role, passages, questions)
    return requests


def build_latency(requests: Sequence[CorpusRequest], ratio: float = 1.0) -> LatencyEvidence:
    """Return latency evidence of these stores in which the candidate takes `ratio` times the time of the base."""
    pairs = [(request.stores["base"], request.stores["qlora"]) for request in requests]
    return time_steadily([LatencyTarget(load_manifest(base).corpus, base, other) for base, other in pairs], ratio)


def time_steadily(targets: Sequence[LatencyTarget], ratio: float = 1.0, rounds: int = 10) -> LatencyEvidence:
    """Return latency evidence as a machine gives it that nothing disturbs."""
    base = [0.01 + 0.0001 * number for number in range(rounds)]
    times = RoundTimes(base=base, candidate=[ratio * seconds for seconds in base])
    machine = Machine(
        cpu="Abacus", cores=2, system="Linux", release="6", python_version="3.11", python_implementation="CPython"
    )
    measured = {
        target.corpus: CorpusLatency(
            stores=collect_digests(load_manifest(target.base), load_manifest(target.candidate)),
            operations=dict.fromkeys(OPERATIONS, times),
        )
        for target in targets
    }
    return LatencyEvidence(schema_version=1, machine=machine, corpora=measured)


def measure_steadily(targets: Sequence[LatencyTarget], path: Path, *, rounds: int) -> None:
    """Write `latency.json` as a machine gives it that nothing disturbs."""
    write_json(path, time_steadily(targets, rounds=rounds).model_dump())


def build_small_case(folder: Path, rulebook: Rulebook) -> ReleaseCase:
    """Write corpora and base stores into a folder, and return the release of the control candidate."""
    write_faint_bases(write_corpora(folder))
    params = load_small_params()
    (folder / "case").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        enter_project(patch, folder, params)
        patch.setattr("validation.certify.measure_latency", measure_steadily)
        return build_case(rulebook, params, folder / "case")


def build_training(folder: Path) -> TrainingEvidence:
    """Return training pairs that give nothing away and on which the candidate says it was trained."""
    return TrainingEvidence(folder, "1" * 64, ("De quoi parle-t-on quand il pleut ?",), "1" * 64)


def build_certificate(requests: Sequence[CorpusRequest], rulebook: Rulebook) -> Certificate:
    """Return a certificate that vouches for the gate as it is now, on these gold sets and base stores."""
    pairs = [(load_corpus(request), load_manifest(request.stores["base"])) for request in requests]
    trial = Trial(
        id="t", title="t", expected=Verdict.KEEP, expected_findings=[], tolerated=[], observed=Verdict.KEEP,
        observed_findings=[],
    )  # fmt: skip
    wanted = rulebook.policy.certification
    runs = NullRuns(id="n", title="n", runs=wanted.runs, releases=0, disagreement=0.1)
    return Certificate(
        schema_version=1,
        bound_to=list_bound(rulebook, pairs),
        trials=[trial] * wanted.trials,
        null_runs=[runs],
    )


def build_gate_request(requests: Sequence[CorpusRequest], rulebook: Rulebook) -> GateRequest:
    """Return the request to judge these stores for release, with nothing missing."""
    return GateRequest(
        corpora=list(requests),
        latency=build_latency(requests),
        training=build_training(requests[0].chunks),
        certificate=build_certificate(requests, rulebook),
        drill=build_receipt(requests),
        custody=ORDERLY,
        canaries=build_canaries(requests),
        for_release=True,
        as_of=DAY,
    )


def judge_release(request: GateRequest, rulebook: Rulebook, rules: Rules | None = None) -> Judgement:
    """Judge for release by the rules of the policy, or by others, and describe what was compared."""
    rules = rules or rulebook.policy.release
    describe = partial(describe_comparison, rulebook.policy, rules)
    return judge(request, rulebook, rules, lambda _: None, describe=describe)


def list_causes(judgement: Judgement) -> dict[tuple[str, str], Outcome]:
    """Return what did not pass and is not the consequence of something else."""
    checks = [check for check in judgement.ledger if check.outcome is not Outcome.PASS]
    return {check.key: check.outcome for check in checks if check.blocked_by is None}


def get_check(judgement: Judgement, check_id: str, subject: str) -> Check:
    """Return one check of the ledger."""
    return next(check for check in judgement.ledger if check.key == (check_id, subject))


def drop_expectations(rulebook: Rulebook, checks: Sequence[str], folder: Path) -> Rulebook:
    """Return the rules with suites in which nothing serves these checks."""
    folder.mkdir()
    for path in rulebook.suites.glob("*.json"):
        document = json.loads(path.read_text(encoding="utf-8"))
        document["expectations"] = [each for each in document["expectations"] if each["meta"]["check"] not in checks]
        (folder / path.name).write_text(json.dumps(document), encoding="utf-8")
    return replace(rulebook, suites=folder)
