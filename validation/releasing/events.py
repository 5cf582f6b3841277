"""`models/releases.jsonl`: what was gated, released, kept and taken back; each line carries the digest of the last."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from pipeline.documents import Strict, parse_jsonl, read_text
from pipeline.files import replace_file
from pipeline.params import TagName
from pipeline.store import Digest
from validation.outcomes import Verdict
from validation.releasing.errors import HaltError
from validation.releasing.release_file import Commit
from validation.workflow_run import WorkflowRun, find_run

if TYPE_CHECKING:
    from pathlib import Path

    from validation.releasing.repository import Repository

LOG = PurePosixPath("models", "releases.jsonl")
NOTHING_BEFORE = "0" * 64

# After one of these the tag that it names is what is served.
SWITCHES = frozenset({"released", "kept", "fell back", "restored"})

Kind = Literal["registered", "gated", "drilled", "released", "kept", "fell back", "restored"]


class Event(Strict):
    """One line of the log.

    Attributes:
        number: counted from 1; time: UTC, to the second; actor: who did it, as Git knows them.
        commit: what was checked out; tag: the release concerned, None where a verdict concerns none.
        evidence_sha256: of the decision, the drill's report or `release.json`, by the kind of event.
        verdict: of a gate; run: of the workflow, where there was one.
        previous: SHA-256 of the line before, 64 zeros in the first.
    """

    number: Annotated[int, Field(ge=1)]
    event: Kind
    time: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$")]
    actor: str
    commit: Commit
    tag: TagName | None
    evidence_sha256: Digest | None
    verdict: Verdict | None
    run: WorkflowRun | None
    previous: Digest


class NewEvent(Strict):
    """What happened; number, time and chain are given to it when it is appended."""

    event: Kind
    tag: TagName | None = None
    evidence_sha256: Digest | None = None
    verdict: Verdict | None = None


def load_events(root: Path) -> list[Event]:
    """Read the log of a tree, empty where there is none yet. Raises like `parse_events`."""
    path = root / LOG
    return parse_events(str(path), read_text(path)) if path.exists() else []


def load_committed_events(repository: Repository, commit: str = "HEAD") -> list[Event]:
    """Read the log as it is in a commit, empty where there is none. Raises like `parse_events`."""
    return parse_events(f"{commit}:{LOG}", repository.read_blob(commit, str(LOG)) or "")


def parse_events(where: str, text: str) -> list[Event]:
    """Return the events of a log that came from `where`.

    Raises:
        InputError: a line is malformed.
        HaltError: a line was cut out, swapped or edited, so that the chain is broken.
    """
    events = parse_jsonl(where, text, Event)
    previous = NOTHING_BEFORE
    for number, (event, line) in enumerate(zip(events, text.split("\n"), strict=False), 1):
        if (event.number, event.previous) != (number, previous):
            message = "does not follow from the line before: a line was cut out, swapped or edited"
            raise HaltError(f"{where}:{number}", message, "restore the log from Git and find out who changed it")
        previous = compute_digest(line)
    return events


def append_events(root: Path, actor: str, commit: str, new: list[NewEvent]) -> None:
    """Append events to the log of a tree, all or none. Raises like `load_events` where the log is broken."""
    events, path = load_events(root), root / LOG
    text = path.read_text("utf-8").removesuffix("\n") + "\n" if events else ""
    previous = compute_digest(text.removesuffix("\n").rsplit("\n", 1)[-1]) if events else NOTHING_BEFORE
    for number, event in enumerate(new, len(events) + 1):
        line = Event(
            number=number,
            event=event.event,
            time=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            actor=actor,
            commit=commit,
            tag=event.tag,
            evidence_sha256=event.evidence_sha256,
            verdict=event.verdict,
            run=find_run(),
            previous=previous,
        ).model_dump_json()
        previous = compute_digest(line)
        text += f"{line}\n"
    with replace_file(path) as partial:
        partial.write_text(text, "utf-8")


def compute_digest(line: str) -> str:
    """Return the SHA-256 of a line, without its newline."""
    return hashlib.sha256(line.encode()).hexdigest()


def find_release(events: list[Event], tag: str) -> Event | None:
    """Return the event in which a tag was released."""
    return next((event for event in events if event.event == "released" and event.tag == tag), None)


def list_released(events: list[Event]) -> list[str]:
    """Return the tags that were released, in order."""
    return [event.tag for event in events if event.event == "released" and event.tag]


def find_served(events: list[Event]) -> str | None:
    """Return the tag that is served by the log: the last one that was released, kept, fallen back to or restored."""
    served = (event.tag for event in reversed(events) if event.event in SWITCHES)
    return next(served, None)
