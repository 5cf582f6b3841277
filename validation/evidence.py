"""Collect what a store says and what its bytes are, before anything is judged. No model is loaded here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.database import StoredRow, load_metadata, load_rows, open_database
from pipeline.errors import PipelineError
from pipeline.files import compute_sha256
from pipeline.store import MANIFEST, FileRecord, Manifest, load_manifest
from pipeline.vectors import VectorHeader, load_header
from validation.outcomes import Check, Outcome

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from pipeline.chunks import ChunkFile
    from pipeline.gold import GoldSet
    from pipeline.params import CandidateName


@dataclass(frozen=True, slots=True)
class CorpusEvidence:
    """A corpus with its gold set, and the digests by which stores are bound to both."""

    name: str
    total: int
    chunks: ChunkFile
    gold: GoldSet
    chunks_path: Path
    questions_path: Path
    qrels_path: Path
    chunks_sha256: str
    questions_sha256: str
    qrels_sha256: str


@dataclass(frozen=True, slots=True)
class VectorEvidence:
    """A matrix as it lies on disk, whatever its type and shape."""

    header: VectorHeader
    values: npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class StoreEvidence:
    """Everything read from a store whose bytes are those of its manifest."""

    role: CandidateName
    subject: str
    folder: Path
    manifest: Manifest
    passages: VectorEvidence
    questions: VectorEvidence
    metadata: dict[str, str]
    rows: list[StoredRow]


def collect_store(
    role: CandidateName, folder: Path, corpus: CorpusEvidence
) -> tuple[StoreEvidence | None, list[Check]]:
    """Read a store after comparing its bytes with its manifest.

    Returns:
        The evidence, or None when it cannot be trusted, with the integrity checks INT101 to INT103.
    """
    subject = f"{role}/{corpus.name}"
    try:
        manifest = load_manifest(folder)
        altered = find_altered_file(folder, manifest)
        if altered:
            return None, [Check("INT101", subject, Outcome.ERROR, altered, "as in the manifest", detail=altered)]
        checks = [Check("INT101", subject, Outcome.PASS, "equal", "as in the manifest", n=3)]
        checks += check_binding(subject, manifest, corpus)
        if any(check.outcome is not Outcome.PASS for check in checks):
            return None, checks
        return _read_store(role, subject, folder, manifest), checks
    except PipelineError as error:
        return None, [Check("INT101", subject, Outcome.ERROR, detail=str(error))]


def find_altered_file(folder: Path, manifest: Manifest) -> str | None:
    """Return what differs between a store's folder and its manifest, or None."""
    records = [manifest.files.embeddings, manifest.files.questions, manifest.files.database]
    extra = {path.name for path in folder.iterdir()} - {record.name for record in records} - {MANIFEST}
    if extra:
        return f"{min(extra)} is not in the manifest"
    return next((fault for record in records if (fault := _compare_file(folder, record))), None)


def check_binding(subject: str, manifest: Manifest, corpus: CorpusEvidence) -> list[Check]:
    """Check that a store was made from the chunks and the questions that are judged (INT102, INT103)."""
    pairs = {
        "INT102": (manifest.chunks_sha256, corpus.chunks_sha256, "made from other chunks"),
        "INT103": (manifest.questions_sha256, corpus.questions_sha256, "made for other questions"),
    }
    return [
        Check(
            id=check_id,
            subject=subject,
            outcome=Outcome.PASS if observed == expected else Outcome.ERROR,
            observed=observed,
            limit=expected,
            detail=None if observed == expected else why,
        )
        for check_id, (observed, expected, why) in pairs.items()
    ]


def _compare_file(folder: Path, record: FileRecord) -> str | None:
    path = folder / record.name
    if not path.is_file():
        return f"{record.name} is missing"
    if path.stat().st_size != record.size:
        return f"{record.name}: expected {record.size} bytes, got {path.stat().st_size}"
    if compute_sha256(path) != record.sha256:
        return f"{record.name}: SHA-256 differs from the manifest"
    return None


def _read_store(role: CandidateName, subject: str, folder: Path, manifest: Manifest) -> StoreEvidence:
    with open_database(folder / manifest.files.database.name) as connection:
        metadata, rows = load_metadata(connection), load_rows(connection)
    return StoreEvidence(
        role=role,
        subject=subject,
        folder=folder,
        manifest=manifest,
        passages=_read_vectors(folder / manifest.files.embeddings.name),
        questions=_read_vectors(folder / manifest.files.questions.name),
        metadata=metadata,
        rows=rows,
    )


def _read_vectors(path: Path) -> VectorEvidence:
    return VectorEvidence(load_header(path), np.load(path, allow_pickle=False))
