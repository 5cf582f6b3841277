"""GitHub Markdown out of text that nobody trusts, kept below a number of bytes.

Text goes into HTML blocks. A Markdown parser reads nothing in them until a blank line, and quoted text has no line
break; in running Markdown, GitHub's parser makes links of addresses even inside `<code>`, entities or not. What GitHub
looks for afterwards (mentions, references, commits, emoji, formulas) it does not look for in `<code>`.
"""

from __future__ import annotations

import html
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from validation.render import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SHOWN_TEXT = 400
# A head, whose text is quoted, and the line that tells what was left out take less.
SMALLEST_LIMIT = 4096


class Html(str):
    """HTML of our own making; whatever is not of this type is taken for evidence and quoted."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Part:
    """A list or table whose last rows, or which as a whole, may be left out.

    Attributes:
        name: what its rows are, as the line calls them that tells what was left out.
        importance: 0 is left out last.
        opening, closing: lines around the rows.
        more: the row that says how many are not shown, with `{}` for the number.
        beyond: rows that there are besides and that are never shown.
    """

    name: str
    importance: int
    opening: Html
    rows: tuple[Html, ...]
    closing: Html
    more: Html
    beyond: int = 0

    def render(self, kept: int) -> str:
        """Return the part with its first `kept` rows, and how many more there are."""
        left = len(self.rows) - kept + self.beyond
        told = [self.more.format(f"… and {left} more")] if left else []
        return "\n".join([self.opening, *self.rows[:kept], *told, self.closing])

    def count_fitting(self, room: int) -> int:
        """Return how many rows fit into a number of bytes, none when not even the first one does."""
        if measure(self.render(len(self.rows))) <= room:
            return len(self.rows)
        sizes = accumulate(measure(row) + 1 for row in self.rows)
        return bisect_right(list(sizes), room - measure(self.render(0)))


def quote_text(text: str) -> Html:
    """Return evidence as HTML that shows it and does nothing: control characters written out, the tail cut."""
    shown = quote(text).plain
    cut = shown if len(shown) <= SHOWN_TEXT else shown[: SHOWN_TEXT - 1] + "…"
    return Html(f"<code>{html.escape(cut, quote=False)}</code>" if cut else "")


def tell(*parts: str, between: str = " ") -> Html:
    """Join what is of our own making with what is quoted; empty parts are left out."""
    told = (part if isinstance(part, Html) else quote_text(part) for part in parts)
    return Html(between.join(part for part in told if part))


def make_table(
    name: str, importance: int, title: Html, columns: Sequence[str], rows: Iterable[Sequence[str]], *, folded: bool
) -> Part:
    """Return a table below a title, or folded away behind it; cells that are not `Html` are quoted."""
    before, after = _frame(title, folded=folded)
    return Part(
        name=name,
        importance=importance,
        opening=Html(f"{before}\n<table>\n{_make_row(columns, 'th')}"),
        rows=tuple(_make_row(cells, "td") for cells in rows),
        closing=Html(f"</table>{after}"),
        more=Html(f'<tr><td colspan="{len(columns)}">{{}}</td></tr>'),
    )


def make_list(
    name: str, importance: int, title: Html | None, items: Iterable[str], *, folded: bool = False, beyond: int = 0
) -> Part:
    """Return a list, below a title where there is one; items that are not `Html` are quoted."""
    before, after = _frame(title, folded=folded) if title else ("", "")
    return Part(
        name=name,
        importance=importance,
        opening=Html(f"{before}\n<ul>".lstrip()),
        rows=tuple(Html(f"<li>{tell(item)}</li>") for item in items),
        closing=Html(f"</ul>{after}"),
        more=Html("<li>{}</li>"),
        beyond=beyond,
    )


def fit_parts(head: str, parts: Sequence[Part], limit: int) -> str:
    """Return head and parts in at most `limit` bytes of UTF-8; the least important are left out first, and told.

    Rows are cut from the end of the first part that does not fit; nothing less important follows it.

    Raises:
        ValueError: the limit is below the smallest.
    """
    if limit < SMALLEST_LIMIT:
        message = f"expected a limit of at least {SMALLEST_LIMIT} bytes, got {limit}"
        raise ValueError(message)
    whole = _join([head, *(part.render(len(part.rows)) for part in parts)])
    if measure(whole) <= limit:
        return whole
    kept = [0] * len(parts)
    room = limit - measure(_join([head, _tell_left_out(parts, kept, limit)]))
    for place in sorted(range(len(parts)), key=lambda place: parts[place].importance):
        part = parts[place]
        kept[place] = part.count_fitting(room - len("\n\n"))
        if kept[place] < len(part.rows):
            break
        room -= measure(part.render(kept[place])) + len("\n\n")
    shown = [part.render(rows) for part, rows in zip(parts, kept, strict=True) if rows]
    return _join([head, *shown, _tell_left_out(parts, kept, limit)])


def measure(text: str) -> int:
    """Return the number of bytes that a text takes in UTF-8."""
    return len(text.encode())


def _frame(title: Html, *, folded: bool) -> tuple[str, str]:
    return (f"<details><summary>{title}</summary>", "</details>") if folded else (f"<h3>{title}</h3>", "")


def _make_row(cells: Sequence[str], tag: str) -> Html:
    return Html("<tr>" + "".join(f"<{tag}>{tell(cell)}</{tag}>" for cell in cells) + "</tr>")


def _join(blocks: Iterable[str]) -> str:
    return "\n\n".join(blocks) + "\n"


def _tell_left_out(parts: Sequence[Part], kept: Sequence[int], limit: int) -> str:
    """Return one line, the longer the more is left out."""
    every = Counter[str]()
    left = Counter[str]()
    for part, rows in zip(parts, kept, strict=True):
        every[part.name] += len(part.rows)
        left[part.name] += len(part.rows) - rows
    told = ", ".join(f"{count} of {every[name]} {name}" for name, count in left.items() if count)
    return f"<p>Left out to stay within {limit} bytes: {told}. The decision document has all of it.</p>"
