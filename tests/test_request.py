"""What the gate gathers before it judges: stores, latency, training pairs, certificate, drill and the log."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from pipeline.documents import load_json
from pipeline.errors import InputError, PipelineError, StoreError
from pipeline.files import write_json
from pipeline.params import BUILD, PROJECT_ROOT, load_params
from tests.releases import (
    DAY,
    build_certificate,
    build_latency,
    list_requests,
    load_small_params,
    load_small_rulebook,
    write_release,
)
from tests.repositories import make_repository
from tests.stores import build_request, edit_database, enter_project, get_path, list_options, write_pair, write_policy
from validation import request
from validation.inputs import Input, check_unchanged
from validation.latency import LatencyTarget, load_latency, measure_latency
from validation.outcomes import Verdict
from validation.release_case import build_canaries, build_receipt
from validation.releasing.events import LOG, NewEvent, append_events
from validation.releasing.receipt import RECEIPT
from validation.request import (
    Evidence,
    build_foreign_request,
    build_release_request,
    list_release_corpora,
    load_or_measure_latency,
    require_built,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pipeline.params import Params
    from tests.conftest import Result
    from validation.certificate import Certificate
    from validation.stores import CorpusRequest

ROUNDS = 5


@dataclass
class Told:
    """What the gate said while it gathered evidence, and how often it measured."""

    announced: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    measured: list[int] = field(default_factory=list)

    def build_evidence(self, folder: Path, rounds: int = ROUNDS) -> Evidence:
        """Return where evidence is kept, everything said being noted here."""
        return Evidence(folder, rounds, self.announced.append, self.warned.append)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """Nothing said yet; every measurement is real and noted."""
    told = Told()

    def measure(targets: Sequence[LatencyTarget], path: Path, *, rounds: int) -> None:
        told.measured.append(rounds)
        measure_latency(targets, path, rounds=rounds)

    monkeypatch.setattr(request, "measure_latency", measure)
    return told


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, told: Told) -> Told:
    """Nothing said yet; a measurement is noted and gives made-up times of the stores as they are."""

    def measure(targets: Sequence[LatencyTarget], path: Path, *, rounds: int) -> None:
        told.measured.append(rounds)
        write_json(path, build_latency([as_request(target) for target in targets]).model_dump())

    monkeypatch.setattr(request, "measure_latency", measure)
    return told


def as_request(target: LatencyTarget) -> CorpusRequest:
    """Return a request of which only the stores are looked at."""
    return replace(list_requests(target.base)[0], stores={"base": target.base, "qlora": target.candidate})


@pytest.fixture
def pair(tmp_path: Path) -> CorpusRequest:
    """Two small stores from elsewhere."""
    return build_request(*write_pair(tmp_path, base_hits=4, candidate_hits=8, rows=12))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with both stores of two corpora."""
    folder = tmp_path_factory.mktemp("project")
    write_release(folder, {"fr": (40, 80), "intl": (60, 60)})
    return folder


def test_latency_is_measured_once_for_the_same_bytes(pair: CorpusRequest, tmp_path: Path, told: Told) -> None:
    """Where there is no run one is made, with the rounds asked for, and it is kept as long as no byte changes."""
    folder = tmp_path / "reports"
    first = load_or_measure_latency([pair], ["fr"], told.build_evidence(folder))
    written = (folder / "latency.json").read_bytes()
    second = load_or_measure_latency([pair], ["fr"], told.build_evidence(folder))

    assert first is not None
    assert first == second == load_latency(folder / "latency.json")
    assert first.corpora["fr"].count_rounds() == {"open-and-search": ROUNDS, "gold-set": ROUNDS}
    assert (told.measured, told.announced, told.warned) == ([ROUNDS], ["latency of fr"], [])
    assert (folder / "latency.json").read_bytes() == written


def change_candidate(pair: CorpusRequest, _folder: Path) -> None:
    """Change the bytes of the candidate and its manifest."""
    edit_database(pair.stores["qlora"], "UPDATE metadata SET value = 'x' WHERE key = 'model_id'")


