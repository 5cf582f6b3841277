"""Open a release: check out its commit into a scratch tree, bring its objects and look at every byte."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from pipeline.files import compute_sha256
from validation.releasing.errors import HaltError, ReleaseError
from validation.releasing.events import LOG, find_release, load_committed_events, load_events
from validation.releasing.release_file import RELEASE_FILE, Release, load_release, require_pointers
from validation.releasing.served import check_served
from validation.releasing.tracking import pull
from validation.releasing.workplace import open_tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from validation.releasing.events import Event
    from validation.releasing.repository import Repository, Tag

_FETCH_TAGS = "run `git fetch --tags`"


@dataclass(frozen=True, slots=True)
class OpenRelease:
    """A release in a scratch tree, every byte of it verified; `detour` says which store of objects failed before."""

    name: str
    commit: str
    tree: Path
    release: Release
    detour: str | None


@contextlib.contextmanager
def open_release(repository: Repository, name: str, commit: str, sources: Sequence[str]) -> Iterator[OpenRelease]:
    """Check out the commit of a release, bring its objects from the first source that has good ones, verify all.

    Args:
        repository: the project.
        name: the tag.
        commit: the commit that it names, or is going to name.
        sources: DVC remotes, tried in turn.

    Raises:
        InputError, ReleaseError, StoreError: it is no release of that name, or no source has its bytes.
    """
    with open_tree(repository, commit, own_cache=True) as tree:
        if not (tree / RELEASE_FILE).is_file():
            message = f"was made by hand: its commit holds no {RELEASE_FILE}, so nothing vouches for its bytes"
            raise ReleaseError(name, message, "release it with `nox -s release`")
        release = load_release(tree)
        if release.tag != name:
            message = f"was moved or made by hand: its commit is that of {release.tag}"
            raise ReleaseError(name, message, "put it back, or release it with `nox -s release`")
        require_pointers(tree, release)
        yield OpenRelease(name, commit, tree, release, bring_objects(tree, release, sources))


def bring_objects(tree: Path, release: Release, sources: Sequence[str]) -> str | None:
    """Bring the objects of a release from the first source whose bytes are right; say what was wrong with the others.

    Raises:
        ReleaseError, InputError, StoreError: what is wrong with the last source.
    """
    detour: PipelineError | None = None
    for source in sources:
        try:
            shutil.rmtree(tree.parent / "cache", ignore_errors=True)
            pull(tree, [pointer.path for pointer in release.pointers], source)
            check_served(tree, release)
        except PipelineError as error:
            _forget_outputs(tree, release)
            detour = error if detour is None or source == sources[-1] else detour
        else:
            return f"{detour.where}: {detour.problem}" if detour else None
    raise detour or ReleaseError(release.tag, "no store of objects to look into", "configure a DVC remote")


def _forget_outputs(tree: Path, release: Release) -> None:
    for pointer in release.pointers:
        path = tree / pointer.path.removesuffix(".dvc")
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def find_release_tag(repository: Repository, name: str) -> Tag:
    """Return the tag of a release.

    Raises:
        ReleaseError: there is none here, or history was cut off so that it cannot be told.
        HaltError: the log knows the release, and the tag is gone or names another commit.
    """
    require_whole_history(repository)
    tag = repository.find_tag(name)
    is_logged = find_release(load_committed_events(repository), name) is not None
    if tag is None and is_logged:
        raise HaltError(name, f"was released, as {LOG} says, but there is no such tag here", _FETCH_TAGS)
    if tag is None:
        raise ReleaseError(name, "there is no such tag", f"{_FETCH_TAGS}; `python -m validation releases` lists all")
    if is_logged and not ends_with(load_committed_events(repository, tag.commit), name):
        raise report_move(tag, "is not the commit in which it was released")
    return tag


def report_move(tag: Tag, why: str) -> HaltError:
    """Return the error that calls a person, because a tag is not where it was made."""
    return HaltError(tag.name, f"was moved to {tag.commit[:12]}, which {why}", "find out who moved it, and put it back")


def ends_with(events: Sequence[Event], name: str) -> bool:
    """Whether a release is the last thing that a log knows of."""
    return bool(events) and (events[-1].event, events[-1].tag) == ("released", name)


def require_whole_history(repository: Repository) -> None:
    """Raise `ReleaseError` in a shallow clone: what is not there cannot be told from what never was."""
    if repository.git("rev-parse", "--is-shallow-repository") == "true":
        message = "is a shallow clone, expected the whole history with its tags"
        raise ReleaseError(repository.root, message, "run `git fetch --unshallow --tags`")


def require_place(repository: Repository, tag: Tag, tree: Path) -> None:
    """Raise unless a tag names the commit in which it was released, by the log of events.

    Raises:
        ReleaseError: it was made by hand.
        HaltError: it was moved, or the log here does not continue the one in its commit.
    """
    then, now = load_events(tree), load_committed_events(repository)
    if not ends_with(then, tag.name) or then[-1].evidence_sha256 != compute_sha256(tree / RELEASE_FILE):
        if find_release(now, tag.name):
            raise report_move(tag, "is not the commit in which it was released")
        message = f"was made by hand: {LOG} in its commit does not end with this release"
        raise ReleaseError(tag.name, message, "release it with `nox -s release`")
    if load_committed_events(repository, f"{tag.commit}^") == then:
        raise report_move(tag, "comes after the commit in which it was released")
    if now[: len(then)] != then or not repository.is_ancestor(tag.commit, "HEAD"):
        message = "is not in the history of what is checked out"
        raise HaltError(tag.name, message, "check out the branch of releases; if it is, the tag was moved")
    if not tag.is_annotated:
        raise HaltError(tag.name, "was replaced by one that is not annotated", "restore the tag from the remote")
