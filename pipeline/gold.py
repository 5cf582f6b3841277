"""Gold questions and their relevance judgements (qrels) in the BEIR layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from pipeline.documents import Strict, load_jsonl, load_tsv
from pipeline.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.chunks import ChunkFile

QRELS_HEADER = ("query-id", "corpus-id", "score")


class Question(Strict):
    """One question; `metadata` carries the slices (category, difficulty, question_type)."""

    id: Annotated[str, Field(alias="_id", min_length=1)]
    text: Annotated[str, Field(min_length=1)]
    metadata: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GoldSet:
    """Questions in file order with the chunk positions that answer each (never empty, ascending)."""

    questions: tuple[Question, ...]
    relevant: tuple[tuple[int, ...], ...]


def load_questions(path: Path) -> list[Question]:
    """Read questions; raises `InputError` for a malformed line, a duplicate id or an empty file."""
    questions = load_jsonl(path, Question)
    if not questions:
        raise InputError(path, "expected at least one question, got an empty file", "add questions")
    seen: dict[str, int] = {}
    for number, question in enumerate(questions, 1):
        if question.id in seen:
            message = f"_id: duplicate of line {seen[question.id]}: {question.id!r}"
            raise InputError(f"{path}:{number}", message, "give each question an id of its own")
        seen[question.id] = number
    return questions


def load_gold(questions_path: Path, qrels_path: Path, chunks: ChunkFile) -> GoldSet:
    """Read questions with their qrels and resolve them to positions in the corpus.

    A score of 0 is a judged non-relevant passage and is left out; any other score counts as relevant.

    Raises:
        InputError: a qrel names an unknown question or chunk, a score is no whole number ≥ 0, a pair is repeated,
            or a question has no relevant chunk.
    """
    questions = load_questions(questions_path)
    position = {chunk.id: index for index, chunk in enumerate(chunks.chunks)}
    relevant: dict[str, set[int]] = {question.id: set() for question in questions}
    judged: set[tuple[str, str]] = set()
    for number, (question_id, chunk_id, score) in enumerate(load_tsv(qrels_path, QRELS_HEADER), 2):
        where = f"{qrels_path}:{number}"
        if question_id not in relevant:
            raise InputError(where, f"query-id {question_id!r} is not in {questions_path.name}", "remove the row")
        if chunk_id not in position:
            raise InputError(where, f"corpus-id {chunk_id!r} names no chunk", "use the chunks that the qrels are for")
        if not (score.isascii() and score.isdigit()):
            raise InputError(where, f"score: expected a whole number ≥ 0, got {score!r}", "mend the row")
        if (question_id, chunk_id) in judged:
            raise InputError(where, "this question and chunk are judged twice", "remove one of the rows")
        judged.add((question_id, chunk_id))
        if score.strip("0"):
            relevant[question_id].add(position[chunk_id])
    for number, question in enumerate(questions, 1):
        if not relevant[question.id]:
            where = f"{questions_path}:{number}"
            raise InputError(
                where, f"question {question.id!r} has no relevant chunk in {qrels_path.name}", "add a qrel"
            )
    return GoldSet(tuple(questions), tuple(tuple(sorted(relevant[question.id])) for question in questions))
