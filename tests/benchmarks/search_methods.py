"""Ways to find the nearest passages, exactly: ours, and what a user would pick instead.

Each reads `questions.npy` and `passages.npy` out of a folder, of which the passages are mapped, and answers with
positions, nearest first; faiss copies the passages into its index.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.database import load_matrix, open_database
from pipeline.retrieval import Ranking, rank_cosine
from validation.ranks import rank_passages

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.vectors import Matrix

    Search = Callable[[], npt.NDArray[np.integer]]

DATABASE = "store.db"


def load_workload(folder: Path) -> tuple[Matrix, Matrix, int]:
    """Return the questions, the passages, mapped, and how many of these are sought."""
    questions, passages = np.load(folder / "questions.npy"), np.load(folder / "passages.npy", mmap_mode="r")
    return questions, passages, int((folder / "depth").read_text(encoding="ascii"))


def save_workload(folder: Path, questions: Matrix, depth: int, passages: Matrix | None = None) -> None:
    """Write what `load_workload` reads; without passages, those that are there already stay."""
    np.save(folder / "questions.npy", questions)
    (folder / "depth").write_text(str(depth), encoding="ascii")
    if passages is not None:
        np.save(folder / "passages.npy", passages)


def rank_by_ours(folder: Path) -> Search:
    """Rank the matrix where it lies."""
    questions, passages, depth = load_workload(folder)
    return lambda: rank_cosine(questions, passages, depth)


def rank_blobs(folder: Path) -> Search:
    """Open a store's database, read every vector out of it, and rank."""
    questions, _, depth = load_workload(folder)

    def search() -> Ranking:
        with open_database(folder / DATABASE) as connection:
            return rank_cosine(questions, load_matrix(connection), depth)

    return search


def rank_by_faiss(folder: Path) -> Search:
    """Search faiss's flat index of inner products; building it is not timed."""
    import faiss

    questions, passages, depth = load_workload(folder)
    index = faiss.IndexFlatIP(passages.shape[1])
    index.add(passages)
    return lambda: index.search(questions, depth)[1]


def rank_by_usearch(folder: Path) -> Search:
    """Search exactly with usearch, by inner product."""
    from usearch.index import MetricKind, search

    questions, passages, depth = load_workload(folder)
    threads = int(os.environ["OMP_NUM_THREADS"])
    return lambda: search(passages, questions, depth, MetricKind.IP, exact=True, threads=threads).keys


def rank_by_numpy(folder: Path) -> Search:
    """Find the nearest passages as one writes it in numpy: the whole product, argpartition, and a sort of the few."""
    questions, passages, depth = load_workload(folder)

    def search() -> npt.NDArray[np.integer]:
        scores = questions @ passages.T
        found = np.argpartition(scores, -depth, axis=1)[:, -depth:]
        order = np.argsort(-np.take_along_axis(scores, found, axis=1), axis=1)
        return np.take_along_axis(found, order, axis=1)

    return search


def rank_relevant_too(folder: Path) -> Search:
    """Rank two relevant passages of each question from the same scores as the nearest ones."""
    questions, passages, depth = load_workload(folder)
    relevant = [[place, len(passages) - 1 - place] for place in range(len(questions))]
    return lambda: rank_passages(questions, passages, relevant, depth)[1]
