"""The frozen corpus: what the sources give, as large and as hard as promised, and the rules that keep it so."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rapidfuzz.distance import Indel

from pipeline import params
from pipeline.chunks import Chunk, ChunkFile, load_chunks
from pipeline.corpus import NEGATIVE_RANK, build_corpus, render_corpora, render_triplets
from pipeline.database import export_database, open_database
from pipeline.errors import InputError
from pipeline.gold import GoldSet, load_gold
from pipeline.leaks import normalise_question
from pipeline.params import Corpus, load_params
from pipeline.retrieval import rank_fulltext
from pipeline.sources import ResolvedQuestion, SourceQuestion
from tests.conftest import draw_unit_vectors
from tests.library import PARAGRAPHS, make_question, write_library, write_questions

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Result

ROOT = Path(__file__).resolve().parents[1]
CORPORA = {corpus.name: corpus for corpus in load_params().corpora}
TOTALS = {"fr": 1857, "intl": CORPORA["intl"].total}
GOLD_LEAST = {"fr": 600, "intl": 120}
FROZEN = (
    "corpus/processed/chunks_mode_b_fr.json",
    "corpus/gold/questions_fr.jsonl",
    "corpus/gold/qrels_fr.tsv",
    "corpus/processed/chunks_mode_b_intl.json",
    "corpus/gold/questions_intl.jsonl",
    "corpus/gold/qrels_intl.tsv",
    "corpus/training/triplets_train.jsonl",
    "corpus/README.md",
)
TEXTS = list(PARAGRAPHS.values())

each_corpus = pytest.mark.parametrize("name", sorted(CORPORA))


@dataclass(frozen=True, slots=True)
class Frozen:
    """A corpus as it lies on disk, with its gold set."""

    chunks: ChunkFile
    gold: GoldSet


@pytest.fixture(scope="session")
def frozen() -> dict[str, Frozen]:
    """Both corpora by name, read by the strict readers."""
    found = {}
    for name, corpus in CORPORA.items():
        chunks = load_chunks(corpus.chunks)
        found[name] = Frozen(chunks, load_gold(corpus.questions, corpus.qrels, chunks))
    return found


@pytest.fixture(scope="session")
def triplets() -> list[dict[str, str]]:
    """The training triplets as they lie on disk."""
    path = ROOT / "corpus" / "training" / "triplets_train.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Corpus:
    """A library of four passages in a project of its own."""
    monkeypatch.setattr(params, "PROJECT_ROOT", tmp_path)
    return write_library(tmp_path)


def test_frozen_files_are_what_the_sources_give(capsys: pytest.CaptureFixture[str]) -> None:
    """Regenerating gives every file on disk byte for byte, and --check says so of each."""
    before = {name: (ROOT / name).stat().st_mtime_ns for name in FROZEN}

    build_corpus(check=True)

    assert capsys.readouterr().out.splitlines() == [f"{name}: as the sources give" for name in FROZEN]
    assert {name: (ROOT / name).stat().st_mtime_ns for name in FROZEN} == before
    assert sorted(corpus for corpus in CORPORA) == ["fr", "intl"]


@each_corpus
def test_the_number_of_chunks_is_frozen(frozen: dict[str, Frozen], name: str) -> None:
    """Exactly 1857 French chunks; as many English ones as declared, at least 300."""
    chunks = frozen[name].chunks

    assert (chunks.corpus, chunks.total, len(chunks.chunks)) == (name, TOTALS[name], TOTALS[name])
    assert chunks.total == CORPORA[name].total >= 300


@each_corpus
def test_chunks_are_neither_scraps_nor_walls(frozen: dict[str, Frozen], name: str) -> None:
    """Every chunk has 40 to 250 tokens by its own count, which is that of words and signs."""
    chunks = frozen[name].chunks.chunks

    assert [(chunk.id, chunk.tokens) for chunk in chunks if not 40 <= chunk.tokens <= 250] == []
    assert [chunk.id for chunk in chunks if chunk.tokens != count_words_and_signs(chunk.text)] == []


def count_words_and_signs(text: str) -> int:
    """Count runs of letters, digits and underscores, and every other visible character, one by one."""
    count, inside = 0, False
    for character in text:
        word = character.isalnum() or character == "_"
        count += (word and not inside) or not (word or character.isspace())
        inside = word
    return count


@each_corpus
def test_texts_hardly_repeat(frozen: dict[str, Frozen], name: str) -> None:
    """At most one text in a hundred repeats another, whatever its spaces and case."""
    chunks = frozen[name].chunks.chunks
    counts = Counter(" ".join(chunk.text.casefold().split()) for chunk in chunks)

    assert (len(chunks) - len(counts)) / len(chunks) <= 0.01
    assert CORPORA[name].duplicates_max <= 0.01


@each_corpus
def test_every_chunk_says_where_it_stands(frozen: dict[str, Frozen], name: str) -> None:
    """Source, section and parent exist; pages never go back within a source."""
    pages: dict[str, int] = defaultdict(int)
    for chunk in frozen[name].chunks.chunks:
        assert (CORPORA[name].sources / chunk.source).is_file()
        assert chunk.section
        assert chunk.id.startswith(f"{chunk.parent_id}-c")
        assert chunk.chunk_type in {"text", "table"}
        assert chunk.page >= pages[chunk.source]
        pages[chunk.source] = chunk.page


@each_corpus
def test_there_are_enough_gold_questions(frozen: dict[str, Frozen], name: str) -> None:
    """At least 600 French and 120 English ones, no two alike, each with 1 to 18 relevant chunks."""
    gold = frozen[name].gold
    asked = {normalise_question(question.text) for question in gold.questions}

    assert len(gold.questions) == len(asked) >= GOLD_LEAST[name]
    assert all(1 <= len(relevant) <= 18 for relevant in gold.relevant)


@each_corpus
@pytest.mark.parametrize("field", ["category", "difficulty", "question_type"])
def test_every_slice_can_be_judged(frozen: dict[str, Frozen], name: str, field: str) -> None:
    """Every question has a value, and every value at least 30 questions."""
    questions = frozen[name].gold.questions
    counts = Counter(question.metadata[field] for question in questions)

    assert None not in counts
    assert len(counts) >= 3
    assert {value: count for value, count in counts.items() if count < 30} == {}


@each_corpus
def test_the_gold_set_tells_retrievers_apart(frozen: dict[str, Frozen], name: str, tmp_path: Path) -> None:
    """BM25 over a store's own index has a recall@5 between 35 and 75 %, counted by question and by passage."""
    chunks, gold = frozen[name].chunks, frozen[name].gold
    path = tmp_path / "store.db"
    export_database(path, chunks.chunks, draw_unit_vectors(chunks.total, 1), "random")
    with open_database(path) as connection:
        found = [set(rank_fulltext(connection, question.text, 5).tolist()) for question in gold.questions]
    shares = [len(top & set(wanted)) / len(wanted) for top, wanted in zip(found, gold.relevant, strict=True)]
    hits = [bool(top & set(wanted)) for top, wanted in zip(found, gold.relevant, strict=True)]

    assert 0.35 <= sum(shares) / len(shares) <= 0.75
    assert 0.35 <= sum(hits) / len(hits) <= 0.75


