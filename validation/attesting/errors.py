"""The exception of attesting: something was not attested, or an attestation does not hold."""

from __future__ import annotations

from pipeline.errors import PipelineError

SHOWN = 300


class AttestationError(PipelineError):
    """A key, a decision or an attestation cannot be trusted; its texts are cut to what a person reads."""

    def __init__(self, where: object, problem: str, remedy: str) -> None:
        """Keep the parts, shortened: whoever wrote an attestation may have put a megabyte into any of them."""
        super().__init__(_shorten(str(where)), _shorten(problem), remedy)


def _shorten(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