def write_rounds(pair: CorpusRequest, folder: Path) -> None:
    """Leave a run of fewer rounds."""
    evidence = build_latency([pair]).model_dump()
    for times in evidence["corpora"]["fr"]["operations"].values():
        times["base"], times["candidate"] = times["base"][:9], times["candidate"][:9]
    write_json(folder / "latency.json", evidence)


def write_other_corpus(pair: CorpusRequest, folder: Path) -> None:
    """Leave a run of another corpus."""
    evidence = build_latency([pair]).model_dump()
    evidence["corpora"] = {"intl": evidence["corpora"]["fr"]}
    write_json(folder / "latency.json", evidence)


def write_malformed(_pair: CorpusRequest, folder: Path) -> None:
    """Leave a run that is none."""
    (folder / "latency.json").write_text('{"schema_version": true}', encoding="utf-8")


STALE: dict[str, tuple[Callable[[CorpusRequest, Path], None], str]] = {
    "other bytes": (change_candidate, ""),
    "other number of rounds": (write_rounds, ""),
    "other corpus": (write_other_corpus, ""),
    "malformed": (write_malformed, "measured again: "),
}


@pytest.mark.parametrize(("change", "said"), STALE.values(), ids=STALE)
def test_latency_of_other_stores_or_rounds_is_measured_again(
    pair: CorpusRequest, tmp_path: Path, quick: Told, change: Callable[[CorpusRequest, Path], None], said: str
) -> None:
    """A run that is not of just these bytes and rounds is replaced; one that cannot be read is also named."""
    folder = tmp_path / "reports"
    write_json(folder / "latency.json", build_latency([pair]).model_dump())
    change(pair, folder)
    found = load_or_measure_latency([pair], ["fr"], quick.build_evidence(folder, rounds=10))

    assert quick.measured == [10]
    assert found == build_latency([pair])
    assert "".join(quick.warned).startswith(said)
    assert len(quick.warned) == bool(said)


def test_a_run_of_the_same_bytes_elsewhere_is_reused(pair: CorpusRequest, tmp_path: Path, quick: Told) -> None:
    """It is the bytes that count, not where the stores lie."""
    write_json(tmp_path / "reports" / "latency.json", build_latency([pair]).model_dump())
    moved = shutil.copytree(pair.stores["qlora"], tmp_path / "moved")
    copy = replace(pair, stores={**pair.stores, "qlora": moved})
    found = load_or_measure_latency([copy], ["fr"], quick.build_evidence(tmp_path / "reports", rounds=10))

    assert found == build_latency([pair])
    assert (quick.measured, quick.announced, quick.warned) == ([], [], [])


def drop_questions(pair: CorpusRequest) -> None:
    """Take away the file of the candidate's question vectors."""
    get_path(pair.stores["qlora"], "questions").unlink()


SPOILT: dict[str, tuple[Callable[[CorpusRequest], object], str]] = {
    "no questions": (drop_questions, "questions_mode_b_fr.npy: expected a file of its own, but it does not exist"),
    "no candidate": (lambda pair: shutil.rmtree(pair.stores["qlora"]), "qlora"),
    "no base": (lambda pair: shutil.rmtree(pair.stores["base"]), "base"),
}


@pytest.mark.parametrize("older", [True, False], ids=["older run", "no run"])
@pytest.mark.parametrize(("spoil", "said"), SPOILT.values(), ids=SPOILT)
def test_latency_that_cannot_be_measured_is_none(
    pair: CorpusRequest, tmp_path: Path, told: Told, spoil: Callable[[CorpusRequest], object], said: str, *, older: bool
) -> None:
    """What stands in the way is said, there is no evidence, and no older run is left to pass for it."""
    folder = tmp_path / "reports"
    folder.mkdir()
    if older:
        write_other_corpus(pair, folder)
    spoil(pair)

    assert load_or_measure_latency([pair], ["fr"], told.build_evidence(folder)) is None
    assert told.warned[-1].startswith("latency not measured: ")
    assert said in told.warned[-1]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("base_holds", "decision"), [(True, "NOT_EVALUATED"), (False, "HALT")])
