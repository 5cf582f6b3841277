"""The certificate: what it is bound to, when it vouches for the gate, and how many false releases it forgives."""

from __future__ import annotations

import hashlib
import math
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.documents import load_json
from pipeline.errors import InputError
from pipeline.files import write_json
from pipeline.params import PROJECT_ROOT
from pipeline.store import load_manifest
from tests.releases import build_certificate, load_small_rulebook
from tests.stores import build_request, flip_bit, get_path, sign, write_pair
from validation.certificate import (
    Certificate,
    Finding,
    NullRuns,
    Trial,
    check_certificate,
    compute_code_digest,
    count_allowed,
    find_fault,
    list_bound,
)
from validation.gate import load_corpus
from validation.outcomes import Outcome, Verdict

if TYPE_CHECKING:
    from validation.policy import Policy, Rulebook
    from validation.stores import CorpusRequest

pytestmark = pytest.mark.requirement("REQ-CER-01")

FLOOR = Finding(check="RET307", subject="fr", outcome=Outcome.FAIL)
LOSS = Finding(check="RET301", subject="fr", outcome=Outcome.FAIL)
BOUND = {"policy": "1" * 64, "code": "2" * 64}


@pytest.fixture(scope="module")
def rulebook() -> Rulebook:
    """The rules of the project."""
    return load_small_rulebook()


@pytest.fixture(scope="module")
def policy(rulebook: Rulebook) -> Policy:
    """The policy of the project."""
    return rulebook.policy


@pytest.fixture
def request_(tmp_path: Path) -> CorpusRequest:
    """Two small stores and their corpus."""
    return build_request(*write_pair(tmp_path, base_hits=2, candidate_hits=4, rows=6))


def make_trial(**changes: Any) -> Trial:
    """Return a trial in which the floor, and nothing else, kept the base."""
    good = {
        "id": "low", "title": "t", "expected": Verdict.KEEP, "expected_findings": [FLOOR], "tolerated": [],
        "observed": Verdict.KEEP, "observed_findings": [FLOOR],
    }  # fmt: skip
    return Trial.model_validate(good | changes)


def make_certificate(
    policy: Policy, *, trials: int | None = None, runs: int | None = None, releases: int = 0, **changes: Any
) -> Certificate:
    """Return a certificate with just as many trials and runs as are asked for."""
    wanted = policy.certification
    nulls = [
        NullRuns(id=name, title="t", runs=wanted.runs if runs is None else runs, releases=count, disagreement=0.1)
        for name, count in (("still", 0), ("noise", releases))
    ]
    good: dict[str, Any] = {
        "schema_version": 1,
        "bound_to": BOUND,
        "trials": [make_trial()] * (wanted.trials if trials is None else trials),
        "null_runs": nulls,
    }
    return Certificate.model_validate(good | changes)


TRIALS: dict[str, tuple[dict[str, Any], bool]] = {
    "right decision, right reason": ({}, True),
    "other decision": ({"observed": Verdict.NOT_EVALUATED}, False),
    "released": ({"observed": Verdict.RELEASE, "observed_findings": []}, False),
    "right decision, no reason": ({"observed_findings": []}, False),
    "right decision, other reason": ({"observed_findings": [LOSS]}, False),
    "right decision, one reason more": ({"observed_findings": [FLOOR, LOSS]}, False),
    "one reason more, tolerated": ({"observed_findings": [LOSS, FLOOR], "tolerated": ["RET301"]}, True),
    "tolerated reason alone": ({"observed_findings": [LOSS], "tolerated": ["RET301"]}, False),
    "reason tolerated but not needed": ({"tolerated": ["RET301"]}, True),
    "right check, other outcome": (
        {"observed_findings": [FLOOR.model_copy(update={"outcome": Outcome.ERROR})]}, False,
    ),
    "right check, other subject": ({"observed_findings": [FLOOR.model_copy(update={"subject": "intl"})]}, False),
    "one of two reasons": ({"expected_findings": [FLOOR, LOSS]}, False),
    "control released": (
        {"expected": Verdict.RELEASE, "observed": Verdict.RELEASE, "expected_findings": [], "observed_findings": []},
        True,
    ),
    "control kept": ({"expected": Verdict.RELEASE, "expected_findings": []}, False),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "holds"), TRIALS.values(), ids=TRIALS)
