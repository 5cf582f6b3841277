"""What a check observed, and its limit, as people read it; and exactly, as a machine compares it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from validation.reporting.quoting import clean
from validation.typography import (
    NARROW_SPACE,
    format_decimal,
    format_percent,
    format_points,
    format_value,
)

if TYPE_CHECKING:
    from validation.document import CheckRecord
    from validation.reporting.wording import Words
    from validation.typography import Language

RATIO, SHARE, DIGEST = "ratio of medians", "share", "digest"
SHOWN_DIGEST = 12
SHOWN_VALUE = 160
EXACT = 200
DIGEST_LENGTH = 64
# How the bounds of an expectation are written, by their names.
_SIGNS = {
    frozenset({"unexpected"}): "{unexpected} {exceptions}",
    frozenset({"min_value", "max_value"}): "≥ {min_value}, ≤ {max_value}",
    frozenset({"min_value"}): "≥ {min_value}",
    frozenset({"max_value"}): "≤ {max_value}",
    frozenset({"value"}): "= {value}",
    frozenset({"value_set"}): "∈ {{{value_set}}}",
    frozenset({"regex"}): "{pattern} {regex}",
}
_HEXADECIMAL = frozenset("0123456789abcdef")


def describe_observed(check: CheckRecord, words: Words, language: Language) -> str:
    """Return what a check observed: points where stores are compared, per cent for shares, exceptions by number."""
    return _describe(check, check.observed, words, language, digits=3)


def describe_limit(check: CheckRecord, words: Words, language: Language) -> str:
    """Return what it was held against; bounds of an expectation as a mathematician writes them."""
    return _describe(check, check.limit, words, language, digits=2)


def _describe(check: CheckRecord, value: Any, words: Words, language: Language, *, digits: int) -> str:
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    if number is not None and check.explanation:
        return f"{format_points(number, language)}{NARROW_SPACE}pt"
    if number is not None and check.unit == SHARE:
        return format_percent(number, language)
    if number is not None and check.unit == RATIO:
        return format_decimal(number, language, digits)
    return clean(_describe_expectation(value, words, language), SHOWN_VALUE)


def _describe_expectation(value: Any, words: Words, language: Language) -> str:
    if isinstance(value, str) and is_digest(value.removeprefix("not ")):
        return f"{value[: SHOWN_DIGEST + len(value) - DIGEST_LENGTH]}…"
    signs = _SIGNS.get(frozenset(value)) if isinstance(value, dict) else None
    if signs is None:
        return format_value(value, language)
    told = {name: format_value(each, language) for name, each in value.items()}
    if told.keys() == {"min_value", "max_value"} and told["min_value"] == told["max_value"]:
        return f"= {told['min_value']}"
    return signs.format(**told, exceptions=words["exceptions"], pattern=words["pattern"])


def is_digest(text: str) -> bool:
    """Whether a text is a SHA-256."""
    return len(text) == DIGEST_LENGTH and set(text) <= _HEXADECIMAL


def tell_exactly(value: Any) -> str:
    """Return a value so that equal ones, and only these, read the same: as JSON, or its digest where that is long."""
    text = json.dumps(value, sort_keys=True, allow_nan=True)
    return text if len(text) <= EXACT else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
