"""Figures and spaces as a reader of French or of English expects them; the digits are those of the terminal."""

from __future__ import annotations

from typing import Literal

from validation.render import describe_points

Language = Literal["fr", "en"]

# Neither of them breaks a line.
NARROW_SPACE, SPACE = "\u202f", "\u00a0"
MINUS = "−"
NONE = "–"
# Below this, four decimals would show nothing but zeros.
TINY = 0.00005


def set_spaces(text: str) -> str:
    """Return French text with its apostrophe, and spaces that do not break before `; : ? ! » %` and after `«`."""
    text = text.replace("'", "’")
    for sign in ";?!%":
        text = text.replace(f" {sign}", f"{NARROW_SPACE}{sign}")
    return text.replace(" :", f"{SPACE}:").replace(" »", f"{SPACE}»").replace("« ", f"«{SPACE}")


def localise(figure: str, language: Language) -> str:
    """Return a figure written by Python with the decimal sign of a language and a true minus."""
    shown = figure.replace("-", MINUS)
    return shown.replace(".", ",") if language == "fr" else shown


def format_count(count: int | None, language: Language) -> str:
    """Return a whole number, grouped by thousands."""
    if count is None:
        return NONE
    return f"{count:,}".replace("-", MINUS).replace(",", NARROW_SPACE if language == "fr" else ",")


def format_decimal(value: float | None, language: Language, digits: int = 1) -> str:
    """Return a number with a fixed number of decimals."""
    return NONE if value is None else localise(f"{value:.{digits}f}", language)


def format_percent(share: float | None, language: Language, digits: int = 1) -> str:
    """Return a share in per cent, with its sign as the language sets it."""
    if share is None:
        return NONE
    return localise(f"{100 * share:.{digits}f}", language) + (f"{NARROW_SPACE}%" if language == "fr" else "%")


def format_points(share: float | None, language: Language) -> str:
    """Return a difference of shares in points, signed."""
    return NONE if share is None else localise(describe_points(share), language)


def format_p(value: float | None, language: Language) -> str:
    """Return a p-value with three decimals, or that it is smaller than they can show."""
    if value is None:
        return NONE
    return localise("< 0.001" if value < 0.001 else f"{value:.3f}", language)  # noqa: PLR2004 - three decimals


def format_value(value: object, language: Language) -> str:
    """Return what was observed, or a limit, of any type; the same value always reads the same."""
    if isinstance(value, dict):
        separator = f"{SPACE}: " if language == "fr" else ": "
        return "; ".join(f"{name}{separator}{format_value(each, language)}" for name, each in value.items()) or NONE
    if isinstance(value, list):
        return "; ".join(format_value(each, language) for each in value) or NONE
    if isinstance(value, bool):
        return {"fr": ("non", "oui"), "en": ("no", "yes")}[language][value]
    if isinstance(value, float):
        return _format_float(value, language)
    return format_count(value, language) if isinstance(value, int) else NONE if value is None else str(value)


def _format_float(value: float, language: Language) -> str:
    if value.is_integer() and abs(value) < 1e15:  # noqa: PLR2004 - whole numbers that a float holds exactly
        return format_count(int(value), language)
    return localise(f"{value:.4f}" if abs(value) >= TINY else f"{value:.2e}", language)
