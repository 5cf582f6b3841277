"""A release to be judged in a trial: real base stores, and a control candidate that is better by construction."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipeline.canary import Canary, CorpusCanary, Sample, describe_sample, draw_rows
from pipeline.errors import StoreError
from pipeline.provenance import write_provenance
from pipeline.store import StoreInputs, build_store, load_manifest
from pipeline.vectors import save_vectors
from validation.custody import Survey
from validation.gate import GateRequest, load_corpus
from validation.latency import CorpusLatency, collect_digests
from validation.releasing.receipt import WAY, Answered, Receipt, Step, list_drilled
from validation.spoiling import load_array
from validation.stores import ROLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.params import CandidateName
    from pipeline.vectors import Matrix
    from validation.certificate import Certificate
    from validation.evidence import CorpusEvidence
    from validation.inputs import Input
    from validation.latency import LatencyEvidence
    from validation.leakage import TrainingEvidence
    from validation.policy import Policy, Rulebook
    from validation.stores import CorpusRequest

# Far enough towards what answers it that a question finds it, far less than all the way.
PULL = 0.5
JITTER = 0.01
NO_DAY = date.min
ORDERLY = Survey(count=1, misplaced=[])


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
    canaries: dict[CandidateName, Canary]
    certificate: Certificate | None = None
    receipt: Receipt | None = None
    custody: Survey = ORDERLY
    rebinds: bool = True
    inputs: tuple[Input, ...] = ()

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
            drill=self.receipt,
            custody=self.custody,
            canaries=self.canaries,
            for_release=True,
            as_of=NO_DAY,
            inputs=self.inputs,
        )

    def _bind_latency(self) -> LatencyEvidence:
        """Return the latency evidence as if it had been measured on the stores of this case."""
        corpora: dict[str, CorpusLatency] = {}
        for request, corpus in zip(self.corpora, self.gold, strict=True):
            digests = collect_digests(*(load_manifest(request.stores[role]) for role in request.stores))
            corpora[corpus.name] = self.latency.corpora[corpus.name].model_copy(update={"stores": digests})
        return self.latency.model_copy(update={"corpora": corpora})


def build_receipt(corpora: Sequence[CorpusRequest]) -> Receipt:
    """Return the report of a drill that went well with the stores of these corpora."""
    stores = [(role, load_manifest(folder)) for request in corpora for role, folder in request.stores.items()]
    answers = [{"": Answered(questions=1, hits=1, sha256=digit * 64)} for digit in "01"]
    steps = [
        Step(act=act, tag=f"v1.{side}-drill", seconds=0.0, files=1, size=1, answers=answers[side])
        for act, side in zip(WAY, (0, 1, 0, 1), strict=True)
    ]
    bound = list_drilled((f"{role}/{manifest.corpus}", manifest) for role, manifest in stores)
    return Receipt(schema_version=1, bound_to=bound, steps=steps)


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
    if (len(passages), len(questions)) != (corpus.total, len(corpus.gold.questions)):
        raise StoreError(base, "holds another number of vectors than there are texts", "rebuild the base store")
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


def build_canaries(corpora: Sequence[CorpusRequest]) -> dict[CandidateName, Canary]:
    """Return for each role the sample that its model would embed, were its store what its manifest says.

    Raises:
        PipelineError: a store cannot be read.
    """
    canaries: dict[CandidateName, Canary] = {}
    for role in ROLES:
        found: dict[str, CorpusCanary] = {}
        for request in corpora:
            store = request.stores[role]
            manifest = load_manifest(store)
            passages = _sample_rows(load_array(store, "embeddings"), manifest.chunks_sha256)
            questions = _sample_rows(load_array(store, "questions"), manifest.questions_sha256)
            found[manifest.corpus] = CorpusCanary(
                chunks_sha256=manifest.chunks_sha256,
                questions_sha256=manifest.questions_sha256,
                passages=passages,
                questions=questions,
            )
            model = manifest.model
        if model is not None:
            canaries[role] = Canary(schema_version=1, model=model, corpora=found)
    return canaries


def _sample_rows(rows: npt.NDArray[Any], text_sha256: str) -> Sample:
    places = draw_rows(text_sha256, len(rows))
    return describe_sample(places, rows[places])


def blur(vectors: Matrix, noise: float, draw: np.random.Generator) -> Matrix:
    """Return unit vectors to each of which a random vector of about the length `noise` was added."""
    spread = np.float32(noise / np.sqrt(vectors.shape[1]))
    return normalise(vectors + spread * draw.standard_normal(vectors.shape, dtype=np.float32))


def normalise(vectors: npt.NDArray[Any]) -> Matrix:
    """Return the same directions with length 1, float32."""
    unit: Matrix = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit
