"""Git, through its own command line: what is checked out, which tags there are, and how they change."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from validation.releasing.errors import ReleaseError, hide_credentials

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

TAGS = "refs/tags/"
BRANCHES = "refs/heads/"
# A remote that neither answers nor refuses must not hold up whoever waits for the way back.
PATIENCE_S = 300
# Set by a hook that runs this project; they would point every command at another repository.
NO_IDENTITY = "set `git config user.name` and `git config user.email`"
_HEAD = "HEAD"
_INHERITED = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag: the object that it names, and the commit behind it; for a lightweight one they are the same."""

    name: str
    object: str
    commit: str

    @property
    def is_annotated(self) -> bool:
        """Whether somebody wrote down who made it and why."""
        return self.object != self.commit


@dataclass(frozen=True, slots=True)
class Repository:
    """A Git repository by the root of its working tree; hooks are for what people do, and are not run."""

    root: Path

    def git(self, *arguments: str, stdin: str | None = None, remedy: str = "look at it with `git status`") -> str:
        """Run one Git command and return its output, without the newline at the end.

        Raises:
            ReleaseError: Git is not there, refused, or did not answer in time; the message is Git's own.
        """
        return self._run(arguments, stdin, remedy).removesuffix("\n")

    def _run(self, arguments: Sequence[str], stdin: str | None, remedy: str) -> str:
        named = (part for part in arguments if not part.startswith("-") and "=" not in part)  # no setting of `-c`
        place = f"git {next(named, '')}"
        command = ["git", "-C", str(self.root), "-c", "core.hooksPath=/dev/null", *arguments]
        environment = {name: value for name, value in os.environ.items() if name not in _INHERITED}
        # A command that only looks takes no lock, so none is left by one that is killed.
        environment |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
        try:
            ended = subprocess.run(  # noqa: S603 - Git itself, with arguments of our own
                command,
                input=stdin.encode() if stdin else None,
                capture_output=True,
                check=False,
                env=environment,
                timeout=PATIENCE_S,
            )
        except OSError as error:
            raise ReleaseError(place, f"Git cannot be run ({error.strerror})", "install Git") from error
        except subprocess.TimeoutExpired as error:
            raise ReleaseError(place, f"no answer in {PATIENCE_S} seconds", "see whether the remote is up") from error
        if ended.returncode != 0:
            raise ReleaseError(place, find_reason(ended.stderr.decode("utf-8", "replace")), remedy)
        return ended.stdout.decode("utf-8", "surrogateescape")

    def ask(self, *arguments: str) -> str | None:
        """Run a Git command that may have no answer; None where it refuses."""
        try:
            return self.git(*arguments)
        except ReleaseError:
            return None

    def get_head(self) -> str:
        """Return the commit that is checked out."""
        return self.git("rev-parse", "--verify", "HEAD^{commit}", remedy="commit something first")

    def get_branch(self) -> str:
        """Return the branch that is checked out. Raises `ReleaseError` where HEAD is detached."""
        branch = self.ask("symbolic-ref", "--quiet", "--short", "HEAD")
        if branch is None:
            raise ReleaseError(_HEAD, "is detached, expected a branch to commit on", "run `git switch <branch>`")
        return branch

    def get_identity(self) -> str:
        """Return who commits, as `Name <address> seconds zone`."""
        return self.git("-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT", remedy=NO_IDENTITY)

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether one commit is in the history of another."""
        return self.ask("merge-base", "--is-ancestor", older, newer) is not None

    def read_blob(self, commit: str, path: str) -> str | None:
        """Return the text of a file in a commit, or None where it is not there."""
        if self.ask("cat-file", "-e", f"{commit}:{path}") is None:
            return None
        return self._run(("cat-file", "blob", f"{commit}:{path}"), None, "look at the history")

    def hash_blob(self, commit: str, path: str) -> str | None:
        """Return the object name of a file in a commit, or None."""
        return self.ask("rev-parse", "--verify", "--quiet", f"{commit}:{path}")

    def list_changed(self, older: str, newer: str) -> list[str]:
        """Return the paths in which two commits differ."""
        return _split(self.git("diff", "--name-only", "--no-renames", "-z", older, newer))

    def list_dirty(self, *paths: str, ignored: bool = False) -> list[str]:
        """Return the paths that differ from HEAD, in index or working tree, or that Git does not know."""
        options = ["--porcelain", "-z", "--no-renames", "--untracked-files=all"]
        options += ["--ignored=matching"] if ignored else []
        return [entry[3:] for entry in _split(self.git("status", *options, "--", *paths))]

    def find_tag(self, name: str) -> Tag | None:
        """Return a tag of this repository, whatever branch has the same name."""
        # What Git takes is a pattern, which may match other tags or many.
        found = self.git("for-each-ref", "--format=%(refname) %(objectname) %(*objectname)", f"{TAGS}{name}")
        refs = {ref: objects.split() for ref, _, objects in (line.partition(" ") for line in found.splitlines())}
        objects = refs.get(f"{TAGS}{name}")
        return Tag(name, objects[0], objects[-1]) if objects else None

    def list_remote_refs(self, remote: str) -> dict[str, str]:
        """Return what a remote has, by the full name of the reference. Raises `ReleaseError` when it is down."""
        remedy = f"see whether the Git remote {remote} is up and whether you may read it"
        lines = self.git("ls-remote", remote, remedy=remedy).splitlines()
        return {name: target for target, _, name in (line.partition("\t") for line in lines)}

    def find_remote_tag(self, refs: Mapping[str, str], name: str) -> Tag | None:
        """Return a tag among the references of a remote."""
        target = refs.get(f"{TAGS}{name}")
        return Tag(name, target, refs.get(f"{TAGS}{name}^{{}}", target)) if target else None

    def make_tag(self, name: str, commit: str, message: str) -> str:
        """Write an annotated tag as an object that no reference names yet, and return its name."""
        head = f"object {commit}\ntype commit\ntag {name}\ntagger {self.get_identity()}\n"
        return self.git("mktag", stdin=f"{head}\n{message}\n")

    def update_refs(self, branch: tuple[str, str, str], tags: Sequence[tuple[str, str]]) -> None:
        """Move a branch from where it is and create tags, all or nothing; no tag is ever moved.

        Args:
            branch: its name, the commit where it is, and the one where it goes.
            tags: name and object of each tag.
        """
        name, old, new = branch
        lines = [f"update {BRANCHES}{name} {new} {old}"] + [f"create {TAGS}{tag} {target}" for tag, target in tags]
        self.git("update-ref", "--stdin", stdin="".join(f"{line}\n" for line in ["start", *lines, "prepare", "commit"]))


def find_reason(stderr: str) -> str:
    """Return the line in which a command says what is wrong."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    telling = [line for line in lines if line.lower().startswith(("fatal:", "error:", "! [", "remote: error"))]
    return hide_credentials(next(iter(telling or lines[-1:]), "it gave no reason"))


def _split(text: str) -> list[str]:
    return [part for part in text.split("\0") if part]