@each_corpus
def test_gold_questions_do_not_quote_their_passage(frozen: dict[str, Frozen], name: str) -> None:
    """No question stands word for word in a passage that answers it."""
    chunks, gold = frozen[name].chunks.chunks, frozen[name].gold
    echoes = [
        question.text
        for question, relevant in zip(gold.questions, gold.relevant, strict=True)
        for position in relevant
        if normalise_question(question.text) in normalise_question(chunks[position].text)
    ]

    assert echoes == []


def test_there_is_enough_to_train_on(triplets: list[dict[str, str]]) -> None:
    """At least 3,000 triplets of exactly three texts, no question twice."""
    assert len(triplets) >= 3000
    assert {tuple(row) for row in triplets} == {("anchor", "positive", "negative")}
    assert all(text.strip() for row in triplets for text in row.values())
    assert len({normalise_question(row["anchor"]) for row in triplets}) == len(triplets)


def test_triplets_stand_on_the_corpus(frozen: dict[str, Frozen], triplets: list[dict[str, str]]) -> None:
    """Positive and negative are passages of the corpus, from different sections."""
    sections: dict[str, set[str | None]] = defaultdict(set)
    for part in frozen.values():
        for chunk in part.chunks.chunks:
            sections[chunk.text].add(chunk.parent_id)

    assert [row for row in triplets if not (sections[row["positive"]] and sections[row["negative"]])] == []
    assert [row for row in triplets if sections[row["positive"]] & sections[row["negative"]]] == []


def test_no_training_question_gives_a_gold_question_away(
    frozen: dict[str, Frozen], triplets: list[dict[str, str]]
) -> None:
    """No training question equals a gold question after normalisation, or is 90 % like it in sorted words."""
    gold = {sort_words(question.text) for part in frozen.values() for question in part.gold.questions}
    training = {sort_words(row["anchor"]) for row in triplets}
    by_size: dict[int, list[str]] = defaultdict(list)
    for text in gold:
        by_size[len(text)].append(text)
    near = [
        (text, other)
        for text in training
        for size in range(int(len(text) * 0.81), int(len(text) / 0.81) + 2)
        for other in by_size.get(size, ())
        if Indel.normalized_similarity(text, other, score_cutoff=0.9)
    ]

    assert gold & training == set()
    assert near == []


