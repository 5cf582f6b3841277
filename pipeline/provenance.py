"""Say beside a matrix which model made it, from which file: `<name>.provenance.json` next to `<name>.npy`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pipeline.documents import Strict, load_json
from pipeline.encoder import ModelIdentity
from pipeline.errors import InputError
from pipeline.files import compute_sha256, write_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Role = Literal["passages", "questions"]


class Provenance(Strict):
    """Binds the bytes of a matrix to the model and to the text that it was made from."""

    role: Role
    vectors_sha256: str
    text_sha256: str
    model: ModelIdentity


def write_provenance(vectors: Path, text: Path, role: Role, model: ModelIdentity) -> None:
    """Write the provenance of a matrix that lies on disk."""
    record = Provenance(
        role=role, vectors_sha256=compute_sha256(vectors), text_sha256=compute_sha256(text), model=model
    )
    write_json(_locate(vectors), record.model_dump())


def load_provenance(
    vectors: Path, text: Path, role: Role, digest: Callable[[Path], str] = compute_sha256
) -> Provenance | None:
    """Return the provenance beside a matrix, or None where there is none (vectors made elsewhere).

    Args:
        vectors: the matrix, `.npy`.
        text: what it was made from.
        role: what its rows are.
        digest: returns the SHA-256 of these two files; one who knows them already need not read gigabytes again.

    Raises:
        InputError: the provenance is of other bytes, of another text, or of the other role.
    """
    path = _locate(vectors)
    if not path.exists():
        return None
    record = load_json(path, Provenance)
    expected = {"role": role, "vectors_sha256": digest(vectors), "text_sha256": digest(text)}
    for field, value in expected.items():
        found = getattr(record, field)
        if found != value:
            remedy = f"embed {text.name} again, or remove {path.name} if the vectors come from elsewhere"
            raise InputError(path, f"{field}: expected {value}, got {found}", remedy)
    return record


def require_same_label(vectors: Path, record: Provenance | None, model_id: str) -> None:
    """Raise `InputError` when vectors are known to come from another model than the label says."""
    if record is not None and record.model.model_id != model_id:
        message = f"made by {record.model.model_id!r}, but --model-id says {model_id!r}"
        raise InputError(vectors, message, "give the label of the model that made the vectors")


def _locate(vectors: Path) -> Path:
    return vectors.with_suffix(".provenance.json")
