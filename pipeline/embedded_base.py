"""Build the small base encoder of the embedded profile: EmbeddingGemma's shape, learnt from the corpus alone.

Token vectors start from latent semantic analysis (Deerwester et al., 1990): an SVD of the tf-idf weighted chunk × token
matrix. Attention and feed-forward branches start small, so that before training the encoder is close to an
idf-weighted sum of token vectors. A short contrastive training on pairs drawn from the text itself follows.
"""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import Gemma3TextConfig, Gemma3TextModel, PreTrainedTokenizerFast

from pipeline.encoder import DOCUMENT_PROMPT, NO_TITLE, QUESTION_PROMPT, format_document
from pipeline.errors import InputError
from pipeline.training import TrainingSettings, train_contrastive
from pipeline.vectors import DIMENSION

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from pipeline.chunks import Chunk
    from pipeline.params import EmbeddedModel

SPECIAL_TOKENS = ("<pad>", "<eos>", "<bos>", "<unk>")
MAX_TOKENS = 512
HEAD_SIZE = 64
HEADS = 2
DENSE_WIDTH = 1024
BRANCH_SCALE = 0.05
MIN_SENTENCE_WORDS = 4
HEADING_SHARE = 0.5

_SENTENCE_END = re.compile(r"(?<=[.!?;:])\s+|\n+")


def build_encoder(chunks: Sequence[Chunk], settings: EmbeddedModel, scratch: Path) -> SentenceTransformer:
    """Return the untrained encoder: tokenizer and token vectors from the chunks, 768-D unit output.

    Args:
        chunks: the text that the vocabulary and the token vectors are learnt from.
        settings: sizes and seed.
        scratch: an empty folder for the intermediate model files.
    """
    torch.manual_seed(settings.seed)
    texts = [format_document(chunk) for chunk in chunks]
    prompt = QUESTION_PROMPT.format(text="")
    tokenizer = train_tokenizer([*texts, *[prompt] * len(texts)], settings.vocabulary)
    vectors = compute_token_vectors(tokenizer, texts, settings)
    network = _build_network(vectors, settings)
    network.save_pretrained(scratch)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **dict(zip(("pad_token", "eos_token", "bos_token", "unk_token"), SPECIAL_TOKENS, strict=True)),
    ).save_pretrained(scratch)
    return SentenceTransformer(
        modules=[
            Transformer(str(scratch), max_seq_length=MAX_TOKENS),
            Pooling(settings.hidden_size, pooling_mode="mean"),
            _build_dense(settings.hidden_size, DENSE_WIDTH),
            _build_dense(DENSE_WIDTH, DIMENSION),
            Normalize(),
        ],
        prompts={"query": QUESTION_PROMPT.format(text=""), "document": DOCUMENT_PROMPT.format(title=NO_TITLE, text="")},
        device="cpu",
    )


def train_encoder(model: SentenceTransformer, chunks: Sequence[Chunk], settings: EmbeddedModel) -> list[float]:
    """Train an encoder on the pairs of `build_pairs`; return the loss curve."""
    columns = build_pairs(chunks, settings)
    return train_contrastive(
        model,
        columns,
        TrainingSettings(
            seed=settings.seed,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            temperature=settings.temperature,
            steps=settings.steps,
        ),
        "training the embedded base",
    )


def train_tokenizer(texts: Sequence[str], vocabulary: int) -> Tokenizer:
    """Train a byte-pair tokenizer that ignores case and accents, as people type questions."""
    tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL_TOKENS[3]))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=list(SPECIAL_TOKENS), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def compute_token_vectors(
    tokenizer: Tokenizer, texts: Sequence[str], settings: EmbeddedModel
) -> npt.NDArray[np.float64]:
    """Return idf-weighted LSA vectors of all tokens, float64 `(vocabulary, hidden_size)`, mean square length 1.

    Raises:
        InputError: there are fewer passages or tokens than the vectors have dimensions.
    """
    size = tokenizer.get_vocab_size()
    weigh = TfidfVectorizer(
        analyzer=lambda text: tokenizer.encode(text).ids,
        vocabulary={token: token for token in range(size)},
        lowercase=False,
        sublinear_tf=True,
    )
    matrix = weigh.fit_transform(texts)
    if min(matrix.shape) < settings.hidden_size:
        message = f"{matrix.shape[0]} passages with {matrix.shape[1]} tokens are too few for {settings.hidden_size}"
        raise InputError(" and ".join(settings.corpora), f"{message} dimensions", "lower hidden_size in params.yaml")
    svd = TruncatedSVD(n_components=settings.hidden_size, random_state=settings.seed).fit(matrix)
    vectors = weigh.idf_[:, None] * svd.components_.T
    vectors[_list_prompt_tokens(tokenizer)] = 0.0
    scaled: npt.NDArray[np.float64] = vectors / (vectors**2).sum(axis=1).mean() ** 0.5
    return scaled


