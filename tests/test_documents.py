"""Strict reading of JSON, JSON Lines, TSV and YAML."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.documents import MAX_BYTES, MAX_DEPTH, Strict, load_json, load_jsonl, load_tsv, load_yaml
from pipeline.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Part(Strict):
    """A nested record."""

    name: str
    weight: float = 1.0


class Whole(Strict):
    """A record with a list of others."""

    count: int
    parts: list[Part]


class Free(Strict):
    """A record that holds anything."""

    value: Any


class Days(Strict):
    """A record with a day."""

    start: date
    label: str


GOOD = {"count": 1, "parts": [{"name": "é", "weight": 0.5}]}
LOADERS = {"json": load_json, "yaml": load_yaml}

BAD_JSON = {
    "empty": (b"", "not valid JSON at line 1 column 1"),
    "cut": (b'{"count": 1, "parts": [', "not valid JSON at line 1 column 24"),
    "trailing comma": (b'{"count": 1,\n "parts": [],\n}', "not valid JSON at line 3 column 1"),
    "byte order mark": (b'\xef\xbb\xbf{"count": 1, "parts": []}', "BOM"),
    "Latin-1": ('{"count": 1, "parts": [{"name": "é"}]}'.encode("latin-1"), "not UTF-8 at byte 33"),
    "duplicate key": (b'{"count": 1, "count": 2, "parts": []}', 'duplicate key "count"'),
    "nested duplicate key": (b'{"count": 1, "parts": [{"name": "a", "name": "a"}]}', 'duplicate key "name"'),
    "NaN": (b'{"count": 1, "parts": [{"name": "a", "weight": NaN}]}', "parts[0].weight: expected a finite number"),
    "infinity": (
        b'{"count": 1, "parts": [{"name": "a", "weight": -Infinity}]}',
        "parts[0].weight: expected a finite number",
    ),
    "overflow": (
        b'{"count": 1, "parts": [{"name": "a", "weight": 1e999}]}',
        "parts[0].weight: expected a finite number",
    ),
    "missing field": (b'{"count": 1, "parts": [{"weight": 1}]}', "parts[0].name: Field required"),
    "unknown field": (b'{"count": 1, "parts": [{"name": "a", "wieght": 2}]}', "parts[0].wieght: Extra inputs"),
    "text for a number": (b'{"count": "1", "parts": []}', 'count: expected a valid integer, got "1"'),
    "fraction for a whole number": (b'{"count": 1.5, "parts": []}', "count: expected a valid integer, got 1.5"),
    "true for a number": (b'{"count": true, "parts": []}', "count: expected a valid integer, got true"),
    "null for text": (b'{"count": 1, "parts": [{"name": null}]}', "parts[0].name: expected a valid string, got null"),
    "list for a map": (b"[]", "expected an object, got []"),
    "several faults": (b'{"count": "1", "parts": [{}, {}]}', "(and 2 more)"),
    "bottomless nesting": (b'{"count": ' + b"[" * 100_000, "recursion"),
    "half a character": (b'{"count": 1, "parts": [{"name": "\\ud800"}]}', "end of hex escape at line 1 column 40"),
    "endless number": (b'{"count": ' + b"9" * 5000 + b', "parts": []}', "digits"),
}

BAD_YAML = {
    "empty": ("", "expected an object, got null"),
    "bad indentation": ("count: 1\n  parts: []\n", "not valid YAML"),
    "duplicate key": ("count: 1\ncount: 2\nparts: []\n", 'duplicate key "count"'),
    "not a number": ("count: 1\nparts: [{name: a, weight: .nan}]\n", "parts[0].weight: expected a finite number"),
    "infinity": ("count: 1\nparts: [{name: a, weight: .inf}]\n", "parts[0].weight: expected a finite number"),
    "time stamp": ("count: 1\nparts: [{name: 2026-01-25T10:00:00}]\n", "not plain data"),
    "time stamp with a zone": ("count: 1\nparts: [{name: 2026-01-25T10:00:00Z}]\n", "not plain data"),
    "day for a number": ("count: 2026-01-25\nparts: []\n", 'count: expected a valid integer, got "2026-01-25"'),
    "impossible date": ("count: 1\nparts: [{name: 2026-99-99}]\n", "not valid YAML"),
    "code": ("count: !!python/object/apply:os.getpid []\nparts: []\n", "not valid YAML"),
    "false tag": ("count: !!int many\nparts: []\n", "not valid YAML"),
    "alias of itself": ("count: 1\nparts: &a [*a]\n", "expected at most 100000 values, aliases counted out"),
    "bottomless nesting": ("count: " + "[" * 600, "recursion"),
    "two documents": ("count: 1\nparts: []\n---\ncount: 2\nparts: []\n", "single document"),
    "unknown key": ("count: 1\nparts: []\nrest: 1\n", "rest: Extra inputs are not permitted, got 1"),
    "missing key": ("parts: []\n", "count: Field required"),
    "text for a number": ("count: '1'\nparts: []\n", 'count: expected a valid integer, got "1"'),
    "yes for a number": ("count: yes\nparts: []\n", 'count: expected a valid integer, got "yes"'),
}

BAD_TSV = {
    "empty": ("", 1, "got an empty file"),
    "no header": ("q1\tc1\n", 1, "expected the header ['left', 'right'], got ['q1', 'c1']"),
    "commas": ("left,right\nq1,c1\n", 1, "got ['left,right']"),
    "short row": ("left\tright\nq1\tc1\nq2\n", 3, "expected 2 tab-separated cells, got 1"),
    "long row": ("left\tright\nq1\tc1\t1\n", 2, "expected 2 tab-separated cells, got 3"),
    "blank line": ("left\tright\nq1\tc1\n\n", 3, "expected 2 tab-separated cells, got 1"),
}

# Everything that can stand in UTF-8, the line separators that `str.splitlines` knows among it.
texts = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\u2028\u2029\x85\x1c\x0b\x0c"), max_size=12)


@pytest.mark.parametrize("kind", LOADERS)
def test_a_good_document_becomes_a_record(tmp_path: Path, kind: str) -> None:
    """JSON is YAML, so both readers give the same frozen record."""
    path = tmp_path / "document"
    path.write_text(json.dumps(GOOD, ensure_ascii=False), encoding="utf-8")

    assert LOADERS[kind](path, Whole) == Whole(count=1, parts=[Part(name="é", weight=0.5)])


def test_a_day_is_read_as_a_day(tmp_path: Path) -> None:
    """What YAML reads as a day is the day in a field for one, and its text where text is asked for."""
    path = tmp_path / "days.yaml"
    path.write_text("start: 2027-01-31\nlabel: 2027-01-31\n", encoding="utf-8")

    assert load_yaml(path, Days) == Days(start=date(2027, 1, 31), label="2027-01-31")


def test_records_are_frozen() -> None:
    """A record that was read cannot be changed afterwards."""
    part = Part(name="a")

    with pytest.raises(ValueError, match="frozen"):
        part.name = "b"  # type: ignore[misc]


@pytest.mark.parametrize(("content", "fault"), BAD_JSON.values(), ids=BAD_JSON)
def test_bad_json_is_refused_with_its_place(tmp_path: Path, content: bytes, fault: str) -> None:
    """Whatever is wrong with a JSON file, the error names the file, the field or position, and what was found."""
    path = tmp_path / "bad.json"
    path.write_bytes(content)

    with pytest.raises(InputError) as refusal:
        load_json(path, Whole)

    assert refusal.value.where.startswith(str(path))
    assert fault in str(refusal.value)


@pytest.mark.parametrize(("content", "fault"), BAD_YAML.values(), ids=BAD_YAML)
def test_bad_yaml_is_refused_with_its_place(tmp_path: Path, content: str, fault: str) -> None:
    """Whatever is wrong with a YAML file, the error names the file, the field or position, and what was found."""
    path = tmp_path / "bad.yaml"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(InputError) as refusal:
        load_yaml(path, Whole)

    assert refusal.value.where.startswith(str(path))
    assert fault in str(refusal.value)


@pytest.mark.parametrize(
    "load",
    [
        lambda path: load_json(path, Whole),
        lambda path: load_jsonl(path, Whole),
        lambda path: load_yaml(path, Whole),
        lambda path: load_tsv(path, ("left", "right")),
    ],
    ids=["json", "jsonl", "yaml", "tsv"],
)
def test_a_path_without_a_file_is_refused(tmp_path: Path, load: Callable[[Path], object]) -> None:
    """A missing file and a folder in its place are told apart."""
    with pytest.raises(InputError, match="expected a file, but it does not exist; check the path"):
        load(tmp_path / "missing")
    with pytest.raises(InputError, match="expected a file, but it is a folder; check the path"):
        load(tmp_path)


@settings(max_examples=40, deadline=None)
@given(names=st.lists(texts, max_size=5), last_newline=st.booleans())
def test_every_text_survives_json_lines(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], *, last_newline: bool
) -> None:
    """Only a line feed ends a line: a text with any other separator in it comes back whole, in order."""
    path = tmp_path_factory.getbasetemp() / "lines.jsonl"
    lines = "\n".join(json.dumps({"name": name}, ensure_ascii=False) for name in names)
    path.write_text(lines + ("\n" if names and last_newline else ""), encoding="utf-8")

    assert [part.name for part in load_jsonl(path, Part)] == names


@pytest.mark.parametrize(
    ("content", "number", "fault"),
    [
        ('{"name": "a"}\n\n{"name": "b"}\n', 2, "not valid JSON"),
        ('{"name": "a"}\n{"name": "b"}\n\n', 3, "not valid JSON"),
        ('{"name": "a"}\n{"name": 2}\n', 2, "name: expected a valid string, got 2"),
        ('{"name": "a"} {"name": "b"}\n', 1, "Extra data"),
    ],
    ids=["blank line", "blank last line", "wrong type", "two on a line"],
)
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, content: str, number: int, fault: str) -> None:
    """One bad line refuses the file, and the error says which line."""
    path = tmp_path / "bad.jsonl"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(InputError) as refusal:
        load_jsonl(path, Part)

    assert refusal.value.where.startswith(f"{path}:{number}")
    assert fault in str(refusal.value)


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["unix", "windows"])
def test_tab_separated_cells_are_taken_as_they_stand(tmp_path: Path, newline: str) -> None:
    """Quotes are ordinary characters, cells may be long or empty, and either line ending will do."""
    path = tmp_path / "rows.tsv"
    rows = [('"q1', 'l\'"autre"'), ("q2", ""), ("q3\u2028", "x" * 200_000)]
    lines = ["left\tright", *("\t".join(row) for row in rows)]
    path.write_bytes("".join(line + newline for line in lines).encode())

    assert load_tsv(path, ("left", "right")) == rows


@pytest.mark.parametrize(("content", "number", "fault"), BAD_TSV.values(), ids=BAD_TSV)
def test_a_bad_table_is_refused_with_its_row(tmp_path: Path, content: str, number: int, fault: str) -> None:
    """A table without its header, or with a row of another width, is refused by line number."""
    path = tmp_path / "bad.tsv"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(InputError) as refusal:
        load_tsv(path, ("left", "right"))

    assert refusal.value.where == f"{path}:{number}"
    assert fault in refusal.value.problem


READERS: dict[str, Callable[[Path], object]] = {
    "json": lambda path: load_json(path, Part),
    "jsonl": lambda path: load_jsonl(path, Part),
    "yaml": lambda path: load_yaml(path, Part),
    "tsv": lambda path: load_tsv(path, ("left", "right")),
}


@pytest.mark.parametrize("load", READERS.values(), ids=READERS)
def test_a_file_of_absurd_size_is_not_read(tmp_path: Path, load: Callable[[Path], object]) -> None:
    """Above 1 GiB no file is opened; what it was and how large it is are told."""
    path = tmp_path / "large"
    with path.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)

    with pytest.raises(InputError) as refusal:
        load(path)

    assert MAX_BYTES == 1_073_741_824
    assert refusal.value.where == str(path)
    assert refusal.value.problem == "expected at most 1073741824 bytes, got 1073741825"


def test_a_file_of_the_largest_size_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit itself is allowed, and counted in bytes, not in letters."""
    path = tmp_path / "part.json"
    path.write_text('{"name": "é"}', encoding="utf-8")
    monkeypatch.setattr("pipeline.documents.MAX_BYTES", 14)

    assert load_json(path, Part).name == "é"

    path.write_text('{"name": "éa"}', encoding="utf-8")
    with pytest.raises(InputError, match="expected at most 14 bytes, got 15"):
        load_json(path, Part)


