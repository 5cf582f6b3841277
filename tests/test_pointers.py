"""DVC's pointers: what DVC itself writes is read, and whatever else stands there is refused."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import InputError
from pipeline.pointers import load_pointer

if TYPE_CHECKING:
    from pathlib import Path

MD5 = "d41d8cd98f00b204e9800998ecf8427e"
GOOD = f"outs:\n- md5: {MD5}\n  size: 3\n  hash: md5\n  path: store.npy\n"


def test_what_dvc_writes_is_read(tmp_path: Path) -> None:
    """Of a file and of a folder that real DVC adds, the pointer tells MD5, size and path."""
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    (tmp_path / "store.npy").write_bytes(b"abc")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"abcd")
    for arguments in (["init", "--no-scm", "-q"], ["add", "-q", "store.npy"], ["add", "-q", "model"]):
        subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=tmp_path, env=environment, check=True)
    file, folder = load_pointer(tmp_path / "store.npy.dvc"), load_pointer(tmp_path / "model.dvc")

    assert (file.md5, file.size, file.path) == (hashlib.md5(b"abc", usedforsecurity=False).hexdigest(), 3, "store.npy")
    assert (folder.size, folder.nfiles, folder.path) == (4, 1, "model")
    assert folder.md5.endswith(".dir")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (GOOD.replace(MD5, ""), "outs[0].md5"),
        (GOOD.replace(MD5, MD5[:-1]), "outs[0].md5"),
        (GOOD.replace("  hash: md5\n", ""), "outs[0].hash"),
        (GOOD.replace("hash: md5", "hash: sha256"), "outs[0].hash"),
        (GOOD.replace("size: 3", "size: -1"), "outs[0].size"),
        (GOOD.replace("size: 3", "size: true"), "outs[0].size"),
        (GOOD.replace("store.npy", "../store.npy"), "outs[0].path"),
        (GOOD.replace("store.npy", "/store.npy"), "outs[0].path"),
        (GOOD.replace("store.npy", "other.npy"), "outs[0].path: expected 'store.npy', got 'other.npy'"),
        (GOOD + f"- md5: {MD5}\n  size: 3\n  hash: md5\n  path: b\n", "outs"),
        ("outs: []\n", "outs"),
        (GOOD + "  path: again\n", "duplicate key"),
        (GOOD + "deps: []\n", "deps"),
        ("<<<<<<< HEAD\n" + GOOD + "=======\n" + GOOD + ">>>>>>> other\n", "not valid YAML"),
        ("", "expected"),
    ],
    ids=[
        "empty md5", "short md5", "no hash", "other hash", "negative size", "size is a bool", "path above",
        "absolute path", "other path", "two outputs", "no output", "duplicate key", "unknown key", "conflict", "empty",
    ],
)  # fmt: skip
def test_anything_else_is_refused(tmp_path: Path, content: str, fault: str) -> None:
    """The error names the file and the field."""
    path = tmp_path / "store.npy.dvc"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(InputError) as refusal:
        load_pointer(path)

    assert str(refusal.value).startswith(str(path))
    assert fault in str(refusal.value)


def test_a_link_is_no_pointer(tmp_path: Path) -> None:
    """A symbolic link in the place of a pointer is refused, whatever it leads to."""
    (tmp_path / "elsewhere").write_text(GOOD, encoding="utf-8")
    (tmp_path / "store.npy.dvc").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(InputError, match="symbolic link"):
        load_pointer(tmp_path / "store.npy.dvc")
