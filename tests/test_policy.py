"""The policy file is read strictly: what is misspelt, missing or mistyped judges nothing."""

from __future__ import annotations

import copy
import hashlib
import json
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from pipeline.documents import load_yaml
from pipeline.errors import InputError
from tests.stores import write_policy
from validation.policy import EXPECTATIONS, Policy, Waiver, load_rulebook

if TYPE_CHECKING:
    from pathlib import Path

POLICY = EXPECTATIONS / "policy.yaml"
DOCUMENT: dict[str, Any] = YAML(typ="safe", pure=True).load(POLICY.read_text(encoding="utf-8"))
WAIVER = {
    "id": "WAIVER-001",
    "check": "RET303",
    "subject": "fr",
    "owner": "A. Arbitre",
    "reason": "the lost questions are out of date",
    "expires": "2027-01-31",
}
SHARE: tuple[list[str], list[str]] = (["0", "1", "0.5"], ["-0.0001", "1.0001"])
COUNT: tuple[list[str], list[str]] = (["1"], ["0", "-1", "1.0", "1.5"])

# Each limit with values just inside and just outside of what it may be.
BOUNDS: dict[str, tuple[list[str], list[str]]] = {
    "schema_version": (["1"], ["0", "2"]),
    "statistics.level": (["0.5001", "0.9999"], ["0.5", "1", "1.0", "95"]),
    "statistics.power": (["0.5001", "0.9999"], ["0.5", "1", "80"]),
    "statistics.resamples": (["1000"], ["999", "1000.0", "1000.5"]),
    "statistics.flips": (["1000"], ["999", "1000.5"]),
    "statistics.rounds": (["5"], ["4", "5.5"]),
    "statistics.seed": (["0"], ["-1", "0.5"]),
    "limits.dimension": COUNT,
    "limits.norm_tolerance": (["0.0001", "0.9999"], ["0", "1", "-0.001"]),
    "limits.distinct_texts_min": SHARE,
    "limits.distinct_vectors_min": SHARE,
    "limits.questions_min": COUNT,
    "limits.recall_floor": SHARE,
    "limits.margins.recall@1": SHARE,
    "limits.margins.recall@5": SHARE,
    "limits.margins.recall@10": SHARE,
    "limits.margins.mrr@10": SHARE,
    "limits.margins.ndcg@10": SHARE,
    "limits.slice_min": COUNT,
    "limits.collapse_hits": COUNT,
    "limits.latency_ratio": (["1", "1.0", "3"], ["0.9999", "-1"]),
    "limits.canary_similarity": (["0.0001", "0.999", "1"], ["0", "-1", "1.0001", "99.9"]),
    "limits.leak_similarity": (["0.0001", "1"], ["0", "1.0001", "90"]),
    "limits.waivers_max": (["0"], ["-1", "0.5"]),
    "certification.trials": (["15"], ["14", "15.5"]),
    "certification.runs": (["1000"], ["999", "1000.5"]),
    "certification.noise": (["0.0001", "3"], ["0", "-1"]),
    "certification.significance": (["0.0001", "0.4999"], ["0", "0.5"]),
}
NO_NUMBERS = ("true", '"1"', '"0.5"', "null", "[]", "NaN", "1e999")

