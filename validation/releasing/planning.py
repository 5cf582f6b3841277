"""From a decision to the commits that carry it out, after looking at what was released before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from validation.outcomes import Outcome, Verdict
from validation.releasing.content import build_content, list_digests
from validation.releasing.drafting import Draft
from validation.releasing.errors import HaltError, ReleaseError
from validation.releasing.events import NewEvent, find_release, find_served, load_committed_events
from validation.releasing.opening import report_move
from validation.releasing.readiness import require_same_tag
from validation.releasing.release_file import load_committed_release
from validation.stores import ROLES

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.params import Params
    from validation.document import Record
    from validation.releasing.content import Content
    from validation.releasing.readiness import Site
    from validation.releasing.repository import Repository


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done, in words and as drafts; without drafts there is nothing to do."""

    steps: tuple[str, ...]
    drafts: tuple[Draft, ...] = ()


def plan_release(
    repository: Repository, site: Site, params: Params, decision: Path, judged: tuple[Record, str]
) -> Plan:
    """Return what a decision asks for, given what was released before.

    Args:
        repository: the project.
        site: where the release would be made.
        params: which candidates there are.
        decision: the document, which goes on record.
        judged: that document, read, and its SHA-256.

    Raises:
        HaltError: a tag is elsewhere, or the log and the tags contradict each other.
        ReleaseError: the base was judged in other bytes than were released, or did not pass its own checks.
    """
    record, digest = judged
    base, candidate = (build_content(role, params, repository.root / "build") for role in ROLES)
    is_first = not require_state(repository, site, base)
    if is_first:
        require_sound_base(record)
    released = require_state(repository, site, candidate)
    if released and record.decision is Verdict.RELEASE:
        return Plan((f"{candidate.tag} was released before, with these very bytes", *tell_served(repository)))
    found = [record.inputs[name] for name in ("certificate", "drill") if name in record.inputs]
    found += [record.answers] if record.answers else []
    documents = [decision, *(repository.root / each.path for each in found)]
    blank = Draft("", (), None, None, tuple(documents), judged, record.inputs["policy"].sha256)
    gated = [NewEvent(event="gated", tag=candidate.tag, evidence_sha256=digest, verdict=record.decision)]
    if "drill" in record.inputs:
        drilled = record.inputs["drill"].sha256
        gated.append(NewEvent(event="drilled", tag=candidate.tag, evidence_sha256=drilled))
    if record.decision is Verdict.KEEP:
        drafts = [draft_keep(repository, blank, base, gated, is_first=is_first)]
    else:
        first = [draft_release(blank, base, [])] if is_first else []
        drafts = [*first, draft_release(blank, candidate, gated)]
    return Plan(tuple(draft.title for draft in drafts), tuple(drafts))


def require_state(repository: Repository, site: Site, content: Content) -> bool:
    """Return whether a candidate was released, in the bytes that were judged now.

    Raises:
        HaltError: it was released in other bytes, or log, tag and remote contradict each other.
        ReleaseError: the tag is not everywhere, or the base was released in other bytes.
    """
    require_same_tag(repository, site, content.tag)
    tag = repository.find_tag(content.tag)
    logged = find_release(load_committed_events(repository), content.tag) is not None
    if tag is None and logged:
        raise HaltError(content.tag, "was released, as the log says, but the tag is gone", "find out who removed it")
    if tag is None:
        return False
    there = load_committed_release(repository, tag.commit)
    if there is None or not logged:
        message = "exists and was made by hand, so nothing vouches for its bytes"
        raise HaltError(content.tag, message, "remove it here and on the remote, or name another tag in params.yaml")
    if there.tag != content.tag:
        raise report_move(tag, f"is the commit of {there.tag}")
    digests = list_digests(content)
    if {path: there.served.get(path) for path in digests} == digests:
        return True
    if content.role == "base":
        remedy = "bring its build back with `git restore --source=<tag> dvc.lock` and `dvc pull`, then judge again"
        raise ReleaseError(content.tag, "was released in other bytes than the base that was judged", remedy)
    remedy = "a tag is never moved; give the candidate a new one in params.yaml"
    raise HaltError(content.tag, "was released in other bytes than those judged now", remedy)


def require_sound_base(record: Record) -> None:
    """Raise `HaltError` unless every check of the base passed: there is no way back to a base that does not hold."""
    checks = [check for check in record.checks if check.subject.split("/")[0] == "base"]
    failed = next((check for check in checks if check.outcome is not Outcome.PASS), None)
    if failed or not checks:
        found = f"{failed.id} {failed.subject} is {failed.outcome}" if failed else "no check looked at it"
        raise HaltError(
            record.decision, f"base: cannot become the first release: {found}", "mend the base and judge again"
        )


def draft_release(blank: Draft, content: Content, judged: list[NewEvent]) -> Draft:
    """Return the commit that releases a candidate; what was judged of it comes first in the log."""
    registered = NewEvent(event="registered", tag=content.tag)
    released = NewEvent(event="released", tag=content.tag)
    return replace(blank, title=f"release {content.tag}", content=content, events=(registered, *judged, released))


def draft_keep(repository: Repository, blank: Draft, base: Content, judged: list[NewEvent], *, is_first: bool) -> Draft:
    """Return the commit by which the base stays, becomes again, or is for the first time what is served."""
    kept = NewEvent(event="kept", tag=base.tag, evidence_sha256=blank.decision[1] if blank.decision else None)
    if is_first:
        return draft_release(blank, base, [*judged, kept])
    tag = repository.find_tag(base.tag)
    is_served = find_served(load_committed_events(repository)) == base.tag
    source = None if is_served or tag is None else tag.commit
    return replace(blank, title=f"keep {base.tag}", source=source, events=(*judged, kept))


def tell_served(repository: Repository) -> list[str]:
    """Return what is served by the log, and how to serve something else."""
    served = find_served(load_committed_events(repository))
    return [f"{served} is served; `nox -s fallback -- --to TAG` serves another one"]
