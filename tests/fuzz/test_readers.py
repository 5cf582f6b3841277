"""Every reader and light command line on spoilt input: a value, or an error of the project, within bounds."""

from __future__ import annotations

import json
import resource
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.canary import Canary, CorpusCanary, describe_sample
from pipeline.chunks import load_chunks
from pipeline.database import load_matrix, load_metadata, load_rows, open_database
from pipeline.database_schema import find_structure_fault
from pipeline.documents import load_json
from pipeline.gold import load_gold, load_questions
from pipeline.model_folder import IDENTITY_FILE, check_model_folder
from pipeline.params import PROJECT_ROOT, load_params
from pipeline.store import Manifest
from pipeline.vectors import load_header, load_vectors, map_array, save_vectors
from tests.conftest import IDENTITY, build_sample_store, draw_unit_vectors, write_sample
from tests.fuzz.spoil import TRIED, Spoiling, check_end, draw_spoiling, limit, run_quietly, trying
from tests.records import make_check, make_flip, make_interval_check, make_metric, make_record
from tests.releases import build_latency
from tests.stores import build_request, load_sample
from validation.certificate import Certificate, Finding, NullRuns, Trial
from validation.document import Record, WaiverRecord
from validation.evidence import collect_store
from validation.latency import LatencyEvidence
from validation.outcomes import Interval, Outcome, Verdict
from validation.policy import load_rulebook
from validation.slices import SliceResult

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

    from tests.conftest import Sample
    from validation.evidence import CorpusEvidence

ROWS = 3
MOST_GROWTH_KB = 512 * 1024
TEXT, BYTES = draw_spoiling(text=True), draw_spoiling(text=False)
RECORDS: dict[str, type[BaseModel]] = {
    "manifest": Manifest,
    "canary": Canary,
    "record": Record,
    "certificate": Certificate,
    "latency": LatencyEvidence,
}


@dataclass(frozen=True, slots=True)
class Valid:
    """Valid files of every kind, and a place for their spoilt likes."""

    folder: Path
    sample: Sample
    store: Path
    vectors: Path
    question_vectors: Path
    documents: dict[str, bytes]
    corpus: CorpusEvidence

    @property
    def spoilt(self) -> Path:
        """Where the spoilt file of an example goes."""
        return self.folder / "spoilt"


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Valid:
    """One small store with its texts, and documents in which every kind of field occurs."""
    folder = tmp_path_factory.mktemp("valid")
    sample = write_sample(folder / "corpus", rows=ROWS, questions=ROWS)
    store = build_sample_store(sample, folder / "store", model_id="tiny", hits=2)
    vectors, question_vectors = folder / "embeddings.npy", folder / "questions.npy"
    save_vectors(vectors, draw_unit_vectors(ROWS, 1))
    save_vectors(question_vectors, draw_unit_vectors(ROWS, 2))
    documents: dict[str, Any] = {name: build() for name, build in BUILDERS.items()}
    documents["latency"] = build_latency([build_request(sample, store, store)])
    texts = {name: found.model_dump_json(indent=1).encode() for name, found in documents.items()}
    texts["manifest"] = (store / "manifest.json").read_bytes()
    return Valid(folder, sample, store, vectors, question_vectors, texts, load_sample(sample))


def build_canary() -> Canary:
    """Return a canary file of one corpus."""
    sample = describe_sample([0, 2], draw_unit_vectors(2, 3))
    corpus = CorpusCanary(chunks_sha256="0" * 64, questions_sha256="1" * 64, passages=sample, questions=sample)
    return Canary(schema_version=1, model=IDENTITY, corpora={"fr": corpus})


