"""What an auditor takes away: whole, the same each time, without a secret, and checked without trusting us."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import PipelineError
from pipeline.files import compute_sha256, write_json
from tests.attesting.independent import find_denial
from tests.auditing.projects import ANSWERS, NOW, TRIPLETS, Audited, describe, read_json
from tests.projects import ROOT
from validation.attesting.attestation import ATTESTATION
from validation.attesting.keys import PUBLIC_KEY
from validation.auditing.archive import SUMS
from validation.auditing.bundle import STEPS, Commission, write_bundle
from validation.auditing.commands import audit
from validation.auditing.schemas import write_schemas
from validation.auditing.writing import write_documents
from validation.outcomes import Verdict
from validation.releasing.events import LOG, NewEvent, append_events

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TOP = {
    "README.md", "SHA256SUMS", "answers.jsonl", "attestation-key.pub.pem", "attestation.json", "decision.json",
    "documents", "evidence", "report.en.html", "report.html", "schemas", "summary.md",
}  # fmt: skip


def list_digests(folder: Path) -> dict[str, str]:
    """Return SHA-256 by path of every file below a folder."""
    return {path.relative_to(folder).as_posix(): compute_sha256(path) for path in folder.rglob("*") if path.is_file()}


def read_block(bundle: Path, number: int) -> str:
    """Return the commands of a code block of the README."""
    blocks: list[str] = re.findall(r"```bash\n(.*?)```", (bundle / "README.md").read_text("utf-8"), re.DOTALL)
    return blocks[number]


def check_by_hand(bundle: Path) -> subprocess.CompletedProcess[str]:
    """Run the commands of the README that need nothing of this project; the first that fails ends it."""
    script = f"set -euo pipefail\n{read_block(bundle, 0)}"
    return subprocess.run(["bash", "-c", script], cwd=bundle, capture_output=True, text=True, check=False)


def test_everything_is_there(taken: Audited) -> None:
    """The folder holds what it must, and every file that the decision records, byte by byte, in its place."""
    evidence = list_digests(taken.output / "evidence")
    record = taken.record

    assert {path.name for path in taken.output.iterdir()} == TOP
    assert {each.path: each.sha256 for each in record.inputs.values()}.items() <= evidence.items()
    assert evidence["reports/decision.json"] == compute_sha256(taken.decision)
    assert evidence[ANSWERS] == compute_sha256(taken.output / "answers.jsonl")
    assert compute_sha256(taken.output / "decision.json") == compute_sha256(taken.decision)


def test_sums_are_over_everything(taken: Audited) -> None:
    """`SHA256SUMS` names every other file with its digest, and none that is not there."""
    lines = (taken.output / SUMS).read_text("utf-8").splitlines()
    told = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    found = list_digests(taken.output)

    assert found.pop(SUMS)
    assert told == found


def test_zip_is_the_folder(taken: Audited) -> None:
    """The zip holds the same bytes below the folder's name, sorted, and no clock had a say in it."""
    with zipfile.ZipFile(taken.output.with_name("audit-bundle.zip")) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        held = {name: archive.read(name) for name in names}

    assert names == sorted(names)
    assert held == {
        f"audit-bundle/{path.relative_to(taken.output).as_posix()}": path.read_bytes()
        for path in taken.output.rglob("*")
        if path.is_file()
    }


def test_second_run_makes_the_same_bytes(taken: Audited, tmp_path: Path) -> None:
    """From another place, at another time of the files, in the place of an older bundle: the same zip."""
    other = taken.copy(tmp_path / "ailleurs")
    for path in other.root.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)

    assert compute_sha256(other.take_away()) == compute_sha256(taken.output.with_name("audit-bundle.zip"))
    assert list_digests(other.output) == list_digests(taken.output)


def test_readme_is_enough_to_check_by_hand(taken: Audited) -> None:
    """The commands of the README, by `sha256sum`, `openssl` and `sqlite3` alone, find everything as it should be."""
    ended = check_by_hand(taken.output)

    assert ended.returncode == 0, ended.stderr
    assert "Signature Verified Successfully" in ended.stdout
    assert "model_id|embedded-gemma-lsa" in ended.stdout


def change_decision(bundle: Path) -> None:
    """Change what is decided, and the sum beside it."""
    change(bundle, "evidence/reports/decision.json", '"RELEASE"', '"KEEP"')


def change_copied_decision(bundle: Path) -> None:
    """Change the decision that people open first, and the sum beside it."""
    change(bundle, "decision.json", '"RELEASE"', '"KEEP"')


