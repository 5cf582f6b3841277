"""Git keeps code, configuration and text, DVC the rest: each rule, on real repositories."""

from __future__ import annotations

import io
import json
import os
import pickle
import shlex
import sqlite3
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest
import typer
from ruamel.yaml import YAML

from pipeline.commandline import run_app
from pipeline.errors import InputError, StoreError
from pipeline.params import PROJECT_ROOT
from tests.repositories import Repository, forget_git, make_repository, write_pointer
from validation.custody import DVC_SUFFIXES, GIT_LIMIT, Misplaced, check_custody, custody, find_misplaced

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.requirement("REQ-CUS-01")


def save_matrix() -> bytes:
    """Return a small matrix as NumPy saves it."""
    stream = io.BytesIO()
    np.save(stream, np.ones(3, dtype="<f4"))
    return stream.getvalue()


def save_database() -> bytes:
    """Return a small database as SQLite writes it."""
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE chunks (id TEXT)")
        content = connection.serialize()
    connection.close()
    return content


def save_zip() -> bytes:
    """Return an archive of one empty file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a"), "")
    return stream.getvalue()


MATRIX, DATABASE = save_matrix(), save_database()
HIDDEN = {
    "matrix": (MATRIX, "holds a NumPy array in Git, expected it in DVC"),
    "database": (DATABASE, "holds an SQLite database in Git, expected it in DVC"),
    "archive": (save_zip(), "is not UTF-8 at byte 71, expected text in Git"),
    "pickle": (pickle.dumps({"a": 1}), "is not UTF-8 at byte 0, expected text in Git"),
    "latin-1": ("arbitré".encode("latin-1"), "is not UTF-8 at byte 6, expected text in Git"),
    "utf-16": ("arbitre".encode("utf-16"), "is not UTF-8 at byte 0, expected text in Git"),
    "late nul": ("é".encode() * 50_000 + b"\0", "has a NUL at character 50000, expected text in Git"),
}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """Return a repository with this project's ignore rules, whatever Git is told outside of it."""
    forget_git(monkeypatch)
    made = make_repository(tmp_path / "project")
    made.stage(".gitignore", (PROJECT_ROOT / ".gitignore").read_bytes())
    made.stage("README.md", "Règles du jeu d'échecs\n")
    return made


def list_paths(repository: Repository, *paths: str) -> list[str]:
    """Return the paths of what is misplaced."""
    return [misplaced.path for misplaced in find_misplaced(repository.root, paths)]


def test_a_repository_of_text_is_clean(repository: Repository) -> None:
    """Nothing is misplaced, and the line says how many files were looked at."""
    repository.stage("corpus/processed/chunks.json", "{}")
    repository.stage("empty", b"")

    assert find_misplaced(repository.root) == []
    assert check_custody(repository.root) == "custody: 4 files looked at, 0 misplaced"


def test_this_project_is_clean() -> None:
    """The rules hold in the repository that they come from."""
    assert [str(misplaced) for misplaced in find_misplaced(PROJECT_ROOT)] == []


@pytest.mark.parametrize("suffix", DVC_SUFFIXES)
def test_a_file_of_a_dvc_kind_is_never_in_git(repository: Repository, suffix: str) -> None:
    """By its suffix alone it is named, empty and in any folder, with what moves it."""
    repository.stage(f"some/where/file{suffix}", b"")

    assert find_misplaced(repository.root) == [
        Misplaced(
            f"some/where/file{suffix}",
            f"is a {suffix} file in Git, expected it in DVC",
            f"run `git rm --cached some/where/file{suffix} && dvc add some/where/file{suffix}`",
        )
    ]


def test_dvc_kinds_are_those_of_vectors_databases_and_models() -> None:
    """The list of suffixes is the whole one."""
    kinds = ".npy .npz .db .sqlite .sqlite3 .safetensors .bin .pt .pth .ckpt .onnx .gguf .pkl .joblib .h5"

    assert sorted(DVC_SUFFIXES) == sorted(kinds.split())


@pytest.mark.parametrize("name", ["FILE.NPY", ".npy", "a.b.Db", "a.md.sQLite3", "a..pt"])
def test_a_suffix_is_known_in_any_spelling(repository: Repository, name: str) -> None:
    """Capitals, a name that is nothing but the suffix, and several dots hide no kind."""
    repository.stage(name)

    assert list_paths(repository) == [name]


