"""Embed on Spark: every worker loads the model once, writes its part of the vectors, and the driver joins the parts.

Model, texts and outputs lie on storage that all machines share, at the same paths.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from pipeline.encoder import Encoder, EncoderSettings, ModelIdentity, load_encoder
from pipeline.errors import EngineError
from pipeline.files import compute_sha256
from pipeline.filling import fill_matrix
from pipeline.provenance import write_provenance
from pipeline.spark.session import open_session
from pipeline.texts import EmbeddingTask, load_texts
from pipeline.vectors import create_vectors, load_vectors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pyspark.sql import SparkSession

ROWS_A_PART = 4096
WORKERS = "workers"
_TEXTS = "row long, text string"
_PARTS = "first long, rows long, name string, sha256 string, model string"


@dataclass(frozen=True, slots=True)
class Part:
    """Vectors of consecutive texts as one worker wrote them, with the identity of the model that it had loaded."""

    first: int
    rows: int
    name: str
    sha256: str
    model: str


# A worker is a process that runs one part after another: the model is loaded for the first.
_loaded: dict[EncoderSettings, Encoder] = {}


def embed_on_spark(master: str, tasks: Sequence[EmbeddingTask], settings: EncoderSettings) -> None:
    """Write the vectors of every file as `pipeline.embeddings.embed_files` does, with their provenance beside them.

    All texts are embedded anew: rows that one machine has kept are not looked for.

    Raises:
        InputError: a file of texts is malformed.
        EngineError: Spark is missing, a worker failed, or workers had different models.
    """
    if Path(settings.model).exists():
        settings = replace(settings, model=str(Path(settings.model).resolve()))  # workers run in another folder
    texts = {task: load_texts(task) for task in tasks}
    with open_session(master) as session:
        for task, lines in texts.items():
            embed_texts(session, task, lines, settings)


def embed_texts(session: SparkSession, task: EmbeddingTask, texts: Sequence[str], settings: EncoderSettings) -> None:
    """Let the workers embed texts, and write matrix and provenance."""
    task.output.parent.mkdir(parents=True, exist_ok=True)
    staging = tempfile.TemporaryDirectory(prefix=f".{task.output.name}.", suffix=".parts", dir=task.output.parent)
    with staging as folder:
        count = max(session.sparkContext.defaultParallelism, -(-len(texts) // ROWS_A_PART))
        table = session.createDataFrame(pd.DataFrame({"row": range(len(texts)), "text": texts}), _TEXTS)
        spread = table.repartitionByRange(min(count, len(texts)), "row").sortWithinPartitions("row")
        written = spread.mapInPandas(build_worker(settings, Path(folder).resolve()), _PARTS).collect()
        parts = [Part(**row.asDict()) for row in written]
        model = require_one_model(parts)
        join_parts(Path(folder), parts, task.output, rows=len(texts))
    write_provenance(task.output, task.source, task.role, model)


def build_worker(settings: EncoderSettings, folder: Path) -> Callable[[Iterable[pd.DataFrame]], Iterator[pd.DataFrame]]:
    """Return what a worker runs over its texts, a table at a time: a row for each part that it has written."""

    def embed_tables(tables: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        encoder = get_encoder(settings)
        for table in tables:
            part = write_part(folder, encoder, table)
            yield pd.DataFrame([(part.first, part.rows, part.name, part.sha256, part.model)], columns=Part.__slots__)

    return embed_tables


def get_encoder(settings: EncoderSettings) -> Encoder:
    """Return the model of this process, loaded when it is asked for the first time."""
    if settings not in _loaded:
        _loaded[settings] = load_encoder(**asdict(settings))
    return _loaded[settings]


def write_part(folder: Path, encoder: Encoder, table: pd.DataFrame) -> Part:
    """Embed consecutive texts and write their vectors to a file of their own, whole or not at all.

    Raises:
        InputError: the model's output is not finite or not of unit length.
    """
    texts, first = table["text"].tolist(), int(table["row"].iloc[0])
    path = folder / f"{first:012}.npy"
    with create_vectors(path, len(texts)) as matrix:
        fill_matrix(matrix, texts, encoder.embed, "part")
    return Part(first, len(texts), path.name, compute_sha256(path), encoder.identity.model_dump_json())


def require_one_model(parts: Sequence[Part]) -> ModelIdentity:
    """Return the model that made all parts.

    Raises:
        EngineError: workers had different ones, as where a folder is not shared.
    """
    models = {part.model for part in parts}
    if len(models) != 1:
        raise EngineError(WORKERS, f"loaded {len(models)} different models", "let all machines share one folder")
    return ModelIdentity.model_validate_json(models.pop())


def join_parts(folder: Path, parts: Sequence[Part], output: Path, *, rows: int) -> None:
    """Write the matrix that the parts make, a part in memory at a time; it appears whole or not at all.

    Raises:
        EngineError: a part is missing, or is not what the worker wrote.
    """
    done = 0
    with create_vectors(output, rows) as matrix:
        for part in sorted(parts, key=lambda each: each.first):
            path = folder / part.name
            if part.first != done or compute_sha256(path) != part.sha256:
                raise EngineError(path, f"expected the vectors of texts from {done} on", "share the output's folder")
            matrix[done : done + part.rows] = load_vectors(path, part.rows)
            done += part.rows
        if done != rows:
            raise EngineError(output, f"expected {rows} vectors, got {done}", "run again")
