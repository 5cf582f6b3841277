"""Audit a tag offline: where it points, its pointers and objects, the decision behind it, and the chain of events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.documents import load_json
from pipeline.files import compute_sha256
from validation.document import Record
from validation.outcomes import Outcome, Verdict
from validation.releasing.drafting import EVIDENCE
from validation.releasing.errors import HaltError, ReleaseError, protect_base
from validation.releasing.events import LOG, load_committed_events, load_events
from validation.releasing.opening import find_release_tag, open_release, require_place
from validation.releasing.release_file import MODELS, RELEASE_FILE, SERVED, load_release
from validation.releasing.served import check_present
from validation.releasing.switching import GRAPH
from validation.releasing.tracking import LOCAL_CACHE
from validation.releasing.workplace import work_alone

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from validation.releasing.events import Event
    from validation.releasing.release_file import Release
    from validation.releasing.repository import Repository, Tag


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at and holds."""

    what: str
    found: str


def audit(repository: Repository, name: str | None, base_tag: str, sources: Sequence[str]) -> list[Finding]:
    """Audit a tag, or else the release that is served, and what is served where it is that tag's.

    Args:
        repository: the project.
        name: the tag; None for the one that is served.
        base_tag: the tag whose failure means that there is no way back.
        sources: where objects may be taken from; the local cache alone keeps the audit offline. With others, a clone
            that has only the pointers is audited as well.

    Raises:
        HaltError: the tag was moved, the chain of events is broken, or the base does not hold.
        ReleaseError, InputError, StoreError: something else does not hold; the first such thing.
    """
    with work_alone(repository):
        target = name or require_served(repository)
        with protect_base(concerned=target == base_tag):
            return list(look_at(repository, target, sources))


def require_served(repository: Repository) -> str:
    """Return the tag that `release.json` names. Raises `ReleaseError` where nothing was released yet."""
    if not (repository.root / RELEASE_FILE).is_file():
        raise ReleaseError(RELEASE_FILE, "is missing: nothing was released yet", "run `nox -s release -- --execute`")
    return load_release(repository.root).tag


def look_at(repository: Repository, name: str, sources: Sequence[str]) -> Iterator[Finding]:
    """Look at a tag from the outside to the inside. Raises at the first thing that does not hold."""
    events = check_log(repository)
    yield Finding("event chain", f"{len(events)} events, unbroken")
    tag = find_release_tag(repository, name)
    with open_release(repository, name, tag.commit, sources) as opened:
        require_place(repository, tag, opened.tree)
        yield Finding("tag", f"{name} is annotated and names {tag.commit[:12]}, where it was released")
        yield Finding("pointers", f"{len(opened.release.pointers)}, as in {RELEASE_FILE.name}")
        size = sum(file.size for file in opened.release.files)
        yield Finding("objects", f"{len(opened.release.files)} files, {size:,} bytes, SHA-256 equal")
        yield Finding("model", opened.release.model.model_id)
        check_history(repository, tag, opened.release)
        yield Finding("commit", f"judged at {opened.release.gated_commit[:12]}, and released without another change")
        yield Finding("decision", check_decision(opened.tree, opened.release))
    if (repository.root / RELEASE_FILE).is_file() and load_release(repository.root).tag == name:
        if list(sources) != [LOCAL_CACHE] and not has_outputs(repository.root, opened.release):
            yield Finding("served", "nothing: this clone has only the pointers")
        else:
            check_present(repository, tag, opened.release)
            yield Finding("served", f"{SERVED} is {name}")


def check_log(repository: Repository) -> list[Event]:
    """Return the events; raise `HaltError` where the log of the working tree is not the one that is committed."""
    here, committed = load_events(repository.root), load_committed_events(repository)
    if here != committed:
        message = "differs from the one that is committed"
        raise HaltError(LOG, message, "run `git restore models/releases.jsonl` and find out who changed it")
    return committed


def check_history(repository: Repository, tag: Tag, release: Release) -> None:
    """Raise `HaltError` unless, since the commit that was judged, nothing changed but what a release changes."""
    if not repository.is_ancestor(release.gated_commit, tag.commit):
        message = f"judged at {release.gated_commit[:12]}, which is not in its history"
        raise HaltError(tag.name, message, "find out who made this tag")
    changed = repository.list_changed(release.gated_commit, tag.commit)
    odd = [path for path in changed if path != GRAPH and not path.startswith((f"{SERVED}/", f"{MODELS}/"))]
    if odd:
        message = f"{odd[0]} was changed between the commit that was judged and the release"
        raise HaltError(tag.name, message, "find out who made this tag")


def check_decision(tree: Path, release: Release) -> str:
    """Return what was decided, after holding the decision on record against the release.

    Raises:
        ReleaseError: there is none, it has other bytes, did not decide for this, or judged other bytes.
    """
    if release.decision_sha256 is None:
        raise ReleaseError(release.tag, "was released without a decision", "release it with `nox -s release`")
    path = EVIDENCE / f"{release.decision_sha256}.json"
    if not (tree / path).is_file() or compute_sha256(tree / path) != release.decision_sha256:
        raise ReleaseError(path, "is missing or has other bytes than were acted upon", "restore it from Git")
    record = load_json(tree / path, Record)
    wanted = {Verdict.RELEASE} if release.candidate == "qlora" else {Verdict.RELEASE, Verdict.KEEP}
    if record.decision not in wanted or record.policy != "release":
        raise ReleaseError(path, f"says {record.decision} of a {record.policy}", "find out who made this tag")
    judged = {name: each.sha256 for name, each in record.inputs.items()}
    if (record.code.revision, judged.get("policy")) != (release.gated_commit, release.policy_sha256):
        raise ReleaseError(path, "was made at another commit or by another policy", "find out who made this tag")
    for name, corpus in release.corpora.items():
        store = f"{release.candidate}/{name}"
        expected = (judged.get(f"{store}/embeddings"), judged.get(f"{store}/database"), judged.get(f"{name}/chunks"))
        served = (release.served.get(corpus.embeddings), release.served.get(corpus.database), corpus.chunks_sha256)
        if served != expected:
            raise ReleaseError(path, f"judged other bytes than those of {name}", "find out who made this tag")
    settled = {Outcome.PASS} | ({Outcome.WAIVED} if release.candidate == "qlora" else set())
    outcomes = {check.outcome for check in record.checks if check.subject.split("/")[0] == release.candidate}
    if not outcomes or not outcomes <= settled:
        message = f"not every check of {release.candidate} passed, or there is none"
        raise ReleaseError(path, message, "find out who made this tag")
    return f"{record.decision} by {path.name[:12]}…, {len(record.checks)} checks"


def has_outputs(root: Path, release: Release) -> bool:
    """Whether anything that DVC keeps of a release lies in a tree."""
    return any((root / pointer.path.removesuffix(".dvc")).exists() for pointer in release.pointers)