def sort_words(text: str) -> str:
    """Return a question's normalised words in alphabetical order."""
    return " ".join(sorted(normalise_question(text).split()))


def test_the_rules_hold_for_a_small_library(library: Corpus) -> None:
    """Chunks, questions, qrels and triplets of four passages, as the module writes them."""
    files = {path.name: content for path, content in render_corpora([library]).items()}
    chunks = ChunkFile.model_validate_json(files["chunks_mode_b_fr.json"])
    questions = [json.loads(line) for line in files["questions_fr.jsonl"].splitlines()]
    qrels = [line.split("\t") for line in files["qrels_fr.tsv"].splitlines()]
    triplets = [json.loads(line) for line in files["triplets_train.jsonl"].splitlines()]

    assert [chunk.text for chunk in chunks.chunks] == TEXTS
    assert questions[0] == {
        "_id": questions[0]["_id"],
        "text": "Or : Le roque ?",
        "metadata": {"category": "laws", "difficulty": "easy", "question_type": "factual"},
    }
    assert qrels[0] == ["query-id", "corpus-id", "score"]
    assert qrels[1:] == [[row["_id"], chunk.id, "1"] for row, chunk in zip(questions, chunks.chunks, strict=True)]
    assert [row["positive"] for row in triplets] == TEXTS
    assert all(row["negative"] in TEXTS and row["negative"] != row["positive"] for row in triplets)
    assert files["chunks_mode_b_fr.json"].endswith("}\n")


def test_rendering_twice_gives_the_same_bytes(library: Corpus) -> None:
    """Nothing depends on time, chance or hashing."""
    assert render_corpora([library]) == render_corpora([library])


def test_the_negative_is_at_rank_fifteen_outside_the_section() -> None:
    """BM25's 15th passage outside the positive's section, or the last one where fewer share words."""
    chunks = [make_passage(row, f"le roi {' '.join(['mot'] * row)}") for row in range(30)]
    chunks[1] = chunks[1].model_copy(update={"parent_id": chunks[0].parent_id})
    chunks[3] = make_passage(3, "une reine rare")
    chunks[4] = make_passage(4, "une tour rare")
    file = ChunkFile(corpus="fr", total=30, chunks=chunks)
    common = ResolvedQuestion("fr:x:1", make_source("Où va le roi ?"), (0,))
    rare = ResolvedQuestion("fr:x:2", make_source("Reine rare ?"), (3,))

    first, second = map(json.loads, render_triplets([common, rare], file).splitlines())

    assert first["positive"] == chunks[0].text
    assert first["negative"] == chunks[NEGATIVE_RANK + 3].text
    assert (second["positive"], second["negative"]) == ("une reine rare", "une tour rare")


def test_a_negative_never_answers() -> None:
    """Where the only other passage with the question's words answers too, another section or none will do."""
    chunks = [make_passage(0, "le roi"), make_passage(1, "le roi noir"), make_passage(2, "le fou")]
    file = ChunkFile(corpus="fr", total=3, chunks=chunks)
    question = ResolvedQuestion("fr:x:1", make_source("Où va le roi ?"), (0, 1))

    row = json.loads(render_triplets([question], file))

    assert row == {"anchor": "Où va le roi ?", "positive": "le roi", "negative": "le fou"}


def make_passage(row: int, text: str) -> Chunk:
    """Return a chunk of a section of its own."""
    fields: dict[str, Any] = {"source": "s.md", "page": 1, "tokens": 9, "corpus": "fr", "chunk_type": "text"}
    return Chunk(id=f"c{row}", text=text, section=None, parent_id=f"p{row}", **fields)


def make_source(question: str) -> SourceQuestion:
    """Return a source question."""
    return SourceQuestion(question=question, quotes=["x"])


def test_repeated_texts_are_counted_against_the_limit(library: Corpus) -> None:
    """One repetition among four passes at 25 %, and is refused with both figures below."""
    path = library.sources / "b-temps.md"
    path.write_text(f"# Le temps\n\n## Le drapeau\n\n{TEXTS[2]}\n\n## Le roque\n\n{TEXTS[0]}\n", encoding="utf-8")
    for kind in ("gold", "train"):
        write_questions(
            library.sources / f"b-temps.{kind}.jsonl", [make_question(f"Le roi a-t-il un {kind} ?", TEXTS[2])]
        )

    render_corpora([library.model_copy(update={"duplicates_max": 0.25})])
    with pytest.raises(InputError, match=r"sources/fr: 1 of 4 texts repeat another, more than 24%"):
        render_corpora([library.model_copy(update={"duplicates_max": 0.24})])


