"""Retrieval against naive oracles: cosine with ties, full text with anything typed into it, fusion by hand."""

from __future__ import annotations

import contextlib
import math
import sqlite3
import unicodedata
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.chunks import Chunk
from pipeline.database import index_fulltext
from pipeline.retrieval import build_match, fuse_rankings, rank_cosine, rank_fulltext
from pipeline.vectors import DIMENSION, Matrix
from tests.conftest import draw_unit_vectors

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSAGES = (
    ("Pendule", "La pendule s'arrête : l'arbitre constate le drapeau tombé."),
    ("Roque", "Le roi et la tour se déplacent ensemble, une seule fois."),
    (None, "L'échec perpétuel n'est plus un cas de nulle en soi."),
    ("Forfait", "Le joueur absent perd la partie (AND NOT OR NEAR)."),
    ("Notation", "Chaque coup est noté sur la feuille, coup par coup ; œuvre de l'élève."),
)


@pytest.fixture(scope="module")
def index() -> Iterator[sqlite3.Connection]:
    """The full-text index of a store's database over five passages."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        index_fulltext(connection, [make_chunk(row, *texts) for row, texts in enumerate(PASSAGES)])
        yield connection


def make_chunk(row: int, section: str | None, text: str) -> Chunk:
    """Return a chunk of a given section and text."""
    fields: dict[str, Any] = {"source": "s.md", "page": 1, "tokens": 9, "corpus": "fr", "chunk_type": "text"}
    return Chunk(id=f"c{row}", text=text, section=section, parent_id=None, **fields)


def rank_naively(questions: Matrix, passages: Matrix, depth: int) -> list[list[int]]:
    """Sort all positions by score, then by position."""
    rows = (questions @ passages.T).tolist()
    return [sorted(range(len(row)), key=lambda position: (-row[position], position))[:depth] for row in rows]


def place_on_axis(levels: list[int]) -> Matrix:
    """Return vectors whose score against the first axis is a level from 0 to 4, many of them equal."""
    matrix = np.zeros((len(levels), DIMENSION), dtype=np.float32)
    matrix[:, 0] = np.asarray(levels) / 4
    return matrix


@pytest.mark.parametrize("depth", [0, 1, 5, 12, 13, 49, 50, 51, 1000])
def test_cosine_ranks_as_a_full_sort_does(depth: int) -> None:
    """Whatever the depth, up to and beyond the corpus, the top is that of a sort over everything."""
    questions, passages = draw_unit_vectors(7, 3), draw_unit_vectors(50, 4)

    ranking = rank_cosine(questions, passages, depth)

    assert ranking.shape == (7, min(depth, 50))
    assert ranking.dtype == np.int64
    assert ranking.tolist() == rank_naively(questions, passages, depth)


@settings(max_examples=50, deadline=None)
@given(levels=st.lists(st.integers(0, 4), min_size=1, max_size=300), depth=st.integers(1, 110))
def test_equal_scores_keep_the_order_of_the_corpus(levels: list[int], depth: int) -> None:
    """Ties, also those that the depth cuts through, go to the earlier passage."""
    passages = place_on_axis(levels)
    questions = place_on_axis([4, 2])

    assert rank_cosine(questions, passages, depth).tolist() == rank_naively(questions, passages, depth)


@settings(max_examples=50, deadline=None)
@given(missing=st.integers(0, 60), depth=st.integers(1, 15), seed=st.integers(0, 1000))
def test_what_is_not_a_number_comes_last(missing: int, depth: int, seed: int) -> None:
    """A passage without a score never stands before one that has a score, and takes no one's place."""
    random = np.random.default_rng(seed)
    levels = random.permutation(60).astype(np.float32)
    levels[random.permutation(60)[:missing]] = np.nan
    passages = np.zeros((60, DIMENSION), dtype=np.float32)
    passages[:, 0] = levels
    below = np.nan_to_num(levels, nan=-1.0)
    expected = sorted(range(60), key=lambda position: -below[position])

    assert rank_cosine(place_on_axis([4]), passages, depth).tolist() == [expected[:depth]]


