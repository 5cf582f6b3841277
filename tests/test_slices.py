"""Slices of the gold set: a loss that is shown, a collapse, and what is too small to be tested."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.answers import HIT, MISS, Rows, alter_policy, make_comparison, make_rows
from validation.outcomes import Outcome
from validation.policy import SliceChecks
from validation.slices import SliceResult, check_slices, judge_slices
from validation.statistics import Bootstrap

if TYPE_CHECKING:
    from validation.outcomes import Check
    from validation.policy import Policy

pytestmark = pytest.mark.requirement("REQ-RET-05")

IDS = SliceChecks(loss="RET308", collapse="RET309")
POLICY = alter_policy(resamples=10_000, slice_fields=["category"], slice_min=30, collapse_hits=5)
BOTH: tuple[tuple[int, ...], tuple[int, ...]] = (HIT, HIT)
LOST: tuple[tuple[int, ...], tuple[int, ...]] = (HIT, MISS)
GAINED: tuple[tuple[int, ...], tuple[int, ...]] = (MISS, HIT)
NEITHER: tuple[tuple[int, ...], tuple[int, ...]] = (MISS, MISS)

Outcomes = list[tuple[tuple[int, ...], tuple[int, ...]]]


def judge(groups: dict[str, Outcomes], policy: Policy = POLICY) -> dict[str, SliceResult]:
    """Judge slices by category whose questions base and candidate answer as told."""
    pairs = [pair for group in groups.values() for pair in group]
    metadata = [{"category": name} for name, group in groups.items() for _ in group]
    base, candidate = ([pair[side] for pair in pairs] for side in (0, 1))
    found = judge_slices(make_comparison(base, candidate, policy, metadata=metadata), policy)
    return {each.value: each for each in found}


def check(results: list[SliceResult], policy: Policy = POLICY) -> dict[str, Check]:
    """Return both checks by identifier."""
    return {each.id: each for each in check_slices(IDS, results, "fr", policy)}


def repeat(*groups: tuple[int, tuple[tuple[int, ...], tuple[int, ...]]]) -> Outcomes:
    """Return as many questions of each kind as told."""
    return [pair for count, pair in groups for _ in range(count)]


SLIGHT = repeat((6, LOST), (1, GAINED), (33, BOTH))
STABLE = repeat((20, BOTH), (20, NEITHER))


def test_a_loss_at_three_percent_counts_alone() -> None:
    """A single slice whose loss has p of about .03 is shown to lose."""
    found = judge({"laws": SLIGHT})["laws"]

    assert found.loss_p is not None
    assert 0.01 < found.loss_p < 0.05
    assert found.loses
    assert check([found])["RET308"].outcome is Outcome.FAIL


def test_a_loss_at_three_percent_among_ten_is_none() -> None:
    """Among ten slices the same loss is what chance brings: Holm multiplies its p-value by ten."""
    alone = judge({"a": SLIGHT})["a"]
    found = judge({"a": SLIGHT, **{f"b{number}": STABLE for number in range(9)}})

    assert alone.loss_p is not None
    assert found["a"].loss_p == pytest.approx(10 * alone.loss_p, rel=1e-12)
    assert not any(each.loses for each in found.values())
    assert check(list(found.values()))["RET308"].outcome is Outcome.PASS


def test_a_clear_loss_counts_among_ten() -> None:
    """A slice that loses a quarter of its hits is named among nine that do not, with its hits before and after."""
    found = judge({"a": repeat((10, LOST), (30, BOTH)), **{f"b{number}": STABLE for number in range(9)}})
    result = check(list(found.values()))["RET308"]

    assert [name for name, each in found.items() if each.loses] == ["a"]
    assert (result.outcome, result.observed, result.limit, result.n) == (Outcome.FAIL, 1, 0, 10)
    assert result.detail == "a loss is shown in category=a (40 → 30 of 40)"


def test_small_slices_do_not_count_in_holm() -> None:
    """Nine slices too small to be tested leave the p-value of the tenth as it is."""
    small = repeat((3, BOTH), (26, NEITHER))
    alone, found = judge({"a": SLIGHT}), judge({"a": SLIGHT, **{f"b{number}": small for number in range(9)}})

    assert found["a"].loss_p == alone["a"].loss_p
    assert found["a"].loses


@pytest.mark.parametrize(("n", "tested"), [(29, False), (30, True), (31, True)])
def test_small_slices_are_reported_but_not_tested(n: int, tested: bool) -> None:  # noqa: FBT001 - a column of the table
    """Below `slice_min` questions there is no interval and no p-value, whatever was lost; the rest is reported."""
    found = judge({"large": STABLE, "small": repeat((n - 10, LOST), (10, BOTH))})
    small = found["small"]

    assert (small.interval is not None, small.loss_p is not None, small.loses) == (tested, tested, tested)
    assert (small.field, small.n, small.base_hits, small.candidate_hits) == ("category", n, n, 10)
    assert small.difference == pytest.approx(-(n - 10) / n, abs=1e-15)
    assert not small.collapsed
    assert check(list(found.values()))["RET308"].n == 1 + tested


def test_a_slice_is_judged_by_its_own_questions() -> None:
    """Interval and p-value are those of a bootstrap of the slice's differences alone."""
    found = judge({"a": SLIGHT, "b": repeat((40, GAINED))})
    bootstrap = Bootstrap(np.arange(40), POLICY.statistics)
    differences = np.array([-1.0] * 6 + [1.0] + [0.0] * 33)

    assert found["a"].interval == bootstrap.compute_intervals([differences])[0]
    assert found["a"].loss_p == min(1.0, 2 * bootstrap.compute_loss_p(differences))
    assert found["b"].difference == 1.0
    assert found["b"].loss_p == 1.0


