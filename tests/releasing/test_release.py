"""Acting upon a decision: what is tagged, pushed, logged and served, and what is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.files import compute_sha256
from tests.projects import BASE_TAG, CANDIDATE_TAG, IDENTITY, Project, read_served, run_dvc
from tests.releasing.snapshots import act, edit_decision, list_refs, look_at, rebind, refuse
from validation.answers import ANSWERS
from validation.outcomes import Verdict
from validation.record import DECISION
from validation.releasing.errors import HaltError, ReleaseError
from validation.releasing.events import LOG, load_events
from validation.releasing.release import Order, release
from validation.releasing.release_file import RELEASE_FILE, load_committed_release, load_release
from validation.releasing.switching import GRAPH

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.requirement("REQ-TAG-01")

TAGS = {BASE_TAG: "base", CANDIDATE_TAG: "qlora"}


@pytest.fixture(scope="module")
def kept_template(keeping_template: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose base was made the first release, because the candidate is no better."""
    project = keeping_template.copy(tmp_path_factory.mktemp("kept") / "all")
    verdict, steps = act(project)
    assert (verdict, steps) == (Verdict.KEEP, (f"release {BASE_TAG}",))
    return project


@pytest.fixture
def kept(kept_template: Project, tmp_path: Path) -> Project:
    """A copy of the project in which the base alone was released."""
    return kept_template.copy(tmp_path / "all")


def read_stores(project: Project, role: str) -> dict[str, str]:
    """Return SHA-256 by name of what the stores of a candidate have to serve."""
    stores = [project.root / "build" / role / corpus for corpus in ("fr", "intl")]
    names = ("embeddings_mode_b", "corpus_mode_b")
    return {
        path.name: compute_sha256(path) for store in stores for path in store.iterdir() if path.name.startswith(names)
    }


def read_outputs(project: Project) -> dict[str, str]:
    """Return SHA-256 by name of the vectors and databases that are served."""
    return {name: digest for name, digest in read_served(project).items() if name.endswith((".npy", ".db"))}


def test_first_release_makes_both_tags(fresh: Project) -> None:
    """The first release makes the base's tag and the candidate's, and tells each step while it is at it."""
    told: list[str] = []
    order = Order(fresh.params, fresh.root / "reports" / DECISION, None, told.append)
    digest = compute_sha256(order.decision)
    verdict, plan = release(fresh.repository, Order(order.params, order.decision, digest, told.append), execute=True)

    assert (verdict, verdict.exit_code) == (Verdict.RELEASE, 0)
    assert plan.steps == (f"release {BASE_TAG}", f"release {CANDIDATE_TAG}")
    objects = "objects to the DVC remote"
    back = "objects back from the DVC remote"
    assert told == [
        plan.steps[0],
        objects,
        plan.steps[1],
        objects,
        back,
        "push to origin",
        f"switch to {CANDIDATE_TAG}",
    ]
    assert fresh.git("tag").split() == [BASE_TAG, CANDIDATE_TAG]
    assert look_at(fresh)["scratch"] == []
    assert fresh.git("worktree", "list").count("\n") == 0


def test_first_release_is_two_commits(released_template: Project, fresh_template: Project) -> None:
    """Base and candidate are a commit each on top of the one that was judged, and nobody else's files are in them."""
    judged = fresh_template.git("rev-parse", "HEAD")
    commits = released_template.git("rev-list", "--reverse", f"{judged}..HEAD").split()

    assert [released_template.git("log", "-1", "--format=%s", each) for each in commits] == [
        f"release {BASE_TAG}",
        f"release {CANDIDATE_TAG}",
    ]
    assert released_template.git("rev-list", "--parents", "-1", commits[0]).split() == [commits[0], judged]
    assert released_template.git("rev-list", "--parents", "-1", commits[1]).split() == [commits[1], commits[0]]
    changed = released_template.git("diff", "--name-only", judged, "HEAD").splitlines()
    assert all(name.startswith(("corpus/processed/", "models/")) for name in changed)
    assert not [name for name in changed if "chunks" in name or name.endswith((".npy", ".db", ".safetensors"))]
    assert released_template.git("log", "-1", "--format=%an <%ae> %cn <%ce>") == " ".join(
        [f"{IDENTITY['user.name']} <{IDENTITY['user.email']}>"] * 2
    )


