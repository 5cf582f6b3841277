"""Going back to the base and forward again, and the two commands of the specification after what this tool released."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import PipelineError
from pipeline.files import compute_sha256
from tests.projects import (
    BASE_TAG,
    CANDIDATE_TAG,
    IDENTITY,
    ROOT,
    Project,
    ignore_configuration,
    list_digests,
    run,
    run_dvc,
    take_snapshot,
)
from tests.releases import CORPORA, MODEL_IDS
from tests.releasing.acts import DATABASE, ERROR, HALT, VECTORS, damage, expect_refusal, serve
from tests.releasing.observing import SERVED, check_remote, check_tidy, check_whole, read_folder, read_log
from tests.releasing.snapshots import look_at
from validation.releasing.errors import ReleaseError
from validation.releasing.events import NewEvent, append_events
from validation.releasing.fallback import Return, fall_back
from validation.releasing.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.params import CandidateName
    from validation.outcomes import Verdict

    Spoil = Callable[[Path], object]
    Change = Callable[[Project], object]

pytestmark = pytest.mark.requirement("REQ-FBK-01", "REQ-VER-01")

TAGS: dict[str, CandidateName] = {BASE_TAG: "base", CANDIDATE_TAG: "qlora"}
FOLDERS: dict[CandidateName, str] = {"base": "embedded-gemma-lsa", "qlora": "embeddinggemma-chess-fr"}
LOG, RELEASE, POINTER = "models/releases.jsonl", f"{SERVED}/release.json", f"{SERVED}/{DATABASE}.dvc"
QRELS, QUESTIONS = "corpus/gold/qrels_fr.tsv", "corpus/gold/questions_intl.jsonl"


@pytest.fixture(scope="module")
def back_template(released_template: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Return]:
    """A project in which the candidate was released and the base is served again; read only."""
    project = released_template.copy(tmp_path_factory.mktemp("back") / "all")
    with pytest.MonkeyPatch.context() as patch:
        ignore_configuration(patch)
        return project, serve(project)


@pytest.fixture
def back(back_template: tuple[Project, Return], tmp_path: Path) -> Project:
    """A copy of that project."""
    return back_template[0].copy(tmp_path / "all")


def read_stores(project: Project, role: CandidateName) -> dict[str, str]:
    """Return SHA-256 by name of what the built stores of a candidate would serve."""
    files = {
        name: project.root / "build" / role / corpus / name
        for corpus in CORPORA
        for name in (f"embeddings_mode_b_{corpus}.npy", f"corpus_mode_b_{corpus}.db")
    }
    return {name: compute_sha256(path) for name, path in files.items()}


def read_label(project: Project, corpus: str) -> str:
    """Return the model that a served database names."""
    with closing(sqlite3.connect(project.root / SERVED / f"corpus_mode_b_{corpus}.db")) as connection:
        label: str = connection.execute("SELECT value FROM metadata WHERE key = 'model_id'").fetchone()[0]
    return label


def check_serves(project: Project, tag: str, built: Project | None = None) -> None:
    """Look at everything that a project serves: bytes, labels, model, pointers and log, and that Git agrees.

    `built` is the project in which the stores were built, where it is not this one.
    """
    role, served, built = TAGS[tag], read_folder(project.root / SERVED), built or project
    models = (project.root / "models" / FOLDERS[role], built.root / "build" / "models" / role)

    assert read_stores(built, role).items() <= served.items()
    assert {read_label(project, corpus) for corpus in CORPORA} == {MODEL_IDS[role]}
    assert read_folder(models[0]) == read_folder(models[1]) != {}
    assert check_whole(project) == tag
    assert project.git("diff", "--name-only", tag, "--", SERVED, f"models/{FOLDERS[role]}.dvc") == ""
    assert project.git("status", "--porcelain", "--", SERVED, "models") == ""
    assert read_log(project)[-1]["tag"] == tag
    assert project.git("hash-object", LOG) == project.git("rev-parse", f"HEAD:{LOG}")


# Back, and forward again


def test_base_is_served_again(back_template: tuple[Project, Return]) -> None:
    """Every served byte is the base's, and so are pointers and `release.json`; the candidate's model stays beside."""
    project, done = back_template

    check_serves(project, BASE_TAG)
    check_tidy(project)
    assert done == Return(BASE_TAG, changed=True, notes=())
    assert read_stores(project, "base") != read_stores(project, "qlora")
    candidate = project.root / "models" / FOLDERS["qlora"]
    assert read_folder(candidate) == read_folder(project.root / "build" / "models" / "qlora")


def test_return_is_one_commit(back_template: tuple[Project, Return], released_template: Project) -> None:
    """What is committed is what is served and one line of the log; no tag moves and nothing goes to a remote."""
    project, before = back_template[0], released_template
    changed = project.git("diff", "--name-status", "HEAD~1", "HEAD").splitlines()
    pointers = [f"{SERVED}/{name}.dvc" for name in read_stores(project, "base")]

    assert project.git("rev-parse", "HEAD~1") == before.git("rev-parse", "HEAD")
    measures = [f"{SERVED}/{name}.json" for name in ("metrics", "plots/retrieval", "plots/slices")]
    assert changed == sorted(f"M\t{path}" for path in [RELEASE, LOG, *pointers, *measures])
    assert project.git("show", "--no-patch", "--format=%an <%ae> %s") == (
        f"{IDENTITY['user.name']} <{IDENTITY['user.email']}> serve {BASE_TAG} again"
    )
    assert project.git("for-each-ref", "refs/tags") == before.git("for-each-ref", "refs/tags")
    assert run(project.remote, "git", "for-each-ref").stdout == run(before.remote, "git", "for-each-ref").stdout
    assert read_folder(project.objects) == read_folder(before.objects)


def test_return_is_logged(back_template: tuple[Project, Return]) -> None:
    """The last event says what happened, by whom, on top of what, and which `release.json` came of it."""
    project = back_template[0]
    *before, last = read_log(project)

    assert before == read_log(project, "HEAD~1")
    assert {name: last[name] for name in ("number", "event", "tag", "verdict", "run")} == {
        "number": len(before) + 1, "event": "fell back", "tag": BASE_TAG, "verdict": None, "run": None,
    }  # fmt: skip
    assert last["actor"] == f"{IDENTITY['user.name']} <{IDENTITY['user.email']}>"
    assert last["commit"] == project.git("rev-parse", "HEAD~1")
    assert last["evidence_sha256"] == compute_sha256(project.root / RELEASE)


def test_forward_again(back: Project, released_template: Project) -> None:
    """The candidate can be served again, byte for byte as it was released; that is `restored`, and one commit more."""
    done = serve(back, CANDIDATE_TAG)

    assert done == Return(CANDIDATE_TAG, changed=True, notes=())
    check_serves(back, CANDIDATE_TAG)
    check_tidy(back)
    assert read_folder(back.root / SERVED) == read_folder(released_template.root / SERVED)
    assert [event["event"] for event in read_log(back)][-3:] == ["released", "fell back", "restored"]
    assert back.git("rev-list", "--count", f"{CANDIDATE_TAG}..HEAD") == "2"


def test_again_and_again(released: Project) -> None:
    """Going to and fro and each time twice makes one commit and one event for every change, and none for none."""
    length = len(read_log(released))
    for tag in (CANDIDATE_TAG, BASE_TAG, BASE_TAG, CANDIDATE_TAG):
        is_change = read_log(released)[-1]["tag"] != tag

        assert serve(released, tag).changed is is_change
    check_serves(released, CANDIDATE_TAG)
    assert len(read_log(released)) == length + 2
    assert released.git("rev-list", "--count", f"{CANDIDATE_TAG}..HEAD") == "2"


def test_unrelated_changes_survive(released: Project) -> None:
    """What somebody was working on is neither lost, nor committed, nor staged or unstaged."""
    (released.root / QRELS).write_text("mine, not staged\n", "utf-8")
    (released.root / QUESTIONS).write_text("mine, staged\n", "utf-8")
    (released.root / "corpus/gold/qrels_intl.tsv").unlink()
    (released.root / "models" / "notes.txt").write_text("mine, unknown to Git\n", "utf-8")
    released.git("add", QUESTIONS)
    status, folders = released.git("status", "--porcelain"), ("corpus/gold", "build", "reports")
    digests = [list_digests(released.root / folder) for folder in folders]
    assert serve(released).changed

    assert released.git("status", "--porcelain") == status
    assert len(status.splitlines()) == 4
    assert [list_digests(released.root / folder) for folder in folders] == digests
    assert released.git("diff", "--name-only", "HEAD~1", "HEAD", "--", "corpus/gold") == ""
    assert (released.root / "models" / "notes.txt").is_file()
    assert check_whole(released) == BASE_TAG


# With a remote


def test_return_is_pushed(released: Project) -> None:
    """With `--push` the remote has the commit, too; where the base is served already, what was not pushed is."""
    done = [fall_back(released.repository, tag, BASE_TAG, push=push) for tag, push in (
        (BASE_TAG, True), (CANDIDATE_TAG, False), (CANDIDATE_TAG, True),
    )]  # fmt: skip

    assert [each.changed for each in done] == [True, True, False]
    assert run(released.remote, "git", "rev-parse", "main").stdout.strip() == released.git("rev-parse", "HEAD")
    assert [event["event"] for event in read_log(released, "main", released.remote)][-2:] == ["fell back", "restored"]
    check_serves(released, CANDIDATE_TAG)
    check_remote(released)
    check_tidy(released)


def move_on(project: Project) -> None:
    """Let somebody else have pushed a commit meanwhile."""
    other = project.clone("colleague")
    other.git("commit", "--quiet", "--allow-empty", "--message", "theirs")
    other.git("push", "--quiet")


REFUSING: dict[str, Change] = {
    "remote-is-down": lambda project: project.remote.rename(project.folder / "gone"),
    "no-remote": lambda project: project.git("remote", "remove", "origin"),
    "remote-moved-on": move_on,
}


@pytest.mark.parametrize("refuse", REFUSING.values(), ids=REFUSING)
def test_push_that_is_refused_takes_nothing_back(released: Project, refuse: Change) -> None:
    """Where the remote does not take it, the base is served all the same, and one line says both."""
    refuse(released)
    with pytest.raises(PipelineError, match=f"{BASE_TAG}: is served here, but was not pushed: ") as caught:
        fall_back(released.repository, BASE_TAG, BASE_TAG, push=True)

    assert (caught.value.exit_code, "\n" in str(caught.value)) == (30, False)
    check_serves(released, BASE_TAG)
    check_tidy(released)
    assert not serve(released).changed


def test_fresh_clone_falls_back(released: Project) -> None:
    """A clone that has pointers alone and no cache gets every object from the DVC remote, the model included."""
    clone = released.clone()

    assert not (clone.root / SERVED / VECTORS).exists()
    done = serve(clone)
    assert (done.changed, len(done.notes)) == (True, 1)
    assert done.notes[0].startswith("had from the remote, as something is not in the local cache")
    check_serves(clone, BASE_TAG, released)
    check_tidy(clone)
    assert serve(clone, CANDIDATE_TAG).changed
    check_serves(clone, CANDIDATE_TAG, released)


def test_clone_serves_what_was_served_there(back: Project) -> None:
    """A clone made after a fallback has the base's pointers and no files; they are brought, once."""
    back.git("push", "--quiet")
    clone = back.clone()
    assert serve(clone).changed

    check_serves(clone, BASE_TAG, back)
    assert not serve(clone).changed


