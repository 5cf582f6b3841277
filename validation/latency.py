"""Latency of the candidate beside the base: evidence bound to the stores' bytes, decided by the interval of a ratio.

`measure_latency` writes `latency.json`; `check_latency` reads that evidence and nothing else. Ratios are paired by
round, because base and candidate were measured directly after each other. Absolute times only inform.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from pipeline.documents import Strict, load_json
from pipeline.errors import StoreError
from pipeline.files import write_json
from pipeline.store import Digest, Manifest, load_manifest
from validation.evidence import open_files
from validation.latency_rounds import OPERATIONS, Machine, Plan, RoundTimes, Side, measure_rounds
from validation.outcomes import Check, Interval, Outcome
from validation.policy import Operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from validation.gate import CorpusFindings
    from validation.policy import Policy, Rules


@dataclass(frozen=True, slots=True)
class LatencyTarget:
    """The two stores of one corpus that are measured side by side."""

    corpus: str
    base: Path
    candidate: Path


class StoreDigests(Strict):
    """SHA-256 of the files of one store."""

    database: Digest
    embeddings: Digest
    questions: Digest


class PairDigests(Strict):
    """SHA-256 of the files of both stores of a corpus."""

    base: StoreDigests
    candidate: StoreDigests


class CorpusLatency(Strict):
    """The rounds of one corpus and the bytes that they were measured on."""

    stores: PairDigests
    operations: dict[Operation, RoundTimes]

    def count_rounds(self) -> dict[Operation, int]:
        """Return the number of rounds of each operation."""
        return {operation: len(times.base) for operation, times in self.operations.items()}


class LatencyEvidence(Strict):
    """All of `latency.json`."""

    schema_version: Annotated[int, Field(ge=1, le=1)]
    machine: Machine
    corpora: dict[str, CorpusLatency]


def measure_latency(targets: Sequence[LatencyTarget], path: Path, *, rounds: int) -> None:
    """Measure both stores of every corpus, interleaved in one run, and write `latency.json`.

    Fresh copies are measured: how a file came into the page cache makes several per cent, on the same bytes.

    Raises:
        StoreError: no corpus, one named twice, stores that are not what they say or not comparable, or a failed or
            incomplete run; nothing is written then.
        InputError: a manifest is malformed, or a file is not the one that it lists.
    """
    names = [target.corpus for target in targets]
    if not names or len(set(names)) < len(names):
        raise StoreError(path, f"expected corpora, each once, got {names}", "name every corpus once")
    with tempfile.TemporaryDirectory() as folder:
        copies = {each.corpus: _copy_stores(each, Path(folder, str(n))) for n, each in enumerate(targets)}
        report = measure_rounds(Plan(stores=copies, rounds=rounds), Path(folder))
        digests = {name: collect_digests(*map(load_manifest, pair.values())) for name, pair in copies.items()}
    corpora = {name: CorpusLatency(stores=digests[name], operations=report.pair_rounds(name)) for name in names}
    evidence = LatencyEvidence(schema_version=1, machine=report.get_machine(), corpora=corpora)
    write_json(path, evidence.model_dump())


def _copy_stores(target: LatencyTarget, folder: Path) -> dict[Side, Path]:
    copies: dict[Side, Path] = {"base": folder / "base", "candidate": folder / "candidate"}
    asked = load_manifest(target.base).questions_sha256
    for store, copy in zip((target.base, target.candidate), copies.values(), strict=True):
        manifest = load_manifest(store)
        with open_files(store, manifest), open_files(shutil.copytree(store, copy), manifest):
            fault = None
        if manifest.corpus != target.corpus:
            fault = f"expected a store of {target.corpus}, got one of {manifest.corpus}"
        elif manifest.questions_sha256 != asked:
            fault = "made for other questions than the base"
        if fault:
            raise StoreError(store, fault, "build the store again, or name another")
    return copies


def collect_digests(base: Manifest, candidate: Manifest) -> PairDigests:
    """Return what the manifests of two stores say of their files."""
    files = {"base": base.files.model_dump(), "candidate": candidate.files.model_dump()}
    digests = {side: {role: record["sha256"] for role, record in roles.items()} for side, roles in files.items()}
    return PairDigests.model_validate(digests)


def load_latency(path: Path) -> LatencyEvidence:
    """Read `latency.json`. Raises `InputError` when it is missing or malformed; the message names the field."""
    return load_json(path, LatencyEvidence)


def is_current(evidence: LatencyEvidence, targets: Sequence[LatencyTarget], *, rounds: int | None = None) -> bool:
    """Whether every target was measured on the bytes that its manifests name, in just `rounds` rounds where given."""
    return all(
        (found := evidence.corpora.get(target.corpus)) is not None
        and found.stores == collect_digests(load_manifest(target.base), load_manifest(target.candidate))
        and (rounds is None or found.count_rounds() == dict.fromkeys(OPERATIONS, rounds))
        for target in targets
    )


def estimate_ratio(
    base: Sequence[float], candidate: Sequence[float], *, level: float, resamples: int, seed: int
) -> tuple[float, Interval]:
    """Return the median of candidate / base over rounds, each list `(n_rounds,)` seconds, and its bootstrap interval.

    Rounds are drawn by position, whatever they took, and a bound is one of the drawn medians, not a value between two:
    a slower round of the candidate lowers no bound, not even by a rounding.
    """
    ratios = np.asarray(candidate, dtype=np.float64) / np.asarray(base, dtype=np.float64)
    draws = np.random.default_rng(seed).integers(len(ratios), size=(resamples, len(ratios)))
    medians = np.median(ratios[draws], axis=1)
    lower = float(np.quantile(medians, 1 - level, method="lower"))
    upper = float(np.quantile(medians, level, method="higher"))
    return float(np.median(ratios)), Interval(lower, upper, level, float(medians.std()))


def check_latencies(
    found: CorpusFindings, evidence: LatencyEvidence | None, policy: Policy, rules: Rules
) -> list[Check]:
    """Judge the latency of each operation by the ratio's interval."""
    settings = policy.statistics
    digests = collect_digests(found.stores["base"].manifest, found.stores["qlora"].manifest)
    return [
        check_latency(
            check,
            operation,
            evidence,
            digests,
            found.corpus.name,
            limit=policy.limits.latency_ratio,
            level=settings.level,
            resamples=settings.resamples,
            seed=settings.seed,
        )
        for operation, check in rules.latency.items()
    ]


