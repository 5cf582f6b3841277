"""`params.yaml`: read as it is, and refused for anything unknown."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from pipeline.errors import InputError
from pipeline.params import PARAMS_FILE, PROJECT_ROOT, EmbeddedModel, HubModel, load_params

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ORIGINAL: dict[str, Any] = YAML(typ="safe", pure=True).load((PROJECT_ROOT / PARAMS_FILE).read_text(encoding="utf-8"))

UNKNOWN_KEYS = {
    "at the top": ((), "profil"),
    "in a corpus": (("corpora", 0), "lang"),
    "in a candidate": (("candidates", 1), "taq"),
    "in a profile": (("profiles", "embedded"), "device"),
    "in an embedded base": (("profiles", "embedded", "base"), "width"),
    "in a hub base": (("profiles", "embeddinggemma", "base"), "seed"),
    "in the fine-tuning": (("profiles", "embedded", "qlora"), "lora_rank"),
}
BAD_VALUES = {
    "unknown profile": (("profile",), "production", "profile: unknown 'production', expected one of ['embedded', 'e"),
    "profile in other case": (("profile",), "Embedded", "profile: unknown 'Embedded'"),
    "text for a count": (("corpora", 0, "total"), "1857", "corpora[0].total: expected a valid integer"),
    "no chunks": (("corpora", 0, "total"), 0, "corpora[0].total: expected greater than or equal to 1, got 0"),
    "share above 1": (("corpora", 0, "duplicates_max"), 1.5, "corpora[0].duplicates_max: expected less than or equal"),
    "not a number": (("corpora", 0, "duplicates_max"), float("nan"), "expected a finite number"),
    "unknown role": (("corpora", 1, "role"), "third", "corpora[1].role: expected 'primary' or 'secondary'"),
    "no corpora": (("corpora",), [], "corpora: List should have at least 1 item"),
    "one candidate": (("candidates",), ORIGINAL["candidates"][:1], "candidates: List should have at least 2 items"),
    "unknown candidate": (("candidates", 1, "name"), "lora", "candidates[1].name: expected 'base' or 'qlora'"),
    "branch for a tag": (("candidates", 0, "tag"), "main", "candidates[0].tag: String should match pattern"),
    "branch for a revision": (
        ("profiles", "embeddinggemma", "base", "revision"), "main", "revision: String should match pattern"),
    "unknown kind": (("profiles", "embedded", "base", "kind"), "local", "profiles.embedded.base: Input tag 'local'"),
    "dropout of 1": (("profiles", "embedded", "qlora", "dropout"), 1.0, "qlora.dropout: expected less than 1, got 1.0"),
    "rate of 0": (("profiles", "embedded", "qlora", "learning_rate"), 0.0, "learning_rate: expected greater than 0"),
    "yes for a seed": (("profiles", "embedded", "qlora", "seed"), True, "seed: expected a valid integer, got true"),
    "two primaries": (("corpora", 1, "role"), "primary", "corpora: expected exactly one with role primary"),
    "no primary": (("corpora", 0, "role"), "secondary", "corpora: expected exactly one with role primary"),
    "a corpus twice": (("corpora", 1, "name"), "fr", "corpora: a name is used twice"),
    "a candidate twice": (("candidates", 1, "name"), "base", "candidates: a name is used twice"),
}  # fmt: skip


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write this project's parameters with one value changed and return the path."""

    def change(place: tuple[str | int, ...], value: object) -> Path:
        document = copy.deepcopy(ORIGINAL)
        *way, last = place
        target: Any = document
        for step in way:
            target = target[step]
        target[last] = value
        path = tmp_path / "params.yaml"
        with path.open("w", encoding="utf-8") as stream:
            YAML(typ="safe", pure=True).dump(document, stream)
        return path

    return change


