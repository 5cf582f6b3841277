"""Ways to put a fault into a release that would otherwise go out; each returns the spoilt case.

`after` leaves the manifest as it was, `before` signs the changed bytes: the same fault, made before the manifest.
Whatever must last while the gate judges, such as a process that holds a lock, is undone by the stack.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import validation.evidence
import validation.gate
from pipeline.database_rows import PAGE_BYTES
from pipeline.store import StoreInputs, build_store
from pipeline.vectors import map_array
from tests.releases import build_certificate, write_store
from tests.stores import write_policy
from validation import injectors
from validation.certify import lower_floor
from validation.gate import load_corpus
from validation.latency import LatencyTarget, load_latency, measure_latency
from validation.policy import load_rulebook
from validation.release_case import ReleaseCase, blur, normalise
from validation.spoiling import (
    Part,
    edit_database,
    edit_manifest,
    get_path,
    load_array,
    replace_array,
    sign,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from pipeline.params import CandidateName

    Rows = npt.NDArray[Any]
    Inject = Callable[[ReleaseCase, ExitStack], ReleaseCase]
    Edit = Callable[[bytes], bytes]

ROW_BYTES = 768 * 4
BATCH = 8
# Set by what a pickled payload does when it is run.
PAYLOAD = "FAULTS_PAYLOAD_RAN"

_WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


def take(spoil: Callable[[ReleaseCase], ReleaseCase]) -> Inject:
    """Use a sabotage of the certification as a fault."""
    return lambda case, _stack: spoil(case)


def spoil_store(spoil: Callable[[Path], None], role: CandidateName = "qlora") -> Inject:
    """Spoil a copy of a store."""

    def inject(case: ReleaseCase, _stack: ExitStack) -> ReleaseCase:
        case, store = case.copy_store(role)
        spoil(store)
        return case

    return inject


def after(part: Part, edit: Edit) -> Inject:
    """Change the bytes of a file behind its manifest's back."""

    def spoil(store: Path) -> None:
        path = get_path(store, part)
        path.write_bytes(edit(path.read_bytes()))

    return spoil_store(spoil)


def before(part: Part, edit: Edit) -> Inject:
    """Change the bytes of a file, and let the manifest say so."""

    def spoil(store: Path) -> None:
        path = get_path(store, part)
        path.write_bytes(edit(path.read_bytes()))
        sign(store)

    return spoil_store(spoil)


def change_passages(change: Callable[[Rows], Rows]) -> Inject:
    """Change the passage vectors of the candidate, in matrix and database alike."""
    return take(injectors.change_passages(change))


def change_matrix(change: Callable[[Rows], Rows], part: Part = "embeddings") -> Inject:
    """Change a matrix of the candidate and leave its database as it was."""
    return take(injectors.change_array(part, change))


def change_database(statement: str, *parameters: object) -> Inject:
    """Change the candidate's database by one statement, before the manifest was written."""
    return spoil_store(lambda store: edit_database(store, statement, parameters))


# Bytes


def cut(count: int) -> Edit:
    """Leave out the last bytes."""
    return lambda content: content[:-count]


def append(extra: bytes) -> Edit:
    """Add bytes at the end."""
    return lambda content: content + extra


def put(new: bytes) -> Edit:
    """Put other bytes in the place of all."""
    return lambda _content: new


def zero_tail(content: bytes) -> bytes:
    """Let the last two rows be zeros; the size stays."""
    return content[: -2 * ROW_BYTES] + bytes(2 * ROW_BYTES)


def flip(content: bytes) -> bytes:
    """Flip one bit in the middle."""
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 1
    return bytes(changed)


def swap(old: bytes, new: bytes) -> Edit:
    """Replace the first occurrence of some bytes by as many others."""

    def edit(content: bytes) -> bytes:
        assert len(old) == len(new)
        assert old in content
        return content.replace(old, new, 1)

    return edit


def claim_rows(content: bytes) -> bytes:
    """Let a header claim ten thousand million rows; the file stays as small as it is."""
    shape = f"({(len(content) - 128) // ROW_BYTES}, 768)".encode()
    claimed = b"(10000000000, 768)"
    header = content[:128].replace(shape, claimed).replace(b" " * (len(claimed) - len(shape)) + b"\n", b"\n")
    assert len(header) == 128
    assert claimed in header
    return header + content[128:]


# Vectors


def put_inf(rows: Rows) -> Rows:
    """Put infinity into one row."""
    rows[3, 7] = np.inf
    return rows


def put_zero_row(rows: Rows) -> Rows:
    """Let one row be zero."""
    rows[5] = 0
    return rows


