"""`release.json`: what a tag stands for, down to the SHA-256 of every file, written when the release is made."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from pipeline.documents import Strict, load_json, parse_json
from pipeline.encoder import ModelIdentity
from pipeline.params import CandidateName, TagName
from pipeline.pointers import Output, load_pointer
from pipeline.store import Digest
from validation.releasing.errors import ReleaseError

if TYPE_CHECKING:
    from validation.releasing.repository import Repository

SERVED = PurePosixPath("corpus", "processed")
MODELS = PurePosixPath("models")
RELEASE_FILE = SERVED / "release.json"
SCHEMA_VERSION = 1

_REPAIR = "the tag cannot be served; restore it from the remote, or make a release anew"

Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


def _require_released(value: str) -> str:
    path = PurePosixPath(value)
    if ".." in path.parts or not (path.is_relative_to(SERVED) or path.is_relative_to(MODELS)) or str(path) != value:
        message = f"expected a path below {SERVED} or {MODELS}, got {value!r}"
        raise ValueError(message)
    return value


ReleasedPath = Annotated[str, AfterValidator(_require_released)]


class ReleasedFile(Strict):
    """Path from the root, size in bytes and SHA-256 of a file that is served."""

    path: ReleasedPath
    size: Annotated[int, Field(ge=0)]
    sha256: Digest


class ReleasedPointer(Strict):
    """A `.dvc` pointer and the object that it must name."""

    path: ReleasedPath
    md5: str
    size: Annotated[int, Field(ge=0)]


class ReleasedCorpus(Strict):
    """The frozen text that a release was made from."""

    chunks: ReleasedPath
    chunks_sha256: Digest
    total: Annotated[int, Field(ge=1)]
    embeddings: ReleasedPath
    database: ReleasedPath


class Release(Strict):
    """All of `release.json`.

    `decision_sha256` is None in a drill alone, where nothing was judged; `model_folder` is None where the model's home
    is the hub, at the revision in `model`.
    """

    schema_version: Annotated[int, Field(ge=SCHEMA_VERSION, le=SCHEMA_VERSION)]
    tag: TagName
    candidate: CandidateName
    gated_commit: Commit
    decision_sha256: Digest | None
    policy_sha256: Digest | None
    model: ModelIdentity
    model_folder: ReleasedPath | None
    corpora: dict[str, ReleasedCorpus]
    pointers: list[ReleasedPointer]
    files: list[ReleasedFile]

    @property
    def served(self) -> dict[str, str]:
        """SHA-256 of every file by path: two releases that serve the same have the same."""
        return {file.path: file.sha256 for file in self.files}


def load_release(root: Path) -> Release:
    """Read the `release.json` of a tree. Raises `InputError` where it is missing or malformed."""
    return load_json(root / RELEASE_FILE, Release)


def load_committed_release(repository: Repository, commit: str) -> Release | None:
    """Read the `release.json` of a commit, None where it has none. Raises `InputError` where it is malformed."""
    text = repository.read_blob(commit, str(RELEASE_FILE))
    return parse_json(f"{commit[:12]}:{RELEASE_FILE}", text, Release) if text is not None else None


def list_pointers(root: Path) -> list[Path]:
    """Return every pointer beside the served files, by name."""
    return sorted((root / SERVED).glob("*.dvc"))


def describe_pointer(path: Path, root: Path) -> ReleasedPointer:
    """Return a pointer as `release.json` has it. Raises `InputError` where it is malformed."""
    output: Output = load_pointer(path)
    return ReleasedPointer(path=path.relative_to(root).as_posix(), md5=output.md5, size=output.size)


def require_pointers(root: Path, release: Release) -> None:
    """Raise unless a tree's pointers are exactly those of the release.

    Raises:
        InputError: a pointer is malformed.
        ReleaseError: one is missing, one is left over, or one names another object.
    """
    expected = {pointer.path: pointer for pointer in release.pointers}
    beside = {path.relative_to(root).as_posix() for path in list_pointers(root)}
    for name in sorted(beside | set(expected)):
        if name not in expected:
            raise ReleaseError(name, f"is no pointer of {release.tag}", "remove it, or run the fallback")
        if not (root / name).exists():
            raise ReleaseError(name, f"is missing, expected a pointer of {release.tag}", _REPAIR)
        found = describe_pointer(root / name, root)
        if found != expected[name]:
            wanted = f"{expected[name].md5} of {expected[name].size} bytes"
            raise ReleaseError(name, f"expected {wanted}, got {found.md5} of {found.size} bytes", _REPAIR)
