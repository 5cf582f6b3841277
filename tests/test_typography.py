"""Figures and spaces as each language sets them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from validation.render import describe_percent, describe_points
from validation.typography import (
    format_count,
    format_decimal,
    format_p,
    format_percent,
    format_points,
    format_value,
    set_spaces,
)

if TYPE_CHECKING:
    from validation.typography import Language


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("fr", ["1\u202f857", "12,5\u202f%", "+1,7", "−0,5", "0,0", "1,25", "0,041", "< 0,001"]),
        ("en", ["1,857", "12.5%", "+1.7", "−0.5", "0.0", "1.25", "0.041", "< 0.001"]),
    ],
    ids=["French", "English"],
)
def test_figures_follow_the_language(language: Language, expected: list[str]) -> None:
    """A comma or a point, thousands apart, a true minus, and per cent with or without a space."""
    assert [
        format_count(1857, language),
        format_percent(0.125, language),
        format_points(0.0167, language),
        format_points(-0.005, language),
        format_points(-0.0001, language),
        format_decimal(1.25, language, 2),
        format_p(0.041, language),
        format_p(0.00004, language),
    ] == expected


@pytest.mark.parametrize("share", [0.0, 0.125, 0.30625, 0.3817401960784314, -0.0025, 1.0])
def test_the_digits_are_those_of_the_terminal(share: float) -> None:
    """A page rounds as terminal and summary do, so that no two views of a decision differ in a digit."""
    assert format_percent(share, "en").removesuffix("%").replace("−", "-") == describe_percent(share)
    assert format_points(share, "en").replace("−", "-") == describe_points(share)


@pytest.mark.parametrize(
    ("value", "french", "english"),
    [
        (None, "–", "–"),
        (True, "oui", "yes"),
        (1857, "1\u202f857", "1,857"),
        (768.0, "768", "768"),
        (2.5e15, "2500000000000000,0000", "2500000000000000.0000"),
        (0.98, "0,9800", "0.9800"),
        (1e-9, "1,00e−09", "1.00e−09"),
        ("C", "C", "C"),
        ([1, "a"], "1; a", "1; a"),
        ({"min": 1, "max": None}, "min\u00a0: 1; max\u00a0: –", "min: 1; max: –"),
        ({}, "–", "–"),
        ([], "–", "–"),
    ],
    ids=repr,
)
def test_a_value_of_any_type_can_be_read(value: Any, french: str, english: str) -> None:
    """Whatever a check observed has one way to be written."""
    assert format_value(value, "fr") == french
    assert format_value(value, "en") == english


def test_nothing_is_a_dash() -> None:
    """Where there is no figure, a dash stands."""
    shown = [tell(None, "fr") for tell in (format_count, format_decimal, format_p, format_percent, format_points)]

    assert shown == ["–"] * 5


def test_french_spaces_and_apostrophes() -> None:
    """No line of French ends before a colon or a closing guillemet."""
    assert set_spaces("l'arbitre : « 5 % » ; oui ?") == "l’arbitre\u00a0: «\u00a05\u202f%\u00a0»\u202f; oui\u202f?"
