"""The parts of a run whose growth is measured: each takes a folder and returns what is timed, as a race's methods do.

Whatever a part only needs, such as the text before an export, is read before the clock starts. What is returned tells
the seconds of one call.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipeline.chunks import load_chunks
from pipeline.database import export_database
from pipeline.retrieval import rank_cosine
from pipeline.store import StoreInputs, build_store
from pipeline.vectors import load_vectors
from tests.growth.workload import SEED, Workload, write_vectors
from validation.comparison import LIST_DEPTH, Answers, build_design, compare_answers, compute_flip_p
from validation.engine import Engine
from validation.evidence import collect_store
from validation.expectations import ExpectationRunner
from validation.gate import load_corpus
from validation.metrics import compute_metrics
from validation.policy import EXPECTATIONS, load_rulebook
from validation.ranks import Ranks
from validation.stores import CorpusRequest, check_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LABEL = "growth"


class Seconds(NamedTuple):
    """What a call took by the clock, and of the processor in all threads: less where it waits, more where it shares."""

    wall: float
    cpu: float


def time_call(call: Callable[[], object]) -> Callable[[], Seconds]:
    """Return a function that calls another one and tells what that took."""

    def run() -> Seconds:
        begun, worked = time.perf_counter(), time.process_time()
        call()
        return Seconds(time.perf_counter() - begun, time.process_time() - worked)

    return run


def write(folder: Path) -> Callable[[], Seconds]:
    """Draw the vectors block by block and write each at once."""
    work = Workload(folder)
    return time_call(lambda: write_vectors(work.passages_npy, work.count_rows(), seed=1))


def check_vectors(folder: Path) -> Callable[[], Seconds]:
    """Read and check a matrix."""
    return time_call(lambda: load_vectors(Workload(folder).passages_npy))


def read_text(folder: Path) -> Callable[[], Seconds]:
    """Read and check the text."""
    return time_call(lambda: load_chunks(Workload(folder).chunks))


def export(folder: Path) -> Callable[[], Seconds]:
    """Write the database, full text included, of text and vectors that are read already."""
    work = Workload(folder)
    chunks, matrix = load_chunks(work.chunks).chunks, load_vectors(work.passages_npy)
    return time_call(lambda: export_database(folder / "export.db", chunks, matrix, LABEL))


def adopt(folder: Path) -> Callable[[], Seconds]:
    """Make the whole store, as `python -m pipeline.adopt` does."""
    work = Workload(folder)
    inputs = StoreInputs(work.chunks, work.passages_npy, work.questions, work.questions_npy)
    return time_call(lambda: build_store(inputs, LABEL, work.store))


def look(folder: Path) -> Callable[[], Seconds]:
    """Look at a store as the gate does: digests, structure, rows, expectations; text and suites are read already."""
    work, policy = Workload(folder), load_rulebook(EXPECTATIONS / "policy.yaml").policy
    request = CorpusRequest(
        work.chunks, work.questions, work.qrels, {"base": work.store}, primary=True, total=None, model_ids=None
    )
    corpus, runner = load_corpus(request), ExpectationRunner(EXPECTATIONS / "suites")

    def run() -> None:
        store, checks = collect_store("base", work.store, corpus)
        if store is None:
            message = f"the store of the workload is not sound: {checks[-1].detail}"
            raise AssertionError(message)
        check_store(store, corpus, request, policy.limits, Engine(runner))

    return time_call(run)


def search(folder: Path) -> Callable[[], Seconds]:
    """Find the 100 nearest passages of each question, exactly."""
    work = Workload(folder)
    questions, passages = load_vectors(work.questions_npy), load_vectors(work.passages_npy)
    return time_call(lambda: rank_cosine(questions, passages, LIST_DEPTH))


def judge(folder: Path) -> Callable[[], Seconds]:
    """Compute the metrics of two answers, their intervals by bootstrap and their sign-flip p-values."""
    work, policy = Workload(folder), load_rulebook(EXPECTATIONS / "policy.yaml").policy
    request = CorpusRequest(work.chunks, work.questions, work.qrels, {}, primary=True, total=None, model_ids=None)
    corpus = load_corpus(request)
    asked, draw = len(corpus.gold.relevant), np.random.default_rng(SEED)
    stores = [Ranks(draw.integers(1, LIST_DEPTH, (asked, 1)), np.ones(asked, dtype=np.int64)) for _ in range(2)]

    def run() -> None:
        answers = [Answers(ranks, compute_metrics(ranks)) for ranks in stores]
        compute_flip_p(compare_answers(build_design(corpus, policy), *answers))

    return time_call(run)