def change_copied_answers(bundle: Path) -> None:
    """Change the answers that people open first, and the sum beside it."""
    change(bundle, "answers.jsonl", '"fr-1"', '"fr-2"')


def change(bundle: Path, name: str, old: str, new: str) -> None:
    """Change a word of a file of the bundle, and make the sums anew."""
    path = bundle / name
    path.write_text(path.read_text("utf-8").replace(old, new, 1), "utf-8")
    (bundle / SUMS).unlink()
    lines = "".join(f"{digest}  {name}\n" for name, digest in list_digests(bundle).items())
    (bundle / SUMS).write_text(lines, "utf-8")


def flip_a_bit(bundle: Path) -> None:
    """Change a vector, and leave the sums."""
    path = next((bundle / "evidence" / "build" / "qlora" / "fr").glob("embeddings*.npy"))
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")


def sign_nothing(bundle: Path) -> None:
    """Replace the signature by one of other bytes, and leave no sum of it."""
    path = bundle / ATTESTATION
    text = path.read_text("utf-8")
    path.write_text(re.sub(r'("sig": ")....', r"\1AAAA", text), "utf-8")
    sums = (bundle / SUMS).read_text("utf-8").splitlines(keepends=True)
    (bundle / SUMS).write_text("".join(line for line in sums if ATTESTATION not in line), "utf-8")


@pytest.mark.parametrize(
    "spoil",
    [change_decision, change_copied_decision, change_copied_answers, flip_a_bit, sign_nothing],
    ids=lambda spoil: spoil.__name__,
)
def test_checking_by_hand_finds_what_was_changed(taken: Audited, tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    """Evidence, vectors or signature that were changed, even with new sums, do not get past the README's commands."""
    bundle = tmp_path / "bundle"
    shutil.copytree(taken.output, bundle)
    spoil(bundle)

    assert check_by_hand(bundle).returncode != 0


def test_bundle_is_verified_with_the_tool(taken: Audited) -> None:
    """The README's commands accept bundle and report, and so does the second verifier, which shares no code."""
    command = "set -e\n" + read_block(taken.output, 1).replace("python ", f"{sys.executable} ")
    environment = os.environ | {"bundle": str(taken.output)}
    ended = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False, env=environment
    )
    evidence = taken.output / "evidence"
    policy = evidence / "expectations" / "policy.yaml"

    assert ended.returncode == 0, ended.stderr
    assert "RELEASE" in ended.stdout
    assert f"report.html: says what {evidence}/reports/decision.json says" in ended.stdout
    assert find_denial(taken.output / ATTESTATION, taken.output / PUBLIC_KEY, evidence, policy, evidence / LOG) is None


def test_no_secret_and_no_place_of_a_machine(taken: Audited) -> None:
    """Neither the private key nor where anything lay on this machine is in any file."""
    pem = taken.key.read_bytes()
    body = b"".join(line for line in pem.splitlines() if not line.startswith(b"-----"))
    forbidden = [body, b"PRIVATE KEY", str(taken.folder).encode(), str(ROOT).encode()]
    for path in taken.output.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert not [word for word in forbidden if word in content], path

    assert len(body) > 60


def remove_store(audited: Audited) -> None:
    """Remove a database."""
    next((audited.root / "build" / "base" / "intl").glob("*.db")).unlink()


def change_policy(audited: Audited) -> None:
    """Add to the policy."""
    with (audited.root / "expectations" / "policy.yaml").open("a", encoding="utf-8") as stream:
        stream.write("# lower\n")


def change_answers(audited: Audited) -> None:
    """Cut the answers."""
    (audited.root / ANSWERS).write_text("", "utf-8")


def cut_log(audited: Audited) -> None:
    """Cut the last line of the log."""
    lines = (audited.root / LOG).read_text("utf-8").splitlines(keepends=True)
    (audited.root / LOG).write_text("".join(lines[:-1]), "utf-8")


SPOILS = {
    remove_store: r"\.db: is missing",
    change_policy: r"policy\.yaml: has other bytes",
    change_answers: r"answers",
}


@pytest.mark.parametrize(("spoil", "told"), SPOILS.items(), ids=[spoil.__name__ for spoil in SPOILS])
def test_nothing_is_taken_away_that_is_not_on_record(
    audited: Audited, spoil: Callable[[Audited], None], told: str
) -> None:
    """Whatever was judged and is missing or changed is named, with exit code 30, and nothing is written at all."""
    spoil(audited)

    with pytest.raises(PipelineError, match=told) as caught:
        audited.take_away()
    assert caught.value.exit_code == 30
    assert not audited.output.parent.exists() or list(audited.output.parent.iterdir()) == []


