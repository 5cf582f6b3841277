"""Every release and its state, by the log of events and by the tags that there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from validation.releasing.events import find_release, find_served, list_released, load_committed_events
from validation.releasing.release_file import load_committed_release
from validation.render import make_table, quote

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.params import Params
    from validation.releasing.repository import Repository


@dataclass(frozen=True, slots=True)
class Row:
    """A release: tag, model, when and by whom, the commit of its tag, and what has become of it."""

    tag: str
    model: str
    time: str
    actor: str
    commit: str
    state: str


def list_releases(repository: Repository, params: Params) -> list[Row]:
    """Return what was ever released, by the log, and the candidates of params.yaml that were not.

    Raises:
        HaltError: the chain of events is broken.
    """
    events = load_committed_events(repository)
    names = dict.fromkeys([*list_released(events), *(candidate.tag for candidate in params.candidates)])
    served = find_served(events)
    rows = []
    for name in names:
        tag, event = repository.find_tag(name), find_release(events, name)
        there = load_committed_release(repository, tag.commit) if tag else None
        state = tell_state(is_tagged=tag is not None, is_logged=event is not None, is_served=name == served)
        rows.append(
            Row(
                tag=name,
                model=there.model.model_id if there else "",
                time=event.time if event else "",
                actor=event.actor if event else "",
                commit=tag.commit[:12] if tag else "",
                state=state,
            )
        )
    return rows


def tell_state(*, is_tagged: bool, is_logged: bool, is_served: bool) -> str:
    """Return what has become of a release, in words."""
    if is_tagged and is_logged:
        return "served" if is_served else "released"
    if is_tagged:
        return "made by hand"
    return "tag is gone" if is_logged else "not released"


def render_releases(rows: list[Row]) -> Table:
    """Return the releases as a table."""
    table = make_table("Releases")
    for name in ("tag", "state", "model", "released", "by", "commit"):
        table.add_column(name, overflow="fold")
    for row in rows:
        cells = (row.tag, row.state, row.model, row.time, row.actor, row.commit)
        table.add_row(*(quote(cell) for cell in cells))
    return table
