"""Text that nobody trusts, on its way into the page: shown, never obeyed."""

from __future__ import annotations

import re
from unicodedata import category

from markupsafe import Markup, escape

SHOWN_TEXT = 2000
_BREAKS = re.compile(r"[\t\n\r ]+")
_DIGEST = re.compile(r"\b[0-9a-f]{40,64}\b")
_CODE = re.compile(r"`([^`]+)`")


def clean(text: str, length: int = SHOWN_TEXT) -> str:
    """Return text on one line, its tail cut; control, direction and invisible characters are written out."""
    cut = text if len(text) <= length else text[: length - 1] + "…"
    one_line = _BREAKS.sub(" ", cut)
    hidden = filter(_is_hidden, set(one_line))
    return one_line.translate({ord(sign): sign.encode("unicode_escape").decode() for sign in hidden})


def _is_hidden(sign: str) -> bool:
    # Controls, formats (which hold every sign of direction), surrogates, and separators of lines and paragraphs.
    return category(sign)[0] == "C" or category(sign) in {"Zl", "Zp"}


def finalize(value: object) -> object:
    """Return what a template may print: everything that is not markup of our own is cleaned, and later escaped."""
    return value if isinstance(value, Markup) else clean(str(value))


def break_names(text: str | Markup) -> Markup:
    """Return a phrase, cleaned and escaped unless it is markup, whose long names may be broken after an underscore."""
    told = text if isinstance(text, Markup) else escape(clean(text))
    return Markup(str(told).replace("_", "_<wbr>"))  # noqa: S704 - no tag or reference of ours has an underscore


def mark_code(text: str) -> Markup:
    """Return a phrase in which backticks and digests are set apart, cleaned and escaped like everything else."""
    told = _CODE.sub(r"<code>\1</code>", str(escape(clean(text))))
    return Markup(_DIGEST.sub(r'<code class="digest">\g<0></code>', told))  # noqa: S704 - escaped before
