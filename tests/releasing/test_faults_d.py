"""Faults of DVC and Git, put into a real project: each is refused for what it is, and nothing is changed."""

from __future__ import annotations

import os
import shutil
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.projects import BASE_TAG, CANDIDATE_TAG, Project, point_at, run, run_dvc
from tests.releasing.acts import (
    DATABASE,
    ERROR,
    HALT,
    VECTORS,
    act_upon,
    audit_tag,
    damage,
    edit_release,
    expect_refusal,
    find_object,
    get_cache,
    make_again,
    record_served,
    serve,
)
from validation.releasing.release_file import RELEASE_FILE, SERVED, load_release

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from validation.outcomes import Verdict

TAGS = pytest.mark.parametrize(("tag", "verdict"), [(BASE_TAG, HALT), (CANDIDATE_TAG, ERROR)])
POINTER = SERVED / f"{VECTORS}.dvc"


@pytest.fixture
def at_head(request: pytest.FixtureRequest, tag: str) -> Project:
    """The project in which the release of this tag is the one that is checked out."""
    project: Project = request.getfixturevalue("based" if tag == BASE_TAG else "released")
    return project


def edit_text(path: Path, *changes: tuple[str, str]) -> None:
    """Replace texts of a file, each of which is there once."""
    text = path.read_text("utf-8")
    for old, new in changes:
        assert text.count(old) == 1, (old, text)
        text = text.replace(old, new)
    path.write_text(text, "utf-8")


# D1 to D6, D10: objects


@TAGS
def test_d1_damaged_cache_is_noticed(released: Project, tag: str, verdict: Verdict) -> None:
    """D1: a cache object that was changed and made read-only is found by our own hash, and the file is named."""
    damage(find_object(released, get_cache(released), tag, VECTORS))

    expect_refusal(released, lambda: audit_tag(released, tag), verdict, VECTORS, "SHA-256 differs")
    assert audit_tag(released, tag, fetch=True)


def test_d1_damaged_cache_is_made_good_by_the_remote(released: Project) -> None:
    """D1: the fallback takes the object from the DVC remote instead, and says which file the cache has wrong."""
    damage(find_object(released, get_cache(released), BASE_TAG, VECTORS))
    done = serve(released)

    assert done.changed
    assert len(done.notes) == 1
    assert "the local cache is damaged" in done.notes[0]
    assert VECTORS in done.notes[0]
    assert load_release(released.root).tag == BASE_TAG


def test_d1_damage_everywhere_is_refused(released: Project) -> None:
    """D1: with the remote's object damaged as well there is no way back, and the candidate stays."""
    for store in (get_cache(released), released.objects):
        damage(find_object(released, store, BASE_TAG, VECTORS))

    expect_refusal(released, lambda: serve(released), HALT, VECTORS, "SHA-256 differs")


def test_d2_edit_with_its_time_restored(released: Project) -> None:
    """D2: an edit that leaves size and time is invisible to `dvc status`; the audit says which file it is."""
    path = released.root / SERVED / VECTORS
    pointer = str(POINTER)
    assert "up to date" in run_dvc(released.root, "status", pointer).stdout
    before = path.stat()
    damage(path)
    path.chmod(0o644)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert "up to date" in run_dvc(released.root, "status", pointer).stdout
    assert released.git("status", "--porcelain") == ""
    expect_refusal(released, lambda: audit_tag(released), ERROR, str(path), "SHA-256 differs")


def test_d3_cache_written_through_a_link(released: Project) -> None:
    """D3: a served file that is a link into the cache is refused; once written through, so are the objects."""
    path = released.root / SERVED / VECTORS
    run_dvc(released.root, "config", "--local", "cache.type", "hardlink")
    path.unlink()
    run_dvc(released.root, "checkout", "--force", str(POINTER))
    assert path.stat().st_nlink == 2

    expect_refusal(released, lambda: audit_tag(released), ERROR, str(path), "has 2 names")
    damage(path)
    expect_refusal(released, lambda: audit_tag(released), ERROR, VECTORS, "SHA-256 differs")
    assert VECTORS in serve(released, CANDIDATE_TAG).notes[0]
    assert path.stat().st_nlink == 1


@TAGS
def test_d4_object_was_never_pushed(released: Project, tag: str, verdict: Verdict) -> None:
    """D4: in a fresh clone a tag whose objects are not on the remote is refused."""
    for name in (VECTORS, DATABASE):
        find_object(released, released.objects, tag, name).unlink()
    clone = released.clone()

    expect_refusal(clone, lambda: serve(clone, tag), verdict, "dvc pull")
    expect_refusal(clone, lambda: audit_tag(clone, tag, fetch=True), verdict, "dvc pull")