# What is replaced in the text, by what, and what the one line must name: the field's path, or the place of a fault.
FAULTS = {
    "duplicate key": ("  seed: 20260125", "  seed: 20260125\n  seed: 1", 'duplicate key "seed"'),
    "duplicate section": ("limits:\n", "limits: {}\nlimits:\n", 'duplicate key "limits"'),
    "percentage for a share": ("recall_floor: 0.25", "recall_floor: 25", "limits.recall_floor:"),
    "not a number": ("recall_floor: 0.25", "recall_floor: .nan", "limits.recall_floor"),
    "infinity": ("norm_tolerance: 0.001", "norm_tolerance: .inf", "limits.norm_tolerance"),
    "overflow": ("recall@1: 0.03", "recall@1: 1.0e+999", "limits.margins.recall@1"),
    "missing margin": ("    mrr@10: 0.03\n", "", "limits.margins: no margin for mrr@10, which RET304 needs"),
    "missing secondary margin": (
        "    recall@5: 0.05\n", "", "limits.margins: no margin for recall@5, which RET306 needs"
    ),
    "unknown metric": ("metric: recall@10}", "metric: recall@7}", "release.primary[2].metric:"),
    "metric no criterion can have": ("metric: recall@10}", "metric: recall@100}", "release.primary[2].metric:"),
    "unknown kind": ("kind: superiority", "kind: better", "release.primary[0].kind:"),
    "unknown operation": ("gold-set: LAT402", "gold: LAT402", "release.latency.gold"),
    "malformed check": ("INT105, INT106]", "INT105, int106]", "release.integrity[5]:"),
    "check named twice in a list": (
        "INT105, INT106]", "INT105, INT106, INT101]", "release: INT101 is named twice"
    ),
    "check named twice in two places": ("floor: RET307", "floor: RET301", "release: RET301 is named twice"),
    "check named twice by operations": ("gold-set: LAT402", "gold-set: LAT401", "release: LAT401 is named twice"),
    "check named twice by a sample": ("canary: VEC109", "canary: VEC101", "release: VEC101 is named twice"),
    "check named twice at the end": ("unchanged: INT107", "unchanged: INT101", "release: INT101 is named twice"),
    "no sample": ("  canary: VEC109\n", "", "release.canary: Field required"),
    "nothing held at the end": ("  unchanged: INT107\n", "", "release.unchanged: Field required"),
    "sample left out of releasing": ("  canary: VEC109", "  canary: null", "release.canary: "),
    "check named twice by slices": ("collapse: RET309", "collapse: RET308", "release: RET308 is named twice"),
    "optional release": (
        "  optional: []", "  optional: [TRN101]", "release.optional: a release leaves nothing out"
    ),
    "stranger optional": (
        "  optional: [RET308,", "  optional: [RET307,", "comparison.optional: RET307 is no check of these rules"
    ),
    "blank slice field": ("[category, difficulty,", "[category, '',", "limits.slice_fields[1]:"),
}  # fmt: skip

# Where a check may stand, and who refuses one that nothing defines.
PLACES = {
    "release.integrity[0]": "unknown check XYZ999",
    "release.corpus[0]": "unknown check XYZ999",
    "release.vectors[0]": "unknown check XYZ999",
    "release.database[0]": "unknown check XYZ999",
    "release.primary[1].check": "waivable: RET302 cannot be answered for",
    "release.primary[0].check": "unknown check XYZ999",
    "release.secondary[0].check": "waivable: RET306 cannot be answered for",
    "release.floor": "unknown check XYZ999",
    "release.slices.collapse": "unknown check XYZ999",
    "release.leak": "unknown check XYZ999",
    "release.canary": "unknown check XYZ999",
    "release.unchanged": "unknown check XYZ999",
    "release.certificate": "unknown check XYZ999",
    "comparison.integrity[0]": "unknown check XYZ999",
    "comparison.primary[0].check": "unknown check XYZ999",
    "comparison.primary[4].check": "unknown check XYZ999",
    "comparison.latency.gold-set": "unknown check XYZ999",
    "comparison.leak": "TRN101 is no check of these rules",
    "comparison.canary": "VEC109 is no check of these rules",
    "comparison.unchanged": "unknown check XYZ999",
    "comparison.optional[0]": "comparison.optional: XYZ999 is no check of these rules",
    "waivable[0]": "waivable: XYZ999 cannot be answered for by a person",
}


def step(document: Any, path: str) -> tuple[Any, str | int]:
    """Return the object that holds a field, and the field's name or place in it."""
    keys: list[str | int] = []
    for part in path.split("."):
        name, _, place = part.partition("[")
        keys += [name, int(place.rstrip("]"))] if place else [name]
    for key in keys[:-1]:
        document = document[key]
    return document, keys[-1]


def write_document(folder: Path, path: str, raw: str, document: dict[str, Any] = DOCUMENT) -> Path:
    """Write the policy as JSON, which is YAML, with the text `raw` as the value of one field."""
    changed = json.loads(json.dumps(document))
    holder, key = step(changed, path)
    holder[key] = "@raw@"
    target = folder / "policy.yaml"
    target.write_text(json.dumps(changed).replace('"@raw@"', raw), encoding="utf-8")
    return target


def refuse(path: Path) -> str:
    """Assert that a policy is refused by name, and return what is said about it."""
    with pytest.raises(InputError) as error:
        load_rulebook(path)
    said = str(error.value)

    assert said.startswith(str(path))

    return said.removeprefix(f"{path}: ")


