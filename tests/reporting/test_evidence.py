"""Evidence beside the decision: shown where it is what was judged, and otherwise said to be missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.store import Manifest
from tests.reporting.conftest import render
from tests.reporting.reading import Page
from tests.reporting.samples import ROWS, hash_file, make_release, write_stores
from validation.document import InputRecord
from validation.reporting.evidence import Missing, gather_evidence
from validation.reporting.spaces import Spaces

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from validation.reporting.evidence import Gap

NAME = "qlora/fr/embeddings"


def test_stores_that_were_judged_are_shown(tmp_path: Path) -> None:
    """With the recorded bytes at hand, both spaces and both manifests are there."""
    found = gather_evidence(make_release(inputs=write_stores(tmp_path)), tmp_path)
    spaces = found.spaces["fr"]

    assert isinstance(spaces, Spaces)
    assert len(spaces.moves) == ROWS
    assert all(isinstance(manifest, Manifest) for manifest in found.manifests.values())


def _remove(path: Path) -> None:
    path.unlink()


def _flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "gap", "told"),
    [
        (_remove, "absent", "n’est pas à disposition"),
        (_flip_a_bit, "differs", "son SHA-256 diffère"),
        (_make_folder, "absent", "n’est pas à disposition"),
    ],
    ids=["removed", "one bit", "a folder"],
)
def test_other_bytes_are_never_shown(spoil: Callable[[Path], None], gap: Gap, told: str, tmp_path: Path) -> None:
    """A store that is missing or is another one gives no map, and the page says why."""
    inputs = write_stores(tmp_path)
    record = make_release(inputs=inputs)
    spoil(tmp_path / inputs[NAME].path)
    said = Page(render(record, tmp_path)).read_section("spaces")

    assert gather_evidence(record, tmp_path).spaces["fr"] == Missing(NAME, gap)
    assert NAME in said
    assert told in said
    assert "Distance cosinus" not in said


@pytest.mark.parametrize(
    ("rows", "gap"),
    [
        (np.eye(ROWS, 768, dtype="<f4")[:-1], "unlike"),
        (np.eye(ROWS, 768, dtype="<f8"), "unreadable"),
        (np.zeros((ROWS, 768), dtype="<f4"), "unreadable"),
        (np.full((ROWS, 768), np.nan, dtype="<f4"), "unreadable"),
    ],
    ids=["a row less", "float64", "zeros", "NaN"],
)
def test_judged_bytes_that_are_no_store_give_no_map(rows: np.ndarray, gap: Gap, tmp_path: Path) -> None:
    """Although a digest agrees, what is no matrix of unit vectors is not drawn."""
    inputs = write_stores(tmp_path)
    path = tmp_path / inputs[NAME].path
    np.save(path, rows)
    inputs[NAME] = InputRecord(path=inputs[NAME].path, sha256=hash_file(path))

    assert gather_evidence(make_release(inputs=inputs), tmp_path).spaces["fr"] == Missing(NAME, gap)


def test_a_path_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    """A decision that names a file elsewhere does not make the page show it."""
    inputs = write_stores(tmp_path / "one")
    aside = {name: each.model_copy(update={"path": f"../one/{each.path}"}) for name, each in inputs.items()}
    (tmp_path / "two").mkdir()

    assert gather_evidence(make_release(inputs=aside), tmp_path / "two").manifests["base/fr"] == Missing(
        "base/fr/manifest", "absent"
    )


def test_a_manifest_that_is_none_breaks_the_chain(tmp_path: Path) -> None:
    """Judged bytes that are no manifest are told as unreadable, and a digest of another file as different."""
    inputs = write_stores(tmp_path)
    path = tmp_path / inputs["base/fr/manifest"].path
    path.write_text("{}", encoding="utf-8")
    inputs["base/fr/manifest"] = InputRecord(path=inputs["base/fr/manifest"].path, sha256=hash_file(path))
    inputs["fr/chunks"] = InputRecord(path="corpus/chunks.json", sha256="c" * 64)
    said = Page(render(make_release(inputs=inputs), tmp_path)).read_section("provenance")

    assert "base/fr/manifest : le fichier ne se laisse pas lire" in said.replace("\u00a0", " ")
    assert "diffère de la décision" in said
