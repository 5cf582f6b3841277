"""`python -m pipeline.canary`: embed a seeded sample of each store's rows anew, as evidence of which model made it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import numpy as np
import typer
from pydantic import Field

from pipeline.chunks import load_chunks
from pipeline.commandline import run_command
from pipeline.documents import Strict
from pipeline.encoder import ModelIdentity, load_encoder
from pipeline.files import compute_sha256, write_json
from pipeline.gold import load_questions
from pipeline.params import BUILD, CandidateName, load_params
from pipeline.precision import Precision, parse_precision
from pipeline.vectors import DIMENSION, DTYPE, Matrix, find_value_fault

if TYPE_CHECKING:
    from collections.abc import Sequence

SAMPLE_ROWS = 16
BLOB_BYTES = DIMENSION * np.dtype(DTYPE).itemsize


class Sample(Strict):
    """Rows of a matrix, embedded anew; each vector is the base64 of 768 little-endian float32 values."""

    rows: list[Annotated[int, Field(ge=0)]]
    vectors: list[str]

    def decode(self) -> Matrix:
        """Return the vectors, float32 `(rows, 768)`. Raises ValueError when they are no unit vectors of that size."""
        contents = [base64.b64decode(vector, validate=True) for vector in self.vectors]
        if len(contents) != len(self.rows) or {len(content) for content in contents} - {BLOB_BYTES}:
            message = f"expected {len(self.rows)} vectors of {BLOB_BYTES} bytes"
            raise ValueError(message)
        vectors = np.frombuffer(b"".join(contents), dtype=DTYPE).reshape(len(self.rows), DIMENSION)
        fault = find_value_fault(vectors)
        if fault is not None:
            raise ValueError(fault)
        return vectors


class CorpusCanary(Strict):
    """The samples of one corpus, and the texts that they were embedded from."""

    chunks_sha256: str
    questions_sha256: str
    passages: Sample
    questions: Sample


class Canary(Strict):
    """All of a candidate's canary file."""

    schema_version: Annotated[int, Field(ge=1, le=1)]
    model: ModelIdentity
    corpora: dict[str, CorpusCanary]


def draw_rows(text_sha256: str, total: int) -> list[int]:
    """Return which rows of a text file are embedded anew: 16 or, of fewer, all; drawn by its digest, ascending."""
    draw = np.random.default_rng(int(text_sha256, 16))
    return sorted(draw.choice(total, size=min(SAMPLE_ROWS, total), replace=False).tolist())


def embed_canary(
    candidate: Annotated[CandidateName, typer.Option(help="Whose built model embeds the sample.")],
    output: Annotated[Path, typer.Option(help="Where the canary file goes.")],
    precision: Annotated[
        str, typer.Option(parser=parse_precision, metavar="[float32|bfloat16]", help="What the store was embedded in.")
    ] = "float32",
) -> None:
    """Embed a sample of every corpus's passages and questions by the candidate's model, in a run of its own.

    The gate holds the store's rows against it: a right label on another model's vectors, or a prompt that was dropped,
    shows there. Nothing that was embedded before is looked up.
    """
    corpora: dict[str, CorpusCanary] = {}
    encoder = load_encoder(str(BUILD / "models" / candidate), precision=cast("Precision", precision))
    for corpus in load_params().corpora:
        chunks, questions = load_chunks(corpus.chunks).chunks, load_questions(corpus.questions)
        digests = compute_sha256(corpus.chunks), compute_sha256(corpus.questions)
        places, asked = draw_rows(digests[0], len(chunks)), draw_rows(digests[1], len(questions))
        corpora[corpus.name] = CorpusCanary(
            chunks_sha256=digests[0],
            questions_sha256=digests[1],
            passages=describe_sample(places, encoder.encode_documents([chunks[place] for place in places])),
            questions=describe_sample(asked, encoder.encode_questions([questions[place].text for place in asked])),
        )
    write_json(output, Canary(schema_version=1, model=encoder.identity, corpora=corpora).model_dump())
    typer.echo(f"{output}: {encoder.identity.model_id}, {len(corpora)} corpora")


def describe_sample(rows: Sequence[int], vectors: Matrix) -> Sample:
    """Return rows with their vectors, float32 `(rows, 768)`."""
    content = [base64.b64encode(vector.astype(DTYPE).tobytes()).decode("ascii") for vector in vectors]
    return Sample(rows=list(rows), vectors=content)


if __name__ == "__main__":
    run_command(embed_canary)
