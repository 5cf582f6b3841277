"""Stores for tests of the gate; the ways to spoil one and sign its new bytes are those of the certification."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.conftest import Sample, build_sample_store, write_sample
from validation.gate import load_corpus
from validation.spoiling import (
    Part,
    copy_blobs,
    edit_database,
    edit_manifest,
    flip_bit,
    get_path,
    load_array,
    replace_array,
    replace_passages,
    sign,
)
from validation.stores import CorpusRequest

if TYPE_CHECKING:
    from pathlib import Path

    from validation.evidence import CorpusEvidence

__all__ = [
    "FILES", "ROLES", "ROWS", "build_request", "copy_blobs", "edit_database", "edit_manifest", "flip_bit", "get_path",
    "list_options", "load_array", "load_sample", "name_model", "replace_array", "replace_passages", "sign",
    "write_pair",
]  # fmt: skip

ROWS = 120
ROLES = {"base": "base-model", "qlora": "qlora-model"}
FILES: tuple[Part, ...] = ("embeddings", "questions", "database")


def write_pair(folder: Path, *, base_hits: int, candidate_hits: int, rows: int = ROWS) -> tuple[Sample, Path, Path]:
    """Write a corpus with as many questions as chunks and two good stores that find as many passages as told."""
    sample = write_sample(folder / "corpus", rows=rows, questions=rows)
    base = build_sample_store(sample, folder / "base", model_id=ROLES["base"], hits=base_hits, seed=1)
    candidate = build_sample_store(sample, folder / "qlora", model_id=ROLES["qlora"], hits=candidate_hits, seed=2)
    return sample, base, candidate


def build_request(sample: Sample, base: Path, candidate: Path, *, total: int | None = None) -> CorpusRequest:
    """Return the request to compare two stores that come from elsewhere."""
    return CorpusRequest(
        sample.chunks,
        sample.questions,
        sample.qrels,
        {"base": base, "qlora": candidate},
        primary=True,
        total=total,
        model_ids=None,
    )


def load_sample(sample: Sample) -> CorpusEvidence:
    """Load a small corpus as the gate does."""
    return load_corpus(build_request(sample, sample.chunks, sample.chunks))


def name_model(store: Path) -> None:
    """Give a store the provenance that the pipeline writes when it made the vectors itself."""

    def update(document: dict[str, Any]) -> None:
        document["model"] = {
            "model_id": document["model_id"],
            "revision": None,
            "weights_sha256": "0" * 64,
            "dimension": 768,
            "document_prompt": "title: {title} | text: {text}",
            "question_prompt": "task: search result | query: {text}",
        }

    edit_manifest(store, update)


def list_options(request: CorpusRequest, output: Path) -> list[object]:
    """Return the command line that compares the stores of a request."""
    options = {
        "base": request.stores["base"],
        "candidate": request.stores["qlora"],
        "chunks": request.chunks,
        "questions": request.questions,
        "qrels": request.qrels,
        "output": output,
    }
    return ["gate", *(part for name, value in options.items() for part in (f"--{name}", value))]


def write_quick_policy(folder: Path, *changes: tuple[str, str]) -> Path:
    """Write the project's policy with as few draws and rounds as it may have, and further texts replaced."""
    text = (EXPECTATIONS / "policy.yaml").read_text(encoding="utf-8")
    for field, least in (("resamples", 1000), ("flips", 1000), ("rounds", ROUNDS)):
        text = re.sub(rf"(?m)^  {field}: \d+$", f"  {field}: {least}", text)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "policy.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def write_latency(
    output: Path, stores: dict[str, dict[CandidateName, Path]], *, ratio: float = 1.0, rounds: int = ROUNDS
) -> Path:
    """Write evidence of the latency of these stores, by corpus, in which the candidate took `ratio` times as long."""
    times = RoundTimes(base=[0.01] * rounds, candidate=[0.01 * ratio] * rounds)
    evidence = LatencyEvidence(
        schema_version=1,
        machine=Machine(
            cpu="cpu", cores=1, system="system", release="1", python_version="3", python_implementation="CPython"
        ),
        corpora={
            corpus: CorpusLatency(
                stores=collect_digests(load_manifest(pair["base"]), load_manifest(pair["qlora"])),
                operations=dict.fromkeys(OPERATIONS, times),
            )
            for corpus, pair in stores.items()
        },
    )
    path = output / "latency.json"
    write_json(path, evidence.model_dump())
    return path


def write_project(root: Path, hits: dict[str, tuple[int, int]]) -> Params:
    """Write all that a release needs but the certificate below `root`, where a project has it; return its parameters.

    Args:
        root: the folder that takes the place of the project.
        hits: how many questions base and candidate answer, by corpus; the first corpus is the primary one.
    """
    params = load_params()
    corpora = [
        Corpus(name=name, language="fr", total=ROWS, duplicates_max=0.0, role="secondary" if place else "primary")
        for place, name in enumerate(hits)
    ]
    for seed, (name, counts) in enumerate(hits.items()):
        sample = write_sample(root / "sample" / name, name, rows=ROWS, questions=ROWS)
        for path, copy in (
            (sample.chunks, f"processed/chunks_mode_b_{name}.json"),
            (sample.questions, f"gold/questions_{name}.jsonl"),
            (sample.qrels, f"gold/qrels_{name}.tsv"),
        ):
            target = root / "corpus" / copy
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        for role, count in zip(STORE_ROLES, counts, strict=True):
            folder = root / "build" / role / name
            build_sample_store(
                sample, folder, model_id=params.get_model_id(role), hits=count, seed=10 * seed + len(role)
            )
            shutil.rmtree(folder.parent / f"{name}-vectors")
            name_model(folder)
    triplets = root / "corpus" / "training" / "triplets_train.jsonl"
    triplets.parent.mkdir()
    triplets.write_text('{"anchor": "Qui marque les points ?", "positive": "L\'arbitre."}\n', encoding="utf-8")
    write_json(
        root / "build" / "models" / "qlora" / "training_args.json", {"data": {"sha256": compute_sha256(triplets)}}
    )
    return params.model_copy(update={"corpora": corpora})


def enter_project(patch: pytest.MonkeyPatch, root: Path, params: Params) -> None:
    """Let the gate find its corpora, stores and training pairs below `root`."""
    patch.setattr("pipeline.params.PROJECT_ROOT", root)
    patch.setattr("validation.request.BUILD", root / "build")
    patch.setattr("validation.request.TRIPLETS", root / "corpus" / "training" / "triplets_train.jsonl")
    patch.setattr("validation.__main__.load_params", lambda: params)
