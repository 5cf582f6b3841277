"""From a decision to commits: what follows from what was released before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline.documents import load_json
from pipeline.files import compute_sha256
from pipeline.store import load_manifest
from tests.projects import BASE_TAG, CANDIDATE_TAG, Project, decide
from tests.releasing.snapshots import act, edit_decision, rebind, refuse
from tests.stores import edit_manifest
from validation.document import Record
from validation.outcomes import Outcome, Verdict
from validation.record import DECISION
from validation.releasing.content import build_content
from validation.releasing.errors import HaltError, ReleaseError
from validation.releasing.planning import require_sound_base, require_state, tell_served
from validation.releasing.readiness import require_site

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.params import CandidateName


def give_other_bytes(project: Project, role: CandidateName) -> None:
    """Let a candidate's manifest be about a database of other bytes, as after another build."""
    store = project.root / "build" / role / "fr"

    def change(document: dict[str, Any]) -> None:
        document["files"]["database"]["sha256"] = "1" * 64

    assert load_manifest(store).files.database.sha256 != "1" * 64
    edit_manifest(store, change)


def judge_anew(project: Project) -> None:
    """Let the decision be about the manifests and the commit that are there now."""

    def change(document: dict[str, Any]) -> None:
        for each in document["inputs"].values():
            each["sha256"] = compute_sha256(project.root / each["path"])

    rebind(project)
    edit_decision(project, change)


def test_candidate_of_other_bytes_under_a_known_tag(released: Project) -> None:
    """A candidate that was released in other bytes is HALT: a tag is never moved, and a new one is asked for."""
    give_other_bytes(released, "qlora")
    judge_anew(released)
    error = refuse(released, HaltError)

    assert error.where == CANDIDATE_TAG
    assert error.problem == "was released in other bytes than those judged now"
    assert "give the candidate a new one in params.yaml" in error.remedy


def test_base_of_other_bytes(released: Project) -> None:
    """A base that was judged in other bytes than were released is not done, and how to bring its build back is said."""
    give_other_bytes(released, "base")
    judge_anew(released)
    error = refuse(released, ReleaseError)

    assert (error.where, error.exit_code) == (BASE_TAG, 30)
    assert error.problem == "was released in other bytes than the base that was judged"
    assert "git restore --source=<tag> dvc.lock" in error.remedy


@pytest.mark.parametrize("outcome", [each for each in Outcome if each is not Outcome.PASS])
@pytest.mark.parametrize("decision", [Verdict.RELEASE, Verdict.KEEP])
def test_unsound_base_is_no_first_release(fresh: Project, outcome: Outcome, decision: Verdict) -> None:
    """A base of which a check did not pass does not become the first release, whatever was decided."""

    def change(document: dict[str, Any]) -> None:
        check = next(each for each in document["checks"] if each["subject"] == "base/fr")
        check.update(outcome=outcome.value, explanation=None)
        document.update(decision=decision.value, exit_code=decision.exit_code)

    edit_decision(fresh, change)
    error = refuse(fresh, HaltError)

    assert error.exit_code == 40
    assert "base: cannot become the first release: " in error.problem
    assert f"base/fr is {outcome}" in error.problem


def test_base_that_no_check_looked_at(fresh: Project) -> None:
    """A base that nothing looked at does not become the first release."""
    record = load_json(fresh.root / "reports" / DECISION, Record)
    others = [check for check in record.checks if not check.subject.startswith("base")]

    require_sound_base(record)
    with pytest.raises(HaltError, match="no check looked at it"):
        require_sound_base(record.model_copy(update={"checks": others}))


def test_check_of_the_base_counts_at_the_first_release_only(released: Project) -> None:
    """Where the base was released, its bytes are compared; the checks were the gate's matter."""

    def change(document: dict[str, Any]) -> None:
        next(each for each in document["checks"] if each["subject"] == "base/fr").update(
            outcome="FAIL", explanation=None
        )

    rebind(released)
    edit_decision(released, change)
    assert act(released, execute=False)[1][0] == f"{CANDIDATE_TAG} was released before, with these very bytes"


@pytest.mark.parametrize(("role", "tag"), [("base", BASE_TAG), ("qlora", CANDIDATE_TAG)])
def test_state_of_a_candidate(
    fresh_template: Project, released_template: Project, role: CandidateName, tag: str
) -> None:
    """A candidate was released where tag, log and bytes say so, and was not where none does."""
    for project, expected in ((fresh_template, False), (released_template, True)):
        content = build_content(role, project.params, project.root / "build")
        assert content.tag == tag
        assert require_state(project.repository, require_site(project.repository), content) is expected


def keep(document: dict[str, Any]) -> None:
    """Decide to keep the base."""
    document.update(decision="KEEP", exit_code=20)


@pytest.mark.parametrize(
    ("change", "step"),
    [(lambda _: None, f"{CANDIDATE_TAG} was released before, with these very bytes"), (keep, f"keep {BASE_TAG}")],
    ids=["release", "keep"],
)
def test_plan_after_a_release(released: Project, change: Callable[[dict[str, Any]], None], step: str) -> None:
    """After a release, RELEASE has nothing to do and KEEP takes the candidate back."""
    rebind(released)
    edit_decision(released, change)

    assert act(released, execute=False)[1][0] == step


def test_real_decision_after_a_release(released: Project) -> None:
    """The whole gate's new decision on a new commit is one on which nothing is to be tagged."""
    released.git("commit", "--quiet", "--allow-empty", "--message", "since")
    released.git("push", "--quiet")
    decide(released)

    verdict, steps = act(released)
    assert verdict is Verdict.RELEASE
    assert steps == (f"{CANDIDATE_TAG} was released before, with these very bytes", *tell_served(released.repository))
    assert steps[1] == f"{CANDIDATE_TAG} is served; `nox -s fallback -- --to TAG` serves another one"