@pytest.mark.parametrize("name", ["npy", "db.md", "a.npy.txt", "a.npyx", "a.dbs/notes.md", "a.pt/notes.md"])
def test_a_name_that_only_holds_a_suffix_is_fine(repository: Repository, name: str) -> None:
    """The end of the file's own name counts."""
    repository.stage(name)

    assert list_paths(repository) == []


@pytest.mark.parametrize(("content", "problem"), HIDDEN.values(), ids=HIDDEN)
@pytest.mark.parametrize("name", ["notes.md", "chunks.json", "data"])
def test_content_that_is_no_text_is_named_under_any_name(
    repository: Repository, name: str, content: bytes, problem: str
) -> None:
    """A matrix or database that was renamed, and whatever else is not text, is known by its bytes."""
    repository.stage(name, content)

    assert find_misplaced(repository.root) == [
        Misplaced(name, problem, f"run `git rm --cached {name} && dvc add {name}`")
    ]


def test_a_renamed_file_stays_misplaced(repository: Repository) -> None:
    """`git mv` to a harmless name changes the reason, not the finding."""
    repository.stage("a.npy", MATRIX)
    repository.git("mv", "a.npy", "a.txt")

    assert find_misplaced(repository.root)[0].problem == HIDDEN["matrix"][1]
    assert list_paths(repository) == ["a.txt"]


@pytest.mark.parametrize(
    ("size", "problems"),
    [
        (9_999_999, []),
        (10_000_000, ["has 10000000 bytes in Git, expected fewer than 10000000"]),
        (10_000_001, ["has 10000001 bytes in Git, expected fewer than 10000000"]),
        (25_000_000, ["has 25000000 bytes in Git, expected fewer than 10000000"]),
    ],
)
def test_text_in_git_is_smaller_than_10_mb(repository: Repository, size: int, problems: list[str]) -> None:
    """Exactly 10 MB is too much, one byte less is not, and the files after a large one are still read rightly."""
    repository.stage("long.txt", b"a" * size)
    repository.stage("other.txt", DATABASE)

    assert [found.problem for found in find_misplaced(repository.root)] == [*problems, HIDDEN["database"][1]]
    assert GIT_LIMIT == 10_000_000


def test_a_large_matrix_is_named_as_a_matrix(repository: Repository) -> None:
    """What a file is says more than how large it is."""
    repository.stage("long.txt", MATRIX + b"\0" * GIT_LIMIT)

    assert [found.problem for found in find_misplaced(repository.root)] == [HIDDEN["matrix"][1]]


def test_what_is_staged_counts(repository: Repository) -> None:
    """A binary in the folder is no finding while text is staged; staged, it is one, even mended or deleted after."""
    repository.stage("notes.md").write_bytes(MATRIX)

    assert list_paths(repository) == []
    notes = repository.stage("notes.md", MATRIX)
    notes.write_text("mended", encoding="utf-8")
    assert list_paths(repository) == ["notes.md"]
    notes.unlink()
    assert list_paths(repository) == ["notes.md"]
    repository.git("rm", "--quiet", "--cached", "notes.md")
    assert list_paths(repository) == []


def test_a_replaced_object_hides_nothing(repository: Repository) -> None:
    """`git replace` shows text in the place of a matrix here; what a commit takes is the matrix."""
    repository.stage("notes.md", MATRIX)
    text = repository.git("hash-object", "-w", "--stdin", given=b"text")
    repository.git("replace", repository.git("rev-parse", ":notes.md"), text)

    assert list_paths(repository) == ["notes.md"]


@pytest.mark.parametrize(
    ("path", "is_expected"),
    [
        ("corpus/gold/qrels.tsv", True),
        ("models/qlora", True),
        ("corpus", True),
        ("models", True),
        ("elsewhere/a.npy", True),
        ("elsewhere/a.npy.dvc", True),
        ("docs/readme", False),
        ("corpus.md", False),
        ("docs/corpus/a", False),
    ],
)
@pytest.mark.parametrize(("mode", "kind"), [("120000", "a symbolic link"), ("160000", "a submodule")])
def test_nothing_is_reached_by_a_link(
    repository: Repository, path: str, mode: str, kind: str, *, is_expected: bool
) -> None:
    """In the rooms of a release, and as a pointer or a file of a DVC kind, a link or submodule is named."""
    # The commit of a submodule is in another repository.
    target = repository.git("hash-object", "-w", "--stdin", given=b"/elsewhere") if mode == "120000" else "1" * 40
    repository.git("update-index", "--add", "--cacheinfo", f"{mode},{target},{path}")
    remedy = f"run `git rm --cached {path}` and put the file itself there"
    found = [Misplaced(path, f"is {kind}, expected the file itself", remedy)]

    assert find_misplaced(repository.root) == (found if is_expected else [])


