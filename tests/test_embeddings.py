"""`python -m pipeline.embeddings`: matrices as a store takes them, with provenance, or one line saying why not."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.chunks import load_chunks
from pipeline.encoder import load_encoder
from pipeline.files import compute_sha256
from pipeline.model_folder import compute_weights_digest
from pipeline.network import Network
from pipeline.vectors import load_header, load_vectors
from tests.bad_input import check_refusal, list_scraps
from tests.conftest import Result, Sample, write_sample
from tests.hub import REVISION
from tests.test_encoder import resize_dense
from tests.test_model_folder import Payload, edit_modules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pipeline.encoder import Encoder
    from pipeline.vectors import Matrix

TOLERANCE = 1e-5
OLD = b"an older matrix"


@dataclass(frozen=True, slots=True)
class Embedded:
    """A corpus and the two matrices that the command made of it."""

    sample: Sample
    passages: Path
    questions: Path


@pytest.fixture(autouse=True)
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of rows that no other test has filled, in the place of the project's."""
    folder = tmp_path / "rows"
    monkeypatch.setattr("pipeline.embeddings.ROWS", folder)
    return folder


@pytest.fixture(scope="module")
def encoder(tiny_model: Path) -> Encoder:
    """The tiny model, loaded by the library."""
    return load_encoder(str(tiny_model), device="cpu", token_budget=300)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Embedded:
    """Passages and questions of a small corpus, embedded by the command."""
    from pipeline.embeddings import embed

    folder = tmp_path_factory.mktemp("embedded")
    sample = write_sample(folder / "corpus", questions=25)
    made = Embedded(sample, folder / "new" / "embeddings.npy", folder / "new" / "questions.npy")
    model = str(tiny_model)
    embed(sample.chunks, made.passages, model, sample.questions, made.questions, device="cpu", rows=folder / "rows")
    return made


def test_matrices_are_as_a_store_takes_them(embedded: Embedded) -> None:
    """Both files are C-order little-endian float32, one 768-D row a text."""
    for path, rows in ((embedded.passages, 40), (embedded.questions, 25)):
        header = load_header(path)

        assert (header.shape, header.dtype, header.fortran_order) == ((rows, 768), "<f4", False)
        assert path.read_bytes()[:8] == b"\x93NUMPY\x01\x00"


def test_rows_are_unit_vectors(embedded: Embedded) -> None:
    """Every row has length 1 within 1e-5 and no two passages share a vector."""
    matrix = load_vectors(embedded.passages, rows=40)

    np.testing.assert_allclose(np.linalg.norm(matrix.astype(np.float64), axis=1), 1.0, atol=TOLERANCE)
    assert len(np.unique(matrix, axis=0)) == 40


def test_rows_are_in_the_order_of_the_file(embedded: Embedded, encoder: Encoder) -> None:
    """Row i is the vector of chunk i, and of question i, whatever batch it was computed in."""
    chunks = load_chunks(embedded.sample.chunks).chunks
    lines = embedded.sample.questions.read_text(encoding="utf-8").splitlines()
    passages = np.vstack([encoder.encode_documents([chunk]) for chunk in chunks])
    questions = encoder.encode_questions([json.loads(line)["text"] for line in lines])

    np.testing.assert_allclose(load_vectors(embedded.passages), passages, atol=TOLERANCE)
    np.testing.assert_allclose(load_vectors(embedded.questions), questions, atol=TOLERANCE)


def test_provenance_binds_vectors_text_and_model(embedded: Embedded, tiny_model: Path) -> None:
    """Beside each matrix lies which bytes it is, which text it was made from, and by which model."""
    expected = {"passages": (embedded.passages, embedded.sample.chunks)}
    expected["questions"] = (embedded.questions, embedded.sample.questions)
    for role, (vectors, text) in expected.items():
        record = json.loads(vectors.with_suffix(".provenance.json").read_text(encoding="utf-8"))

        assert record == {
            "role": role,
            "vectors_sha256": compute_sha256(vectors),
            "text_sha256": compute_sha256(text),
            "model": {
                "model_id": "tiny-base",
                "revision": None,
                "weights_sha256": compute_weights_digest(tiny_model),
                "dimension": 768,
                "document_prompt": "title: {title} | text: {text}",
                "question_prompt": "task: search result | query: {text}",
            },
        }


