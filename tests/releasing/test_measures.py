"""What was measured of a release travels with its tag: DVC compares it, and no other bytes are served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from pipeline.documents import load_json
from pipeline.errors import PipelineError
from tests.projects import BASE_TAG, BETTER, CANDIDATE_TAG, ROOT, Project, commit, decide, ignore_configuration, run_dvc
from tests.stores import ROWS
from validation.auditing.schemas import build_schema
from validation.custody import find_misplaced
from validation.document import LatencyRecord, Record, RoundsRecord
from validation.outcomes import Outcome
from validation.releasing.audit import audit
from validation.releasing.errors import HaltError
from validation.releasing.fallback import fall_back
from validation.releasing.measures import (
    METRICS_FILE,
    RETRIEVAL_PLOT,
    SLICES_PLOT,
    Measures,
    build_measures,
    stage_measures,
)
from validation.releasing.release import release
from validation.releasing.release_file import RELEASE_FILE, SERVED, load_committed_release, load_release
from validation.releasing.served import check_served
from validation.releasing.tracking import LOCAL_CACHE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import PurePosixPath

    from pipeline.params import CandidateName

FILES = (METRICS_FILE, RETRIEVAL_PLOT, SLICES_PLOT)
HITS = {BASE_TAG: 0, CANDIDATE_TAG: 1}


def declare(project: Project) -> None:
    """Declare metrics and plots as the project does, in a project without any stage."""
    lines = (ROOT / "dvc.yaml").read_text("utf-8").splitlines(keepends=True)
    start = lines.index("metrics:\n")
    (project.root / "dvc.yaml").write_text("".join(lines[start:]), "utf-8")
    commit(project, "metrics and plots")


@pytest.fixture(scope="module")
def measured_template(fresh_template: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that declares its metrics, in which both were released and the candidate is served."""
    project = fresh_template.copy(tmp_path_factory.mktemp("measured") / "all")
    with pytest.MonkeyPatch.context() as patch:
        ignore_configuration(patch)
        declare(project)
        decide(project)
        release(project.repository, project.order(), execute=True)
    return project


@pytest.fixture
def measured(measured_template: Project, tmp_path: Path) -> Project:
    """A copy of the project whose releases carry their metrics."""
    return measured_template.copy(tmp_path / "all")


def ask_dvc(project: Project, *arguments: str) -> Any:
    """Return what DVC says as JSON."""
    return json.loads(run_dvc(project.root, *arguments).stdout)


def test_metrics_differ_by_what_the_candidate_gains(measured_template: Project) -> None:
    """`dvc metrics diff` tells the change of every metric from one tag to the other, on each corpus."""
    told = ask_dvc(measured_template, "metrics", "diff", BASE_TAG, CANDIDATE_TAG, "--json")
    changes = told[str(METRICS_FILE)]

    for corpus, (base, candidate) in BETTER.items():
        change = changes[f"retrieval.{corpus}.recall@5"]
        assert change["old"] == pytest.approx(base / ROWS)
        assert change["new"] == pytest.approx(candidate / ROWS)
        assert change["diff"] == pytest.approx((candidate - base) / ROWS)
        assert changes[f"hits.{corpus}.recall@5"] == {"old": base, "new": candidate, "diff": candidate - base}


def test_plots_tell_both_releases_apart(measured_template: Project, tmp_path: Path) -> None:
    """`dvc plots diff` draws retrieval and slices of both tags, each point with the tag that it belongs to."""
    options = ("--json", "--split", "--out", str(tmp_path / "plots"))
    told = ask_dvc(measured_template, "plots", "diff", BASE_TAG, CANDIDATE_TAG, *options)["data"]
    page = run_dvc(measured_template.root, "plots", "diff", BASE_TAG, CANDIDATE_TAG, "--out", str(tmp_path / "page"))

    assert set(told) == {"retrieval", "slices"}
    points = told["retrieval"][0]["anchor_definitions"]["<DVC_METRIC_DATA>"]
    found = {point["rev"]: point["value"] for point in points if point["metric"] == "fr recall@5"}
    assert found == {tag: pytest.approx(BETTER["fr"][place] / ROWS) for tag, place in HITS.items()}
    assert (tmp_path / "page" / "index.html").is_file()
    assert page.returncode == 0


