"""Store cards: what those who use a store need to know, from its manifest, its model and what was measured."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeVar, get_args

from pydantic import BaseModel, ConfigDict

from pipeline.documents import load_json
from pipeline.errors import InputError
from pipeline.files import compute_sha256
from pipeline.params import BUILD, PROJECT_ROOT, CandidateName
from pipeline.store import Manifest
from pipeline.vectors import DIMENSION, DTYPE
from validation.auditing.card_words import FALLBACK, LIMITS, TITLE, USE
from validation.auditing.clauses import list_clauses
from validation.auditing.documents import CardFile, Measured, Origin, Part, StoreCard, Training
from validation.auditing.training import TrainingArguments
from validation.outcomes import Outcome
from validation.requirements import Wording

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.store import FileRecord
    from validation.auditing.case import Case

Document = TypeVar("Document", bound=BaseModel)
ROLES: tuple[CandidateName, ...] = get_args(CandidateName)
TRAINING_INPUT, TRIPLETS_INPUT = "training", "triplets"
# Of a model's folder; its digest goes into that of the weights.
POOLING = PurePosixPath("1_Pooling", "config.json")


class _Pooling(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    pooling_mode: str | None = None


def list_stores(case: Case) -> list[tuple[CandidateName, str]]:
    """Return role and corpus of every store of a decision."""
    names = [name.split("/") for name in case.record.inputs if name.endswith("/manifest")]
    return [(role, parts[1]) for role in ROLES for parts in names if parts[0] == role]


def build_store_card(case: Case, role: CandidateName, corpus: str) -> StoreCard:
    """Return the card of a store.

    Raises:
        InputError: its manifest or the record of its training is missing, malformed, or not the one that was judged.
    """
    record, name = case.record, f"{role}/{corpus}"
    manifest = _load_recorded(case, f"{name}/manifest", Manifest)
    model = manifest.model
    checks = [check.outcome for check in record.checks if f"{check.subject}/".startswith(f"{name}/")]
    chunks = record.inputs[f"{corpus}/chunks"]
    return StoreCard(
        document=f"store-card-{role}-{corpus}",
        title=Wording(fr=f"{TITLE.fr} {name}", en=f"{TITLE.en} {name}"),
        basis=case.basis,
        evidence_mapped_to=list_clauses("store-card"),
        role=role,
        corpus=corpus,
        model_id=manifest.model_id,
        revision=model.revision if model else None,
        weights_sha256=model.weights_sha256 if model else None,
        document_prompt=model.document_prompt if model else None,
        question_prompt=model.question_prompt if model else None,
        pooling=_find_pooling(case, role),
        training=_describe_training(case) if role == "qlora" and TRAINING_INPUT in record.inputs else None,
        chunks=chunks,
        rows=manifest.total,
        dimension=model.dimension if model else DIMENSION,
        dtype=DTYPE,
        manifest=record.inputs[f"{name}/manifest"],
        files=list(_list_files(case, name, manifest)),
        measured=list(_list_measured(case, role, corpus)),
        outcomes={outcome: checks.count(outcome) for outcome in Outcome},
        intended_use=USE,
        limits=LIMITS,
        fallback=FALLBACK,
    )


def _load_recorded(case: Case, name: str, kind: type[Document]) -> Document:
    recorded = case.record.inputs[name]
    path = case.folder / recorded.path
    if compute_sha256(path) != recorded.sha256:
        raise InputError(path, "has other bytes than were judged", "restore it, or run `nox -s gate` again")
    return load_json(path, kind)


def locate_pooling(role: CandidateName) -> PurePosixPath:
    """Return where in a project the model of a candidate says how it pools."""
    return PurePosixPath(BUILD.relative_to(PROJECT_ROOT)) / "models" / role / POOLING


def _find_pooling(case: Case, role: CandidateName) -> str | None:
    path = case.folder / locate_pooling(role)
    return load_json(path, _Pooling).pooling_mode if path.is_file() else None


def _describe_training(case: Case) -> Training:
    record = case.record.inputs[TRAINING_INPUT]
    told = _load_recorded(case, TRAINING_INPUT, TrainingArguments)
    judged = case.record.inputs.get(TRIPLETS_INPUT)
    return Training(
        record=record,
        parent=Origin(**told.parent.model_dump()),
        settings=told.settings,
        method=told.method.model_dump(exclude={"libraries"}),
        libraries=told.method.libraries,
        triplets=told.data.triplets,
        triplets_sha256=told.data.sha256,
        triplets_file=judged.path if judged and judged.sha256 == told.data.sha256 else None,
    )


def _list_files(case: Case, name: str, manifest: Manifest) -> Iterator[CardFile]:
    folder = PurePosixPath(case.record.inputs[f"{name}/manifest"].path).parent
    for part in get_args(Part):
        file: FileRecord = getattr(manifest.files, part)
        yield CardFile(part=part, path=(folder / file.name).as_posix(), size=file.size, sha256=file.sha256)


def _list_measured(case: Case, role: CandidateName, corpus: str) -> Iterator[Measured]:
    for name, metric in case.record.retrieval.get(corpus, {}).items():
        side = metric.base if role == "base" else metric.candidate
        yield Measured(metric=name, value=side.value, hits=side.hits, n=side.n)