def build_record() -> Record:
    """Return a decision in which everything that can be explained occurs."""
    interval = Interval(-0.05, 0.1, 0.95, 0.05)
    waiver = {"id": "W1", "check": "RET308", "subject": "fr", "owner": "o", "reason": "r", "expires": "2027-01-31"}
    return make_record(
        Verdict.KEEP,
        make_interval_check(Outcome.INCONCLUSIVE),
        make_check("VEC101", Outcome.FAIL, observed=3, limit=768, n=4, unit="rows", detail="row 3"),
        make_check("INT101", Outcome.ERROR, observed="a", limit=None),
        retrieval={"fr": {"recall@5": make_metric(40, 42)}},
        baselines={"fr": {"bm25": {"recall@5": 0.5}}},
        slices={"fr": [SliceResult("category", "laws", 40, 20, 21, 0.025, interval, 0.75, False, False)]},
        flips={"fr": [make_flip("lost"), make_flip("gained", question="q2")]},
        waivers=[WaiverRecord.model_validate({**waiver, "state": "unused"})],
        as_of="2026-01-25",
    )


def build_certificate() -> Certificate:
    """Return a certificate with one trial and one null."""
    found = [Finding(check="INT101", subject="qlora/fr", outcome=Outcome.ERROR)]
    trial = Trial(
        id="t", title="T", expected=Verdict.KEEP, expected_findings=found, tolerated=["VEC109"],
        observed=Verdict.KEEP, observed_findings=found,
    )  # fmt: skip
    runs = NullRuns(id="n", title="N", runs=1000, releases=2, disagreement=0.1)
    return Certificate(schema_version=1, bound_to={"policy": "0" * 64}, trials=[trial], null_runs=[runs])


BUILDERS = {"canary": build_canary, "record": build_record, "certificate": build_certificate}


