"""Model folders: found by path or pinned hub id, and refused when loading could run code or make up weights."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.errors import InputError, ModelError
from pipeline.model_folder import (
    IDENTITY_FILE,
    ModelSource,
    check_model_folder,
    compute_weights_digest,
    find_model,
    require_replaceable,
)
from pipeline.params import PROJECT_ROOT
from tests.conftest import write_sample
from tests.hub import REVISION, cache_model

if TYPE_CHECKING:
    from collections.abc import Callable

PICKLES = ("pytorch_model.bin", "2_Dense/pytorch_model.bin", "model.pt", "weights.pth", "a.pkl", "b/c.pickle", "d.ckpt")


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        """Remember which file to create."""
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        """Have the unpickler call `Path.touch`."""
        return Path.touch, (self.trace,)


@pytest.fixture
def model_copy(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model to damage."""
    return Path(shutil.copytree(tiny_model, tmp_path / "copy"))


def test_a_folder_goes_by_the_identity_inside_it(tiny_model: Path) -> None:
    """A folder that this project made carries its own model id, whatever the folder is called."""
    found = find_model(str(tiny_model))

    assert found.path == tiny_model
    assert found.source == ModelSource(model_id="tiny-base", revision=None)


def test_a_folder_without_identity_goes_by_its_name(model_copy: Path) -> None:
    """A model made elsewhere is named after its folder."""
    (model_copy / IDENTITY_FILE).unlink()

    assert find_model(str(model_copy)).source == ModelSource(model_id="copy", revision=None)


def test_a_broken_identity_is_refused(model_copy: Path) -> None:
    """A malformed `identity.json` is an error that names the field, not a reason to guess another name."""
    (model_copy / IDENTITY_FILE).write_text('{"model_id": "", "revision": null}', encoding="utf-8")

    with pytest.raises(InputError, match=rf"{IDENTITY_FILE}: model_id: "):
        find_model(str(model_copy))


def test_a_pinned_model_is_found_in_the_hub_cache(tiny_model: Path, hub_cache: Path) -> None:
    """A hub id at a pinned commit is read from the local cache and keeps id and commit as its identity."""
    snapshot = cache_model(tiny_model, hub_cache, "acme/tiny")

    found = find_model("acme/tiny", REVISION)

    assert found.path == snapshot
    assert found.source == ModelSource(model_id="acme/tiny", revision=REVISION)


def test_a_hub_model_is_checked_like_any_folder(tiny_model: Path, hub_cache: Path) -> None:
    """Coming from the hub is no reason for trust."""
    snapshot = cache_model(tiny_model, hub_cache, "acme/tiny")
    (snapshot / "pytorch_model.bin").write_bytes(pickle.dumps({}))

    with pytest.raises(ModelError, match="pickled weights are never loaded"):
        find_model("acme/tiny", REVISION)


@pytest.mark.parametrize(
    "revision",
    [None, "", "main", "v1.0", REVISION[:-1], REVISION + "0", REVISION.upper()],
    ids=["none", "empty", "branch", "tag", "39-digits", "41-digits", "upper-case"],
)
def test_a_hub_id_needs_a_pinned_revision(tiny_model: Path, hub_cache: Path, revision: str | None) -> None:
    """A name that may point elsewhere tomorrow is refused, even when the model is in the cache."""
    cache_model(tiny_model, hub_cache, "acme/tiny")

    with pytest.raises(ModelError, match=r"acme/tiny: .*pinned revision of 40 hexadecimal digits, got .*--revision"):
        find_model("acme/tiny", revision)


@pytest.mark.parametrize("model", ["acme/absent", "acme/tiny"], ids=["other-model", "other-revision"])
def test_a_model_that_is_not_cached_is_not_fetched(tiny_model: Path, hub_cache: Path, model: str) -> None:
    """Without --download a model or commit that is not in the cache ends with how to get it, and no connection."""
    cache_model(tiny_model, hub_cache, "acme/tiny")
    revision = "0" * 40

    with pytest.raises(ModelError, match=rf"{model}: revision {revision} is not in the local hub cache; .*--download"):
        find_model(model, revision)


class Refusing(BaseHTTPRequestHandler):
    """A hub that lets nobody in, and says so as the real one does."""

    def do_GET(self) -> None:
        """Refuse whatever is asked for."""
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815 - the name that the server looks for

    def log_message(self, *_arguments: object) -> None:
        """Print nothing."""


def test_a_hub_that_refuses_is_one_line(tmp_path: Path) -> None:
    """Without a token that the hub accepts nothing is embedded: not evaluated, what to check, and no token shown."""
    sample = write_sample(tmp_path / "corpus")
    options = {"chunks": sample.chunks, "output": tmp_path / "e.npy", "model": "acme/gated", "revision": REVISION}
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment = os.environ | {
            "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
            "HF_HOME": str(tmp_path / "home"),
            "HF_TOKEN": "hf_secret",
            "NO_PROXY": "*",
        }
        command = [sys.executable, "-m", "pipeline.embeddings", *arguments, "--download"]
        ended = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=False)
        server.shutdown()

    assert (ended.returncode, ended.stdout) == (30, "")
    assert ended.stderr.startswith("error: acme/gated: the hub refused: ")
    assert ended.stderr.endswith("check HF_TOKEN and the licence\n")
    assert "hf_secret" not in ended.stderr
    assert not (tmp_path / "e.npy").exists()


