"""Gold questions and their relevance judgements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.chunks import ChunkFile, load_chunks
from pipeline.errors import InputError
from pipeline.gold import GoldSet, load_gold, load_questions
from tests.conftest import Sample, write_sample

if TYPE_CHECKING:
    from pathlib import Path

BAD_QUESTIONS = {
    "no id": ('{"text": "Quoi ?"}', ":1: _id", "Field required"),
    "empty id": ('{"_id": "", "text": "Quoi ?"}', ":1: _id", 'got ""'),
    "number for id": ('{"_id": 1, "text": "Quoi ?"}', ":1: _id", "expected a valid string, got 1"),
    "id under another name": ('{"id": "q", "text": "Quoi ?"}', ":1: ", "Field required"),
    "no text": ('{"_id": "q"}', ":1: text", "Field required"),
    "empty text": ('{"_id": "q", "text": ""}', ":1: text", 'got ""'),
    "text for metadata": ('{"_id": "q", "text": "?", "metadata": "x"}', ":1: metadata", 'got "x"'),
    "unknown field": ('{"_id": "q", "text": "?", "answer": "x"}', ":1: answer", "Extra inputs"),
    "NaN": ('{"_id": "q", "text": "?", "metadata": {"a": NaN}}', ":1", "expected a finite number"),
    "duplicate key": ('{"_id": "q", "_id": "r", "text": "?"}', ":1", 'duplicate key "_id"'),
    "duplicate id": ('{"_id": "q", "text": "?"}\n{"_id": "r", "text": "?"}\n{"_id": "q", "text": "!"}', ":3",
                     "_id: duplicate of line 1: 'q'"),
    "no JSON": ("Quoi ?", ":1", "not valid JSON"),
    "empty file": ("", "", "expected at least one question, got an empty file"),
}  # fmt: skip

BAD_QRELS = {
    "unknown question": ("q9\trègles-000\t1", "query-id 'q9' is not in questions.jsonl"),
    "unknown chunk": ("q0\trègles-999\t1", "corpus-id 'règles-999' names no chunk"),
    "chunk in other case": ("q0\tRègles-000\t1", "corpus-id 'Règles-000' names no chunk"),
    "negative score": ("q0\trègles-002\t-1", "score: expected a whole number ≥ 0, got '-1'"),
    "fraction": ("q0\trègles-002\t0.5", "score: expected a whole number ≥ 0, got '0.5'"),
    "no score": ("q0\trègles-002\t", "score: expected a whole number ≥ 0, got ''"),
    "foreign digit": ("q0\trègles-002\t²", "score: expected a whole number ≥ 0, got '²'"),
    "judged twice": ("q0\trègles-000\t0", "this question and chunk are judged twice"),
    "two cells": ("q0\trègles-002", "expected 3 tab-separated cells, got 2"),
}


@pytest.fixture
def small(tmp_path: Path) -> Sample:
    """Three chunks and two questions."""
    return write_sample(tmp_path / "small", rows=3, questions=2)


@pytest.fixture
def corpus(small: Sample) -> ChunkFile:
    """The chunks of `small`."""
    return load_chunks(small.chunks)


def judge(sample: Sample, *rows: str) -> GoldSet:
    """Replace the qrels by `rows` and load the gold set."""
    sample.qrels.write_text("\n".join(["query-id\tcorpus-id\tscore", *rows]) + "\n", encoding="utf-8")
    return load_gold(sample.questions, sample.qrels, load_chunks(sample.chunks))


def test_questions_keep_their_order_and_slices(sample: Sample) -> None:
    """Questions come in file order with their metadata."""
    questions = load_questions(sample.questions)

    assert [question.id for question in questions[:3]] == ["q0", "q1", "q2"]
    assert questions[1].text == "Que faire, question 1 ?"
    assert questions[1].metadata == {"category": "laws"}


@pytest.mark.parametrize(("content", "where", "fault"), BAD_QUESTIONS.values(), ids=BAD_QUESTIONS)
def test_bad_questions_are_refused_by_line(tmp_path: Path, content: str, where: str, fault: str) -> None:
    """A malformed or repeated question is named by file, line and field."""
    path = tmp_path / "questions.jsonl"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(InputError) as refusal:
        load_questions(path)

    assert refusal.value.where.startswith(f"{path}{where}")
    assert fault in refusal.value.problem


def test_qrels_become_ascending_positions(small: Sample) -> None:
    """Relevant chunks are positions in the corpus, in ascending order, whatever the order of the rows."""
    gold = judge(small, "q1\trègles-002\t1", "q0\trègles-001\t2", "q1\trègles-000\t1")

    assert [question.id for question in gold.questions] == ["q0", "q1"]
    assert gold.relevant == ((1,), (0, 2))


@pytest.mark.parametrize(
    ("score", "relevant"),
    [("0", ((0,), (1,))), ("00", ((0,), (1,))), ("1", ((0, 2), (1,))), ("03", ((0, 2), (1,)))],
)
def test_only_a_score_above_zero_is_relevant(small: Sample, score: str, relevant: tuple[tuple[int, ...], ...]) -> None:
    """A judged non-relevant passage is left out."""
    gold = judge(small, "q0\trègles-000\t1", "q1\trègles-001\t1", f"q0\trègles-002\t{score}")

    assert gold.relevant == relevant


@pytest.mark.parametrize(("row", "fault"), BAD_QRELS.values(), ids=BAD_QRELS)
def test_bad_qrels_are_refused_by_row(small: Sample, row: str, fault: str) -> None:
    """A judgement that names nothing or says nothing is refused by line number."""
    with pytest.raises(InputError) as refusal:
        judge(small, "q0\trègles-000\t1", "q1\trègles-001\t1", row)

    assert refusal.value.where == f"{small.qrels}:4"
    assert fault in refusal.value.problem


@pytest.mark.parametrize("row", ["", "q1\trègles-001\t0"], ids=["not judged", "only judged irrelevant"])
def test_a_question_without_a_relevant_chunk_is_refused(small: Sample, row: str) -> None:
    """Nothing is dropped from the denominator: such a question is an error, named by its line."""
    with pytest.raises(InputError) as refusal:
        judge(small, *filter(None, ["q0\trègles-000\t1", row]))

    assert refusal.value.where == f"{small.questions}:2"
    assert refusal.value.problem == "question 'q1' has no relevant chunk in qrels.tsv"


def test_questions_without_qrels_are_refused(small: Sample, corpus: ChunkFile) -> None:
    """A gold set needs both of its files."""
    small.qrels.unlink()

    with pytest.raises(InputError, match=r"qrels\.tsv: expected a file, but it does not exist"):
        load_gold(small.questions, small.qrels, corpus)


def test_qrels_without_their_header_are_refused(small: Sample, corpus: ChunkFile) -> None:
    """The BEIR header line tells qrels from any other table."""
    small.qrels.write_text("q0\trègles-000\t1\n", encoding="utf-8")

    with pytest.raises(InputError, match=r"qrels\.tsv:1: expected the header"):
        load_gold(small.questions, small.qrels, corpus)