def test_a_trial_holds_for_the_right_reason_only(changes: dict[str, Any], *, holds: bool) -> None:
    """The decision must be the expected one, for the expected findings, and for no other that is not tolerated."""
    assert make_trial(**changes).holds is holds


def test_a_good_certificate_vouches(policy: Policy) -> None:
    """With all digests equal, all trials right and no false release too many there is no fault."""
    certificate = make_certificate(policy, releases=count_allowed(policy.certification.runs, policy))
    check = check_certificate("CER501", certificate, BOUND, policy)
    wanted = policy.certification

    assert find_fault(certificate, BOUND, policy) is None
    assert (check.key, check.outcome, check.detail) == (("CER501", "gate"), Outcome.PASS, None)
    assert (check.observed, check.limit, check.n) == (wanted.trials, wanted.trials, 2 * wanted.runs)


def test_no_certificate_is_an_error(policy: Policy) -> None:
    """A gate that was not certified releases nothing."""
    check = check_certificate("CER501", None, BOUND, policy)

    assert (check.outcome, check.detail) == (Outcome.ERROR, "the gate was not certified")
    assert (check.observed, check.limit, check.n) == (None, None, None)


@pytest.mark.parametrize(
    ("bound", "said"),
    [
        (BOUND | {"policy": "3" * 64}, "certified with another policy"),
        (BOUND | {"code": "3" * 64}, "certified with another code"),
        (BOUND | {"suite_chunks": "3" * 64}, "certified with another suite_chunks"),
        ({"policy": "1" * 64}, "certified with another code"),
        ({}, "certified with another code (and 1 more)"),
        (dict.fromkeys((*BOUND, "fr/qrels"), "3" * 64), "certified with another code (and 2 more)"),
    ],
    ids=["policy", "code", "something new", "something gone", "nothing", "everything"],
)
def test_other_rules_code_or_data_need_another_certificate(policy: Policy, bound: dict[str, str], said: str) -> None:
    """Whatever changed, came or went since is named, and counted where there is more."""
    check = check_certificate("CER501", make_certificate(policy), bound, policy)

    assert (check.outcome, check.detail) == (Outcome.ERROR, said)


def test_every_trial_that_was_missed_is_named(policy: Policy) -> None:
    """A gate that decided wrongly, or rightly for a wrong reason, vouches for nothing."""
    good = [make_trial()] * policy.certification.trials
    missed = [make_trial(id="let through", observed=Verdict.RELEASE), make_trial(id="by chance", observed_findings=[])]
    certificate = make_certificate(policy).model_copy(update={"trials": [*missed, *good]})
    check = check_certificate("CER501", certificate, BOUND, policy)

    assert check.outcome is Outcome.ERROR
    assert check.detail == "the gate did not decide rightly on let through, by chance"
    assert (check.observed, check.limit) == (len(good), len(good) + 2)


def test_fewer_trials_than_asked_for_are_a_fault(policy: Policy) -> None:
    """One trial short of what the policy asks for is one too few."""
    wanted = policy.certification.trials

    assert find_fault(make_certificate(policy, trials=wanted - 1), BOUND, policy) == (
        f"{wanted - 1} trials, the policy asks for {wanted}"
    )