def test_tags_are_annotated(released_template: Project, fresh_template: Project) -> None:
    """Each tag is an object of its own that names the commit of its release, and says who made it."""
    judged = fresh_template.git("rev-parse", "HEAD")
    commits = released_template.git("rev-list", "--reverse", f"{judged}..HEAD").split()
    for name, commit in zip(TAGS, commits, strict=True):
        tag = released_template.repository.find_tag(name)
        assert tag is not None
        assert tag.is_annotated
        assert tag.commit == commit
        text = released_template.git("cat-file", "tag", name)
        assert f"tagger {IDENTITY['user.name']} <{IDENTITY['user.email']}>" in text
        assert text.endswith(f"release {name}")


def test_release_reaches_the_git_remote(released_template: Project) -> None:
    """Branch and tags of the remote are those here, and nothing else is there."""
    here = [line for line in list_refs(released_template.root) if "refs/remotes" not in line]

    assert list_refs(released_template.remote) == here
    assert len(here) == 3
    assert released_template.git("status", "--porcelain") == ""


@pytest.mark.parametrize(("tag", "role"), TAGS.items(), ids=TAGS)
def test_release_file_tells_all(released_template: Project, fresh_template: Project, tag: str, role: str) -> None:
    """`release.json` of a tag has the bytes of its stores, who judged them by what, and the commit that was judged."""
    found = load_committed_release(released_template.repository, f"refs/tags/{tag}^{{commit}}")

    assert found is not None
    assert (found.tag, found.candidate) == (tag, role)
    assert found.gated_commit == fresh_template.git("rev-parse", "HEAD")
    decision = json.loads((fresh_template.root / "reports" / DECISION).read_text("utf-8"))
    assert found.decision_sha256 == compute_sha256(fresh_template.root / "reports" / DECISION)
    assert found.policy_sha256 == decision["inputs"]["policy"]["sha256"]
    outputs = {name: digest for name, digest in found.served.items() if name.endswith((".npy", ".db"))}
    served = {name.rpartition("/")[2]: digest for name, digest in outputs.items()}
    assert served == read_stores(fresh_template, role)
    model = fresh_template.root / "build" / "models" / role
    weights = {path.name: compute_sha256(path) for path in model.rglob("*") if path.is_file()}
    released = {name.rpartition("/")[2]: digest for name, digest in found.served.items() if "models" in name}
    assert released == weights
    assert found.model.model_id == fresh_template.params.get_model_id("base" if role == "base" else "qlora")
    assert set(found.corpora) == {"fr", "intl"}


def test_served_bytes_are_those_of_the_stores(released_template: Project) -> None:
    """What is served is the candidate, byte by byte, in files of their own that Git does not know."""
    assert read_outputs(released_template) == read_stores(released_template, "qlora")
    assert load_release(released_template.root).tag == CANDIDATE_TAG
    tracked = released_template.git("ls-files", "corpus/processed").splitlines()
    assert not [name for name in tracked if name.endswith((".npy", ".db"))]
    assert len([name for name in tracked if name.endswith(".dvc")]) == 4


def test_release_is_logged_in_order(released_template: Project, fresh_template: Project) -> None:
    """The log tells of the base, then of what was judged and walked, then of the candidate, each on its evidence."""
    decision = compute_sha256(fresh_template.root / "reports" / DECISION)
    drill = compute_sha256(fresh_template.root / "reports" / "rollback-drill.json")
    repository = released_template.repository
    files = {tag: repository.git("show", f"refs/tags/{tag}:{RELEASE_FILE}") for tag in TAGS}
    events = load_events(released_template.root)

    assert [(each.event, each.tag) for each in events] == [
        ("registered", BASE_TAG),
        ("released", BASE_TAG),
        ("registered", CANDIDATE_TAG),
        ("gated", CANDIDATE_TAG),
        ("drilled", CANDIDATE_TAG),
        ("released", CANDIDATE_TAG),
    ]
    assert [each.number for each in events] == [1, 2, 3, 4, 5, 6]
    assert (events[3].evidence_sha256, events[4].evidence_sha256) == (decision, drill)
    assert [each.verdict for each in events] == [None, None, None, Verdict.RELEASE, None, None]
    assert events[5].evidence_sha256 == compute_sha256(released_template.root / RELEASE_FILE)
    assert files[BASE_TAG] != files[CANDIDATE_TAG]
    assert {each.commit for each in events} == {fresh_template.git("rev-parse", "HEAD")}
    assert {each.actor for each in events} == {f"{IDENTITY['user.name']} <{IDENTITY['user.email']}>"}


