"""What must hold whatever the stores are: who keeps which file, and that everything required is looked at."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.releases import (
    Hits,
    build_gate_request,
    get_check,
    judge_release,
    list_causes,
    list_requests,
    load_small_rulebook,
    write_release,
)
from validation.custody import Misplaced, Survey
from validation.outcomes import Outcome, Verdict

if TYPE_CHECKING:
    from validation.gate import GateRequest
    from validation.policy import Rulebook


HITS: Hits = {"fr": (40, 90), "intl": (60, 70)}


@pytest.fixture(scope="module")
def rulebook() -> Rulebook:
    """The rules of the project, with few draws."""
    return load_small_rulebook()


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory, rulebook: Rulebook) -> GateRequest:
    """The request to judge a good release."""
    folder = tmp_path_factory.mktemp("release")
    write_release(folder, HITS)
    return build_gate_request(list_requests(folder), rulebook)


@pytest.mark.requirement("REQ-CUS-01")
def test_a_misplaced_file_keeps_the_base(request_: GateRequest, rulebook: Rulebook) -> None:
    """Where Git keeps what is DVC's, nothing is released, and the file is named."""
    survey = Survey(count=12, misplaced=[Misplaced("corpus/x.npy", "a NumPy array", "give it to DVC")])
    judgement = judge_release(replace(request_, custody=survey), rulebook)
    check = get_check(judgement, "CUS503", "gate")

    assert judgement.decision.verdict is Verdict.KEEP
    assert list_causes(judgement) == {("CUS503", "gate"): Outcome.FAIL}
    assert (check.observed, check.limit, check.n, check.detail) == (1, 0, 12, "misplaced: corpus/x.npy")


@pytest.mark.requirement("REQ-CUS-01")
def test_where_nobody_could_look_nothing_is_evaluated(request_: GateRequest, rulebook: Rulebook) -> None:
    """Without Git's index the rule is not taken for kept."""
    judgement = judge_release(replace(request_, custody=None), rulebook)

    assert judgement.decision.verdict is Verdict.NOT_EVALUATED
    assert list_causes(judgement) == {("CUS503", "gate"): Outcome.ERROR}


@pytest.mark.requirement("REQ-TRC-01")
def test_an_uncovered_requirement_blocks_the_release(request_: GateRequest, rulebook: Rulebook) -> None:
    """Rules that no longer ask for a check leave its requirement uncovered, which is an error and no silence."""
    rules = rulebook.policy.release.model_copy(update={"floor": None})
    judgement = judge_release(request_, rulebook, rules)

    assert judgement.decision.verdict is Verdict.NOT_EVALUATED
    assert list_causes(judgement) == {("TRC504", "gate"): Outcome.ERROR}
    assert get_check(judgement, "TRC504", "gate").detail == "no check serves REQ-RET-04"


def test_a_good_release_has_neither_fault(request_: GateRequest, rulebook: Rulebook) -> None:
    """The same request unspoilt is released."""
    assert judge_release(request_, rulebook).decision.verdict is Verdict.RELEASE