def test_an_empty_side_gives_an_empty_ranking() -> None:
    """No passages give no positions, and no questions no rows."""
    some, none = draw_unit_vectors(40, 6), draw_unit_vectors(40, 6)[:0]

    assert rank_cosine(some, none, 10).shape == (40, 0)
    assert rank_cosine(none, some, 10).shape == (0, 10)
    assert rank_cosine(none, some, 50).shape == (0, 40)
    assert rank_cosine(none, none, 10).shape == (0, 0)


@pytest.mark.parametrize("depth", [1, 10, 100], ids=["one", "ten", "hundred"])
@pytest.mark.parametrize("step", [1, 2, 4, 8, 40, 400], ids="every {}".format)
def test_the_nearest_are_found_wherever_they_stand(depth: int, step: int) -> None:
    """The best passages may be neighbours or any distance apart."""
    question, passages = draw_unit_vectors(1, 7), draw_unit_vectors(900, 8)
    nearest = np.argsort(-(question @ passages.T)[0])
    arranged = np.empty_like(passages)
    arranged[np.argsort(np.arange(900) % step, kind="stable")] = passages[nearest]

    assert rank_cosine(question, arranged, depth).tolist() == rank_naively(question, arranged, depth)


def test_a_passage_is_its_own_nearest() -> None:
    """A question equal to a passage's vector finds that passage first."""
    passages = draw_unit_vectors(40, 5)

    assert rank_cosine(passages, passages, 1)[:, 0].tolist() == list(range(40))


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Que dit l'échec ?", '"Que" OR "dit" OR "l" OR "échec"'),
        ('"pendule" AND (roque*)', '"pendule" OR "AND" OR "roque"'),
        ("section:roque -tour ^roi", '"section" OR "roque" OR "tour" OR "roi"'),
        ("coup 40, 2e fois", '"coup" OR "40" OR "2e" OR "fois"'),
        ("", ""),
        (" ?! « » \" ' * ( ) \x00", ""),
    ],
    ids=["plain", "operators", "columns", "digits", "empty", "no-word"],
)
def test_a_question_becomes_quoted_words(question: str, expected: str) -> None:
    """Every word is quoted and joined by OR; nothing else of the question reaches FTS5."""
    assert build_match(question) == expected


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("pendule", [0]),
        ("PENDULE !", [0]),
        ('la "pendule"', [0, 1, 3, 4]),
        ("drapeau AND introuvable", [0, 3]),
        ("NEAR(roi tour)", [1, 3]),
        ("NOT pendule", [0, 3]),
        ("pendul*", []),
        ("text:roque", [1]),
        ("echec", [2]),
        ("ÉCHEC", [2]),
        ("élève", [4]),
        ("eleve", [4]),
        ("rien'; DROP TABLE chunks_fts; --", []),
        ("", []),
        ("???", []),
        ("___", []),
    ],
    ids=[
        "word", "case", "quotes", "and", "near", "not", "star", "column", "bare", "capital-accent", "accents",
        "no-accents", "injection", "empty", "signs", "underscores",
    ],
)  # fmt: skip
def test_full_text_finds_words_whatever_is_typed(index: sqlite3.Connection, question: str, expected: list[int]) -> None:
    """Quotes, operators, accents and case neither break the query nor change what words mean."""
    assert sorted(rank_fulltext(index, question, 10).tolist()) == expected


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_accents_typed_as_combining_marks_are_found(
    index: sqlite3.Connection, form: Literal["NFC", "NFD", "NFKC", "NFKD"]
) -> None:
    """`é` in one character or as `e` with a mark is the same letter."""
    question = unicodedata.normalize(form, "échec élève")

    assert sorted(rank_fulltext(index, question, 10).tolist()) == [2, 4]


def test_the_section_is_searched_too(index: sqlite3.Connection) -> None:
    """A word that stands only in the heading finds the passage."""
    assert rank_fulltext(index, "forfait", 10).tolist() == [3]


def test_rarer_and_repeated_words_rank_higher(index: sqlite3.Connection) -> None:
    """BM25 puts the passage with the word in heading and text first, and the depth cuts the rest."""
    both = rank_fulltext(index, "la pendule", 10).tolist()

    assert both[0] == 0
    assert sorted(both) == [0, 1, 3, 4]
    assert rank_fulltext(index, "la pendule", 2).tolist() == both[:2]


