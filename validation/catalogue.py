"""`expectations/checks.yaml`, typed: what every check is called, which requirements it serves, and what it looks at."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from pipeline.documents import Strict
from validation.outcomes import Check, Outcome
from validation.requirements import Characteristic, RequirementId, Text, Wording

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from validation.requirements import Requirement

CheckId = Annotated[str, Field(pattern=r"^[A-Z]{3}\d{3}$")]
# The subject of what concerns no single corpus.
WHOLE = "gate"


class DeclaredCheck(Strict):
    """What a check is called, which requirements it serves, its unit, what it looks at, and what to do about it.

    Attributes:
        characteristic: of ISO/IEC 25012, where the check is about the quality of data.
        reads: patterns of names of inputs, in which `{corpus}`, `{store}` and `{role}` are those of the subject.
    """

    requirements: Annotated[list[RequirementId], Field(min_length=1)]
    title: Wording
    unit: Text
    characteristic: Characteristic | None
    reads: list[Text]
    remedy: Wording


class Catalogue(Strict):
    """All of `checks.yaml`."""

    checks: dict[CheckId, DeclaredCheck]


def select_inputs(declared: DeclaredCheck, subject: str, names: Iterable[str]) -> list[str]:
    """Return the names of the inputs that a check of a subject looks at, in the order in which they are given.

    A subject is `gate`, a corpus such as `fr`, a store such as `base/fr`, or a part of a store.
    """
    parts = subject.split("/")
    if subject == WHOLE:
        role, corpus = "*", "*"
    else:
        role, corpus = ("*", subject) if len(parts) == 1 else (parts[0], parts[1])
    patterns = [each.format(role=role, corpus=corpus, store=f"{role}/{corpus}") for each in declared.reads]
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def check_coverage(
    check_id: str,
    requirements: Mapping[str, Requirement],
    catalogue: Mapping[str, DeclaredCheck],
    declared: Iterable[str],
) -> Check:
    """Check that every requirement is served by a check that was declared for this judgement.

    Args:
        check_id: the check of coverage.
        requirements: all that is required.
        catalogue: which requirements a check serves.
        declared: identifiers of the checks of this judgement.
    """
    served = {each for check in declared for each in catalogue[check].requirements}
    uncovered = sorted(requirements.keys() - served)
    return Check(
        id=check_id,
        subject=WHOLE,
        outcome=Outcome.ERROR if uncovered else Outcome.PASS,
        observed=len(uncovered),
        limit=0,
        n=len(requirements),
        detail=f"no check serves {', '.join(uncovered)}" if uncovered else None,
    )
