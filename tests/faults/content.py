"""Stores of random but valid content, in which the gate may find nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from tests.conftest import Sample, draw_unit_vectors
from tests.releases import MODEL_IDS, write_store
from validation.engine import Engine
from validation.evidence import collect_store
from validation.gate import load_corpus
from validation.outcomes import Check, Outcome
from validation.stores import CorpusRequest, check_corpus, check_store

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.params import CandidateName
    from validation.expectations import ExpectationRunner
    from validation.policy import Limits

STORES = 50
MANY_ROWS = 20_000
# Words as texts have them: accents, typographic and plain quotes, other scripts, signs that mean something to somebody.
WORDS = (
    "l'arbitre", "« échec »", '"roque"', "“mat”", "’", "naïve", "œuvre", "Ğ", "ß", "Ελλάδα", "шах", "将棋", "شطرنج",
    "♞", "\U0001f469\U0001f3fd\u200d\U0001f3eb", "e\u0301", "\u2028", "\t", "\n", "\\", "\\n", "%s", "{text}", "NULL",
    "'; DROP TABLE chunks; --", "<b>&amp;</b>", "-0", "1e999", "NaN", "true", "a" * 300, "…", "½", "\u00a0", "\u200b",
    "\u202e", "|", "a,b;c", "--", "/*", "$total",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Content:
    """A seed and the number of passages that are drawn from it."""

    seed: int
    rows: int


def list_contents(*, large: bool) -> list[Content]:
    """Return what the stores are drawn from: of one row, of two, of up to sixty and, where asked for, of many."""
    draw = seed(7)
    sizes = [1, 1, 2, 3, *(draw.randint(4, 60) for _ in range(STORES - 4))]
    return [Content(number, rows) for number, rows in enumerate(sizes)] + [Content(STORES, MANY_ROWS)] * large


def seed(number: int) -> Random:
    """Return a source of chance that is the same each time."""
    return Random(number)  # noqa: S311 - nothing here is secret


def find_alarms(content: Content, folder: Path, limits: Limits, runner: ExpectationRunner) -> list[Check]:
    """Build a store of random content with the pipeline, and return every check that does not pass."""
    request = write_corpus(content, folder)
    corpus = load_corpus(request)
    asked = len(corpus.gold.questions)
    passages, questions = draw_unit_vectors(content.rows, content.seed), draw_unit_vectors(asked, content.seed + 1)
    store, checks = collect_store("base", write_store(request, "base", passages, questions), corpus)
    checks += check_corpus(corpus, limits, runner)
    if store is not None:
        checks += check_store(store, corpus, request, limits, Engine(runner))
    return [check for check in checks if check.outcome is not Outcome.PASS]


def write_corpus(content: Content, folder: Path) -> CorpusRequest:
    """Write random passages, and a question about some of them."""
    folder.mkdir(parents=True)
    draw = seed(content.seed)
    name = draw.choice(["fr", "intl", "règles_2026", "x-1"])
    chunks = [build_chunk(draw, place, name) for place in range(content.rows)]
    questions = [
        {"_id": f"q{number} {draw.choice(WORDS).strip()}", "text": f"{write_text(draw)} {number} ?"}
        for number in range(draw.randint(1, min(content.rows, 200)))
    ]
    sample = Sample(folder / "chunks.json", folder / "questions.jsonl", folder / "qrels.tsv")
    document = {"corpus": name, "total": content.rows, "chunks": chunks}
    sample.chunks.write_text(json.dumps(document, ensure_ascii=draw.random() < 0.5), encoding="utf-8")
    lines = [json.dumps(question, ensure_ascii=False) for question in questions]
    sample.questions.write_text("\n".join(lines) + "\n", encoding="utf-8")
    judged = [f"{question['_id']}\t{draw.choice(chunks)['id']}\t1" for question in questions]
    sample.qrels.write_text("\n".join(["query-id\tcorpus-id\tscore", *judged]) + "\n", encoding="utf-8")
    stores: dict[CandidateName, Path] = {"base": folder / "base", "qlora": folder / "qlora"}
    return CorpusRequest(
        sample.chunks, sample.questions, sample.qrels, stores, primary=True, total=content.rows, model_ids=MODEL_IDS
    )  # fmt: skip


def build_chunk(draw: Random, place: int, corpus: str) -> dict[str, Any]:
    """Return a passage with random text in every field that may hold any."""
    return {
        "id": f"{draw.choice(['c', 'règle ', 'Δ'])}{place}",
        "text": f"{write_text(draw)} n° {place}",
        "source": draw.choice(["règles.md", "Guide (2026).pdf", "a'b\".md"]),
        "page": draw.choice([1, 7, 2**31, 2**53 + 1]),
        "tokens": draw.randint(1, 2048),
        "corpus": corpus,
        "chunk_type": draw.choice(["text", "table"]),
        "section": draw.choice([None, "", write_text(draw)]),
        "parent_id": draw.choice([None, f"s{place // 3}"]),
        "extra": draw.choice([[], {"é": None, "a": [1, 2.5]}, "œ"]),
    }


def write_text(draw: Random) -> str:
    """Return a few random words."""
    return " ".join(draw.choices(WORDS, k=draw.randint(1, 12)))