COLLAPSES = {
    "5 to 0": (5, 0, True),
    "4 to 0": (4, 0, False),
    "6 to 0": (6, 0, True),
    "5 to 1": (5, 1, False),
    "0 to 0": (0, 0, False),
}


@pytest.mark.parametrize("n", [12, 40], ids=["too small to be tested", "tested"])
@pytest.mark.parametrize(("base", "candidate", "expected"), COLLAPSES.values(), ids=COLLAPSES)
def test_a_slice_collapses_when_nothing_is_left_of_enough_hits(
    base: int,
    candidate: int,
    expected: bool,  # noqa: FBT001 - a column of the table
    n: int,
) -> None:
    """From exactly `collapse_hits` hits of the base on, a candidate without any has lost the slice, however small."""
    group = repeat((candidate, BOTH), (base - candidate, LOST), (n - base, NEITHER))
    found = judge({"large": STABLE, "x": group})
    result = check(list(found.values()))["RET309"]

    assert found["x"].collapsed == expected
    assert result.outcome is (Outcome.FAIL if expected else Outcome.PASS)
    assert (result.observed, result.limit, result.n) == (int(expected), 0, 2)
    assert result.detail == (f"no hit is left in category=x ({base} → 0 of {n})" if expected else None)


def test_hits_are_those_of_the_top_five() -> None:
    """A passage at rank 5 is a hit, at rank 6 none."""
    found = judge({"x": [((5,), (6,))] * 5 + [((6,), (5,))] * 2 + [NEITHER] * 30})["x"]

    assert (found.base_hits, found.candidate_hits) == (5, 2)
    assert found.difference == pytest.approx(-3 / 37, abs=1e-15)


def test_a_collapse_is_seen_beside_a_rising_mean() -> None:
    """A slice that collapses fails although the whole gains."""
    found = judge({"large": repeat((30, GAINED), (10, NEITHER)), "x": repeat((5, LOST))})
    results = check(list(found.values()))

    assert (results["RET308"].outcome, results["RET309"].outcome) == (Outcome.PASS, Outcome.FAIL)


