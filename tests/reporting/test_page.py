"""The page: what stands first, what is never missing, and that it asks nobody for anything."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.records import EXPLANATION
from tests.reporting.conftest import render
from tests.reporting.reading import Page
from tests.reporting.samples import (
    DIGEST,
    HOSTILE,
    ROWS,
    make_criterion,
    make_decision,
    make_hostile,
    make_keep,
    make_release,
    make_reported,
    write_stores,
)
from validation.outcomes import Outcome, Verdict
from validation.reporting.rendering import SECTIONS

if TYPE_CHECKING:
    from pathlib import Path

    from validation.document import Record

MEBIBYTE = 1 << 20


def test_the_verdict_stands_before_everything_else(release: tuple[Record, str]) -> None:
    """The first heading is the verdict, and the sections follow in the order in which people ask."""
    page = Page(release[1])
    headings = [each.read() for each in page.elements if each.tag in {"h1", "h2"}]

    assert headings[0] == "Le candidat peut être publié"
    assert [each.attributes["id"] for each in page.find_all("section") if "id" in each.attributes] == list(SECTIONS)
    assert [each.attributes["href"] for each in page.find_all("a") if each.attributes["href"][1:] in SECTIONS] == [
        f"#{name}" for name in SECTIONS
    ]


@pytest.mark.parametrize("verdict", list(Verdict))
def test_each_verdict_says_what_it_means_and_what_happens_next(verdict: Verdict, tmp_path: Path) -> None:
    """Whatever is decided, the page names it, the reason, its meaning and the next step."""
    page = Page(render(make_decision(verdict, [], reasons=["RET301 fr: FAIL"]), tmp_path, "en"))
    told = page.find("section", aria_labelledby="verdict").read()

    assert page.find("body").attributes["data-decision"] == verdict.value
    assert all(part in told for part in ("What it means", "What happens next", "RET301 fr: FAIL"))


def test_reasons_that_checks_give_are_told_in_the_words_of_the_page(samples: dict[str, Page]) -> None:
    """A reader of French gets outcome, check and title in French; only what the gate observed stays in English."""
    told = samples["keep"].find("section", aria_labelledby="verdict").read().replace("\u00a0", " ")

    assert "Motif non concluant RET301 fr, la candidate trouve plus : the bounds reach across 0.0" in told
    assert "non satisfait RET302 fr, la candidate trouve plus : the bounds lie below -0.05" in told


@pytest.mark.parametrize(
    ("waived", "reason", "expected"),
    [
        (0, "all 2 required checks passed", "les 2 contrôles exigés sont tous satisfaits"),
        (1, "2 checks passed, 1 waived", "contrôles satisfaits : 2 ; couverts par une dérogation : 1"),
        (0, "all 3 required checks passed", "all 3 required checks passed"),
    ],
    ids=["all", "waived", "of other checks"],
)
def test_a_release_gives_its_reason_in_the_words_of_the_page(
    waived: int, reason: str, expected: str, tmp_path: Path
) -> None:
    """The figures are those of the checks; a reason that says something else stands as it is."""
    checks = [make_criterion("RET301"), make_criterion("RET302")]
    checks += [make_criterion("RET303", Outcome.WAIVED, detail="waived")] * waived
    page = Page(render(make_decision(Verdict.RELEASE, checks, reasons=[reason]), tmp_path))

    assert f"Motif {expected}" in page.find("section", aria_labelledby="verdict").read().replace("\u00a0", " ").replace(
        "\u202f", " "
    )


@pytest.mark.parametrize("verdict", [Verdict.RELEASE, Verdict.KEEP, Verdict.NOT_EVALUATED])
def test_a_comparison_promises_no_release(verdict: Verdict, tmp_path: Path) -> None:
    """Where stores from elsewhere are compared, no verdict sounds as if something could be released."""
    page = Page(render(make_decision(verdict, [], policy="comparison"), tmp_path, "en"))
    told = page.find("section", aria_labelledby="verdict").read()

    assert "may be released" not in told
    assert "nox -s release" not in page.find("main").read()


def test_figures_are_written_as_each_language_writes_them(tmp_path: Path) -> None:
    """A comma and a space before the sign in French, a point and none in English."""
    record = make_release()
    french, english = (Page(render(record, tmp_path, language)) for language in ("fr", "en"))

    assert "50,0 % 51,7 % +1,7 [−1,2 ; +4,6]" in french.read_section("recall").replace("\u202f", " ")
    assert "50.0% 51.7% +1.7 [−1.2, +4.6]" in english.read_section("recall")
    assert [page.find("html").attributes["lang"] for page in (french, english)] == ["fr", "en"]


def test_english_evidence_in_the_french_page_is_marked(samples: dict[str, Page]) -> None:
    """A screen reader pronounces what the gate says in English as English."""
    marked = [each.read() for each in samples["keep"].find_all("bdi", lang="en")]

    assert "the bounds lie below -0.05" in marked


@pytest.mark.parametrize("name", ["keep", "empty", "hostile"])
def test_every_page_can_be_walked_through(samples: dict[str, Page], name: str) -> None:
    """One first heading, landmarks, a skip link, captions, scopes, and no identifier twice."""
    page = samples[name]
    ids = [each.attributes["id"] for each in page.elements if "id" in each.attributes]
    captions = [each for each in page.find_all("caption") if not each.read()]

    assert len(page.find_all("h1")) == 1
    assert [len(page.find_all(tag)) for tag in ("header", "nav", "main", "footer")] == [1, 1, 1, 1]
    assert page.find("a", class_="skip").attributes["href"] == "#main"
    assert len(ids) == len(set(ids))
    assert captions == []
    assert len(page.find_all("caption")) == len(page.find_all("table"))
    assert [each for each in page.find_all("th") if "scope" not in each.attributes] == []


def test_every_dot_of_the_map_has_a_length(release: tuple[Record, str]) -> None:
    """A stroke without any length has no square end on paper, where the candidate's dots would be missing."""
    paths = [each.attributes for each in Page(release[1]).find_all("path")]
    squares = [each["d"] for each in paths if each.get("stroke-linecap") == "square"]
    dots = re.findall(r"M ([\d.]+) ([\d.]+) L ([\d.]+) ([\d.]+)", max(squares, key=len))

    assert len(dots) == ROWS
    assert all((x, y) != (to_x, to_y) for x, y, to_x, to_y in dots)


