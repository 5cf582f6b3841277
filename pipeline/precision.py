"""What a model may compute in."""

from __future__ import annotations

from typing import Literal, get_args

import typer

Precision = Literal["float32", "bfloat16"]


def is_usual(precision: Precision) -> bool:
    """Whether a precision goes without saying."""
    return precision == "float32"


def parse_precision(word: str) -> str:
    """Return a precision that was asked for by its name. Raises `BadParameter` for another, with the reason."""
    if word not in get_args(Precision):
        reason = ", because Gemma 3 gives NaN in float16" if word == "float16" else ""
        message = f"expected {' or '.join(get_args(Precision))}, got {word}{reason}"
        raise typer.BadParameter(message)
    return word
