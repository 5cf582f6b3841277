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
    from collections.abc import Callable

    from validation.document import CheckRecord
    from validation.reporting.wording import Words
    from validation.typography import Language

RATIO, SHARE, DIGEST = "ratio of medians", "share", "digest"
SHOWN_DIGEST = 12
SHOWN_VALUE = 160
EXACT = 200
DIGEST_LENGTH = 64
# How the bounds of an expectation are written, by their names; no line breaks after a sign.
_SIGNS = {
    frozenset({"unexpected"}): "{unexpected}\u00a0{exceptions}",
    frozenset({"min_value", "max_value"}): "≥\u00a0{min_value}, ≤\u00a0{max_value}",
    frozenset({"min_value"}): "≥\u00a0{min_value}",
    frozenset({"max_value"}): "≤\u00a0{max_value}",
    frozenset({"value"}): "=\u00a0{value}",
    frozenset({"value_set"}): "∈\u00a0{{{value_set}}}",
    frozenset({"regex"}): "{pattern}\u00a0{regex}",
}
_HEXADECIMAL = frozenset("0123456789abcdef")


def describe_observed(check: CheckRecord, words: Words, language: Language) -> str:
    """Return what a check observed: points where stores are compared, per cent for shares, exceptions by number."""
    return _describe(check, check.observed, words, language, digits=3)


def describe_limit(check: CheckRecord, words: Words, language: Language) -> str:
    """Return what it was held against; bounds of an expectation as a mathematician writes them."""
    return _describe(check, check.limit, words, language, digits=2)


def _describe(check: CheckRecord, value: Any, words: Words, language: Language, *, digits: int) -> str:
    if _is_number(value) and check.explanation:
        return f"{format_points(value, language)}{NARROW_SPACE}pt"
    if _is_number(value) and check.unit == RATIO:
        return format_decimal(value, language, digits)
    tell = _tell_share if check.unit == SHARE else format_value
    return clean(_describe_expectation(value, tell, words, language), SHOWN_VALUE)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _tell_share(value: Any, language: Language) -> str:
    return format_percent(value, language) if _is_number(value) else format_value(value, language)


def _describe_expectation(value: Any, tell: Callable[[Any, Language], str], words: Words, language: Language) -> str:
    if isinstance(value, str) and is_digest(value.removeprefix("not ")):
        return f"{value[: SHOWN_DIGEST + len(value) - DIGEST_LENGTH]}…"
    signs = _SIGNS.get(frozenset(value)) if isinstance(value, dict) else None
    if signs is None:
        return tell(value, language)
    told = {name: tell(each, language) for name, each in value.items()}
    if told.keys() == {"min_value", "max_value"} and told["min_value"] == told["max_value"]:
        return f"=\u00a0{told['min_value']}"
    return signs.format(**told, exceptions=words["exceptions"], pattern=words["pattern"])


def is_digest(text: str) -> bool:
    """Whether a text is a SHA-256."""
    return len(text) == DIGEST_LENGTH and set(text) <= _HEXADECIMAL


def tell_exactly(value: Any) -> str:
    """Return a value so that equal ones, and only these, read the same: as JSON, or its digest where that is long."""
    text = json.dumps(value, sort_keys=True, allow_nan=True)
    return text if len(text) <= EXACT else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
