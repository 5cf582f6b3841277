"""How often intervals cover, tests err and real effects are found, over thousands of simulated gold sets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.stats import binom

from tests.answers import alter_policy, make_corpus
from validation.comparison import Answers, Design, build_design, compare_answers
from validation.criteria import check_criterion
from validation.decision import decide
from validation.metrics import Values, compute_metrics
from validation.outcomes import Interval, Verdict
from validation.ranks import Ranks
from validation.statistics import Bootstrap, count_questions_needed

if TYPE_CHECKING:
    from validation.statistics import Clusters

SIMULATIONS = 2000
RUNS = 1000
# Draws of a bootstrap: fewer than the policy's 10,000, so that the whole file takes seconds. Fewer make bounds noisier,
# hence coverage a little lower and errors a little more frequent, never the other way round.
RESAMPLES = 4000
RESAMPLES_A_RUN = 2000
COLUMNS = 250
POLICY = alter_policy(resamples=RESAMPLES)
RUN_POLICY = alter_policy(resamples=RESAMPLES_A_RUN)
LEVEL = POLICY.statistics.level
QUESTIONS = 300
SIZES = np.tile([1, 2, 3, 4, 5], 20)
SHARED = np.repeat(np.arange(len(SIZES)), SIZES)


def bound_errors(runs: int) -> float:
    """Return the share of errors that a test at the policy's level exceeds in one of a thousand simulations."""
    return float(binom.ppf(0.999, runs, 1 - LEVEL)) / runs


def draw_differences(shape: tuple[int, int], disagreement: float, effect: float, draw: np.random.Generator) -> Values:
    """Return differences of a hit: so many questions differ, and their mean is the effect."""
    shares = [(disagreement - effect) / 2, 1 - disagreement, (disagreement + effect) / 2]
    return draw.choice([-1.0, 0.0, 1.0], shape, p=shares)


def draw_shared(icc: float, disagreement: float, effect: float, seed: int) -> Values:
    """Return differences of questions that share passages, a column each simulation, with this correlation of a pair.

    A question takes its passage's difference with probability √ICC, so both of two do with probability ICC.
    """
    draw = np.random.default_rng(seed)
    own = draw_differences((QUESTIONS, SIMULATIONS), disagreement, effect, draw)
    common = draw_differences((len(SIZES), SIMULATIONS), disagreement, effect, draw)[SHARED]
    return np.where(draw.random(own.shape) < math.sqrt(icc), common, own)


def compute_intervals(clusters: Clusters, differences: Values, level: float = LEVEL) -> list[Interval]:
    """Return the interval of each column."""
    bootstrap = Bootstrap(clusters, POLICY.statistics.model_copy(update={"level": level}))
    blocks = np.split(differences.T, range(COLUMNS, differences.shape[1], COLUMNS))
    parts = (bootstrap.compute_intervals(list(block)) for block in blocks)
    return [interval for part in parts for interval in part]


def measure_rejections(clusters: Clusters, differences: Values) -> float:
    """Return the share of simulations in which the candidate is shown to be better."""
    return sum(interval.lower > 0 for interval in compute_intervals(clusters, differences)) / SIMULATIONS


@pytest.mark.parametrize("effect", [0.0, 0.05], ids=["no effect", "5 points"])
@pytest.mark.parametrize("disagreement", [0.05, 0.1, 0.15, 0.2, 0.3], ids="{:.0%} differ".format)
def test_a_two_sided_interval_covers_95_percent(disagreement: float, effect: float) -> None:
    """Both bounds at 97.5 %: of 2,000 gold sets of 300 questions the interval holds the true effect in 93 to 97 %."""
    draw = np.random.default_rng(5)
    differences = draw_differences((QUESTIONS, SIMULATIONS), disagreement, effect, draw)
    intervals = compute_intervals(np.arange(QUESTIONS), differences, level=0.975)
    covered = sum(interval.lower <= effect <= interval.upper for interval in intervals)

    assert len(intervals) == SIMULATIONS
    assert 0.93 <= covered / SIMULATIONS <= 0.97


@pytest.mark.parametrize("icc", [0.0, 0.25, 0.5], ids="ICC {}".format)
def test_chance_passes_for_superiority_no_more_often_than_stated(icc: float) -> None:
    """Questions that share passages: a candidate that is no better is called better within the level."""
    rejections = measure_rejections(SHARED, draw_shared(icc, 0.2, 0.0, seed=11))

    assert 0.02 < rejections <= bound_errors(SIMULATIONS)


