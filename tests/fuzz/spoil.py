"""Strategies that spoil valid bytes, and the one way in which a spoilt input is tried."""

from __future__ import annotations

import contextlib
import io
import math
import re
import signal
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st

from pipeline.commandline import run_command
from pipeline.errors import PipelineError
from tests.conftest import Result, _run_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

HANG_S = 2.0
# How many inputs of each kind were tried in this process.
TRIED: Counter[str] = Counter()

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\w.+-]+|[^\w\s]')
_TOKENS = (
    *(b"null", b"true", b"NaN", b"Infinity", b"-1", b"0", b"1e999", b"-0.0", b"9" * 30, b"9" * 5000, b"0x1F", b"1_0"),
    *(b'""', b'"\\ud800"', b'"\\u0000"', b'"12"', b"{}", b"[]", b"[[[]]]", b"[" * 70 + b"]" * 70, b"{", b"}", b"]"),
    *(
        b"&a [*a]",
        b"!!python/object:os.system x",
        b"2027-01-31",
        b"2027-01-31T00:00:00Z",
        b"? a",
        b"<<: *a",
        b"- ",
        b"|",
    ),
    *(b"!!bool x", b"!!int ''", b"!!float _", b'"\\UFFFFFFFF"', b"&a {b: *a}", b"&a x, &a y"),
    *(
        b"!!set {a}",
        b"!!binary x",
        b"!!timestamp 1",
        b"\t",
        b"\n",
        b"\r",
        b"\x00",
        b"\xff",
        b"\xe2\x80\xa8",
        b"\xef\xbb\xbf",
    ),
)
_KINDS = ("flip", "flip", "set", "cut", "insert", "remove", "repeat", "splice")

Step = tuple[str, float, float, bytes]


class HangError(BaseException):
    """An input kept its reader busy for too long; no handler of the project may take it for its own."""


@dataclass(frozen=True, slots=True)
class Spoiling:
    """Steps that spoil whatever bytes they are applied to; `anew` takes the place of all of them."""

    steps: list[Step]
    anew: bytes | None

    def apply(self, content: bytes) -> bytes:
        """Return spoilt bytes."""
        if self.anew is not None:
            return self.anew
        for step in self.steps:
            content = _spoil(content, *step)
        return content


def draw_spoiling(*, text: bool) -> st.SearchStrategy[Spoiling]:
    """Return ways to spoil a file: bits, spans and, of text, tokens; now and then something else altogether."""
    kinds = (*_KINDS, "token", "token", "token", "swap", "swap") if text else _KINDS
    share = st.floats(0, 1, exclude_max=True, width=32)
    # Headers are short and stand first, so that half of the places lie there.
    place = share.map(lambda found: found if found >= 0.5 else (2 * found) ** 4)
    steps = st.lists(st.tuples(st.sampled_from(kinds), place, share, st.binary(max_size=8)), min_size=1, max_size=3)
    spoilt = steps.map(lambda drawn: Spoiling(drawn, None))
    anew = st.binary(max_size=256).map(lambda content: Spoiling([], content))
    return st.integers(0, 19).flatmap(lambda number: anew if number == 0 else spoilt)


def _spoil(content: bytes, kind: str, place: float, other: float, junk: bytes) -> bytes:
    if kind in {"token", "swap"}:
        return _swap_token(content, place, other, swap=kind == "swap")
    at, further = int(place * len(content)), int(other * len(content))
    length = max(1, int(2 ** (other * math.log2(len(content) + 1))))
    if kind == "flip" and content:
        return content[:at] + bytes([content[at] ^ 1 << int(other * 8)]) + content[at + 1 :]
    spoilt = {
        "set": content[:at] + junk + content[at + len(junk) :],
        "cut": content[:at],
        "insert": content[:at] + junk + content[at:],
        "remove": content[:at] + content[at + length :],
        "repeat": content[: at + length] + content[at:],
        "splice": content[:at] + content[further : further + len(junk) * 16] + content[at:],
    }
    return spoilt.get(kind, content)


def _swap_token(content: bytes, place: float, other: float, *, swap: bool) -> bytes:
    found = list(_TOKEN.finditer(content))
    if not found:
        return content + _TOKENS[int(other * len(_TOKENS))]
    first, second = (found[int(share * len(found))] for share in (place, other))
    new = second.group() if swap else _TOKENS[int(other * len(_TOKENS))]
    return content[: first.start()] + new + content[first.end() :]


def limit(share: float) -> settings:
    """Return settings that try this share of the profile's examples, none for longer than two seconds."""
    return settings(
        max_examples=max(1, round(share * settings().max_examples)),
        deadline=1000 * HANG_S,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),  # to explain, Hypothesis slows down all that it calls
    )


@contextlib.contextmanager
def trying(kind: str, *, again: bool = False) -> Iterator[None]:
    """Let nothing but the project's own errors pass and cut a hang short; an input tried `again` is not counted."""
    TRIED[kind] += not again
    before = signal.signal(signal.SIGALRM, _interrupt)
    signal.setitimer(signal.ITIMER_REAL, HANG_S)
    try:
        with contextlib.suppress(PipelineError):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    message = f"not done after {HANG_S} s"
    raise HangError(message)


def run_quietly(module: str | None, *arguments: Any) -> Result:
    """Run `python -m MODULE ARGUMENTS` in this process; unlike the fixture it can be called any number of times.

    Without a module, the only argument is a function that is run as the command would be.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", ["command"] if module is None else [module, *map(str, arguments)])
        code = _catch_exit(lambda: run_command(arguments[0]) if module is None else _run_module(module))
    texts = []
    for stream in (out, err):
        stream.seek(0)
        texts.append(stream.read())
    return Result(code, *texts)


def _catch_exit(run: Callable[[], None]) -> int:
    try:
        run()
    except SystemExit as ended:
        return int(ended.code or 0)
    message = "a command line ended without a code"
    raise AssertionError(message)


def check_end(result: Result) -> None:
    """Assert that a command succeeded in silence, or gave up with code 30 and one line that is no defect's."""
    assert "Traceback" not in result.err, result.err
    assert "internal error" not in result.err, result.err
    if result.code == 0:
        assert result.err == ""
    else:
        assert (result.code, result.out) == (30, ""), result
        assert result.err.startswith("error: "), result.err
        assert result.err.count("\n") == 1, result.err
