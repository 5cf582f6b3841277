"""`tests.json`: what this project's own tests said of every requirement, and of which code."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.documents import Strict
from pipeline.store import Digest

TESTED = "tests.json"


class TestedRequirements(Strict):
    """The outcome of every test by the requirement that it serves; of a test with many cases, the worst."""

    __test__ = False

    schema_version: Annotated[int, Field(ge=1, le=1)]
    revision: str | None
    code: Digest
    requirements: dict[str, dict[str, Literal["passed", "failed", "skipped"]]]