def test_resampling_question_by_question_would_err_too_often() -> None:
    """The same gold sets, passages ignored, exceed the level by far: the simulation tells a wrong unit from a right."""
    differences = draw_shared(0.5, 0.2, 0.0, seed=11)

    assert measure_rejections(np.arange(QUESTIONS), differences) > 1.5 * bound_errors(SIMULATIONS)


@pytest.mark.parametrize("icc", [0.0, 0.25, 0.5], ids="ICC {}".format)
def test_a_real_effect_is_found(icc: float) -> None:
    """A candidate that is truly 12 points better is nearly always called so, however passages are shared."""
    assert measure_rejections(SHARED, draw_shared(icc, 0.2, 0.12, seed=12)) > 0.9


@pytest.mark.parametrize("icc", [0.0, 0.5], ids="ICC {}".format)
def test_as_many_questions_as_needed_give_the_stated_power(icc: float) -> None:
    """An effect for which 300 questions are said to be needed is found about as often as the policy's power says."""
    effect, power = 0.055 if icc == 0 else 0.085, POLICY.statistics.power
    differences = draw_shared(icc, 0.15, effect, seed=13)
    intervals = compute_intervals(SHARED, differences)
    error = math.sqrt(np.mean([interval.standard_error**2 for interval in intervals]))
    needed = count_questions_needed(QUESTIONS, Interval(-1, 1, LEVEL, error), effect, power)
    found = sum(interval.lower > 0 for interval in intervals) / SIMULATIONS

    assert needed == pytest.approx(QUESTIONS, rel=0.07)
    assert found == pytest.approx(power, abs=0.05)


@dataclass(frozen=True, slots=True)
class Field:
    """Pairs of stores that rank the passages of one gold set, alike but for chance.

    Attributes:
        noise: how far the stores' ranks part, as a logarithm.
        gain: how much higher the candidate ranks in truth, as a logarithm.
    """

    noise: float
    gain: float = 0.0

    def draw_answers(self, draw: np.random.Generator) -> tuple[Answers, Answers]:
        """Return the answers of base and candidate; most of the noise is common to a passage's questions."""
        level = draw.normal(1.5, 1.5, len(PASSAGES))[ASKED] + draw.normal(0, 0.2, len(ASKED))
        return self._draw_side(level, draw), self._draw_side(level - self.gain, draw)

    def _draw_side(self, level: Values, draw: np.random.Generator) -> Answers:
        common = draw.normal(0, math.sqrt(0.9), len(PASSAGES))[ASKED]
        noise = common + draw.normal(0, math.sqrt(0.1), len(ASKED))
        ranks = np.maximum(1, np.rint(np.exp(level + self.noise * noise))).astype(np.int64)
        found = Ranks(ranks[:, np.newaxis], np.ones(len(ASKED), dtype=np.int64))
        return Answers(found, compute_metrics(found))


PASSAGES = np.tile([1, 2, 3, 4, 5], 40)
ASKED = np.repeat(np.arange(len(PASSAGES)), PASSAGES)


@pytest.fixture(scope="module")
def design() -> Design:
    """A gold set of 600 questions over 200 passages, drawn once."""
    return build_design(make_corpus([[passage] for passage in ASKED.tolist()]), RUN_POLICY)


def measure_releases(design: Design, field: Field) -> float:
    """Return how often RET301 to RET305 together let a candidate pass, over new answers to the same gold set."""
    draw, released = np.random.default_rng(17), 0
    for _ in range(RUNS):
        comparison = compare_answers(design, *field.draw_answers(draw))
        checks = [check_criterion(criterion, comparison, RUN_POLICY) for criterion in RUN_POLICY.release.primary]
        released += decide(checks, protects_base=True).verdict is Verdict.RELEASE
    return released / RUNS


@pytest.mark.parametrize("noise", [0.1, 0.2, 0.5], ids="noise {}".format)
def test_chance_is_released_no_more_often_than_stated(design: Design, noise: float) -> None:
    """Stores that differ by chance alone: all criteria together release one no more often than the level says."""
    assert [criterion.check for criterion in RUN_POLICY.release.primary] == [f"RET30{number}" for number in range(1, 6)]
    assert measure_releases(design, Field(noise)) <= bound_errors(RUNS)


def test_chance_would_be_released_too_often_question_by_question(design: Design) -> None:
    """The same stores judged by intervals that ignore shared passages are released more often than the level says."""
    naive = Design(design.corpus, Bootstrap(np.arange(len(ASKED)), RUN_POLICY.statistics), ())

    assert measure_releases(naive, Field(0.2)) > bound_errors(RUNS)


def test_a_better_candidate_is_released(design: Design) -> None:
    """A candidate that ranks a third further up in truth passes all criteria nearly always."""
    assert measure_releases(design, Field(0.2, gain=0.4)) > 0.9
