"""Chunking: Markdown in, passages of bounded size out, and nothing lost on the way."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.chunking import (
    MAX_TABLE_TOKENS,
    MAX_TEXT_TOKENS,
    MIN_TOKENS,
    Document,
    Section,
    build_passages,
    count_tokens,
    parse_document,
)

HEAD = "| n | score |\n|---|---|"


def build_words(count: int, start: int = 0) -> str:
    """Return `count` different words and no punctuation."""
    return " ".join(f"mot{start + index}" for index in range(count))


def build_table(costs: list[int]) -> str:
    """Return a table whose rows have as many words as `costs` says, each row different."""
    rows = [f"| {build_words(cost, 1000 * index)} |" for index, cost in enumerate(costs)]
    return "\n".join([HEAD, *rows])


def pack(*blocks: str) -> list[tuple[str, str]]:
    """Return the passages of a section with these blocks."""
    return build_passages(Section("Titre", blocks))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("   \n", 0), ("roque", 1), ("l'échec", 3), ("Non !", 2), ("1,5 – 2", 5), ("| a |", 3), ("a_b", 1)],
)
def test_words_and_signs_are_counted(text: str, tokens: int) -> None:
    """A token is a run of letters and digits, or one punctuation mark."""
    assert count_tokens(text) == tokens


def test_headings_make_sections() -> None:
    """The first-level heading is the title; every other one opens a section with the blocks beneath it."""
    markdown = "# Règles\n\n## Un  \nPremier\nparagraphe.\n\n\nSecond.\n### Deux\n| a |\n|---|\n| b |\n#### Vide\n"

    assert parse_document("regles.md", markdown) == Document(
        "regles.md",
        "Règles",
        (Section("Un", ("Premier\nparagraphe.", "Second.")), Section("Deux", ("| a |\n|---|\n| b |",))),
    )


def test_text_above_the_first_section_stands_under_the_title() -> None:
    """A preface is not lost: its section bears the title."""
    document = parse_document("a.md", "# Titre\nPréface.\n\nSuite.\n## Un\nTexte.")

    assert document.sections == (Section("Titre", ("Préface.", "Suite.")), Section("Un", ("Texte.",)))


@pytest.mark.parametrize(
    ("markdown", "title", "count"),
    [("", "a.md", 0), ("# T", "T", 0), ("Texte.", "a.md", 1), ("#hash\n\n##### cinq", "a.md", 1)],
    ids=["empty", "title only", "no heading", "no real heading"],
)
def test_a_document_without_headings_is_still_read(markdown: str, title: str, count: int) -> None:
    """Without a title the file's name stands for it; a heading needs one to four signs and a space."""
    document = parse_document("a.md", markdown)

    assert (document.title, len(document.sections)) == (title, count)


def test_short_blocks_are_packed_together() -> None:
    """Paragraphs of one section share a passage, a blank line between them."""
    assert pack("Un.", "Deux.") == [("text", "Un.\n\nDeux.")]


@pytest.mark.parametrize(
    ("second", "passages"),
    [(MAX_TEXT_TOKENS - 100, 1), (MAX_TEXT_TOKENS - 99, 2)],
    ids=["just fits", "one too many"],
)
def test_a_passage_is_full_at_its_limit(second: int, passages: int) -> None:
    """Blocks are joined up to the limit and not one token beyond."""
    assert len(pack(build_words(100), build_words(second, 200))) == passages


@pytest.mark.parametrize(("last", "passages"), [(MIN_TOKENS - 1, 1), (MIN_TOKENS, 2)], ids=["too short", "long enough"])
def test_a_short_tail_joins_the_passage_before(last: int, passages: int) -> None:
    """No section ends in a passage that says too little by itself."""
    assert len(pack(build_words(MAX_TEXT_TOKENS - 1), build_words(last, 500))) == passages


def test_a_long_paragraph_is_cut_between_sentences() -> None:
    """Sentences stay whole, joined by the space that stood between them."""
    sentences = [f"{build_words(59, 100 * index)}." for index in range(5)]
    passages = pack(" ".join(sentences))

    assert passages == [
        ("text", f"{sentences[0]} {sentences[1]}"),
        ("text", f"{sentences[2]} {sentences[3]}"),
        ("text", sentences[4]),
    ]


def test_a_long_list_is_cut_between_items() -> None:
    """Items stay whole, even where they hold several sentences."""
    items = [f"- Un. {build_words(70, 100 * index)}." for index in range(3)]
    passages = pack("\n".join(items))

    assert passages == [("text", f"{items[0]}\n{items[1]}"), ("text", items[2])]


def test_a_small_table_is_one_passage() -> None:
    """A table that fits is kept as it stands, apart from the text around it."""
    table = build_table([2, 2])

    assert pack("Avant.", table, "Après.") == [("text", "Avant."), ("table", table), ("text", "Après.")]


def test_a_long_table_repeats_its_head() -> None:
    """Every part has the heading rows, and the rows are spread evenly in their order."""
    table = build_table([8] * 40)
    parts = [text.split("\n") for kind, text in pack(table) if kind == "table"]

    assert all("\n".join(part[:2]) == HEAD for part in parts)
    assert [row for part in parts for row in part[2:]] == table.split("\n")[2:]
    assert max(len(part) for part in parts) - min(len(part) for part in parts) <= 1


@settings(max_examples=50, deadline=None)
@given(costs=st.lists(st.integers(1, 200), min_size=1, max_size=25))
def test_a_table_never_outgrows_its_limit(costs: list[int]) -> None:
    """However uneven the rows, no part is larger than the limit, none is empty, and no row is lost or moved."""
    table = build_table(costs)
    parts = [text for _, text in pack(table)]

    assert all(count_tokens(part) <= MAX_TABLE_TOKENS for part in parts)
    assert all(len(part.split("\n")) > 2 for part in parts)
    assert [row for part in parts for row in part.split("\n")[2:]] == table.split("\n")[2:]


@pytest.mark.parametrize("block", ["| a |", "| a |\n|---|"], ids=["one line", "no rows"])
def test_a_table_without_rows_is_text(block: str) -> None:
    """A line that only looks like a table is neither lost nor an error."""
    assert pack(block) == [("text", block)]


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.lists(st.integers(1, 120), min_size=1, max_size=4), max_size=6))
def test_text_is_kept_whole_and_bounded(sizes: list[list[int]]) -> None:
    """Every word comes out once and in its order, and a passage is at most the limit and one short tail."""
    numbers = itertools.count()
    blocks = [" ".join(f"{build_words(size, 1000 * next(numbers))}." for size in sentences) for sentences in sizes]
    passages = pack(*blocks)

    assert " ".join(text for _, text in passages).split() == " ".join(blocks).split()
    assert all(count_tokens(text) < MAX_TEXT_TOKENS + MIN_TOKENS for _, text in passages)