@pytest.mark.parametrize("metadata", [{"category": "laws"}, {}, {"category": 3}], ids=["small", "no field", "no text"])
def test_without_a_slice_to_test_both_checks_are_errors(metadata: dict[str, Any]) -> None:
    """Where no slice is large enough nothing was looked at, which is not a PASS; the fields are named."""
    policy = alter_policy(slice_fields=["category", "difficulty"], slice_min=30, collapse_hits=5)
    base, candidate = make_rows((29, HIT)), make_rows((29, MISS))
    comparison = make_comparison(base, candidate, policy, metadata=[metadata] * 29)
    results = check(judge_slices(comparison, policy), policy)

    assert {name: each.outcome for name, each in results.items()} == dict.fromkeys(("RET308", "RET309"), Outcome.ERROR)
    assert {each.detail for each in results.values()} == {"no slice by category, difficulty has 30 questions"}


def test_only_text_makes_a_slice() -> None:
    """Numbers, lists and missing values are left aside, and their questions count in no slice."""
    metadata = [{"category": "laws"}] * 30 + [{"category": 1}] * 30 + [{"category": ["laws"]}] * 30 + [{}] * 30
    base, candidate = make_rows((120, HIT)), make_rows((30, HIT), (90, MISS))
    found = judge_slices(make_comparison(base, candidate, POLICY, metadata=metadata), POLICY)

    assert [(each.value, each.n, each.loses) for each in found] == [("laws", 30, False)]


def test_a_question_belongs_to_a_slice_of_every_field() -> None:
    """Questions lost are counted in each field's slice, and all slices of all fields share one Holm correction."""
    policy = alter_policy(resamples=10_000, slice_fields=["category", "difficulty"], slice_min=30, collapse_hits=5)
    metadata = [{"category": "laws", "difficulty": "hard" if place < 40 else "easy"} for place in range(80)]
    base, candidate = make_rows((80, HIT)), make_rows((8, MISS), (72, HIT))
    found = judge_slices(make_comparison(base, candidate, policy, metadata=metadata), policy)

    assert [(each.field, each.value, each.n, each.candidate_hits) for each in found] == [
        ("category", "laws", 80, 72),
        ("difficulty", "easy", 40, 40),
        ("difficulty", "hard", 40, 32),
    ]
    assert [each.loses for each in found] == [True, False, True]
    assert found[0].loss_p is not None
    assert found[0].loss_p >= 3 / 10_001


def test_slices_resample_questions_that_share_a_passage_together() -> None:
    """Losses on one passage are one loss: what is shown question by question is not shown by passage."""
    base, candidate = make_rows((40, HIT)), make_rows((10, MISS), (30, HIT))
    alone = judge_slices(make_comparison(base, candidate, POLICY), POLICY)
    shared = make_comparison(base, candidate, POLICY, relevant=[[place // 10] for place in range(40)])

    assert [each.loses for each in alone] == [True]
    assert [each.loses for each in judge_slices(shared, POLICY)] == [False]


draw_pair = st.tuples(st.booleans(), st.booleans(), st.booleans(), st.sampled_from("abc"))


@given(rows=st.lists(draw_pair, min_size=15, max_size=60))
@settings(max_examples=40, deadline=None)
def test_a_worse_candidate_never_removes_a_fail(rows: list[tuple[bool, bool, bool, str]]) -> None:
    """Losing more hits neither lifts a shown loss nor a collapse, in any slice."""
    policy = alter_policy(slice_fields=["category"], slice_min=5, collapse_hits=2)
    metadata = [{"category": row[3]} for row in rows]
    base: Rows = [HIT if row[0] else MISS for row in rows]
    sides = [[HIT if row[1] else MISS for row in rows], [HIT if row[1] and row[2] else MISS for row in rows]]
    before, after = (judge_slices(make_comparison(base, side, policy, metadata=metadata), policy) for side in sides)

    for then, now in zip(before, after, strict=True):
        assert now.loses >= then.loses
        assert now.collapsed >= then.collapsed
        assert (now.loss_p is None) == (then.loss_p is None)
        assert (now.loss_p or 0) <= (then.loss_p or 0)
    checks = [check(results, policy) for results in (before, after)]
    for name in ("RET308", "RET309"):
        assert (checks[1][name].observed or 0) >= (checks[0][name].observed or 0)
        assert checks[1][name].outcome is Outcome.FAIL or checks[0][name].outcome is not Outcome.FAIL