def test_d5_one_of_two_objects_was_pushed(released: Project) -> None:
    """D5: in a fresh clone that serves the base, a candidate of which one object is missing takes nothing's place."""
    find_object(released, released.objects, CANDIDATE_TAG, DATABASE).unlink()
    clone = released.clone()
    serve(clone)

    expect_refusal(clone, lambda: serve(clone, CANDIDATE_TAG), ERROR, "dvc pull")
    assert load_release(clone.root).tag == BASE_TAG


@pytest.mark.parametrize("name", [VECTORS, "embedded-gemma-lsa"])
@pytest.mark.parametrize("is_cached", [True, False], ids=["in the cache", "nowhere"])
def test_d6_objects_of_the_fallback_were_collected(based: Project, name: str, *, is_cached: bool) -> None:
    """D6: without the base on the remote the candidate is neither tagged nor pushed, even where the cache has it."""
    for store in (get_cache(based), based.objects)[is_cached:]:
        find_object(based, store, BASE_TAG, name).unlink()
    if is_cached and name != VECTORS:
        act_upon(based)  # the candidate's commit points to the base's model, which is pushed with it

        assert find_object(based, based.objects, BASE_TAG, name).is_file()
    else:
        expect_refusal(based, lambda: act_upon(based), HALT, "dvc pull", sends=True)
        assert based.git("tag") == BASE_TAG


@TAGS
def test_d10_remote_gives_a_short_object(released: Project, tag: str, verdict: Verdict) -> None:
    """D10: an object that lost its end on the remote is refused by its size, which DVC takes on trust."""
    cut(find_object(released, released.objects, tag, VECTORS), 0o444)
    clone = released.clone()

    expect_refusal(clone, lambda: serve(clone, tag), verdict, VECTORS, "expected 368768 bytes, got 1000")


@TAGS
def test_d10_remote_gives_a_short_object_that_dvc_looks_at(released: Project, tag: str, verdict: Verdict) -> None:
    """D10: one that is writable DVC hashes and removes; that is refused as well, and the file is named."""
    path = find_object(released, released.objects, tag, VECTORS)
    cut(path, 0o644)
    clone = released.clone()

    expect_refusal(clone, lambda: serve(clone, tag), verdict, "dvc pull", VECTORS, drops=path)


def cut(path: Path, mode: int) -> None:
    """Cut a file short and set its mode."""
    path.chmod(0o644)
    os.truncate(path, 1000)
    path.chmod(mode)


def test_d10_short_object_of_the_base_stops_a_release(based: Project) -> None:
    """D10: what comes back from the remote is hashed before anything is tagged: no candidate without a way back."""
    cut(find_object(based, based.objects, BASE_TAG, VECTORS), 0o444)

    expect_refusal(based, lambda: act_upon(based), HALT, VECTORS, "got 1000", sends=True)


# D7 to D9, D11, D16: pointers


def conflict(path: Path) -> None:
    """Leave the marks of a merge in a file."""
    text = path.read_text("utf-8")
    path.write_text(f"<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> other\n", "utf-8")


def repeat_size(path: Path) -> None:
    """Write a key twice."""
    edit_text(path, ("  hash: md5\n", "  hash: md5\n  size: 368768\n"))


def change_md5(path: Path, md5: str) -> None:
    """Let a pointer name another object."""
    found = next(line for line in path.read_text("utf-8").splitlines() if "md5:" in line)
    edit_text(path, (found, f"- md5: {md5}"))


def take_other_object(path: Path) -> None:
    """Let a pointer name the object of the other corpus, which has the same size."""
    other = path.with_name(path.name.replace("_fr", "_intl")).read_text("utf-8")
    change_md5(path, next(line for line in other.splitlines() if "md5:" in line).split(": ")[1])


def link_pointer(path: Path) -> None:
    """Put a link to a good pointer in the place of a pointer."""
    path.rename(path.with_suffix(".pointer"))
    path.symlink_to(path.with_suffix(".pointer").name)