@pytest.mark.parametrize("token_budget", [1, 4096])
def test_embedding_again_gives_the_same_vectors(
    run_cli: Callable[..., Result], embedded: Embedded, tiny_model: Path, tmp_path: Path, token_budget: int
) -> None:
    """Another run with another token budget differs by at most 1e-5, and says nothing on success."""
    again = tmp_path / "again.npy"

    result = run_cli(
        "pipeline.embeddings", "--chunks", embedded.sample.chunks, "--output", again, "--model", tiny_model,
        "--token-budget", token_budget, "--device", "cpu",
    )  # fmt: skip

    assert (result.code, result.out) == (0, "")
    np.testing.assert_allclose(load_vectors(again, rows=40), load_vectors(embedded.passages), atol=TOLERANCE)


def test_questions_are_left_out_when_not_asked_for(
    run_cli: Callable[..., Result], sample: Sample, tiny_model: Path, tmp_path: Path
) -> None:
    """Without --questions only the passages' matrix and its provenance are written."""
    target = tmp_path / "out" / "e.npy"

    result = run_cli("pipeline.embeddings", "--chunks", sample.chunks, "--output", target, "--model", tiny_model)

    assert result.code == 0
    assert sorted(path.name for path in target.parent.iterdir()) == ["e.npy", "e.provenance.json"]


def count_texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that takes every text which goes through a model from now on."""
    given: list[str] = []
    embed = Network.embed

    def count(network: Network, texts: Sequence[str]) -> Iterator[tuple[list[int], Matrix]]:
        given.extend(texts)
        return embed(network, texts)

    monkeypatch.setattr(Network, "embed", count)
    return given


@pytest.fixture
def embed_again(
    run_cli: Callable[..., Result], sample: Sample, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, bytes]]:
    """Run the command and return how many texts the model was given, and the bytes of the matrix."""
    given = count_texts(monkeypatch)

    def run(*more: str) -> tuple[int, bytes]:
        given.clear()
        target = tmp_path / "out" / "e.npy"
        arguments = ("--chunks", sample.chunks, "--output", target, "--model", tiny_model, "--device", "cpu")
        result = run_cli("pipeline.embeddings", *arguments, *more)

        assert (result.code, result.out, result.err) == (0, "", "")
        return len(given), target.read_bytes()

    return run


def test_an_edit_of_a_chunk_costs_a_chunk(embed_again: Callable[..., tuple[int, bytes]], sample: Sample) -> None:
    """Nothing is embedded twice, and what comes of it is what embedding all anew gives, last bits apart."""
    first, again = embed_again(), embed_again()
    text = sample.chunks.read_text(encoding="utf-8")
    sample.chunks.write_text(text.replace("cas numéro 7.", "cas numéro sept."), encoding="utf-8")
    edited, anew = embed_again(), embed_again("--anew")

    assert [count for count, _ in (first, again, edited, anew)] == [40, 0, 1, 40]
    assert first[1] == again[1] != edited[1]
    reused, fresh = (np.frombuffer(content[128:], dtype="<f4") for _, content in (edited, anew))
    np.testing.assert_allclose(reused, fresh, rtol=0, atol=1e-6)


def test_another_precision_shares_no_rows(embed_again: Callable[..., tuple[int, bytes]]) -> None:
    """bfloat16 is embedded anew beside float32, and each finds its own again."""
    counts = [embed_again(*more)[0] for more in ([], ["--precision", "bfloat16"], [], ["--precision", "bfloat16"])]

    assert counts == [40, 40, 0, 0]


def test_rows_lie_where_they_are_told_to(
    embed_again: Callable[..., tuple[int, bytes]], tmp_path: Path, rows: Path
) -> None:
    """`--rows` names another folder; `--anew` writes to none."""
    embed_again("--anew")
    embed_again("--rows", str(tmp_path / "other"))

    assert not rows.exists()
    assert len(list((tmp_path / "other").glob("*.db"))) == 1


def test_float16_is_refused_with_its_reason(run_cli: Callable[..., Result], sample: Sample, tiny_model: Path) -> None:
    """Whoever asks for it is told why, and what there is instead."""
    target = sample.chunks.with_name("e.npy")
    arguments = ("--chunks", sample.chunks, "--output", target, "--model", tiny_model, "--precision", "float16")
    result = run_cli("pipeline.embeddings", *arguments)

    assert result.code == 2
    assert "expected float32 or bfloat16, got float16, because Gemma 3 gives NaN in float16" in result.err


def spoil_chunks(sample: Sample, _model: Path) -> list[object]:
    """Repeat a chunk's id."""
    text = sample.chunks.read_text(encoding="utf-8").replace("règles-001", "règles-000")
    sample.chunks.write_text(text, encoding="utf-8")
    return ["chunks.json", "chunks[1].id", "règles-000"]


