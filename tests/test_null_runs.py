"""Candidates that differ from their base by noise only: seldom released here, often by a gate of point estimates."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.releases import (
    build_gate_request,
    build_small_case,
    judge_release,
    load_small_rulebook,
    remember_expectations,
    write_release,
)
from validation.certificate import Certificate, NullRuns, count_allowed, find_fault
from validation.comparison import answer_questions, build_design, compare_answers, compare_pairs
from validation.null_runs import BATCH, is_released, run_nulls
from validation.outcomes import Outcome, Verdict
from validation.release_case import blur
from validation.spoiling import load_array

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.releases import Hits
    from validation.comparison import Answers, Comparison, Design
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
    return run_nulls(case)


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
    found = run_nulls(case)
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
    found = run_nulls(set_noise(case, 0.0, 3))

    assert [(null.releases, null.disagreement) for null in found] == [(0, 0.0), (0, 0.0)]


def test_another_process_counts_the_same(case: ReleaseCase) -> None:
    """A case goes to another process whole, and the same seed gives the same counts there, a last short batch too."""
    few = set_noise(case, 1.0, BATCH + 5)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        there = pool.submit(run_nulls, few).result()

    assert {null.runs for null in there} == {BATCH + 5}
    assert there == run_nulls(few)


def test_the_base_is_not_its_own_copy(case: ReleaseCase, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compared is the base with a copy, and two different copies; the base stands on the base's side."""
    seen: list[tuple[bytes, bytes]] = []

    def watch(found: Comparison, *_: object) -> bool:
        seen.append((found.base.ranks.ranks.tobytes(), found.candidate.ranks.ranks.tobytes()))
        return False

    monkeypatch.setattr("validation.null_runs.is_released", watch)
    monkeypatch.setattr("validation.null_runs.BATCH", 2)
    run_nulls(set_noise(case, 1.0, 3))
    against_base, against_copy = [*seen[:2], seen[4]], [*seen[2:4], seen[5]]
    copies = [against_copy[0][0], *(pair[1] for pair in against_copy)]
    store = case.get_store("base")
    own = answer_questions(load_array(store, "questions"), load_array(store, "embeddings"), case.primary)

    assert len(seen) == 6
    assert {pair[0] for pair in against_base} == {own.ranks.ranks.tobytes()}
    assert [pair[1] for pair in against_base] == copies[1:]
    assert against_copy == list(pairwise(copies))
    assert len({own.ranks.ranks.tobytes(), *copies}) == 5


def watch(told: list[int]) -> Callable[..., list[Comparison]]:
    """Compare pairs, and tell how many there were at once."""

    def compare(design: Design, pairs: Sequence[tuple[Answers, Answers]]) -> list[Comparison]:
        told.append(len(pairs))
        return compare_pairs(design, pairs)

    return compare


@pytest.mark.parametrize("batch", [1, 4, 100])
def test_batches_change_no_count(case: ReleaseCase, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    """However many runs are judged at once, the same copies are drawn and the same of them released."""
    few = set_noise(case, 1.0, 10)
    expected = run_nulls(few)
    told: list[int] = []
    monkeypatch.setattr("validation.null_runs.BATCH", batch)
    monkeypatch.setattr("validation.null_runs.compare_pairs", watch(told))
    found = run_nulls(few)

    assert [(null.id, null.runs, null.releases) for null in found] == [(n.id, n.runs, n.releases) for n in expected]
    assert [null.disagreement for null in found] == pytest.approx([null.disagreement for null in expected])
    assert (sum(told), max(told)) == (20, min(batch, 10))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), pairs=st.integers(1, 12))
def test_pairs_are_compared_as_one_by_one(case: ReleaseCase, seed: int, pairs: int) -> None:
    """Every interval is, to the bit, that of its own pair alone, in the order in which the pairs were given."""
    draw = np.random.default_rng(seed)
    store = case.get_store("base")
    questions, passages = load_array(store, "questions"), load_array(store, "embeddings")
    answers = [
        answer_questions(blur(questions, float(draw.uniform(0, 1.5)), draw), passages, case.primary) for _ in range(4)
    ]
    given_pairs = [(answers[one], answers[other]) for one, other in draw.integers(0, 4, (pairs, 2))]
    design = build_design(case.primary, case.rulebook.policy)
    found = compare_pairs(design, given_pairs)

    for comparison, (base, candidate) in zip(found, given_pairs, strict=True):
        alone = compare_answers(design, base, candidate)

        assert (comparison.base, comparison.candidate) == (base, candidate)
        assert list(comparison.intervals) == list(base.metrics)
        assert repr(comparison.intervals) == repr(alone.intervals)


def test_a_store_against_itself_differs_in_nothing(case: ReleaseCase) -> None:
    """Both bounds of every metric are 0."""
    store = case.get_store("base")
    own = answer_questions(load_array(store, "questions"), load_array(store, "embeddings"), case.primary)
    (found,) = compare_pairs(build_design(case.primary, case.rulebook.policy), [(own, own)])

    assert {(interval.lower, interval.upper) for interval in found.intervals.values()} == {(0.0, 0.0)}


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
            rulebook.policy.release.model_copy(update={"certificate": None, "coverage": None}),
        )
    compared = judgement.findings[0].compared

    assert compared is not None
    assert judgement.decision.verdict is verdict
    assert is_released(compared[0], rulebook.policy) is (verdict is Verdict.RELEASE)