@pytest.mark.parametrize("model", ["embedded-gemma-lsa", "embeddinggemma-chess-fr"])
def test_a_release_is_clean_by_this_projects_ignore_rules(repository: Repository, model: str) -> None:
    """Pointers beside what Git leaves out, and the release's own documents, are as they should be."""
    for path in ("corpus/processed/embeddings_mode_b_fr.npy", "corpus/processed/corpus_mode_b_fr.db"):
        repository.write(path, MATRIX)
        repository.point(path)
    repository.write(f"models/{model}/model.safetensors", b"\0")
    repository.point(f"models/{model}", is_folder=True)
    for path in ("corpus/processed/release.json", "models/releases.jsonl", "models/evidence/00ff.json"):
        repository.write(path, "{}")
    repository.git("add", ".")

    assert find_misplaced(repository.root) == []
    tracked = repository.git("ls-files", "corpus", "models").splitlines()
    assert tracked == [
        "corpus/processed/corpus_mode_b_fr.db.dvc",
        "corpus/processed/embeddings_mode_b_fr.npy.dvc",
        "corpus/processed/release.json",
        f"models/{model}.dvc",
        "models/evidence/00ff.json",
        "models/releases.jsonl",
    ]


def test_what_real_dvc_adds_is_clean(repository: Repository) -> None:
    """After `dvc add` and `git add`, of files and a folder, inside the rooms or outside, nothing is misplaced."""
    for path in ("corpus/processed/a.npy", "models/qlora/model.safetensors", "data/table.db", "corpus/processed/b.pt"):
        repository.write(path, MATRIX)
    targets = ("corpus/processed/a.npy", "models/qlora", "data/table.db", "corpus/processed/b.pt")
    for arguments in (["init", "-q"], ["add", "-q", *targets]):
        environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
        subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=repository.root, env=environment, check=True)
    repository.git("add", ".")

    assert {f"{target}.dvc" for target in targets} <= set(repository.git("ls-files").splitlines())
    assert find_misplaced(repository.root) == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (write_pointer("a.npy").replace("hash: md5", "hash: sha256"), "outs[0].hash: expected 'md5', got \"sha256\""),
        (write_pointer("../a.npy"), "outs[0].path: expected a relative path without `..`, got '../a.npy'"),
        (write_pointer("b.npy"), "pointer: outs[0].path: expected 'a.npy', got 'b.npy'"),
        ("<<<<<<< HEAD\n" + write_pointer("a.npy"), "pointer: not valid YAML: "),
        ("", "pointer: expected an object, got null"),
        (b"\xff", "is not UTF-8 at byte 0, expected text in Git"),
    ],
    ids=["hash", "path above", "other path", "conflict", "empty", "binary"],
)
def test_a_pointer_in_git_is_strict(repository: Repository, content: bytes | str, problem: str) -> None:
    """A staged pointer that the project would refuse is named with its field, in one line, and no temporary file."""
    repository.stage("corpus/processed/a.npy.dvc", content)
    (found,) = find_misplaced(repository.root)

    assert found.path == "corpus/processed/a.npy.dvc"
    assert found.problem.startswith(problem)
    assert "\n" not in found.problem
    assert "tmp" not in str(found)


def test_the_staged_pointer_counts(repository: Repository) -> None:
    """A pointer that is right on disk and wrong in the index is wrong."""
    pointer = repository.stage("corpus/processed/a.npy.dvc", "outs: []\n")
    pointer.write_text(write_pointer("a.npy"), encoding="utf-8")

    assert list_paths(repository) == ["corpus/processed/a.npy.dvc"]


