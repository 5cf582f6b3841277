"""DVC, through its own command line: which objects a working tree points to, and how they come and go."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configobj import ConfigObj, ConfigObjError

from validation.releasing.errors import ReleaseError, hide_credentials

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Name under which a scratch tree knows the cache of the project: it has the layout of a remote.
LOCAL_CACHE = "project-cache"
CONFIG, LOCAL_CONFIG = Path(".dvc", "config"), Path(".dvc", "config.local")
_REMOTE = 'remote "'
_QUIET = {"DVC_NO_ANALYTICS": "1", "DVC_CHECK_UPDATE": "0", "NO_COLOR": "1"}
_NO_REMOTE = "run `dvc remote add -d store <url or folder>` and commit .dvc/config"


@dataclass(frozen=True, slots=True)
class Storage:
    """Where a project keeps its objects: the folder of its cache, and its remotes by name, paths being absolute."""

    cache: Path
    default: str | None
    remotes: Mapping[str, Mapping[str, Any]]

    def require_remote(self) -> str:
        """Return the name of the default remote. Raises `ReleaseError` where there is none."""
        if self.default is None:
            raise ReleaseError(CONFIG, "names no default remote, expected one that keeps the objects", _NO_REMOTE)
        if self.default not in self.remotes:
            raise ReleaseError(CONFIG, f"core.remote: there is no remote {self.default!r}", _NO_REMOTE)
        return self.default


def load_storage(root: Path) -> Storage:
    """Read where a project keeps its objects, what is configured for this machine alone included.

    Raises:
        ReleaseError: it is no DVC project, or its configuration cannot be read.
    """
    folder = root / CONFIG.parent
    if not (root / CONFIG).is_file():
        raise ReleaseError(root, "is no DVC project", "run `dvc init` and commit .dvc/config")
    merged = _read_config(root / CONFIG)
    merged.merge(_read_config(root / LOCAL_CONFIG))
    remotes = {
        name.removeprefix(_REMOTE).removesuffix('"'): dict(section) | {"url": _make_absolute(section, folder)}
        for name, section in merged.items()
        if name.startswith(_REMOTE)
    }
    cache = merged.get("cache", {}).get("dir", "cache")
    return Storage((folder / cache).resolve(), merged.get("core", {}).get("remote"), remotes)


def list_sources(root: Path) -> list[str]:
    """Return where the objects of a project can be had from: its own cache first, then its default remote."""
    default = load_storage(root).default
    return [LOCAL_CACHE, *([default] if default else [])]


def configure_scratch(tree: Path, storage: Storage, cache: Path) -> None:
    """Let a scratch tree use a cache of its own and the project's remotes; its files are copies, never links."""
    config = ConfigObj(encoding="utf-8")
    config["core"] = {"autostage": "false"} | ({"remote": storage.default} if storage.default else {})
    config["cache"] = {"dir": str(cache), "type": "copy"}
    for name, section in {**storage.remotes, LOCAL_CACHE: {"url": str(storage.cache)}}.items():
        config[f'{_REMOTE}{name}"'] = dict(section)
    config.filename = str(tree / LOCAL_CONFIG)
    config.write()
    (tree / LOCAL_CONFIG).chmod(0o600)  # it may hold the secret of a remote


def run_dvc(tree: Path, *arguments: str, remedy: str = "look at it with `dvc status`") -> None:
    """Run one DVC command in a tree.

    Raises:
        ReleaseError: DVC refused; the message is DVC's own.
    """
    command = [sys.executable, "-m", "dvc", *arguments]
    ended = subprocess.run(  # noqa: S603 - DVC itself, with arguments of our own
        command, cwd=tree, capture_output=True, text=True, check=False, env=os.environ | _QUIET
    )
    if ended.returncode != 0:
        place = f"dvc {arguments[0]}"
        raise ReleaseError(place, _find_reason(ended.stderr), remedy)


def add(tree: Path, paths: Sequence[str]) -> None:
    """Put files and folders into the cache and write their pointers."""
    run_dvc(tree, "add", *paths)


def push(tree: Path) -> None:
    """Put every object that a tree points to, build outputs included, onto its default remote."""
    run_dvc(tree, "push", remedy="see whether the DVC remote is up and whether you may write to it")


def pull(tree: Path, pointers: Sequence[str], remote: str) -> None:
    """Bring the objects of some pointers into a tree. Raises `ReleaseError` where the remote is down or lacks one."""
    run_dvc(tree, "pull", "--remote", remote, *pointers, remedy="see whether the remote is up and has all objects")


def _read_config(path: Path) -> ConfigObj:
    try:
        # Quoted values as DVC writes them; what interpolates is left to DVC, which reads the copy as well.
        return ConfigObj(str(path), encoding="utf-8", interpolation=False)
    except (ConfigObjError, UnicodeDecodeError) as error:
        raise ReleaseError(path, f"cannot be read ({error})", "mend it, or restore it from Git") from error


def _make_absolute(section: Mapping[str, Any], folder: Path) -> str:
    """Return where a remote is; DVC reads a relative path from the folder of its configuration.

    Raises:
        ReleaseError: it is nowhere, which joined to that folder would be the folder.
    """
    url = section.get("url")
    if not isinstance(url, str) or not url:
        raise ReleaseError(folder / CONFIG.name, f"url of a remote: expected one text, got {url!r}", _NO_REMOTE)
    return url if "://" in url else str((folder / url).resolve())


def _find_reason(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    first = next((number for number, line in enumerate(lines) if line.startswith("ERROR")), len(lines) - 1)
    telling = lines[first : first + 2] if lines and lines[first].endswith(":") else lines[first : first + 1]
    told = " ".join(" ".join(telling or ["it gave no reason"]).removeprefix("ERROR: ").split())
    return hide_credentials(told)
