"""Contrastive training: it lowers the loss, keeps its curve, repeats with its seed and moves only what may move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipeline.encoder import load_transformer
from pipeline.training import TrainingSettings, train_contrastive

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = TrainingSettings(seed=3, batch_size=8, learning_rate=5e-3, temperature=0.05, steps=12)
WORDS = ("pendule", "roque", "promotion", "drapeau", "nulle", "appariement", "forfait", "échec")


def make_columns(rows: int = 16, *, negatives: bool = False) -> dict[str, list[str]]:
    """Return pairs whose two sides share no word, so that there is something to learn."""
    columns = {
        "anchor": [f"task: search result | query: {WORDS[row % 8]} {row}" for row in range(rows)],
        "positive": [f"title: none | text: {WORDS[(row + 3) % 8]} {100 + row}" for row in range(rows)],
    }
    if negatives:
        columns["negative"] = [f"title: none | text: {WORDS[(row + 5) % 8]} {200 + row}" for row in range(rows)]
    return columns


def train(folder: Path, settings: TrainingSettings, columns: dict[str, list[str]]) -> tuple[list[float], Any]:
    """Load a model, train it, and return the losses with the model."""
    model = load_transformer(folder, device="cpu")
    return train_contrastive(model, columns, settings, "test"), model


def encode(model: Any) -> Any:
    """Return the vectors of some questions."""
    return model.encode([f"task: search result | query: {word}" for word in WORDS], show_progress_bar=False)


@pytest.mark.parametrize("negatives", [False, True], ids=["pairs", "triplets"])
def test_training_lowers_the_loss(tiny_model: Path, *, negatives: bool) -> None:
    """The curve has one finite loss a step and ends lower than it began; the model is left ready to embed."""
    losses, model = train(tiny_model, SETTINGS, make_columns(negatives=negatives))

    assert len(losses) == 12
    assert np.isfinite(losses).all()
    assert np.mean(losses[-3:]) < 0.7 * np.mean(losses[:3])
    assert not model.training


def test_negatives_count(tiny_model: Path) -> None:
    """The first loss is higher when each row brings another passage that is not the answer."""
    one = TrainingSettings(seed=3, batch_size=8, learning_rate=5e-3, temperature=0.05, steps=1)
    pairs, _ = train(tiny_model, one, make_columns())
    triplets, _ = train(tiny_model, one, make_columns(negatives=True))

    assert triplets[0] > pairs[0]


def test_the_first_loss_is_infonce(tiny_model: Path) -> None:
    """Before any step the loss is the cross-entropy of cosine / temperature with the other rows as negatives."""
    columns = make_columns(8)
    untouched = load_transformer(tiny_model, device="cpu")
    anchors, positives = (untouched.encode(columns[name]).astype(np.float64) for name in ("anchor", "positive"))
    scores = anchors @ positives.T / SETTINGS.temperature
    expected = float(np.mean(np.log(np.exp(scores).sum(axis=1)) - np.diag(scores)))

    losses, _ = train(tiny_model, SETTINGS, columns)

    assert losses[0] == pytest.approx(expected, abs=1e-3)


def test_a_batch_holds_no_text_twice(tiny_model: Path) -> None:
    """Each pair given twice: the first batch is still every pair once, so that no answer counts as a negative."""
    columns = make_columns(8)
    one = TrainingSettings(seed=3, batch_size=8, learning_rate=5e-3, temperature=0.05, steps=1)
    once, _ = train(tiny_model, one, columns)

    twice, _ = train(tiny_model, one, {name: texts * 2 for name, texts in columns.items()})

    assert twice == pytest.approx(once, abs=1e-4)


def test_training_repeats_with_its_seed(tiny_model: Path) -> None:
    """The same seed gives the same curve and vectors within 1e-5; another seed sees the rows in another order."""
    first_losses, first = train(tiny_model, SETTINGS, make_columns())
    second_losses, second = train(tiny_model, SETTINGS, make_columns())
    other = TrainingSettings(seed=4, batch_size=8, learning_rate=5e-3, temperature=0.05, steps=12)

    assert second_losses == pytest.approx(first_losses, abs=1e-5)
    np.testing.assert_allclose(encode(second), encode(first), atol=1e-5)
    assert train(tiny_model, other, make_columns())[0] != pytest.approx(first_losses, abs=1e-3)


@pytest.mark.parametrize(("epochs", "rows", "steps"), [(1.0, 16, 2), (2.0, 16, 4), (1.0, 17, 3), (0.5, 32, 2)], ids=str)
def test_epochs_count_passes_over_the_rows(tiny_model: Path, epochs: float, rows: int, steps: int) -> None:
    """Without a number of steps, the epochs decide; a last small batch counts as a step."""
    settings = TrainingSettings(seed=3, batch_size=8, learning_rate=1e-3, temperature=0.05, epochs=epochs)

    losses, _ = train(tiny_model, settings, make_columns(rows))

    assert len(losses) == steps


def test_frozen_parameters_stay(tiny_model: Path) -> None:
    """Only parameters that require a gradient change."""
    model = load_transformer(tiny_model, device="cpu")
    model[0].model.requires_grad_(requires_grad=False)
    before = {name: value.detach().numpy().copy() for name, value in model.named_parameters()}

    train_contrastive(model, make_columns(), SETTINGS, "test")

    changed = {name for name, value in model.named_parameters() if (value.detach().numpy() != before[name]).any()}
    assert changed == {"2.linear.weight", "3.linear.weight"}


def test_training_leaves_no_file(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No checkpoint, run folder or model card appears where the command is run."""
    monkeypatch.chdir(tmp_path)
    one = TrainingSettings(seed=3, batch_size=8, learning_rate=5e-3, temperature=0.05, steps=1)

    train(tiny_model, one, make_columns())

    assert list(tmp_path.iterdir()) == []


def test_training_is_silent(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Away from a terminal no progress bar and no log line is printed."""
    one = TrainingSettings(seed=3, batch_size=8, learning_rate=5e-3, temperature=0.05, steps=1)
    model = load_transformer(tiny_model, device="cpu")
    capsys.readouterr()

    train_contrastive(model, make_columns(), one, "test")

    assert capsys.readouterr().out == ""
