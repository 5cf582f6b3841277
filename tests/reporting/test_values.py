"""What a check observed, as people and as machines read it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.reporting.samples import make_criterion, make_reported
from validation.reporting.values import describe_limit, describe_observed, tell_exactly
from validation.reporting.wording import load_words

DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        ({"unexpected": 2}, None, "2\u00a0exception(s)"),
        ({"min_value": 768.0, "max_value": 768.0}, None, "=\u00a0768"),
        ({"min_value": 1, "max_value": 2}, None, "≥\u00a01, ≤\u00a02"),
        ({"min_value": 0.98}, None, "≥\u00a00.9800"),
        ({"max_value": 0.0}, None, "≤\u00a00"),
        ({"value": 1857}, None, "=\u00a01,857"),
        ({"value_set": ["a", "b"]}, None, "∈\u00a0{a; b}"),
        ({"regex": "\\S{2}"}, None, "pattern\u00a0\\S{2}"),
        ({"min_value": 1, "other": 2}, None, "min_value: 1; other: 2"),
        (DIGEST, "digest", "0123456789ab…"),
        (f"not {DIGEST}", "digest", "not 0123456789ab…"),
        (0.5, "share", "50.0%"),
        ({"min_value": 0.98}, "share", "≥\u00a098.0%"),
        (1.0171, "ratio of medians", "1.017"),
        (True, "share", "yes"),
        ("x" * 500, None, "x" * 159 + "…"),
        (None, None, "–"),
    ],
    ids=repr,
)
def test_each_kind_of_value_has_its_way_to_be_read(value: Any, unit: str | None, expected: str) -> None:
    """Bounds as signs, digests short, shares in per cent."""
    assert describe_observed(make_reported("A", observed=value, unit=unit), load_words("en"), "en") == expected


def test_differences_of_shares_are_points() -> None:
    """Where stores are compared, observed and limit are both signed points."""
    check = make_criterion("RET301")

    assert describe_observed(check, load_words("fr"), "fr") == "+1,7\u202fpt"
    assert describe_limit(check, load_words("fr"), "fr") == "−5,0\u202fpt"


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, 1.0), (1, "1"), (True, 1), (None, "null"), ([1], {"1": 1}), ("a" * 300, "a" * 301), (0.1, 0.1 + 2**-56)],
    ids=repr,
)
def test_unlike_values_are_told_apart(one: Any, other: Any) -> None:
    """By what a machine compares, no two values are taken for one, however alike they look or long they are."""
    assert tell_exactly(one) != tell_exactly(other)
    assert len(tell_exactly(one)) <= 200


def test_order_of_names_makes_no_difference() -> None:
    """The same value always reads the same."""
    assert tell_exactly({"a": 1, "b": 2}) == tell_exactly({"b": 2, "a": 1})
