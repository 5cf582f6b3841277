"""Find a model's folder and make sure that loading it runs no foreign code and unpickles nothing."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import ConfigDict, Field, RootModel

from pipeline.documents import Strict, load_json
from pipeline.errors import ModelError
from pipeline.files import compute_sha256

if TYPE_CHECKING:
    from collections.abc import Iterator

IDENTITY_FILE = "identity.json"
TRAINING_FILE = "training_args.json"
MODULES_FILE = "modules.json"
SAFE_MODULES = "sentence_transformers."

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_REVISION = re.compile(r"[0-9a-f]{40}")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.pickle", "*.ckpt", "*.joblib")
_TOKENIZERS = ("tokenizer.json", "*.model", "vocab.*")


class ModelSource(Strict):
    """What a model folder is called and where it came from: `identity.json`, written when the folder is made."""

    model_id: Annotated[str, Field(min_length=1)]
    revision: str | None


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model's folder on this machine with the identity it goes by."""

    path: Path
    source: ModelSource


class _Module(Strict):
    model_config = ConfigDict(extra="allow")

    type: str


class _Modules(RootModel[list[_Module]]):
    pass


def find_model(model: str, revision: str | None = None, *, download: bool = False) -> ModelFolder:
    """Return the local folder of a model named by path or by hub id, checked by `check_model_folder`.

    Args:
        model: a folder, or an id such as `google/embeddinggemma-300m`.
        revision: the hub commit, 40 hexadecimal digits; required for a hub id.
        download: whether the hub may be asked; otherwise only its local cache is read.

    Raises:
        ModelError: no such folder, no pinned revision, not in the cache, or an unsafe folder.
    """
    path = Path(model)
    if path.is_dir():
        check_model_folder(path)
        return ModelFolder(path, _load_source(path))
    path = _find_in_hub(model, revision, download=download)
    check_model_folder(path)
    return ModelFolder(path, ModelSource(model_id=model, revision=revision))


def _find_in_hub(model: str, revision: str | None, *, download: bool) -> Path:
    if not _HUB_ID.fullmatch(model) or model.startswith((".", "/")):
        raise ModelError(model, "is neither a folder nor a hub id like `owner/name`", "check the path of the model")
    if revision is None or not _REVISION.fullmatch(revision):
        message = f"no such folder, and a hub id needs a pinned revision of 40 hexadecimal digits, got {revision!r}"
        raise ModelError(model, message, "check the path, or give --revision")
    os.environ["HF_HUB_OFFLINE"] = "0" if download else "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        folder = snapshot_download(
            model,
            revision=revision,
            local_files_only=not download,
            allow_patterns=["*.json", "*.safetensors", "*.model"],
        )
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        remedy = "run with --download after accepting its licence, or give a folder"
        raise ModelError(model, f"revision {revision} is not in the local hub cache", remedy) from error
    except (HfHubHTTPError, OSError) as error:
        raise ModelError(model, f"the hub refused: {type(error).__name__}", "check HF_TOKEN and the licence") from error
    return Path(folder)


def check_model_folder(folder: Path) -> None:
    """Raise `ModelError` unless a folder holds a sentence-transformers model in safetensors only."""
    modules = folder / MODULES_FILE
    if not modules.is_file():
        raise ModelError(folder, f"expected {MODULES_FILE} of a sentence-transformers model", "give a model folder")
    foreign = [module.type for module in load_json(modules, _Modules).root if not module.type.startswith(SAFE_MODULES)]
    if foreign:
        raise ModelError(modules, f"module {foreign[0]!r} would run foreign code", "use a model of standard modules")
    pickles = sorted(path for pattern in _PICKLES for path in folder.rglob(pattern))
    if pickles:
        raise ModelError(pickles[0], "pickled weights are never loaded", "convert the model to safetensors")
    if not any(folder.glob("model*.safetensors")):
        raise ModelError(folder, "expected model.safetensors, got no weights", "fetch or train the model again")
    if not any(path for pattern in _TOKENIZERS for path in folder.glob(pattern)):
        raise ModelError(folder, "expected tokenizer.json, got no vocabulary", "fetch or train the model again")


def require_replaceable(folder: Path) -> None:
    """Raise `ModelError` when a path is taken by something that is not a model folder."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / MODULES_FILE).is_file()):
        raise ModelError(folder, "exists and is not a model folder", "name another folder, or remove this one")


def _load_source(folder: Path) -> ModelSource:
    identity = folder / IDENTITY_FILE
    if identity.is_file():
        return load_json(identity, ModelSource)
    return ModelSource(model_id=folder.resolve().name, revision=None)


def compute_weights_digest(folder: Path) -> str:
    """Return one SHA-256 over the names and digests of everything that shapes a model's output."""
    listing = {str(path.relative_to(folder)): compute_sha256(path) for path in _list_inputs(folder)}
    return hashlib.sha256(json.dumps(listing, sort_keys=True).encode()).hexdigest()


def _list_inputs(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        told = path.name in {IDENTITY_FILE, TRAINING_FILE}
        if path.suffix in {".json", ".safetensors", ".model"} and not told:
            yield path
