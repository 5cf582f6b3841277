"""Look at both stores of a corpus: bytes, identity and, by expectations, what is in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from validation.evidence import StoreEvidence, collect_store
from validation.expectations import list_parameters
from validation.frames import build_chunk_frame, build_database_frame, build_metadata_frame
from validation.outcomes import Check, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.params import CandidateName
    from validation.engine import Engine
    from validation.evidence import CorpusEvidence
    from validation.expectations import SuiteRunner
    from validation.policy import Limits

ROLES: tuple[CandidateName, CandidateName] = ("base", "qlora")


@dataclass(frozen=True, slots=True)
class CorpusRequest:
    """One corpus to judge: its texts, its gold set, and the stores of base and candidate.

    `total` and `model_ids` are what params.yaml declares; None where stores come from elsewhere.
    """

    chunks: Path
    questions: Path
    qrels: Path
    stores: dict[CandidateName, Path]
    primary: bool
    total: int | None
    model_ids: dict[CandidateName, str] | None


def check_corpus(corpus: CorpusEvidence, limits: Limits, runner: SuiteRunner) -> list[Check]:
    """Run the expectations over the chunks."""
    parameters = list_parameters(limits, rows=corpus.total, model_id="", corpora=[corpus.name])
    return runner.run("chunks", corpus.name, build_chunk_frame(corpus.chunks), parameters)


@dataclass(frozen=True, slots=True)
class Opened:
    """The stores of a corpus that can be trusted, and what the look at the bytes of each store said."""

    stores: dict[CandidateName, StoreEvidence]
    integrity: dict[CandidateName, list[Check]]


def open_stores(request: CorpusRequest, corpus: CorpusEvidence, announce: Callable[[str], None]) -> Opened:
    """Open both stores and run the integrity checks of each."""
    opened = Opened({}, {})
    for role in ROLES:
        announce(f"store {role} of {corpus.name}")
        store, opened.integrity[role] = collect_store(role, request.stores[role], corpus)
        if store is not None:
            opened.stores[role] = store
    return opened


def check_stores(
    opened: Opened, corpus: CorpusEvidence, request: CorpusRequest, limits: Limits, engine: Engine
) -> list[Check]:
    """Return the integrity checks of both stores with the expectations over each that can be trusted."""
    checks: list[Check] = []
    for role, found in opened.integrity.items():
        checks += found
        if role in opened.stores:
            checks += check_store(opened.stores[role], corpus, request, limits, engine)
    if len(opened.stores) == len(ROLES):
        checks.append(check_distinct(opened.stores["base"], opened.stores["qlora"], corpus.name))
    return checks


def check_store(
    store: StoreEvidence, corpus: CorpusEvidence, request: CorpusRequest, limits: Limits, engine: Engine
) -> list[Check]:
    """Run model identity and the expectations over one store's matrices and database."""
    model_id = request.model_ids[store.role] if request.model_ids else store.manifest.model_id
    checks = [check_model(store, model_id)] if request.model_ids else []
    files = store.manifest.files
    for part, vectors, file, rows in (
        ("passages", store.passages, files.embeddings, corpus.total),
        ("questions", store.questions, files.questions, len(corpus.gold.questions)),
    ):
        parameters = list_parameters(limits, rows=rows, model_id=model_id, corpora=[corpus.name])
        summed = engine.sum_up(vectors, store.folder / file.name)
        checks += engine.runner.run("vectors", f"{store.subject}/{part}", summed, parameters)
    parameters = list_parameters(limits, rows=corpus.total, model_id=model_id, corpora=[corpus.name])
    checks += engine.runner.run("database", store.subject, build_database_frame(store), parameters)
    return checks + engine.runner.run("metadata", store.subject, build_metadata_frame(store), parameters)


def check_model(store: StoreEvidence, expected: str) -> Check:
    """Check that a store was made by the model that params.yaml names, and that the pipeline saw it happen (INT105)."""
    found = store.manifest.model_id
    if store.manifest.model is None:
        return Check("INT105", store.subject, Outcome.ERROR, found, expected, detail="vectors of unknown provenance")
    if found != expected:
        return Check("INT105", store.subject, Outcome.ERROR, found, expected, detail=f"made by {found}")
    return Check("INT105", store.subject, Outcome.PASS, found, expected)


def check_distinct(base: StoreEvidence, candidate: StoreEvidence, corpus: str) -> Check:
    """Check that the candidate's vectors are not the base's, byte for byte (INT104)."""
    digests = [store.manifest.files.embeddings.sha256 for store in (base, candidate)]
    same = digests[0] == digests[1]
    return Check(
        id="INT104",
        subject=corpus,
        outcome=Outcome.ERROR if same else Outcome.PASS,
        observed=digests[1],
        limit=f"not {digests[0]}",
        detail="candidate and base hold the same vectors: there is nothing to compare" if same else None,
    )
