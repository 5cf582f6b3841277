"""Every file that has a say is known by its bytes, and is looked at again when all has been judged."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import InputError
from pipeline.files import compute_sha256
from tests.stores import build_request, flip_bit, load_sample, write_pair
from validation.evidence import collect_store
from validation.inputs import Input, check_unchanged, list_inputs, read_input
from validation.outcomes import Check, Outcome
from validation.policy import EXPECTATIONS, load_rulebook

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.params import CandidateName

pytestmark = pytest.mark.requirement("REQ-INT-05")

NAMES = ("first", "second", "third")


@pytest.fixture
def inputs(tmp_path: Path) -> list[Input]:
    """Three files that were looked at."""
    for name in NAMES:
        (tmp_path / name).write_text(f"the bytes of {name}", encoding="utf-8")
    return [read_input(f"input/{name}", tmp_path / name) for name in NAMES]


def overwrite_quietly(path: Path) -> None:
    """Change one byte in place and set the times back, so that neither size nor time tells."""
    before = path.stat()
    with path.open("r+b") as stream:
        stream.write(b"T")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def swap(path: Path) -> None:
    """Put another file of the same size and time in the place of this one."""
    before = path.stat()
    other = path.with_name("other")
    other.write_bytes(path.read_bytes()[::-1])
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def make_folder(path: Path) -> None:
    """Put a folder in the place of a file."""
    path.unlink()
    path.mkdir()


def link_to_nothing(path: Path) -> None:
    """Put a link that leads nowhere in the place of a file."""
    path.unlink()
    path.symlink_to("nowhere")


CHANGES: dict[str, Callable[[Path], object]] = {
    "other text": lambda path: path.write_text("other", encoding="utf-8"),
    "one byte more": lambda path: path.write_bytes(path.read_bytes() + b"\n"),
    "emptied": lambda path: path.write_bytes(b""),
    "same size and time": overwrite_quietly,
    "swapped": swap,
    "gone": lambda path: path.unlink(),
    "a folder": make_folder,
    "a link to nothing": link_to_nothing,
}


def test_a_file_is_known_by_the_bytes_that_were_looked_at(tmp_path: Path) -> None:
    """Name, path and the digest of that moment are kept, whatever becomes of the file."""
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    found = read_input("name", path)
    path.write_bytes(b"abd")

    assert found == Input("name", path, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")


@pytest.mark.parametrize(("name", "fault"), [("none", "does not exist"), (".", "is a folder")])
def test_what_is_no_file_is_no_input(tmp_path: Path, name: str, fault: str) -> None:
    """A file that is not there is refused by its path."""
    with pytest.raises(InputError, match=f"expected a file, but it {fault}"):
        read_input("name", tmp_path / name)


def test_files_that_stay_as_they_are_pass(inputs: list[Input]) -> None:
    """The check says how many files were looked at again, and that none differs."""
    assert check_unchanged("INT107", inputs) == Check("INT107", "gate", Outcome.PASS, 0, 0, n=3)
    assert check_unchanged("INT107", []) == Check("INT107", "gate", Outcome.PASS, 0, 0, n=0)


def test_only_the_bytes_count(inputs: list[Input]) -> None:
    """A file that is written again with the same bytes, at another time, is the same."""
    for file in inputs:
        content = file.path.read_bytes()
        file.path.unlink()
        file.path.write_bytes(content)
        os.utime(file.path, (0, 0))

    assert check_unchanged("INT107", inputs).outcome is Outcome.PASS


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_file_that_changed_is_an_error_that_names_it(inputs: list[Input], change: Callable[[Path], object]) -> None:
    """Whatever was done to a file since it was looked at, nothing is evaluated and the file is named."""
    change(inputs[1].path)

    assert check_unchanged("INT107", inputs) == Check(
        "INT107", "gate", Outcome.ERROR, 1, 0, n=3, detail="changed while it was judged: input/second"
    )


def test_every_changed_file_is_named(inputs: list[Input]) -> None:
    """All files are looked at, not only as far as the first fault."""
    inputs[0].path.unlink()
    inputs[2].path.write_text("other", encoding="utf-8")
    check = check_unchanged("INT107", inputs)

    assert (check.observed, check.detail) == (2, "changed while it was judged: input/first, input/third")


def test_rules_texts_and_stores_are_listed(tmp_path: Path) -> None:
    """All rules, corpus, gold set and all files of both stores are there once, each with its digest."""
    sample, base, candidate = write_pair(tmp_path, base_hits=4, candidate_hits=8, rows=12)
    corpus, rulebook = load_sample(sample), load_rulebook(EXPECTATIONS / "policy.yaml")
    roles: dict[CandidateName, Path] = {"base": base, "qlora": candidate}
    found = [collect_store(role, folder, corpus)[0] for role, folder in roles.items()]
    stores = [store for store in found if store is not None]
    listed = list(list_inputs(rulebook, [(corpus, stores)]))
    request = build_request(sample, base, candidate)
    files = {f"fr/{name}": getattr(request, name) for name in ("chunks", "questions", "qrels")}
    for role, folder in roles.items():
        files |= {
            f"{role}/fr/manifest": folder / "manifest.json",
            f"{role}/fr/embeddings": folder / "embeddings_mode_b_fr.npy",
            f"{role}/fr/questions": folder / "questions_mode_b_fr.npy",
            f"{role}/fr/database": folder / "corpus_mode_b_fr.db",
        }
    files |= {name: EXPECTATIONS / f"{name}.yaml" for name in ("policy", "checks", "requirements")}
    files |= {f"suite_{path.stem}": path for path in (EXPECTATIONS / "suites").glob("*.json")}

    assert len(stores) == 2
    assert sorted(each.name for each in listed) == sorted(files)
    assert {each.name: (each.path, each.sha256) for each in listed} == {
        name: (path, compute_sha256(path)) for name, path in files.items()
    }
    assert check_unchanged("INT107", listed).outcome is Outcome.PASS

    flip_bit(candidate, "database")
    sample.qrels.write_bytes(sample.qrels.read_bytes() + b"\n")

    assert check_unchanged("INT107", listed).detail == "changed while it was judged: fr/qrels, qlora/fr/database"


def test_a_store_that_was_not_read_is_not_listed(tmp_path: Path) -> None:
    """Without a store only rules and texts are inputs, and every corpus brings its own."""
    sample, *_ = write_pair(tmp_path, base_hits=4, candidate_hits=8, rows=12)
    corpus, rulebook = load_sample(sample), load_rulebook(EXPECTATIONS / "policy.yaml")
    listed = list(list_inputs(rulebook, [(corpus, [])]))

    assert {each.name for each in listed} - set(rulebook.digests) == {"fr/chunks", "fr/questions", "fr/qrels"}