# What is served was spoilt


def replace(root: Path) -> None:
    """Put the candidate's database into the place of the base's."""
    path = root / SERVED / DATABASE
    path.unlink()
    shutil.copy(root / "build" / "qlora" / "fr" / DATABASE, path)


def link(root: Path) -> None:
    """Put a link to the right bytes into the place of a file."""
    path = root / SERVED / VECTORS
    path.rename(root / "aside.npy")
    path.symlink_to(root / "aside.npy")


def clear(root: Path) -> None:
    """Delete everything that DVC keeps of what is served."""
    for path in [*(root / SERVED).glob("*.npy"), *(root / SERVED).glob("*.db")]:
        path.unlink()


SPOILT: dict[str, Spoil] = {
    "damaged": lambda root: damage(root / SERVED / VECTORS),
    "deleted": lambda root: (root / SERVED / DATABASE).unlink(),
    "all-deleted": clear,
    "replaced": replace,
    "link": link,
    "pointer-deleted": lambda root: (root / POINTER).unlink(),
    "release-file-deleted": lambda root: (root / RELEASE).unlink(),
    "text-deleted": lambda root: (root / SERVED / "chunks_mode_b_fr.json").unlink(),
    "log-deleted": lambda root: (root / LOG).unlink(),
    "folder-deleted": lambda root: shutil.rmtree(root / SERVED),
    "model-damaged": lambda root: damage(root / "models" / FOLDERS["base"] / "model.safetensors"),
    "model-deleted": lambda root: shutil.rmtree(root / "models" / FOLDERS["base"]),
    "model-file-added": lambda root: (root / "models" / FOLDERS["base"] / "more.bin").write_bytes(b"more"),
    "model-pointer-deleted": lambda root: (root / "models" / f"{FOLDERS['base']}.dvc").unlink(),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_spoilt_base_is_repaired(back: Project, spoil: Spoil) -> None:
    """Falling back to what is served already makes it whole again; that is on record, and the next time is none."""
    spoil(back.root)
    (back.root / "aside.npy").unlink(missing_ok=True)
    assert serve(back).changed

    check_serves(back, BASE_TAG)
    check_tidy(back)
    assert read_log(back)[-1]["event"] == "fell back"
    assert not serve(back).changed


def test_spoilt_candidate_is_repaired(released: Project) -> None:
    """The candidate is made whole by the same command with its tag."""
    damage(released.root / SERVED / VECTORS)
    clear(released.root / "models")
    assert serve(released, CANDIDATE_TAG).changed

    check_serves(released, CANDIDATE_TAG)
    assert read_log(released)[-1]["event"] == "restored"


def append(path: Path) -> int:
    """Write something into a file by hand."""
    return path.write_text(f"{path.read_text('utf-8')}\n", "utf-8")


def stage(project: Project) -> None:
    """Change a pointer by hand, and stage that."""
    append(project.root / POINTER)
    project.git("add", POINTER)


def enter(project: Project) -> None:
    """Put a folder with something in it into the place of a file."""
    (project.root / SERVED / DATABASE).unlink()
    (project.root / SERVED / DATABASE).mkdir()
    (project.root / SERVED / DATABASE / "mine").write_bytes(b"mine")


def log_more(project: Project) -> None:
    """Append an event to the log, in the right form."""
    append_events(project.root, "me", "0" * 40, [NewEvent(event="fell back", tag=BASE_TAG)])


def log_less(project: Project) -> None:
    """Cut the last line of the log short."""
    (project.root / LOG).write_text((project.root / LOG).read_text("utf-8")[:-400], "utf-8")


BY_HAND: dict[str, tuple[Change, str]] = {
    "pointer": (lambda project: append(project.root / POINTER), f"{POINTER}: was changed by hand, and would be"),
    "pointer-staged": (stage, f"{POINTER}: was changed by hand, and would be lost"),
    "pointer-of-the-model": (
        lambda project: append(project.root / "models" / f"{FOLDERS['base']}.dvc"),
        f"models/{FOLDERS['base']}.dvc: was changed by hand, and would be lost",
    ),
    "release-file": (lambda project: append(project.root / RELEASE), f"{RELEASE}: was changed by hand"),
    "log": (log_more, f"{LOG}: was changed by hand, and would be lost"),
    "log-cut": (log_less, f"{LOG}: was changed by hand, and would be lost"),
    "beside": (
        lambda project: (project.root / SERVED / "mine.db").write_bytes(b"mine"),
        f"{SERVED}/mine.db: is no",
    ),
    "in-the-place-of-a-file": (enter, f"{SERVED}/{DATABASE}/: is no part"),
}


@pytest.mark.parametrize(("change", "said"), BY_HAND.values(), ids=BY_HAND)
def test_what_no_commit_holds_is_not_lost(released: Project, change: Change, said: str) -> None:
    """Something that was edited by hand is named, and left as it is."""
    change(released)

    expect_refusal(released, lambda: serve(released), ERROR, said)


def test_own_model_is_not_in_the_way(released: Project) -> None:
    """A pointer to a model of one's own, which no release has, is neither lost nor committed."""
    own = released.root / "models" / "mine.dvc"
    own.write_text("outs:\n- md5: 0\n", "utf-8")

    assert serve(released).changed
    assert released.git("status", "--porcelain") == "?? models/mine.dvc"


# What cannot be served

NOT_THERE = (
    "v9.9-base", "v1.0", "v1.*-base", "v?.0-base", "main", "HEAD", "refs/tags/v1.0-base", "", " ", "-h", "../v1",
    "v1.0-base^{}", "v1.0-base/", "v1.0-base\nv1.1-qlora", "é\x1b[31m",
)  # fmt: skip


def test_no_such_tag(released: Project) -> None:
    """A name that is not a tag's is refused, whatever Git would make of it as a pattern, option or path."""
    released.git("tag", "v1.0/below", BASE_TAG)
    before = take_snapshot(released)
    for name in NOT_THERE:
        with pytest.raises(ReleaseError) as caught:
            serve(released, name)

        assert (caught.value.where, caught.value.problem) == (name, "there is no such tag")
        assert caught.value.exit_code == 30
    assert take_snapshot(released) == before


def test_first_release_must_come_first(fresh: Project) -> None:
    """Before anything was released there is nothing to go back to, which calls a person: there is no way back."""
    expect_refusal(fresh, lambda: serve(fresh), HALT, f"{BASE_TAG}: there is no such tag")


@pytest.mark.parametrize("kind", [[], ["--annotate", "--message", "mine"]], ids=["lightweight", "annotated"])
def test_tag_made_by_hand(released: Project, kind: list[str]) -> None:
    """A tag of somebody's own is not served, even on the very commit of a release."""
    released.git("tag", *kind, "v1.2-hand", BASE_TAG)
    released.git("tag", *kind, "v1.3-hand", f"{BASE_TAG}~1")

    expect_refusal(released, lambda: serve(released, "v1.2-hand"), ERROR, f"its commit is that of {BASE_TAG}")
    expect_refusal(released, lambda: serve(released, "v1.3-hand"), ERROR, "was made by hand")


def test_tag_that_is_on_the_remote_alone(released: Project) -> None:
    """A release whose tag is not here is not guessed at; the tag is fetched, and it is served."""
    released.git("tag", "--delete", BASE_TAG)
    expect_refusal(released, lambda: serve(released), HALT, BASE_TAG, "but there is no such tag here")

    with pytest.raises(PipelineError, match="run `git fetch --tags`"):
        serve(released)
    released.git("fetch", "--quiet", "--tags")
    assert serve(released).changed
    check_serves(released, BASE_TAG)


def unname(project: Project) -> None:
    """Forget who commits."""
    for name in IDENTITY:
        project.git("config", "--unset", name)


def leave(project: Project) -> None:
    """Be on a branch from before the first release."""
    clear(project.root)
    project.git("checkout", "--quiet", "-b", "old", f"{BASE_TAG}~1")


STANDING: dict[str, tuple[Change, Verdict, str, str]] = {
    "detached": (
        lambda project: project.git("checkout", "--quiet", "--detach"), ERROR, "HEAD: is detached", "git switch",
    ),
    "no-name": (unname, ERROR, "git var: ", "git config user.name"),
    "before-the-release": (leave, HALT, "is not in the history of what is checked out", "branch of releases"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "verdict", "said", "remedy"), STANDING.values(), ids=STANDING)
def test_where_nobody_can_fall_back(
    released: Project, monkeypatch: pytest.MonkeyPatch, change: Change, verdict: Verdict, said: str, remedy: str
) -> None:
    """Without a branch or a name nothing is committed, nor on a branch that the release is not on."""
    for variable in ("EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL"):
        monkeypatch.delenv(variable, raising=False)
    change(released)
    before = look_at(released)
    with pytest.raises(ReleaseError) as caught:
        serve(released)

    assert caught.value.exit_code == verdict.exit_code
    assert said in f"{caught.value.where}: {caught.value.problem}"
    assert remedy in caught.value.remedy
    assert look_at(released) == before


def test_no_repository(tmp_path: Path) -> None:
    """A folder that is no clone is told so in one line."""
    with pytest.raises(PipelineError, match=r"git rev-parse: .*not a git repository.*; run it in a clone") as caught:
        fall_back(Repository(tmp_path), BASE_TAG, BASE_TAG, push=False)

    assert caught.value.exit_code == 30
    assert list(tmp_path.iterdir()) == []


def test_no_dvc_project(released: Project) -> None:
    """Where DVC is not set up, nothing is touched."""
    released.git("rm", "--quiet", ".dvc/config")
    released.git("commit", "--quiet", "--message", "no DVC")

    with pytest.raises(PipelineError, match="is no DVC project; run `dvc init`"):
        serve(released)
    assert check_whole(released) == CANDIDATE_TAG


# The two commands of the specification, word for word

GO = "git checkout {tag} -- corpus/processed/*.dvc\ndvc checkout\n"
SHOW = "python -m pipeline.update_db_model_id --db corpus/processed/corpus_mode_b_fr.db --show\n"
CHECK = r"""python -c "
import sqlite3
db = sqlite3.connect('corpus/processed/corpus_mode_b_fr.db')
model = db.execute(\"SELECT value FROM metadata WHERE key='model_id'\").fetchone()[0]
print(f'Active model: {model}')
expected = '{expected}'
assert model == expected, f'Model mismatch: {model} != {expected}'
print('✓ Fallback verification passed')
"
"""


def run_bash(root: Path, script: str) -> list[str]:
    """Run commands as somebody types them in the project, and return what they print; any failure fails the test."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=root,
        env=os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def verify(root: Path, tag: str) -> None:
    """Run the checks of the specification, with the model ids of this project."""
    expected = MODEL_IDS[TAGS[tag]]
    lines = run_bash(root, SHOW + CHECK.replace("'{expected}'", f"'{expected}'"))

    assert f"model_id: {expected}" in lines
    assert lines[-2:] == [f"Active model: {expected}", "✓ Fallback verification passed"]


@pytest.mark.parametrize("state", ["candidate-served", "base-served", "base-alone"])
def test_commands_of_the_specification(
    state: str,
    released_template: Project,
    back_template: tuple[Project, Return],
    based_template: Project,
    tmp_path: Path,
) -> None:
    """On every release that this tool made, both ways, they serve what the tag names, byte for byte."""
    templates = {"candidate-served": released_template, "base-served": back_template[0], "base-alone": based_template}
    project = templates[state].copy(tmp_path / "all")
    tags = [BASE_TAG] if state == "base-alone" else [BASE_TAG, CANDIDATE_TAG, BASE_TAG]
    for tag in tags:
        run_bash(project.root, GO.format(tag=tag))

        verify(project.root, tag)
        assert read_stores(project, TAGS[tag]).items() <= read_folder(project.root / SERVED).items()
        assert run_dvc(project.root, "status").stdout.strip() == "Data and pipelines are up to date."
    with pytest.raises(AssertionError, match="Model mismatch"):
        verify(project.root, CANDIDATE_TAG)


@pytest.mark.parametrize("fetch", ["dvc pull --all-tags", "git checkout v1.0-base -- corpus/processed/*.dvc\ndvc pull"])
def test_commands_of_the_specification_in_a_clone(released: Project, fetch: str) -> None:
    """In a clone whose objects were pulled they do the same, without this tool having run there."""
    clone = released.clone()
    run_bash(clone.root, f"{fetch}\n{GO.format(tag=BASE_TAG)}")

    verify(clone.root, BASE_TAG)
    assert read_stores(released, "base").items() <= read_folder(clone.root / SERVED).items()


@pytest.mark.parametrize("then", [BASE_TAG, CANDIDATE_TAG])
@pytest.mark.parametrize("gone", [BASE_TAG, CANDIDATE_TAG])
def test_fallback_settles_what_the_commands_leave(
    gone: str, then: str, released_template: Project, back_template: tuple[Project, Return], tmp_path: Path
) -> None:
    """They leave `release.json` and the log behind; this tool brings all together, whatever is to be served then."""
    project = (released_template if gone == BASE_TAG else back_template[0]).copy(tmp_path / "all")
    run_bash(project.root, GO.format(tag=gone))
    assert project.git("status", "--porcelain").splitlines() != []
    done = serve(project, then)

    assert done.changed or done.notes
    check_serves(project, then)
    check_tidy(project)
    assert not serve(project, then).changed
