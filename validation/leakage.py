"""Look for gold questions among the questions that the candidate was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from pipeline.documents import load_json
from pipeline.files import compute_sha256
from pipeline.leaks import find_leaks
from pipeline.triplets import load_triplets
from validation.outcomes import Check, Outcome

if TYPE_CHECKING:
    from decimal import Decimal
    from pathlib import Path

    from validation.evidence import CorpusEvidence


@dataclass(frozen=True, slots=True)
class TrainingEvidence:
    """The questions of the training pairs, and the digest of the pairs that the candidate says it was trained on.

    `declared` is None where the candidate comes from elsewhere and says nothing.
    """

    path: Path
    sha256: str
    questions: tuple[str, ...]
    declared: str | None


class _Data(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    sha256: str


class _TrainingRecord(BaseModel):
    """What is read of a model's `training_args.json`."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    data: _Data


def load_training(triplets: Path, record: Path | None) -> TrainingEvidence:
    """Read training pairs and, where there is one, the candidate's record of its training.

    Raises:
        InputError: a file is missing or malformed.
    """
    questions = tuple(triplet.anchor for triplet in load_triplets(triplets))
    declared = load_json(record, _TrainingRecord).data.sha256 if record else None
    return TrainingEvidence(triplets, compute_sha256(triplets), questions, declared)


def check_leak(check_id: str, corpus: CorpusEvidence, training: TrainingEvidence | None, similarity: Decimal) -> Check:
    """Check that no gold question is, or is nearly, a training question.

    A leak is an ERROR, not a FAIL: what the candidate was trained on cannot be evidence of what it finds. So are pairs
    that are missing or not those that the candidate was trained on.
    """
    if training is None:
        return Check(check_id, corpus.name, Outcome.ERROR, detail="the training pairs were not given")
    if training.declared is not None and training.declared != training.sha256:
        detail = "the candidate was trained on other pairs"
        return Check(check_id, corpus.name, Outcome.ERROR, training.declared, training.sha256, detail=detail)
    gold = [question.text for question in corpus.gold.questions]
    leaks = find_leaks(gold, training.questions, float(100 * similarity))
    leaked = {leak.gold for leak in leaks}
    worst = max(leaks, key=lambda leak: leak.similarity, default=None)
    return Check(
        id=check_id,
        subject=corpus.name,
        outcome=Outcome.ERROR if leaks else Outcome.PASS,
        observed=len(leaked),
        limit=0,
        n=len(gold),
        detail=f"{len(leaked)} gold questions are given away, such as {worst.training!r} for {worst.gold!r}"
        if worst
        else None,
    )
