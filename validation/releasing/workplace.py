"""Where releases are prepared: one at a time, in scratch trees that leave nothing behind, not even after a kill."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from validation.releasing.errors import ReleaseError
from validation.releasing.tracking import configure_scratch, load_storage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validation.releasing.repository import Repository

SCRATCH = Path("build", "scratch")
LOCK = "embedding-store-gate.lock"
# Git lists a tree under the name of its folder; by this one those of a killed process are told from others.
_TREE = "release-scratch"
# What a killed switch of folders leaves beside its target.
_LEFTOVERS = ("corpus/.processed.*", "models/.*.partial", "models/.*.retired", "corpus/processed/.*.partial")


@contextlib.contextmanager
def work_alone(repository: Repository) -> Iterator[None]:
    """Let one process at a time change releases; a killed one holds nobody up, and what it left is removed.

    Raises:
        ReleaseError: it is no Git repository, or another process is at it.
    """
    common = repository.git("rev-parse", "--git-common-dir", remedy="run it in a clone of the project")
    path = repository.root / common / LOCK
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ReleaseError(path, "another release or fallback is under way", "wait until it ends") from error
        clear(repository, path.parent)
        yield


def clear(repository: Repository, common: Path) -> None:
    """Remove scratch trees and half-made folders of a process that was killed."""
    shutil.rmtree(repository.root / SCRATCH, ignore_errors=True)
    for tree in (common / "worktrees").glob(f"{_TREE}*"):
        (tree / "locked").unlink(missing_ok=True)  # Git locks a tree while it makes it, and never prunes a locked one
    repository.git("worktree", "prune")
    for pattern in _LEFTOVERS:
        for path in repository.root.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextlib.contextmanager
def open_tree(repository: Repository, commit: str, *, own_cache: bool) -> Iterator[Path]:
    """Check out a commit into a scratch tree, with an empty cache of its own or with that of the project.

    It lies below the project, so that what was verified in it can be moved into place by renaming.
    """
    parent = repository.root / SCRATCH
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent))
    tree = folder / _TREE
    try:
        repository.git("worktree", "add", "--quiet", "--detach", str(tree), commit)
        storage = load_storage(repository.root)
        configure_scratch(tree, storage, folder / "cache" if own_cache else storage.cache)
        yield tree
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        repository.ask("worktree", "prune")
