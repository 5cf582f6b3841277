"""Filling a matrix: every text its own row, nothing embedded twice, whatever ended the run before."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.embedded_rows import EmbeddedRows
from pipeline.filling import fill_matrix
from pipeline.vectors import DIMENSION, load_vectors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.vectors import Matrix

ROOT = Path(__file__).resolve().parents[1]
TEXTS = [f"texte {number}" for number in range(300)]
IDENTITY = {"weights_sha256": "b" * 64}
# What a process does that is killed or has a neighbour: real rows and a real file, vectors by arithmetic, slowly.
PROCESS = """
import sys, time
from pathlib import Path
from pipeline import filling
from pipeline.vectors import create_vectors
from tests.test_filling import IDENTITY, TEXTS, Counter
from pipeline.embedded_rows import EmbeddedRows

filling.KEEP_SECONDS = 0
folder, output, pause = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
rows = EmbeddedRows(folder, IDENTITY)
with create_vectors(output, len(TEXTS)) as matrix:
    filling.fill_matrix(matrix, TEXTS, Counter(pause).embed, "texts", rows)
rows.close()
"""


class Counter:
    """A model that gives each text a vector of its own, in batches of four, and remembers what it was given."""

    def __init__(self, pause: float = 0.0, stop: int | None = None) -> None:
        """Wait so long before a batch; end with an interrupt after so many texts."""
        self.given: list[str] = []
        self._pause = pause
        self._stop = stop

    def embed(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Matrix]]:
        """Yield places and vectors, the last text first."""
        for start in reversed(range(0, len(texts), 4)):
            time.sleep(self._pause)
            if self._stop is not None and len(self.given) >= self._stop:
                raise KeyboardInterrupt
            places = list(range(start, min(start + 4, len(texts))))
            self.given += [texts[place] for place in places]
            yield places, np.stack([compute_vector(texts[place]) for place in places])


def compute_vector(text: str) -> Matrix:
    """Return a unit vector that is drawn by a text."""
    draw = np.random.default_rng(int(hashlib.sha256(text.encode()).hexdigest(), 16))
    vector = draw.standard_normal(DIMENSION)
    unit: Matrix = (vector / np.linalg.norm(vector)).astype(np.float32)
    return unit


def fill(texts: list[str], model: Counter, folder: Path | None = None) -> Matrix:
    """Return the matrix of texts, with rows in a folder or without."""
    matrix = np.full((len(texts), DIMENSION), np.nan, dtype=np.float32)
    rows = EmbeddedRows(folder, IDENTITY) if folder else None
    try:
        fill_matrix(matrix, texts, model.embed, "texts", rows)
    finally:
        if rows:
            rows.close()
    return matrix


def expect(texts: list[str]) -> bytes:
    """Return the bytes that the matrix of texts must have."""
    return np.stack([compute_vector(text) for text in texts]).tobytes()


@pytest.mark.parametrize("window", [1, 7, 4096])
@pytest.mark.parametrize("kept", [True, False], ids=["rows", "anew"])
def test_every_text_has_its_own_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int, *, kept: bool
) -> None:
    """In whatever windows, in the order of the texts, with and without rows."""
    monkeypatch.setattr("pipeline.filling.WINDOW", window)
    texts = TEXTS[:50]

    assert fill(texts, Counter(), tmp_path if kept else None).tobytes() == expect(texts)


def test_identical_texts_are_embedded_once(tmp_path: Path) -> None:
    """Within a run, with rows and without."""
    texts = [*TEXTS[:10], *TEXTS[:10], TEXTS[3]]
    for folder in (tmp_path, None):
        model = Counter()

        assert fill(texts, model, folder).tobytes() == expect(texts)
        assert sorted(model.given) == sorted(TEXTS[:10])


def test_an_edit_costs_what_was_edited(tmp_path: Path) -> None:
    """Of 300 texts three are changed and all turned round: three are embedded."""
    fill(TEXTS, Counter(), tmp_path)
    edited = [f"{text} !" if number in {4, 150, 299} else text for number, text in enumerate(TEXTS)][::-1]
    model = Counter()

    assert fill(edited, model, tmp_path).tobytes() == expect(edited)
    assert sorted(model.given) == ["texte 150 !", "texte 299 !", "texte 4 !"]


def test_without_rows_all_is_embedded_anew(tmp_path: Path) -> None:
    """What was kept is not looked at, and nothing is added to it."""
    fill(TEXTS[:8], Counter(), tmp_path)
    model, again = Counter(), Counter()
    fill(TEXTS[:20], model)
    fill(TEXTS[:20], again, tmp_path)

    assert sorted(model.given) == sorted(TEXTS[:20])
    assert sorted(again.given) == sorted(TEXTS[8:20])


def test_an_interrupted_run_is_continued(tmp_path: Path) -> None:
    """What came before the interrupt is kept, though the two seconds were not over."""
    first, second = Counter(stop=100), Counter()
    with pytest.raises(KeyboardInterrupt):
        fill(TEXTS, first, tmp_path)

    assert fill(TEXTS, second, tmp_path).tobytes() == expect(TEXTS)
    assert sorted(first.given + second.given) == sorted(TEXTS)
    assert len(first.given) == 100


def start(folder: Path, output: Path, pause: float) -> subprocess.Popen[bytes]:
    """Begin a process that fills a matrix."""
    command = [sys.executable, "-c", PROCESS, str(folder), str(output), str(pause)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)


def wait_for_rows(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Return when a process has kept some rows."""
    while process.poll() is None:
        if folder.exists() and any(path.stat().st_size > 20_000 for path in folder.glob("*-wal")):
            return
        time.sleep(0.01)
    raise AssertionError(process.communicate()[1].decode())


def test_a_killed_run_is_continued(tmp_path: Path) -> None:
    """Killed in the middle it leaves no matrix; the next embeds only the rest, and the bytes are those of one run."""
    folder, output = tmp_path / "rows", tmp_path / "out" / "m.npy"
    process = start(folder, output, 0.02)
    wait_for_rows(folder, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    model = Counter()
    matrix = fill(TEXTS, model, folder)

    assert process.returncode == -signal.SIGKILL
    assert not output.exists()
    assert 0 < len(model.given) < len(TEXTS)
    assert matrix.tobytes() == expect(TEXTS)


def test_two_processes_at_once_write_the_same_file(tmp_path: Path) -> None:
    """On the same texts, with the same rows: no error, and the same bytes."""
    outputs = [tmp_path / "one.npy", tmp_path / "two.npy"]
    processes = [start(tmp_path / "rows", output, 0.001) for output in outputs]
    ends = [(process.communicate()[1], process.returncode) for process in processes]

    assert ends == [(b"", 0), (b"", 0)]
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    assert load_vectors(outputs[0]).tobytes() == expect(TEXTS)