def test_evidence_is_kept_by_its_digest(released_template: Project, fresh_template: Project) -> None:
    """Decision, answers, certificate and drill lie in Git under the digest of their bytes, and nothing else there."""
    reports = fresh_template.root / "reports"
    names = (DECISION, ANSWERS, "certificate.json", "rollback-drill.json")
    wanted = {f"{compute_sha256(reports / name)}{Path(name).suffix}" for name in names}
    kept = sorted((released_template.root / "models" / "evidence").iterdir())

    assert {path.name for path in kept} == wanted
    assert all(path.stem == compute_sha256(path) for path in kept)
    tracked = released_template.git("ls-files", "models/evidence").splitlines()
    assert sorted(tracked) == [path.relative_to(released_template.root).as_posix() for path in kept]


def test_remote_has_every_object_of_both(released_template: Project, tmp_path: Path) -> None:
    """A fresh clone gets both releases from the DVC remote alone, byte by byte."""
    copy = released_template.copy(tmp_path / "all")
    clone = copy.clone()
    for tag, role in TAGS.items():
        clone.git("checkout", "--quiet", f"refs/tags/{tag}")
        pointers = clone.git("ls-files", "*.dvc").splitlines()
        wanted = [each for each in pointers if "processed" in each]
        wanted.append(f"{load_release(clone.root).model_folder}.dvc")
        run_dvc(clone.root, "pull", "--force", *wanted)
        assert read_outputs(clone) == read_stores(copy, role)


def test_second_run_does_nothing(released: Project) -> None:
    """Acting upon a decision twice is acting upon it once, whether or not it is meant."""
    before = look_at(released)

    assert act(released) == (Verdict.RELEASE, ("this decision was acted upon before",))
    assert act(released, execute=False) == (Verdict.RELEASE, ("this decision was acted upon before",))
    assert look_at(released) == before