@pytest.mark.parametrize(("is_folder", "rule"), [(False, "/a.npy"), (True, "/a.npy/"), (True, "/a.npy")])
@pytest.mark.parametrize("exists", [True, False], ids=["there", "not pulled"])
def test_what_a_pointer_points_to_is_ignored(
    repository: Repository, rule: str, *, is_folder: bool, exists: bool
) -> None:
    """A pointer is fine with a staged rule for a file or a folder, pulled or not, and named without one."""
    repository.point("data/a.npy", is_folder=is_folder)
    if exists:
        repository.write("data/a.npy/x" if is_folder else "data/a.npy")
    (found,) = find_misplaced(repository.root)

    assert found == Misplaced(
        "data/a.npy.dvc",
        "points to data/a.npy, expected a staged ignore rule for it",
        "name it in data/.gitignore, `git add` that",
    )
    repository.write("data/.gitignore", f"{rule}\n")
    assert list_paths(repository) == ["data/a.npy.dvc"]
    repository.stage("data/.gitignore", f"{rule}\n")
    assert list_paths(repository) == []


@pytest.mark.parametrize("rule", ["/a.npy/", "!/a.npy", "# /a.npy", "/b.npy", ""])
def test_a_rule_for_something_else_ignores_nothing(repository: Repository, rule: str) -> None:
    """A rule for folders, the opposite of a rule, a comment and another name do not leave out a file."""
    repository.point("data/a.npy")
    repository.stage("data/.gitignore", rule)

    assert list_paths(repository) == ["data/a.npy.dvc"]