def test_this_project_builds_on_the_embedded_profile() -> None:
    """The default needs no download, French comes first, and both candidates have their tags."""
    params = load_params()

    assert isinstance(params.active.base, EmbeddedModel)
    assert [(corpus.name, corpus.role) for corpus in params.corpora] == [("fr", "primary"), ("intl", "secondary")]
    assert {candidate.name: candidate.tag for candidate in params.candidates} == {
        "base": "v1.0-base",
        "qlora": "v1.1-qlora",
    }


@pytest.mark.parametrize(
    ("profile", "base", "qlora"),
    [
        ("embedded", "embedded-gemma-lsa", "embedded-gemma-chess-fr"),
        ("embeddinggemma", "google/embeddinggemma-300m", "embeddinggemma-chess-fr"),
    ],
)
def test_each_candidate_has_the_model_of_its_profile(
    write: Callable[..., Path], profile: str, base: str, qlora: str
) -> None:
    """The embedded base has a name of its own, never Google's."""
    params = load_params(write(("profile",), profile))

    assert (params.get_model_id("base"), params.get_model_id("qlora")) == (base, qlora)


def test_the_production_model_is_pinned(write: Callable[..., Path]) -> None:
    """A hub model is a name and a commit."""
    base = load_params(write(("profile",), "embeddinggemma")).active.base

    assert isinstance(base, HubModel)
    assert re.fullmatch("[0-9a-f]{40}", base.revision)


def test_the_files_of_a_corpus_follow_from_its_name() -> None:
    """Sources, chunks, questions and judgements all lie below `corpus/` and exist."""
    for corpus in load_params().corpora:
        paths = [corpus.sources, corpus.chunks, corpus.questions, corpus.qrels]

        assert [path.relative_to(PROJECT_ROOT).as_posix() for path in paths] == [
            f"corpus/sources/{corpus.name}",
            f"corpus/processed/chunks_mode_b_{corpus.name}.json",
            f"corpus/gold/questions_{corpus.name}.jsonl",
            f"corpus/gold/qrels_{corpus.name}.tsv",
        ]
        assert all(path.exists() for path in paths)


@pytest.mark.parametrize(("place", "key"), UNKNOWN_KEYS.values(), ids=UNKNOWN_KEYS)
def test_an_unknown_key_is_refused(write: Callable[..., Path], place: tuple[str | int, ...], key: str) -> None:
    """A misspelt key is an error with its path at every level, never a silent default."""
    path = write((*place, key), "x")

    with pytest.raises(InputError, match=rf"{key}: Extra inputs are not permitted, got \"x\"") as refusal:
        load_params(path)

    assert refusal.value.where.startswith(f"{path}: ")


@pytest.mark.parametrize(("place", "value", "fault"), BAD_VALUES.values(), ids=BAD_VALUES)
def test_a_bad_value_is_refused(
    write: Callable[..., Path], place: tuple[str | int, ...], value: object, fault: str
) -> None:
    """A value of another type, out of range, or that names nothing is refused with its field."""
    path = write(place, value)

    with pytest.raises(InputError) as refusal:
        load_params(path)

    assert refusal.value.where.startswith(str(path))
    assert fault in str(refusal.value)


@pytest.mark.parametrize("key", sorted(ORIGINAL))
def test_a_missing_key_is_refused(tmp_path: Path, key: str) -> None:
    """Nothing has a default."""
    path = tmp_path / "params.yaml"
    with path.open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump({name: value for name, value in ORIGINAL.items() if name != key}, stream)

    with pytest.raises(InputError, match=f"{key}: Field required"):
        load_params(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """The error says that there is no such file."""
    with pytest.raises(InputError, match=r"params\.yaml: expected a file, but it does not exist"):
        load_params(tmp_path / "params.yaml")


def test_a_hub_model_is_taken_at_its_pinned_revision() -> None:
    """A hub id that a profile names needs no --revision on the command line; any other one does."""
    params = load_params()
    base = params.profiles["embeddinggemma"].base

    assert isinstance(base, HubModel)
    assert params.get_revision(base.model) == base.revision
    assert params.get_revision("someone/else") is None
