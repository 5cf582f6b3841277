"""Cut the Markdown sources of a corpus into passages that can be searched."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_TEXT_TOKENS = 150
MAX_TABLE_TOKENS = 230
MIN_TOKENS = 40
PAGE_TOKENS = 420
TABLE_HEAD_LINES = 2

_TOKEN = re.compile(r"\w+|[^\w\s]")
_HEADING = re.compile(r"^(#{1,4})\s+(.+?)\s*$")
_SENTENCE = re.compile(r"(?<=[.!?…;])\s+(?=\S)")


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with the blocks (paragraphs, lists, tables) directly beneath it."""

    heading: str
    blocks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """One source file: its title (the `#` heading) and its sections in order."""

    name: str
    title: str
    sections: tuple[Section, ...]


def count_tokens(text: str) -> int:
    """Count words and punctuation marks, the `tokens` figure of a chunk."""
    return len(_TOKEN.findall(text))


def parse_document(name: str, markdown: str) -> Document:
    """Read headings and blocks; text above the first section belongs to the title."""
    title = name
    sections: list[tuple[str, list[str]]] = []
    for block in _split_blocks(markdown):
        heading = _HEADING.match(block)
        if heading is None:
            if not sections:
                sections.append((title, []))
            sections[-1][1].append(block)
        elif len(heading[1]) == 1:
            title = heading[2]
        else:
            sections.append((heading[2], []))
    return Document(name, title, tuple(Section(head, tuple(body)) for head, body in sections if body))


def _split_blocks(markdown: str) -> Iterator[str]:
    block: list[str] = []
    for line in [*markdown.splitlines(), ""]:
        if _HEADING.match(line):
            if block:
                yield "\n".join(block)
            yield line
            block = []
        elif line.strip():
            block.append(line.rstrip())
        elif block:
            yield "\n".join(block)
            block = []


def _is_table(block: str) -> bool:
    return block.startswith("|") and block.count("\n") >= TABLE_HEAD_LINES


def build_passages(section: Section) -> list[tuple[str, str]]:
    """Pack a section's blocks into `(chunk_type, text)` passages of bounded size."""
    passages: list[tuple[str, str]] = []
    for is_table, blocks in itertools.groupby(section.blocks, key=_is_table):
        if is_table:
            passages.extend(("table", text) for block in blocks for text in _split_table(block))
        else:
            passages.extend(("text", text) for text in _pack_text(list(blocks)))
    return passages


def _pack_text(blocks: list[str]) -> list[str]:
    pieces = [piece for block in blocks for piece in _split_long(block)]
    packed: list[str] = []
    for separator, piece in pieces:
        if packed and count_tokens(packed[-1]) + count_tokens(piece) <= MAX_TEXT_TOKENS:
            packed[-1] += separator + piece
        else:
            packed.append(piece)
    if len(packed) > 1 and count_tokens(packed[-1]) < MIN_TOKENS:
        tail = packed.pop()
        packed[-1] += "\n\n" + tail
    return packed


def _split_long(block: str) -> list[tuple[str, str]]:
    if count_tokens(block) <= MAX_TEXT_TOKENS:
        return [("\n\n", block)]
    parts = block.split("\n") if "\n" in block else _SENTENCE.split(block)
    separator = "\n" if "\n" in block else " "
    return [("\n\n" if index == 0 else separator, part) for index, part in enumerate(parts)]


def _split_table(block: str) -> list[str]:
    header, rule, *rows = block.split("\n")
    head = f"{header}\n{rule}"
    groups: list[list[str]] = []
    size = budget = MAX_TABLE_TOKENS - count_tokens(head)
    for row in rows:
        cost = count_tokens(row)
        if size + cost > budget:
            groups.append([])
            size = 0
        groups[-1].append(row)
        size += cost
    balanced = _balance(rows, len(groups)) if groups else []
    if all(count_tokens("\n".join(group)) <= budget for group in balanced):
        groups = balanced
    return ["\n".join([head, *group]) for group in groups]


def _balance(rows: list[str], count: int) -> list[list[str]]:
    bounds = [round(index * len(rows) / count) for index in range(count + 1)]
    return [rows[start:stop] for start, stop in itertools.pairwise(bounds)]
