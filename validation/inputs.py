"""Every file that has a say in a verdict, with the digest of what was read, and whether it is still the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from pipeline.files import compute_sha256
from pipeline.store import MANIFEST
from validation.evidence import PARTS
from validation.outcomes import Check, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from validation.evidence import CorpusEvidence, StoreEvidence
    from validation.policy import Rulebook


@dataclass(frozen=True, slots=True)
class Input:
    """A file by its name in the decision, and the SHA-256 of the bytes that were looked at."""

    name: str
    path: Path
    sha256: str


def read_input(name: str, path: Path) -> Input:
    """Return a file with its digest. Raises `InputError` where it is missing."""
    return Input(name, path, compute_sha256(path))


def list_inputs(
    rulebook: Rulebook, corpora: Iterable[tuple[CorpusEvidence, Iterable[StoreEvidence]]]
) -> Iterator[Input]:
    """List the rules, the texts and the files of the stores that were judged."""
    for name, (path, digest) in rulebook.digests.items():
        yield Input(name, path, digest)
    for corpus, stores in corpora:
        yield from list_texts(corpus)
        for store in stores:
            yield Input(f"{store.subject}/manifest", store.folder / MANIFEST, store.manifest_sha256)
            for part in PARTS:
                file = getattr(store.manifest.files, part)
                yield Input(f"{store.subject}/{part}", store.folder / file.name, file.sha256)


def list_texts(corpus: CorpusEvidence) -> Iterator[Input]:
    """List the chunks and the gold set of a corpus."""
    yield Input(f"{corpus.name}/chunks", corpus.chunks_path, corpus.chunks_sha256)
    yield Input(f"{corpus.name}/questions", corpus.questions_path, corpus.questions_sha256)
    yield Input(f"{corpus.name}/qrels", corpus.qrels_path, corpus.qrels_sha256)


def check_unchanged(check_id: str, inputs: Sequence[Input]) -> Check:
    """Check, when all has been looked at, that every file still has the bytes that were looked at."""
    changed = [each.name for each in inputs if has_changed(each)]
    return Check(
        id=check_id,
        subject="gate",
        outcome=Outcome.ERROR if changed else Outcome.PASS,
        observed=len(changed),
        limit=0,
        n=len(inputs),
        detail=f"changed while it was judged: {', '.join(changed)}" if changed else None,
    )


def has_changed(file: Input) -> bool:
    """Whether a file has other bytes than were looked at, or cannot be read any more."""
    try:
        return compute_sha256(file.path) != file.sha256
    except (PipelineError, OSError):
        return True