@pytest.mark.parametrize("place", ["exclude", "config", "home"])
def test_what_only_this_machine_ignores_is_not_ignored(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Rules of `.git/info/exclude`, of a file that the configuration names and of the home folder reach no clone."""
    repository.point("data/a.npy")
    rules = repository.write(".git/info/exclude" if place == "exclude" else "../home/git/ignore", "a.npy\n")
    if place == "config":
        config = repository.write("../home/config", f"[core]\n\texcludesFile = {rules}\n")
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    if place == "home":
        monkeypatch.setenv("XDG_CONFIG_HOME", str(rules.parents[1]))

    assert subprocess.run(["git", "check-ignore", "-q", "data/a.npy"], cwd=repository.root, check=False).returncode == 0
    assert list_paths(repository) == ["data/a.npy.dvc"]


@pytest.mark.parametrize("kept", ["data/model", "data/model/deep/config.json"])
def test_nothing_is_kept_by_both(repository: Repository, kept: str) -> None:
    """A file in Git that is, or lies in, what a pointer points to is named, seen from the file or from the pointer."""
    repository.stage("data/.gitignore", "/model\n")
    repository.point("data/model", is_folder=kept != "data/model")
    repository.stage(kept)
    repository.stage("data/model.md")
    problem = "is in Git, and in DVC by data/model.dvc; expected one of both"

    assert find_misplaced(repository.root) == [Misplaced(kept, problem, f"run `git rm --cached {kept}`")]
    assert list_paths(repository, kept) == list_paths(repository, "data/model.dvc") == [kept]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("corpus/processed/a.pt", b""),
        ("corpus/processed/deep/er/A.NPY", b""),
        ("models/a.onnx", b""),
        ("corpus/processed/matrix.json", MATRIX),
        ("models/notes.md", DATABASE),
    ],
    ids=["suffix", "deep", "models", "matrix", "database"],
)
def test_what_nobody_keeps_is_named(repository: Repository, path: str, content: bytes) -> None:
    """A file of a DVC kind on disk, by name or bytes, has a pointer or an ignore rule, or it is named."""
    repository.write(path, content)

    assert find_misplaced(repository.root) == [
        Misplaced(path, "expected a pointer or a staged ignore rule, found neither", f"run `dvc add {path}`")
    ]


@pytest.mark.parametrize(
    "path",
    [
        "corpus/processed/notes.md",
        "corpus/a.npy",
        "data/a.npy",
        "models/deep/a.npy",
        "models/evidence/a.npy",
        "corpus/processed/b.npy",
    ],
)
def test_other_files_on_disk_are_nobodys_business(repository: Repository, path: str) -> None:
    """Text, other folders, what a model's folder holds, and what a rule leaves out are not named."""
    repository.write(path)

    assert list_paths(repository) == []


@pytest.mark.parametrize("pointed", ["corpus/processed/set", "corpus/processed/set/a.pt"], ids=["folder", "file"])
def test_a_pointer_on_disk_keeps_a_file(repository: Repository, pointed: str) -> None:
    """A strict pointer beside the file, or beside its folder, is enough before it is staged; a broken one is not."""
    repository.write("corpus/processed/set/a.pt")
    pointer = repository.write(f"{pointed}.dvc", write_pointer(pointed.rsplit("/", 1)[1], is_folder=True))

    assert list_paths(repository) == []
    pointer.write_text("outs: []\n", encoding="utf-8")
    assert list_paths(repository) == ["corpus/processed/set/a.pt"]


def test_a_pipe_on_disk_holds_up_nobody(repository: Repository) -> None:
    """What is no regular file is not opened."""
    repository.write("models/notes.md").unlink()
    os.mkfifo(repository.root / "models" / "notes.md")

    assert list_paths(repository) == []


NAMES = {
    "space": "some notes.txt",
    "accent": "règles.txt",
    "newline": "a\nb.txt",
    "escape": "a\x1b[31mb.txt",
    "quotes": 'it\'s "so" $(touch x).txt',
    "line separator": "a\u2028b.txt",
    "right to left": "a\u202eb.txt",
    "no utf-8": os.fsdecode(b"a\xffb.txt"),
    "dash": "-rf.txt",
    "colon": ":(top)a.txt",
    "star": "*.txt",
    "tab": "a\tb.txt",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_any_name_is_one_harmless_line(repository: Repository, name: str) -> None:
    """Whatever a file is called, it is found, and told in one line of printable signs."""
    repository.stage(f"data/{name}", MATRIX)
    repository.stage(name, MATRIX)
    first, second = sorted(find_misplaced(repository.root), key=lambda found: len(found.path))

    assert (first.path, second.path) == (name, f"data/{name}")
    assert str(first).encode("utf-8").decode().isprintable()
    assert len(str(first).splitlines()) == 1


@pytest.mark.parametrize("name", [name for name in NAMES.values() if name.isprintable()])
def test_the_remedy_can_be_run(repository: Repository, name: str) -> None:
    """The command that a finding names removes that file from Git, and does nothing else."""
    repository.stage(name, MATRIX)
    (found,) = find_misplaced(repository.root)
    remedy = str(found).rsplit("run `", 1)[1].removesuffix("`").split(" && dvc add ")[0]
    subprocess.run(["sh", "-c", remedy], cwd=repository.root, check=True, capture_output=True)

    assert shlex.split(remedy)[:3] == ["git", "rm", "--cached"]
    assert list_paths(repository) == []
    assert sorted(path.name for path in repository.root.iterdir()) == sorted([".git", ".gitignore", "README.md", name])


@pytest.mark.parametrize("name", [name for name in NAMES.values() if "\udcff" not in name])
def test_a_pointer_of_any_name_is_asked_for_as_it_is(repository: Repository, name: str) -> None:
    """A rule for everything leaves out each name, and without a rule each is named."""
    repository.stage(f"{name}.dvc", write_pointer(json.dumps(name)))

    assert list_paths(repository) == [f"{name}.dvc"]
    repository.stage(".gitignore", "*\n")
    assert list_paths(repository) == []


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ([], ["a.npy", "corpus/b.npy", "corpus/processed/c.pt"]),
        (["."], ["a.npy", "corpus/b.npy", "corpus/processed/c.pt"]),
        (["a.npy"], ["a.npy"]),
        (["README.md"], []),
        (["corpus"], ["corpus/b.npy", "corpus/processed/c.pt"]),
        (["corpus/", "./README.md"], ["corpus/b.npy", "corpus/processed/c.pt"]),
        (["corpus/processed/c.pt"], ["corpus/processed/c.pt"]),
        (["corpus/../a.npy"], ["a.npy"]),
        (["untracked"], []),
    ],
)
def test_only_what_is_named_is_looked_at(repository: Repository, paths: list[str], expected: list[str]) -> None:
    """Paths are files or folders; none of them means all."""
    repository.stage("a.npy")
    repository.stage("corpus/b.npy")
    repository.write("corpus/processed/c.pt")
    repository.write("untracked")

    assert list_paths(repository, *paths) == expected


@pytest.mark.parametrize("path", ["no/such", "README.md/x", "corpu", "../outside", "/etc/passwd"])
def test_a_path_that_is_nowhere_is_refused(repository: Repository, path: str) -> None:
    """A misspelt name does not look like a clean file, nor does one outside of the repository."""
    with pytest.raises(InputError, match=r"expected a (path inside|file in Git)"):
        find_misplaced(repository.root, ["README.md", path])


