"""`answers.jsonl`: what both stores answer to every gold question, so that anyone can compute the metrics again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.documents import Strict
from pipeline.files import compute_sha256, replace_file
from validation.document import InputRecord
from validation.metrics import CUT_OFF
from validation.record import shorten
from validation.stores import ROLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from pipeline.retrieval import Ranking
    from validation.comparison import Answers
    from validation.gate import CorpusFindings

ANSWERS = "answers.jsonl"


class SideAnswers(Strict):
    """What one store answers.

    Attributes:
        returned: identifiers of the ten nearest passages, nearest first.
        ranks: of the passages that answer the question, ascending, from 1; a passage that is as near counts as before.
        metrics: computed from `ranks`.
    """

    returned: list[str]
    ranks: list[int]
    metrics: dict[str, float]


class QuestionAnswers(Strict):
    """A gold question of a corpus with the passages that answer it, and both stores' answers."""

    corpus: str
    question: str
    relevant: list[str]
    base: SideAnswers
    candidate: SideAnswers


def write_answers(findings: Iterable[CorpusFindings], output: Path) -> InputRecord | None:
    """Write both stores' answers, a line a question; without a comparison there is no file, and no older one is left.

    Returns:
        Path and digest of the file, or None where nothing was compared.
    """
    path = output / ANSWERS
    path.unlink(missing_ok=True)
    lines = [each.model_dump_json() for found in findings for each in list_answers(found)]
    if not lines:
        return None
    with replace_file(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return InputRecord(path=shorten(path), sha256=compute_sha256(path))


def list_answers(found: CorpusFindings) -> Iterator[QuestionAnswers]:
    """Return what was answered on a corpus, in the order of its gold set; nothing where nothing was compared."""
    if found.compared is None:
        return
    comparison, _, listed = found.compared
    corpus = comparison.corpus
    identifiers = [chunk.id for chunk in corpus.chunks.chunks]
    base, candidate = (listed[role][:, :CUT_OFF] for role in ROLES)
    for place, question in enumerate(corpus.gold.questions):
        yield QuestionAnswers(
            corpus=corpus.name,
            question=question.id,
            relevant=[identifiers[position] for position in corpus.gold.relevant[place]],
            base=_describe_side(comparison.base, base, place, identifiers),
            candidate=_describe_side(comparison.candidate, candidate, place, identifiers),
        )


def _describe_side(answers: Answers, nearest: Ranking, place: int, identifiers: Sequence[str]) -> SideAnswers:
    relevant = answers.ranks.relevant[place]
    return SideAnswers(
        returned=[identifiers[position] for position in nearest[place]],
        ranks=answers.ranks.ranks[place, :relevant].tolist(),
        metrics={name: float(values[place]) for name, values in answers.metrics.items()},
    )
