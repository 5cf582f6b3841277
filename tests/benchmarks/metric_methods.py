"""Ways to get recall, MRR and nDCG: ours from integers, pytrec_eval's from dicts, and a training evaluator's."""

from __future__ import annotations

from itertools import islice
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from validation.metrics import RECALL_DEPTHS, compute_metrics
from validation.ranks import rank_listed, rank_relevant

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.retrieval import Ranking
    from validation.metrics import Values

    Measure = Callable[[], dict[str, Values]]
    Average = Callable[[], dict[str, float]]

ORACLES = {f"recall@{depth}": f"recall_{depth}" for depth in RECALL_DEPTHS} | {"ndcg@10": "ndcg_cut_10"}


def save_lists(folder: Path, rankings: Ranking, relevant: Ranking) -> None:
    """Write ranked positions, `(n_questions, depth)`, and relevant ones, `(n_questions, most)`, padded with -1."""
    np.save(folder / "rankings.npy", rankings)
    np.save(folder / "relevant.npy", relevant)


def save_vectors(folder: Path, questions: Any, passages: Any, relevant: Ranking) -> None:
    """Write the vectors of questions and passages, and the relevant positions as above."""
    for name, matrix in (("questions", questions), ("passages", passages), ("relevant", relevant)):
        np.save(folder / f"{name}.npy", matrix)


def load_relevant(folder: Path) -> list[list[int]]:
    """Return the relevant positions of each question."""
    return [[place for place in row if place >= 0] for row in np.load(folder / "relevant.npy").tolist()]


def measure_lists(folder: Path) -> Measure:
    """Look the relevant passages up in the ranked lists, and compute every metric."""
    rankings, relevant = np.load(folder / "rankings.npy"), load_relevant(folder)
    return lambda: compute_metrics(rank_listed(rankings, relevant))


def measure_by_pytrec_eval(folder: Path) -> Measure:
    """Build the dicts that pytrec_eval wants, names of passages at hand, and evaluate; MRR sees the top ten only."""
    import pytrec_eval

    rankings, relevant = np.load(folder / "rankings.npy").tolist(), load_relevant(folder)
    names = {place: f"p{place}" for rows in (rankings, relevant) for row in rows for place in row}

    def measure() -> dict[str, Values]:
        qrels = {f"q{n}": dict.fromkeys((names[place] for place in row), 1) for n, row in enumerate(relevant)}
        scores = [1.0 / rank for rank in range(1, len(rankings[0]) + 1)]
        run = {f"q{n}": dict(zip(map(names.__getitem__, row), scores, strict=True)) for n, row in enumerate(rankings)}
        deep = pytrec_eval.RelevanceEvaluator(qrels, {"recall.1,5,10,100", "ndcg_cut.10"}).evaluate(run)
        top = {name: dict(islice(row.items(), 10)) for name, row in run.items()}
        cut = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(top)
        found = {name: np.array([deep[key][oracle] for key in qrels]) for name, oracle in ORACLES.items()}
        return found | {"mrr@10": np.array([cut[key]["recip_rank"] for key in qrels])}

    return measure


def average_by_ours(folder: Path) -> Average:
    """Rank the relevant passages by vectors, and average every metric."""
    questions, passages, relevant = *_load_vectors(folder), load_relevant(folder)

    def average() -> dict[str, float]:
        metrics = compute_metrics(rank_relevant(questions, passages, relevant))
        return {name: float(values.mean()) for name, values in metrics.items()}

    return average


def average_by_sentence_transformers(folder: Path) -> Average:
    """Let `InformationRetrievalEvaluator` do the same, with all vectors at hand, so that no model is timed."""
    import torch
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
    from sentence_transformers.util import dot_score

    questions, passages = map(torch.from_numpy, _load_vectors(folder))
    model = SimpleNamespace(encode_query=lambda *_texts, **_options: questions)
    evaluator = InformationRetrievalEvaluator(
        queries={f"q{n}": "" for n in range(len(questions))},
        corpus={f"p{n}": "" for n in range(len(passages))},
        relevant_docs={f"q{n}": {f"p{place}" for place in row} for n, row in enumerate(load_relevant(folder))},
        precision_recall_at_k=list(RECALL_DEPTHS),
        score_functions={"dot": dot_score},
    )

    def average() -> dict[str, float]:
        found = evaluator.compute_all_metrics(model, corpus_embeddings=passages)["dot"]
        recall = {f"recall@{depth}": float(found["recall@k"][depth]) for depth in RECALL_DEPTHS}
        return recall | {"mrr@10": float(found["mrr@k"][10]), "ndcg@10": float(found["ndcg@k"][10])}

    return average


def _load_vectors(folder: Path) -> tuple[Any, Any]:
    return np.load(folder / "questions.npy"), np.load(folder / "passages.npy")
