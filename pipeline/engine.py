"""Where the work is done: in this process, or on Apache Spark for those who have outgrown one machine."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

LOCAL_MASTER = "local[*]"


class EngineName(StrEnum):
    """What `--engine` takes; the answers are the same."""

    LOCAL = "local"
    SPARK = "spark"


EngineOption = Annotated[EngineName, typer.Option(help="Where the work is done; `nox -s spark` installs Spark.")]
MasterOption = Annotated[str, typer.Option(help="Spark's master, such as local[2] or spark://host:7077.")]
