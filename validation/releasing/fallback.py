"""Go back to the base, or to any other release: stage it apart, verify it, switch once, verify again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from validation.releasing.drafting import Draft, commit_draft
from validation.releasing.errors import ReleaseError, protect_base
from validation.releasing.events import LOG, NewEvent, find_served, list_released, load_committed_events
from validation.releasing.opening import find_release_tag, open_release, require_place
from validation.releasing.publishing import push_commits
from validation.releasing.readiness import require_actor, require_nothing_lost, require_site
from validation.releasing.release_file import SERVED, load_committed_release
from validation.releasing.served import check_present
from validation.releasing.switching import finish_interrupted, switch
from validation.releasing.tracking import list_sources
from validation.releasing.workplace import open_tree, work_alone

if TYPE_CHECKING:
    from validation.releasing.repository import Repository, Tag


@dataclass(frozen=True, slots=True)
class Return:
    """What a fallback did: the release that is served, whether anything changed, and what was noticed on the way."""

    tag: str
    changed: bool
    notes: tuple[str, ...]


def fall_back(repository: Repository, name: str, base_tag: str, *, push: bool) -> Return:
    """Serve a release again; a second run changes nothing.

    Args:
        repository: the project.
        name: the tag to serve.
        base_tag: the one without which there is no way back.
        push: whether the commit is pushed to the Git remote as well.

    Raises:
        HaltError: it is the base, and it cannot be had or does not hold.
        ReleaseError, InputError, StoreError: another release cannot be had or does not hold, or something is in the
            way. What is served was not touched.
    """
    with work_alone(repository):
        actor = require_actor(repository)
        finished = finish_interrupted(repository)
        with protect_base(concerned=name == base_tag):
            tag = find_release_tag(repository, name)
        require_nothing_lost(repository, list_release_commits(repository))
        notes = [finished] if finished else []
        changed = not is_served(repository, tag)
        if changed:
            notes += switch_to(repository, tag, actor, base_tag)
        if push:
            push_return(repository, name)
        return Return(name, changed, tuple(notes))


def is_served(repository: Repository, tag: Tag) -> bool:
    """Whether every file that is served is that of a release, and the log and the commit say so too."""
    if find_served(load_committed_events(repository)) != tag.name or repository.list_dirty(str(SERVED), str(LOG)):
        return False
    try:
        release = load_committed_release(repository, tag.commit)
        if release is None or release.tag != tag.name:
            return False
        check_present(repository, tag, release)
    except PipelineError:
        return False
    return True


def switch_to(repository: Repository, tag: Tag, actor: str, base_tag: str) -> list[str]:
    """Stage and verify a release, commit the return to it, and switch; say what was noticed."""
    head = repository.get_head()
    with protect_base(concerned=tag.name == base_tag):
        sources = list_sources(repository.root)
        with open_release(repository, tag.name, tag.commit, sources) as opened:
            require_place(repository, tag, opened.tree)
            event = NewEvent(event="fell back" if tag.name == base_tag else "restored", tag=tag.name)
            draft = Draft(f"serve {tag.name} again", (event,), source=tag.commit)
            with open_tree(repository, head, own_cache=True) as tree:
                commit = commit_draft(tree, draft, actor, head)
            switch(repository, opened, (head, commit))
    if opened.detour is None:
        return []
    return [
        f"had from the remote, as something is not in the local cache, or the local cache is damaged: {opened.detour}"
    ]


def list_release_commits(repository: Repository) -> list[str]:
    """Return the commit of every release of the log whose tag is here."""
    released = list_released(load_committed_events(repository))
    return [tag.commit for tag in map(repository.find_tag, released) if tag]


def push_return(repository: Repository, name: str) -> None:
    """Push the branch that is checked out. Raises `ReleaseError` where the remote refuses; what is served stays."""
    try:
        site = require_site(repository)
        push_commits(repository, site, site.head, [])
    except ReleaseError as error:
        message = f"is served here, but was not pushed: {error.where}: {error.problem}"
        raise ReleaseError(name, message, "see why, then run it again") from error
