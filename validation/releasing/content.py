"""What a release is made from, put into a scratch tree: store files, model, pointers and `release.json`."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pipeline.files import compute_sha256, write_json
from pipeline.params import EmbeddedModel
from pipeline.store import load_manifest
from validation.evidence import open_files
from validation.releasing.errors import ReleaseError
from validation.releasing.measures import stage_measures
from validation.releasing.release_file import (
    MODELS,
    RELEASE_FILE,
    SCHEMA_VERSION,
    SERVED,
    Release,
    ReleasedCorpus,
    ReleasedFile,
    describe_pointer,
    list_pointers,
)
from validation.releasing.served import list_files
from validation.releasing.tracking import add

if TYPE_CHECKING:
    from pipeline.params import CandidateName, Params
    from pipeline.store import FileRecord, Manifest
    from validation.document import Record

# The folder that the specification gives to the fine-tuned model, whatever identity it has.
FINE_TUNED = MODELS / "embeddinggemma-chess-fr"
_BUILD = "build models and stores with `nox -s build`"


@dataclass(frozen=True, slots=True)
class Content:
    """What is released: the stores of a candidate by corpus, its model, and the tag that it gets.

    `model_folder` is None where the model can be had from the hub at a pinned revision.
    """

    role: CandidateName
    tag: str
    stores: dict[str, Path]
    model: Path
    model_folder: PurePosixPath | None


def build_content(role: CandidateName, params: Params, build: Path) -> Content:
    """Return what is released of a candidate, built below `build`."""
    base = params.active.base
    folder: PurePosixPath | None = FINE_TUNED
    if role == "base":
        folder = MODELS / base.model_id if isinstance(base, EmbeddedModel) else None
    return Content(
        role=role,
        tag=get_tag(params, role),
        stores={corpus.name: build / role / corpus.name for corpus in params.corpora},
        model=build / "models" / role,
        model_folder=folder,
    )


def get_tag(params: Params, role: CandidateName) -> str:
    """Return the tag under which a candidate is released."""
    return next(candidate.tag for candidate in params.candidates if candidate.name == role)


def stage_content(
    tree: Path, content: Content, gated_commit: str, judged: tuple[Record, str] | None, policy_sha256: str | None
) -> Release:
    """Put a release into a scratch tree and let DVC track its store and model.

    Args:
        tree: where it is put.
        content: what is released.
        gated_commit: the commit that was judged.
        judged: the decision and its SHA-256, None in a drill.
        policy_sha256: of the policy that decided.

    Raises:
        InputError, StoreError: a store is not what its manifest says.
        ReleaseError: its vectors are of unknown provenance, or DVC refused.
    """
    for pointer in list_pointers(tree):
        pointer.unlink()
    corpora, files, manifest = {}, [], None
    for name, store in content.stores.items():
        manifest = load_manifest(store)
        corpora[name] = copy_store(store, manifest, tree)
        for each in (manifest.files.embeddings, manifest.files.database):
            path = (SERVED / each.name).as_posix()
            files += [ReleasedFile(path=path, size=each.size, sha256=each.sha256)]
    if manifest is None or manifest.model is None:
        raise ReleaseError(content.tag, "its vectors are of unknown provenance", _BUILD)
    outputs = [file.path for file in files]
    if content.model_folder:
        if not content.model.is_dir():
            raise ReleaseError(content.model, "is missing, expected the folder of a model", _BUILD)
        shutil.rmtree(tree / content.model_folder, ignore_errors=True)
        shutil.copytree(content.model, tree / content.model_folder)
        outputs.append(content.model_folder.as_posix())
        files += [_describe(path, tree) for path in list_files(tree, content.model_folder)]
    add(tree, outputs)
    measures = stage_measures(tree, judged[0] if judged else None, content.role)
    files += [_describe(tree / path, tree) for path in measures]
    release = Release(
        schema_version=SCHEMA_VERSION,
        tag=content.tag,
        candidate=content.role,
        gated_commit=gated_commit,
        decision_sha256=judged[1] if judged else None,
        policy_sha256=policy_sha256,
        model=manifest.model,
        model_folder=content.model_folder.as_posix() if content.model_folder else None,
        corpora=corpora,
        pointers=[describe_pointer(tree / f"{output}.dvc", tree) for output in outputs],
        files=files,
    )
    write_json(tree / RELEASE_FILE, release.model_dump(mode="json"))
    return release


def copy_store(store: Path, manifest: Manifest, tree: Path) -> ReleasedCorpus:
    """Copy vectors and database of a store out of the descriptors that were hashed."""
    chunks = SERVED / f"chunks_mode_b_{manifest.corpus}.json"
    with open_files(store, manifest) as streams:
        for part in ("embeddings", "database"):
            record: FileRecord = getattr(manifest.files, part)
            with (tree / SERVED / record.name).open("wb") as target:
                shutil.copyfileobj(streams[part], target)
    return ReleasedCorpus(
        chunks=chunks.as_posix(),
        chunks_sha256=manifest.chunks_sha256,
        total=manifest.total,
        embeddings=(SERVED / manifest.files.embeddings.name).as_posix(),
        database=(SERVED / manifest.files.database.name).as_posix(),
    )


def list_digests(content: Content) -> dict[str, str]:
    """Return SHA-256 by path of the store files that a release would serve. Raises like `load_manifest`."""
    manifests = [load_manifest(store) for store in content.stores.values()]
    records = [record for each in manifests for record in (each.files.embeddings, each.files.database)]
    return {(SERVED / record.name).as_posix(): record.sha256 for record in records}


def _describe(path: Path, tree: Path) -> ReleasedFile:
    name = path.relative_to(tree).as_posix()
    return ReleasedFile(path=name, size=path.stat().st_size, sha256=compute_sha256(path))