def test_a_release_without_latency_is_never_one(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_cli: Callable[..., Result],
    decision: str,
    *,
    base_holds: bool,
) -> None:
    """Where nothing can be measured the gate says so in one line, and decides that nothing moves."""
    root = shutil.copytree(project, tmp_path / "project")
    make_repository(root).stage("README.md")
    enter_project(monkeypatch, root, load_small_params())
    for role, canary in build_canaries(list_requests(root)).items():
        write_json(root / "build" / "canaries" / f"{role}.json", canary.model_dump())
    if not base_holds:
        get_path(list_requests(root)[0].stores["base"], "questions").unlink()

    def fail(_targets: object, path: Path, *, rounds: int) -> None:
        raise StoreError(path, f"no {rounds} rounds", "measure on another machine")

    monkeypatch.setattr(request, "measure_latency", fail)
    output = tmp_path / "reports"
    result = run_cli("validation", "gate", "--policy", write_policy(tmp_path), "--output", output)

    assert (result.code, decision in result.out) == ({"NOT_EVALUATED": 30, "HALT": 40}[decision], True)
    assert result.err == f"latency not measured: {output}/latency.json: no 10 rounds; measure on another machine\n"
    assert ("LAT401 fr: ERROR, open-and-search on fr was not measured" in " ".join(result.out.split())) is base_holds


def test_what_is_released_is_every_corpus_with_both_stores() -> None:
    """The project's own requests are bound to what params.yaml declares."""
    params = load_params()
    requests = list_release_corpora(params)

    assert [each.primary for each in requests].count(True) == 1
    for each, corpus in zip(requests, params.corpora, strict=True):
        assert (each.chunks, each.questions, each.qrels) == (corpus.chunks, corpus.questions, corpus.qrels)
        assert (each.total, each.primary) == (corpus.total, corpus.role == "primary")
        assert each.stores == {"base": BUILD / "base" / corpus.name, "qlora": BUILD / "qlora" / corpus.name}
        assert each.model_ids == {"base": params.get_model_id("base"), "qlora": params.get_model_id("qlora")}


def test_nothing_built_is_told_from_something_missing(project: Path, tmp_path: Path) -> None:
    """One store is enough to be judged, and found wanting; none at all says what to run."""
    corpora = list_requests(tmp_path)

    with pytest.raises(StoreError, match=r"no store has been built yet; run `nox -s gate`"):
        require_built(corpora)
    corpora[1].stores["qlora"].mkdir(parents=True)
    require_built(corpora)
    require_built(list_requests(project))


@pytest.fixture
def release(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path, Params]:
    """A copy of the project in place of this one, with evidence beside it: root, folder of evidence, parameters."""
    root = shutil.copytree(project, tmp_path / "project")
    params = load_small_params()
    enter_project(monkeypatch, root, params)
    requests = list_requests(root)
    write_json(tmp_path / "reports" / "latency.json", build_latency(requests).model_dump())
    certificate = build_certificate(requests, load_small_rulebook())
    write_json(tmp_path / "reports" / "certificate.json", certificate.model_dump(mode="json"))
    write_json(tmp_path / "reports" / RECEIPT, build_receipt(requests).model_dump(mode="json"))
    for role, canary in build_canaries(requests).items():
        write_json(root / "build" / "canaries" / f"{role}.json", canary.model_dump())
    return root, tmp_path / "reports", params


def list_files(**paths: Path) -> set[Input]:
    """Return files with the digests of their bytes."""
    return {Input(name, path, hashlib.sha256(path.read_bytes()).hexdigest()) for name, path in paths.items()}


