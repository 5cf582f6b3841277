"""Full text for many questions at once: whatever is asked, the ranking is that of one question by itself."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.database_rows import index_fulltext
from pipeline.fulltext import rank_questions
from pipeline.retrieval import rank_fulltext
from tests.test_retrieval import PASSAGES, make_chunk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WORDS = ("roi", "tour", "dame", "pendule", "le", "la", "échec", "e\u0301chec", "a_b", "_", "AND", "x1")
phrases = st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map(" ".join)


def rank_both(connection: sqlite3.Connection, questions: Sequence[str], depth: int) -> tuple[list[list[int]], ...]:
    """Return the rankings of all questions at once, and of one after the other."""
    together = [ranking.tolist() for ranking in rank_questions(connection, questions, depth)]
    return together, [rank_fulltext(connection, question, depth).tolist() for question in questions]


@pytest.fixture(scope="module")
def index() -> Iterator[sqlite3.Connection]:
    """A full-text index over five passages."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        index_fulltext(connection, [make_chunk(row, *texts) for row, texts in enumerate(PASSAGES)])
        yield connection


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(phrases, min_size=1, max_size=30), questions=st.lists(phrases, max_size=5), depth=st.integers(1, 9)
)
@example(texts=["a_b", "a b", "b a"], questions=["a_b", "_", "?"], depth=3)
@example(texts=["roi roi", "roi", "tour", "roi tour"], questions=["roi roi tour", "tour roi roi"], depth=3)
def test_the_ranking_is_that_of_each_question_by_itself(texts: list[str], questions: list[str], depth: int) -> None:
    """Repeated words, words of several tokens, words of none and ties make no difference."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        index_fulltext(connection, [make_chunk(row, None, text) for row, text in enumerate(texts)])
        together, singly = rank_both(connection, questions, depth)

    assert together == singly


@settings(max_examples=50, deadline=None)
@given(question=st.text(max_size=60))
def test_whatever_is_typed_gives_the_same(index: sqlite3.Connection, question: str) -> None:
    """Signs, accents and other alphabets are read as in a question by itself."""
    together, singly = rank_both(index, [question, "la pendule"], 10)

    assert together == singly


def test_long_questions_over_many_passages_give_the_same() -> None:
    """Sums of many shares come out the same to the bit: near ties keep their order."""
    texts = [" ".join(WORDS[(row * step) % 6] for step in range(1, 2 + row % 11)) for row in range(300)]
    questions = [" ".join(WORDS[(number + step) % 6] for step in range(30)) for number in range(6)]
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        index_fulltext(connection, [make_chunk(row, None, text) for row, text in enumerate(texts)])
        together, singly = rank_both(connection, questions, 100)

    assert together == singly
    assert len(together[0]) == 100


def test_no_question_gives_no_ranking(index: sqlite3.Connection) -> None:
    """There is one ranking for each question."""
    assert rank_questions(index, [], 10) == []