POINTERS: dict[str, tuple[Callable[[Path], None], str]] = {
    "D7 empty md5": (partial(change_md5, md5="''"), "outs[0].md5"),
    "D7 conflict": (conflict, "not valid YAML"),
    "D7 duplicate key": (repeat_size, "duplicate key"),
    "D8 other object": (take_other_object, "of 368768 bytes, got"),
    "D8 other size": (lambda path: edit_text(path, ("368768", "368769")), "got"),
    "D8 missing": (lambda path: path.unlink(), "is missing, expected a pointer of"),
    "D9 no hash": (lambda path: edit_text(path, ("  hash: md5\n", "")), "outs[0].hash"),
    "D16 path above": (lambda path: edit_text(path, (f"path: {VECTORS}", f"path: ../{VECTORS}")), "without `..`"),
    "D16 link": (link_pointer, "symbolic link"),
}


@TAGS
@pytest.mark.parametrize("name", POINTERS)
def test_d7_d8_d9_d16_pointer_of_a_tag(at_head: Project, tag: str, verdict: Verdict, name: str) -> None:
    """D7, D8, D9, D16: a tag whose commit holds such a pointer is neither audited nor served, and the file is named."""
    spoil, said = POINTERS[name]
    make_again(at_head, lambda root: spoil(root / POINTER))

    expect_refusal(at_head, lambda: audit_tag(at_head, tag), verdict, POINTER.name, said)
    expect_refusal(at_head, lambda: serve(at_head, tag), verdict, POINTER.name, said)


@pytest.mark.parametrize("name", POINTERS)
def test_d7_d8_d9_d16_pointer_of_the_working_tree(released: Project, name: str) -> None:
    """D7, D8, D9, D16: such a pointer beside the served files is refused, and no fallback overwrites it unasked."""
    spoil, _ = POINTERS[name]
    spoil(released.root / POINTER)

    expect_refusal(released, lambda: audit_tag(released), ERROR, POINTER.name, "differs from v1.1-qlora")
    if (released.root / POINTER).exists():
        expect_refusal(released, lambda: serve(released), ERROR, SERVED.name, "was changed by hand")


@TAGS
def test_d8_release_file_names_another_object(at_head: Project, tag: str, verdict: Verdict) -> None:
    """D8: the same contradiction, the other way round: `release.json` is what was changed."""

    def change(root: Path) -> None:
        edit_release(root, lambda document: document["pointers"][0].update(md5="0" * 32))

    make_again(at_head, change)

    expect_refusal(at_head, lambda: audit_tag(at_head, tag), verdict, f"expected {'0' * 32} of 368768 bytes")


@TAGS
def test_d11_leftover_pointer_in_a_tag(at_head: Project, tag: str, verdict: Verdict) -> None:
    """D11: a pointer of another version in the commit of a tag is no part of the release."""

    def leave(root: Path) -> None:
        text = (root / POINTER).read_text("utf-8")
        (root / SERVED / "questions.npy.dvc").write_text(text.replace(VECTORS, "questions.npy"), "utf-8")

    make_again(at_head, leave)

    expect_refusal(at_head, lambda: audit_tag(at_head, tag), verdict, "questions.npy.dvc", "is no pointer of")


def test_d11_overlay_checkout(released: Project) -> None:
    """D11: pointers checked out over those of a newer version are no fallback, staged or committed; the real one is."""
    newer = released.root / SERVED / "questions_mode_b_fr.npy"
    newer.write_bytes(b"newer")
    run_dvc(released.root, "add", str(newer))
    released.git("add", "--", f"{SERVED}/*.dvc")
    released.git("commit", "--quiet", "--message", "a third file")
    released.git("checkout", BASE_TAG, "--", f"{SERVED}/*.dvc")
    run_dvc(released.root, "checkout", "--force")
    newer.unlink()

    expect_refusal(released, lambda: audit_tag(released), ERROR, "differs from v1.1-qlora")
    released.git("commit", "--quiet", "--message", "back by hand")
    expect_refusal(released, lambda: audit_tag(released), ERROR, "differs from v1.1-qlora")
    assert serve(released).changed
    assert not newer.with_suffix(".npy.dvc").exists()
    assert audit_tag(released)[-1].found == f"{SERVED} is {BASE_TAG}"


@pytest.mark.parametrize("name", [VECTORS, DATABASE])
def test_d16_served_file_is_a_link(released: Project, tmp_path: Path, name: str) -> None:
    """D16: a symbolic link in the place of a served file is refused although the bytes behind it are right."""
    path = released.root / SERVED / name
    path.rename(tmp_path / name)
    path.symlink_to(tmp_path / name)

    expect_refusal(released, lambda: audit_tag(released), ERROR, str(path), "is a symbolic link")


def test_d16_served_folder_is_a_link(released: Project, tmp_path: Path) -> None:
    """D16: nor may the served folder be one."""
    folder = released.root / SERVED
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")

    expect_refusal(released, lambda: audit_tag(released), ERROR, "differs from v1.1-qlora")


