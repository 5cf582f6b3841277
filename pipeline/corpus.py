"""`python -m pipeline.corpus`: build chunks, gold set and training triplets from the sources, or compare them."""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commandline import run_command
from pipeline.corpus_card import SLICES, build_card, render_readme
from pipeline.database_rows import index_fulltext
from pipeline.errors import InputError
from pipeline.files import replace_file
from pipeline.gold import QRELS_HEADER
from pipeline.leaks import NEAR_DUPLICATE, find_leaks
from pipeline.params import PROJECT_ROOT, Corpus, load_params
from pipeline.retrieval import rank_fulltext
from pipeline.sources import ResolvedQuestion, build_chunks, load_source_questions
from pipeline.triplets import TRIPLETS

if TYPE_CHECKING:
    from pipeline.chunks import ChunkFile
    from pipeline.corpus_card import CorpusCard

NEGATIVE_DEPTH = 40
NEGATIVE_RANK = 15
README = PROJECT_ROOT / "corpus" / "README.md"


def build_corpus(
    *,
    check: Annotated[bool, typer.Option("--check", help="Compare with the files on disk; write nothing.")] = False,
) -> None:
    """Regenerate every frozen file of `corpus/` from `corpus/sources/`."""
    for path, content in render_corpora(load_params().corpora).items():
        name = path.relative_to(PROJECT_ROOT)
        if not check:
            with replace_file(path) as partial:
                partial.write_bytes(content.encode())
        elif not path.is_file() or path.read_bytes() != content.encode():
            raise InputError(name, "is not what the sources give", "run `python -m pipeline.corpus`")
        typer.echo(f"{name}: {'as the sources give' if check else 'written'}")


def render_corpora(corpora: list[Corpus]) -> dict[Path, str]:
    """Return the content of every frozen file by path.

    Raises:
        InputError: sources and questions do not fit, texts repeat too often, or training questions leak gold ones.
    """
    files: dict[Path, str] = {}
    asked: list[str] = []
    training: list[tuple[ChunkFile, list[ResolvedQuestion]]] = []
    cards: list[CorpusCard] = []
    for corpus in corpora:
        chunks = build_chunks(corpus)
        _require_distinct(corpus, chunks)
        gold = load_source_questions(corpus, "gold", chunks)
        asked.extend(question.source.question for question in gold)
        questions = load_source_questions(corpus, "train", chunks)
        training.append((chunks, questions))
        cards.append(build_card(chunks, gold, len(questions)))
        files[corpus.chunks] = json.dumps(chunks.model_dump(), ensure_ascii=False, indent=1) + "\n"
        files[corpus.questions] = render_questions(gold)
        files[corpus.qrels] = render_qrels(gold, chunks)
    _require_no_leak(asked, [question.source.question for _, questions in training for question in questions])
    files[TRIPLETS] = "".join(render_triplets(questions, chunks) for chunks, questions in training)
    files[README] = render_readme(cards)
    return files


def render_questions(questions: list[ResolvedQuestion]) -> str:
    """Return gold questions as BEIR JSON Lines, with their slices as metadata."""
    return "".join(
        _to_line({
            "_id": question.id,
            "text": question.source.question,
            "metadata": {name: getattr(question.source, name) for name in SLICES},
        })
        for question in questions
    )  # fmt: skip


def render_qrels(questions: list[ResolvedQuestion], chunks: ChunkFile) -> str:
    """Return relevance judgements as BEIR TSV, one relevant chunk a line."""
    lines = ["\t".join(QRELS_HEADER)]
    lines += [f"{asked.id}\t{chunks.chunks[position].id}\t1" for asked in questions for position in asked.relevant]
    return "\n".join(lines) + "\n"


def render_triplets(questions: list[ResolvedQuestion], chunks: ChunkFile) -> str:
    """Return training triplets as JSON Lines; the negative is a passage that shares words but no answer.

    It is BM25's answer at about rank 15, outside the positive's section: nearer ones often answer too.
    """
    output = io.StringIO()
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        index_fulltext(connection, chunks.chunks)
        for question in questions:
            positive = chunks.chunks[question.relevant[0]]
            answers = {chunks.chunks[row].text for row in question.relevant}
            ranked = [chunks.chunks[row] for row in rank_fulltext(connection, question.source.question, NEGATIVE_DEPTH)]
            others = [chunk for chunk in ranked if chunk.parent_id != positive.parent_id and chunk.text not in answers]
            if not others:
                raise InputError(
                    question.id, "no other passage shares a word with this question", "reword the question"
                )
            negative = others[min(NEGATIVE_RANK, len(others)) - 1]
            row = {"anchor": question.source.question, "positive": positive.text, "negative": negative.text}
            output.write(_to_line(row))
    return output.getvalue()


def _to_line(row: dict[str, object]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _require_distinct(corpus: Corpus, chunks: ChunkFile) -> None:
    repeated = sum(count - 1 for count in Counter(chunk.text for chunk in chunks.chunks).values())
    if repeated > corpus.duplicates_max * chunks.total:
        message = f"{repeated} of {chunks.total} texts repeat another, more than {corpus.duplicates_max:.0%}"
        raise InputError(corpus.sources, message, "reword or remove the repeated passages")


def _require_no_leak(gold: list[str], training: list[str]) -> None:
    leaks = find_leaks(gold, training, NEAR_DUPLICATE)
    if leaks:
        worst = max(leaks, key=lambda leak: leak.similarity)
        message = f"{len(leaks)} gold questions are given away, such as {worst.training!r} for {worst.gold!r}"
        raise InputError(TRIPLETS, message, "reword or remove the training questions")


if __name__ == "__main__":
    run_command(build_corpus)
