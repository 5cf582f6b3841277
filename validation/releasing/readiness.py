"""What must hold before a release or a fallback touches anything: who, where, and nothing that would be lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from validation.releasing.errors import HaltError, ReleaseError
from validation.releasing.events import LOG
from validation.releasing.opening import require_whole_history
from validation.releasing.release_file import MODELS, RELEASE_FILE, SERVED, load_committed_release, load_release
from validation.releasing.repository import BRANCHES
from validation.releasing.switching import GRAPH, is_as_in
from validation.releasing.tracking import load_storage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from validation.releasing.repository import Repository

_COMMIT = "commit it, stash it or move it away"


@dataclass(frozen=True, slots=True)
class Site:
    """Where somebody is about to release: who, on which branch at which commit, and what the Git remote has."""

    actor: str
    branch: str
    head: str
    remote: str
    refs: dict[str, str]


def require_actor(repository: Repository) -> str:
    """Return `Name <address>` of who commits. Raises `ReleaseError` for a detached HEAD, no name, a shallow clone."""
    require_whole_history(repository)
    repository.get_branch()
    return repository.get_identity().rsplit(" ", 2)[0]


def require_site(repository: Repository) -> Site:
    """Return who is about to release and where.

    Raises:
        ReleaseError: no name, a detached HEAD, a shallow clone, no Git remote, one that is down, or no DVC remote.
    """
    actor, branch = require_actor(repository), repository.get_branch()
    load_storage(repository.root).require_remote()
    remote = find_remote(repository, branch)
    return Site(actor, branch, repository.get_head(), remote, repository.list_remote_refs(remote))


def find_remote(repository: Repository, branch: str) -> str:
    """Return the Git remote that a branch belongs to. Raises `ReleaseError` where there is none."""
    known = repository.git("remote").splitlines()
    wanted = repository.ask("config", f"branch.{branch}.remote") or "origin"
    if wanted not in known:
        raise ReleaseError(wanted, "there is no such Git remote", "run `git remote add origin <url>` and push to it")
    return wanted


def require_pushed(site: Site) -> None:
    """Raise `ReleaseError` unless the commit that was judged is the remote's: then its policy went the remote's way."""
    there = site.refs.get(f"{BRANCHES}{site.branch}")
    if there != site.head:
        found = f"is at {there[:12]}" if there else "is not there"
        message = f"{found} on {site.remote}, expected {site.head[:12]}, which was judged"
        remedy = "run `git push`" if there is None else "run `git pull` or `git push`, then `nox -s gate` again"
        raise ReleaseError(site.branch, message, remedy)


def require_clean(repository: Repository) -> None:
    """Raise `ReleaseError` for anything that is not committed; the lock of the build graph goes into the release."""
    dirty = [path for path in repository.list_dirty() if path != GRAPH]
    if dirty:
        more = f" (and {len(dirty) - 1} more)" if len(dirty) > 1 else ""
        raise ReleaseError(dirty[0], f"differs from the commit that is checked out{more}", _COMMIT)
    require_no_stray(repository)


def require_no_stray(repository: Repository) -> None:
    """Raise `ReleaseError` for a file in the served folder that neither Git nor the present release knows."""
    committed = load_committed_release(repository, "HEAD")
    known = {file.path for file in committed.files} if committed else set()
    known |= {file.path for file in load_release(repository.root).files} if _has_release(repository) else set()
    found = [path for path in repository.list_dirty(str(SERVED), ignored=True) if path not in known]
    stray = next((path for path in found if (repository.root / path).exists()), None)
    if stray and repository.hash_blob("HEAD", stray) is None:
        raise ReleaseError(stray, "is no part of the release that is served here", "move it out of this folder")


def require_nothing_lost(repository: Repository, commits: Sequence[str]) -> None:
    """Raise `ReleaseError` where pointers or log hold what no commit holds; leftovers of other releases are no loss."""
    states = ("HEAD", *commits)
    for path in repository.list_dirty(str(SERVED), str(LOG), f"{MODELS}/*.dvc"):
        is_own = path.startswith(f"{MODELS}/") and not any(repository.hash_blob(commit, path) for commit in states)
        if (repository.root / path).exists() and not is_own and not is_as_in(repository, path, states):
            raise ReleaseError(path, "was changed by hand, and would be lost", _COMMIT)
    require_no_stray(repository)


def require_same_tag(repository: Repository, site: Site, name: str) -> None:
    """Raise unless a tag is the same here and on the remote, or on neither.

    Raises:
        ReleaseError: one side does not have it.
        HaltError: it names another object there: somebody moved it.
    """
    here, there = repository.find_tag(name), repository.find_remote_tag(site.refs, name)
    if here == there:
        return
    if here is None:
        message = f"is on {site.remote} and not here, so this is no first release"
        raise ReleaseError(name, message, "run `git fetch --tags`, and `git pull`")
    if there is None:
        remedy = f"push it with `git push {site.remote} refs/tags/{name}`, or remove it with `git tag -d {name}`"
        raise ReleaseError(name, f"is here and not on {site.remote}", remedy)
    message = f"names {here.commit[:12]} here and {there.commit[:12]} on {site.remote}: one of them was moved"
    raise HaltError(name, message, "find out who moved it, and put it back")


def _has_release(repository: Repository) -> bool:
    return (repository.root / RELEASE_FILE).is_file()
