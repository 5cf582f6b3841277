"""Contrastive training shared by the embedded base encoder and by QLoRA, with a loss curve and a progress bar."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datasets import Dataset
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.base.sampler import BatchSamplers
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback

from pipeline.commandline import make_progress

if TYPE_CHECKING:
    from rich.progress import Progress
    from sentence_transformers import SentenceTransformer

WARMUP_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How long and how fast to train.

    Attributes:
        batch_size: rows a step; the other rows of a batch serve as negatives.
        learning_rate: peak of a linear schedule with 10 % warm-up.
        temperature: cosine similarities are divided by it before the softmax.
        epochs: passes over the rows; ignored when `steps` is given.
        steps: number of optimiser steps, or None.
    """

    seed: int
    batch_size: int
    learning_rate: float
    temperature: float
    epochs: float = 1.0
    steps: int | None = None


class _Trainer(SentenceTransformerTrainer):
    """The library's trainer without its model card, which samples the data and draws a bar of its own."""

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Add none: `training_args.json` is the record."""


class _ShowProgress(TrainerCallback):
    """Keep the loss of every step and move the progress bar."""

    def __init__(self, progress: Progress, description: str) -> None:
        self._progress = progress
        self._task = progress.add_task(description, total=None)
        self.losses: list[float] = []

    def on_step_end(self, _args: Any, state: Any, _control: Any, **_kwargs: Any) -> None:
        self._progress.update(self._task, total=state.max_steps, completed=state.global_step)

    def on_log(self, _args: Any, _state: Any, _control: Any, logs: dict[str, float], **_kwargs: Any) -> None:
        if "loss" in logs:
            self.losses.append(round(float(logs["loss"]), 6))


def train_contrastive(
    model: SentenceTransformer, columns: dict[str, list[str]], settings: TrainingSettings, description: str
) -> list[float]:
    """Train a model in place with in-batch negatives (InfoNCE) and return the loss of each step.

    Args:
        model: trained in place; only parameters that require a gradient change.
        columns: prompted texts: `anchor`, `positive` and, if there are any, `negative`.
        settings: length and speed of training.
        description: what the progress bar says.
    """
    loss = MultipleNegativesRankingLoss(model, scale=1.0 / settings.temperature)
    with tempfile.TemporaryDirectory() as scratch, make_progress() as progress:
        show = _ShowProgress(progress, description)
        trainer = _Trainer(
            model=model,
            args=_build_arguments(settings, scratch),
            train_dataset=Dataset.from_dict(columns),
            loss=loss,
            callbacks=[show],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    model.eval()
    return show.losses


def _build_arguments(settings: TrainingSettings, scratch: str) -> SentenceTransformerTrainingArguments:
    return SentenceTransformerTrainingArguments(
        output_dir=scratch,
        num_train_epochs=settings.epochs,
        max_steps=settings.steps if settings.steps is not None else -1,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        warmup_steps=WARMUP_SHARE,
        lr_scheduler_type="linear",
        seed=settings.seed,
        data_seed=settings.seed,
        batch_sampler=BatchSamplers.NO_DUPLICATES,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