def test_every_plot_has_a_text_alternative(release: tuple[Record, str]) -> None:
    """Each plot is an image with a title and a description, made of nothing that the policy forbids."""
    page = Page(release[1])
    drawn = page.find_all("svg", role="img")
    ids = {each.attributes.get("id"): each.read() for each in page.elements if each.tag in {"title", "desc"}}

    assert len(drawn) == 6
    assert all(ids[each.attributes["aria-labelledby"]] and ids[each.attributes["aria-describedby"]] for each in drawn)
    assert [each for each in page.elements if "style" in each.attributes] == []


def test_nothing_is_fetched_and_only_its_own_script_runs(release: tuple[Record, str]) -> None:
    """No address but those inside of the page; the policy allows the digests of this style and this script."""
    page = Page(release[1])
    policy = page.find("meta", http_equiv="Content-Security-Policy").attributes["content"]
    links = [
        value
        for each in page.elements
        for name, value in each.attributes.items()
        if name in {"src", "href", "xlink:href", "action", "data"} and not value.startswith(("#", "data:,"))
    ]

    assert links == []
    assert policy.startswith("default-src 'none';")
    for tag in ("style", "script"):
        text = "".join(page.find(tag).text)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_the_same_decision_gives_the_same_bytes(tmp_path: Path, release: tuple[Record, str]) -> None:
    """Neither time nor chance nor place has a say."""
    record = make_release(inputs=write_stores(tmp_path))

    assert render(record, tmp_path) == release[1]


def test_hostile_text_is_shown_and_does_nothing(samples: dict[str, Page]) -> None:
    """Wherever a text comes from outside, it makes no tag, no attribute of its own, and no sign that reorders text."""
    page = samples["hostile"]
    text = "".join(page.find("body").text)
    handlers = [name for each in page.elements for name in each.attributes if name.startswith("on")]

    assert len(page.find_all("script")) == 1
    assert page.find_all("img") == []
    assert handlers == []
    assert "<script>alert(1)</script><img src=x onerror=alert(1)>" in text
    assert "\\x1b[31m\\x00\\x07\\u202egnp.exe\\u2066x\\u2069\\u200b\\u2028" in text
    assert not set(text) & set("\x1b\x00\x07\u202e\u2066\u2069\u200b\u2028")


