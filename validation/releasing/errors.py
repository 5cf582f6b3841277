"""The exceptions of releasing: something was not done, or the way back itself cannot be trusted."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from validation.outcomes import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator


# What stands before the host of an address: a name, a password or a token.
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


class ReleaseError(PipelineError):
    """A release, a fallback or an audit could not be done; nothing was changed."""


class HaltError(ReleaseError):
    """The fallback or the state of releases cannot be trusted; nothing was changed, and a person must look."""

    exit_code = Verdict.HALT.exit_code


def hide_credentials(text: str) -> str:
    """Return what another program said, without the names and passwords in addresses."""
    return _CREDENTIALS.sub("", text)


@contextlib.contextmanager
def protect_base(*, concerned: bool) -> Iterator[None]:
    """Turn what is wrong into `HaltError` where the base is concerned: without it there is no way back."""
    try:
        yield
    except HaltError:
        raise
    except PipelineError as error:
        if not concerned:
            raise
        raise HaltError(error.where, error.problem, error.remedy) from error
