"""`params.yaml`, typed: which corpora, candidates and models this project builds and judges."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.documents import Strict, load_yaml

PROJECT_ROOT = Path(__file__).resolve().parents[1]
PARAMS_FILE = "params.yaml"
BUILD = PROJECT_ROOT / "build"
REPORTS = PROJECT_ROOT / "reports"
BASE_MODEL = BUILD / "models" / "base"

Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
TagName = Annotated[str, Field(pattern=r"^v\d+\.\d+-[a-z]+$")]
CandidateName = Literal["base", "qlora"]


class Corpus(Strict):
    """One frozen corpus: where its sources lie and how many chunks it must have."""

    name: Text
    language: Text
    total: Count
    duplicates_max: Annotated[float, Field(ge=0, le=1)]
    role: Literal["primary", "secondary"]

    @property
    def sources(self) -> Path:
        """Folder of Markdown sources with the questions beside them."""
        return PROJECT_ROOT / "corpus" / "sources" / self.name

    @property
    def chunks(self) -> Path:
        """The frozen chunks."""
        return PROJECT_ROOT / "corpus" / "processed" / f"chunks_mode_b_{self.name}.json"

    @property
    def questions(self) -> Path:
        """The gold questions."""
        return PROJECT_ROOT / "corpus" / "gold" / f"questions_{self.name}.jsonl"

    @property
    def qrels(self) -> Path:
        """The relevance judgements of the gold questions."""
        return PROJECT_ROOT / "corpus" / "gold" / f"qrels_{self.name}.tsv"


class HubModel(Strict):
    """A model of the hub at a pinned commit; `folder` is where that commit lies when it is not in the hub's cache."""

    kind: Literal["hub"]
    model: Text
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    folder: Text | None


class EmbeddedModel(Strict):
    """The small encoder of EmbeddingGemma's shape that is built from the corpora; sizes as in its configuration.

    `corpora` says how often each corpus counts, so that a small one is not drowned by a large one.
    """

    kind: Literal["embedded"]
    model_id: Text
    seed: int
    corpora: dict[Text, Count]
    vocabulary: Count
    hidden_size: Count
    intermediate_size: Count
    layers: Count
    norm_epsilon: Positive
    steps: Annotated[int, Field(ge=0)]
    batch_size: Count
    learning_rate: Positive
    temperature: Positive


class FineTuning(Strict):
    """Settings of the QLoRA candidate; `parent` is None when it grows from the base model itself."""

    model_id: Text
    parent: HubModel | None
    seed: int
    rank: Count
    alpha: Count
    dropout: Annotated[float, Field(ge=0, lt=1)]
    epochs: Positive
    batch_size: Count
    learning_rate: Positive
    temperature: Positive


class Profile(Strict):
    """The models of one way of building: which base, which fine-tuning, on which device."""

    base: Annotated[HubModel | EmbeddedModel, Field(discriminator="kind")]
    qlora: FineTuning


class Candidate(Strict):
    """A candidate's name and the tag under which it is released."""

    name: CandidateName
    tag: TagName


class Params(Strict):
    """All of `params.yaml`."""

    profile: Text
    corpora: Annotated[list[Corpus], Field(min_length=1)]
    candidates: Annotated[list[Candidate], Field(min_length=2, max_length=2)]
    profiles: dict[str, Profile]

    @model_validator(mode="after")
    def _check_references(self) -> Params:
        if self.profile not in self.profiles:
            message = f"profile: unknown {self.profile!r}, expected one of {sorted(self.profiles)}"
            raise ValueError(message)
        if [corpus.role for corpus in self.corpora].count("primary") != 1:
            message = "corpora: expected exactly one with role primary"
            raise ValueError(message)
        for field, names in (
            ("corpora", [c.name for c in self.corpora]),
            ("candidates", [c.name for c in self.candidates]),
        ):
            if len(set(names)) != len(names):
                message = f"{field}: a name is used twice"
                raise ValueError(message)
        return self

    @property
    def active(self) -> Profile:
        """The profile that is built."""
        return self.profiles[self.profile]

    def get_revision(self, model: str) -> str | None:
        """Return the revision at which some profile pins a hub model, or None."""
        pinned = [part for profile in self.profiles.values() for part in (profile.base, profile.qlora.parent)]
        return next((part.revision for part in pinned if isinstance(part, HubModel) and part.model == model), None)

    def get_model_id(self, candidate: CandidateName) -> str:
        """Return the model identity that a candidate's stores must carry."""
        if candidate == "qlora":
            return self.active.qlora.model_id
        base = self.active.base
        return base.model if isinstance(base, HubModel) else base.model_id


def load_params(path: Path = PROJECT_ROOT / PARAMS_FILE) -> Params:
    """Read and validate parameters. Raises `InputError` with the field's path for anything unknown or mistyped."""
    return load_yaml(path, Params)
