"""Count what a corpus holds and render `corpus/README.md`, so that no figure in it is typed by hand."""

from __future__ import annotations

import contextlib
import sqlite3
import statistics
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jinja2 import Environment, StrictUndefined

from pipeline.chunking import MAX_TABLE_TOKENS, MAX_TEXT_TOKENS
from pipeline.database_rows import index_fulltext
from pipeline.leaks import NEAR_DUPLICATE
from pipeline.params import PROJECT_ROOT
from pipeline.retrieval import rank_fulltext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.chunks import ChunkFile
    from pipeline.sources import ResolvedQuestion

TEMPLATE = PROJECT_ROOT / "corpus" / "README.template.md"
SLICES = ("category", "difficulty", "question_type")
DEPTH = 5


@dataclass(frozen=True, slots=True)
class CorpusCard:
    """The figures of one corpus; `slices` are pairs of `field = value` and number of questions."""

    name: str
    sources: int
    chunks: int
    tokens_min: int
    tokens_median: float
    tokens_max: int
    gold: int
    judgements: int
    training: int
    bm25_recall: float
    slices: list[tuple[str, int]]


def build_card(chunks: ChunkFile, gold: Sequence[ResolvedQuestion], training: int) -> CorpusCard:
    """Count a corpus, its gold questions and their slices, and measure BM25 on them."""
    tokens = [chunk.tokens for chunk in chunks.chunks]
    slices = Counter(f"{name} = {getattr(question.source, name)}" for question in gold for name in SLICES)
    return CorpusCard(
        name=chunks.corpus,
        sources=len({chunk.source for chunk in chunks.chunks}),
        chunks=chunks.total,
        tokens_min=min(tokens),
        tokens_median=statistics.median(tokens),
        tokens_max=max(tokens),
        gold=len(gold),
        judgements=sum(len(question.relevant) for question in gold),
        training=training,
        bm25_recall=measure_bm25(chunks, gold),
        slices=sorted(slices.items()),
    )


def measure_bm25(chunks: ChunkFile, gold: Sequence[ResolvedQuestion]) -> float:
    """Return BM25's mean recall@5 over section and text: the share of a question's relevant chunks in the top 5."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        index_fulltext(connection, chunks.chunks)
        recalls = [
            len({*rank_fulltext(connection, asked.source.question, DEPTH).tolist()} & {*asked.relevant})
            / len(asked.relevant)
            for asked in gold
        ]
    return statistics.fmean(recalls)


def render_readme(cards: Sequence[CorpusCard]) -> str:
    """Return `corpus/README.md` from its template."""
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701 - our own Markdown
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        cards=cards, max_text=MAX_TEXT_TOKENS, max_table=MAX_TABLE_TOKENS, near_duplicate=round(NEAR_DUPLICATE)
    )
