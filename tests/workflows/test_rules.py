"""Every workflow obeys every rule, and every rule is shown to reject a workflow that breaks it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.params import load_params
from tests.workflows.reading import FOLDER, ROOT, list_sessions, list_steps, load_workflows, parse_workflow
from tests.workflows.release_rules import OWNED, RELEASE_RULES, check_owners
from tests.workflows.rules import SAFETY_RULES
from tests.workflows.spoils import CI, DRILL, FALLBACK, RELEASE, SPOILS, Spoil

if TYPE_CHECKING:
    from pathlib import Path

    from tests.workflows.reading import Workflow
    from tests.workflows.rules import Rule

WORKFLOWS = {workflow.name: workflow for workflow in load_workflows()}
RULES: dict[str, Rule] = {rule.__name__.removeprefix("check_"): rule for rule in (*SAFETY_RULES, *RELEASE_RULES)}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflow_obeys_rule(name: str, rule: str) -> None:
    """No rule finds anything in a workflow of this project."""
    assert RULES[rule](WORKFLOWS[name]) == []


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
def test_rule_rejects_what_breaks_it(spoil: Spoil) -> None:
    """One thing spoilt in a real workflow is found by the rule that is meant for it, for that reason."""
    spoilt = spoil_workflow(WORKFLOWS[spoil.workflow], spoil)

    assert any(spoil.says in finding for finding in RULES[spoil.rule](spoilt))
    assert not any(spoil.says in finding for finding in RULES[spoil.rule](WORKFLOWS[spoil.workflow]))


def spoil_workflow(workflow: Workflow, spoil: Spoil) -> Workflow:
    """Return a workflow with the first occurrence of a text exchanged, which must be there."""
    assert spoil.old in workflow.text
    return parse_workflow(workflow.name, workflow.text.replace(spoil.old, spoil.new, 1))


def test_no_rule_is_idle() -> None:
    """Each rule has at least one spoilt workflow that it rejects."""
    assert {spoil.rule for spoil in SPOILS.values()} == set(RULES)


def test_workflows_are_those_that_are_known() -> None:
    """A workflow is added together with the rules that it obeys; whatever lies there is read."""
    assert set(WORKFLOWS) == {CI, RELEASE, FALLBACK, DRILL} == {path.name for path in FOLDER.iterdir()}


def test_fallback_offers_the_declared_tags() -> None:
    """The versions to fall back to are those that the parameters declare, the base first."""
    choice = WORKFLOWS[FALLBACK].triggers["workflow_dispatch"]["inputs"]["tag"]
    declared = [candidate.tag for candidate in load_params(ROOT / "params.yaml").candidates]

    assert choice["options"] == declared
    assert choice["default"] == declared[0]


def test_commands_of_a_release_are_read_in_order() -> None:
    """The sessions of a job come in the order in which they run."""
    released = [session for step in list_steps(WORKFLOWS[RELEASE], "release") for session in step.sessions]

    assert released == ["build", "release", "verify"]


def test_sessions_are_read_from_the_source(tmp_path: Path) -> None:
    """A session counts with and without arguments of its mark; another function does not."""
    noxfile = tmp_path / "noxfile.py"
    noxfile.write_text(
        "@nox.session\ndef one(s): ...\n@nox.session(default=False)\ndef two(s): ...\ndef three(s): ...\n", "utf-8"
    )

    assert list_sessions(noxfile) == {"one", "two"}


def test_deciding_files_have_code_owners() -> None:
    """Policy, suites, gold, workflows, gate and release log have owners, and no line takes them away."""
    assert check_owners((ROOT / ".github" / "CODEOWNERS").read_text("utf-8")) == []


@pytest.mark.parametrize("path", OWNED)
def test_a_file_without_code_owner_is_found(path: str) -> None:
    """Each path that must be owned is missed when its line is gone, and when its owner is."""
    text = (ROOT / ".github" / "CODEOWNERS").read_text("utf-8")
    lines = text.splitlines()
    line = next(line for line in lines if line.startswith(f"{path} "))

    assert check_owners(text.replace(line, "")) == [f"{path} is not covered"]
    assert check_owners(text.replace(line, path)) == [f"{path} has no owner"]
