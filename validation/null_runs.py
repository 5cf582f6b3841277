"""Judge candidates that do not differ from their base but for noise: how often would one be released?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from validation.certificate import NullRuns
from validation.comparison import PRIMARY, Answers, Comparison, answer_questions, build_design, compare_answers
from validation.criteria import check_criterion, check_floor
from validation.decision import decide
from validation.outcomes import Outcome, Verdict
from validation.release_case import blur
from validation.slices import check_slices, judge_slices
from validation.spoiling import load_array

if TYPE_CHECKING:
    from collections.abc import Callable

    from validation.outcomes import Check
    from validation.policy import Policy, Rules
    from validation.release_case import ReleaseCase


def run_nulls(case: ReleaseCase, advance: Callable[[], None]) -> list[NullRuns]:
    """Judge noise copies of the base `certification.runs` times, against the base and against one another.

    A copy holds the base's passages and its questions with noise, as if they had been worded a little differently. Two
    copies are exchangeable, so that no true difference stands between them and every release is a false one; against
    the base itself noise can only cost. What is judged is everything that rests on answers; integrity, expectations,
    latency and training hold by construction.
    """
    policy = case.rulebook.policy
    settings, rules = policy.certification, policy.release
    base = case.get_store("base")
    passages, questions = load_array(base, "embeddings"), load_array(base, "questions")
    design = build_design(case.primary, policy)
    plain = answer_questions(questions, passages, case.primary)
    draw = np.random.default_rng(policy.statistics.seed)
    releases = {"base-and-copy": 0, "copy-and-copy": 0}
    disagreement = dict.fromkeys(releases, 0.0)

    def answer_copy() -> Answers:
        return answer_questions(blur(questions, settings.noise, draw), passages, case.primary)

    for _ in range(settings.runs):
        one, other = answer_copy(), answer_copy()
        for name, pair in (("base-and-copy", (plain, one)), ("copy-and-copy", (one, other))):
            comparison = compare_answers(design, *pair)
            releases[name] += is_released(comparison, policy, rules)
            disagreement[name] += float((comparison.subtract(PRIMARY) != 0).mean()) / settings.runs
        advance()
    titles = {"base-and-copy": "the base against a noise copy", "copy-and-copy": "two noise copies of the base"}
    return [
        NullRuns(id=name, title=titles[name], runs=settings.runs, releases=count, disagreement=disagreement[name])
        for name, count in releases.items()
    ]


def is_released(comparison: Comparison, policy: Policy, rules: Rules) -> bool:
    """Whether a comparison on the primary corpus would be released, everything else being in order."""
    checks: list[Check] = [check_criterion(criterion, comparison, policy) for criterion in rules.primary]
    if any(check.outcome is not Outcome.PASS for check in checks):
        return False
    checks += [check_floor(rules.floor, comparison, policy.limits.recall_floor)] if rules.floor else []
    checks += check_slices(rules.slices, judge_slices(comparison, policy), comparison.corpus.name, policy)
    return decide(checks, protects_base=True).verdict is Verdict.RELEASE
