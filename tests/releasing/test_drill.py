"""The drill: the way back is walked for real, in a scratch clone, and nothing of the project is touched."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.files import write_json
from tests.projects import BASE_TAG, CANDIDATE_TAG, Project, ignore_configuration, run
from tests.releases import CORPORA, build_gate_request, get_check, judge_release, load_small_rulebook
from tests.releasing.acts import damage, serve
from tests.releasing.snapshots import look_at
from tests.stores import ROWS, edit_manifest, get_path
from validation.outcomes import Outcome, Verdict
from validation.releasing.drill import answer, drill, still_holds
from validation.releasing.events import LOG
from validation.releasing.fallback import fall_back
from validation.releasing.receipt import RECEIPT, WAY
from validation.releasing.release_file import SERVED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from pipeline.params import CandidateName, Corpus
    from validation.releasing.content import Content
    from validation.releasing.receipt import Answered, Receipt
    from validation.releasing.release_file import Release
    from validation.releasing.repository import Repository

pytestmark = pytest.mark.requirement("REQ-FBK-01")

ROLES_BY_ACT: dict[str, CandidateName] = dict(zip(WAY, ("base", "qlora", "base", "qlora"), strict=True))
TAGS: dict[CandidateName, str] = {"base": BASE_TAG, "qlora": CANDIDATE_TAG}


@dataclass(frozen=True, slots=True)
class Drilled:
    """A project in which the way back was walked, what it was before, and what came of it."""

    project: Project
    before: dict[str, Any]
    receipt: Receipt
    told: list[str]
    folder: Path


def walk(project: Project, folder: Path) -> Drilled:
    """Drill in a folder; the questions are those of the project."""
    folder.mkdir()
    told: list[str] = []
    before = look_at(project)
    with pytest.MonkeyPatch.context() as patch:
        ignore_configuration(patch)
        patch.setattr("pipeline.params.PROJECT_ROOT", project.root)
        receipt = drill(project.root, project.params, folder, told.append)
    return Drilled(project, before, receipt, told, folder)


@pytest.fixture(scope="module")
def plain(fresh_template: Project, tmp_path_factory: pytest.TempPathFactory) -> Drilled:
    """A drill in a project in which nothing was released yet."""
    folder = tmp_path_factory.mktemp("plain")
    return walk(fresh_template.copy(folder / "all"), folder / "drill")


@pytest.fixture(scope="module")
def awkward(released_template: Project, tmp_path_factory: pytest.TempPathFactory) -> Drilled:
    """A drill after much to and fro, with a detached HEAD, changed files, no identity and remotes that are down."""
    folder = tmp_path_factory.mktemp("awkward")
    project = released_template.copy(folder / "all")
    for tag in (BASE_TAG, CANDIDATE_TAG, BASE_TAG):
        serve(project, tag)
    project.git("checkout", "--quiet", "--detach")
    project.remote.rename(project.folder / "gone")
    shutil.rmtree(project.objects)
    shutil.rmtree(project.root / ".dvc" / "cache")
    (project.root / ".dvc" / "config.local").write_text("[core]\n    remote = nowhere\n", "utf-8")
    for key in ("user.name", "user.email"):
        project.git("config", "--unset", key)
    damage(project.root / SERVED / "corpus_mode_b_fr.db")
    (project.root / SERVED / "release.json").write_text("{}", "utf-8")
    (project.root / "notes.txt").write_text("mine\n", "utf-8")
    return walk(project, folder / "drill")


def rank(project: Project, role: CandidateName, corpus: str) -> tuple[int, str]:
    """Return how many questions a built store answers among its first five, and the digest of the first ten."""
    request = project.list_requests()[list(CORPORA).index(corpus)]
    passages, questions = (np.load(get_path(request.stores[role], part)) for part in ("embeddings", "questions"))
    nearest = np.argsort(-(questions.astype("f8") @ passages.astype("f8").T), axis=1, kind="stable")[:, :10]
    hits = sum(number in row[:5] for number, row in enumerate(nearest))  # question n is answered by passage n
    return hits, hashlib.sha256(nearest.astype("<i8").tobytes()).hexdigest()


@pytest.mark.parametrize("name", ["plain", "awkward"])
def test_way_is_walked_to_the_end(name: str, request: pytest.FixtureRequest) -> None:
    """Four steps, each with the tag that it serves, how long it took and what was hashed; each is announced."""
    drilled: Drilled = request.getfixturevalue(name)
    steps = drilled.receipt.steps

    assert [(step.act, step.tag) for step in steps] == [(act, TAGS[role]) for act, role in ROLES_BY_ACT.items()]
    assert [step.files for step in steps] == [7] * 4
    assert all(step.seconds > 0 for step in steps)
    for step in steps:
        requests, role = drilled.project.list_requests(), ROLES_BY_ACT[step.act]
        paths = [get_path(each.stores[role], part) for each in requests for part in ("embeddings", "database")]
        model = [path for path in (drilled.project.root / "build" / "models" / role).rglob("*") if path.is_file()]
        assert step.size == sum(path.stat().st_size for path in [*paths, *model])
    assert [act for act in drilled.told if act in WAY] == [*WAY]


@pytest.mark.parametrize("name", ["plain", "awkward"])
def test_answers_are_those_of_the_stores(name: str, request: pytest.FixtureRequest) -> None:
    """After each step every gold question gets the passages that the built store itself gives, in the same order."""
    drilled: Drilled = request.getfixturevalue(name)
    for step in drilled.receipt.steps:
        for corpus, answered in step.answers.items():
            hits, digest = rank(drilled.project, ROLES_BY_ACT[step.act], corpus)
            assert (answered.questions, answered.hits, answered.sha256) == (ROWS, hits, digest)
        assert set(step.answers) == set(CORPORA)
    told = {name: [step.answers[name].hits for step in drilled.receipt.steps] for name in CORPORA}
    assert told == {"fr": [40, 90, 40, 90], "intl": [60, 70, 60, 70]}


@pytest.mark.parametrize("name", ["plain", "awkward"])
def test_project_is_left_alone(name: str, request: pytest.FixtureRequest) -> None:
    """No file, reference, index, cache or remote of the project is other than before."""
    drilled: Drilled = request.getfixturevalue(name)

    assert look_at(drilled.project) == drilled.before


def test_drill_goes_the_way_of_a_release(plain: Drilled) -> None:
    """The scratch clone has both tags, its own remote every commit, and its own folder of objects all bytes."""
    clone = plain.folder / "clone"
    log = [
        line.split('"event":"')[1].split('"')[0] for line in (clone / "models/releases.jsonl").read_text().splitlines()
    ]

    assert log == ["registered", "released", "registered", "released", "fell back", "restored"]
    assert run(clone, "git", "tag").stdout.split() == [BASE_TAG, CANDIDATE_TAG]
    remote = run(plain.folder / "remote.git", "git", "rev-parse", "main", f"{BASE_TAG}^{{commit}}").stdout.split()
    assert remote == run(clone, "git", "rev-parse", "HEAD", f"{BASE_TAG}^{{commit}}").stdout.split()
    assert len([path for path in (plain.folder / "objects").rglob("*") if path.is_file()]) > 14
    assert run(clone, "git", "config", "user.name").stdout == "drill\n"


def test_gate_takes_a_real_receipt(plain: Drilled) -> None:
    """The report of a drill that was made is what the gate asks for: with it, and all else, the verdict is RELEASE."""
    rulebook = load_small_rulebook()
    request = replace(build_gate_request(plain.project.list_requests(), rulebook), drill=plain.receipt)
    judgement = judge_release(request, rulebook)
    check = get_check(judgement, "FBK502", "gate")

    assert judgement.decision.verdict is Verdict.RELEASE
    assert (check.outcome, check.observed, check.limit, check.n) == (Outcome.PASS, 4, 4, 28)


def test_report_holds_as_long_as_nothing_changes(plain: Drilled, tmp_path: Path) -> None:
    """The report holds for these stores and this code; after a store was built anew, or without one, it does not."""
    project = plain.project.copy(tmp_path / "all")
    path = tmp_path / RECEIPT
    assert not still_holds(path, project.root, project.params)
    write_json(path, plain.receipt.model_dump(mode="json"))
    assert still_holds(path, project.root, project.params)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("validation.releasing.receipt.compute_code_digest", lambda: "0" * 64)
        assert not still_holds(path, project.root, project.params)
    path.write_text("{}", "utf-8")
    assert not still_holds(path, project.root, project.params)
    write_json(path, plain.receipt.model_dump(mode="json"))
    edit_manifest(project.root / "build" / "qlora" / "intl", rebuild)
    assert not still_holds(path, project.root, project.params)
    shutil.rmtree(project.root / "build" / "qlora")
    assert not still_holds(path, project.root, project.params)


def rebuild(document: dict[str, Any]) -> None:
    """Let a store have other questions than when it was drilled."""
    document["files"]["questions"]["sha256"] = "0" * 64


# A drill that is refused


def refuse(project: Project, folder: Path, *words: str) -> None:
    """Drill in a project, which must fail in one line that says all of this, and leave the project alone."""
    before = look_at(project)
    with pytest.raises(PipelineError) as caught:
        walk(project, folder)

    assert [word for word in words if word not in str(caught.value)] == [], caught.value
    assert ("\n" in str(caught.value), caught.value.exit_code) == (False, 30)
    assert look_at(project) == before


def test_shallow_clone_is_not_drilled(fresh: Project, tmp_path: Path) -> None:
    """A clone without its history cannot be released from, so it cannot be drilled; nothing is made then."""
    (fresh.folder / "partly").mkdir()
    fresh.git("commit", "--quiet", "--allow-empty", "--message", "more")
    fresh.git("push", "--quiet")
    partly = Project(fresh.folder / "partly")
    run(partly.folder, "git", "clone", "--quiet", "--depth", "1", f"file://{fresh.remote}", "project")

    refuse(partly, tmp_path / "drill", "is a shallow clone", "git fetch --unshallow --tags")
    assert list((tmp_path / "drill").iterdir()) == []


def test_folder_without_git_is_not_drilled(fresh: Project, tmp_path: Path) -> None:
    """What is no clone is told so."""
    shutil.rmtree(fresh.root / ".git")

    refuse(fresh, tmp_path / "drill", "not a git repository")


def tamper(project: Project) -> None:
    """Change a byte of a built store."""
    damage(get_path(project.list_requests()[1].stores["base"], "database"))


STORES: dict[str, tuple[Callable[[Project], object], str]] = {
    "tampered": (tamper, "corpus_mode_b_intl.db"),
    "missing": (lambda project: shutil.rmtree(project.root / "build" / "base"), "build/base/fr"),
    "no-model": (lambda project: shutil.rmtree(project.root / "build" / "models" / "base"), "build/models/base"),
}


@pytest.mark.parametrize(("spoil", "said"), STORES.values(), ids=STORES)
def test_stores_that_cannot_be_released_cannot_be_drilled(
    fresh: Project, tmp_path: Path, spoil: Callable[[Project], object], said: str
) -> None:
    """What is not built, or not as its manifest says, is named."""
    spoil(fresh)

    refuse(fresh, tmp_path / "drill", said)


def stay(*_arguments: object, **_options: object) -> None:
    """Fall back without doing anything."""


def damage_after(repository: Repository, *arguments: Any, **options: Any) -> None:
    """Fall back, and let a byte change on the way."""
    fall_back(repository, *arguments, **options)
    damage(repository.root / SERVED / "corpus_mode_b_fr.db")


def forget(root: Path, release: Release, corpus: Corpus, content: Content) -> Answered:
    """Let a store answer otherwise once it is served a second time."""
    found = answer(root, release, corpus, content)
    log = (root / LOG).read_text("utf-8")
    return found.model_copy(update={"sha256": "0" * 64}) if log.count("fell back") else found


ASTRAY: dict[str, tuple[str, Callable[..., object], str]] = {
    "does-nothing": ("fall_back", stay, f"fall back: serves {CANDIDATE_TAG}, expected {BASE_TAG}"),
    "other-bytes": ("fall_back", damage_after, "corpus_mode_b_fr.db"),
    "other-answers": ("answer", forget, f"{RECEIPT}: after falling back, the base did not answer as before"),
}


@pytest.mark.parametrize(("name", "spoilt", "said"), ASTRAY.values(), ids=ASTRAY)
def test_way_that_does_not_lead_back(
    fresh: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, spoilt: Callable[..., object], said: str
) -> None:
    """A fallback that does not come back, or not to the same, is no drill that anybody could rely on."""
    monkeypatch.setattr(f"validation.releasing.drill.{name}", spoilt)

    refuse(fresh, tmp_path / "drill", said)