def put_zero_rows(rows: Rows) -> Rows:
    """Let the last two rows be zero, as where a batch was never written."""
    rows[-2:] = 0
    return rows


def equal_rows(rows: Rows) -> Rows:
    """Let every row be the first."""
    rows[:] = rows[0]
    return rows


def lose_dimensions(rows: Rows) -> Rows:
    """Let all but the first 256 dimensions be zero, at unit length."""
    rows[:, 256:] = 0
    return normalise(rows)


def shift(rows: Rows) -> Rows:
    """Move every row to the next place."""
    return np.roll(rows, 1, axis=0)


def leave_memory(rows: Rows) -> Rows:
    """Let the last batch be what happened to lie in memory."""
    rows[-BATCH:] = np.random.default_rng(3).integers(0, 256, (BATCH, ROW_BYTES), dtype=np.uint8).view("<f4")
    return rows


def store_columns(store: Path) -> None:
    """Write a matrix by columns under a header that says by rows."""
    rows = load_array(store, "embeddings")
    replace_array(store, "embeddings", np.ascontiguousarray(rows.T).reshape(rows.shape))


def turn(rows: Rows) -> Rows:
    """Turn vectors into the space of another model."""
    turned = np.linalg.qr(np.random.default_rng(5).standard_normal((768, 768)))[0].astype(np.float32)
    return normalise(rows @ turned)


def store_pickle(store: Path) -> None:
    """Save an array of Python objects, which NumPy pickles, in the place of a matrix; reading it would call `exec`."""

    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return exec, (f"import os; os.environ[{PAYLOAD!r}] = '1'",)

    np.save(get_path(store, "embeddings"), np.array([Payload()], dtype=object), allow_pickle=True)
    sign(store)


def store_archive(store: Path) -> None:
    """Save a NumPy archive under the name of a matrix."""
    path = get_path(store, "embeddings")
    with path.open("wb") as stream:
        np.savez(stream, rows=np.zeros((2, 2), dtype=np.float32))
    sign(store)


# Databases


def connect(store: Path) -> contextlib.closing[sqlite3.Connection]:
    """Open a store's database for whatever a writer may do."""
    return contextlib.closing(sqlite3.connect(get_path(store, "database"), isolation_level=None))


def break_index(store: Path) -> None:
    """Let the index of the ids hold an id that no row has."""
    with connect(store) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_chunks_1'"
        (page,) = connection.execute(query).fetchone()
    path = get_path(store, "database")
    content = path.read_bytes()
    start = (page - 1) * PAGE_BYTES
    index = content[start : start + PAGE_BYTES]
    name = "règles-005".encode()
    assert name in index
    path.write_bytes(content[:start] + index.replace(name, "règles-995".encode(), 1) + content[start + PAGE_BYTES :])
    sign(store)


def edit_text(content: bytes) -> bytes:
    """Change one letter of a passage."""
    return swap(b"cas num\xc3\xa9ro 7.", b"cas num\xc3\xa9ro 9.")(content)


def keep_writing(case: ReleaseCase, stack: ExitStack) -> ReleaseCase:
    """Let a writer have its log open beside the database."""
    case, store = case.copy_store("qlora")
    connection = stack.enter_context(connect(store))
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("UPDATE metadata SET value = value")
    sign(store)

    assert get_path(store, "database").with_name(get_path(store, "database").name + "-wal").exists()

    return case


def leave_stale_log(case: ReleaseCase, stack: ExitStack) -> ReleaseCase:
    """Put the write-ahead log of another version beside the database."""
    case, store = case.copy_store("qlora")
    other = case.folder / "other.db"
    shutil.copyfile(get_path(case.get_store("base"), "database"), other)
    connection = stack.enter_context(contextlib.closing(sqlite3.connect(other, isolation_level=None)))
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("UPDATE chunks SET text = 'other version'")
    path = get_path(store, "database")
    shutil.copyfile(f"{other}-wal", f"{path}-wal")
    return case


def commit_to_log(store: Path) -> None:
    """Leave the last commits in a log that is then lost, with a header that says that there is one."""
    path = get_path(store, "database")
    copy = path.with_name("copy")
    with connect(store) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("UPDATE chunks SET text = text || '.' WHERE rowid = 1")
        shutil.copyfile(path, copy)
    copy.replace(path)
    sign(store)


