"""`python -m validation gate` from its command line to exit code, table and decision.json."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.params import BUILD, PROJECT_ROOT, load_params
from tests.conftest import Sample, build_sample_store
from tests.stores import build_request, edit_database, get_path, list_options, write_pair
from validation.__main__ import list_release_requests
from validation.policy import EXPECTATIONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Result

    Run = Callable[..., Result]


def write_options(folder: Path, base_hits: int, candidate_hits: int) -> list[object]:
    """Write two stores and return the command line that compares them."""
    return list_options(
        build_request(*write_pair(folder, base_hits=base_hits, candidate_hits=candidate_hits)), folder / "reports"
    )


def read_record(folder: Path) -> dict[str, Any]:
    """Read the decision that a run left in `reports`."""
    record: dict[str, Any] = json.loads((folder / "reports" / "decision.json").read_text(encoding="utf-8"))
    return record


def count_partials(folder: Path) -> int:
    """Return how many unfinished files lie below a folder."""
    return len(list(folder.rglob("*.partial*")))


@pytest.mark.parametrize(
    ("hits", "decision", "code", "outcome"),
    [
        ((40, 80), "RELEASE", 0, "PASS"),
        ((40, 41), "KEEP", 20, "INCONCLUSIVE"),
        ((80, 40), "KEEP", 20, "FAIL"),
    ],
    ids=["gain shown", "gain not shown", "loss shown"],
)
def test_two_stores_are_compared(
    tmp_path: Path, run_cli: Run, hits: tuple[int, int], decision: str, code: int, outcome: str
) -> None:
    """Exit code, table and record say the same: RELEASE for a shown gain, KEEP for a loss or what is not shown."""
    result = run_cli("validation", *write_options(tmp_path, *hits))
    record = read_record(tmp_path)
    superiority = next(check for check in record["checks"] if check["id"] == "RET301")

    assert (result.code, result.err) == (code, "")
    assert f" {decision} " in result.out
    assert (record["decision"], record["exit_code"], record["policy"]) == (decision, code, "comparison")
    assert superiority["outcome"] == outcome
    assert "RET307" not in {check["id"] for check in record["checks"]}
    assert count_partials(tmp_path) == 0


def test_bytes_that_changed_are_not_evaluated(tmp_path: Path, run_cli: Run) -> None:
    """A store whose bytes are not those of its manifest gives exit code 30 and a record that says which."""
    options = write_options(tmp_path, 40, 80)
    path = get_path(tmp_path / "qlora", "database")
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    result = run_cli("validation", *options)
    record = read_record(tmp_path)

    assert (result.code, record["decision"]) == (30, "NOT_EVALUATED")
    assert record["reasons"] == ["INT101 qlora/fr: ERROR, corpus_mode_b_fr.db: SHA-256 differs from the manifest"]
    assert record["retrieval"] == {}


def test_a_base_that_is_gone_stops_the_release(tmp_path: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without options the built stores are judged for release, and a base that is not there is HALT, exit code 40."""
    monkeypatch.setattr("validation.__main__.BUILD", tmp_path / "build")
    (tmp_path / "build" / "qlora" / "fr").mkdir(parents=True)
    result = run_cli("validation", "gate", "--output", tmp_path / "reports")
    record = read_record(tmp_path)

    assert (result.code, record["decision"], record["policy"]) == (40, "HALT", "release")
    assert record["reasons"][0].startswith("INT101 base/fr: ERROR, ")
    assert "RET307" in {check["id"] for check in record["checks"]}


