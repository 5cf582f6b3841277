"""Publish: make the commits, put objects on the DVC remote and fetch them back, push all at once, then switch."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from validation.releasing.drafting import commit_draft
from validation.releasing.errors import HaltError, protect_base
from validation.releasing.events import find_served, list_released, load_committed_events
from validation.releasing.opening import find_release_tag, open_release, require_place
from validation.releasing.repository import BRANCHES, TAGS
from validation.releasing.switching import GRAPH, switch
from validation.releasing.tracking import list_sources, load_storage, push
from validation.releasing.workplace import open_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from validation.releasing.drafting import Draft
    from validation.releasing.events import Event
    from validation.releasing.opening import OpenRelease
    from validation.releasing.readiness import Site
    from validation.releasing.repository import Repository


@dataclass(frozen=True, slots=True)
class Publication:
    """Commits to publish in this order, the tag of the base, and what is told of the progress."""

    drafts: Sequence[Draft]
    base_tag: str
    announce: Callable[[str], None]


def publish(repository: Repository, site: Site, publication: Publication) -> None:
    """Publish drafts; whatever goes wrong before the push, nothing has changed, and afterwards a re-run completes it.

    Raises:
        HaltError: the base cannot be had from the DVC remote, byte for byte.
        ReleaseError: a store, the DVC remote or the Git remote refused.
    """
    announce = publication.announce
    with contextlib.ExitStack() as stack:
        tree = stack.enter_context(open_tree(repository, site.head, own_cache=False))
        if (repository.root / GRAPH).is_file():
            (tree / GRAPH).write_bytes((repository.root / GRAPH).read_bytes())
        tags: dict[str, tuple[str, str]] = {}
        commit = site.head
        for draft in publication.drafts:
            announce(draft.title)
            commit = commit_draft(tree, draft, site.actor, site.head)
            if draft.content:
                tag = draft.content.tag
                tags[tag] = (repository.make_tag(tag, commit, draft.title), commit)
            announce("objects to the DVC remote")
            push(tree)
        announce("objects back from the DVC remote")
        served = find_served(load_committed_events(repository, commit)) or ""
        commits = {name: target for name, (_, target) in tags.items()}
        opened = {
            name: stack.enter_context(open_on_remote(repository, name, commits.get(name), publication.base_tag))
            for name in dict.fromkeys((publication.base_tag, served))
        }
        announce(f"push to {site.remote}")
        objects = [(name, target) for name, (target, _) in tags.items()]
        push_commits(repository, site, commit, objects)
        announce(f"switch to {served}")
        switch(repository, opened[served], (site.head, commit), objects)


@contextlib.contextmanager
def open_on_remote(repository: Repository, name: str, commit: str | None, base_tag: str) -> Iterator[OpenRelease]:
    """Open a release from the DVC remote alone; `commit` is given where no tag names it yet."""
    with contextlib.ExitStack() as stack:
        with protect_base(concerned=name == base_tag):
            tag = None if commit else find_release_tag(repository, name)
            remote = load_storage(repository.root).require_remote()
            target = tag.commit if tag else commit or ""
            opened = stack.enter_context(open_release(repository, name, target, [remote]))
            if tag:
                require_place(repository, tag, opened.tree)
        yield opened


def push_commits(repository: Repository, site: Site, commit: str, tags: Sequence[tuple[str, str]]) -> None:
    """Push branch and tags together or not at all; nothing that is there is overwritten."""
    refs = [f"{commit}:{BRANCHES}{site.branch}", *(f"{target}:{TAGS}{name}" for name, target in tags)]
    remedy = "run it again; where the branch has moved on, `git pull` and `nox -s gate` first"
    repository.git("push", "--quiet", "--atomic", site.remote, *refs, remedy=remedy)


def adopt_published(repository: Repository, site: Site, decision_sha256: str) -> str | None:
    """Switch to what was published from this very decision, by a run that was killed or one that was faster.

    Returns:
        What is served now, or None where the remote has nothing of that decision.

    Raises:
        HaltError: a tag is not on the remote, or here and elsewhere.
    """
    there = site.refs.get(f"{BRANCHES}{site.branch}")
    if there is None or there == site.head:
        return None
    repository.git("fetch", "--quiet", "--no-tags", site.remote, there)
    events = load_committed_events(repository, there)
    if not repository.is_ancestor(site.head, there) or not is_acted_upon(events, decision_sha256):
        return None
    served = find_served(events) or ""
    known = len(load_committed_events(repository))
    tags = []
    for name in list_released(events[known:]):
        target, here = site.refs.get(f"{TAGS}{name}"), repository.find_tag(name)
        if target is None:
            raise HaltError(name, "is in the log of the remote, but the tag is not", "find out who removed it")
        if here and here.object != target:
            raise HaltError(name, f"names {here.commit[:12]} here, and is published elsewhere", "find out who moved it")
        if here is None:
            repository.git("fetch", "--quiet", "--no-tags", site.remote, target)
            tags.append((name, target))
    with open_release(repository, served, there, list_sources(repository.root)) as opened:
        switch(repository, opened, (site.head, there), tags)
    return served


def is_acted_upon(events: Sequence[Event], decision_sha256: str) -> bool:
    """Whether the log says that this decision was acted upon."""
    return any(event.event == "gated" and event.evidence_sha256 == decision_sha256 for event in events)