def leave_journal(store: Path) -> None:
    """Leave the journal of a writer that died."""
    path = get_path(store, "database")
    path.with_name(f"{path.name}-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(504))


def lock(case: ReleaseCase, stack: ExitStack) -> ReleaseCase:
    """Let another process hold the database in a write transaction."""
    case, store = case.copy_store("qlora")
    command = [sys.executable, "-c", _WRITER, str(get_path(store, "database"))]
    writer = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))

    assert writer.stdin is not None
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"locked\n"

    stack.callback(writer.stdin.close)
    return case


# Pairs


def swap_roles(case: ReleaseCase, _stack: ExitStack) -> ReleaseCase:
    """Judge the candidate as the base and the base as the candidate."""
    request = case.corpora[0]
    stores: dict[CandidateName, Path] = {"base": request.stores["qlora"], "qlora": request.stores["base"]}
    return replace(case, corpora=(replace(request, stores=stores),))


def take_other_corpus(case: ReleaseCase, other: Path) -> ReleaseCase:
    """Give the candidate's place to a store of another corpus."""
    request = case.corpora[0]
    return replace(case, corpora=(replace(request, stores={**request.stores, "qlora": other}),), rebinds=True)


def name_one_folder(case: ReleaseCase, _stack: ExitStack) -> ReleaseCase:
    """Let both roles name the folder of the base."""
    return take_other_corpus(case, case.get_store("base"))


def link_file(case: ReleaseCase, link: Callable[[Path, Path], None]) -> ReleaseCase:
    """Let the candidate's matrix be a link to that of a copy of the base."""
    case, base = case.copy_store("base")
    case, store = case.copy_store("qlora")
    path = get_path(store, "embeddings")
    path.unlink()
    link(get_path(base, "embeddings"), path)
    sign(store)
    return case


def build_other_corpus(case: ReleaseCase, _stack: ExitStack) -> ReleaseCase:
    """Build the candidate from chunks of which one is edited, and judge it on the frozen ones."""
    request = case.corpora[0]
    chunks = case.folder / "chunks.json"
    chunks.write_text(request.chunks.read_text("utf-8").replace("cas numéro 7.", "cas numéro 9."), "utf-8")
    edited = replace(request, chunks=chunks, stores={**request.stores, "qlora": case.folder / "edited"})
    store = request.stores["qlora"]
    built = write_store(edited, "qlora", load_array(store, "embeddings"), load_array(store, "questions"))
    return take_other_corpus(case, built)


# Rules, gold sets and evidence


def change_policy(old: str, new: str) -> Inject:
    """Judge by a policy in which a text is replaced."""

    def inject(case: ReleaseCase, _stack: ExitStack) -> ReleaseCase:
        path = write_policy(case.folder, (old, new))
        return replace(case, rulebook=load_rulebook(path, case.rulebook.suites))

    return inject


def change_text(field: str, change: Callable[[str], str]) -> Inject:
    """Judge on a copy of the primary corpus's chunks, questions or qrels that is changed."""

    def inject(case: ReleaseCase, _stack: ExitStack) -> ReleaseCase:
        request = case.corpora[0]
        path: Path = getattr(request, field)
        copy = case.folder / path.name
        copy.write_text(change(path.read_text("utf-8")), "utf-8")
        changed: Any = {field: copy}
        return replace(case, corpora=(replace(request, **changed),))

    return inject


def ask_for_more(case: ReleaseCase, _stack: ExitStack) -> ReleaseCase:
    """Ask for more questions than the gold set has."""
    limits = case.rulebook.policy.limits.model_copy(update={"questions_min": len(case.primary.gold.questions) + 1})
    policy = case.rulebook.policy.model_copy(update={"limits": limits})
    return replace(case, rulebook=replace(case.rulebook, policy=policy))


def time_nothing(case: ReleaseCase, _stack: ExitStack) -> ReleaseCase:
    """Read a latency run in which a time is no number."""
    path = case.folder / "latency.json"
    document = json.dumps(case.latency.model_dump())
    first = str(case.latency.corpora["fr"].operations["open-and-search"].base[0])
    path.write_text(document.replace(first, "NaN", 1), "utf-8")
    return replace(case, latency=load_latency(path))


def train_on_others(case: ReleaseCase, _stack: ExitStack) -> ReleaseCase:
    """Let the candidate say that it was trained on other pairs than those that are searched for leaks."""
    return replace(case, training=replace(case.training, declared="2" * 64))


def outdate_canary(case: ReleaseCase, _stack: ExitStack) -> ReleaseCase:
    """Let the sample that was embedded anew be one of older texts."""
    canary = case.canaries["qlora"]
    older = canary.corpora["fr"].model_copy(update={"chunks_sha256": "0" * 64})
    changed = canary.model_copy(update={"corpora": {**canary.corpora, "fr": older}})
    return replace(case, canaries={**case.canaries, "qlora": changed})


