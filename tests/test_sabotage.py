"""Every sabotage is seen through for the reason that it names, and a gate that looks away is found out by it."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import validation.criteria
import validation.evidence
import validation.gate
import validation.latency
import validation.preconditions
import validation.stores
from tests.releases import (
    DAY,
    build_certificate,
    build_small_case,
    drop_expectations,
    load_small_rulebook,
    remember_expectations,
)
from validation.certify import list_certified, run_trial
from validation.outcomes import Check, Outcome, Verdict
from validation.policy import Waiver
from validation.release_case import build_receipt
from validation.sabotage import Sabotage, list_sabotages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from validation.certificate import Trial
    from validation.release_case import ReleaseCase

    Blind = Callable[[ReleaseCase, pytest.MonkeyPatch, Path], ReleaseCase]

SABOTAGES = {sabotage.id: sabotage for sabotage in list_sabotages("fr", "intl")}
CERTIFIED = (
    "certified-control",
    "limit-lowered",
    "code-changed",
    "not-drilled",
    "drilled-elsewhere",
    "requirement-uncovered",
)
CONTROL = Sabotage("control", "nothing is spoilt", Verdict.RELEASE, (), lambda case: case)
KEEP, RELEASE, HALT, REFUSED = Verdict.KEEP, Verdict.RELEASE, Verdict.HALT, Verdict.NOT_EVALUATED


@pytest.fixture(autouse=True)
def _remember() -> Iterator[None]:
    with remember_expectations():
        yield


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> ReleaseCase:
    """A small release of two corpora; trials copy what they spoil."""
    return build_small_case(tmp_path_factory.mktemp("release"), load_small_rulebook())


@pytest.fixture(scope="module")
def certified(case: ReleaseCase) -> ReleaseCase:
    """The same with a certificate that vouches for the gate as it is, and with the report of a drill."""
    certificate = build_certificate(case.corpora, case.rulebook)
    return replace(case, certificate=certificate, receipt=build_receipt(case.corpora))


def hash_stores(case: ReleaseCase) -> str:
    """Return one digest of every file of every store and gold set of a case."""
    total = hashlib.sha256()
    folders = [folder for request in case.corpora for folder in (*request.stores.values(), request.chunks.parents[1])]
    for path in sorted(path for folder in folders for path in folder.rglob("*") if path.is_file()):
        total.update(f"{path} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def list_findings(trial: Trial) -> set[tuple[str, str, Outcome]]:
    """Return what a trial found, apart from what may be found beside the reasons that are named."""
    named = [found for found in trial.observed_findings if found in trial.expected_findings]
    others = [found for found in trial.observed_findings if found.check not in trial.tolerated]
    return {(found.check, found.subject, found.outcome) for found in named + others}


# Sabotages


@pytest.mark.parametrize("name", SABOTAGES)
def test_a_sabotage_is_seen_through(case: ReleaseCase, name: str) -> None:
    """The verdict is the one that is named, for the reasons that are named and for no other; no store was touched."""
    sabotage, before = SABOTAGES[name], hash_stores(case)
    trial = run_trial(sabotage, case, certified=False)

    assert trial.observed is sabotage.verdict is not Verdict.RELEASE
    assert list_findings(trial) == {*sabotage.findings}
    assert trial.holds
    assert hash_stores(case) == before
    assert [path.name for path in case.folder.iterdir() if path.name.startswith("tmp")] == []


@pytest.mark.parametrize("corpora", [1, 2], ids=["one corpus", "both corpora"])
def test_what_is_not_spoilt_is_released(case: ReleaseCase, corpora: int) -> None:
    """The control, from which every sabotage starts, is a RELEASE without any finding."""
    trial = run_trial(replace(CONTROL, corpora=corpora), case, certified=False)

    assert (trial.observed, trial.observed_findings, trial.holds) == (Verdict.RELEASE, [], True)


@pytest.mark.parametrize("name", CERTIFIED)
def test_certificate_and_drill_are_tried(certified: ReleaseCase, name: str) -> None:
    """With both the control is released; after a limit or the code changed, or without its drill, it is not."""
    sabotages = {sabotage.id: sabotage for sabotage in list_certified(certified)}
    trial = run_trial(sabotages[name], certified, certified=True)

    assert tuple(sabotages) == CERTIFIED
    assert trial.observed is (Verdict.RELEASE if name == "certified-control" else Verdict.NOT_EVALUATED)
    assert trial.holds


def test_the_list_is_long_and_each_is_named_once(case: ReleaseCase) -> None:
    """There are at least as many trials as the policy asks for, and 15 sabotages at the very least."""
    found = list_sabotages("fr", "intl")
    trials = len(found) + 1 + len(CERTIFIED)

    assert len({sabotage.id for sabotage in found} | {*CERTIFIED, "control"}) == trials
    assert len(found) >= 15
    assert trials - 1 >= case.rulebook.policy.certification.trials
    assert {sabotage.verdict for sabotage in found} == {KEEP, REFUSED, HALT}


def test_each_names_a_reason_that_the_catalogue_knows(case: ReleaseCase) -> None:
    """Findings and tolerated checks are checks of this gate, and a HALT or NOT_EVALUATED rests on an ERROR."""
    for sabotage in SABOTAGES.values():
        outcomes = {outcome for _, _, outcome in sabotage.findings}

        assert {check for check, _, _ in sabotage.findings} | {*sabotage.tolerated} <= set(case.rulebook.catalogue)
        assert (Outcome.ERROR in outcomes) is (sabotage.verdict is not Verdict.KEEP)
        assert sabotage.findings


def test_a_release_of_one_corpus_has_nothing_to_unlearn() -> None:
    """Without a second corpus the sabotage of it is left out; every other one judges the primary corpus alone."""
    assert {sabotage.id for sabotage in list_sabotages("fr", None)} == SABOTAGES.keys() - {"corpus-unlearnt"}
    assert {sabotage.corpora for sabotage in list_sabotages("fr", None)} == {1}
    assert SABOTAGES["corpus-unlearnt"].corpora == 2


@pytest.mark.parametrize("waived", ["RET306", "LAT401", "RET302"])
def test_waivers_have_no_say_in_a_trial(case: ReleaseCase, waived: str) -> None:
    """What a person answers for today changes no trial: neither what is spoilt nor the control."""
    waiver = Waiver(id="WAIVER-001", check=waived, subject="intl", owner="A", reason="b", expires=DAY)
    policy = case.rulebook.policy.model_copy(update={"waivers": [waiver]})
    lenient = replace(case, rulebook=replace(case.rulebook, policy=policy))

    assert run_trial(CONTROL, lenient, certified=False).holds
    assert run_trial(SABOTAGES["corpus-unlearnt"], lenient, certified=False).holds


# A gate that looks away


def forget(*checks: str) -> Blind:
    """Let neither policy nor suites ask for some checks any more."""

    def apply(case: ReleaseCase, _patch: pytest.MonkeyPatch, folder: Path) -> ReleaseCase:
        rules = case.rulebook.policy.release
        changes: dict[str, Any] = {
            name: [check for check in getattr(rules, name) if check not in checks]
            for name in ("corpus", "vectors", "database")
        }
        for name in ("primary", "secondary"):
            changes[name] = [criterion for criterion in getattr(rules, name) if criterion.check not in checks]
        changes["latency"] = {name: check for name, check in rules.latency.items() if check not in checks}
        changes["floor"] = None if rules.floor in checks else rules.floor
        policy = case.rulebook.policy.model_copy(update={"release": rules.model_copy(update=changes)})
        rulebook = drop_expectations(replace(case.rulebook, policy=policy), checks, folder / "blind")
        return replace(case, rulebook=rulebook)

    return apply


def look_away(module: Any, function: str) -> Blind:
    """Let a function of the gate find nothing: every check that it returns passes."""
    look = getattr(module, function)

    def pass_all(*arguments: Any, **options: Any) -> Any:
        found = look(*arguments, **options)
        if isinstance(found, list):
            return [replace(check, outcome=Outcome.PASS, detail=None) for check in found]
        return replace(found, outcome=Outcome.PASS, detail=None) if isinstance(found, Check) else None

    def apply(case: ReleaseCase, patch: pytest.MonkeyPatch, _folder: Path) -> ReleaseCase:
        patch.setattr(module, function, pass_all)
        return case

    return apply


def combine(*blinds: Blind) -> Blind:
    """Blind a gate in several ways."""

    def apply(case: ReleaseCase, patch: pytest.MonkeyPatch, folder: Path) -> ReleaseCase:
        for blind in blinds:
            case = blind(case, patch, folder)
        return case

    return apply


# The sample that is embedded anew also sees much of what other checks are there for.
LIKE_ITSELF = look_away(validation.gate, "check_canary")


def trust_all_bytes(case: ReleaseCase, patch: pytest.MonkeyPatch, _folder: Path) -> ReleaseCase:
    """Let the gate read files whose bytes are not those of the manifest, at the end as at the beginning."""

    @contextlib.contextmanager
    def open_unverified(path: Path, _size: int, _sha256: str) -> Iterator[BinaryIO]:
        with path.open("rb") as stream:
            yield stream

    patch.setattr(validation.evidence, "open_verified", open_unverified)
    return look_away(validation.preconditions, "check_unchanged")(case, patch, _folder)


BLIND: dict[str, tuple[Blind, Verdict]] = {
    "not-normalised": (forget("VEC106"), RELEASE),
    "half-precision": (forget("VEC103"), RELEASE),
    "fortran-order": (forget("VEC104"), RELEASE),
    "repeated-vectors": (forget("VEC107"), RELEASE),
    "truncated-padded": (combine(forget("VEC108"), LIKE_ITSELF), RELEASE),
    "rows-permuted": (forget("STO204"), KEEP),
    "pairs-permuted": (forget("RET307"), KEEP),
    "stale-database": (forget("STO208"), KEEP),
    "text-edited": (forget("STO203"), RELEASE),
    "count-untrue": (forget("STO207"), RELEASE),
    "second-label": (forget("STO209"), RELEASE),
    "other-space": (LIKE_ITSELF, RELEASE),
    "prompt-dropped": (LIKE_ITSELF, RELEASE),
    "view-added": (look_away(validation.evidence, "find_structure_fault"), RELEASE),
    "input-changed": (look_away(validation.preconditions, "check_unchanged"), RELEASE),
    "file-misplaced": (look_away(validation.preconditions, "check_places"), RELEASE),
    "bit-flipped": (trust_all_bytes, KEEP),
    "other-chunks": (look_away(validation.evidence, "check_binding"), RELEASE),
    "other-questions": (look_away(validation.evidence, "check_binding"), RELEASE),
    "base-relabelled": (look_away(validation.stores, "check_distinct"), KEEP),
    "other-model": (look_away(validation.stores, "check_model"), RELEASE),
    "unknown-provenance": (combine(look_away(validation.stores, "check_model"), LIKE_ITSELF), RELEASE),
    "check-missing": (forget("CHK103"), RELEASE),
    "leaked-questions": (look_away(validation.gate, "check_leak"), RELEASE),
    "shuffled-questions": (forget("RET307"), KEEP),
    "first-place-lost": (combine(forget("RET302"), LIKE_ITSELF), RELEASE),
    "slice-collapsed": (combine(look_away(validation.criteria, "check_slices"), LIKE_ITSELF), RELEASE),
    "nothing-gained": (combine(forget("RET301"), LIKE_ITSELF), RELEASE),
    "twice-as-slow": (forget("LAT402"), KEEP),
    "latency-of-others": (look_away(validation.latency, "check_latency"), RELEASE),
    "corpus-unlearnt": (forget("RET306"), KEEP),
}


@pytest.mark.parametrize(("name", "blind", "verdict"), [(n, *each) for n, each in BLIND.items()], ids=BLIND)
def test_a_blinded_gate_fails_the_trial(
    case: ReleaseCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, blind: Blind, verdict: Verdict
) -> None:
    """Without the check that is the reason the trial does not hold, though the control still does."""
    blinded = blind(case, monkeypatch, tmp_path)
    trial = run_trial(SABOTAGES[name], blinded, certified=False)

    assert run_trial(CONTROL, blinded, certified=False).holds
    assert trial.observed is verdict
    assert not trial.holds


def test_every_sabotage_needs_its_check() -> None:
    """Each sabotage is tried on a gate that was blinded to it, but for those that more than one check sees."""
    assert SABOTAGES.keys() - BLIND.keys() == {"wrong-dimension", "row-missing", "base-altered", "not-a-number"}


def test_a_gate_that_overlooks_what_is_no_number_has_no_verdict(case: ReleaseCase, tmp_path: Path) -> None:
    """Without VEC105 a vector that holds NaN breaks the comparison off: nothing is decided, let alone released."""
    with pytest.MonkeyPatch.context() as patch:
        blinded = forget("VEC105")(case, patch, tmp_path)

        assert run_trial(CONTROL, blinded, certified=False).holds
        with pytest.raises(ValueError, match="a similarity is not finite"):
            run_trial(SABOTAGES["not-a-number"], blinded, certified=False)


def test_every_trial_tolerates_the_sample(case: ReleaseCase) -> None:
    """VEC109 may fail beside the reason that is named, but where it is the reason it must."""
    for name in ("truncated-padded", "other-space"):
        trial = run_trial(SABOTAGES[name], case, certified=False)
        silent = [found for found in trial.observed_findings if found.check != "VEC109"]

        assert "VEC109" in trial.tolerated
        assert "VEC109" in {found.check for found in trial.observed_findings}
        assert trial.model_copy(update={"observed_findings": silent}).holds is (name == "truncated-padded")


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("limit-lowered", "check_certificate"),
        ("code-changed", "check_certificate"),
        ("not-drilled", "check_drill"),
        ("drilled-elsewhere", "check_drill"),
        ("requirement-uncovered", "check_coverage"),
    ],
)
def test_a_gate_without_an_eye_for_its_evidence_fails_the_trial(
    certified: ReleaseCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, check: str
) -> None:
    """A gate that takes any certificate, drill or coverage, or none, releases all the same, which the trial shows."""
    sabotages = {sabotage.id: sabotage for sabotage in list_certified(certified)}
    blinded = look_away(validation.preconditions, check)(certified, monkeypatch, tmp_path)
    trial = run_trial(sabotages[name], blinded, certified=True)

    assert (trial.observed, trial.holds) == (Verdict.RELEASE, False)