def spoil_questions(sample: Sample, _model: Path) -> list[object]:
    """Take a question's text away."""
    lines = sample.questions.read_text(encoding="utf-8").splitlines()
    lines[2] = '{"_id": "q2"}'
    sample.questions.write_text("\n".join(lines), encoding="utf-8")
    return ["questions.jsonl:3", "text", "Field required"]


def lose_chunks(sample: Sample, _model: Path) -> list[object]:
    """Remove the corpus."""
    sample.chunks.unlink()
    return ["chunks.json", "does not exist"]


def lose_weights(_sample: Sample, model: Path) -> list[object]:
    """Remove the weights."""
    (model / "model.safetensors").unlink()
    return [model, "expected model.safetensors, got no weights"]


def plant_pickle(_sample: Sample, model: Path) -> list[object]:
    """Put pickled weights, with a payload, in the place of the safe ones."""
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Payload(model / "payload-ran")))
    return [model / "pytorch_model.bin", "pickled weights are never loaded"]


def narrow(_sample: Sample, model: Path) -> list[object]:
    """Let the model give 512 dimensions."""
    resize_dense(model, 512)
    return [model, "expected 768 dimensions, got 512"]


def import_elsewhere(_sample: Sample, model: Path) -> list[object]:
    """Name a module of another package."""
    edit_modules(model, lambda modules: modules[0].update(type="evil.Module"))
    return ["modules.json", "evil.Module", "foreign code"]


@pytest.mark.parametrize(
    "spoil", [spoil_chunks, spoil_questions, lose_chunks, lose_weights, plant_pickle, narrow, import_elsewhere]
)
def test_bad_input_leaves_everything_as_it_was(
    run_cli: Callable[..., Result],
    sample: Sample,
    tiny_model: Path,
    tmp_path: Path,
    spoil: Callable[[Sample, Path], list[object]],
) -> None:
    """One line names file, field and what was expected; the older output stays, nothing new appears."""
    model = tmp_path / "copy"
    shutil.copytree(tiny_model, model)
    words = spoil(sample, model)
    target = tmp_path / "out" / "e.npy"
    target.parent.mkdir()
    target.write_bytes(OLD)

    result = run_cli(
        "pipeline.embeddings", "--chunks", sample.chunks, "--output", target, "--model", model,
        "--questions", sample.questions, "--questions-output", target.with_name("q.npy"),
    )  # fmt: skip

    check_refusal(result, *map(str, words))
    assert [path.name for path in target.parent.iterdir()] == ["e.npy"]
    assert target.read_bytes() == OLD
    assert list_scraps(tmp_path) == []
    assert not (model / "payload-ran").exists()


@pytest.mark.parametrize(
    ("model", "more", "words"),
    [
        ("nowhere", [], ["nowhere", "neither a folder nor a hub id"]),
        ("acme/tiny", [], ["acme/tiny", "pinned revision of 40 hexadecimal digits, got None"]),
        ("acme/tiny", ["--revision", "main"], ["acme/tiny", "got 'main'"]),
        ("acme/tiny", ["--revision", REVISION], ["acme/tiny", REVISION, "not in the local hub cache", "--download"]),
    ],
    ids=["no-folder", "no-revision", "branch", "not-cached"],
)
def test_a_model_that_is_not_there_is_named(
    run_cli: Callable[..., Result], sample: Sample, hub_cache: Path, model: str, more: list[str], words: list[str]
) -> None:
    """A missing, unpinned or uncached model ends with one line and no file."""
    target = sample.chunks.with_name("e.npy")

    result = run_cli("pipeline.embeddings", "--chunks", sample.chunks, "--output", target, "--model", model, *more)

    check_refusal(result, *words)
    assert not target.exists()
    assert not hub_cache.exists()


@pytest.mark.parametrize(
    "more",
    [
        ["--questions", "q.jsonl"],
        ["--questions-output", "q.npy"],
        ["--token-budget", "0"],
        ["--token-budget", "many"],
        ["--precision", "float16"],
    ],
    ids=["questions-alone", "questions-output-alone", "budget-0", "budget-word", "float16"],
)
def test_wrong_usage_is_told_apart(
    run_cli: Callable[..., Result], sample: Sample, tiny_model: Path, tmp_path: Path, more: list[str]
) -> None:
    """Options that cannot be meant end with code 2 before anything is loaded or written."""
    target = tmp_path / "e.npy"

    result = run_cli("pipeline.embeddings", "--chunks", sample.chunks, "--output", target, "--model", tiny_model, *more)

    assert result.code == 2
    assert result.err.startswith("error: ")
    assert len(result.err.splitlines()) == 1
    assert not target.exists()
