"""What goes wrong in releasing, and what is said of it."""

from __future__ import annotations

import pytest

from pipeline.errors import InputError
from tests.projects import Project, run
from validation.releasing.errors import HaltError, ReleaseError, hide_credentials, protect_base


@pytest.mark.parametrize("error", [InputError("a", "b", "c"), ReleaseError("a", "b", "c"), HaltError("a", "b", "c")])
def test_what_concerns_the_base_calls_a_person(error: InputError | ReleaseError) -> None:
    """Whatever is wrong with the base ends in HALT, with the same words; another release's fault stays what it is."""
    with pytest.raises(HaltError, match=r"^a: b; c$") as base, protect_base(concerned=True):
        raise error
    with pytest.raises(type(error)) as other, protect_base(concerned=False):
        raise error

    assert base.value.exit_code == 40
    assert other.value is error


def test_a_defect_is_no_halt() -> None:
    """An error in the code is none of the base's."""
    with pytest.raises(KeyError), protect_base(concerned=True):
        raise KeyError


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("unable to access 'https://me:t0k3n@host/x.git/': 403", "unable to access 'https://host/x.git/': 403"),
        ("ssh://git@host/x", "ssh://host/x"),
        ("s3://bucket/a@b", "s3://bucket/a@b"),
        ("Arbitre <a@b.fr>", "Arbitre <a@b.fr>"),
    ],
)
def test_credentials_in_addresses_are_not_shown(said: str, shown: str) -> None:
    """What another program says of an address is passed on without its name and password."""
    assert hide_credentials(said) == shown


def test_git_shows_no_token(released: Project) -> None:
    """A remote whose address holds a token is named without it when it cannot be reached."""
    run(released.root, "git", "remote", "set-url", "origin", "https://me:t0k3n@localhost:1/x.git")

    with pytest.raises(ReleaseError) as refused:
        released.repository.list_remote_refs("origin")

    assert "t0k3n" not in str(refused.value)
    assert "localhost" in str(refused.value)
