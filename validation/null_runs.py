"""Judge candidates that do not differ from their base but for noise: how often would one be released?"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from validation.certificate import NullRuns
from validation.comparison import PRIMARY, Answers, Comparison, answer_questions, build_design, compare_pairs
from validation.criteria import check_criterion, check_floor
from validation.decision import decide
from validation.outcomes import Outcome, Verdict
from validation.release_case import blur
from validation.slices import check_slices, judge_slices
from validation.spoiling import load_array

if TYPE_CHECKING:
    from validation.outcomes import Check
    from validation.policy import Policy
    from validation.release_case import ReleaseCase

TITLES = {"base-and-copy": "the base against a noise copy", "copy-and-copy": "two noise copies of the base"}
BATCH = 25


def run_nulls(case: ReleaseCase) -> list[NullRuns]:
    """Judge noise copies of the base `certification.runs` times, against the base and against one another.

    A copy holds the base's passages and its questions with noise, as if they had been worded a little differently. Two
    copies are exchangeable, so that no true difference stands between them and every release is a false one; against
    the base itself noise can only cost. Each copy meets the one before it: neighbouring runs share a copy, on opposite
    sides, which makes the count of releases vary less, not more. What is judged is everything that rests on answers;
    integrity, expectations, latency and training hold by construction.
    """
    policy = case.rulebook.policy
    settings, base = policy.certification, case.get_store("base")
    passages, questions = load_array(base, "embeddings"), load_array(base, "questions")
    design = build_design(case.primary, policy)
    plain = answer_questions(questions, passages, case.primary)
    draw = np.random.default_rng(policy.statistics.seed)

    def answer_copy() -> Answers:
        return answer_questions(blur(questions, settings.noise, draw), passages, case.primary)

    releases, differing = dict.fromkeys(TITLES, 0), dict.fromkeys(TITLES, 0.0)
    last = answer_copy()
    for start in range(0, settings.runs, BATCH):
        copies = [last] + [answer_copy() for _ in range(min(BATCH, settings.runs - start))]
        last = copies[-1]
        pairs = {"base-and-copy": [(plain, copy) for copy in copies[1:]], "copy-and-copy": list(pairwise(copies))}
        for name in TITLES:
            found = compare_pairs(design, pairs[name])
            releases[name] += sum(is_released(comparison, policy) for comparison in found)
            differing[name] += sum(float((comparison.subtract(PRIMARY) != 0).mean()) for comparison in found)
    return [
        NullRuns(
            id=name,
            title=title,
            runs=settings.runs,
            releases=releases[name],
            disagreement=differing[name] / settings.runs,
        )
        for name, title in TITLES.items()
    ]


def is_released(comparison: Comparison, policy: Policy) -> bool:
    """Whether a comparison on the primary corpus would be released, everything else being in order."""
    rules = policy.release
    checks: list[Check] = [check_criterion(criterion, comparison, policy) for criterion in rules.primary]
    if any(check.outcome is not Outcome.PASS for check in checks):
        return False
    checks += [check_floor(rules.floor, comparison, policy.limits.recall_floor)] if rules.floor else []
    checks += check_slices(rules.slices, judge_slices(comparison, policy), comparison.corpus.name, policy)
    return decide(checks, protects_base=True).verdict is Verdict.RELEASE