@pytest.mark.parametrize("model", ["nowhere", "./no/where", "/no/where", "a/b/c", "owner/"])
def test_what_is_no_folder_and_no_hub_id_is_refused(model: str) -> None:
    """A mistyped path is not mistaken for a hub id."""
    with pytest.raises(ModelError, match="is neither a folder nor a hub id"):
        find_model(model, REVISION)


def test_a_sound_folder_passes(tiny_model: Path) -> None:
    """Standard modules, safetensors and a tokenizer are all that is asked for."""
    check_model_folder(tiny_model)


def test_sharded_weights_pass(model_copy: Path) -> None:
    """Large models keep their weights in several safetensors files."""
    (model_copy / "model.safetensors").rename(model_copy / "model-00001-of-00001.safetensors")

    check_model_folder(model_copy)


@pytest.mark.parametrize("name", PICKLES)
def test_pickles_are_refused_and_never_run(model_copy: Path, tmp_path: Path, name: str) -> None:
    """A pickle anywhere in the folder is refused by name, and its payload does not run."""
    trace = tmp_path / "payload-ran"
    path = model_copy / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(Payload(trace)))

    with pytest.raises(ModelError, match=rf"{path}: pickled weights are never loaded"):
        find_model(str(model_copy))
    assert not trace.exists()


def test_the_payload_of_these_tests_would_run(tmp_path: Path) -> None:
    """Control: unpickling the payload does create its file."""
    trace = tmp_path / "payload-ran"

    pickle.loads(pickle.dumps(Payload(trace)))  # noqa: S301 - our own bytes

    assert trace.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("modules.json", "expected modules.json"),
        ("model.safetensors", "expected model.safetensors, got no weights"),
        ("tokenizer.json", "expected tokenizer.json, got no vocabulary"),
    ],
)
def test_a_folder_that_lacks_a_part_is_refused(model_copy: Path, name: str, message: str) -> None:
    """Each indispensable file is missed by name."""
    (model_copy / name).unlink()

    with pytest.raises(ModelError, match=rf"{model_copy}: {message}"):
        check_model_folder(model_copy)


@pytest.mark.parametrize(
    "kind",
    ["evil.Module", "os.system", "modeling_custom.Model", "sentence_transformersx.Model", ""],
)
def test_a_foreign_module_is_refused(model_copy: Path, kind: str) -> None:
    """A module outside sentence-transformers would run code from elsewhere."""
    edit_modules(model_copy, lambda modules: modules[-1].update(type=kind))

    with pytest.raises(ModelError, match=rf"modules.json: module '{kind}' would run foreign code"):
        check_model_folder(model_copy)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON at line 1"),
        ("{}", r"modules\.json: expected a valid array, got \{\}"),
        ('[{"path": ""}]', r"\[0\]\.type: Field required"),
        ('[{"type": 3}]', r"\[0\]\.type: expected a valid string, got 3"),
    ],
    ids=["torn", "no-list", "no-type", "number"],
)
def test_a_malformed_module_list_is_refused(model_copy: Path, text: str, message: str) -> None:
    """What cannot be read cannot be trusted; the field is named."""
    (model_copy / "modules.json").write_text(text, encoding="utf-8")

    with pytest.raises(InputError, match=message):
        check_model_folder(model_copy)


def test_the_digest_follows_what_shapes_the_output(model_copy: Path) -> None:
    """Weights, tokenizer and configuration change the digest; the labels beside them do not."""
    before = compute_weights_digest(model_copy)
    (model_copy / IDENTITY_FILE).unlink()
    (model_copy / "training_args.json").write_text("{}", encoding="utf-8")
    (model_copy / "README.md").write_text("a card", encoding="utf-8")

    assert compute_weights_digest(model_copy) == before
    for name in ("model.safetensors", "2_Dense/model.safetensors", "tokenizer.json", "modules.json", "config.json"):
        path = model_copy / name
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert compute_weights_digest(model_copy) != before, name
        path.write_bytes(content)
    assert compute_weights_digest(model_copy) == before


def test_the_digest_tells_names_apart(model_copy: Path) -> None:
    """Two Dense layers that change places make another model."""
    before = compute_weights_digest(model_copy)
    (model_copy / "2_Dense").rename(model_copy / "x")
    (model_copy / "3_Dense").rename(model_copy / "2_Dense")
    (model_copy / "x").rename(model_copy / "3_Dense")

    assert compute_weights_digest(model_copy) != before


def test_only_a_model_or_nothing_is_replaced(model_copy: Path, tmp_path: Path) -> None:
    """An output path may be absent, empty or an older model; anything else is left alone."""
    (tmp_path / "empty").mkdir()
    for name in ("absent", "empty", model_copy.name):
        require_replaceable(tmp_path / name)
    (tmp_path / "empty" / "thesis.txt").write_text("years of work", encoding="utf-8")

    for path in (tmp_path / "empty", tmp_path / "empty" / "thesis.txt"):
        with pytest.raises(ModelError, match="exists and is not a model folder"):
            require_replaceable(path)


def edit_modules(folder: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Change the module list of a model folder."""
    path = folder / "modules.json"
    modules = json.loads(path.read_text(encoding="utf-8"))
    change(modules)
    path.write_text(json.dumps(modules), encoding="utf-8")
