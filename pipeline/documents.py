"""Read JSON, JSON Lines, TSV and YAML strictly: no duplicate key, no NaN, no unknown field, no guessed type."""

from __future__ import annotations

import json
import math
import warnings
from datetime import date
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import InputError
from pipeline.files import require_file

if TYPE_CHECKING:
    from pathlib import Path

SHOWN_INPUT = 60
MAX_BYTES = 1 << 30
MAX_DEPTH = 64
MAX_VALUES = 100_000

_NOT_FINITE = "expected a finite number, got NaN or infinity"

# What ruamel.yaml and its constructors raise on junk, a reused anchor being a warning.
_YAML_FAULTS = (YAMLError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError, Warning)

Record = TypeVar("Record", bound=BaseModel)


class Strict(BaseModel):
    """A frozen record whose fields are exactly the declared ones, without type coercion."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def load_json(path: Path, record: type[Record]) -> Record:
    """Read one JSON document as a validated record.

    Raises:
        InputError: no such file, no valid UTF-8 or JSON, a duplicate key, a number that is not finite, or a field
            that breaks the record's schema; the message carries the field's path.
    """
    return parse_json(str(path), read_text(path), record)


def parse_json(where: str, text: str, record: type[Record]) -> Record:
    """Return one validated record from a text that came from `where`. Raises `InputError` like `load_json`."""
    # What is read here is let go again before pydantic reads the text by itself: a large document is held once.
    _require_plain(where, _read_json(where, text))
    return _validate_text(where, text, record)


def _read_json(where: str, text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise InputError(where, f"not valid JSON at {place}: {error.msg}", "mend the file") from error
    except (ValueError, RecursionError) as error:
        raise InputError(where, str(error), "mend the file") from error


def load_jsonl(path: Path, record: type[Record]) -> list[Record]:
    """Read one validated record a line; blank lines are refused. Raises `InputError` like `load_json`."""
    return parse_jsonl(str(path), read_text(path), record)


def parse_jsonl(where: str, text: str, record: type[Record]) -> list[Record]:
    """Return a validated record a line of a text that came from `where`. Raises `InputError` like `load_json`."""
    lines = _split_lines(text)
    return [parse_json(f"{where}:{number}", line, record) for number, line in enumerate(lines, 1)]


def load_tsv(path: Path, header: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Read a tab-separated file whose first line is `header`.

    Raises:
        InputError: another header, or a row with another number of cells.
    """
    rows = [tuple(line.split("\t")) for line in _split_lines(read_text(path))]
    if not rows or rows[0] != header:
        found = list(rows[0]) if rows else "an empty file"
        raise InputError(f"{path}:1", f"expected the header {list(header)}, got {found}", "add the BEIR header line")
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            message = f"expected {len(header)} tab-separated cells, got {len(row)}"
            raise InputError(f"{path}:{number}", message, "mend the line")
    return rows[1:]


def load_yaml(path: Path, record: type[Record]) -> Record:
    """Read one YAML 1.2 document as a validated record. Raises `InputError` like `load_json`."""
    text = read_text(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            document = YAML(typ="safe", pure=True).load(text)
    except _YAML_FAULTS as error:
        raise InputError(path, f"not valid YAML: {error}", "mend the file") from error
    if not _is_small(document):
        raise InputError(path, f"expected at most {MAX_VALUES} values, aliases counted out", "repeat less")
    return _validate_text(str(path), _dump(path, document), record)


def _is_small(document: object) -> bool:
    """Return whether a document has no more values than it may; an alias of an alias makes billions of a few lines."""
    waiting, count = [document], 0
    while waiting and count <= MAX_VALUES:
        value = waiting.pop()
        count += 1
        waiting += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return count <= MAX_VALUES


def _dump(path: Path, document: object) -> str:
    try:
        text = json.dumps(document, default=_spell_day)
    except (TypeError, ValueError) as error:
        raise InputError(path, f"not plain data: {error}", "use strings, finite numbers, lists and maps") from error
    _require_plain(str(path), document)
    return text


def _spell_day(value: object) -> str:
    """Return a day as JSON has it; YAML reads `2027-01-31` as one."""
    if type(value) is not date:
        message = f"{value!r} is no plain value"
        raise TypeError(message)
    return value.isoformat()


def _require_plain(where: str, document: object) -> None:
    fault = _find_fault(document)
    if fault is not None:
        field, problem = fault[0].lstrip("."), fault[1]
        place = f"{where}: {field if problem == _NOT_FINITE else field[:SHOWN_INPUT]}"
        raise InputError(place, problem, "mend that field")


def _find_fault(value: object, depth: int = 0) -> tuple[str, str] | None:
    """Return the path to the first field that is not finite or too deep, with what is wrong, or None."""
    if isinstance(value, float):
        return None if math.isfinite(value) else ("", _NOT_FINITE)
    if not isinstance(value, dict | list):
        return None
    if value and depth >= MAX_DEPTH:
        return "", f"expected at most {MAX_DEPTH} levels"
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        # Most parts are texts and whole numbers. The path is put together on the way back, so only where it is told.
        if isinstance(part, dict | list | float) and (fault := _find_fault(part, depth + 1)) is not None:
            return (f".{key}" if isinstance(value, dict) else f"[{key}]") + fault[0], fault[1]
    return None


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file. Raises `InputError` for another encoding, no file, or one above 1 GiB."""
    require_file(path)
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise InputError(path, f"expected at most {MAX_BYTES} bytes, got {size}", "name the right file")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(path, f"not UTF-8 at byte {error.start}", "save the file as UTF-8") from error


def _split_lines(text: str) -> list[str]:
    # Not `splitlines`: U+2028 and its like may stand inside a JSON string.
    return text.removesuffix("\n").split("\n") if text else []


def _validate_text(where: str, text: str, record: type[Record]) -> Record:
    try:
        return record.model_validate_json(text, strict=True)
    except ValidationError as error:
        _refuse(where, error)


def _refuse(where: str, error: ValidationError) -> NoReturn:
    first, *others = error.errors(include_url=False)
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    message = first["msg"].replace("Input should be", "expected").removeprefix("Value error, ")
    if first["type"] not in {"missing", "value_error"}:
        message += f", got {json.dumps(first['input'], ensure_ascii=False, default=str)[:SHOWN_INPUT]}"
    if others:
        message += f" (and {len(others)} more)"
    raise InputError(f"{where}: {field}" if field else where, message, "mend that field") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) == len(pairs):
        return record
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            message = f"duplicate key {json.dumps(key, ensure_ascii=False)}"
            raise ValueError(message)
        seen.add(key)
    return record
