"""`expectations/policy.yaml` and `expectations/checks.yaml`, typed and strict: no limit has a default in code."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from pipeline.documents import Strict, load_yaml
from pipeline.errors import InputError
from pipeline.files import compute_sha256
from pipeline.params import PROJECT_ROOT

EXPECTATIONS = PROJECT_ROOT / "expectations"


def _read_number(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = f"expected a number, got {value!r}"
        raise ValueError(message)  # noqa: TRY004 - pydantic gathers ValueErrors only
    return Decimal(str(value))


CheckId = Annotated[str, Field(pattern=r"^[A-Z]{3}\d{3}$")]
Share = Annotated[Decimal, Field(ge=0, le=1, allow_inf_nan=False), BeforeValidator(_read_number)]
Metric = Literal["recall@1", "recall@5", "recall@10", "mrr@10", "ndcg@10"]


class Statistics(Strict):
    """How intervals are computed: one-sided level, number of bootstrap resamples, seed."""

    level: Annotated[float, Field(gt=0.5, lt=1)]
    resamples: Annotated[int, Field(ge=1000)]
    seed: Annotated[int, Field(ge=0)]


class Limits(Strict):
    """Everything that evidence is held against; shares, not percentages."""

    dimension: Annotated[int, Field(ge=1)]
    norm_tolerance: Annotated[float, Field(gt=0, lt=1)]
    distinct_texts_min: Share
    distinct_vectors_min: Share
    questions_min: Annotated[int, Field(ge=1)]
    recall_floor: Share
    margins: dict[Metric, Share]


class Criterion(Strict):
    """A check that an interval decides: the candidate's metric beats the base's, or is not worse by the margin."""

    check: CheckId
    kind: Literal["superiority", "non-inferiority"]
    metric: Metric


class Rules(Strict):
    """The checks that one way of judging requires."""

    integrity: list[CheckId]
    corpus: list[CheckId]
    vectors: list[CheckId]
    database: list[CheckId]
    primary: list[Criterion]
    secondary: list[Criterion]
    floor: CheckId | None


class Policy(Strict):
    """All of `policy.yaml`."""

    schema_version: Annotated[int, Field(ge=1, le=1)]
    statistics: Statistics
    limits: Limits
    release: Rules
    comparison: Rules

    @model_validator(mode="after")
    def _check_margins(self) -> Policy:
        for rules in (self.release, self.comparison):
            for criterion in (*rules.primary, *rules.secondary):
                if criterion.kind == "non-inferiority" and criterion.metric not in self.limits.margins:
                    message = f"limits.margins: no margin for {criterion.metric}, which {criterion.check} needs"
                    raise ValueError(message)
        return self


class DeclaredCheck(Strict):
    """What a check is called, which requirement it serves, in which unit, and what to do when it does not pass."""

    requirement: Annotated[str, Field(pattern=r"^REQ-[A-Z]+-\d{2}$")]
    title: str
    unit: str
    remedy: str


class Catalogue(Strict):
    """All of `checks.yaml`."""

    checks: dict[CheckId, DeclaredCheck]


@dataclass(frozen=True, slots=True)
class Rulebook:
    """Policy and catalogue as loaded, with the digest of every file that has a say."""

    policy: Policy
    catalogue: dict[str, DeclaredCheck]
    digests: dict[str, tuple[Path, str]]


def load_rulebook(policy_path: Path) -> Rulebook:
    """Read the policy, the catalogue of checks and the digests of the suites.

    Raises:
        InputError: a file is malformed, or the policy requires a check that the catalogue does not know.
    """
    catalogue_path = EXPECTATIONS / "checks.yaml"
    policy = load_yaml(policy_path, Policy)
    catalogue = load_yaml(catalogue_path, Catalogue).checks
    unknown = sorted(_list_required(policy) - set(catalogue))
    if unknown:
        raise InputError(policy_path, f"unknown check {unknown[0]}", f"declare it in {catalogue_path.name}")
    files = {"policy": policy_path, "checks": catalogue_path}
    files |= {f"suite_{path.stem}": path for path in sorted((EXPECTATIONS / "suites").glob("*.json"))}
    return Rulebook(policy, catalogue, {name: (path, compute_sha256(path)) for name, path in files.items()})


def _list_required(policy: Policy) -> set[str]:
    required: set[str] = set()
    for rules in (policy.release, policy.comparison):
        required |= {*rules.integrity, *rules.corpus, *rules.vectors, *rules.database}
        required |= {criterion.check for criterion in (*rules.primary, *rules.secondary)}
        required |= {rules.floor} if rules.floor else set()
    return required
