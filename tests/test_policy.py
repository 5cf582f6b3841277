"""The policy file is read strictly: what is misspelt, missing or mistyped judges nothing."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import InputError
from tests.stores import build_request, write_pair
from validation.policy import EXPECTATIONS, Policy, load_rulebook

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Result

POLICY = EXPECTATIONS / "policy.yaml"

# What is replaced, by what, and what the one line must name: the field's path, or the place of a YAML error.
FAULTS = {
    "unknown key": ("  dimension: 768", "  dimension: 768\n  dimensions: 768", "limits.dimensions:"),
    "unknown section": ("statistics:", "slices: {}\nstatistics:", ": slices:"),
    "misspelt key": ("  recall_floor:", "  recall_flor:", "limits.recall_floor: Field required"),
    "missing limit": ("  questions_min: 100\n", "", "limits.questions_min: Field required"),
    "missing margin": ("    mrr@10: 0.03\n", "", "limits.margins: no margin for mrr@10, which RET304 needs"),
    "duplicate key": ("  seed: 20260125", "  seed: 20260125\n  seed: 1", 'duplicate key "seed"'),
    "boolean for a count": ("questions_min: 100", "questions_min: true", "limits.questions_min:"),
    "boolean for a share": ("recall_floor: 0.25", "recall_floor: true", "limits.recall_floor: expected a number"),
    "boolean for a level": ("level: 0.95", "level: true", "statistics.level:"),
    "boolean for a version": ("schema_version: 1", "schema_version: true", "schema_version:"),
    "text for a share": ("recall_floor: 0.25", "recall_floor: '0.25'", "limits.recall_floor: expected a number"),
    "text for a margin": ("recall@1: 0.03", "recall@1: '0.03'", "limits.margins.recall@1: expected a number"),
    "text for a level": ("level: 0.95", "level: '0.95'", "statistics.level:"),
    "text for a version": ("schema_version: 1", "schema_version: '1'", "schema_version:"),
    "nothing for a level": ("level: 0.95", "level:", "statistics.level:"),
    "fraction for a count": ("questions_min: 100", "questions_min: 100.0", "limits.questions_min:"),
    "percentage for a share": ("recall_floor: 0.25", "recall_floor: 25", "limits.recall_floor:"),
    "negative margin": ("recall@1: 0.03", "recall@1: -0.03", "limits.margins.recall@1:"),
    "percentage for a level": ("level: 0.95", "level: 95", "statistics.level:"),
    "level of a coin": ("level: 0.95", "level: 0.5", "statistics.level:"),
    "too few resamples": ("resamples: 10000", "resamples: 999", "statistics.resamples:"),
    "no questions asked for": ("questions_min: 100", "questions_min: 0", "limits.questions_min:"),
    "future version": ("schema_version: 1", "schema_version: 2", "schema_version:"),
    "unknown metric": ("metric: recall@10}", "metric: recall@7}", "release.primary[2].metric:"),
    "unknown kind": ("kind: superiority", "kind: better", "release.primary[0].kind:"),
    "unknown check": ("INT104, INT105]", "INT104, INT199]", "unknown check INT199"),
    "unknown criterion": ("check: RET303", "check: RET399", "unknown check RET399"),
    "malformed check": ("INT104, INT105]", "INT104, int105]", "release.integrity[4]:"),
    "not a number": ("recall_floor: 0.25", "recall_floor: .nan", "limits.recall_floor"),
    "infinity": ("norm_tolerance: 0.001", "norm_tolerance: .inf", "limits.norm_tolerance"),
    "overflow": ("recall@1: 0.03", "recall@1: 1.0e+999", "limits.margins.recall@1"),
}


def write_policy(folder: Path, old: str = "", new: str = "") -> Path:
    """Write the project's policy with one thing replaced."""
    text = POLICY.read_text(encoding="utf-8")
    path = folder / "policy.yaml"
    path.write_text(text.replace(old, new, 1) if old else text, encoding="utf-8")

    assert not old or old in text

    return path


