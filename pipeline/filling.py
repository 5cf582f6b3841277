"""Fill a matrix with the vectors of texts: what is known is looked up, the rest is embedded, nothing twice."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Protocol

from pipeline.commandline import make_progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.vectors import Matrix

    Embed = Callable[[Sequence[str]], Iterator[tuple[list[int], Matrix]]]

# Of which tokens are held at once.
WINDOW = 4096
KEEP_SECONDS = 2.0


class Rows(Protocol):
    """Where vectors of texts are found again."""

    def find(self, texts: Sequence[str]) -> dict[str, Matrix]:
        """Return the vectors that are known, float32 `(768,)` each, by text."""

    def keep(self, rows: dict[str, Matrix]) -> None:
        """Remember vectors, so that a run that is killed afterwards has them."""


def fill_matrix(matrix: Matrix, texts: Sequence[str], embed: Embed, what: str, rows: Rows | None = None) -> None:
    """Write the unit vector of each text into its row of `matrix`, float32 `(len(texts), 768)`.

    Args:
        matrix: filled in place, as vectors come.
        texts: as they are given to the model.
        embed: yields places of the texts that it is given, with their vectors.
        what: the word for the texts on the progress display.
        rows: where vectors are looked up, and kept every two seconds; without, all are embedded anew.
    """
    with make_progress() as progress:
        task = progress.add_task(f"embedding {what}", total=len(texts))
        for start in range(0, len(texts), WINDOW):
            places: dict[str, list[int]] = defaultdict(list)
            for place, text in enumerate(texts[start : start + WINDOW], start):
                places[text].append(place)
            known = rows.find(list(places)) if rows else {}
            for text, vector in known.items():
                matrix[places[text]] = vector
                progress.advance(task, len(places[text]))
            for found in _embed([text for text in places if text not in known], embed, rows):
                for text, vector in found.items():
                    matrix[places[text]] = vector
                    progress.advance(task, len(places[text]))


def _embed(texts: list[str], embed: Embed, rows: Rows | None) -> Iterator[dict[str, Matrix]]:
    """Yield vectors by text as they come; whatever ends this, those that came are kept."""
    waiting: dict[str, Matrix] = {}
    kept = time.monotonic()
    try:
        for batch, vectors in embed(texts):
            found = dict(zip((texts[place] for place in batch), vectors, strict=True))
            waiting |= found if rows else {}
            yield found
            if rows and time.monotonic() - kept > KEEP_SECONDS:
                rows.keep(waiting)
                waiting, kept = {}, time.monotonic()
    finally:
        if rows and waiting:
            rows.keep(waiting)
