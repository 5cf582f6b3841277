"""On the embedded profile no command opens a connection, shown by a hook below every library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.vectors import load_vectors
from tests.conftest import Sample, build_sample_store, write_sample
from tests.tuning import SETTINGS, write_triplets

ROOT = Path(__file__).resolve().parents[1]
CAUGHT = 97
TOLD = "network use: "
# What would keep a library quiet from outside must come from the project itself.
SWITCHES = ("HF_", "TRANSFORMERS_", "DISABLE_TELEMETRY", "DO_NOT_TRACK", "GX_", "DVC_")

LOOK_UP = "import socket; socket.getaddrinfo('localhost', 80)"
HOOK = f"""
import os, pathlib, socket, sys

def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        if arguments[0].family == socket.AF_UNIX:
            return
    elif event not in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        return
    os.write(2, f"{TOLD}{{event}} {{arguments[1:]}}\\n".encode())
    os._exit({CAUGHT})

sys.addaudithook(watch)
pathlib.Path(os.environ["WATCHED"], str(os.getpid())).touch()
"""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that dies at the first connection or name look-up, whoever tries it."""
    folder = tmp_path_factory.mktemp("hook")
    (folder / "sitecustomize.py").write_text(HOOK, encoding="utf-8")
    (folder / "seen").mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SWITCHES)}
    path = os.pathsep.join([str(folder), str(ROOT)])
    return kept | {"PYTHONPATH": path, "WATCHED": str(folder / "seen"), "OMP_NUM_THREADS": "1"}


def run(watched: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python under the hook; make sure that the hook was there."""
    seen = Path(watched["WATCHED"])
    before = set(seen.iterdir())
    command = [sys.executable, *map(str, arguments)]
    result = subprocess.run(command, cwd=ROOT, env=watched, capture_output=True, text=True, check=False)

    assert set(seen.iterdir()) > before
    return result


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import socket; socket.socket().connect(('127.0.0.2', 443))",
        "import socket; socket.socket(socket.AF_INET6).connect(('::1', 9))",
        LOOK_UP,
        "import socket; socket.gethostbyname('localhost')",
        "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9')",
        "import socket\ntry:\n    socket.socket().connect_ex(('127.0.0.1', 9))\nexcept BaseException:\n    pass",
        "import socket, threading; threading.Thread(target=socket.getaddrinfo, args=('localhost', 80)).start()",
        f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {LOOK_UP!r}]))",
    ],
    ids=["ipv4", "no-dns", "ipv6", "dns", "old-dns", "udp", "urllib", "swallowed", "thread", "child"],
)
def test_the_hook_catches_every_way_out(watched: dict[str, str], code: str) -> None:
    """Control: each kind of use ends the process at once, also from threads, children and within try."""
    result = run(watched, "-c", code)

    assert result.returncode == CAUGHT
    assert result.stderr.startswith(TOLD)


def test_the_hook_lets_other_work_pass(watched: dict[str, str], tmp_path: Path) -> None:
    """Control: sockets within the machine's file system are no network."""
    code = f"""
import socket
server = socket.socket(socket.AF_UNIX)
server.bind({str(tmp_path / "s")!r})
server.listen()
socket.socket(socket.AF_UNIX).connect({str(tmp_path / "s")!r})
print("connected")
"""
    result = run(watched, "-c", code)

    assert (result.returncode, result.stdout) == (0, "connected\n")


def test_embedding_needs_no_network(watched: dict[str, str], sample: Sample, tiny_model: Path, tmp_path: Path) -> None:
    """`python -m pipeline.embeddings` loads a model and embeds passages and questions without a connection."""
    output, questions = tmp_path / "e.npy", tmp_path / "q.npy"

    result = run(
        watched, "-m", "pipeline.embeddings", "--chunks", sample.chunks, "--output", output, "--model", tiny_model,
        "--questions", sample.questions, "--questions-output", questions, "--rows", tmp_path / "rows",
    )  # fmt: skip

    assert result.returncode == 0, result.stderr
    assert load_vectors(output).shape == (40, 768)
    assert load_vectors(questions).shape == (120, 768)


def test_fine_tuning_needs_no_network(
    watched: dict[str, str], sample: Sample, tiny_model: Path, tmp_path: Path
) -> None:
    """`python -m pipeline.finetune_embeddinggemma` quantises, trains and merges without a connection."""
    triplets = write_triplets(tmp_path / "t.jsonl", sample.chunks, rows=8)

    result = run(
        watched, "-m", "pipeline.finetune_embeddinggemma", "--triplets", triplets, "--output", tmp_path / "tuned",
        "--model", tiny_model, "--epochs", 1, "--batch-size", SETTINGS["batch_size"], "--rank", SETTINGS["rank"],
    )  # fmt: skip

    assert result.returncode == 0, result.stderr
    assert (tmp_path / "tuned" / "model.safetensors").is_file()


def test_the_gate_needs_no_network(watched: dict[str, str], tmp_path: Path) -> None:
    """`python -m validation gate` compares two stores, expectations and all, and decides without a connection."""
    sample = write_sample(tmp_path / "corpus", rows=120)
    base = build_sample_store(sample, tmp_path / "base", model_id="base-model", hits=40, seed=1)
    candidate = build_sample_store(sample, tmp_path / "candidate", model_id="other-model", hits=110, seed=2)

    result = run(
        watched, "-m", "validation", "gate", "--base", base, "--candidate", candidate, "--chunks", sample.chunks,
        "--questions", sample.questions, "--qrels", sample.qrels, "--output", tmp_path / "reports",
    )  # fmt: skip

    decision = json.loads((tmp_path / "reports" / "decision.json").read_text(encoding="utf-8"))
    assert (result.returncode, decision["decision"]) == (0, "RELEASE"), result.stderr
    assert any(check["id"].startswith("STO") for check in decision["checks"])
