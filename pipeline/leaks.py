"""Find training questions that give a gold question away: equal after normalisation, or nearly so."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rapidfuzz import fuzz, process

if TYPE_CHECKING:
    from collections.abc import Sequence

NEAR_DUPLICATE = 90.0

_NOT_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Leak:
    """A training question that is (nearly) a gold question; `similarity` in percent."""

    gold: str
    training: str
    similarity: float


def normalise_question(text: str) -> str:
    """Return a question without case, accents, punctuation and repeated spaces."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(character for character in decomposed if not unicodedata.combining(character))
    return _NOT_WORD.sub(" ", bare).strip()


def _sort_words(text: str) -> str:
    return " ".join(sorted(normalise_question(text).split()))


def find_leaks(gold: Sequence[str], training: Sequence[str], threshold: float) -> list[Leak]:
    """Compare every gold question with every training question, whatever the order of their words.

    The similarity is the normalised insertion–deletion similarity of the sorted words (RapidFuzz `token_sort_ratio`,
    whose sorting is done here, once a question instead of once a pair); `threshold` percent and more count as a
    near-duplicate. Questions against corpus text is not a leak and is not looked at.
    """
    if not gold or not training:
        return []
    table = process.cdist(
        [_sort_words(text) for text in gold],
        [_sort_words(text) for text in training],
        scorer=fuzz.ratio,
        score_cutoff=threshold,
        dtype=np.float32,
        workers=-1,
    )
    return [Leak(gold[row], training[column], float(table[row, column])) for row, column in np.argwhere(table > 0)]