def test_a_mebibyte_of_text_is_cut(tmp_path: Path) -> None:
    """However long the texts of evidence are, the page stays one that a phone can open."""
    html = render(make_hostile("a<" * (MEBIBYTE // 2)), tmp_path)

    assert len(html.encode()) < 3 * MEBIBYTE
    assert "a&lt;" * 1000 not in html


def test_many_flips_stay_within_three_megabytes(tmp_path: Path) -> None:
    """A page on which all of 600 questions flip can still be sent around."""
    assert len(render(make_keep(600), tmp_path).encode()) < 3_000_000


def test_what_is_missing_is_said(samples: dict[str, Page]) -> None:
    """A decision of nothing has every section, and each says that there is nothing."""
    said = {name: samples["empty"].read_section(name) for name in SECTIONS}

    assert "n’ont pas été comparées" in said["recall"]
    assert "Aucun critère" in said["criteria"]
    assert "n’a pas été mesurée" in said["latency"]
    assert "Aucune question ne bascule" in said["flips"]
    assert "ne nomme aucune base vectorielle" in said["spaces"]
    assert "Aucun contrôle de données" in said["quality"]
    assert "ne nomme aucune exigence" in said["trace"]
    assert said["completion"].count("Néant.") >= 4


def test_flips_can_be_filtered_by_every_field(samples: dict[str, Page]) -> None:
    """Each metadata field is a choice, and each flip carries the place of its value, never the text itself."""
    page = samples["keep"]
    names = [each.read() for each in page.find_all("label")]
    flips = [each.attributes for each in page.find_all("li") if "data-flip" in each.attributes]
    options = {each.attributes["data-key"]: each.read() for each in page.find_all("select")}

    assert names == ["Corpus", "Sens", "category", "difficulty"]
    assert len(flips) == 20
    assert {(each["data-direction"], each["data-corpus"]) for each in flips} == {("lost", "0"), ("gained", "0")}
    assert options["slice0"] == "tout c0 c1 c2 c3 c4"
    assert [each["data-slice0"] for each in flips[:6]] == ["0", "1", "2", "3", "4", "0"]
    assert {each["data-slice1"] for each in flips} == {"0"}


def test_a_flip_shows_question_ranks_and_both_passages(samples: dict[str, Page]) -> None:
    """What was asked, at which rank each store answers, and what each returned first."""
    first = next(each for each in samples["keep"].find_all("li") if "data-flip" in each.attributes)

    assert re.search(r"gagnée Que fait l'arbitre au coup 0 \? rang 9 → 1", first.read())
    assert "base, rang 9 premier passage rendu (non pertinent) : passage 9" in first.read().replace("\u00a0", " ")
    assert "candidat, rang 1 premier passage rendu (pertinent) : passage 1" in first.read().replace("\u00a0", " ")


def test_the_matrix_reads_both_ways_and_lists_both_gaps(tmp_path: Path) -> None:
    """From requirement to check and back; a requirement without check and a check without requirement are named."""
    record = make_keep(1)
    stray = make_reported("XYZ101", requirements=[])
    page = Page(render(record.model_copy(update={"checks": [*record.checks, stray]}), tmp_path))
    gaps = page.find("table", class_="narrow").read()
    rows = {
        each.attributes["data-check"]: each.read() for each in page.find_all("tr") if "data-check" in each.attributes
    }

    assert "Exigences sans contrôle REQ-TAG-01 Contrôles sans exigence XYZ101" in gaps
    assert rows["RET302"].endswith("REQ-RET-01")
    assert rows["XYZ101"].endswith("–")
    assert "RET302 fr −8,0 pt −5,0 pt non satisfait" in page.find("details", id="REQ-RET-01").read().replace(
        "\u202f", " "
    )
    assert "non évalué REQ-TAG-01" in page.read_section("trace")


def test_quality_is_grouped_by_characteristic(samples: dict[str, Page]) -> None:
    """Each characteristic of ISO/IEC 25012 has its checks, observed against limit."""
    said = samples["keep"].read_section("quality").replace("\u202f", " ")

    assert [name for name in ("Exactitude", "Complétude", "Cohérence", "Précision", "Traçabilité") if name in said]
    assert "Crédibilité" not in said
    assert "satisfait 768 = 768 120" in said
    assert "satisfait 0 exception(s) motif \\S 120" in said
    assert f"satisfait {DIGEST[:12]}… not {DIGEST[:12]}… 120" in said


def test_criteria_say_how_far_they_are_from_another_outcome(tmp_path: Path) -> None:
    """What is inconclusive tells how many questions would decide, what passes how many answers it can lose."""
    spared = replace(EXPLANATION, questions_needed=None, hits_to_spare=4)
    spare = make_criterion("RET306", subject="intl", explanation=spared)
    record = make_decision(Verdict.KEEP, [make_criterion("RET301", Outcome.INCONCLUSIVE), spare])
    said = Page(render(record, tmp_path, "en")).read_section("criteria")

    assert "≈ 731 questions would decide" in said
    assert "answers to spare: 4" in said


def test_provenance_leads_from_texts_to_the_tag(release: tuple[Record, str]) -> None:
    """Each store's chain names texts, model, vectors, database, decision and tag, and where both sides agree."""
    said = Page(release[1]).read_section("provenance").replace("\u00a0", " ")

    assert f"Base vectorielle qlora/fr Textes fr, 40 passages {DIGEST} concorde Modèle model-qlora" in said
    assert f"Décision RELEASE {DIGEST} Étiquette à poser par nox -s release" in said
    assert "diffère" not in said


def test_hostile_words_keep_their_place() -> None:
    """The hostile sample holds what would break each language it passes through."""
    assert all(part in HOSTILE for part in ("</script>", "</style>", "{{", "{%", "\u202e", "\x1b", "$\\frac"))