@pytest.mark.parametrize(
    ("name", "verdict", "steps"),
    [
        ("fresh", Verdict.RELEASE, (f"release {BASE_TAG}", f"release {CANDIDATE_TAG}")),
        ("keeping", Verdict.KEEP, (f"release {BASE_TAG}",)),
    ],
)
def test_dry_run_changes_nothing(
    name: str, verdict: Verdict, steps: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    """Without being told to do it, a release says what it would do, and does nothing at all."""
    project: Project = request.getfixturevalue(name)
    before = look_at(project)

    assert act(project, execute=False) == (verdict, steps)
    assert look_at(project) == before


def test_first_keep_releases_the_base(kept_template: Project) -> None:
    """KEEP makes the base the first release, serves it, and says that the candidate was judged and not taken."""
    events = load_events(kept_template.root)

    assert Verdict.KEEP.exit_code == 20
    assert kept_template.git("tag").split() == [BASE_TAG]
    assert [(each.event, each.tag) for each in events] == [
        ("registered", BASE_TAG),
        ("gated", CANDIDATE_TAG),
        ("drilled", CANDIDATE_TAG),
        ("kept", BASE_TAG),
        ("released", BASE_TAG),
    ]
    decision = compute_sha256(kept_template.root / "reports" / DECISION)
    assert (events[1].verdict, events[1].evidence_sha256, events[3].evidence_sha256) == (
        Verdict.KEEP,
        decision,
        decision,
    )
    assert read_outputs(kept_template) == read_stores(kept_template, "base")
    assert load_release(kept_template.root).tag == BASE_TAG
    assert list_refs(kept_template.remote) == [
        line for line in list_refs(kept_template.root) if "refs/remotes" not in line
    ]
    assert kept_template.git("status", "--porcelain") == ""


def test_keep_of_the_served_base_is_an_event_only(kept: Project) -> None:
    """Where the base is served already, KEEP adds to the log and changes nothing that is served."""
    rebind(kept)
    before = look_at(kept)
    verdict, steps = act(kept)
    after = look_at(kept)

    assert (verdict, steps) == (Verdict.KEEP, (f"keep {BASE_TAG}",))
    assert [(each.event, each.tag) for each in load_events(kept.root)[5:]] == [
        ("gated", CANDIDATE_TAG),
        ("drilled", CANDIDATE_TAG),
        ("kept", BASE_TAG),
    ]
    changed = {name for name, digest in after["files"].items() if before["files"].get(name) != digest}
    digest = compute_sha256(kept.root / "reports" / DECISION)
    assert changed == {str(LOG), f"models/evidence/{digest}.json"}
    assert set(before["files"]) < set(after["files"])
    assert (after["objects"], kept.git("tag")) == (before["objects"], BASE_TAG)
    assert kept.git("status", "--porcelain") == ""
    assert kept.git("ls-remote", "origin", "refs/heads/main").split()[0] == kept.git("rev-parse", "HEAD")


def test_keep_takes_the_candidate_back(released: Project) -> None:
    """Where the candidate is served, KEEP serves the base again; both tags stay where they are."""
    rebind(released, decision="KEEP", exit_code=20)
    tags = [line for line in list_refs(released.remote) if "refs/tags" in line]
    verdict, steps = act(released)

    assert (verdict, steps) == (Verdict.KEEP, (f"keep {BASE_TAG}",))
    assert read_outputs(released) == read_stores(released, "base")
    assert load_release(released.root).tag == BASE_TAG
    assert [line for line in list_refs(released.remote) if "refs/tags" in line] == tags
    assert [line for line in list_refs(released.root) if "refs/tags" in line] == tags
    assert (load_events(released.root)[-1].event, load_events(released.root)[-1].tag) == ("kept", BASE_TAG)
    assert released.git("status", "--porcelain") == ""
    assert released.git("ls-files", "models/*.dvc").splitlines() == [
        "models/embedded-gemma-lsa.dvc",
        "models/embeddinggemma-chess-fr.dvc",
    ]


def test_new_decision_on_released_bytes_tags_nothing(released: Project) -> None:
    """A candidate that was released in these bytes is not released again; it is said what is served."""
    rebind(released)
    before = look_at(released)
    verdict, steps = act(released)

    assert verdict is Verdict.RELEASE
    assert steps == (
        f"{CANDIDATE_TAG} was released before, with these very bytes",
        f"{CANDIDATE_TAG} is served; `nox -s fallback -- --to TAG` serves another one",
    )
    assert look_at(released) == before


def test_candidate_follows_the_base(kept: Project) -> None:
    """Where the base was released before, RELEASE is one commit and one tag more."""
    rebind(kept, decision="RELEASE", exit_code=0)
    base = [line for line in list_refs(kept.remote) if BASE_TAG in line]
    verdict, steps = act(kept)

    assert (verdict, steps) == (Verdict.RELEASE, (f"release {CANDIDATE_TAG}",))
    assert [line for line in list_refs(kept.remote) if BASE_TAG in line] == base
    assert [(each.event, each.tag) for each in load_events(kept.root)[5:]] == [
        ("registered", CANDIDATE_TAG),
        ("gated", CANDIDATE_TAG),
        ("drilled", CANDIDATE_TAG),
        ("released", CANDIDATE_TAG),
    ]
    assert read_outputs(kept) == read_stores(kept, "qlora")


def test_lock_of_the_build_graph_is_released(keeping: Project) -> None:
    """A `dvc.lock` that differs from the commit goes into the release, and every build output onto the DVC remote."""
    run_dvc(keeping.root, "stage", "add", "--name", "note", "--outs", "build/note.txt", "echo 1 > build/note.txt")
    keeping.git("add", "--all")
    keeping.git("commit", "--quiet", "--message", "graph")
    keeping.git("push", "--quiet")
    run_dvc(keeping.root, "repro", "--no-commit")
    run_dvc(keeping.root, "commit", "--force")
    lock = (keeping.root / GRAPH).read_bytes()
    rebind(keeping)
    act(keeping)

    assert keeping.git("status", "--porcelain") == ""
    assert keeping.repository.read_blob(f"refs/tags/{BASE_TAG}", GRAPH) == lock.decode()
    assert run_dvc(keeping.root, "status", "--cloud", "--quiet", check=False).returncode == 0


ODD_NAMES = {
    "spaces": "le bon coup",
    "hash": "roi #1",
    "percent": "100 % des coups",
    "accents": "échec et mat",
    "quote": "l'arbitre",
    "comma": "blanc, noir",
}


@pytest.mark.parametrize("name", ODD_NAMES.values(), ids=ODD_NAMES)
def test_folder_may_have_any_name(keeping_template: Project, tmp_path: Path, name: str) -> None:
    """A project below a folder of an odd name is released like any other."""
    project = keeping_template.copy(tmp_path / name)
    text = f'[\'remote "store"\']\n    url = "{project.objects}"\n'  # in quotes, as DVC writes such names
    (project.root / ".dvc" / "config.local").write_text(text, "utf-8")
    act(project)

    assert project.git("tag") == BASE_TAG
    assert read_outputs(project) == read_stores(project, "base")
    assert project.git("status", "--porcelain") == ""


def leave_hooks(project: Project) -> None:
    """Let every hook of the person who releases fail."""
    hooks = project.root / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("pre-commit", "commit-msg", "pre-push", "post-checkout", "reference-transaction"):
        (hooks / name).write_text("#!/bin/sh\nexit 1\n", "utf-8")
        (hooks / name).chmod(0o755)


def branch_like_tag(project: Project) -> None:
    """Make branches that are named like the tags, on another commit than the tags will be."""
    for tag in TAGS:
        project.git("branch", tag)
        project.git("push", "--quiet", "origin", f"refs/heads/{tag}")


def work_elsewhere(project: Project) -> None:
    """Work on a branch of another name."""
    project.git("switch", "--quiet", "--create", "saison/2026")
    project.git("push", "--quiet", "--set-upstream", "origin", "saison/2026")


def sign_everything(project: Project) -> None:
    """Ask for signatures without having a key, and set what else of Git changes what its commands do."""
    for key in ("commit.gpgSign", "tag.gpgSign", "push.followTags", "status.relativePaths", "diff.noprefix"):
        project.git("config", key, "true")
    for key, value in {"status.showUntrackedFiles": "no", "core.quotePath": "true", "push.default": "nothing"}.items():
        project.git("config", key, value)


@pytest.mark.parametrize(
    ("prepare", "branch"),
    [(leave_hooks, "main"), (branch_like_tag, "main"), (work_elsewhere, "saison/2026"), (sign_everything, "main")],
    ids=["hooks", "branches-like-tags", "another-branch", "settings"],
)
def test_settings_of_a_person_do_not_matter(keeping: Project, prepare: Callable[[Project], None], branch: str) -> None:
    """Hooks that fail, branches named like tags, another branch and odd settings change nothing about a release."""
    prepare(keeping)
    act(keeping)
    head = keeping.git("rev-parse", "HEAD")
    tag = keeping.repository.find_tag(BASE_TAG)

    assert keeping.git("symbolic-ref", "HEAD") == f"refs/heads/{branch}"
    assert keeping.git("ls-remote", "origin", f"refs/heads/{branch}").split()[0] == head
    assert tag is not None
    assert tag.commit == head
    assert read_outputs(keeping) == read_stores(keeping, "base")


def test_halt_is_not_acted_upon(fresh: Project) -> None:
    """HALT moves nothing and keeps its exit code."""
    edit_decision(fresh, lambda document: document.update(decision="HALT", exit_code=40, reasons=["the base is cut"]))
    error = refuse(fresh, HaltError)

    assert error.exit_code == 40
    assert error.problem == "the gate said HALT: the base is cut"


def test_nothing_evaluated_is_not_acted_upon(fresh: Project) -> None:
    """NOT_EVALUATED moves nothing and keeps its exit code."""
    edit_decision(fresh, lambda document: document.update(decision="NOT_EVALUATED", exit_code=30, reasons=["no drill"]))
    error = refuse(fresh, ReleaseError)

    assert error.exit_code == 30
    assert error.problem == "the gate said NOT_EVALUATED: no drill"
