"""Make a project be at a commit of its release history: references, files and, in one rename, what it serves."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pipeline.files import replace_folder
from validation.releasing.errors import ReleaseError
from validation.releasing.events import find_served, load_committed_events
from validation.releasing.opening import open_release
from validation.releasing.release_file import MODELS, SERVED
from validation.releasing.served import check_served
from validation.releasing.tracking import list_sources

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from validation.releasing.opening import OpenRelease
    from validation.releasing.repository import Repository

GRAPH = "dvc.lock"


def switch(
    repository: Repository, opened: OpenRelease, commits: tuple[str, str], tags: Sequence[tuple[str, str]] = ()
) -> None:
    """Move branch and tags, then the files, and last the served folder, whole; then look at what is served.

    A kill leaves the served files old or new. References come first, so that whoever runs again can tell from the
    commit that is checked out what was meant.

    Args:
        repository: the project.
        opened: the release to serve, verified in a scratch tree, which is emptied.
        commits: the commit that is checked out, and the one to be at.
        tags: name and object of every tag that comes with it.

    Raises:
        ReleaseError: a reference was changed meanwhile, or another Git command is at it; nothing was changed then.
    """
    require_free_index(repository)
    place_model(repository, opened)
    repository.update_refs((repository.get_branch(), *commits), tags)
    place(repository, opened, *commits)


def place(repository: Repository, opened: OpenRelease, old: str, new: str) -> None:
    """Bring index, working tree and, last, the served folder from one commit to another, and look at them."""
    # Pointers of the release also where both commits have the same: somebody may have removed one.
    paths = {*repository.list_changed(old, new), *(pointer.path for pointer in opened.release.pointers)}
    others = sorted(path for path in paths if not PurePosixPath(path).is_relative_to(SERVED))
    if others:
        repository.git("restore", f"--source={new}", "--staged", "--worktree", "--", *others)
    move_folder(opened.tree, repository, SERVED)
    repository.git("restore", f"--source={new}", "--staged", "--", str(SERVED))
    check_served(repository.root, opened.release)


def place_model(repository: Repository, opened: OpenRelease) -> None:
    """Put the model of a release in its place; that of another candidate lies beside it."""
    if opened.release.model_folder:
        move_folder(opened.tree, repository, PurePosixPath(opened.release.model_folder))


def move_folder(tree: Path, repository: Repository, folder: PurePosixPath) -> None:
    """Put a folder of a scratch tree in the place of that of the project, in one rename."""
    with replace_folder(repository.root / folder) as partial:
        for path in sorted((tree / folder).iterdir()):
            path.rename(partial / path.name)


def finish_interrupted(repository: Repository) -> str | None:
    """Complete a switch that was killed after the references had moved; say so, or None where there was none.

    Only files that still are what they were before, or already are what they should be, are replaced: what somebody
    changed by hand is left alone. A switch moves the served folder whole, so where it is partly old and partly new,
    as after the specification's two commands, nothing was interrupted.

    Raises:
        ReleaseError: another Git command is at it, or the release that was meant cannot be had.
    """
    require_free_index(repository)
    dirty = repository.list_dirty(str(SERVED), str(MODELS), GRAPH)
    events = load_committed_events(repository)
    if not dirty or not events:
        return None
    old = events[-1].commit
    changed = repository.list_changed(old, "HEAD") if repository.is_ancestor(old, "HEAD") else []
    served = [path for path in changed if PurePosixPath(path).is_relative_to(SERVED)]
    is_whole = any(all(is_as_in(repository, path, (state,)) for path in served) for state in (old, "HEAD"))
    is_ours = all(path in changed and is_as_in(repository, path, (old, "HEAD")) for path in dirty)
    if not is_whole or not is_ours:
        return None
    name = find_served(events) or ""
    with open_release(repository, name, repository.get_head(), list_sources(repository.root)) as opened:
        place_model(repository, opened)
        place(repository, opened, old, repository.get_head())
    return f"an interrupted switch to {name} was completed"


def require_free_index(repository: Repository) -> None:
    """Raise `ReleaseError` where Git could not bring the index along; a lock may be a person's, so it is left there."""
    lock = repository.root / repository.git("rev-parse", "--git-path", "index.lock")
    if lock.exists():
        remedy = "wait until it ends; where no Git command is running, remove this file"
        raise ReleaseError(lock, "another Git command is under way, or was killed", remedy)


def is_as_in(repository: Repository, path: str, commits: Sequence[str]) -> bool:
    """Whether a file of the working tree is as in one of these commits, or missing as there."""
    there = repository.root / path
    found = repository.git("hash-object", "--", path) if there.is_file() else None
    return found in {repository.hash_blob(commit, path) for commit in commits}