@pytest.mark.parametrize(("old", "new", "named"), FAULTS.values(), ids=FAULTS)
def test_a_malformed_policy_is_refused(tmp_path: Path, old: str, new: str, named: str) -> None:
    """Each fault is refused with the file and the field's path."""
    path = write_policy(tmp_path, old, new)

    with pytest.raises(InputError) as error:
        load_rulebook(path)

    assert str(error.value).startswith(str(path))
    assert named in str(error.value)


def test_limits_are_decimals_as_written() -> None:
    """A limit is the decimal in the file, not the float next to it."""
    policy = load_rulebook(POLICY).policy

    assert policy.limits.margins["recall@1"] == Decimal("0.03")
    assert policy.limits.recall_floor == Decimal("0.25")


@pytest.mark.parametrize("field", sorted(Policy.model_fields))
def test_no_section_has_a_default(field: str) -> None:
    """Every section of the policy must be written down."""
    assert Policy.model_fields[field].is_required()


def test_no_limit_has_a_default() -> None:
    """Every limit must be written down, in whatever section it stands."""
    sections = [Policy.model_fields[name].annotation for name in ("statistics", "limits", "release")]
    fields = {
        f"{section.__name__}.{name}": field.is_required()
        for section in sections
        if section is not None
        for name, field in section.model_fields.items()
    }

    assert fields == dict.fromkeys(fields, True)


def test_every_file_that_has_a_say_is_digested(tmp_path: Path) -> None:
    """Policy, catalogue and each suite go into the rulebook with the SHA-256 of their bytes."""
    path = write_policy(tmp_path)
    rulebook = load_rulebook(path)
    suites = {f"suite_{suite.stem}": suite for suite in (EXPECTATIONS / "suites").glob("*.json")}
    files = {"policy": path, "checks": EXPECTATIONS / "checks.yaml", **suites}

    assert rulebook.digests == {
        name: (file, hashlib.sha256(file.read_bytes()).hexdigest()) for name, file in files.items()
    }


def test_comparison_asks_for_all_of_release_but_floor_model_and_other_corpora() -> None:
    """Comparing stores from elsewhere leaves out only what it cannot know."""
    policy = load_rulebook(POLICY).policy
    release, comparison = policy.release.model_dump(), policy.comparison.model_dump()
    differing = {name for name in release if release[name] != comparison[name]}

    assert differing == {"integrity", "secondary", "floor"}
    assert set(release["integrity"]) - set(comparison["integrity"]) == {"INT105"}
    assert (comparison["secondary"], comparison["floor"]) == ([], None)


def test_a_missing_policy_is_refused(tmp_path: Path) -> None:
    """A path that leads nowhere is named."""
    with pytest.raises(InputError, match=r"absent\.yaml: expected a file, but it does not exist"):
        load_rulebook(tmp_path / "absent.yaml")


def test_the_gate_refuses_a_malformed_policy_and_writes_nothing(tmp_path: Path, run_cli: Callable[..., Result]) -> None:
    """One line on standard error, exit code 30, and the decision that was there is still there."""
    sample, base, candidate = write_pair(tmp_path, base_hits=2, candidate_hits=4, rows=6)
    request = build_request(sample, base, candidate)
    path = write_policy(tmp_path, "level: 0.95", "level: '0.95'")
    output = tmp_path / "reports"
    output.mkdir()
    (output / "decision.json").write_text("old", encoding="utf-8")
    result = run_cli(
        "validation", "gate", "--base", base, "--candidate", candidate, "--chunks", request.chunks,
        "--questions", request.questions, "--qrels", request.qrels, "--policy", path, "--output", output,
    )  # fmt: skip

    assert result.code == 30
    assert result.err.splitlines() == [
        f'error: {path}: statistics.level: expected a valid number, got "0.95"; mend that field'
    ]
    assert result.out == ""
    assert [(file.name, file.read_text(encoding="utf-8")) for file in output.iterdir()] == [("decision.json", "old")]
