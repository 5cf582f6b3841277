"""Act upon a decision: tag the candidate on RELEASE, keep the base on KEEP, and make the base the first release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from validation.releasing.binding import load_decision, require_bound
from validation.releasing.content import get_tag
from validation.releasing.errors import HaltError, ReleaseError
from validation.releasing.events import list_released, load_committed_events
from validation.releasing.planning import Plan, plan_release
from validation.releasing.publishing import Publication, adopt_published, is_acted_upon, publish
from validation.releasing.readiness import require_clean, require_pushed, require_same_tag, require_site
from validation.releasing.switching import finish_interrupted
from validation.releasing.workplace import work_alone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.params import Params
    from validation.outcomes import Verdict
    from validation.releasing.readiness import Site
    from validation.releasing.repository import Repository


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody asks for: to act upon a decision; `digest` is its own where that was passed on apart."""

    params: Params
    decision: Path
    digest: str | None
    announce: Callable[[str], None]


def release(repository: Repository, order: Order, *, execute: bool) -> tuple[Verdict, Plan]:
    """Act upon a decision, or say what would be done.

    Raises:
        HaltError: the base, or a tag, cannot be trusted, or the gate said HALT.
        ReleaseError: something is not as it must be; nothing was changed then.
        InputError, StoreError: a document or a store is malformed.
    """
    with work_alone(repository):
        record, digest = load_decision(order.decision, order.digest)
        finished = finish_interrupted(repository) if execute else None
        site = require_site(repository)
        events = load_committed_events(repository)
        if is_acted_upon(events, digest):
            for tag in list_released(events):
                require_same_tag(repository, site, tag)
            return record.decision, Plan((finished or "this decision was acted upon before",))
        require_clean(repository)
        adopted = adopt_published(repository, site, digest) if execute else None
        if adopted:
            return record.decision, Plan((f"published from this decision before; {adopted} is served now",))
        require_pushed(site)
        require_bound(record, repository.root, site.head)
        plan = plan_release(repository, site, order.params, order.decision, (record, digest))
        if execute and plan.drafts:
            carry_out(repository, site, order, plan, digest)
        return record.decision, plan


def carry_out(repository: Repository, site: Site, order: Order, plan: Plan, digest: str) -> None:
    """Publish a plan; where another run of the same decision was faster, take over what it published."""
    publication = Publication(plan.drafts, get_tag(order.params, "base"), order.announce)
    try:
        publish(repository, site, publication)
    except HaltError:
        raise
    except ReleaseError:
        if repository.get_head() != site.head or not adopt_published(repository, require_site(repository), digest):
            raise
