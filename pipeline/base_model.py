"""`python -m pipeline.base_model`: put the profile's base model into a folder, built or taken from the hub cache."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.chunks import load_chunks
from pipeline.commandline import run_command
from pipeline.encoder import quieten_libraries
from pipeline.files import replace_folder, write_json
from pipeline.model_folder import IDENTITY_FILE, TRAINING_FILE, ModelSource, find_model, require_replaceable
from pipeline.params import EmbeddedModel, HubModel, load_params

if TYPE_CHECKING:
    from pipeline.params import Params


def make_base(
    output: Annotated[Path, typer.Option(help="Model folder; replaced when it exists.")],
    *,
    download: Annotated[bool, typer.Option("--download", help="Allow fetching the model from the hub.")] = False,
) -> None:
    """Write the base model that both candidates start from."""
    require_replaceable(output)
    params = load_params()
    base = params.active.base
    with replace_folder(output) as folder:
        if isinstance(base, HubModel):
            _copy_hub_model(base, folder, download=download)
        else:
            _build_embedded(base, params, folder)
    typer.echo(f"{output}: {params.get_model_id('base')}")


def _copy_hub_model(base: HubModel, folder: Path, *, download: bool) -> None:
    found = find_model(base.folder or base.model, base.revision, download=download)
    shutil.copytree(found.path, folder, dirs_exist_ok=True)
    write_json(folder / IDENTITY_FILE, ModelSource(model_id=base.model, revision=base.revision).model_dump())


def _build_embedded(base: EmbeddedModel, params: Params, folder: Path) -> None:
    quieten_libraries()
    from pipeline.embedded_base import build_encoder, train_encoder

    repeated = [(corpus.chunks, base.corpora.get(corpus.name, 0)) for corpus in params.corpora]
    chunks = [chunk for path, times in repeated if times for chunk in load_chunks(path).chunks * times]
    with tempfile.TemporaryDirectory() as scratch:
        model = build_encoder(chunks, base, Path(scratch))
        losses = train_encoder(model, chunks, base)
        model.save_pretrained(str(folder), create_model_card=False)
    write_json(folder / IDENTITY_FILE, ModelSource(model_id=base.model_id, revision=None).model_dump())
    write_json(folder / TRAINING_FILE, {"settings": base.model_dump(), "chunks": len(chunks), "loss": losses})


if __name__ == "__main__":
    run_command(make_base)
