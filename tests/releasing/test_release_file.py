"""`release.json`: what it accepts, and how the pointers of a tree are held against it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.errors import InputError, PipelineError
from tests.projects import BASE_TAG, CANDIDATE_TAG
from tests.releasing.acts import VECTORS, edit_release
from validation.releasing.release_file import (
    RELEASE_FILE,
    SERVED,
    list_pointers,
    load_committed_release,
    load_release,
    require_pointers,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.projects import Project


def test_what_a_release_writes_is_read(released_template: Project) -> None:
    """Of the tree and of a commit the same is read, and every file that is served is in it by its digest."""
    here = load_release(released_template.root)
    there = load_committed_release(released_template.repository, "HEAD")
    base = load_committed_release(released_template.repository, f"refs/tags/{BASE_TAG}")

    assert here == there
    assert (here.tag, here.candidate, list(here.corpora)) == (CANDIDATE_TAG, "qlora", ["fr", "intl"])
    assert base is not None
    assert (base.tag, base.candidate, set(base.served) & set(here.served)) == (
        BASE_TAG,
        "base",
        {file.path for file in here.files if file.path.startswith(str(SERVED))},
    )
    assert all(here.served[path] != base.served[path] for path in set(base.served) & set(here.served))
    assert here.served == {file.path: file.sha256 for file in here.files}


def test_commit_without_a_release(released_template: Project) -> None:
    """A commit before the first release has none."""
    assert load_committed_release(released_template.repository, f"refs/tags/{BASE_TAG}~1") is None


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "unknown key": (lambda document: document.update(note="x"), "note: Extra inputs are not permitted"),
    "unknown key below": (lambda document: document["files"][1].update(md5="x"), "files[1].md5"),
    "missing key": (lambda document: document.pop("policy_sha256"), "policy_sha256: Field required"),
    "other version": (lambda document: document.update(schema_version=2), "schema_version"),
    "version is a bool": (lambda document: document.update(schema_version=True), "schema_version"),
    "no tag": (lambda document: document.update(tag=""), "tag"),
    "tag with a path": (lambda document: document.update(tag="../v1.0-base"), "tag"),
    "tag with an option": (lambda document: document.update(tag="--v1.0-base"), "tag"),
    "unknown candidate": (lambda document: document.update(candidate="other"), "candidate"),
    "short commit": (lambda document: document.update(gated_commit="abc"), "gated_commit"),
    "digest in capitals": (lambda document: document["files"][0].update(sha256="A" * 64), "files[0].sha256"),
    "negative size": (lambda document: document["files"][0].update(size=-1), "files[0].size"),
    "size is a text": (lambda document: document["files"][0].update(size="1"), "files[0].size"),
    "path above": (lambda document: document["files"][0].update(path="corpus/processed/../x"), "files[0].path"),
    "absolute path": (lambda document: document["files"][0].update(path="/etc/passwd"), "files[0].path"),
    "path elsewhere": (lambda document: document["files"][0].update(path="pipeline/x.py"), "files[0].path"),
    "path not plain": (lambda document: document["files"][0].update(path="corpus//processed/x"), "files[0].path"),
    "path with a dot": (lambda document: document["files"][0].update(path="./corpus/processed/x"), "files[0].path"),
    "pointer above": (lambda document: document["pointers"][0].update(path="models/../../x.dvc"), "pointers[0].path"),
    "model elsewhere": (lambda document: document.update(model_folder="build/models/base"), "model_folder"),
    "database elsewhere": (lambda document: document["corpora"]["fr"].update(database="x.db"), "corpora.fr.database"),
    "no rows": (lambda document: document["corpora"]["fr"].update(total=0), "corpora.fr.total"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_anything_else_is_refused(tree: Path, name: str) -> None:
    """The error names the file and the field."""
    change, said = CHANGES[name]
    edit_release(tree, change)

    with pytest.raises(InputError) as refusal:
        load_release(tree)

    assert str(refusal.value).startswith(f"{tree / RELEASE_FILE}: {said}")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"tag":', '"tag": "v1.0-base", "tag":', "duplicate key"),
        ('"schema_version": 1', '"schema_version": NaN', "NaN"),
        ("{", "<<<<<<< HEAD\n{", "not valid JSON"),
    ],
    ids=["duplicate key", "NaN", "conflict"],
)
def test_text_that_is_no_strict_json(tree: Path, old: str, new: str, said: str) -> None:
    """What JSON leaves open is refused."""
    text = (tree / RELEASE_FILE).read_text("utf-8")
    (tree / RELEASE_FILE).write_text(text.replace(old, new, 1), "utf-8")

    with pytest.raises(InputError, match=said):
        load_release(tree)


def test_malformed_release_of_a_commit(released: Project) -> None:
    """One that is malformed in a commit is refused by the name of the commit."""
    (released.root / RELEASE_FILE).write_text("{}", "utf-8")
    released.git("commit", "--quiet", "--all", "--message", "by hand")

    with pytest.raises(InputError) as refusal:
        load_committed_release(released.repository, head := released.git("rev-parse", "HEAD"))

    assert refusal.value.where.startswith(f"{head[:12]}:{RELEASE_FILE}")


def test_pointers_of_a_release_hold(tree: Path) -> None:
    """The pointers beside the served files and that of the model are those of the release."""
    require_pointers(tree, load_release(tree))

    assert [path.name for path in list_pointers(tree)] == sorted(
        f"{part}_mode_b_{name}" for part, name in (("corpus", "fr.db.dvc"), ("corpus", "intl.db.dvc"),
        ("embeddings", "fr.npy.dvc"), ("embeddings", "intl.npy.dvc"))
    )  # fmt: skip


POINTER = f"{SERVED}/{VECTORS}.dvc"
MODEL = "models/embeddinggemma-chess-fr.dvc"


@pytest.mark.parametrize(
    ("place", "spoil", "said"),
    [
        (POINTER, lambda path: path.unlink(), "is missing, expected a pointer of v1.1-qlora"),
        (MODEL, lambda path: path.unlink(), "is missing, expected a pointer of v1.1-qlora"),
        (MODEL, lambda path: path.write_text(path.read_text("utf-8").replace("size: ", "size: 1"), "utf-8"), "got"),
        (POINTER, lambda path: path.write_text(path.read_text("utf-8").replace("size: ", "size: 1"), "utf-8"), "got"),
        (f"{SERVED}/more.npy.dvc", lambda path: path.write_text("", "utf-8"), "is no pointer of v1.1-qlora"),
        (f"{SERVED}/more.npy.dvc", lambda path: path.symlink_to("nowhere"), "is no pointer of v1.1-qlora"),
        (POINTER, lambda path: (path.unlink(), path.symlink_to("nowhere")), "is missing"),
        (POINTER, lambda path: (path.unlink(), path.mkdir()), "is a folder"),
    ],
    ids=["missing", "model's missing", "model's other", "other", "left over", "link left over", "dead link", "folder"],
)
def test_other_pointers_do_not(tree: Path, place: str, spoil: Callable[[Path], object], said: str) -> None:
    """A pointer that is missing, left over, malformed or of another object is named."""
    release = load_release(tree)
    spoil(tree / place)

    with pytest.raises(PipelineError) as refusal:
        require_pointers(tree, release)

    assert said in refusal.value.problem
    assert refusal.value.where.endswith(place)


def test_release_names_a_pointer_twice_over(tree: Path) -> None:
    """A release that names another object than the pointer does is contradicted by it, with both in the message."""
    document = json.loads((tree / RELEASE_FILE).read_text("utf-8"))
    md5 = document["pointers"][0]["md5"]
    edit_release(tree, lambda release: release["pointers"][0].update(md5="0" * 32))

    with pytest.raises(PipelineError, match=f"expected {'0' * 32} of 368768 bytes, got {md5} of 368768 bytes"):
        require_pointers(tree, load_release(tree))