def test_bm25_is_that_of_the_textbook() -> None:
    """The order is that of BM25 with k1 = 1.2 and b = 0.75, computed by hand."""
    texts = ["roi roi tour", "roi", "tour tour tour dame dame dame", "fou", "cavalier fou", "pion pion", "dame"]
    question = ["roi", "tour", "dame"]
    split = [text.split() for text in texts]
    mean = sum(map(len, split)) / len(split)
    scores = []
    for words in split:
        score = 0.0
        for term in question:
            holders = sum(term in other for other in split)
            weight = math.log((len(split) - holders + 0.5) / (holders + 0.5))
            count = words.count(term)
            score += weight * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * len(words) / mean))
        scores.append(score)
    expected = [row for row in sorted(range(len(texts)), key=lambda row: -scores[row]) if scores[row]]
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        index_fulltext(connection, [make_chunk(row, None, text) for row, text in enumerate(texts)])

        assert rank_fulltext(connection, " ".join(question), 10).tolist() == expected


def test_a_tie_in_full_text_keeps_the_order_of_the_corpus() -> None:
    """Equal passages come in corpus order."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        index_fulltext(connection, [make_chunk(row, None, "le drapeau tombe") for row in range(20)])

        assert rank_fulltext(connection, "drapeau", 5).tolist() == [0, 1, 2, 3, 4]


@settings(max_examples=50, deadline=None)
@given(question=st.text(max_size=60))
def test_no_question_is_a_syntax_error(question: str) -> None:
    """Whatever text is typed, the index answers with positions, and a known word beside it is found."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        index_fulltext(connection, [make_chunk(row, *texts) for row, texts in enumerate(PASSAGES)])

        assert 0 in rank_fulltext(connection, f"{question} pendule", 10)


def test_a_very_long_question_is_answered(index: sqlite3.Connection) -> None:
    """A pasted page is a question like any other."""
    page = " ".join(f"mot{number}" for number in range(5000))

    assert rank_fulltext(index, f"{page} pendule", 10).tolist() == [0]


def test_fusion_adds_reciprocal_ranks() -> None:
    """By hand: 7 gets 1/61 + 1/62, 3 gets 1/62 + 1/61, 5 gets 1/63, 9 gets 1/63; ties go to the earlier passage."""
    rankings = [np.array([7, 3, 5]), np.array([3, 7, 9])]

    assert fuse_rankings(rankings, 10).tolist() == [3, 7, 5, 9]
    assert fuse_rankings(rankings, 2).tolist() == [3, 7]


def test_fusion_prefers_agreement_to_one_first_place() -> None:
    """By hand: twice rank 3 (2/63) is more than once rank 1 (1/61)."""
    rankings = [np.array([1, 2, 4]), np.array([5, 6, 4])]

    assert fuse_rankings(rankings, 3).tolist() == [4, 1, 5]


def test_fusion_uses_sixty() -> None:
    """By hand: ranks 1 and 9 (1/61 + 1/69) lose to ranks 4 and 5 (1/64 + 1/65) only with a constant near 60."""
    first = [10, 21, 22, 11, 23, 24, 25, 26, 27]
    second = [31, 32, 33, 34, 11, 35, 36, 37, 10]
    by_hand = {10: 1 / 61 + 1 / 69, 11: 1 / 64 + 1 / 65}

    fused = fuse_rankings([np.array(first), np.array(second)], 2).tolist()

    assert fused == sorted(by_hand, key=lambda position: -by_hand[position])


@pytest.mark.parametrize("rankings", [[], [[]], [[], []]], ids=["none", "one-empty", "two-empty"])
def test_fusing_nothing_gives_nothing(rankings: list[list[int]]) -> None:
    """Where no ranking finds anything, the fused one is empty."""
    fused = fuse_rankings([np.array(ranking, dtype=np.int64) for ranking in rankings], 5)

    assert fused.tolist() == []
    assert fused.dtype == np.int64


def test_fusing_with_an_empty_ranking_keeps_the_other() -> None:
    """A question without a known word is answered by meaning alone."""
    assert fuse_rankings([np.array([4, 2, 8]), np.array([], dtype=np.int64)], 5).tolist() == [4, 2, 8]