@pytest.mark.parametrize("field", BOUNDS)
def test_every_limit_ends_where_it_should(tmp_path: Path, field: str) -> None:
    """The last value that a limit may have is read as it stands; the next one is refused by the field's path."""
    for raw in BOUNDS[field][0]:
        holder: Any = load_yaml(write_document(tmp_path, field, raw), Policy)
        for part in field.split("."):
            holder = holder[part] if isinstance(holder, dict) else getattr(holder, part)

        assert holder == (Decimal(raw) if isinstance(holder, Decimal) else float(raw))

    for raw in BOUNDS[field][1]:
        assert refuse(write_document(tmp_path, field, raw)).startswith(f"{field}: "), raw


@pytest.mark.parametrize("field", BOUNDS)
def test_only_a_number_is_a_number(tmp_path: Path, field: str) -> None:
    """A truth value, text, nothing, a list, NaN and what overflows are refused by the field's path."""
    for raw in NO_NUMBERS:
        said = refuse(write_document(tmp_path, field, raw))

        # YAML has no name for `NaN`, so it is text there; `1e999` is read as infinity.
        assert said.startswith(f"{field}: expected "), (raw, said)


def list_numbers(value: Any, path: str = "") -> list[str]:
    """Return the path of every number of a document."""
    if isinstance(value, dict):
        return [found for key, part in value.items() for found in list_numbers(part, f"{path}.{key}".lstrip("."))]
    return [path] if isinstance(value, int | float) else []


def test_the_bounds_of_every_number_are_looked_at() -> None:
    """No number of the policy is left out of these tests."""
    assert sorted(list_numbers(DOCUMENT)) == sorted(BOUNDS)


@pytest.mark.parametrize(("old", "new", "named"), FAULTS.values(), ids=FAULTS)
def test_a_malformed_policy_is_refused(tmp_path: Path, old: str, new: str, named: str) -> None:
    """Each fault is refused with the file and the field's path."""
    text = POLICY.read_text(encoding="utf-8")
    path = tmp_path / "policy.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")

    assert old in text
    assert named in refuse(path)


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "[]", "policy", "null"])
def test_an_empty_policy_is_refused(tmp_path: Path, text: str) -> None:
    """A file that says nothing is not a policy that asks for nothing."""
    path = tmp_path / "policy.yaml"
    path.write_text(text, encoding="utf-8")

    assert "Field required" in refuse(path) or "expected an object" in refuse(path)


@pytest.mark.parametrize(("place", "said"), PLACES.items(), ids=PLACES)
def test_an_unknown_check_is_refused_wherever_it_stands(tmp_path: Path, place: str, said: str) -> None:
    """A check that the catalogue does not declare, or that others still refer to, makes no policy."""
    assert said in refuse(write_document(tmp_path, place, '"XYZ999"'))


def list_models(model: type[BaseModel] = Policy) -> dict[str, type[BaseModel]]:
    """Return every record of which the policy is made."""
    found: dict[str, type[BaseModel]] = {model.__name__: model}
    for field in model.model_fields.values():
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found |= list_models(kind)
    return found


@pytest.mark.parametrize("model", list_models().values(), ids=list_models())
def test_nothing_has_a_default(model: type[BaseModel]) -> None:
    """Everything that a policy says must be written down, in whatever part it stands."""
    assert [name for name, field in model.model_fields.items() if not field.is_required()] == []


def test_every_part_is_looked_at() -> None:
    """The records that are searched for defaults are all that there are."""
    assert set(list_models()) == {
        "Policy", "Statistics", "Limits", "Certification", "Waiver", "Rules", "Criterion", "SliceChecks",
    }  # fmt: skip


@pytest.mark.parametrize(
    "place",
    ["", "statistics", "limits", "certification", "release", "comparison", "release.slices", "release.primary[0]"],
    ids=lambda place: place or "top",
)
def test_an_unknown_and_a_missing_key_are_refused(tmp_path: Path, place: str) -> None:
    """In every part a key more is one too many, and a key less is named."""
    for change in ("add", "remove"):
        document = copy.deepcopy(DOCUMENT)
        holder, key = step({"root": document}, f"root.{place}".rstrip("."))
        part = holder[key]
        name = "stranger" if change == "add" else next(iter(part))
        if change == "add":
            part[name] = 1
        else:
            del part[name]
        path = tmp_path / "policy.yaml"
        path.write_text(json.dumps(document), encoding="utf-8")
        said = refuse(path)

        assert said.startswith(f"{place}.{name}: ".lstrip("."))
        assert ("Extra inputs" if change == "add" else "Field required") in said