def test_a_changed_ignore_rule_brings_the_pointers(repository: Repository) -> None:
    """Who stages a `.gitignore` answers for what it no longer leaves out."""
    repository.stage("data/.gitignore", "/a.npy\n")
    repository.point("data/a.npy")

    assert list_paths(repository, "data/.gitignore") == []
    repository.stage("data/.gitignore", "\n")
    assert list_paths(repository, "data/.gitignore") == ["data/a.npy.dvc"]
    assert list_paths(repository, "README.md") == []


def test_the_first_finding_is_raised(repository: Repository) -> None:
    """Who only needs yes or no gets an error with the first path, and how many more there are."""
    repository.stage("b.npy")
    with pytest.raises(StoreError, match=r"^b\.npy: is a \.npy file in Git, expected it in DVC; run `git rm"):
        check_custody(repository.root)
    repository.stage("a.npy")
    repository.stage("c.npy")

    with pytest.raises(StoreError, match=r"^a\.npy: is a \.npy file in Git, expected it in DVC \(and 2 more\); run"):
        check_custody(repository.root)


@pytest.fixture
def run(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the command on the test's repository, as `python -m validation custody` does on this project's."""
    monkeypatch.setattr("validation.custody.PROJECT_ROOT", repository.root)
    monkeypatch.chdir(repository.root)
    app = typer.Typer()
    app.callback()(lambda: None)
    app.command()(custody)

    def start(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["validation", "custody", *arguments])
        with pytest.raises(SystemExit) as exit_info:
            run_app(app)
        return int(exit_info.value.code or 0)

    return start


def test_the_command_ends_with_0_where_nothing_is_misplaced(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """One line on standard output says how many files were looked at."""
    assert (run(), *capsys.readouterr()) == (0, "custody: 2 files looked at, 0 misplaced\n", "")
    assert (run("--", "README.md"), *capsys.readouterr()) == (0, "custody: 1 files looked at, 0 misplaced\n", "")


def test_the_command_ends_with_30_and_a_line_for_each(
    run: Callable[..., int], repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every finding is a line on standard error, and nothing says that all is well."""
    repository.stage("a\n\x1b[2Jb.npy")
    repository.stage("-c.npy")
    code, captured = run("--", "-c.npy", "a\n\x1b[2Jb.npy"), capsys.readouterr()

    shown = "a\\n\\x1b[2Jb.npy"

    assert (code, captured.out) == (30, "")
    assert captured.err.splitlines() == [
        "-c.npy: is a .npy file in Git, expected it in DVC; run `git rm --cached ./-c.npy && dvc add ./-c.npy`",
        f"{shown}: is a .npy file in Git, expected it in DVC; run `git rm --cached '{shown}' && dvc add '{shown}'`",
        "custody: 2 files looked at, 2 misplaced",
    ]


def test_the_command_takes_paths_from_where_it_is_called(
    run: Callable[..., int], repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a folder of the project a path is relative to that folder, or absolute."""
    readme = repository.stage("corpus/README.md")
    repository.stage("corpus/a.npy")
    monkeypatch.chdir(repository.root / "corpus")

    assert [run("README.md"), run(str(readme)), run("../README.md"), run("a.npy")] == [0, 0, 0, 30]
    assert capsys.readouterr().out == "custody: 1 files looked at, 0 misplaced\n" * 3
    assert run("corpus/README.md") == 30
    assert capsys.readouterr().err.startswith("error: corpus/corpus/README.md: expected a file in Git or on disk")


def test_the_hook_looks_at_what_a_commit_takes() -> None:
    """The hook runs the command on every kind of changed entry, a file named like an option included."""
    hooks = YAML(typ="safe", pure=True).load(PROJECT_ROOT / ".pre-commit-config.yaml")["repos"][0]["hooks"]
    (hook,) = (hook for hook in hooks if hook["id"] == "custody")

    assert hook["entry"].endswith("python -m validation custody --")
    assert hook["language"] == "system"
    assert hook["types"] == []
    assert hook.get("pass_filenames", True)
    assert {"files", "exclude", "types_or", "stages"}.isdisjoint(hook)