def test_failure_leaves_the_older_bundle(taken: Audited, tmp_path: Path) -> None:
    """When a later run fails at its last step, folder and zip are those of the earlier one."""
    again = taken.copy(tmp_path / "again")
    before = list_digests(again.output.parent)

    def fail(step: str) -> None:
        if step == STEPS[-1]:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_bundle(Commission(again.decision, again.root, again.key, NOW, again.output), fail)
    assert list_digests(again.output.parent) == before


@pytest.mark.parametrize(
    "write",
    [
        Audited.take_away,
        lambda audited: write_documents(audited.open(), audited.output),
        lambda audited: write_schemas(audited.output),
    ],
    ids=["bundle", "documents", "schemas"],
)
def test_folder_of_something_else_is_left_alone(audited: Audited, write: Callable[[Audited], object]) -> None:
    """A folder that nothing of this kind was written into is not replaced."""
    audited.output.mkdir(parents=True)
    (audited.output / "letters.txt").write_text("mine\n", "utf-8")

    with pytest.raises(PipelineError, match="holds something else"):
        write(audited)
    assert [path.name for path in audited.output.iterdir()] == ["letters.txt"]


def test_log_may_have_gone_on(audited: Audited) -> None:
    """After the decision was acted upon the log is longer; the bundle has it whole, and is verified all the same."""
    gated = NewEvent(
        event="gated",
        tag="v1.1-qlora",
        evidence_sha256=compute_sha256(audited.decision),
        verdict=Verdict.RELEASE,
    )
    append_events(audited.root, "Arbitre <arbitre@example.org>", "c" * 40, [gated])
    audited.take_away()

    held = audited.output / "evidence" / LOG
    assert held.read_bytes() == (audited.root / LOG).read_bytes()
    assert '"continued"' in (audited.output / "documents" / "configuration-audit.json").read_text("utf-8")
    assert check_by_hand(audited.output).returncode == 0


def test_decision_to_keep_is_taken_away_too(audited: Audited) -> None:
    """A decision that releases nothing can be audited; the README says that it will not be verified as a release."""
    audited.change(decision=Verdict.KEEP, exit_code=Verdict.KEEP.exit_code)
    audited.take_away()
    readme = (audited.output / "README.md").read_text("utf-8")

    assert check_by_hand(audited.output).returncode == 0
    assert "This decision is not RELEASE" in readme
    assert "**KEEP**" in readme
    assert find_denial(
        audited.output / ATTESTATION, audited.output / PUBLIC_KEY, audited.output / "evidence",
        audited.output / "evidence" / "expectations" / "policy.yaml", audited.output / "evidence" / LOG,
    )  # fmt: skip


@pytest.mark.requirement("REQ-TRC-01")
def test_what_the_tests_said_is_taken_away_too(audited: Audited) -> None:
    """Where the code that judged was tested, the counts in the matrix have their evidence in the folder."""
    tested: dict[str, object] = {
        "schema_version": 1,
        "revision": None,
        "code": audited.record.code.sha256,
        "requirements": {},
    }
    write_json(audited.root / "reports" / "tests.json", tested)
    audited.take_away()
    matrix = read_json(audited.output / "documents" / "trace-matrix.json")

    assert matrix["tests"]["sha256"] == compute_sha256(audited.output / "evidence" / matrix["tests"]["path"])


def test_without_a_log_there_is_an_empty_one(audited: Audited) -> None:
    """Before anything was released the log is a file without a line, so that verifying has one to look at."""
    inputs = {name: each for name, each in audited.record.inputs.items() if name != "log"}
    (audited.root / LOG).unlink()
    audited.change(inputs=inputs, attempt=1)
    audited.take_away()

    assert (audited.output / "evidence" / LOG).read_bytes() == b""


def test_command_says_where_it_is(taken: Audited, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints folder and zip."""
    other = taken.copy(tmp_path / "other")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("validation.auditing.commands.PROJECT_ROOT", other.root)
        audit(other.key, other.decision, other.output)

    assert capsys.readouterr().out.splitlines() == [str(other.output), f"{other.output}.zip"]
    assert describe(other.output / "evidence", TRIPLETS).path == TRIPLETS