def test_nothing_built_is_no_halt(tmp_path: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first build the gate says in one line what to run, and writes no decision."""
    monkeypatch.setattr("validation.__main__.BUILD", tmp_path / "absent")
    result = run_cli("validation", "gate", "--output", tmp_path / "reports")

    assert (result.code, result.err.count("\n")) == (30, 1)
    assert "no store has been built yet" in result.err
    assert "nox -s gate" in result.err
    assert not (tmp_path / "reports").exists()


def test_every_corpus_is_judged_for_release() -> None:
    """What is judged without options are both built stores of every corpus, bound to what params.yaml declares."""
    params = load_params()
    requests = list_release_requests(params)

    assert [request.chunks for request in requests] == [corpus.chunks for corpus in params.corpora]
    assert [request.total for request in requests] == [corpus.total for corpus in params.corpora]
    assert [request.primary for request in requests].count(True) == 1
    for request, corpus in zip(requests, params.corpora, strict=True):
        assert request.stores == {"base": BUILD / "base" / corpus.name, "qlora": BUILD / "qlora" / corpus.name}
        assert request.model_ids == {"base": params.get_model_id("base"), "qlora": params.get_model_id("qlora")}


def test_the_record_has_the_fields_that_readers_rely_on(tmp_path: Path, run_cli: Run) -> None:
    """Top level, checks, retrieval and inputs carry the documented fields, no more and no less at the top."""
    run_cli("validation", *write_options(tmp_path, 40, 80))
    record = read_record(tmp_path)
    recall = record["retrieval"]["fr"]["recall@5"]
    check_fields = {"id", "requirement", "subject", "outcome", "observed", "limit", "unit", "n", "interval", "remedy"}

    assert list(record) == [
        "schema_version", "policy", "decision", "exit_code", "reasons", "checks", "retrieval", "inputs",
    ]  # fmt: skip
    assert record["schema_version"] == 1
    assert all(set(check) >= check_fields for check in record["checks"])
    assert all(check["requirement"] and check["unit"] and check["remedy"] for check in record["checks"])
    assert set(record["retrieval"]["fr"]) == {"recall@1", "recall@5", "recall@10", "recall@100", "mrr@10", "ndcg@10"}
    assert recall["base"] == {"hits": 40, "n": 120, "value": pytest.approx(1 / 3)}
    assert recall["candidate"] == {"hits": 80, "n": 120, "value": pytest.approx(2 / 3)}
    assert recall["difference"] == pytest.approx(1 / 3)
    assert set(recall["interval"]) == {"lower", "upper", "level"}


def test_every_input_is_recorded_with_its_digest(tmp_path: Path, run_cli: Run) -> None:
    """Policy, catalogue, suites, corpus, gold set and every file of both stores are named with their SHA-256."""
    run_cli("validation", *write_options(tmp_path, 40, 80))
    inputs = read_record(tmp_path)["inputs"]
    suites = {f"suite_{path.stem}" for path in (EXPECTATIONS / "suites").glob("*.json")}
    corpus = {f"fr/{name}" for name in ("chunks", "questions", "qrels")}
    stores = {
        f"{role}/fr/{name}"
        for role in ("base", "qlora")
        for name in ("manifest", "embeddings", "questions", "database")
    }

    assert set(inputs) == {"policy", "checks"} | suites | corpus | stores
    assert inputs["policy"]["path"] == "expectations/policy.yaml"
    for name, entry in inputs.items():
        content = (PROJECT_ROOT / entry["path"]).read_bytes()

        assert entry["sha256"] == hashlib.sha256(content).hexdigest(), name


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gate", "--base", "x"], "go together"),
        (["gate", "--base", "a", "--candidate", "b", "--chunks", "c", "--questions", "d"], "go together"),
        (["gate", "--qrels", "x"], "go together"),
        (["gate", "--colour", "red"], "--colour"),
        (["gate", "--output"], "--output"),
        (["gate", "extra"], "extra"),
        (["judge"], "judge"),
    ],
    ids=["base only", "one missing", "qrels only", "unknown option", "no value", "unknown argument", "unknown command"],
)
def test_wrong_usage_is_exit_code_2(
    tmp_path: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    """A command line that cannot be meant is refused before anything is read or written."""
    monkeypatch.chdir(tmp_path)
    result = run_cli("validation", *arguments)

    assert (result.code, result.out) == (2, "")
    assert len(result.err.splitlines()) == 1
    assert result.err.startswith("error: ")
    assert said in result.err
    assert list(tmp_path.iterdir()) == []


def test_no_argument_shows_the_help(run_cli: Run) -> None:
    """Without a command the exit code is that of wrong usage, and the commands are listed."""
    result = run_cli("validation")

    assert result.code == 2
    assert "gate" in result.out + result.err


def test_help_names_every_exit_code(run_cli: Run) -> None:
    """The meaning of each exit code can be read from the command line."""
    result = run_cli("validation", "--help")
    said = " ".join(result.out.split())

    assert result.code == 0
    assert "0 RELEASE, 20 KEEP, 30 NOT_EVALUATED, 40 HALT, 2 wrong usage" in said


def replace_text(name: str, old: str, new: str) -> Callable[[Sample], tuple[Path, str]]:
    """Return a sabotage of one file of a corpus that also says where the error is."""

    def change(sample: Sample) -> tuple[Path, str]:
        path: Path = getattr(sample, name)
        text = path.read_text(encoding="utf-8")

        assert old in text

        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return path, new

    return change


INPUTS = {
    "chunks: other total": (replace_text("chunks", '"total": 6', '"total": 7'), "total says 7, but there are 6 chunks"),
    "chunks: duplicate key": (replace_text("chunks", '"total": 6', '"total": 6, "total": 6'), 'duplicate key "total"'),
    "chunks: not a number": (replace_text("chunks", '"tokens": 20', '"tokens": NaN'), "NaN"),
    "chunks: boolean page": (replace_text("chunks", '"page": 1', '"page": true'), "chunks[0].page:"),
    "chunks: duplicate id": (replace_text("chunks", "règles-001", "règles-000"), "chunks[1].id: duplicate"),
    "questions: duplicate id": (replace_text("questions", '"q1"', '"q0"'), "_id: duplicate of line 1"),
    "questions: no JSON": (replace_text("questions", '{"_id": "q1"', '"_id": "q1"'), ":2"),
    "qrels: unknown chunk": (replace_text("qrels", "règles-002", "règles-999"), "règles-999"),
    "qrels: unknown question": (replace_text("qrels", "q3\t", "q999\t"), "q999"),
    "qrels: no header": (replace_text("qrels", "query-id\t", "query\t"), ":1"),
}


@pytest.mark.parametrize(("sabotage", "said"), INPUTS.values(), ids=INPUTS)
def test_bad_input_is_one_line_and_exit_code_30(
    tmp_path: Path, run_cli: Run, sabotage: Callable[[Sample], tuple[Path, str]], said: str
) -> None:
    """A malformed corpus or gold set is named by file and field; no decision is written, an old one is untouched."""
    sample, base, candidate = write_pair(tmp_path, base_hits=2, candidate_hits=4, rows=6)
    options = list_options(build_request(sample, base, candidate), tmp_path / "reports")
    path, _ = sabotage(sample)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "decision.json").write_text("old", encoding="utf-8")
    result = run_cli("validation", *options)

    assert (result.code, result.out) == (30, "")
    assert len(result.err.splitlines()) == 1
    assert result.err.startswith(f"error: {path}")
    assert said in result.err
    assert [(file.name, file.read_text("utf-8")) for file in (tmp_path / "reports").iterdir()] == [
        ("decision.json", "old")
    ]


@pytest.mark.parametrize("option", ["chunks", "questions", "qrels"])
def test_a_missing_file_is_named(tmp_path: Path, run_cli: Run, option: str) -> None:
    """A path that leads nowhere gives one line and no folder for the report."""
    sample, base, candidate = write_pair(tmp_path, base_hits=2, candidate_hits=4, rows=6)
    path: Path = getattr(sample, option)
    path.unlink()
    result = run_cli("validation", *list_options(build_request(sample, base, candidate), tmp_path / "reports"))

    assert result.code == 30
    assert result.err == f"error: {path}: expected a file, but it does not exist; check the path\n"
    assert not (tmp_path / "reports").exists()


def test_a_report_that_cannot_be_written_is_exit_code_30(tmp_path: Path, run_cli: Run) -> None:
    """Where the report's folder is a file the run ends with one line; a verdict that is not recorded is none."""
    sample, base, candidate = write_pair(tmp_path, base_hits=2, candidate_hits=4, rows=6)
    (tmp_path / "reports").write_text("a file", encoding="utf-8")
    result = run_cli("validation", *list_options(build_request(sample, base, candidate), tmp_path / "reports"))

    assert (result.code, result.out) == (30, "")
    assert len(result.err.splitlines()) == 1
    assert str(tmp_path / "reports") in result.err
    assert (tmp_path / "reports").read_text(encoding="utf-8") == "a file"


ENVIRONMENTS: dict[str, tuple[dict[str, str], list[str], bool]] = {
    "one thread, ASCII terminal": (
        {
            "PYTHONHASHSEED": "1",
            "TZ": "Pacific/Kiritimati",
            "LC_ALL": "C",
            "OMP_NUM_THREADS": "1",
            "PYTHONIOENCODING": "ascii",
        },
        [],
        False,
    ),
    "two threads, optimised, elsewhere": (
        {"PYTHONHASHSEED": "2", "TZ": "America/Adak", "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "2", "COLUMNS": "40"},
        ["-O"],
        True,
    ),
}


def test_the_same_evidence_gives_the_same_bytes_everywhere(tmp_path: Path, run_cli: Run) -> None:
    """Hash seed, clock, locale, working folder, threads, `-O` and terminal change no byte of the decision."""
    options = write_options(tmp_path, 40, 41)
    here = run_cli("validation", *options)
    expected = (tmp_path / "reports" / "decision.json").read_bytes()
    runs = {}
    for name, (environment, flags, elsewhere) in ENVIRONMENTS.items():
        command = [sys.executable, *flags, "-m", "validation", *map(str, options[:-1]), str(tmp_path / name)]
        runs[name] = subprocess.Popen(
            command,
            cwd=tmp_path if elsewhere else PROJECT_ROOT,
            env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT), **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
    ended = {name: (run.communicate()[1], run.returncode) for name, run in runs.items()}

    assert here.code == 20
    assert ended == dict.fromkeys(ENVIRONMENTS, (b"", 20))
    for name in ENVIRONMENTS:
        assert (tmp_path / name / "decision.json").read_bytes() == expected, name


HOSTILE = "[/b] [red]x\x1b[2J :smile: \u202eabc"


def test_hostile_text_is_shown_and_not_obeyed(tmp_path: Path, run_cli: Run) -> None:
    """Markup and terminal codes in labels, ids and texts neither break the table nor reach the terminal."""
    sample, base, _ = write_pair(tmp_path, base_hits=40, candidate_hits=80)
    for path in (sample.chunks, sample.questions, sample.qrels):
        text = path.read_text(encoding="utf-8")
        mark = json.dumps(HOSTILE)[1:-1] if path != sample.qrels else HOSTILE
        path.write_text(text.replace("règles-003", f"règles-003{mark}").replace("Article 3", mark), encoding="utf-8")
    base = build_sample_store(sample, tmp_path / "first", model_id=HOSTILE, hits=40, seed=1)
    candidate = build_sample_store(sample, tmp_path / "second", model_id=f"{HOSTILE}2", hits=80, seed=2)
    edit_database(candidate, "UPDATE metadata SET value = value || 'x' WHERE key = 'model_id'")
    (base / f"notes{HOSTILE.replace('/', '')}").write_text("", encoding="utf-8")
    result = run_cli("validation", *list_options(build_request(sample, base, candidate), tmp_path / "reports"))

    assert (result.code, result.err) == (30, "")
    assert "\x1b" not in result.out
    assert "\u202e" not in result.out
    assert "[red]x" in result.out
    assert ":smile:" in result.out


def test_a_hostile_corpus_name_is_refused(tmp_path: Path, run_cli: Run) -> None:
    """A corpus names files and titles, so a name that is markup or a terminal code is no name."""
    sample, base, candidate = write_pair(tmp_path, base_hits=2, candidate_hits=4, rows=6)
    text = sample.chunks.read_text(encoding="utf-8")
    sample.chunks.write_text(text.replace('"corpus": "fr"', '"corpus": "[b]\\u001b"'), encoding="utf-8")
    result = run_cli("validation", *list_options(build_request(sample, base, candidate), tmp_path / "reports"))

    assert (result.code, result.out) == (30, "")
    assert result.err.startswith(f"error: {sample.chunks}: corpus: ")
    assert "\x1b" not in result.err