def check_latency(
    check_id: str,
    operation: Operation,
    evidence: LatencyEvidence | None,
    digests: PairDigests,
    corpus: str,
    *,
    limit: Decimal,
    level: float,
    resamples: int,
    seed: int,
) -> Check:
    """Judge one operation on one corpus by its bounds as written decimals: PASS up to the limit, FAIL above it.

    An interval across it is INCONCLUSIVE. Missing evidence, evidence of other bytes than `digests`, or of too few
    rounds for its level, is an ERROR.
    """
    times = _find_times(operation, evidence, digests, corpus, level)
    if isinstance(times, str):
        return Check(check_id, corpus, Outcome.ERROR, limit=float(limit), detail=times)
    ratio, interval = estimate_ratio(times.base, times.candidate, level=level, resamples=resamples, seed=seed)
    outcome = Outcome.FAIL if Decimal(str(interval.lower)) > limit else Outcome.INCONCLUSIVE
    outcome = Outcome.PASS if Decimal(str(interval.upper)) <= limit else outcome
    bounds = f"{operation}: the {level:.0%} bounds [{interval.lower:.4f}, {interval.upper:.4f}] reach above {limit}"
    detail = None if outcome is Outcome.PASS else bounds
    return Check(check_id, corpus, outcome, ratio, float(limit), n=len(times.base), interval=interval, detail=detail)


def _find_times(
    operation: Operation, evidence: LatencyEvidence | None, digests: PairDigests, corpus: str, level: float
) -> RoundTimes | str:
    """Return the rounds that may be judged, or why there are none."""
    measured = evidence.corpora.get(corpus) if evidence else None
    times = measured.operations.get(operation) if measured else None
    if measured is None or times is None:
        return f"{operation} on {corpus} was not measured"
    if measured.stores != digests:
        return f"{operation} on {corpus} was measured on other bytes than those of the stores"
    # The slowest of n rounds is still below the true median with probability 1/2 to the n.
    if 0.5 ** len(times.base) > 1 - level:
        return f"{operation} on {corpus}: {len(times.base)} rounds are too few for a bound at {level:.0%}"
    return times


def describe_latency(evidence: LatencyEvidence) -> dict[str, Any]:
    """Return the machine, and rounds and median milliseconds of both stores, as they go into the decision."""
    corpora = {
        corpus: {operation: times.describe() for operation, times in measured.operations.items()}
        for corpus, measured in evidence.corpora.items()
    }
    return {"machine": evidence.machine.model_dump(), "corpora": corpora}