def certify_then_lower(case: ReleaseCase, _stack: ExitStack) -> ReleaseCase:
    """Lower a limit in the change that is to be judged by it."""
    return lower_floor(replace(case, certificate=build_certificate(case.corpora, case.rulebook)))


def certify_then_drop(case: ReleaseCase, _stack: ExitStack) -> ReleaseCase:
    """Take the floor out of the policy after the gate was certified."""
    case = replace(case, certificate=build_certificate(case.corpora, case.rulebook))
    path = write_policy(case.folder, ("floor: RET307", "floor: null"))
    return replace(case, rulebook=load_rulebook(path, case.rulebook.suites))


def drop_prompt(store: Path) -> None:
    """Let the candidate's provenance say that its questions were embedded without their prompt."""
    edit_manifest(store, lambda document: document["model"].update({"question_prompt": "bare {text}"}))


def mix_models(case: ReleaseCase, _stack: ExitStack) -> ReleaseCase:
    """Build a store whose questions another model embedded."""
    request = case.corpora[0]
    stores: dict[CandidateName, Path] = {"base": case.folder / "one", "qlora": case.folder / "other"}
    copy = replace(request, stores=stores)
    for role in stores:
        store = request.stores[role]
        write_store(copy, role, load_array(store, "embeddings"), load_array(store, "questions"))
    one, other = case.folder / "one-vectors", case.folder / "other-vectors"
    inputs = StoreInputs(request.chunks, one / "embeddings.npy", request.questions, other / "questions.npy")
    build_store(inputs, None, case.folder / "mixed")
    return take_other_corpus(case, case.folder / "mixed")


# Machine


def patch(stack: ExitStack) -> pytest.MonkeyPatch:
    """Return what changes a function for as long as the gate judges."""
    return stack.enter_context(pytest.MonkeyPatch.context())


def lack_memory(case: ReleaseCase, stack: ExitStack) -> ReleaseCase:
    """Let there be no memory left when answers are compared."""

    def fail(*_arguments: object) -> None:
        raise MemoryError

    patch(stack).setattr(validation.gate, "compare_answers", fail)
    return case


def take_too_long(case: ReleaseCase, stack: ExitStack) -> ReleaseCase:
    """Let the measurement of the latency have less time than it takes."""
    patch(stack).setattr("validation.latency_rounds.TIMEOUT_S", 0.01)
    stores = case.corpora[0].stores
    target = LatencyTarget("fr", stores["base"], stores["qlora"])
    measure_latency([target], case.folder / "latency.json", rounds=10)
    return case


def replace_after_hash(case: ReleaseCase, stack: ExitStack) -> ReleaseCase:
    """Put another matrix at the path after it was hashed, before it is used."""
    case, store = case.copy_store("qlora")
    read = map_array

    def replace_first(stream: Any, path: Path) -> Any:
        if path == get_path(store, "embeddings"):
            other = case.folder / "other.npy"
            np.save(other, blur(load_array(store, "embeddings"), 1.0, np.random.default_rng(2)))
            other.replace(path)
        return read(stream, path)

    patch(stack).setattr(validation.evidence, "map_array", replace_first)
    return case


def write_in_place(case: ReleaseCase, stack: ExitStack) -> ReleaseCase:
    """Write into the matrix while its answers are compared."""
    case, store = case.copy_store("qlora")
    compare = validation.gate.compare_retrieval

    def write_first(*arguments: Any) -> Any:
        path = get_path(store, "embeddings")
        with path.open("r+b") as stream:
            stream.seek(-1, os.SEEK_END)
            last = stream.read(1)
            stream.seek(-1, os.SEEK_END)
            stream.write(bytes([last[0] ^ 1]))
        return compare(*arguments)

    patch(stack).setattr(validation.gate, "compare_retrieval", write_first)
    return case


def move_to(name: str) -> Inject:
    """Judge stores and texts that lie below a folder of an unusual name."""

    def inject(case: ReleaseCase, _stack: ExitStack) -> ReleaseCase:
        folder = case.folder / name
        folder.mkdir()
        request = case.corpora[0]
        stores: dict[CandidateName, Path] = {
            role: Path(shutil.copytree(store, folder / role)) for role, store in request.stores.items()
        }
        texts = [Path(shutil.copy(path, folder)) for path in (request.chunks, request.questions, request.qrels)]
        moved = replace(request, chunks=texts[0], questions=texts[1], qrels=texts[2], stores=stores)
        return replace(case, corpora=(moved,), gold=(load_corpus(moved),))

    return inject
