"""Decisions to report: one of each verdict that people will see, and one in which every text is hostile."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.store import FileRecord, Manifest, StoreFiles
from tests.records import EXPLANATION, INTERVAL, make_flip, make_metric
from validation.document import (
    CheckRecord,
    CodeRecord,
    InputRecord,
    LatencyRecord,
    Record,
    RequirementRecord,
    RoundsRecord,
    WaiverRecord,
)
from validation.latency_rounds import Machine
from validation.outcomes import Interval, Outcome, Verdict
from validation.requirements import Wording
from validation.slices import SliceResult

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "d" * 64
ROWS = 40
CORPORA = ("fr", "intl")
ROLES = ("base", "qlora")
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(1)>\"'`&amp;${7*7}{{7*7}}{% raw %}</section></style></script>"
    "\x1b[31m\x00\x07\u202egnp.exe\u2066x\u2069\u200b\u2028$\\frac{1}{2}$ | **b** [a](javascript:alert(1)) é"
)


def make_requirement(number: int, **fields: Any) -> RequirementRecord:
    """Return a requirement as it stands in the document."""
    told: dict[str, Any] = {
        "section": "3.2",
        "statement": Wording(fr=f"L’exigence n° {number} est tenue.", en=f"Requirement no. {number} holds."),
        "rationale": Wording(fr="L’arbitre doit trouver la règle.", en="The arbiter must find the rule."),
        "owner": "maintainers",
        "metric": Wording(fr="rappel@5", en="recall@5"),
        "operator": "≥",
        "limit": "policy.limits.recall_floor",
        "clauses": ["ISO/IEC 42001 A.6.2.4"],
        "bound": 0.25,
        "sha256": DIGEST,
    }
    return RequirementRecord(**told | fields)


def make_reported(check_id: str, outcome: Outcome = Outcome.PASS, **fields: Any) -> CheckRecord:
    """Return a check with everything that the report shows of it."""
    told: dict[str, Any] = {
        "requirements": ["REQ-RET-01"], "title": Wording(fr="la candidate trouve plus", en="candidate finds more"),
        "characteristic": None, "subject": "fr", "observed": None, "limit": None, "unit": None, "n": 120,
        "interval": None, "detail": None, "blocked_by": None, "explanation": None,
        "remedy": Wording(fr="entraîner une autre candidate", en="train another candidate"), "inputs": [],
    }  # fmt: skip
    return CheckRecord(id=check_id, outcome=outcome, **told | fields)


def make_criterion(check_id: str, outcome: Outcome = Outcome.PASS, **fields: Any) -> CheckRecord:
    """Return a check that an interval of paired differences decides."""
    told: dict[str, Any] = {
        "observed": 0.0167,
        "limit": -0.05,
        "unit": "share",
        "interval": INTERVAL,
        "explanation": EXPLANATION,
    }
    return make_reported(check_id, outcome, **told | fields)


def make_data_checks() -> list[CheckRecord]:
    """Return checks of the data, one of each way to state a limit."""
    data: list[tuple[str, str, Any, Any]] = [
        ("CHK101", "completeness", 1857, {"value": 1857}),
        ("CHK103", "completeness", {"unexpected": 0}, {"regex": "\\S"}),
        ("VEC102", "precision", 768, {"min_value": 768.0, "max_value": 768.0}),
        ("VEC107", "accuracy", 1.0, {"min_value": 0.98}),
        ("STO208", "consistency", {"unexpected": 0}, {"value_set": ["embedded-gemma-lsa"]}),
        ("INT103", "traceability", DIGEST, f"not {DIGEST}"),
        ("INT107", "traceability", 0, {"max_value": 0.0}),
    ]
    return [
        make_reported(name, characteristic=characteristic, observed=observed, limit=limit, requirements=["REQ-DAT-01"])
        for name, characteristic, observed, limit in data
    ]


def make_ratio(subject: str) -> CheckRecord:
    """Return a check of a ratio of times."""
    interval = Interval(lower=0.98, upper=1.06, level=0.95, standard_error=0.01)
    told: dict[str, Any] = {"observed": 1.017, "limit": 1.25, "unit": "ratio of medians", "n": 40, "interval": interval}
    return make_reported("LAT401", subject=subject, requirements=["REQ-LAT-01"], **told)


def make_slice(value: str, **fields: Any) -> SliceResult:
    """Return what was found on a slice."""
    told: dict[str, Any] = {
        "field": "category", "n": 60, "base_hits": 20, "candidate_hits": 26, "difference": 0.1,
        "interval": INTERVAL, "loss_p": 0.9, "loses": False, "collapsed": False,
    }  # fmt: skip
    return SliceResult(value=value, **told | fields)


def make_latency() -> LatencyRecord:
    """Return what was measured, and on which machine."""
    rounds = RoundsRecord(rounds=40, base_median_ms=5.31, candidate_median_ms=5.33)
    machine = Machine(
        cpu="AMD EPYC", cores=2, system="Linux", release="6.1", python_version="3.11.7",
        python_implementation="CPython",
    )  # fmt: skip
    return LatencyRecord(machine=machine, corpora={name: {"open-and-search": rounds} for name in CORPORA})


def make_decision(verdict: Verdict, checks: list[CheckRecord], **fields: Any) -> Record:
    """Return a decision of the whole project, with both corpora compared."""
    flips = {
        "fr": [
            make_flip("lost" if number % 3 else "gained", question=f"q{number}").model_copy(
                update={"metadata": {"category": "laws" if number % 2 else "clocks", "difficulty": number % 4}}
            )
            for number in range(12)
        ],
        "intl": [make_flip("gained", text="Who?", question="r1")],
    }
    told: dict[str, Any] = {
        "policy": "release", "reasons": ["all required checks passed"], "checks": checks,
        "requirements": {
            name: make_requirement(number) for number, name in enumerate(("REQ-RET-01", "REQ-DAT-01", "REQ-LAT-01"), 1)
        },
        "retrieval": {
            name: {"recall@1": make_metric(30, 34), "recall@5": make_metric(60, 62)} for name in CORPORA
        },
        "baselines": {name: {"BM25": {"recall@1": 0.2, "recall@5": 0.4}} for name in CORPORA},
        "slices": {
            name: [make_slice("laws"), make_slice("clocks", interval=None, loss_p=None, n=7, difference=-0.2)]
            for name in CORPORA
        },
        "flips": flips, "latency": make_latency(), "waivers": [], "as_of": None, "attempt": 1, "run": None,
        "code": CodeRecord(revision="a" * 40, sha256=DIGEST), "inputs": {}, "answers": None,
    }  # fmt: skip
    return Record(schema_version=1, decision=verdict, exit_code=verdict.exit_code, **told | fields)


def make_release(**fields: Any) -> Record:
    """Return a decision in which everything passes."""
    checks = [make_criterion("RET301"), make_criterion("RET306", subject="intl"), *map(make_ratio, CORPORA)]
    return make_decision(Verdict.RELEASE, [*checks, *make_data_checks()], **fields)


def make_keep(questions: int = 300) -> Record:
    """Return a decision with many flips, in which something fails, is inconclusive, waived and in need of a check."""
    checks = [
        make_criterion("RET301", Outcome.INCONCLUSIVE, detail="the bounds reach across 0.0"),
        make_criterion("RET302", Outcome.FAIL, observed=-0.08, detail="the bounds lie below -0.05"),
        make_criterion("RET303", Outcome.WAIVED, detail="the bounds reach below -0.05"),
        make_reported("RET309", Outcome.ERROR, detail="not evaluated", blocked_by="RET308 fr"),
        make_ratio("fr"),
        *make_data_checks(),
    ]
    excerpt = "L'arbitre arrête les pendules et vérifie la position avant de se prononcer. " * 4
    flips = {
        "fr": [
            make_flip(
                "lost" if number % 4 else "gained", text=f"Que fait l'arbitre au coup {number} ?", excerpt=excerpt,
                question=f"q{number}",
            ).model_copy(update={"metadata": {"category": f"c{number % 5}", "difficulty": "easy"}})
            for number in range(questions)
        ]
    }  # fmt: skip
    waivers = [
        WaiverRecord(
            id="WAIVER-001", check="RET303", subject="fr", owner="L. Arbitre", reason="a known gap of the corpus",
            expires="2027-01-31", state="applied",
        )
    ]  # fmt: skip
    requirements = {name: make_requirement(1) for name in ("REQ-RET-01", "REQ-DAT-01", "REQ-LAT-01", "REQ-TAG-01")}
    reasons = [f"{check.id} {check.subject}: {check.outcome}, {check.detail}" for check in checks[:3]]
    return make_decision(
        Verdict.KEEP, checks, reasons=reasons, flips=flips, waivers=waivers, as_of="2026-11-22", attempt=3,
        requirements=requirements,
    )  # fmt: skip


def make_empty() -> Record:
    """Return a decision for which there was nothing to look at."""
    nothing: dict[str, Any] = {name: {} for name in ("requirements", "retrieval", "baselines", "slices", "flips")}
    reasons = ["corpus/processed/chunks_mode_b_fr.json: expected a file, but it does not exist; check the path"]
    return make_decision(Verdict.NOT_EVALUATED, [], reasons=reasons, latency=None, attempt=None, **nothing)


def make_hostile(text: str = HOSTILE) -> Record:
    """Return a decision in which every text that may come from outside is hostile."""
    wording = Wording(fr=text, en=text)
    check = make_criterion(
        text, Outcome.FAIL, title=wording, subject=text, detail=text, remedy=wording, unit=text, requirements=[text],
    )  # fmt: skip
    data = make_reported(
        f"{text} 2", Outcome.ERROR, observed={text: [text]}, limit=text, blocked_by=text, subject=text,
        characteristic="accuracy", requirements=[],
    )  # fmt: skip
    flip = make_flip("lost", text=text, excerpt=text, question=text)
    answer = flip.base.model_copy(update={"returned": text, "section": text})
    flips = [flip.model_copy(update={"metadata": {text: text}, "relevant": [text], "base": answer})]
    waiver = WaiverRecord(
        id=text, check=text, subject=text, owner=text, reason=text, expires=text, state="unused"
    )  # fmt: skip
    named = make_requirement(1, statement=wording, rationale=wording, owner=text, metric=wording, clauses=[text])
    return make_decision(
        Verdict.KEEP, [check, data], reasons=[text, text], requirements={text: named}, flips={text: flips},
        retrieval={text: {text: make_metric(1, 2)}}, baselines={text: {text: {text: 0.5}}},
        slices={text: [make_slice(text, field=text)]}, waivers=[waiver], as_of=text,
        inputs={text: InputRecord(path=text, sha256=DIGEST)}, answers=InputRecord(path=text, sha256=DIGEST),
        code=CodeRecord(revision=text, sha256=DIGEST),
    )  # fmt: skip


def write_record(record: Record, path: Path) -> Path:
    """Write a decision as the gate does, save that nothing is checked."""
    path.write_text(record.model_dump_json(indent=2), encoding="utf-8")
    return path


def write_stores(folder: Path, rows: int = ROWS) -> dict[str, InputRecord]:
    """Write two small stores of one corpus and return them as the inputs of a decision."""
    randoms = np.random.default_rng(7)
    base = randoms.normal(size=(rows, 768))
    inputs: dict[str, InputRecord] = {}
    for role, matrix in zip(ROLES, (base, base + 0.3 * randoms.normal(size=base.shape)), strict=True):
        place = folder / "build" / role / "fr"
        place.mkdir(parents=True)
        units = (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype("<f4")
        np.save(place / "embeddings.npy", units)
        digest = hash_file(place / "embeddings.npy")
        files = {
            part: FileRecord(name=f"{part}.npy", size=1, sha256=digest)
            for part in ("embeddings", "questions", "database")
        }
        manifest = Manifest(
            schema_version=1, corpus="fr", total=rows, chunks_sha256=DIGEST, questions_sha256=DIGEST,
            model_id=f"model-{role}", model=None, files=StoreFiles(**files),
        )  # fmt: skip
        (place / "manifest.json").write_text(manifest.model_dump_json(), encoding="utf-8")
        for part, name in (("manifest", "manifest.json"), ("embeddings", "embeddings.npy")):
            path = place / name
            inputs[f"{role}/fr/{part}"] = InputRecord(path=path.relative_to(folder).as_posix(), sha256=hash_file(path))
    return inputs | {"fr/chunks": InputRecord(path="corpus/chunks.json", sha256=DIGEST)}


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, by the standard library."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
