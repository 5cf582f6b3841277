"""Synthetic corpora of any size, drawn with a seed and written in blocks: text, vectors, gold questions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.files import replace_file
from pipeline.params import load_params
from pipeline.vectors import DIMENSION, DTYPE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.vectors import Matrix

BLOCK_ROWS = 10_000
SEED = 7


@dataclass(frozen=True, slots=True)
class Workload:
    """Where the files of a corpus of some size lie."""

    folder: Path

    @property
    def chunks(self) -> Path:
        """The text, as JSON."""
        return self.folder / "chunks.json"

    @property
    def questions(self) -> Path:
        """The questions, as JSON Lines."""
        return self.folder / "questions.jsonl"

    @property
    def qrels(self) -> Path:
        """The relevant passage of each question."""
        return self.folder / "qrels.tsv"

    @property
    def passages_npy(self) -> Path:
        """The vectors of the passages."""
        return self.folder / "passages.npy"

    @property
    def questions_npy(self) -> Path:
        """The vectors of the questions."""
        return self.folder / "questions.npy"

    @property
    def store(self) -> Path:
        """The store that is made of all that."""
        return self.folder / "store"

    def count_rows(self) -> int:
        """Return the number of passages."""
        return int((self.folder / "rows").read_text(encoding="ascii"))


def draw_blocks(rows: int, seed: int) -> Iterator[Matrix]:
    """Yield random unit vectors, float32 `(≤ 10,000, 768)` a block; a seed gives the same rows whatever the count."""
    for start in range(0, rows, BLOCK_ROWS):
        draw = np.random.default_rng([SEED, seed, start])
        vectors = draw.standard_normal((BLOCK_ROWS, DIMENSION), dtype=np.float32)[: rows - start]
        yield vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def write_vectors(path: Path, rows: int, seed: int) -> None:
    """Write so many random vectors as a matrix of a store."""
    header = {"descr": DTYPE, "fortran_order": False, "shape": (rows, DIMENSION)}
    with replace_file(path) as partial, partial.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for block in draw_blocks(rows, seed):
            stream.write(block.data)


def write_workload(folder: Path, rows: int, questions: int) -> Workload:
    """Write texts and questions whose lengths, words and fields are those of the project's own corpus.

    Each text is one of the corpus that begins at another of its words and ends in its number, so that no two are equal
    and words are as frequent as they are in French. The questions' vectors are drawn at random, and one passage is
    relevant to each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = Workload(folder)
    (folder / "rows").write_text(str(rows), encoding="ascii")
    write_chunks(found.chunks, rows)
    write_vectors(found.questions_npy, questions, seed=2)
    places = np.random.default_rng([SEED, 1]).integers(0, rows, questions).tolist()
    with found.questions.open("w", encoding="utf-8") as asked, found.qrels.open("w", encoding="utf-8") as judged:
        judged.write("query-id\tcorpus-id\tscore\n")
        for number, place in enumerate(places):
            asked.write(json.dumps({"_id": f"q{number}", "text": f"Que dit le passage {number} ?", "metadata": {}}))
            asked.write("\n")
            judged.write(f"q{number}\tfr-{place:08d}\t1\n")
    return found


def write_chunks(path: Path, rows: int) -> None:
    """Write a corpus of so many chunks, line by line."""
    models = json.loads(load_params().corpora[0].chunks.read_text(encoding="utf-8"))["chunks"]
    cuts = np.random.default_rng([SEED, 2]).integers(0, 1000, rows)
    with path.open("w", encoding="utf-8") as stream:
        stream.write(f'{{"corpus": "fr", "total": {rows}, "chunks": [')
        for place, cut in enumerate(cuts.tolist()):
            model = models[place % len(models)]
            words = model["text"].split()
            turned = " ".join(words[cut % len(words) :] + words[: cut % len(words)])
            chunk = {**model, "id": f"fr-{place:08d}", "corpus": "fr", "text": f"{turned} {place}"}
            stream.write(("," if place else "") + "\n" + json.dumps(chunk, ensure_ascii=False))
        stream.write("\n]}\n")
