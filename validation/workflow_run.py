"""The run of a workflow that judges or releases, as GitHub names it; on a laptop there is none."""

from __future__ import annotations

import os
from typing import Annotated

from pydantic import Field

from pipeline.documents import Strict

Number = Annotated[str, Field(pattern=r"^\d{1,20}$")]


class WorkflowRun(Strict):
    """Number of a run, and which attempt at it this is."""

    id: Number
    attempt: Number


def find_run() -> WorkflowRun | None:
    """Return the run that this process is part of, or None elsewhere."""
    run, attempt = os.environ.get("GITHUB_RUN_ID"), os.environ.get("GITHUB_RUN_ATTEMPT")
    return WorkflowRun(id=run, attempt=attempt) if run and attempt else None