def with_waivers(*changes: dict[str, Any], **rules: Any) -> dict[str, Any]:
    """Return the policy with a waiver for each set of changes to the good one."""
    return {**copy.deepcopy(DOCUMENT), **rules, "waivers": [WAIVER | change for change in changes]}


WAIVER_FAULTS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "unknown check": ([{"check": "RET399"}], "waivers: WAIVER-001 names RET399, which is not waivable"),
    "superiority": ([{"check": "RET301"}], "waivers: WAIVER-001 names RET301, which is not waivable"),
    "integrity": ([{"check": "INT101"}], "waivers: WAIVER-001 names INT101, which is not waivable"),
    "over the cap": (
        [{"id": f"WAIVER-00{n}", "check": f"RET30{n}"} for n in (2, 3, 4)],
        "waivers: 3 waivers, limits.waivers_max allows 2",
    ),
    "same id": ([{}, {"check": "RET304"}], "waivers: two have the same id"),
    "same check and subject": ([{}, {"id": "WAIVER-002"}], "waivers: two have the same key"),
    "id of another kind": ([{"id": "W-1"}], "waivers[0].id:"),
    "nobody": ([{"owner": ""}], "waivers[0].owner:"),
    "no reason": ([{"reason": ""}], "waivers[0].reason:"),
    "no subject": ([{"subject": ""}], "waivers[0].subject:"),
    "no such day": ([{"expires": "2027-02-30"}], "waivers[0].expires:"),
    "a time": ([{"expires": "2027-01-31T10:00:00"}], "waivers[0].expires:"),
    "a number": ([{"expires": 20270131}], "waivers[0].expires:"),
    "for ever": ([{"expires": None}], "waivers[0].expires:"),
    "no day": ([{"expires": "soon"}], "waivers[0].expires:"),
}


@pytest.mark.parametrize(("changes", "said"), WAIVER_FAULTS.values(), ids=WAIVER_FAULTS)
def test_a_waiver_that_cannot_hold_is_refused(tmp_path: Path, changes: list[dict[str, Any]], said: str) -> None:
    """A waiver for a stranger, for what nobody may answer for, without name, reason or end, or one too many."""
    path = tmp_path / "policy.yaml"
    path.write_text(json.dumps(with_waivers(*changes)), encoding="utf-8")

    assert said in refuse(path)


def test_waivers_up_to_the_cap_are_read(tmp_path: Path) -> None:
    """As many waivers as the policy allows, for one check on two corpora, with their day as a day."""
    text = POLICY.read_text(encoding="utf-8")
    lines = [f"  - {json.dumps(WAIVER)}", f"  - {json.dumps(WAIVER | {'id': 'WAIVER-002', 'subject': 'intl'})}"]
    path = tmp_path / "policy.yaml"
    plain = "\n".join(lines).replace('"2027-01-31"', "2027-01-31")
    path.write_text(text.replace("waivers: []", f"waivers:\n{plain}"), encoding="utf-8")
    waivers = load_rulebook(path).policy.waivers

    assert [waiver.key for waiver in waivers] == [("RET303", "fr"), ("RET303", "intl")]
    assert {waiver.expires for waiver in waivers} == {date(2027, 1, 31)}


@pytest.mark.parametrize(
    "check",
    ["RET301", "RET307", "RET309", "TRN101", "CER501", "INT101", "VEC105", "STO204", "CHK101", "RET399"],
)
def test_nobody_answers_for_evidence(tmp_path: Path, check: str) -> None:
    """Superiority, the floor, a collapse, a leak, the certificate and all integrity can never be made waivable."""
    path = tmp_path / "policy.yaml"
    waivable = [*DOCUMENT["waivable"], check]
    path.write_text(json.dumps(with_waivers(waivable=waivable)), encoding="utf-8")

    assert refuse(path).startswith(f"waivable: {check} cannot be answered for by a person")


def test_a_criterion_becomes_waivable_only_as_non_inferiority(tmp_path: Path) -> None:
    """It is the kind of the criterion that forbids a waiver, not the name of the check."""
    document = with_waivers()
    document["release"]["primary"][1]["kind"] = "superiority"
    path = tmp_path / "policy.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")

    assert refuse(path).startswith("waivable: RET302 cannot be answered for by a person")


