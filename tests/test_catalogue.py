"""The catalogue of checks: which inputs a check looked at, and which requirement no check serves."""

from __future__ import annotations

import pytest

from validation.catalogue import check_coverage, select_inputs
from validation.outcomes import Outcome
from validation.policy import EXPECTATIONS, load_rulebook

pytestmark = pytest.mark.requirement("REQ-TRC-01")

RULEBOOK = load_rulebook(EXPECTATIONS / "policy.yaml")
STORE_PARTS = ("manifest", "embeddings", "questions", "database")
NAMES = [
    "policy", "checks", "requirements", "suite_chunks", "suite_vectors",
    *(f"{corpus}/{part}" for corpus in ("fr", "intl") for part in ("chunks", "questions", "qrels")),
    *(f"{role}/{corpus}/{part}" for role in ("base", "qlora") for corpus in ("fr", "intl") for part in STORE_PARTS),
    "triplets", "training", "certificate", "drill", "latency", "canary_base", "canary_qlora",
]  # fmt: skip


@pytest.mark.parametrize(
    ("check", "subject", "expected"),
    [
        ("INT101", "qlora/fr", [f"qlora/fr/{part}" for part in STORE_PARTS]),
        ("CHK101", "fr", ["policy", "suite_chunks", "fr/chunks"]),
        ("INT102", "base/intl", ["intl/chunks", "base/intl/manifest"]),
        ("VEC109", "qlora/fr/questions", ["policy", "qlora/fr/embeddings", "qlora/fr/questions", "canary_qlora"]),
        ("LAT401", "fr", ["policy", "base/fr/manifest", "qlora/fr/manifest", "latency"]),
        ("TRN101", "intl", ["policy", "intl/questions", "intl/qrels", "triplets", "training"]),
        (
            "RET301",
            "fr",
            ["policy", "fr/questions", "fr/qrels"]
            + [f"{role}/fr/{part}" for role in ("base", "qlora") for part in ("embeddings", "questions")],
        ),
        ("TRC504", "gate", ["policy", "checks", "requirements"]),
        ("INT107", "gate", NAMES),
    ],
)
def test_a_check_names_what_it_looked_at(check: str, subject: str, expected: list[str]) -> None:
    """Inputs are those of the check's own subject and no other's, in the order of the decision."""
    assert select_inputs(RULEBOOK.catalogue[check], subject, NAMES) == expected


def test_a_requirement_that_no_declared_check_serves_is_an_error() -> None:
    """Where a check is not asked for, what it alone serves is uncovered, named, and nothing can be released."""
    release = RULEBOOK.policy.release.list_checks()
    served = [check for check in release if check not in {"LAT401", "LAT402", "CHK106"}]
    found = check_coverage("TRC504", RULEBOOK.requirements, RULEBOOK.catalogue, served)

    assert (found.outcome, found.observed, found.limit) == (Outcome.ERROR, 2, 0)
    assert found.detail == "no check serves REQ-CHK-03, REQ-LAT-01"
    assert check_coverage("TRC504", RULEBOOK.requirements, RULEBOOK.catalogue, release).outcome is Outcome.PASS


def test_one_of_several_checks_is_enough() -> None:
    """A requirement stays covered while any check of it is asked for."""
    release = [check for check in RULEBOOK.policy.release.list_checks() if check != "LAT401"]

    assert check_coverage("TRC504", RULEBOOK.requirements, RULEBOOK.catalogue, release).outcome is Outcome.PASS