def test_a_release_is_gathered_with_all_its_evidence(release: tuple[Path, Path, Params], quick: Told) -> None:
    """Stores, latency, pairs, samples, certificate, drill and day stand in the request; the files are its inputs."""
    root, folder, params = release
    found = build_release_request(params, DAY, quick.build_evidence(folder, rounds=10))
    triplets = root / "corpus" / "training" / "triplets_train.jsonl"

    assert found.corpora == list_requests(root)
    assert found.latency == build_latency(list_requests(root))
    assert found.certificate == build_certificate(list_requests(root), load_small_rulebook())
    assert found.drill == build_receipt(list_requests(root))
    assert found.attempt == 1
    assert found.training is not None
    assert (found.training.questions, found.training.declared) == (("Qui marque les points ?",), found.training.sha256)
    assert (found.for_release, found.as_of) == (True, DAY)
    assert found.canaries == build_canaries(list_requests(root))
    assert set(found.inputs) == list_files(
        triplets=triplets,
        training=root / "build" / "models" / "qlora" / "training_args.json",
        canary_base=root / "build" / "canaries" / "base.json",
        canary_qlora=root / "build" / "canaries" / "qlora.json",
        certificate=folder / "certificate.json",
        drill=folder / RECEIPT,
        latency=folder / "latency.json",
        graph=PROJECT_ROOT / "dvc.lock",
        packages=PROJECT_ROOT / "constraints.txt",
    )
    assert quick.measured == []


def test_evidence_that_is_not_there_is_none(release: tuple[Path, Path, Params], quick: Told) -> None:
    """Without training, sample, certificate, drill and latency nothing takes their place, and none is an input."""
    root, folder, params = release
    (folder / "certificate.json").unlink()
    (folder / RECEIPT).unlink()
    (root / "build" / "canaries" / "qlora.json").unlink()
    shutil.rmtree(root / "build" / "models")
    shutil.rmtree(list_requests(root)[1].stores["base"])
    found = build_release_request(params, DAY, quick.build_evidence(folder, rounds=10))

    assert (found.training, found.certificate, found.drill, found.latency) == (None, None, None, None)
    assert set(found.canaries) == {"base"}
    assert {each.name for each in found.inputs} == {"triplets", "canary_base", "graph", "packages"}


def test_decisions_on_record_are_counted(release: tuple[Path, Path, Params], quick: Told) -> None:
    """A decision says how many were acted upon before it on the same gold set; the log is one of its inputs."""
    root, folder, params = release
    kept = [NewEvent(event="gated", verdict=Verdict.KEEP), NewEvent(event="kept", tag="v1.0-base")]
    append_events(root, "Arbitre <arbitre@example.org>", "0" * 40, kept + kept)
    found = build_release_request(params, DAY, quick.build_evidence(folder, rounds=10))

    assert found.attempt == 3
    assert list_files(log=root / LOG) <= set(found.inputs)


@pytest.mark.parametrize("spoil", [lambda text: text[:-9], lambda text: text + text], ids=["cut", "repeated"])
def test_a_log_that_was_changed_is_no_evidence(
    release: tuple[Path, Path, Params], quick: Told, spoil: Callable[[str], str]
) -> None:
    """How often something was judged cannot be told from a broken log, so nothing is judged."""
    root, folder, params = release
    append_events(root, "Arbitre <arbitre@example.org>", "0" * 40, [NewEvent(event="kept", tag="v1.0-base")])
    (root / LOG).write_text(spoil((root / LOG).read_text("utf-8")), "utf-8")

    with pytest.raises(PipelineError, match=r"releases\.jsonl:\d: "):
        build_release_request(params, DAY, quick.build_evidence(folder, rounds=10))


def test_a_measurement_covers_every_corpus(release: tuple[Path, Path, Params], quick: Told) -> None:
    """One run is made for all corpora, and announced with their names."""
    root, folder, params = release
    (folder / "latency.json").unlink()
    found = build_release_request(params, DAY, quick.build_evidence(folder, rounds=10))

    assert found.latency == build_latency(list_requests(root))
    assert (quick.measured, quick.announced) == ([10], ["latency of fr, intl"])


