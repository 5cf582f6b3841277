"""`training_args.json`, typed: how a candidate was trained, from which parent, on which pairs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipeline.documents import Strict
from pipeline.store import Digest
from validation.requirements import Text


class ParentModel(Strict):
    """The model that was trained further."""

    model_id: Text
    revision: str | None
    weights_sha256: Digest


class TrainingMethod(Strict):
    """What the settings do not say, and the versions of the libraries that did it."""

    adapter: Text
    quantisation: Text
    target_modules: Text
    loss: Text
    merged_into: Text
    libraries: dict[str, str]


class TrainingData(Strict):
    """How many training pairs there were, and the digest of their file."""

    triplets: Annotated[int, Field(ge=1)]
    sha256: Digest


class TrainingArguments(Strict):
    """All of a fine-tuned model's `training_args.json`; `loss` has a value a step."""

    model_id: Text
    parent: ParentModel
    settings: dict[str, int | float]
    method: TrainingMethod
    data: TrainingData
    loss: Annotated[list[float], Field(min_length=1)]