@pytest.mark.parametrize("missing", ["one run", "one null", "all"])
def test_fewer_runs_than_asked_for_are_a_fault(policy: Policy, missing: str) -> None:
    """Each null must have been run as often as the policy asks for; none at all is no proof."""
    wanted = policy.certification.runs
    certificate = make_certificate(policy, runs=wanted - (missing == "one run"))
    if missing == "one null":
        first, second = certificate.null_runs
        certificate = make_certificate(policy, null_runs=[first, second.model_copy(update={"runs": wanted - 1})])
    if missing == "all":
        certificate = make_certificate(policy, null_runs=[])

    assert find_fault(certificate, BOUND, policy) == f"expected {wanted} runs of each null"


def test_one_false_release_too_many_is_a_fault(policy: Policy) -> None:
    """Above what chance allows a gate of the stated level, the null is named."""
    allowed = count_allowed(policy.certification.runs, policy)

    assert find_fault(make_certificate(policy, releases=allowed), BOUND, policy) is None
    assert find_fault(make_certificate(policy, releases=allowed + 1), BOUND, policy) == (
        "false releases above the level in noise"
    )


def compute_tail(runs: int, allowed: int, level: Fraction) -> Fraction:
    """Return the chance of more than `allowed` false releases at exactly the level, in exact fractions."""
    rate = 1 - level
    return 1 - sum(
        (math.comb(runs, count) * rate**count * level ** (runs - count) for count in range(allowed + 1)), Fraction(0)
    )


@pytest.mark.parametrize(("level", "significance"), [("0.95", "0.001"), ("0.95", "0.05"), ("0.99", "0.001")])
def test_the_allowance_is_the_binomial_bound(policy: Policy, level: str, significance: str) -> None:
    """More false releases than allowed come about by chance with the stated probability at most, one fewer do not."""
    changed = policy.model_copy(
        update={
            "statistics": policy.statistics.model_copy(update={"level": float(level)}),
            "certification": policy.certification.model_copy(update={"significance": float(significance)}),
        }
    )
    allowed = count_allowed(400, changed)

    assert compute_tail(400, allowed, Fraction(level)) <= Fraction(significance)
    assert compute_tail(400, allowed - 1, Fraction(level)) > Fraction(significance)


def test_a_certificate_is_bound_to_rules_code_gold_and_base(rulebook: Rulebook, request_: CorpusRequest) -> None:
    """Digests of rules, sources, corpus, gold set and the three files of the base are bound; not the candidate's."""
    corpus = load_corpus(request_)
    bound = list_bound(rulebook, [(corpus, load_manifest(request_.stores["base"]))])
    files = {name: path for name, (path, _) in rulebook.digests.items()} | {
        "fr/chunks": request_.chunks,
        "fr/questions": request_.questions,
        "fr/qrels": request_.qrels,
        "base/fr/embeddings": get_path(request_.stores["base"], "embeddings"),
        "base/fr/questions": get_path(request_.stores["base"], "questions"),
        "base/fr/database": get_path(request_.stores["base"], "database"),
    }

    assert bound.pop("code") == compute_code_digest()
    assert bound == {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}


def test_another_base_needs_another_certificate(rulebook: Rulebook, request_: CorpusRequest) -> None:
    """A base that was built anew, or that cannot be read, is not the one that the gate was certified on."""
    corpus, base = load_corpus(request_), request_.stores["base"]
    certificate = build_certificate([request_], rulebook)
    before = list_bound(rulebook, [(corpus, load_manifest(base))])
    flip_bit(base, "questions")
    sign(base)
    after = list_bound(rulebook, [(corpus, load_manifest(base))])

    assert find_fault(certificate, before, rulebook.policy) is None
    assert find_fault(certificate, after, rulebook.policy) == "certified with another base/fr/questions"
    assert find_fault(certificate, list_bound(rulebook, [(corpus, None)]), rulebook.policy) == (
        "certified with another base/fr/database (and 2 more)"
    )


