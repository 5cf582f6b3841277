"""Ways to embed texts: ours, and `SentenceTransformer.encode`, each with the same model folder and the same texts.

A workload is a folder with `model/` and `texts.json`, the texts as they are given to the model.
"""

from __future__ import annotations

import functools
import itertools
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.chunks import load_chunks
from pipeline.embedded_base import build_encoder
from pipeline.embedded_rows import EmbeddedRows
from pipeline.encoder import format_document, load_transformer, quieten_libraries
from pipeline.filling import Rows, fill_matrix
from pipeline.network import Network
from pipeline.params import EmbeddedModel, load_params
from pipeline.vectors import DIMENSION, Matrix

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.chunks import Chunk

    Embed = Callable[[], Matrix]

PEER_BATCH = 32
TEXTS = 1857
# Every twentieth part of the lengths, in characters, prompt included, of the 1857 passages of a real corpus.
CHARACTERS = (
    *(67, 120, 184, 246, 303, 369, 417, 474, 528, 573, 636),
    *(704, 777, 853, 940, 1044, 1196, 1333, 1465, 1582, 2547),
)
EDITED = 0.01


def build_texts() -> list[str]:
    """Return 1857 French texts of a real corpus's lengths, from short to long, cut out of this project's corpus."""
    source = " ".join(format_document(chunk) for chunk in _load_primary())
    lengths = np.interp(np.linspace(0, len(CHARACTERS) - 1, TEXTS), range(len(CHARACTERS)), CHARACTERS).astype(int)
    starts = np.arange(TEXTS) * 7919 % (len(source) - CHARACTERS[-1])
    return [source[start : start + length] for start, length in zip(starts.tolist(), lengths.tolist(), strict=True)]


def take_batches(texts: list[str], batches: Sequence[int]) -> list[str]:
    """Return the texts that make up some batches of 32 when all are sorted by length, as the peer does."""
    return [text for batch in batches for text in texts[batch * PEER_BATCH : (batch + 1) * PEER_BATCH]]


def save_texts(folder: Path, texts: list[str]) -> None:
    """Write the texts of a workload."""
    (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")


def save_embedded_model(folder: Path) -> None:
    """Build the model of the default profile, untrained: its shape is what takes time."""
    settings = load_params().profiles["embedded"].base
    if not isinstance(settings, EmbeddedModel):
        raise TypeError(settings)
    quieten_libraries()
    with tempfile.TemporaryDirectory() as scratch:
        model = build_encoder(_load_primary(), settings, Path(scratch))
        model.save_pretrained(str(folder / "model"), create_model_card=False)


def save_bert(folder: Path) -> None:
    """Write a BERT of 12 layers × 768, 110 million parameters, with random weights; its tokenizer learns the corpus."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    quieten_libraries()
    torch.manual_seed(1)
    config = BertConfig()
    words = BertWordPieceTokenizer(lowercase=False)
    texts = [format_document(chunk) for chunk in _load_primary()]
    words.train_from_iterator(texts, vocab_size=config.vocab_size, show_progress=False)
    with tempfile.TemporaryDirectory() as scratch:
        BertModel(config).save_pretrained(scratch)
        BertTokenizerFast(tokenizer_object=words._tokenizer, model_max_length=512).save_pretrained(scratch)  # noqa: SLF001
        modules = [Transformer(scratch, max_seq_length=512), Pooling(DIMENSION, "mean"), Normalize()]
        model = SentenceTransformer(modules=modules, device="cpu")
        model.save_pretrained(str(folder / "model"), create_model_card=False)


def embed_by_ours(folder: Path) -> Embed:
    """Embed all texts anew."""
    texts, network = _load(folder)
    return lambda: _fill(texts, network)


def embed_by_peer(folder: Path) -> Embed:
    """Embed all texts as the library does it, 32 at once."""
    texts = _load_texts(folder)
    model = load_transformer(folder / "model", device="cpu")
    return lambda: model.encode(texts, batch_size=PEER_BATCH, normalize_embeddings=True)


def embed_edited(folder: Path) -> Embed:
    """Embed all texts, of which each call finds 1 % changed, with the rows of those before."""
    texts, network = _load(folder)
    rows = EmbeddedRows(Path(tempfile.mkdtemp(dir=folder)), {})
    _fill(texts, network, rows)
    versions = itertools.count()
    return lambda: _fill(edit(texts, next(versions)), network, rows)


def embed_edited_anew(folder: Path) -> Embed:
    """Embed the same texts, of which 1 % are changed, and know of none."""
    texts, network = _load(folder)
    versions = itertools.count()
    return lambda: _fill(edit(texts, next(versions)), network)


def edit(texts: list[str], version: int) -> list[str]:
    """Return the texts with every hundredth changed, from short to long."""
    step = round(1 / EDITED)
    return [f"{text} {version}" if place % step == 0 else text for place, text in enumerate(texts)]


def _load(folder: Path) -> tuple[list[str], Network]:
    return _load_texts(folder), Network(load_transformer(folder / "model", device="cpu"))


def _load_texts(folder: Path) -> list[str]:
    texts: list[str] = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
    return texts


def _fill(texts: list[str], network: Network, rows: Rows | None = None) -> Matrix:
    matrix = np.empty((len(texts), DIMENSION), dtype=np.float32)
    fill_matrix(matrix, texts, network.embed, "texts", rows)
    return matrix


@functools.cache
def _load_primary() -> list[Chunk]:
    return load_chunks(next(corpus.chunks for corpus in load_params().corpora if corpus.role == "primary")).chunks
