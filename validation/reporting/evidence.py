"""Evidence beside the decision that the report shows: used only where its bytes are those that were judged."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pipeline.documents import parse_json
from pipeline.errors import PipelineError
from pipeline.store import Manifest
from pipeline.vectors import find_header_fault, find_value_fault, map_array
from validation.reporting.spaces import SMALLEST, compare_spaces

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from pipeline.vectors import Matrix
    from validation.document import Record
    from validation.reporting.spaces import Spaces

Gap = Literal["unnamed", "absent", "differs", "unreadable", "unlike"]
EMBEDDINGS, MANIFEST = "embeddings", "manifest"
BASE = "base"
STORE_PARTS = 3


@dataclass(frozen=True, slots=True)
class Missing:
    """What the report says in the place of evidence: the file's name in the decision, and why it is missing."""

    name: str
    gap: Gap


class GapError(Exception):
    """Evidence that the report cannot show; it says so and goes on."""

    def __init__(self, name: str, gap: Gap) -> None:
        """Keep what is missing and why."""
        super().__init__(f"{name}: {gap}")
        self.missing = Missing(name, gap)


@dataclass(frozen=True, slots=True)
class ReportEvidence:
    """Both vector spaces by corpus and the manifests by store, each as found or with the reason why not."""

    spaces: dict[str, Spaces | Missing]
    manifests: dict[str, Manifest | Missing]


def gather_evidence(record: Record, folder: Path) -> ReportEvidence:
    """Read the stores and manifests that a decision names, below a folder."""
    return ReportEvidence(
        spaces={corpus: _settle_spaces(record, folder, corpus) for corpus in list_corpora(record)},
        manifests={store: _settle_manifest(record, folder, store) for store in list_stores(record)},
    )


def list_stores(record: Record) -> list[str]:
    """Return the stores that a decision names, such as `base/fr`, in its order."""
    parts = (name.split("/") for name in record.inputs)
    return list(dict.fromkeys("/".join(part[:2]) for part in parts if len(part) == STORE_PARTS))


def list_corpora(record: Record) -> list[str]:
    """Return the corpora of which a decision names a store, in its order."""
    return list(dict.fromkeys(store.split("/")[1] for store in list_stores(record)))


def _settle_spaces(record: Record, folder: Path, corpus: str) -> Spaces | Missing:
    stores = [store for store in list_stores(record) if store.endswith(f"/{corpus}")]
    candidate = next((store for store in stores if not store.startswith(f"{BASE}/")), f"candidate/{corpus}")
    try:
        base, other = (_read_vectors(record, folder, store) for store in (f"{BASE}/{corpus}", candidate))
        if base.shape != other.shape or len(base) < SMALLEST:
            return Missing(f"{candidate}/{EMBEDDINGS}", "unlike")
    except GapError as found:
        return found.missing
    return compare_spaces(base, other)


def _settle_manifest(record: Record, folder: Path, store: str) -> Manifest | Missing:
    name = f"{store}/{MANIFEST}"
    try:
        with _open_judged(record, folder, name) as stream:
            return parse_json(name, stream.read().decode("utf-8"), Manifest)
    except GapError as found:
        return found.missing
    except (PipelineError, OSError, UnicodeDecodeError):
        return Missing(name, "unreadable")


def _read_vectors(record: Record, folder: Path, store: str) -> Matrix:
    name = f"{store}/{EMBEDDINGS}"
    path = folder / record.inputs[name].path if name in record.inputs else folder
    try:
        with _open_judged(record, folder, name) as stream:
            header, values = map_array(stream, path)
            matrix: Matrix = values  # type: ignore[assignment] # what the header says is looked at below
            if find_header_fault(header, None) or find_value_fault(matrix):
                raise GapError(name, "unreadable")
            return matrix
    except (PipelineError, OSError) as error:
        raise GapError(name, "unreadable") from error


def _open_judged(record: Record, folder: Path, name: str) -> BinaryIO:
    """Open a file of the decision whose bytes have the recorded digest; what is then read is what was hashed."""
    if name not in record.inputs:
        raise GapError(name, "unnamed")
    path = folder / record.inputs[name].path
    # A path out of the folder would show what is not beside this decision.
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        raise GapError(name, "absent")
    stream = path.open("rb")
    if hashlib.file_digest(stream, "sha256").hexdigest() != record.inputs[name].sha256:
        stream.close()
        raise GapError(name, "differs")
    stream.seek(0)
    return stream
