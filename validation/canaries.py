"""Hold a sample of each store's rows against the same texts embedded anew by the model that the store names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.canary import draw_rows
from pipeline.vectors import DIMENSION, MATRIX_RANK
from validation.outcomes import Check, Outcome

if TYPE_CHECKING:
    from decimal import Decimal

    from pipeline.canary import Canary, Sample
    from validation.evidence import CorpusEvidence, StoreEvidence, VectorEvidence


def check_canary(
    check_id: str, store: StoreEvidence, corpus: CorpusEvidence, canary: Canary | None, similarity: Decimal
) -> list[Check]:
    """Check passages and questions of a store against its model's canary.

    PASS when every row of the sample has at least this cosine similarity with the vector that was made anew, else FAIL:
    the label is right and the vectors are another model's, or a prompt was dropped. A canary that is missing, of other
    texts, of other rows than the text's digest draws, or of another model than the store's is an ERROR.
    """
    manifest = store.manifest
    found = canary.corpora.get(corpus.name) if canary else None
    chunks, questions, asked = corpus.chunks_sha256, corpus.questions_sha256, len(corpus.gold.questions)
    parts = (
        ("passages", store.passages, draw_rows(chunks, corpus.chunks.total), found.passages if found else None),
        ("questions", store.questions, draw_rows(questions, asked), found.questions if found else None),
    )
    checks = []
    for part, vectors, rows, sample in parts:
        subject = f"{store.subject}/{part}"
        fault = None
        if canary is None or found is None or sample is None:
            fault = "no sample was embedded anew"
        elif canary.model != manifest.model:
            fault = f"the sample was embedded by {canary.model.model_id}, with other weights or prompts"
        elif (found.chunks_sha256, found.questions_sha256) != (chunks, questions):
            fault = "the sample is of other texts"
        elif sample.rows != rows:
            fault = "the sample is not of the rows that the texts draw"
        if fault is None and sample is not None:
            checks.append(_compare(check_id, subject, vectors, sample, similarity))
        else:
            checks.append(Check(check_id, subject, Outcome.ERROR, detail=fault))
    return checks


def _compare(check_id: str, subject: str, vectors: VectorEvidence, sample: Sample, similarity: Decimal) -> Check:
    values = vectors.values
    try:
        anew = sample.decode().astype(np.float64)
    except ValueError as error:
        return Check(check_id, subject, Outcome.ERROR, detail=f"the sample cannot be read: {error}")
    if values.ndim != MATRIX_RANK or values.shape[1] != DIMENSION or values.dtype.kind != "f":
        detail = f"the store's vectors are {vectors.header.dtype} of shape {values.shape}"
        return Check(check_id, subject, Outcome.FAIL, limit=float(similarity), detail=detail)
    kept = [row for row in sample.rows if row < len(values)]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        stored, anew = values[kept].astype(np.float64), anew[: len(kept)]
        cosines = (stored * anew).sum(axis=1) / (np.linalg.norm(stored, axis=1) * np.linalg.norm(anew, axis=1))
    # What is no number, or not there at all, is like nothing.
    found = np.append(np.nan_to_num(cosines, nan=-1.0, posinf=-1.0), np.full(len(sample.rows) - len(kept), -1.0))
    least = float(found.min())
    holds = least >= float(similarity)
    return Check(
        id=check_id,
        subject=subject,
        outcome=Outcome.PASS if holds else Outcome.FAIL,
        observed=least,
        limit=float(similarity),
        n=len(sample.rows),
        detail=None if holds else f"row {sample.rows[int(found.argmin())]} is not what its text gives",
    )
