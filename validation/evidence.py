"""Collect what a store says and what its bytes are, before anything is judged. No model is loaded here."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.database import load_metadata, open_database, require_no_writer
from pipeline.database_schema import find_structure_fault
from pipeline.errors import PipelineError, StoreError
from pipeline.files import compute_sha256, open_verified
from pipeline.store import MANIFEST, Manifest, load_manifest
from pipeline.vectors import VectorHeader, map_array
from validation.outcomes import Check, Outcome
from validation.stored_rows import RowEvidence, compare_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    import numpy as np
    import numpy.typing as npt

    from pipeline.chunks import ChunkFile
    from pipeline.gold import GoldSet
    from pipeline.params import CandidateName

PARTS = ("embeddings", "questions", "database")


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
    manifest_sha256: str
    passages: VectorEvidence
    questions: VectorEvidence
    metadata: dict[str, str]
    rows: RowEvidence


def collect_store(
    role: CandidateName, folder: Path, corpus: CorpusEvidence
) -> tuple[StoreEvidence | None, list[Check]]:
    """Read a store after comparing its bytes with its manifest; what is read is what was hashed.

    Returns:
        The evidence, or None when it cannot be trusted, with the integrity checks INT101 to INT103 and INT106.
    """
    subject = f"{role}/{corpus.name}"
    try:
        manifest, manifest_sha256 = load_manifest(folder), compute_sha256(folder / MANIFEST)
        with open_files(folder, manifest) as streams:
            checks = [Check("INT101", subject, Outcome.PASS, "equal", "as in the manifest", n=len(streams))]
            checks += check_binding(subject, manifest, corpus)
            if any(check.outcome is not Outcome.PASS for check in checks):
                return None, checks
            passages = VectorEvidence(*map_array(streams["embeddings"], folder / manifest.files.embeddings.name))
            questions = VectorEvidence(*map_array(streams["questions"], folder / manifest.files.questions.name))
    except PipelineError as error:
        return None, [Check("INT101", subject, Outcome.ERROR, detail=_tell(error, folder))]
    try:
        metadata, rows = _read_database(folder / manifest.files.database.name, corpus.chunks, passages)
    except PipelineError as error:
        return None, [*checks, Check("INT106", subject, Outcome.ERROR, detail=_tell(error, folder))]
    checks.append(Check("INT106", subject, Outcome.PASS, "sound", "as exported"))
    return StoreEvidence(role, subject, folder, manifest, manifest_sha256, passages, questions, metadata, rows), checks


@contextlib.contextmanager
def open_files(folder: Path, manifest: Manifest) -> Iterator[dict[str, BinaryIO]]:
    """Open the three files of a store, whose bytes are those of its manifest, by part.

    Raises:
        StoreError: there is another file beside them.
        InputError: a file is missing, a link, or of other bytes.
    """
    records = {part: getattr(manifest.files, part) for part in PARTS}
    extra = {path.name for path in folder.iterdir()} - {record.name for record in records.values()} - {MANIFEST}
    if extra:
        raise StoreError(min(extra), "is not in the manifest", "remove it, or build the store again")
    with contextlib.ExitStack() as stack:
        yield {
            part: stack.enter_context(open_verified(folder / record.name, record.size, record.sha256))
            for part, record in records.items()
        }


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


def _tell(error: PipelineError, folder: Path) -> str:
    """Return what is wrong and where in the store, wherever the store lies."""
    return f"{error.where.removeprefix(f'{folder}/')}: {error.problem}"


def _read_database(path: Path, chunks: ChunkFile, passages: VectorEvidence) -> tuple[dict[str, str], RowEvidence]:
    require_no_writer(path)
    with open_database(path) as connection:
        fault = find_structure_fault(connection)
        if fault is not None:
            raise StoreError(path, fault, "export the database again")
        return load_metadata(connection), compare_rows(connection, chunks, passages.values)
