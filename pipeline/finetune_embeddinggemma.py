"""`python -m pipeline.finetune_embeddinggemma`: QLoRA fine-tuning of a base model on question–passage triplets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from pipeline.chunks import load_chunks
from pipeline.commandline import run_command
from pipeline.encoder import DOCUMENT_PROMPT, NO_TITLE, QUESTION_PROMPT, quieten_libraries
from pipeline.errors import InputError, ModelError
from pipeline.files import compute_sha256, replace_folder, write_json
from pipeline.model_folder import (
    IDENTITY_FILE,
    TRAINING_FILE,
    ModelFolder,
    ModelSource,
    compute_weights_digest,
    find_model,
    require_replaceable,
)
from pipeline.params import BASE_MODEL, FineTuning, load_params
from pipeline.triplets import Triplet, load_triplets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def finetune(
    triplets: Annotated[Path, typer.Option(help="Training triplets (anchor, positive, negative), JSON Lines.")],
    output: Annotated[Path, typer.Option(help="Folder of the merged model; replaced when it exists.")],
    model: Annotated[
        str | None, typer.Option(help="Parent: a folder or hub id; default is the built base model.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Hub commit; default: as params.yaml pins it.")] = None,
    model_id: Annotated[str | None, typer.Option(help="Identity of the result; default from params.yaml.")] = None,
    chunks: Annotated[
        Path | None, typer.Option(help="Corpus whose sections give its passages their titles, as when embedding.")
    ] = None,
    rank: Annotated[int | None, typer.Option(min=1, help="Rank of the adapter matrices.")] = None,
    alpha: Annotated[int | None, typer.Option(min=1, help="LoRA scaling numerator.")] = None,
    epochs: Annotated[float | None, typer.Option(min=0, help="Passes over the triplets.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=2, help="Triplets a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(min=0, help="Peak learning rate.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of initialisation and sampling.")] = None,
    *,
    download: Annotated[bool, typer.Option("--download", help="Allow fetching the parent from the hub.")] = False,
) -> None:
    """Quantise the parent to NF4, train LoRA adapters on it, and write the merged model with a full training record."""
    given = {
        "rank": rank, "alpha": alpha, "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate,
        "seed": seed, "model_id": model_id,
    }  # fmt: skip
    settings = override_settings(load_params().active.qlora, given)
    require_replaceable(output)
    rows = load_triplets(triplets)
    columns = build_columns(rows, load_titles(chunks), triplets)
    parent = _find_parent(model, revision, settings, download=download)
    quieten_libraries()
    from pipeline.qlora import describe_training, train_merged

    with replace_folder(output) as folder:
        losses = train_merged(parent.path, columns, settings, folder)
        write_json(folder / IDENTITY_FILE, ModelSource(model_id=settings.model_id, revision=None).model_dump())
        record = {
            "model_id": settings.model_id,
            "parent": {**parent.source.model_dump(), "weights_sha256": compute_weights_digest(parent.path)},
            "settings": settings.model_dump(exclude={"model_id", "parent"}),
            "method": describe_training(),
            "data": {"triplets": len(rows), "sha256": compute_sha256(triplets)},
            "loss": losses,
        }
        write_json(folder / TRAINING_FILE, record)
    typer.echo(f"{output}: {settings.model_id} from {parent.source.model_id}, loss {losses[0]:.3f} → {losses[-1]:.3f}")


def override_settings(configured: FineTuning, given: Mapping[str, object]) -> FineTuning:
    """Return the settings of `params.yaml` with those given on the command line in their place, checked alike."""
    chosen = {name: value for name, value in given.items() if value is not None}
    try:
        return FineTuning.model_validate(configured.model_dump() | chosen)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = str(first["loc"][0]).replace("_", "-")
        message = f"--{option}: {first['msg'].replace('Input should be', 'expected')}, got {first['input']!r}"
        raise typer.BadParameter(message) from error


def load_titles(chunks: Path | None) -> dict[str, str]:
    """Return the section of each passage text of a corpus; empty without one."""
    if chunks is None:
        return {}
    return {chunk.text: chunk.section for chunk in load_chunks(chunks).chunks if chunk.section}


def build_columns(rows: Sequence[Triplet], titles: dict[str, str], path: Path) -> dict[str, list[str]]:
    """Return prompted texts by column; the negatives' column is left out when no triplet has one.

    Raises:
        InputError: there are fewer than two triplets, or only some of them have a negative.
    """
    if len(rows) < 2:  # noqa: PLR2004 - a contrastive loss needs another row
        raise InputError(path, f"expected at least 2 triplets, got {len(rows)}", "add training data")
    with_negative = [row.negative for row in rows if row.negative is not None]
    if len(with_negative) not in {0, len(rows)}:
        found = f"only {len(with_negative)} of {len(rows)} triplets have a negative"
        raise InputError(path, found, "give every triplet a negative, or none")
    columns = {
        "anchor": [QUESTION_PROMPT.format(text=row.anchor) for row in rows],
        "positive": [_format_passage(row.positive, titles) for row in rows],
    }
    if with_negative:
        columns["negative"] = [_format_passage(text, titles) for text in with_negative]
    return columns


def _format_passage(text: str, titles: dict[str, str]) -> str:
    return DOCUMENT_PROMPT.format(title=titles.get(text, NO_TITLE), text=text)


def _find_parent(model: str | None, revision: str | None, settings: FineTuning, *, download: bool) -> ModelFolder:
    if model is not None:
        return find_model(model, revision or load_params().get_revision(model), download=download)
    if settings.parent is not None:
        parent = settings.parent
        found = find_model(parent.folder or parent.model, parent.revision, download=download)
        return ModelFolder(found.path, ModelSource(model_id=parent.model, revision=parent.revision))
    if not BASE_MODEL.is_dir():
        raise ModelError(
            BASE_MODEL, "there is no base model yet", "build it with `dvc repro base_model`, or give --model"
        )
    return find_model(str(BASE_MODEL))


if __name__ == "__main__":
    run_command(finetune)
