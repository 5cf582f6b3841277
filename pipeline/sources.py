"""Read a corpus's sources: Markdown documents, and the questions written beside them, resolved to chunks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import ConfigDict, Field

from pipeline.chunking import PAGE_TOKENS, build_passages, count_tokens, parse_document
from pipeline.chunks import Chunk, ChunkFile
from pipeline.documents import Strict, load_jsonl, read_text
from pipeline.errors import InputError
from pipeline.leaks import normalise_question

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.params import Corpus

MAX_RELEVANT = 6

Text = Annotated[str, Field(min_length=1)]


class SourceQuestion(Strict):
    """A question as its author wrote it: every chunk that holds one of the quotes answers it."""

    model_config = ConfigDict(extra="forbid")

    question: Text
    quotes: Annotated[list[Text], Field(min_length=1)]
    category: str | None = None
    difficulty: Literal["easy", "medium", "hard"] | None = None
    question_type: Literal["factual", "procedural", "scenario"] | None = None


@dataclass(frozen=True, slots=True)
class ResolvedQuestion:
    """A question with a stable id and the ascending positions of the chunks that answer it."""

    id: str
    source: SourceQuestion
    relevant: tuple[int, ...]


def build_chunks(corpus: Corpus) -> ChunkFile:
    """Cut every source of a corpus, in order of file name, into its frozen chunks.

    Raises:
        InputError: there are no sources, or not as many chunks as `params.yaml` declares.
    """
    paths = sorted(corpus.sources.glob("*.md"))
    chunks = [chunk for path in paths for chunk in _cut_document(path, corpus.name)]
    if len(chunks) != corpus.total:
        message = f"expected {corpus.total} chunks from {len(paths)} sources, got {len(chunks)}"
        raise InputError(corpus.sources, message, "the text is frozen: restore the sources")
    return ChunkFile(corpus=corpus.name, total=len(chunks), chunks=chunks)


def _cut_document(path: Path, corpus: str) -> Iterator[Chunk]:
    document = parse_document(path.name, read_text(path))
    read = 0
    for number, section in enumerate(document.sections):
        parent = f"{path.stem}-s{number:03d}"
        for child, (chunk_type, text) in enumerate(build_passages(section)):
            tokens = count_tokens(text)
            yield Chunk(
                id=f"{parent}-c{child:02d}",
                text=text,
                source=path.name,
                page=1 + read // PAGE_TOKENS,
                tokens=tokens,
                corpus=corpus,
                chunk_type=chunk_type,
                section=section.heading,
                parent_id=parent,
                title=document.title,
            )
            read += tokens


def load_source_questions(corpus: Corpus, kind: Literal["gold", "train"], chunks: ChunkFile) -> list[ResolvedQuestion]:
    """Read the `*.gold.jsonl` or `*.train.jsonl` files beside the sources and find the chunks that answer.

    Raises:
        InputError: a quote stands in no chunk or in too many, a question is asked twice, or there is no gold question.
    """
    texts = [_squeeze(chunk.text) for chunk in chunks.chunks]
    resolved: dict[str, ResolvedQuestion] = {}
    for path in sorted(corpus.sources.glob(f"*.{kind}.jsonl")):
        for number, question in enumerate(load_jsonl(path, SourceQuestion), 1):
            where = f"{path}:{number}"
            asked = normalise_question(question.question)
            if asked in resolved:
                raise InputError(where, "this question is asked twice", "remove one")
            relevant = {position for quote in question.quotes for position in _find_quote(where, quote, texts)}
            identity = f"{corpus.name}:{path.name.split('.')[0]}:{hashlib.sha256(asked.encode()).hexdigest()[:8]}"
            resolved[asked] = ResolvedQuestion(identity, question, tuple(sorted(relevant)))
    if kind == "gold" and not resolved:
        raise InputError(corpus.sources, "expected gold questions in *.gold.jsonl, got none", "write questions")
    return list(resolved.values())


def _find_quote(where: str, quote: str, texts: list[str]) -> list[int]:
    wanted = _squeeze(quote)
    found = [position for position, text in enumerate(texts) if wanted in text]
    if not 1 <= len(found) <= MAX_RELEVANT:
        message = f"quotes: expected a passage of 1 to {MAX_RELEVANT} chunks, {len(found)} hold {quote!r}"
        raise InputError(where, message, "quote the text as it stands now")
    return found


def _squeeze(text: str) -> str:
    return " ".join(text.split())
