"""`expectations/policy.yaml` and `expectations/checks.yaml`, typed and strict: no limit has a default in code."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from pipeline.documents import Strict, load_yaml
from pipeline.errors import InputError
from pipeline.files import compute_sha256
from pipeline.params import PROJECT_ROOT
from validation.catalogue import Catalogue, CheckId, DeclaredCheck
from validation.requirements import Requirement, Text, load_requirements

EXPECTATIONS = PROJECT_ROOT / "expectations"


def _read_number(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = f"expected a number, got {value!r}"
        raise ValueError(message)  # noqa: TRY004 - pydantic gathers ValueErrors only
    return Decimal(str(value))


Number = Annotated[Decimal, Field(allow_inf_nan=False), BeforeValidator(_read_number)]
Share = Annotated[Number, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Metric = Literal["recall@1", "recall@5", "recall@10", "mrr@10", "ndcg@10"]
Operation = Literal["open-and-search", "gold-set"]


class Statistics(Strict):
    """How intervals are computed: one-sided level, power, numbers of draws and of latency rounds, seed."""

    level: Annotated[float, Field(gt=0.5, lt=1)]
    power: Annotated[float, Field(gt=0.5, lt=1)]
    resamples: Annotated[int, Field(ge=1000)]
    flips: Annotated[int, Field(ge=1000)]
    rounds: Annotated[int, Field(ge=5)]
    seed: Annotated[int, Field(ge=0)]


class Limits(Strict):
    """Everything that evidence is held against; shares, not percentages."""

    dimension: Count
    norm_tolerance: Annotated[float, Field(gt=0, lt=1)]
    distinct_texts_min: Share
    distinct_vectors_min: Share
    questions_min: Count
    recall_floor: Share
    margins: dict[Metric, Share]
    slice_fields: list[Text]
    slice_min: Count
    collapse_hits: Count
    latency_ratio: Annotated[Number, Field(ge=1)]
    canary_similarity: Annotated[Share, Field(gt=0)]
    leak_similarity: Annotated[Share, Field(gt=0)]
    waivers_max: Annotated[int, Field(ge=0)]


class Certification(Strict):
    """How many spoilt releases are judged, how many without a difference, and when that is held against the gate."""

    trials: Annotated[int, Field(ge=15)]
    runs: Annotated[int, Field(ge=1000)]
    noise: Annotated[float, Field(gt=0)]
    significance: Annotated[float, Field(gt=0, lt=0.5)]


class Waiver(Strict):
    """Someone answers for a check that does not pass, until a day (inclusive) and for a stated reason."""

    id: Annotated[str, Field(pattern=r"^WAIVER-\d{3}$")]
    check: CheckId
    subject: Text
    owner: Text
    reason: Text
    expires: date

    @property
    def key(self) -> tuple[str, str]:
        """The check and subject that are waived."""
        return (self.check, self.subject)


class Criterion(Strict):
    """A check that an interval decides: the candidate's metric beats the base's, or is not worse by the margin."""

    check: CheckId
    kind: Literal["superiority", "non-inferiority"]
    metric: Metric


class SliceChecks(Strict):
    """The checks of slices: none is shown to lose, none collapses."""

    loss: CheckId
    collapse: CheckId


class Rules(Strict):
    """The checks that one way of judging requires; `optional` ones only where their evidence is given."""

    integrity: list[CheckId]
    corpus: list[CheckId]
    vectors: list[CheckId]
    database: list[CheckId]
    primary: list[Criterion]
    secondary: list[Criterion]
    floor: CheckId | None
    slices: SliceChecks
    latency: dict[Operation, CheckId]
    canary: CheckId
    leak: CheckId
    unchanged: CheckId
    certificate: CheckId | None
    drill: CheckId | None
    custody: CheckId | None
    coverage: CheckId | None
    optional: list[CheckId]

    def list_checks(self) -> list[str]:
        """Return the identifier of every check, as often as it is named."""
        criteria = [criterion.check for criterion in (*self.primary, *self.secondary)]
        named = [
            self.floor,
            self.slices.loss,
            self.slices.collapse,
            *self.latency.values(),
            self.canary,
            self.leak,
            *self.list_whole(),
        ]
        groups = [*self.integrity, *self.corpus, *self.vectors, *self.database, *criteria]
        return groups + [check for check in named if check is not None]

    def list_whole(self) -> list[str]:
        """Return the checks that concern no single corpus."""
        named = (self.certificate, self.drill, self.custody, self.coverage, self.unchanged)
        return [check for check in named if check is not None]


class Policy(Strict):
    """All of `policy.yaml`."""

    schema_version: Annotated[int, Field(ge=1, le=1)]
    statistics: Statistics
    limits: Limits
    certification: Certification
    waivable: list[CheckId]
    waivers: list[Waiver]
    release: Rules
    comparison: Rules

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_rules(self)
        _check_waivers(self)
        return self


@dataclass(frozen=True, slots=True)
class Rulebook:
    """All rules as loaded, the folder of suites, and the digest of every file that has a say."""

    policy: Policy
    requirements: dict[str, Requirement]
    catalogue: dict[str, DeclaredCheck]
    suites: Path
    digests: dict[str, tuple[Path, str]]


def load_rulebook(policy_path: Path, suites: Path = EXPECTATIONS / "suites") -> Rulebook:
    """Read the policy, the requirements, the catalogue of checks and the digests of the suites.

    Raises:
        InputError: a file is malformed, the policy requires a check that the catalogue does not know, or a check
            serves a requirement that nobody stated.
    """
    catalogue_path, requirements_path = EXPECTATIONS / "checks.yaml", EXPECTATIONS / "requirements.yaml"
    policy = load_yaml(policy_path, Policy)
    requirements = load_requirements(requirements_path, policy)
    catalogue = load_yaml(catalogue_path, Catalogue).checks
    served = {name: check for check, declared in catalogue.items() for name in declared.requirements}
    for name in sorted(served.keys() - requirements.keys()):
        problem = f"{served[name]} serves {name}, which is not required"
        raise InputError(catalogue_path, problem, f"state it in {requirements_path.name}")
    unknown = sorted({*policy.release.list_checks(), *policy.comparison.list_checks()} - set(catalogue))
    if unknown:
        raise InputError(policy_path, f"unknown check {unknown[0]}", f"declare it in {catalogue_path.name}")
    files = {"policy": policy_path, "checks": catalogue_path, "requirements": requirements_path}
    files |= {f"suite_{path.stem}": path for path in sorted(suites.glob("*.json"))}
    digests = {name: (path, compute_sha256(path)) for name, path in files.items()}
    return Rulebook(policy, requirements, catalogue, suites, digests)


def _check_rules(policy: Policy) -> None:
    for name, rules in (("release", policy.release), ("comparison", policy.comparison)):
        named = Counter(rules.list_checks())
        twice = [check for check, count in named.items() if count > 1]
        _require(not twice, f"{name}: {', '.join(twice)} is named twice")
        stray = sorted(set(rules.optional) - set(named))
        _require(not stray, f"{name}.optional: {', '.join(stray)} is no check of these rules")
        for criterion in (*rules.primary, *rules.secondary):
            known = criterion.kind == "superiority" or criterion.metric in policy.limits.margins
            _require(known, f"limits.margins: no margin for {criterion.metric}, which {criterion.check} needs")
        missing = sorted({*get_args(Operation)} - set(rules.latency))
        _require(not missing, f"{name}.latency: no check of {', '.join(missing)}")
        gains = any(criterion.kind == "superiority" for criterion in rules.primary)
        _require(gains, f"{name}.primary: no criterion of superiority, so nothing would have to be gained")
    _require(not policy.release.optional, "release.optional: a release leaves nothing out")


def _check_waivers(policy: Policy) -> None:
    stray = sorted(set(policy.waivable) - _list_answerable(policy.release))
    _require(not stray, f"waivable: {', '.join(stray)} cannot be answered for by a person")
    most, found = policy.limits.waivers_max, len(policy.waivers)
    _require(found <= most, f"waivers: {found} waivers, limits.waivers_max allows {most}")
    for field in ("id", "key"):
        values = [getattr(waiver, field) for waiver in policy.waivers]
        _require(len(set(values)) == len(values), f"waivers: two have the same {field}")
    for waiver in policy.waivers:
        known = waiver.check in policy.waivable
        _require(known, f"waivers: {waiver.id} names {waiver.check}, which is not waivable")


def _list_answerable(rules: Rules) -> set[str]:
    """Return the checks that an interval decides, superiority apart: a release without a gain makes no sense."""
    criteria = [*rules.primary, *rules.secondary]
    judged = {criterion.check for criterion in criteria} | {rules.slices.loss, *rules.latency.values()}
    return judged - {criterion.check for criterion in criteria if criterion.kind == "superiority"}


def _require(holds: bool, message: str) -> None:  # noqa: FBT001 - what must hold is the only argument that matters
    if not holds:
        raise ValueError(message)
