"""Plots as part of the page: small, the same every time, in the page's colours, and harmless."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from tests.records import make_metric
from tests.reporting.samples import HOSTILE, make_criterion
from validation.outcomes import Outcome
from validation.reporting.plots import draw_criteria, draw_metrics
from validation.reporting.wording import load_words

OUTCOMES = [Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.WAIVED]


def parse(drawn: str) -> ET.Element:
    """Return a plot as a tree."""
    return ET.fromstring(drawn)  # noqa: S314 - drawn a moment ago


def draw() -> str:
    """Return a plot of one criterion of each outcome."""
    checks = [make_criterion(f"RET30{number}", outcome) for number, outcome in enumerate(OUTCOMES)]
    return draw_criteria(checks, load_words("en"), "en")


def test_a_plot_is_the_same_every_time() -> None:
    """No date, no random identifier."""
    assert draw() == draw()


def test_colours_are_those_of_the_page() -> None:
    """Every colour is a variable of the style sheet, so that dark, light and print each have their own."""
    drawn = parse(draw())
    colours = {each.get(name) for each in drawn.iter() for name in ("fill", "stroke")} - {None, "none"}

    assert colours
    assert {colour for colour in colours if not re.fullmatch(r"var\(--[a-z]+\)", str(colour))} == set()
    assert {"var(--pass)", "var(--fail)", "var(--open)", "var(--waived)"} <= colours


def test_an_outcome_is_told_by_more_than_colour() -> None:
    """Each outcome is written beside its row, and has a mark of its own."""
    drawn = parse(draw())
    said = [each.text for each in drawn.iter() if each.tag.endswith("text")]
    marks = {each.get("{http://www.w3.org/1999/xlink}href") for each in drawn.iter() if each.tag.endswith("use")}

    assert {"pass", "fail", "inconclusive", "waived"} <= set(said)
    assert len(marks) >= len(OUTCOMES) + 1


def test_a_plot_obeys_no_policy_breaker() -> None:
    """It has no style and no identifier that nothing refers to, and all it refers to is there."""
    drawn = draw()
    ids = re.findall(r'\bid="([^"]+)"', drawn)
    wanted = re.findall(r'(?:href="#|url\(#)([^")]+)', drawn)

    assert "style" not in drawn
    assert "metadata" not in drawn
    assert {*wanted, "criteria-title", "criteria-desc"} == {*ids}
    assert len(ids) == len(set(ids))


@pytest.mark.filterwarnings("error")
def test_hostile_labels_are_drawn_as_text() -> None:
    """Neither formulas nor markup nor letters without a font do anything but show."""
    metrics = {HOSTILE: make_metric(3, 4), "$\\frac{": make_metric(5, 6), "\U0001f600 汉字": make_metric(1, 2)}
    drawn = draw_metrics("metrics-0", HOSTILE, metrics, {HOSTILE: {HOSTILE: 0.5}}, load_words("fr"), "fr")
    said = [each.text for each in parse(drawn).iter() if each.tag.endswith("text")]

    assert "<script>alert(1)<…" in said
    assert "$\\frac{" in said
    assert "<script" not in drawn