MALFORMED: dict[str, tuple[str, str]] = {
    "certificate": ("reports/certificate.json", "schema_version: "),
    "triplets": ("project/corpus/training/triplets_train.jsonl", "anchor: Field required"),
    "training": ("project/build/models/qlora/training_args.json", "data: Field required"),
    "sample": ("project/build/canaries/qlora.json", "schema_version: "),
    "chunks": ("project/corpus/processed/chunks_mode_b_intl.json", "corpus: Field required"),
    "questions": ("project/corpus/gold/questions_intl.jsonl", "_id: Field required"),
    "qrels": ("project/corpus/gold/qrels_intl.tsv", "expected the header"),
}


@pytest.mark.parametrize(("name", "said"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_evidence_is_refused_before_anything_is_measured(
    release: tuple[Path, Path, Params], tmp_path: Path, quick: Told, name: str, said: str
) -> None:
    """A file that cannot be what it should is named with the field, and nobody waits for a measurement first."""
    _, folder, params = release
    (folder / "latency.json").unlink()
    (tmp_path / name).write_text('{"schema_version": 0}\n', encoding="utf-8")

    with pytest.raises(InputError) as error:
        build_release_request(params, DAY, quick.build_evidence(folder))

    assert str(error.value).startswith(str(tmp_path / name))
    assert said in str(error.value)
    assert quick.measured == []


@pytest.mark.parametrize("given", [True, False], ids=["with pairs", "without pairs"])
def test_stores_from_elsewhere_bring_their_pairs_or_none(
    pair: CorpusRequest, tmp_path: Path, quick: Told, *, given: bool
) -> None:
    """Training pairs are read where they are given, without a record to hold them against; no certificate is asked."""
    triplets = tmp_path / "pairs.jsonl"
    triplets.write_text('{"anchor": "Q", "positive": "P"}\n', encoding="utf-8")
    found = build_foreign_request(pair, triplets if given else None, DAY, quick.build_evidence(tmp_path))
    expected = {"triplets": triplets} if given else {}

    assert found.corpora == [pair]
    assert (found.for_release, found.certificate, found.as_of) == (False, None, DAY)
    assert (found.training is not None and found.training.declared is None) is given
    assert (found.canaries, quick.measured) == ({}, [ROUNDS])
    assert set(found.inputs) == list_files(latency=tmp_path / "latency.json", **expected)


@pytest.mark.parametrize("name", ["chunks", "questions", "qrels", "triplets"])
def test_a_missing_file_from_elsewhere_is_refused_first(
    pair: CorpusRequest, tmp_path: Path, run_cli: Callable[..., Result], quick: Told, name: str
) -> None:
    """What is not there is named before anything is measured."""
    triplets = tmp_path / "pairs.jsonl"
    triplets.write_text('{"anchor": "Q", "positive": "P"}\n', encoding="utf-8")
    path: Path = triplets if name == "triplets" else getattr(pair, name)
    path.unlink()
    result = run_cli("validation", *list_options(pair, tmp_path / "reports"), "--triplets", triplets)

    assert (result.code, result.out) == (30, "")
    assert result.err == f"error: {path}: expected a file, but it does not exist; check the path\n"
    assert quick.measured == []


CHANGED = {
    "certificate": "reports/certificate.json",
    "triplets": "project/corpus/training/triplets_train.jsonl",
    "training": "project/build/models/qlora/training_args.json",
    "canary_base": "project/build/canaries/base.json",
}


@pytest.mark.parametrize(("name", "path"), CHANGED.items(), ids=CHANGED)
def test_evidence_that_changes_while_it_is_gathered_is_named(
    release: tuple[Path, Path, Params],
    tmp_path: Path,
    quick: Told,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    path: str,
) -> None:
    """A file whose bytes change between its digest and its reading is not the one that stands among the inputs."""
    _, folder, params = release

    def change_and_load(target: Path, record: type[Certificate]) -> object:
        (tmp_path / path).write_text((tmp_path / path).read_text("utf-8").rstrip() + "  \n", encoding="utf-8")
        return load_json(target, record)

    monkeypatch.setattr(request, "load_json", change_and_load)
    found = build_release_request(params, DAY, quick.build_evidence(folder, rounds=10))
    check = check_unchanged("INT107", found.inputs)

    assert (check.outcome, check.detail) == ("ERROR", f"changed while it was judged: {name}")
