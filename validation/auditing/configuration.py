"""The configuration audit: what was recorded against what is there, releases as baselines, and every change."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pipeline.documents import read_text
from pipeline.errors import PipelineError
from pipeline.files import compute_sha256
from pipeline.store import MANIFEST
from validation.attesting.chain import LOG_INPUT, count_judged
from validation.auditing.clauses import list_clauses
from validation.auditing.documents import Baseline, ConfigurationAudit, ConfigurationItem, FileState
from validation.outcomes import Outcome
from validation.releasing.events import Event, find_served, load_events
from validation.requirements import Wording

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from validation.auditing.case import Case
    from validation.document import InputRecord

TITLE = Wording(fr="Audit de configuration", en="Configuration audit")
SOUND: frozenset[FileState] = frozenset({"unchanged", "continued"})


def build_configuration_audit(case: Case) -> ConfigurationAudit:
    """Return the audit of a decision's files as they are now. Raises like `load_events`."""
    items = list(list_items(case))
    unrecorded = list_unrecorded(case)
    events = load_events(case.folder)
    is_sound = bool(items) and not unrecorded and all(item.state in SOUND for item in items)
    return ConfigurationAudit(
        document="configuration-audit",
        title=TITLE,
        basis=case.basis,
        evidence_mapped_to=list_clauses("configuration-audit"),
        outcome=Outcome.PASS if is_sound else Outcome.FAIL,
        items=items,
        unrecorded=unrecorded,
        baselines=list(_list_baselines(events)),
        changes=events,
    )


def list_items(case: Case) -> Iterator[ConfigurationItem]:
    """Yield every file that the decision records, with what is found of it."""
    recorded = dict(case.record.inputs) | ({"answers": case.record.answers} if case.record.answers else {})
    for name, each in recorded.items():
        found = _find_digest(case.folder / each.path)
        yield ConfigurationItem(
            name=name, path=each.path, recorded=each.sha256, found=found, state=_tell_state(case, name, each, found)
        )


def _find_digest(path: Path) -> str | None:
    try:
        return compute_sha256(path)
    except (PipelineError, OSError):
        return None


def _tell_state(case: Case, name: str, recorded: InputRecord, found: str | None) -> FileState:
    if found is None:
        return "missing"
    if found == recorded.sha256:
        return "unchanged"
    # Only the log may have more lines than when it was judged; its first ones must be those.
    is_continued = name == LOG_INPUT and count_judged(read_text(case.folder / recorded.path), recorded.sha256)
    return "continued" if is_continued is not False and is_continued is not None else "changed"


def list_unrecorded(case: Case) -> list[str]:
    """Return the files beside the stores that the decision does not record."""
    known = {each.path for each in case.record.inputs.values()}
    folders = sorted(str(PurePosixPath(path).parent) for path in known if PurePosixPath(path).name == MANIFEST)
    present = (path for folder in folders for path in (case.folder / folder).rglob("*"))
    names = (path.relative_to(case.folder).as_posix() for path in present if path.is_symlink() or not path.is_dir())
    return sorted({*names} - known)


def _list_baselines(events: Sequence[Event]) -> Iterator[Baseline]:
    served = find_served(list(events))
    for event in events:
        if event.event != "released" or event.tag is None:
            continue
        gated = next((each for each in events if each.event == "gated" and each.commit == event.commit), None)
        yield Baseline(
            tag=event.tag,
            state="served" if event.tag == served else "released",
            time=event.time,
            actor=event.actor,
            gated_commit=event.commit,
            release_sha256=event.evidence_sha256,
            decision_sha256=gated.evidence_sha256 if gated else None,
            verdict=gated.verdict if gated else None,
        )
