"""What lies in a tree against its `release.json`: every byte, nothing beside, and a store that answers."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from pipeline.chunks import load_chunks
from pipeline.database import load_matrix, load_metadata, open_database, require_no_writer
from pipeline.database_schema import find_structure_fault
from pipeline.files import compute_sha256, open_verified
from pipeline.model_folder import compute_weights_digest
from pipeline.vectors import load_vectors
from validation.releasing.errors import ReleaseError
from validation.releasing.release_file import RELEASE_FILE, SERVED, load_release, require_pointers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.vectors import Matrix
    from validation.releasing.release_file import Release, ReleasedCorpus
    from validation.releasing.repository import Repository, Tag

_RESTORE = "run `nox -s fallback`, or restore it with `dvc checkout`"


def check_served(root: Path, release: Release) -> None:
    """Raise unless a tree serves a release and nothing else.

    Every file is read through the descriptor that was hashed; whatever DVC says of it is not asked.

    Raises:
        InputError, ReleaseError: a file is missing, of other bytes, a link, or beside those of the release.
        StoreError: a database is not what an export makes, or names another model.
    """
    if release.model_folder:
        require_folder(root / release.model_folder)
    for file in release.files:
        with open_verified(root / file.path, file.size, file.sha256):
            pass
    stray = find_stray(root, release)
    if stray:
        raise ReleaseError(stray, f"is no part of {release.tag}", "remove it, or move it out of this folder")
    for name, corpus in release.corpora.items():
        check_corpus(root, corpus, release, name)
    if release.model_folder:
        weights = compute_weights_digest(root / release.model_folder)
        if weights != release.model.weights_sha256:
            raise ReleaseError(release.model_folder, f"is not the model {release.model.model_id}", _RESTORE)


def check_present(repository: Repository, tag: Tag, release: Release) -> None:
    """Raise unless a project serves exactly the release that a tag names; Git may have been told to look away.

    Raises:
        ReleaseError: pointers or `release.json` are not those of the tag.
        InputError, ReleaseError, StoreError: as in `check_served`.
    """
    dirty = repository.list_dirty(str(SERVED))
    if load_release(repository.root) != release:
        dirty = [RELEASE_FILE.as_posix()]
    if dirty or repository.hash_blob("HEAD", str(SERVED)) != repository.hash_blob(tag.commit, str(SERVED)):
        path = dirty[0] if dirty else SERVED
        message = f"differs from {tag.name}, which {RELEASE_FILE.name} names"
        raise ReleaseError(path, message, "run `nox -s fallback -- --to TAG`, which restores all of it")
    require_pointers(repository.root, release)
    check_served(repository.root, release)


def find_stray(root: Path, release: Release) -> str | None:
    """Return the first file beside those of a release, links and empty folders included, or None."""
    known = {file.path for file in release.files} | {pointer.path for pointer in release.pointers}
    known |= {RELEASE_FILE.as_posix(), (SERVED / ".gitignore").as_posix()} | {
        corpus.chunks for corpus in release.corpora.values()
    }
    folders = [SERVED] + ([PurePosixPath(release.model_folder)] if release.model_folder else [])
    parents = {parent.as_posix() for path in known for parent in PurePosixPath(path).parents}
    found = (path for folder in folders for path in (root / folder).rglob("*"))
    names = sorted(path.relative_to(root).as_posix() for path in found)
    return next((name for name in names if name not in known | parents), None)


def check_corpus(root: Path, corpus: ReleasedCorpus, release: Release, name: str) -> None:
    """Raise unless text, vectors and database of a corpus are one store, made by the model that the release names."""
    chunks = load_chunks(root / corpus.chunks)
    if compute_sha256(root / corpus.chunks) != corpus.chunks_sha256 or chunks.corpus != name:
        raise ReleaseError(corpus.chunks, f"is not the text that {release.tag} was made from", "restore it from Git")
    stored, metadata = read_served(root, corpus)
    found = metadata.get("model_id")
    if found != release.model.model_id:
        message = f"model_id: expected {release.model.model_id!r}, got {found!r}"
        raise ReleaseError(corpus.database, message, _RESTORE)
    if not np.array_equal(stored, load_vectors(root / corpus.embeddings, rows=corpus.total)):
        raise ReleaseError(corpus.database, f"does not hold the vectors of {corpus.embeddings}", _RESTORE)


def read_served(root: Path, corpus: ReleasedCorpus) -> tuple[Matrix, dict[str, str]]:
    """Return the vectors, float32 `(total, 768)`, and the metadata of a database, the way that an application does.

    Raises:
        StoreError: it is not what an export makes, or somebody writes to it.
    """
    path = root / corpus.database
    require_no_writer(path)
    with open_database(path) as connection:
        fault = find_structure_fault(connection)
        if fault is not None:
            raise ReleaseError(corpus.database, fault, _RESTORE)
        return load_matrix(connection), load_metadata(connection)


def require_folder(path: Path) -> None:
    """Raise `ReleaseError` unless a path is a folder and no link to one."""
    if path.is_symlink() or not path.is_dir():
        found = "is a link" if path.is_symlink() else "is missing"
        raise ReleaseError(path, f"{found}, expected the folder of a model", _RESTORE)


def list_files(root: Path, folder: PurePosixPath) -> Iterator[Path]:
    """List the files below a folder of a tree, by name."""
    yield from sorted(path for path in (root / folder).rglob("*") if path.is_file())
