"""What is released of a candidate: files out of its store, its model, pointers and `release.json`."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.errors import PipelineError, StoreError
from pipeline.files import compute_sha256
from pipeline.params import load_params
from pipeline.store import load_manifest
from tests.stores import edit_manifest
from validation.releasing.content import build_content, copy_store, get_tag, list_digests, stage_content
from validation.releasing.errors import ReleaseError
from validation.releasing.release_file import load_release, require_pointers
from validation.releasing.served import check_served
from validation.releasing.workplace import open_tree

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.params import CandidateName
    from tests.projects import Project

GATED = "a" * 40


@pytest.mark.parametrize(
    ("role", "tag", "folder"),
    [
        ("base", "v1.0-base", "models/embedded-gemma-lsa"),
        ("qlora", "v1.1-qlora", "models/embeddinggemma-chess-fr"),
    ],
)
def test_content_of_a_candidate(tmp_path: Path, role: CandidateName, tag: str, folder: str) -> None:
    """Tag, stores and model of a candidate are where the parameters and the build have them."""
    params = load_params()
    content = build_content(role, params, tmp_path)

    assert (content.tag, get_tag(params, role), content.role) == (tag, tag, role)
    assert content.stores == {name: tmp_path / role / name for name in ("fr", "intl")}
    assert (content.model, content.model_folder) == (tmp_path / "models" / role, PurePosixPath(folder))


def test_base_from_the_hub_is_not_released_anew(tmp_path: Path) -> None:
    """A base model that is on the hub at a pinned revision stays there; the fine-tuned one is released."""
    params = load_params().model_copy(update={"profile": "embeddinggemma"})

    assert build_content("base", params, tmp_path).model_folder is None
    assert build_content("qlora", params, tmp_path).model_folder == PurePosixPath("models/embeddinggemma-chess-fr")


def test_staged_release_is_whole(fresh: Project) -> None:
    """What is staged is served byte by byte by its own `release.json`; pointers of another release are gone."""
    content = build_content("qlora", fresh.params, fresh.root / "build")
    with open_tree(fresh.repository, "HEAD", own_cache=True) as tree:
        old = tree / "corpus" / "processed" / "corpus_mode_b_de.db.dvc"
        old.write_text("outs: []\n", "utf-8")
        release = stage_content(tree, content, GATED, None, None)

        assert load_release(tree) == release
        assert not old.exists()
        require_pointers(tree, release)
        check_served(tree, release)
        assert (release.gated_commit, release.decision_sha256, release.policy_sha256) == (GATED, None, None)
        assert {path: digest for path, digest in release.served.items() if "processed" in path} == list_digests(content)
        assert len(release.pointers) == 5
        assert {file.path: file.size for file in release.files} == {
            file.path: (tree / file.path).stat().st_size for file in release.files
        }


def test_vectors_of_unknown_provenance(fresh: Project) -> None:
    """A store of which nobody knows the model is not released."""
    content = build_content("qlora", fresh.params, fresh.root / "build")
    for store in content.stores.values():
        edit_manifest(store, lambda document: document.update(model=None))

    with (
        open_tree(fresh.repository, "HEAD", own_cache=True) as tree,
        pytest.raises(ReleaseError, match=r"unknown provenance; build .* with `nox -s build`"),
    ):
        stage_content(tree, content, GATED, None, None)


@pytest.mark.parametrize("part", ["embeddings", "database"])
def test_file_that_is_not_the_manifest(fresh: Project, tmp_path: Path, part: str) -> None:
    """A file of other bytes than its manifest says is not copied into a release."""
    store = fresh.root / "build" / "qlora" / "fr"
    manifest = load_manifest(store)
    path = store / getattr(manifest.files, part).name
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    (tmp_path / "tree" / "corpus" / "processed").mkdir(parents=True)

    with pytest.raises(PipelineError) as caught:
        copy_store(store, manifest, tmp_path / "tree")
    assert path.name in str(caught.value)
    assert list((tmp_path / "tree" / "corpus" / "processed").iterdir()) == []


def test_digests_are_those_of_the_store(fresh: Project) -> None:
    """The digests that a release would serve are those of the files; without a manifest there are none."""
    content = build_content("base", fresh.params, fresh.root / "build")
    digests = list_digests(content)
    files: dict[str, Any] = {path.name: path for store in content.stores.values() for path in store.iterdir()}

    assert len(digests) == 4
    assert all(digest == compute_sha256(files[PurePosixPath(path).name]) for path, digest in digests.items())
    (content.stores["fr"] / "manifest.json").unlink()
    with pytest.raises(StoreError, match=r"manifest\.json"):
        list_digests(content)