@pytest.mark.parametrize("name", ["fr", "intl"])
@pytest.mark.parametrize(
    "leak", ["Or : La nulle ?", "OR, LA NULLE", "la nulle, or ?"], ids=["equal", "other-case", "other-order"]
)
def test_a_leak_stops_the_build(library: Corpus, tmp_path: Path, leak: str, name: str) -> None:
    """A training question of any corpus that gives a gold question of any corpus away is named with it."""
    other = write_library(tmp_path, "intl").model_copy(update={"name": "intl", "role": "secondary"})
    write_questions(other.sources / "a-jeu.gold.jsonl", [make_question("Quite another thing ?", TEXTS[0])])
    for path in (*other.sources.glob("*.train.jsonl"), other.sources / "b-temps.gold.jsonl"):
        path.unlink()
    folder = library.sources.with_name(name)
    write_questions(folder / "b-temps.train.jsonl", [make_question(leak, TEXTS[3])])

    with pytest.raises(InputError, match=rf"1 gold questions are given away, such as '{leak.replace('?', '.')}"):
        render_corpora([library, other])


def test_a_question_that_shares_no_word_is_refused(library: Corpus) -> None:
    """Without another passage that shares a word there is no negative; the question's id is named."""
    write_questions(library.sources / "a-jeu.train.jsonl", [make_question("Xyzzy plugh ?", TEXTS[0])])

    with pytest.raises(InputError, match=r"fr:a-jeu:[0-9a-f]{8}: no other passage shares a word"):
        render_corpora([library])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this project whose only corpus is the small library, built by the command."""
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "pipeline", root / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    write_library(root)
    shutil.copy(ROOT / "corpus" / "README.template.md", root / "corpus")
    lines = (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if "name: intl" not in line]
    text = "\n".join(kept).replace("total: 1857", "total: 4")
    (root / "params.yaml").write_text(text + "\n", encoding="utf-8")
    assert run_in(root).returncode == 0
    return root


def run_in(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a project."""
    command = [sys.executable, "-m", "pipeline.corpus", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def test_the_command_writes_what_it_then_finds(project: Path) -> None:
    """After a build --check agrees with every file, and nothing half-written is left."""
    result = run_in(project, "--check")

    assert (result.returncode, result.stderr) == (0, "")
    assert len(result.stdout.splitlines()) == 5
    assert all(line.endswith(": as the sources give") for line in result.stdout.splitlines())
    assert list(project.rglob("*.partial")) == []


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("corpus/gold/qrels_fr.tsv", lambda text: text.replace("\t1", "\t0", 1)),
        ("corpus/processed/chunks_mode_b_fr.json", lambda text: text[:-1]),
        ("corpus/training/triplets_train.jsonl", lambda text: text.replace("\n", "\r\n")),
        ("corpus/README.md", lambda _text: None),
    ],
    ids=["score", "final-newline", "line-ends", "missing"],
)
def test_a_changed_file_is_named(project: Path, name: str, change: Callable[[str], str | None]) -> None:
    """--check names the first file that differs, even by its last byte, ends with code 30 and mends nothing."""
    path = project / name
    content = path.read_bytes()
    changed = change(content.decode())
    if changed is None:
        path.unlink()
    else:
        path.write_bytes(changed.encode())

    result = run_in(project, "--check")

    assert result.returncode == 30
    assert result.stderr == f"error: {name}: is not what the sources give; run `python -m pipeline.corpus`\n"
    assert (path.read_bytes() if path.exists() else None) == (changed.encode() if changed is not None else None)
    path.write_bytes(content)


def test_bad_sources_leave_the_frozen_files(project: Path) -> None:
    """A build that fails in its last source writes none of the files."""
    path = project / "corpus" / "sources" / "fr" / "b-temps.gold.jsonl"
    content = path.read_bytes()
    frozen = {file: file.read_bytes() for file in (project / "corpus" / "gold").iterdir()}
    write_questions(path, [make_question("Où est ce passage ?", "un passage qui ne se trouve nulle part")])

    result = run_in(project)

    assert result.returncode == 30
    assert result.stderr.startswith(f"error: {path}:1: quotes: expected a passage of 1 to 6 chunks, 0 hold ")
    assert {file: file.read_bytes() for file in (project / "corpus" / "gold").iterdir()} == frozen
    path.write_bytes(content)


def test_unknown_options_are_wrong_usage(run_cli: Callable[..., Result]) -> None:
    """A mistyped --check does not rebuild the corpus."""
    assert run_cli("pipeline.corpus", "--chek").code == 2