@pytest.mark.parametrize("tag", HITS)
def test_release_binds_what_was_measured(measured_template: Project, tag: str) -> None:
    """Metrics and plots are in the commit of a tag, as plain files of Git, under the digests of `release.json`."""
    repository = measured_template.repository
    found = load_committed_release(repository, f"refs/tags/{tag}^{{commit}}")

    assert found is not None
    assert {str(path) for path in FILES} <= set(found.served)
    for name, path in {"release": RELEASE_FILE, "metrics": METRICS_FILE}.items():
        written = json.loads(repository.read_blob(f"refs/tags/{tag}", str(path)) or "")
        assert list(Draft202012Validator(build_schema(name)).iter_errors(written)) == []
    text = repository.read_blob(f"refs/tags/{tag}", str(METRICS_FILE))
    assert text is not None
    measures = Measures.model_validate_json(text)
    assert measures.hits["fr"]["recall@5"] == BETTER["fr"][HITS[tag]]
    assert measures.questions == {"fr": ROWS, "intl": ROWS}
    assert measures.checks[Outcome.PASS] > measures.checks[Outcome.FAIL] == 0
    assert find_misplaced(measured_template.root) == []


def test_fallback_brings_the_metrics_of_the_base_back(measured: Project) -> None:
    """After going back, metrics are the base's again, byte by byte, and the audit holds; so it does going forward."""
    repository = measured.repository
    for tag in (BASE_TAG, CANDIDATE_TAG):
        fall_back(repository, tag, BASE_TAG, push=False)

        for path in FILES:
            committed = repository.read_blob(f"refs/tags/{tag}", str(path)) or ""
            assert (measured.root / path).read_text("utf-8").strip() == committed.strip() != ""
        assert measured.git("status", "--porcelain") == ""
        assert audit(repository, tag, BASE_TAG, [LOCAL_CACHE])[-1].what == "served"


def alter(path: Path) -> None:
    """Make a number larger."""
    path.write_text(path.read_text("utf-8").replace("0.", "0.9", 1), "utf-8")


@pytest.mark.parametrize(
    ("path", "spoil"),
    [(METRICS_FILE, alter), (METRICS_FILE, Path.unlink), (SLICES_PLOT, alter)],
    ids=["metrics-altered", "metrics-missing", "plot-altered"],
)
def test_other_metrics_are_not_served(measured: Project, path: PurePosixPath, spoil: Callable[[Path], None]) -> None:
    """A file of measures that is altered or gone is found by name, and the audit refuses, for the base by HALT."""
    fall_back(measured.repository, BASE_TAG, BASE_TAG, push=False)
    spoil(measured.root / path)

    with pytest.raises(PipelineError, match=path.name):
        check_served(measured.root, load_release(measured.root))
    with pytest.raises(HaltError, match=path.name):
        audit(measured.repository, BASE_TAG, BASE_TAG, [LOCAL_CACHE])


def test_nothing_else_lies_beside(measured: Project) -> None:
    """A further file among the plots is a stray one."""
    stray = measured.root / SERVED / "plots" / "extra.json"
    stray.write_text("[]\n", "utf-8")

    with pytest.raises(PipelineError, match=r"plots/extra\.json: is no part of v1\.1-qlora"):
        check_served(measured.root, load_release(measured.root))


@pytest.mark.parametrize(("role", "ratio"), [("base", 1.0), ("qlora", 1.5)])
def test_latency_is_told_beside_the_base(measured_template: Project, role: CandidateName, ratio: float) -> None:
    """Each store tells its own median and how many times the base's that is."""
    record = load_json_record(measured_template)
    assert record.latency is not None
    rounds = RoundsRecord(rounds=40, base_median_ms=2.0, candidate_median_ms=3.0)
    latency = LatencyRecord(machine=record.latency.machine, corpora={"fr": {"gold-set": rounds}})
    told = build_measures(record.model_copy(update={"latency": latency}), role).latency["fr"]["gold-set"]

    assert (told.median_ms, told.ratio_to_base) == (2.0 * ratio, ratio)


def test_without_a_decision_nothing_is_told(measured_template: Project, tmp_path: Path) -> None:
    """Where nothing was judged there are no metrics, and those of another release do not stay."""
    record = load_json_record(measured_template)
    (tmp_path / SERVED).mkdir(parents=True)

    assert stage_measures(tmp_path, record, "base") == list(FILES)
    rows = json.loads((tmp_path / SLICES_PLOT).read_text("utf-8"))
    assert {row["slice"].split("=")[0] for row in rows} == {
        f"{corpus} {field}" for corpus in BETTER for field in ("category", "difficulty", "question_type")
    }
    assert stage_measures(tmp_path, None, "base") == []
    assert list((tmp_path / SERVED).iterdir()) == []


def load_json_record(project: Project) -> Record:
    """Return the decision that a project acted upon."""
    return load_json(project.root / "reports" / "decision.json", Record)