@pytest.fixture(scope="module", autouse=True)
def _memory() -> Iterator[None]:
    """Whatever an input claims, no reader takes much memory for it."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    assert growth < MOST_GROWTH_KB, f"{growth} KB after {TRIED.total()} inputs"


def read_arrays(path: Path) -> None:
    """Read a `.npy` file in every way that the project has; what can be mapped can be looked at."""
    with trying("npy"):
        load_header(path)
    with trying("npy", again=True):
        assert load_vectors(path).shape[1] == 768
    with trying("npy", again=True), path.open("rb") as stream:
        header, values = map_array(stream, path)

        assert values.shape == header.shape


@limit(0.5)
@given(spoiling=BYTES)
def test_arrays(valid: Valid, spoiling: Spoiling) -> None:
    """A spoilt `.npy` is refused or is one."""
    valid.spoilt.write_bytes(spoiling.apply(valid.vectors.read_bytes()))

    read_arrays(valid.spoilt)


SIZES = st.one_of(st.integers(-3, 4), st.sampled_from([768, 10**10, 2**63, -(2**63), 10**30, True, 1.5, "3"]))
TYPES = st.one_of(
    st.sampled_from(
        ["<f4", ">f4", "<f2", "<f8", "|O", "|S0", "|V0", "|U1", "<U0", "<M8[s]", "|b1", "f", "", "<f4, <f4", "junk", 3]
    ),
    st.lists(st.tuples(st.text(max_size=2), st.sampled_from(["<f4", "|O", "|S0"]), st.just((2,))), max_size=2),
    st.tuples(st.sampled_from(["<f4", "|O"]), st.lists(SIZES, max_size=2).map(tuple)),
)


@limit(0.5)
@given(
    shape=st.lists(SIZES, max_size=3).map(tuple),
    dtype=TYPES,
    fortran=st.sampled_from([True, False, 0, None]),
    version=st.sampled_from([(1, 0), (1, 0), (2, 0), (3, 0), (4, 0), (9, 9)]),
    body=st.one_of(st.just(b""), st.integers(0, 40).map(bytes), st.just(None)),
)
def test_array_headers(
    valid: Valid, shape: tuple[Any, ...], dtype: Any, fortran: Any, version: tuple[int, int], body: bytes | None
) -> None:
    """A header that claims anything at all is refused or true."""
    text = f"{{'descr': {dtype!r}, 'fortran_order': {fortran!r}, 'shape': {shape!r}, }}\n".encode("utf-8", "replace")
    width = 2 if version == (1, 0) else 4
    start = b"\x93NUMPY" + bytes(version) + len(text).to_bytes(width, "little") + text
    if body is None:
        sizes = [size for size in shape if isinstance(size, int)]
        count = int(np.prod(sizes, dtype=object)) if len(sizes) == len(shape) else 0
        body = bytes(4 * count) if 0 <= count < 4000 else b""
    valid.spoilt.write_bytes(start + body)

    read_arrays(valid.spoilt)


@limit(0.5)
@given(spoiling=BYTES)
def test_databases(valid: Valid, spoiling: Spoiling) -> None:
    """A spoilt database is refused or can be read; it is never written to, and nothing appears beside it."""
    content = spoiling.apply((valid.store / "corpus_mode_b_fr.db").read_bytes())
    valid.spoilt.write_bytes(content)
    with trying("database"), open_database(valid.spoilt) as connection:
        find_structure_fault(connection)
    with trying("database", again=True), open_database(valid.spoilt) as connection:
        load_metadata(connection)
    with trying("database", again=True), open_database(valid.spoilt) as connection:
        load_rows(connection)
    with trying("database", again=True), open_database(valid.spoilt) as connection:
        load_matrix(connection)

    assert valid.spoilt.read_bytes() == content
    assert list(valid.folder.glob("spoilt-*")) == []


@pytest.mark.parametrize("part", ["embeddings", "questions", "database"])
@limit(0.25)
@given(spoiling=BYTES)
def test_stores(valid: Valid, part: str, spoiling: Spoiling) -> None:
    """A store of which one file has other bytes than its manifest says is no evidence."""
    record = json.loads(valid.documents["manifest"])["files"][part]
    path = valid.store / record["name"]
    content = path.read_bytes()
    spoilt = spoiling.apply(content)
    path.write_bytes(spoilt)
    try:
        with trying(f"store {part}"):
            store, checks = collect_store("qlora", valid.store, valid.corpus)

            assert (store is None) is (spoilt != content)
            assert (checks[0].outcome is Outcome.PASS) is (spoilt == content)
    finally:
        path.write_bytes(content)


@limit(0.5)
@given(spoiling=TEXT)
def test_manifests(valid: Valid, spoiling: Spoiling) -> None:
    """Whatever a manifest says, the store under it is evidence or an ERROR."""
    path = valid.store / "manifest.json"
    try:
        path.write_bytes(spoiling.apply(valid.documents["manifest"]))
        with trying("store manifest"):
            store, checks = collect_store("qlora", valid.store, valid.corpus)

            assert store is not None or any(check.outcome is Outcome.ERROR for check in checks)
    finally:
        path.write_bytes(valid.documents["manifest"])


@pytest.mark.parametrize("name", list(RECORDS))
@limit(0.5)
@given(spoiling=TEXT)
def test_documents(valid: Valid, name: str, spoiling: Spoiling) -> None:
    """A spoilt JSON document is refused or is a valid one."""
    valid.spoilt.write_bytes(spoiling.apply(valid.documents[name]))
    with trying(f"json {name}"):
        load_json(valid.spoilt, RECORDS[name])


@limit(0.25)
@given(spoiling=TEXT)
def test_chunks(valid: Valid, spoiling: Spoiling) -> None:
    """A spoilt corpus is refused or has as many chunks as it says."""
    valid.spoilt.write_bytes(spoiling.apply(valid.sample.chunks.read_bytes()))
    with trying("chunks"):
        found = load_chunks(valid.spoilt)

        assert found.total == len(found.chunks)


@limit(0.25)
@given(spoiling=TEXT)
def test_questions(valid: Valid, spoiling: Spoiling) -> None:
    """Spoilt questions are refused, or there are some."""
    valid.spoilt.write_bytes(spoiling.apply(valid.sample.questions.read_bytes()))
    with trying("questions"):
        assert load_questions(valid.spoilt)


@limit(0.25)
@given(spoiling=TEXT)
def test_judgements(valid: Valid, spoiling: Spoiling) -> None:
    """Spoilt relevance judgements are refused, or every question has a relevant passage."""
    valid.spoilt.write_bytes(spoiling.apply(valid.sample.qrels.read_bytes()))
    with trying("qrels"):
        assert all(load_gold(valid.sample.questions, valid.spoilt, valid.corpus.chunks).relevant)


@limit(0.1)
@given(spoiling=TEXT)
def test_policies(valid: Valid, spoiling: Spoiling) -> None:
    """A spoilt policy is refused or is one."""
    valid.spoilt.write_bytes(spoiling.apply((PROJECT_ROOT / "expectations" / "policy.yaml").read_bytes()))
    with trying("policy"):
        load_rulebook(valid.spoilt)


@limit(0.15)
@given(spoiling=TEXT)
def test_parameters(valid: Valid, spoiling: Spoiling) -> None:
    """Spoilt parameters are refused or are some."""
    valid.spoilt.write_bytes(spoiling.apply((PROJECT_ROOT / "params.yaml").read_bytes()))
    with trying("params"):
        load_params(valid.spoilt)


@limit(0.25)
@given(spoiling=TEXT)
def test_model_folders(valid: Valid, spoiling: Spoiling) -> None:
    """A model folder with a spoilt list of modules is refused or runs standard modules only."""
    folder = valid.folder / "model"
    folder.mkdir(exist_ok=True)
    for name in ("model.safetensors", "tokenizer.json", IDENTITY_FILE):
        (folder / name).touch()
    module = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}
    (folder / "modules.json").write_bytes(spoiling.apply(json.dumps([module, module | {"idx": 1}]).encode()))
    with trying("model folder"):
        check_model_folder(folder)


@limit(0.25)
@given(spoiling=TEXT)
def test_explain(valid: Valid, spoiling: Spoiling) -> None:
    """`validation explain` explains a spoilt decision or says in one line what is wrong with it."""
    valid.spoilt.write_bytes(spoiling.apply(valid.documents["record"]))
    with trying("explain"):
        check_end(run_quietly("validation", "explain", valid.spoilt))


@limit(0.25)
@given(spoiling=BYTES)
def test_show(valid: Valid, spoiling: Spoiling) -> None:
    """`update_db_model_id --show` shows a spoilt database's metadata or says in one line what is wrong with it."""
    valid.spoilt.write_bytes(spoiling.apply((valid.store / "corpus_mode_b_fr.db").read_bytes()))
    with trying("show"):
        check_end(run_quietly("pipeline.update_db_model_id", "--db", valid.spoilt, "--show"))


@pytest.mark.parametrize("name", ["chunks", "embeddings", "questions", "question-embeddings"])
@limit(0.1)
@given(data=st.data())
def test_adopt(valid: Valid, name: str, data: st.DataObject) -> None:
    """`adopt` makes a whole store of spoilt input, or none and says in one line what is wrong."""
    paths = {
        "chunks": valid.sample.chunks,
        "embeddings": valid.vectors,
        "questions": valid.sample.questions,
        "question-embeddings": valid.question_vectors,
    }
    spoiling = data.draw(BYTES if "embeddings" in name else TEXT)
    valid.spoilt.write_bytes(spoiling.apply(paths[name].read_bytes()))
    output = valid.folder / "made" / "store"
    options = [part for key, path in (paths | {name: valid.spoilt}).items() for part in (f"--{key}", path)]
    with trying(f"adopt {name}"):
        result = run_quietly("pipeline.adopt", *options, "--output", output, "--model-id", "mine")
        check_end(result)

        assert output.exists() is (result.code == 0)
    shutil.rmtree(output.parent, ignore_errors=True)
