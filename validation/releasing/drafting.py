"""Commits of the release history, made in a scratch tree: evidence, events and what is to be served."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pipeline.files import compute_sha256
from validation.releasing.content import Content, stage_content
from validation.releasing.events import LOG, NewEvent, append_events
from validation.releasing.release_file import MODELS, RELEASE_FILE, SERVED
from validation.releasing.repository import Repository
from validation.releasing.switching import GRAPH

if TYPE_CHECKING:
    from validation.document import Record

EVIDENCE = MODELS / "evidence"


@dataclass(frozen=True, slots=True)
class Draft:
    """One commit to make.

    Attributes:
        title: of the commit.
        events: what happened, the last of which says what is served; those that concern `release.json` get its digest.
        content: what is released, None where a release that exists is served or nothing changes.
        source: the commit from which a release that exists is taken back.
        evidence: documents that the events rest on.
        decision: what the release was decided by, and its SHA-256; policy_sha256: of the policy that decided.
    """

    title: str
    events: tuple[NewEvent, ...]
    content: Content | None = None
    source: str | None = None
    evidence: tuple[Path, ...] = ()
    decision: tuple[Record, str] | None = None
    policy_sha256: str | None = None


def commit_draft(tree: Path, draft: Draft, actor: str, judged: str) -> str:
    """Make a commit in a scratch tree and return it.

    Args:
        tree: of which the commit becomes the head.
        draft: what to commit.
        actor: who does it, for the log.
        judged: the commit that was checked out.
    """
    scratch = Repository(tree)
    paths = [SERVED, LOG, MODELS / ".gitignore", PurePosixPath(GRAPH)]
    if draft.content:
        release = stage_content(tree, draft.content, judged, draft.decision, draft.policy_sha256)
        paths += [PurePosixPath(pointer.path) for pointer in release.pointers]
    elif draft.source:
        take_back(scratch, draft.source)
    for document in draft.evidence:
        target = EVIDENCE / f"{compute_sha256(document)}{document.suffix}"
        (tree / EVIDENCE).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(document, tree / target)
        paths.append(target)
    digest = compute_sha256(tree / RELEASE_FILE)
    events = [event.model_copy(update={"evidence_sha256": event.evidence_sha256 or digest}) for event in draft.events]
    append_events(tree, actor, judged, events)
    scratch.git("add", "--", *sorted({str(path) for path in paths if (tree / path).exists()}))
    scratch.git("-c", "commit.gpgSign=false", "commit", "--quiet", "--message", draft.title)
    return scratch.get_head()


def take_back(scratch: Repository, commit: str) -> None:
    """Put everything that a release serves back as it is in its commit, and nothing else with it."""
    options = (f"--source={commit}", "--staged", "--worktree")
    scratch.git("restore", *options, "--no-overlay", "--", str(SERVED))
    pointers = scratch.git("ls-tree", "-z", "--name-only", commit, f"{MODELS}/").split("\0")
    models = [name for name in pointers if name.endswith(".dvc")]
    if models:
        scratch.git("restore", *options, "--", *models)