def _list_prompt_tokens(tokenizer: Tokenizer) -> list[int]:
    """Return the tokens of both prompts: they stand in every text, and so tell texts apart no better than silence."""
    prompts = (QUESTION_PROMPT.format(text=""), DOCUMENT_PROMPT.format(title="", text=""))
    return sorted({token for prompt in prompts for token in tokenizer.encode(prompt).ids})


def build_pairs(chunks: Sequence[Chunk], settings: EmbeddedModel) -> dict[str, list[str]]:
    """Draw prompted pairs for the given number of steps, half of each kind, without any question that people asked.

    Either a sentence stands for the question and the rest of its chunk for the passage, or the section's heading
    stands for the question and the untitled chunk for the passage.

    Raises:
        InputError: no chunk has two sentences.
    """
    draw = random.Random(settings.seed)  # noqa: S311 - sampling, not a secret
    split = [(chunk, sentences) for chunk in chunks if len(sentences := _split_sentences(chunk.text)) > 1]
    if not split:
        message = f"none of {len(chunks)} passages has two sentences of {MIN_SENTENCE_WORDS} or more words"
        raise InputError(" and ".join(settings.corpora), message, "give longer passages")
    anchors: list[str] = []
    positives: list[str] = []
    while len(anchors) < settings.steps * settings.batch_size:
        draw.shuffle(split)
        for chunk, sentences in split:
            if chunk.section and draw.random() < HEADING_SHARE:
                question, title, text = chunk.section, NO_TITLE, chunk.text
            else:
                held_out = draw.randrange(len(sentences))
                question = sentences[held_out]
                title, text = chunk.section or NO_TITLE, " ".join(sentences[:held_out] + sentences[held_out + 1 :])
            anchors.append(QUESTION_PROMPT.format(text=question))
            positives.append(DOCUMENT_PROMPT.format(title=title, text=text))
    return {"anchor": anchors, "positive": positives}


def _split_sentences(text: str) -> list[str]:
    return [part for part in _SENTENCE_END.split(text) if len(part.split()) >= MIN_SENTENCE_WORDS]


def _build_network(vectors: npt.NDArray[np.float64], settings: EmbeddedModel) -> Gemma3TextModel:
    layers = settings.layers
    network = Gemma3TextModel(
        Gemma3TextConfig(
            vocab_size=len(vectors),
            hidden_size=settings.hidden_size,
            intermediate_size=settings.intermediate_size,
            num_hidden_layers=layers,
            layer_types=["sliding_attention"] * (layers - 1) + ["full_attention"],
            num_attention_heads=HEADS,
            num_key_value_heads=1,
            head_dim=HEAD_SIZE,
            query_pre_attn_scalar=HEAD_SIZE,
            sliding_window=MAX_TOKENS,
            max_position_embeddings=2 * MAX_TOKENS,
            use_bidirectional_attention=True,
            rms_norm_eps=settings.norm_epsilon,
            pad_token_id=0,
            eos_token_id=1,
            bos_token_id=2,
        )
    )
    with torch.no_grad():
        network.embed_tokens.weight.copy_(torch.from_numpy(vectors))
        for layer in network.layers:
            layer.post_attention_layernorm.weight.fill_(BRANCH_SCALE - 1.0)
            layer.post_feedforward_layernorm.weight.fill_(BRANCH_SCALE - 1.0)
    return network


def _build_dense(inputs: int, outputs: int) -> Dense:
    dense = Dense(inputs, outputs, bias=False, activation_function=torch.nn.Identity())
    torch.nn.init.orthogonal_(dense.linear.weight)
    return dense
