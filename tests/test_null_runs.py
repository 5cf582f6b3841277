"""Candidates that differ from their base by noise only: seldom released here, often by a gate of point estimates."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.releases import (
    build_gate_request,
    build_small_case,
    judge_release,
    load_small_rulebook,
    remember_expectations,
    write_release,
)
from validation.certificate import Certificate, NullRuns, count_allowed, find_fault
from validation.null_runs import BATCH, is_released, run_nulls
from validation.outcomes import Outcome, Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from tests.releases import Hits
    from validation.comparison import Comparison
    from validation.outcomes import Interval
    from validation.release_case import ReleaseCase

RUNS = 150
NAMES = ["base-and-copy", "copy-and-copy"]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> ReleaseCase:
    """A small release of two corpora."""
    return build_small_case(tmp_path_factory.mktemp("release"), load_small_rulebook(runs=RUNS))


@pytest.fixture(scope="module")
def nulls(case: ReleaseCase) -> list[NullRuns]:
    """What this gate does with candidates that do not differ."""
    return run_nulls(case, lambda _: None)


def set_noise(case: ReleaseCase, noise: float, runs: int) -> ReleaseCase:
    """Return a case of another noise and number of runs."""
    changed = case.rulebook.policy.certification.model_copy(update={"noise": noise, "runs": runs})
    policy = case.rulebook.policy.model_copy(update={"certification": changed})
    return replace(case, rulebook=replace(case.rulebook, policy=policy))


def judge_by_the_mean(interval: Interval, limit: Decimal) -> Outcome:
    """Judge as a gate does that looks at point estimates: at the middle of the interval, whatever its width."""
    middle = Decimal(str((interval.lower + interval.upper) / 2))
    return Outcome.PASS if middle > limit else Outcome.FAIL


def test_noise_is_seldom_released(case: ReleaseCase, nulls: list[NullRuns]) -> None:
    """Against the base and against one another, copies are released no more often than the level allows."""
    allowed = count_allowed(RUNS, case.rulebook.policy)

    assert [null.id for null in nulls] == NAMES
    assert [null.runs for null in nulls] == [RUNS, RUNS]
    assert all(null.releases <= allowed for null in nulls)
    assert 0 < allowed < RUNS / 5


def test_the_copies_do_differ(nulls: list[NullRuns]) -> None:
    """The stores of a null disagree on a good share of the questions, or nothing would have been tried."""
    assert all(0.1 < null.disagreement < 0.6 for null in nulls)


def test_a_gate_of_point_estimates_is_found_out(
    case: ReleaseCase, nulls: list[NullRuns], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gate that takes the mean for the truth releases far more copies than the level allows, and is refused."""
    monkeypatch.setattr("validation.criteria.judge_interval", judge_by_the_mean)
    policy = case.rulebook.policy
    found = run_nulls(case, lambda _: None)
    asked = policy.model_copy(update={"certification": policy.certification.model_copy(update={"trials": 0})})
    faults = [
        find_fault(Certificate(schema_version=1, bound_to={}, trials=[], null_runs=runs), {}, asked)
        for runs in (nulls, found)
    ]

    assert found[1].releases > count_allowed(RUNS, policy)
    assert found[1].releases > 3 * nulls[1].releases
    assert faults == [None, "false releases above the level in copy-and-copy"]


def test_without_noise_there_is_nothing_to_release(case: ReleaseCase) -> None:
    """Copies that are equal answer alike, and no difference is ever a gain."""
    found = run_nulls(set_noise(case, 0.0, 3), lambda _: None)

    assert [(null.releases, null.disagreement) for null in found] == [(0, 0.0), (0, 0.0)]


def test_every_run_is_told(case: ReleaseCase) -> None:
    """The progress moves by as many runs as were judged at once, and the same seed gives the same counts."""
    told: list[int] = []
    few = set_noise(case, 1.0, BATCH + 5)
    found = run_nulls(few, told.append)

    assert told == [BATCH, 5]
    assert {null.runs for null in found} == {BATCH + 5}
    assert run_nulls(few, lambda _: None) == found


def test_the_base_is_not_its_own_copy(case: ReleaseCase, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compared is the base with a copy, and two different copies; the base stands on the base's side."""
    seen: list[tuple[bytes, bytes]] = []

    def watch(found: Comparison, *_: object) -> bool:
        seen.append((found.base.ranks.ranks.tobytes(), found.candidate.ranks.ranks.tobytes()))
        return False

    monkeypatch.setattr("validation.null_runs.is_released", watch)
    run_nulls(set_noise(case, 1.0, 2), lambda _: None)
    plain, first = seen[0]

    assert len(seen) == 4
    assert seen[2][0] == plain
    assert seen[1][0] == first
    assert len({plain, *(pair[1] for pair in seen)}) == 5


RELEASES: dict[str, tuple[Hits, Verdict]] = {
    "gain": ({"fr": (40, 80), "intl": (60, 60)}, Verdict.RELEASE),
    "gain not shown": ({"fr": (40, 41), "intl": (60, 60)}, Verdict.KEEP),
    "loss": ({"fr": (80, 40), "intl": (60, 60)}, Verdict.KEEP),
    "below the floor": ({"fr": (5, 29), "intl": (60, 60)}, Verdict.KEEP),
    "slice collapsed": (
        {"fr": (np.arange(120) < 40, (np.arange(120) >= 30) & (np.arange(120) % 6 != 0)), "intl": (60, 60)},
        Verdict.KEEP,
    ),
}


@pytest.mark.parametrize(("hits", "verdict"), RELEASES.values(), ids=RELEASES)
def test_a_null_is_judged_as_the_gate_judges(tmp_path: Path, case: ReleaseCase, hits: Hits, verdict: Verdict) -> None:
    """Everything else being in order, a comparison is released just where the whole gate releases it."""
    rulebook = case.rulebook
    requests = write_release(tmp_path, hits)[:1]
    with remember_expectations():
        judgement = judge_release(
            build_gate_request(requests, rulebook),
            rulebook,
            rulebook.policy.release.model_copy(update={"certificate": None}),
        )
    compared = judgement.findings[0].compared

    assert compared is not None
    assert judgement.decision.verdict is verdict
    assert is_released(compared[0], rulebook.policy) is (verdict is Verdict.RELEASE)
