"""The exceptions of the pipeline: one root, small families, one line each."""

from __future__ import annotations

from typing import Self

EXIT_NOT_DONE = 30


class PipelineError(Exception):
    """Something could not be read, built or written.

    Attributes:
        where: the file, field path or row concerned.
        problem: what was observed against what was expected.
        remedy: what the reader can do about it.
        exit_code: the process exit code that it stands for.
    """

    exit_code = EXIT_NOT_DONE

    def __init__(self, where: object, problem: str, remedy: str) -> None:
        """Keep the parts and join them into the one line that is shown."""
        super().__init__(f"{where}: {problem}; {remedy}")
        self.where = str(where)
        self.problem = problem
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[Self], tuple[str, str, str]]:
        """Let another process raise the same error."""
        return type(self), (self.where, self.problem, self.remedy)


class InputError(PipelineError):
    """A corpus, question, vector or parameter file is missing, malformed or contradicts another."""


class ModelError(PipelineError):
    """A model folder or hub model cannot be used safely."""


class StoreError(PipelineError):
    """A store or its database is missing, damaged or not what it says it is."""


class EngineError(PipelineError):
    """Spark or its Java is missing, or a worker of it could not do its part."""
