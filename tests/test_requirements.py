"""The requirements: what they may say, where their limits come from, and that each is served in both directions."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from pipeline.errors import InputError
from validation import policy as policy_module
from validation.policy import EXPECTATIONS, load_rulebook
from validation.requirements import load_requirements, resolve_limit

if TYPE_CHECKING:
    from validation.policy import Rulebook

pytestmark = pytest.mark.requirement("REQ-TRC-01")

ROOT = Path(__file__).resolve().parents[1]
POLICY = EXPECTATIONS / "policy.yaml"
# Of the specification, its aim apart: point of divergence to verification of the fallback.
SECTIONS = set("23456789")


@pytest.fixture(scope="module")
def rulebook() -> Rulebook:
    """The rules of the project."""
    return load_rulebook(POLICY)


def write_requirement(folder: Path, **changes: Any) -> Path:
    """Write one requirement, with fields that are not as they should be; None takes a field away."""
    wording = {"fr": "texte", "en": "text"}
    told = {
        "section": "2", "statement": wording, "rationale": wording, "owner": "corpus", "metric": wording,
        "operator": "=", "limit": 0, "clauses": ["A.1"],
    }  # fmt: skip
    fields = {name: value for name, value in (told | changes).items() if value is not ...}
    path = folder / "requirements.yaml"
    with path.open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump({"requirements": {"REQ-ONE-01": fields}}, stream)
    return path


def list_marks() -> set[str]:
    """Return every requirement that a mark of any test names."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in ROOT.glob("tests/**/test_*.py"))
    calls = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call))
    marks = (call for call in calls if ast.unparse(call.func) == "pytest.mark.requirement")
    return {ast.literal_eval(word) for mark in marks for word in mark.args}


def test_every_requirement_is_served_by_checks_and_by_tests(rulebook: Rulebook) -> None:
    """Coverage is complete in both directions: requirements have checks and tests, and these name no other."""
    required = set(rulebook.requirements)
    checked = {
        each for check in rulebook.policy.release.list_checks() for each in rulebook.catalogue[check].requirements
    }

    assert checked == required
    assert list_marks() == required


def test_the_specification_is_covered_section_by_section(rulebook: Rulebook) -> None:
    """Every section asks for something."""
    assert {each.section[0] for each in rulebook.requirements.values() if each.section} == SECTIONS


def test_limits_are_those_of_the_policy(rulebook: Rulebook) -> None:
    """A limit is stated once: changing it in the policy changes what is required."""
    limits = rulebook.policy.limits
    changed = rulebook.policy.model_copy(update={"limits": limits.model_copy(update={"dimension": 512})})
    of = {name: each.limit for name, each in rulebook.requirements.items()}

    assert resolve_limit(of["REQ-VEC-02"], rulebook.policy) == 768
    assert resolve_limit(of["REQ-VEC-02"], changed) == 512
    assert resolve_limit(of["REQ-RET-02"], rulebook.policy) == {
        name: float(value) for name, value in limits.margins.items()
    }
    assert resolve_limit(of["REQ-RET-01"], rulebook.policy) == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"limit": "policy.limits.nothing"}, "expected a limit of the policy, got policy.limits.nothing"),
        ({"limit": "policy.waivers"}, "expected a limit of the policy, got policy.waivers"),
        ({"limit": "policy.model_dump"}, "expected a limit of the policy, got policy.model_dump"),
        ({"limit": "limits.recall_floor"}, "limit"),
        ({"statement": {"en": "text"}}, "statement.fr"),
        ({"statement": {"fr": "", "en": "text"}}, "statement.fr"),
        ({"operator": "≠"}, "operator"),
        ({"clauses": []}, "clauses"),
        ({"owner": ...}, "owner"),
        ({"more": 1}, "more"),
        ({"section": "ten"}, "section"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_malformed_requirement_is_refused(
    tmp_path: Path, rulebook: Rulebook, changes: dict[str, Any], said: str
) -> None:
    """What is not stated in full, in both languages and with a limit that exists, is an error that names the place."""
    with pytest.raises(InputError) as caught:
        load_requirements(write_requirement(tmp_path, **changes), rulebook.policy)

    assert said in str(caught.value)


def test_a_requirement_stands_as_it_is_written(tmp_path: Path, rulebook: Rulebook) -> None:
    """The hand-made requirement of these tests is a good one, so that they refuse what they change."""
    assert list(load_requirements(write_requirement(tmp_path), rulebook.policy)) == ["REQ-ONE-01"]


@pytest.mark.parametrize("changes", [{"owner": "pipeline"}, {"limit": 1}, {"metric": {"fr": "texte", "en": "other"}}])
def test_another_wording_has_another_digest(tmp_path: Path, rulebook: Rulebook, changes: dict[str, Any]) -> None:
    """A requirement cannot be reworded after the result without its digest showing it."""
    before = load_requirements(write_requirement(tmp_path), rulebook.policy)["REQ-ONE-01"]
    after = load_requirements(write_requirement(tmp_path, **changes), rulebook.policy)["REQ-ONE-01"]

    assert before.compute_digest() != after.compute_digest()
    assert before.compute_digest() == before.model_copy().compute_digest()


def test_a_check_of_nothing_that_is_required_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check may only serve what is stated; otherwise no rulebook is loaded, and nothing is judged."""
    for name in ("checks", "requirements"):
        text = (EXPECTATIONS / f"{name}.yaml").read_text(encoding="utf-8")
        (tmp_path / f"{name}.yaml").write_text(text.replace("[REQ-CHK-03]", "[REQ-CHK-99]"), encoding="utf-8")
    monkeypatch.setattr(policy_module, "EXPECTATIONS", tmp_path)
    with pytest.raises(InputError, match="CHK106 serves REQ-CHK-99, which is not required"):
        load_rulebook(POLICY)