def test_another_policy_or_suite_needs_another_certificate(rulebook: Rulebook, request_: CorpusRequest) -> None:
    """Every file that has a say is bound by its digest, whatever is in it."""
    certificate = build_certificate([request_], rulebook)
    pairs = [(load_corpus(request_), load_manifest(request_.stores["base"]))]
    for name, (path, _) in rulebook.digests.items():
        changed = replace(rulebook, digests=rulebook.digests | {name: (path, "0" * 64)})

        assert find_fault(certificate, list_bound(changed, pairs), rulebook.policy) == f"certified with another {name}"


def copy_sources(folder: Path) -> None:
    """Copy the sources of the project, without what Python leaves beside them."""
    for room in ("pipeline", "validation"):
        shutil.copytree(PROJECT_ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))


CHANGES = {
    "other content": lambda root: (root / "validation/decision.py").write_bytes(b"#"),
    "a new module": lambda root: (root / "pipeline" / "new.py").write_text("", encoding="utf-8"),
    "a module in a new folder": lambda root: (
        (root / "pipeline" / "new").mkdir() or (root / "pipeline/new/a.py").touch()
    ),
    "a module gone": lambda root: (root / "validation" / "waivers.py").unlink(),
    "a module renamed": lambda root: (root / "pipeline/leaks.py").rename(root / "pipeline/leak.py"),
    "a module moved": lambda root: (root / "pipeline/leaks.py").rename(root / "validation/leaks.py"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_any_change_of_the_code_changes_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any
) -> None:
    """The digest depends on the name and content of every source file, and not on where the project lies."""
    expected = compute_code_digest()
    copy_sources(tmp_path)
    monkeypatch.setattr("validation.certificate.PROJECT_ROOT", tmp_path)
    same = compute_code_digest()
    change(tmp_path)

    assert same == expected
    assert compute_code_digest() != expected


@pytest.mark.parametrize("name", ["tests/test_new.py", "validation/notes.md", "validation/__pycache__/a.pyc"])
def test_what_is_no_source_has_no_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Tests, notes and compiled files leave the digest as it is."""
    copy_sources(tmp_path)
    monkeypatch.setattr("validation.certificate.PROJECT_ROOT", tmp_path)
    before = compute_code_digest()
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("x", encoding="utf-8")

    assert compute_code_digest() == before


def test_the_digest_can_be_computed_by_hand() -> None:
    """It is the SHA-256 of the listing that `sha256sum` prints of the sorted sources."""
    paths = sorted(path for room in ("pipeline", "validation") for path in Path(PROJECT_ROOT, room).rglob("*.py"))
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(PROJECT_ROOT).as_posix()}\n" for p in paths]

    assert compute_code_digest() == hashlib.sha256("".join(lines).encode()).hexdigest()


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("schema_version", 2, "schema_version: "),
        ("bound_to", {"code": 1}, "bound_to.code: "),
        ("trials", [{}], "trials[0].id: Field required"),
        (
            "null_runs",
            [{"id": "n", "title": "t", "runs": -1, "releases": 0, "disagreement": 0.1}],
            "null_runs[0].runs: ",
        ),
        (
            "null_runs",
            [{"id": "n", "title": "t", "runs": 1, "releases": -1, "disagreement": 0.1}],
            "null_runs[0].releas",
        ),
        ("issued", "today", "issued: Extra inputs"),
    ],
)
def test_a_malformed_certificate_is_refused(policy: Policy, tmp_path: Path, place: str, value: Any, said: str) -> None:
    """A certificate is read strictly; the error names file and field."""
    path = tmp_path / "certificate.json"
    write_json(path, make_certificate(policy).model_dump(mode="json") | {place: value})

    with pytest.raises(InputError) as error:
        load_json(path, Certificate)

    assert str(error.value).startswith(f"{path}: {said}")


def test_a_certificate_comes_back_from_its_file(policy: Policy, tmp_path: Path) -> None:
    """What was written is what is read."""
    path = tmp_path / "certificate.json"
    write_json(path, make_certificate(policy).model_dump(mode="json"))

    assert load_json(path, Certificate) == make_certificate(policy)
