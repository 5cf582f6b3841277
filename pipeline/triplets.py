"""Training triplets: a question, the passage that answers it and, where there is one, a passage that does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from pipeline.documents import Strict, load_jsonl
from pipeline.params import PROJECT_ROOT

if TYPE_CHECKING:
    from pathlib import Path

TRIPLETS = PROJECT_ROOT / "corpus" / "training" / "triplets_train.jsonl"

Text = Annotated[str, Field(min_length=1)]


class Triplet(Strict):
    """One line of a training file."""

    anchor: Text
    positive: Text
    negative: Text | None = None


def load_triplets(path: Path) -> list[Triplet]:
    """Read a training file. Raises `InputError` for a malformed line."""
    return load_jsonl(path, Triplet)
