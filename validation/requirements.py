"""`expectations/requirements.yaml`, typed: what is required, why, by whom, and which clauses ask for evidence of it."""

from __future__ import annotations

import hashlib
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from pipeline.documents import Strict, load_yaml
from pipeline.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel

RequirementId = Annotated[str, Field(pattern=r"^REQ-[A-Z]{3}-\d{2}$")]
Text = Annotated[str, Field(min_length=1)]
# A dotted path into the policy; a number stands for itself where nothing is there to be tuned, such as no fault at all.
Reference = Annotated[str, Field(pattern=r"^policy(\.[a-z_]+)+$")] | int
Bound = float | dict[str, float]
# Of ISO/IEC 25012, the quality of data.
Characteristic = Literal[
    "accuracy", "completeness", "consistency", "credibility", "precision", "traceability", "recoverability"
]


class Wording(Strict):
    """The same text in French and in English."""

    fr: Text
    en: Text


class Requirement(Strict):
    """What is required: `metric operator limit` must hold.

    Attributes:
        section: where the specification asks for it, such as `3.2`; None for what the gate itself must do.
        limit: where the policy states the limit, or a number.
        clauses: clauses of standards to which evidence for this is mapped.
    """

    section: Annotated[str, Field(pattern=r"^\d(\.\d)?$")] | None
    statement: Wording
    rationale: Wording
    owner: Text
    metric: Wording
    operator: Literal["=", "<", "≤", ">", "≥"]
    limit: Reference
    clauses: Annotated[list[Text], Field(min_length=1)]

    def compute_digest(self) -> str:
        """Return the SHA-256 of all that is required, by which a later reader sees that it was not reworded."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


class Requirements(Strict):
    """All of `requirements.yaml`."""

    requirements: dict[RequirementId, Requirement]


def load_requirements(path: Path, policy: BaseModel) -> dict[str, Requirement]:
    """Read the requirements.

    Raises:
        InputError: the file is malformed, or a limit is not where it is said to be in the policy.
    """
    found = load_yaml(path, Requirements).requirements
    for name, requirement in found.items():
        try:
            resolve_limit(requirement.limit, policy)
        except (AttributeError, TypeError) as error:
            problem = f"{name}: expected a limit of the policy, got {requirement.limit}"
            raise InputError(path, problem, "name it by its path in policy.yaml") from error
    return found


def resolve_limit(limit: str | int, policy: BaseModel) -> Bound:
    """Return the number that a reference points to in the policy, or the numbers by name; a number stands for itself.

    Raises:
        AttributeError: the policy has no such entry.
        TypeError: the entry is no number.
    """
    if isinstance(limit, int):
        return limit
    value = attrgetter(limit.removeprefix("policy."))(policy)
    return {name: float(each) for name, each in value.items()} if isinstance(value, dict) else float(value)
