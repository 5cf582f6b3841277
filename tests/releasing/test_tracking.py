"""Where a project keeps its objects, as DVC would read it, and what DVC says when it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.projects import run, run_dvc
from validation.releasing.errors import ReleaseError
from validation.releasing.tracking import (
    LOCAL_CACHE,
    add,
    configure_scratch,
    list_sources,
    load_storage,
    pull,
    push,
)

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = "[core]\n    remote = store\n['remote \"store\"']\n    url = {url}\n"


def write_config(root: Path, text: str, local: str | None = None) -> Path:
    """Write the configuration of a project and return its root."""
    (root / ".dvc").mkdir(parents=True, exist_ok=True)
    (root / ".dvc" / "config").write_text(text, "utf-8")
    if local is not None:
        (root / ".dvc" / "config.local").write_text(local, "utf-8")
    return root


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("../../objects", "{parent}/objects"),
        ("objects", "{root}/.dvc/objects"),
        ("/srv/objects", "/srv/objects"),
        ('"/srv/roi #1, dame"', "/srv/roi #1, dame"),
        ("'/srv/échec et mat'", "/srv/échec et mat"),
        ("/srv/100 %", "/srv/100 %"),
        ("s3://bucket/path", "s3://bucket/path"),
        ("ssh://me@host:22/path", "ssh://me@host:22/path"),
        ("remote://other/path", "remote://other/path"),
    ],
    ids=["above", "below", "absolute", "in-quotes", "accents", "percent", "s3", "ssh", "another-remote"],
)
def test_url_of_a_remote(tmp_path: Path, url: str, expected: str) -> None:
    """A relative path counts from the folder of the configuration; quotes are no part of it; a scheme is left alone."""
    root = write_config(tmp_path / "project", CONFIG.format(url=url))
    storage = load_storage(root)

    assert storage.remotes["store"]["url"] == expected.format(parent=tmp_path, root=root)
    assert storage.require_remote() == "store"


def test_what_holds_here_alone_comes_first(tmp_path: Path) -> None:
    """`config.local` replaces an option, and leaves those beside it."""
    text = CONFIG.format(url="s3://one") + "    endpointurl = https://example.org\n"
    local = "[core]\n    remote = mine\n['remote \"store\"']\n    url = s3://two\n['remote \"mine\"']\n    url = s3://three\n"
    storage = load_storage(write_config(tmp_path, text, local))

    assert storage.require_remote() == "mine"
    assert storage.remotes == {
        "store": {"url": "s3://two", "endpointurl": "https://example.org"},
        "mine": {"url": "s3://three"},
    }


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("", "{root}/.dvc/cache"),
        ("[cache]\n    dir = ../../shared\n", "{parent}/shared"),
        ("[cache]\n    dir = /srv/cache\n", "/srv/cache"),
        ('[cache]\n    dir = "/srv/a, b"\n', "/srv/a, b"),
        ("[cache]\n    type = hardlink\n", "{root}/.dvc/cache"),
    ],
    ids=["default", "relative", "absolute", "in-quotes", "only-type"],
)
def test_cache_may_be_elsewhere(tmp_path: Path, told: str, expected: str) -> None:
    """The cache is where the configuration says, a relative path counting from its folder."""
    root = write_config(tmp_path / "project", CONFIG.format(url="s3://one"), told)

    assert str(load_storage(root).cache) == expected.format(parent=tmp_path, root=root)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "names no default remote"),
        ("['remote \"store\"']\n    url = s3://one\n", "names no default remote"),
        (
            "[core]\n    remote = other\n['remote \"store\"']\n    url = s3://one\n",
            "core.remote: there is no remote 'other'",
        ),
        ("[core]\n    remote = store\n['remote \"store\"']\n", "url of a remote: expected one text, got None"),
        (CONFIG.format(url=""), "url of a remote: expected one text, got ''"),
        (CONFIG.format(url="/a, /b"), "url of a remote: expected one text, got ['/a', '/b']"),
        ("[core\n", "cannot be read"),
        ("remote = store\nremote = other\n", "cannot be read"),
    ],
    ids=["empty", "no-default", "unknown-default", "no-url", "empty-url", "two-urls", "cut", "twice"],
)
def test_no_usable_remote(tmp_path: Path, text: str, problem: str) -> None:
    """Without a remote that can be used, or a configuration that can be read, the file is named with what to do."""
    with pytest.raises(ReleaseError) as caught:
        load_storage(write_config(tmp_path, text)).require_remote()
    assert problem in caught.value.problem
    assert caught.value.where.endswith(".dvc/config")
    assert len(str(caught.value).splitlines()) == 1


def test_local_config_that_cannot_be_read(tmp_path: Path) -> None:
    """A broken `config.local` is named, rather than the file beside it."""
    (tmp_path / ".dvc").mkdir()
    write_config(tmp_path, CONFIG.format(url="s3://one"))
    (tmp_path / ".dvc" / "config.local").write_bytes(b"[core]\nremote = \xff\n")

    with pytest.raises(ReleaseError, match=r"config\.local: cannot be read"):
        load_storage(tmp_path)


def test_no_project(tmp_path: Path) -> None:
    """Where there is no configuration there is no project."""
    with pytest.raises(ReleaseError, match=r"is no DVC project; run `dvc init` and commit"):
        load_storage(tmp_path)


def test_cache_comes_before_the_remote(tmp_path: Path) -> None:
    """Objects are looked for in the project's own cache, then on the default remote, where there is one."""
    assert list_sources(write_config(tmp_path / "one", CONFIG.format(url="s3://one"))) == [LOCAL_CACHE, "store"]
    assert list_sources(write_config(tmp_path / "none", "")) == [LOCAL_CACHE]


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A project under DVC below an odd name, which is configured as a scratch tree of another one."""
    home = write_config(tmp_path / "maître #1, 100 %", CONFIG.format(url="../../objects"))
    tree = tmp_path / "tree"
    tree.mkdir()
    run(tree, "git", "init", "--quiet")
    run_dvc(tree, "init", "--quiet")
    configure_scratch(tree, load_storage(home), tree.parent / "dépôt, à part")
    return tree


def test_scratch_tree_uses_what_the_project_uses(scratch: Path, tmp_path: Path) -> None:
    """A scratch tree has the project's remote and a cache of its own; its objects come back from the remote."""
    (scratch / "vectors.npy").write_bytes(b"vectors")
    add(scratch, ["vectors.npy"])
    push(scratch)
    (scratch / "vectors.npy").unlink()
    pull(scratch, ["vectors.npy.dvc"], "store")

    assert (scratch / "vectors.npy").read_bytes() == b"vectors"
    assert len([path for path in (tmp_path / "objects").rglob("*") if path.is_file()]) == 1
    assert [path for path in (tmp_path / "dépôt, à part").rglob("*") if path.is_file()]
    assert not (scratch / ".dvc" / "cache").exists()
    assert (scratch / ".dvc" / "config.local").stat().st_mode & 0o777 == 0o600
    assert load_storage(scratch).remotes[LOCAL_CACHE]["url"] == str(tmp_path / "maître #1, 100 %" / ".dvc" / "cache")


def test_dvc_says_why(scratch: Path) -> None:
    """What DVC refuses becomes one line: which command, its own words, and what to do."""
    with pytest.raises(ReleaseError) as caught:
        add(scratch, ["missing.npy"])
    assert caught.value.where == "dvc add"
    assert "missing.npy" in caught.value.problem
    assert len(str(caught.value).splitlines()) == 1
