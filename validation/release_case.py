"""A release to be judged in a trial: real base stores, and a control candidate that is better by construction."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipeline.provenance import write_provenance
from pipeline.store import StoreInputs, build_store, load_manifest
from pipeline.vectors import save_vectors
from validation.gate import GateRequest, load_corpus
from validation.latency import CorpusLatency, collect_digests
from validation.spoiling import load_array

if TYPE_CHECKING:
    from pipeline.params import CandidateName
    from pipeline.vectors import Matrix
    from validation.certificate import Certificate
    from validation.evidence import CorpusEvidence
    from validation.latency import LatencyEvidence
    from validation.leakage import TrainingEvidence
    from validation.policy import Policy, Rulebook
    from validation.stores import CorpusRequest

# Far enough towards what answers it that a question finds it, far less than all the way.
PULL = 0.5
JITTER = 0.01
NO_DAY = date.min


@dataclass(frozen=True, slots=True)
class ReleaseCase:
    """What a trial judges; `latency` is bound to the stores as they are when the case is judged.

    `folder` is the trial's own: whatever is spoilt is first copied there.
    """

    folder: Path
    corpora: tuple[CorpusRequest, ...]
    gold: tuple[CorpusEvidence, ...]
    rulebook: Rulebook
    latency: LatencyEvidence
    training: TrainingEvidence
    certificate: Certificate | None = None
    rebinds: bool = True

    @property
    def primary(self) -> CorpusEvidence:
        """The corpus that carries superiority, with its gold set; it stands first."""
        return self.gold[0]

    def get_store(self, role: CandidateName, corpus: int = 0) -> Path:
        """Return the folder of a store."""
        return self.corpora[corpus].stores[role]

    def copy_store(self, role: CandidateName, corpus: int = 0) -> tuple[ReleaseCase, Path]:
        """Return a case with its own copy of a store, and that copy."""
        copy = self.folder / f"{role}-{corpus}"
        shutil.copytree(self.get_store(role, corpus), copy)
        request = self.corpora[corpus]
        moved = replace(request, stores={**request.stores, role: copy})
        corpora = (*self.corpora[:corpus], moved, *self.corpora[corpus + 1 :])
        return replace(self, corpora=corpora), copy

    def build_request(self) -> GateRequest:
        """Return the request of this case. Raises `PipelineError` where a manifest cannot be read."""
        return GateRequest(
            corpora=list(self.corpora),
            latency=self._bind_latency() if self.rebinds else self.latency,
            training=self.training,
            certificate=self.certificate,
            for_release=True,
            as_of=NO_DAY,
        )

    def _bind_latency(self) -> LatencyEvidence:
        """Return the latency evidence as if it had been measured on the stores of this case."""
        corpora: dict[str, CorpusLatency] = {}
        for request, corpus in zip(self.corpora, self.gold, strict=True):
            digests = collect_digests(*(load_manifest(request.stores[role]) for role in request.stores))
            corpora[corpus.name] = self.latency.corpora[corpus.name].model_copy(update={"stores": digests})
        return self.latency.model_copy(update={"corpora": corpora})


def build_control(request: CorpusRequest, folder: Path, policy: Policy) -> Path:
    """Build the store of a candidate that is better than its base by construction.

    Its questions are those of the base, drawn towards the passages that answer them; its passages are those of the
    base with a little noise, so that no vector is the base's own.

    Raises:
        PipelineError: the base store cannot be read.
    """
    corpus, base = load_corpus(request), request.stores["base"]
    manifest = load_manifest(base)
    passages, questions = load_array(base, "embeddings"), load_array(base, "questions")
    draw = np.random.default_rng(policy.statistics.seed)
    answers = np.stack([passages[list(places)].mean(axis=0) for places in corpus.gold.relevant])
    work = folder.parent / f"{folder.name}-vectors"
    inputs = StoreInputs(request.chunks, work / "embeddings.npy", request.questions, work / "questions.npy")
    save_vectors(inputs.embeddings, blur(passages, JITTER, draw))
    save_vectors(inputs.question_embeddings, normalise(questions + PULL * answers))
    if manifest.model is not None and request.model_ids:
        model = manifest.model.model_copy(update={"model_id": request.model_ids["qlora"]})
        write_provenance(inputs.embeddings, request.chunks, "passages", model)
        write_provenance(inputs.question_embeddings, request.questions, "questions", model)
    build_store(inputs, request.model_ids["qlora"] if request.model_ids else None, folder)
    return folder


def blur(vectors: Matrix, noise: float, draw: np.random.Generator) -> Matrix:
    """Return unit vectors to each of which a random vector of about the length `noise` was added."""
    spread = np.float32(noise / np.sqrt(vectors.shape[1]))
    return normalise(vectors + spread * draw.standard_normal(vectors.shape, dtype=np.float32))


def normalise(vectors: npt.NDArray[Any]) -> Matrix:
    """Return the same directions with length 1, float32."""
    unit: Matrix = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit
