"""Which file is embedded to where, and what of it a model is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.chunks import load_chunks
from pipeline.encoder import format_document, format_question
from pipeline.gold import load_questions

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.provenance import Role


@dataclass(frozen=True, slots=True)
class EmbeddingTask:
    """A file of chunks or of questions, and where its vectors go."""

    role: Role
    source: Path
    output: Path


def load_texts(task: EmbeddingTask) -> list[str]:
    """Return the texts of a file in its order, prompts included. Raises `InputError` for a malformed file."""
    if task.role == "questions":
        return [format_question(question.text) for question in load_questions(task.source)]
    return [format_document(chunk) for chunk in load_chunks(task.source).chunks]