# D12: what lies in the served folder


def write_beside(root: Path, name: str) -> None:
    """Write a file into the served folder."""
    path = root / SERVED / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"beside")


def hide_edit(root: Path) -> None:
    """Edit `release.json` and a served file so that they agree, and tell Git to look away."""
    damage(root / SERVED / VECTORS)
    record_served(root)
    run(root, "git", "update-index", "--assume-unchanged", str(RELEASE_FILE))


DIRT: dict[str, tuple[Callable[[Path], object], str]] = {
    "release file": (
        lambda root: edit_release(root, lambda document: document.update(policy_sha256=None)),
        "release.json",
    ),
    "pointer": (lambda root: edit_text(root / POINTER, ("368768", "368767")), POINTER.name),
    "text": (lambda root: (root / SERVED / "chunks_mode_b_fr.json").write_text("{}"), "chunks_mode_b_fr.json"),
    "untracked": (lambda root: write_beside(root, "note.txt"), "note.txt"),
    "ignored": (lambda root: write_beside(root, "other.npy"), "other.npy"),
    "ignored below": (lambda root: write_beside(root, "old/other.db"), "old/"),
}


@pytest.mark.parametrize("name", DIRT)
def test_d12_served_folder_is_not_as_committed(based: Project, name: str) -> None:
    """D12: what differs from the commit or is no part of the release, ignored or not, stops every act."""
    spoil, said = DIRT[name]
    spoil(based.root)

    expect_refusal(based, lambda: act_upon(based), ERROR, said)
    expect_refusal(based, lambda: serve(based, BASE_TAG), ERROR, said)
    if name != "release file":
        expect_refusal(based, lambda: audit_tag(based), HALT, said)


@pytest.mark.parametrize("name", [name for name in DIRT if name != "release file"])
def test_d12_served_candidate_is_not_as_committed(released: Project, name: str) -> None:
    """D12: where it is the candidate that is served, its audit is refused, and there still is a way back."""
    spoil, said = DIRT[name]
    spoil(released.root)

    expect_refusal(released, lambda: audit_tag(released), ERROR, said)
    expect_refusal(released, lambda: audit_tag(released, CANDIDATE_TAG), ERROR, said)


def test_d12_hidden_edit(released: Project) -> None:
    """D12: an edit that Git was told not to see is seen, although files and `release.json` agree."""
    hide_edit(released.root)
    assert released.git("status", "--porcelain") == ""

    expect_refusal(released, lambda: audit_tag(released), ERROR, "release.json", "differs from v1.1-qlora")
    assert serve(released, CANDIDATE_TAG).changed
    assert audit_tag(released)


# D13 to D15: clones and tags


@pytest.mark.parametrize("act", [act_upon, serve, audit_tag])
def test_d13_shallow_clone(released: Project, act: Callable[[Project], object]) -> None:
    """D13: where history was cut off nothing can be told, so nothing is done."""
    clone = clone_with(released, "--depth", "1")

    expect_refusal(clone, lambda: act(clone), ERROR, "is a shallow clone")


def clone_with(project: Project, *options: str) -> Project:
    """Return a clone of the remotes made with options of Git, that has the decision, too."""
    clone = Project(project.folder / "partly")
    clone.folder.mkdir()
    run(clone.folder, "git", "clone", "--quiet", *options, f"file://{project.remote}", "project")
    for key, value in {"user.name": "Arbitre", "user.email": "arbitre@example.org"}.items():
        clone.git("config", key, value)
    point_at(clone, project.objects)
    shutil.copytree(project.root / "reports", clone.root / "reports")
    return clone


@pytest.mark.parametrize("tag", [BASE_TAG, CANDIDATE_TAG])
def test_d13_clone_without_tags(released: Project, tag: str) -> None:
    """D13: the log knows what was released, so a clone without tags is not one in which nothing was."""
    clone = clone_with(released, "--no-tags")

    expect_refusal(clone, lambda: audit_tag(clone, tag), HALT, "was released", "no such tag here")
    expect_refusal(clone, lambda: serve(clone, tag), HALT, "was released", "no such tag here")


def test_d13_tags_removed_here_are_no_first_release(based: Project) -> None:
    """D13: without its tags a project that has released does not release its base a second time."""
    based.git("tag", "--delete", BASE_TAG)

    expect_refusal(based, lambda: act_upon(based), ERROR, BASE_TAG, "so this is no first release")