def nest(levels: int, kind: str) -> str:
    """Return lists or maps within each other, as JSON."""
    start, end = ("[", "]") if kind == "list" else ('{"a": ', "}")
    return start * levels + "1" + end * levels


@pytest.mark.parametrize("kind", ["list", "map"])
@pytest.mark.parametrize(
    "load", [load_json, load_yaml, lambda path, record: load_jsonl(path, record)[0]], ids=["json", "yaml", "jsonl"]
)
def test_documents_are_at_most_64_levels_deep(tmp_path: Path, load: Callable[..., Free], kind: str) -> None:
    """The 64th level is read, the 65th is refused with its place; the record itself is the first."""
    path = tmp_path / "deep"
    path.write_text(f'{{"value": {nest(MAX_DEPTH - 1, kind)}}}', encoding="utf-8")

    assert load(path, Free).value == json.loads(nest(63, kind))

    for levels in (64, 100):
        path.write_text(f'{{"value": {nest(levels, kind)}}}', encoding="utf-8")
        with pytest.raises(InputError) as refusal:
            load(path, Free)

        assert refusal.value.where.startswith(str(path))
        assert "value[0][0]" in refusal.value.where if kind == "list" else "value.a.a" in refusal.value.where
        assert refusal.value.problem == "expected at most 64 levels"
