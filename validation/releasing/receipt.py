"""`rollback-drill.json`: proof that the way back was walked with these very stores, and the check that asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from pipeline.documents import Strict
from pipeline.params import TagName
from pipeline.store import Digest
from validation.certificate import compute_code_digest, find_change, list_digests
from validation.outcomes import Check, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.store import Manifest

RECEIPT = "rollback-drill.json"
WAY = ("release base", "release candidate", "fall back", "go forward")

Seconds = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]


class Answered(Strict):
    """How the served database of a corpus answered its gold questions.

    `hits` counts questions with a relevant passage among the first five; `sha256` is over the ten passages that each
    question got, in order.
    """

    questions: Count
    hits: Count
    sha256: Digest


class Step(Strict):
    """One switch: what is served after it, how long it took, how many files and bytes were hashed, and its answers."""

    act: str
    tag: TagName
    seconds: Seconds
    files: Count
    size: Count
    answers: dict[str, Answered]


class Receipt(Strict):
    """All of `rollback-drill.json`; `bound_to` are the digests of the stores and of the code that it was done with."""

    schema_version: Annotated[int, Field(ge=1, le=1)]
    bound_to: dict[str, Digest]
    steps: list[Step]


def list_drilled(stores: Iterable[tuple[str, Manifest]]) -> dict[str, str]:
    """Return the digests that a drill is bound to: the code, and every file of these stores by `role/corpus`."""
    bound = {"code": compute_code_digest()}
    for subject, manifest in stores:
        bound |= list_digests(subject, manifest)
    return bound


def check_drill(check_id: str, receipt: Receipt | None, bound: dict[str, str]) -> Check:
    """Check that the fallback was drilled with what is judged, and came back; anything else is an ERROR."""
    fault = "the fallback was not drilled" if receipt is None else find_fault(receipt, bound)
    return Check(
        id=check_id,
        subject="gate",
        outcome=Outcome.ERROR if fault else Outcome.PASS,
        observed=len(receipt.steps) if receipt else None,
        limit=len(WAY),
        n=sum(step.files for step in receipt.steps) if receipt else None,
        detail=fault,
    )


def find_fault(receipt: Receipt, bound: dict[str, str]) -> str | None:
    """Return why a drill does not vouch for these stores, or None."""
    changed = find_change(bound, receipt.bound_to)
    if changed:
        return f"drilled with another {changed}"
    if tuple(step.act for step in receipt.steps) != WAY:
        return f"expected the way {', '.join(WAY)}"
    base, candidate, back, forward = receipt.steps
    if not all(step.files and step.answers for step in receipt.steps):
        return "a step looked at nothing"
    if (back.tag, back.answers) != (base.tag, base.answers):
        return "after falling back, the base did not answer as before"
    if (forward.tag, forward.answers) != (candidate.tag, candidate.answers):
        return "after going forward again, the candidate did not answer as before"
    return None