@pytest.mark.parametrize("name", ["release", "comparison"])
@pytest.mark.parametrize("kept", ["none", "others", "secondary"])
def test_something_must_have_to_be_gained(tmp_path: Path, name: str, kept: str) -> None:
    """Rules without a criterion of superiority on the primary corpus are refused, whatever else they ask for."""
    document = copy.deepcopy(DOCUMENT)
    rules, other = document[name], document["comparison" if name == "release" else "release"]
    gains = [criterion for criterion in rules["primary"] if criterion["kind"] == "superiority"]
    others = [] if kept == "none" else [criterion for criterion in rules["primary"] if criterion not in gains]
    document[name] = rules | {"primary": others}
    if kept == "secondary":
        document[name] |= {"secondary": gains}
    document["waivable"] = [] if kept == "none" else document["waivable"]
    path = tmp_path / "policy.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")

    assert other["primary"]
    assert len(gains) == 1
    assert refuse(path).startswith(f"{name}.primary: no criterion of superiority, so nothing would have to be gained")


@pytest.mark.parametrize("name", ["release", "comparison"])
@pytest.mark.parametrize(
    ("left", "missing"),
    [(["gold-set"], "open-and-search"), (["open-and-search"], "gold-set"), ([], "gold-set, open-and-search")],
    ids=["opening", "gold set", "both"],
)
def test_every_operation_has_its_limit(tmp_path: Path, name: str, left: list[str], missing: str) -> None:
    """Rules that leave an operation without a check of its time are refused, and the operation is named."""
    document = copy.deepcopy(DOCUMENT)
    document[name]["latency"] = {key: check for key, check in document[name]["latency"].items() if key in left}
    document["waivable"] = [check for check in document["waivable"] if not check.startswith("LAT")]
    path = tmp_path / "policy.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")

    assert refuse(path).startswith(f"{name}.latency: no check of {missing}")


def test_a_waiver_is_known_by_check_and_subject() -> None:
    """The key of a waiver is that of the check that it is for."""
    assert Waiver.model_validate(WAIVER, strict=False).key == ("RET303", "fr")


def test_limits_are_decimals_as_written() -> None:
    """A limit is the decimal in the file, not the float next to it."""
    limits = load_rulebook(POLICY).policy.limits

    assert (limits.margins["recall@1"], limits.recall_floor) == (Decimal("0.03"), Decimal("0.25"))
    assert (limits.latency_ratio, limits.leak_similarity) == (Decimal("1.25"), Decimal("0.9"))
    assert limits.canary_similarity == Decimal("0.9999")


def test_every_file_that_has_a_say_is_digested(tmp_path: Path) -> None:
    """Policy, requirements, catalogue and each suite go into the rulebook with the SHA-256 of their bytes."""
    path = write_policy(tmp_path)
    rulebook = load_rulebook(path)
    suites = {f"suite_{suite.stem}": suite for suite in (EXPECTATIONS / "suites").glob("*.json")}
    files = {"policy": path, **{name: EXPECTATIONS / f"{name}.yaml" for name in ("checks", "requirements")}, **suites}

    assert len(suites) >= 4
    assert rulebook.digests == {
        name: (file, hashlib.sha256(file.read_bytes()).hexdigest()) for name, file in files.items()
    }


def test_comparison_asks_for_all_of_release_but_what_belongs_to_releasing() -> None:
    """Comparing stores from elsewhere leaves out what it cannot know, and may do without slices and training pairs."""
    policy = load_rulebook(POLICY).policy
    release, comparison = policy.release.model_dump(), policy.comparison.model_dump()
    differing = {name for name in release if release[name] != comparison[name]}

    left_out = {"certificate", "drill", "custody", "coverage"}
    assert differing == {"integrity", "secondary", "floor", "optional", *left_out}
    assert set(release["integrity"]) - set(comparison["integrity"]) == {"INT105"}
    assert [comparison[name] for name in ("secondary", "floor", *sorted(left_out))] == [[], *[None] * 5]
    assert comparison["optional"] == ["RET308", "RET309", "TRN101", "VEC109"]


def test_every_declared_check_is_asked_for() -> None:
    """The catalogue holds exactly the checks of a release, and rules list each as often as it is named."""
    rulebook = load_rulebook(POLICY)
    release, comparison = rulebook.policy.release.list_checks(), rulebook.policy.comparison.list_checks()

    assert sorted(release) == sorted(rulebook.catalogue)
    assert set(release) - set(comparison) == {"INT105", "RET306", "RET307", "CER501", "FBK502", "CUS503", "TRC504"}


def test_a_missing_policy_is_refused(tmp_path: Path) -> None:
    """A path that leads nowhere is named."""
    with pytest.raises(InputError, match=r"absent\.yaml: expected a file, but it does not exist"):
        load_rulebook(tmp_path / "absent.yaml")
