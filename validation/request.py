"""Gather what is to be judged: this project's own stores for release, or two stores from anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.canary import Canary
from pipeline.documents import load_json
from pipeline.errors import PipelineError, StoreError
from pipeline.model_folder import TRAINING_FILE
from pipeline.params import BUILD, PROJECT_ROOT
from pipeline.triplets import TRIPLETS
from validation.certificate import CERTIFICATE, Certificate
from validation.custody import Survey, survey
from validation.gate import GateRequest, load_corpus
from validation.inputs import Input, read_input
from validation.latency import LatencyEvidence, LatencyTarget, is_current, load_latency, measure_latency
from validation.leakage import load_training
from validation.releasing.events import LOG, load_events
from validation.releasing.receipt import RECEIPT, Receipt
from validation.stores import ROLES, CorpusRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date
    from pathlib import Path

    from pipeline.params import CandidateName, Params

LATENCY = "latency.json"
# What was built from what, and with which packages.
LOCKS = {"graph": PROJECT_ROOT / "dvc.lock", "packages": PROJECT_ROOT / "constraints.txt"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where the gate keeps evidence and how it makes what is missing.

    `announce` is told what is being done, `warn` what could not be.
    """

    folder: Path
    rounds: int
    announce: Callable[[str], None]
    warn: Callable[[str], None]


def list_release_corpora(params: Params) -> list[CorpusRequest]:
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


def require_built(corpora: list[CorpusRequest]) -> None:
    """Raise `StoreError` when there is no store at all: nothing was built yet, which is no reason to call a person."""
    folders = [folder for request in corpora for folder in request.stores.values()]
    if not any(folder.exists() for folder in folders):
        raise StoreError(folders[0], "no store has been built yet", "run `nox -s gate`, or `dvc repro` first")


def build_release_request(params: Params, as_of: date, evidence: Evidence) -> GateRequest:
    """Gather the project's own stores, latency run, training pairs, samples embedded anew and the certificate.

    Raises:
        StoreError: nothing was built yet.
        InputError: a corpus, a gold set, or a file of evidence is malformed.
    """
    corpora = list_release_corpora(params)
    require_built(corpora)
    read = tuple(load_corpus(corpus) for corpus in corpora)
    record = BUILD / "models" / "qlora" / TRAINING_FILE
    certificate, receipt = evidence.folder / CERTIFICATE, evidence.folder / RECEIPT
    canaries: dict[CandidateName, Path] = {role: BUILD / "canaries" / f"{role}.json" for role in ROLES}
    files = {**LOCKS, "triplets": TRIPLETS, "training": record, "certificate": certificate, "drill": receipt}
    files["log"] = PROJECT_ROOT / LOG
    # Hashed before they are read: a change in between shows when they are hashed again.
    inputs = _read_present(files | {f"canary_{role}": path for role, path in canaries.items()})
    return GateRequest(
        corpora=corpora,
        training=load_training(TRIPLETS, record) if record.is_file() else None,
        certificate=load_json(certificate, Certificate) if certificate.is_file() else None,
        drill=load_json(receipt, Receipt) if receipt.is_file() else None,
        custody=survey_places(evidence),
        canaries={role: load_json(path, Canary) for role, path in canaries.items() if path.is_file()},
        # Last, as nobody should wait for a measurement to hear that another file cannot be read.
        latency=load_or_measure_latency(corpora, [corpus.name for corpus in read], evidence),
        for_release=True,
        as_of=as_of,
        attempt=1 + sum(event.event == "gated" for event in load_events(PROJECT_ROOT)),
        inputs=(*inputs, *_read_present({"latency": evidence.folder / LATENCY})),
        read=read,
    )


def build_foreign_request(corpus: CorpusRequest, triplets: Path | None, as_of: date, evidence: Evidence) -> GateRequest:
    """Gather two stores from elsewhere, their latency run and, where given, the candidate's training pairs.

    Raises:
        InputError: the corpus, the gold set or the training pairs are missing or malformed.
    """
    read = load_corpus(corpus)
    inputs = _read_present({"triplets": triplets} if triplets else {})
    return GateRequest(
        corpora=[corpus],
        training=load_training(triplets, None) if triplets else None,
        certificate=None,
        drill=None,
        custody=None,
        canaries={},
        latency=load_or_measure_latency([corpus], [read.name], evidence),
        for_release=False,
        as_of=as_of,
        inputs=(*inputs, *_read_present({"latency": evidence.folder / LATENCY})),
        read=(read,),
    )


def load_or_measure_latency(
    corpora: list[CorpusRequest], names: list[str], evidence: Evidence
) -> LatencyEvidence | None:
    """Return the latency run of exactly these stores, measured anew where there is none; None where none can be made.

    What stands in the way of a measurement also stands in the way of judging the stores, and the gate says what it is.
    """
    path = evidence.folder / LATENCY
    targets = list_targets(corpora, names)
    try:
        if path.is_file() and is_current(found := load_latency(path), targets, rounds=evidence.rounds):
            return found
    except PipelineError as error:
        evidence.warn(f"measured again: {error}")
    evidence.announce(f"latency of {', '.join(names)}")
    try:
        measure_latency(targets, path, rounds=evidence.rounds)
        return load_latency(path)
    except PipelineError as error:
        evidence.warn(f"latency not measured: {error}")
        path.unlink(missing_ok=True)
        return None


def list_targets(corpora: Sequence[CorpusRequest], names: Sequence[str]) -> list[LatencyTarget]:
    """Return the two stores of each corpus, by its name."""
    return [
        LatencyTarget(name, request.stores["base"], request.stores["qlora"])
        for name, request in zip(names, corpora, strict=True)
    ]


def survey_places(evidence: Evidence) -> Survey | None:
    """Return who keeps which file of the project, or None where Git cannot tell."""
    try:
        return survey(PROJECT_ROOT)
    except PipelineError as error:
        evidence.warn(f"not looked at who keeps which file: {error}")
        return None


def _read_present(files: dict[str, Path]) -> tuple[Input, ...]:
    return tuple(read_input(name, path) for name, path in files.items() if path.is_file())
