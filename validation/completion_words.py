"""The sentences of a completion report, in French and in English."""

from __future__ import annotations

from validation.requirements import Wording
from validation.typography import set_spaces

TITLES: dict[str, tuple[str, str]] = {
    "tested": ("Ce qui a été testé", "What was tested"),
    "deviations": ("Écarts par rapport à ce qui était prévu", "Deviations from what was planned"),
    "evaluation": ("Évaluation au regard des critères", "Evaluation against the criteria"),
    "blocked": ("Ce qui a fait obstacle", "What stood in the way"),
    "measures": ("Mesures", "Measures"),
    "risks": ("Risques résiduels", "Residual risks"),
    "deliverables": ("Livrables", "Deliverables"),
    "assets": ("Éléments réutilisables", "Reusable assets"),
    "lessons": ("Enseignements", "Lessons learned"),
}

SENTENCES: dict[str, tuple[str, str]] = {
    "none": ("Néant.", "None."),
    "release": (
        "Les bases vectorielles du projet ont été jugées en vue d’une publication.",
        "The project’s own stores were judged for release.",
    ),
    "comparison": (
        "Deux bases vectorielles venues d’ailleurs ont été comparées ; rien ne peut en être publié.",
        "Two stores from elsewhere were compared; nothing of it can be released.",
    ),
    "checks": (
        "Contrôles exigés : {checks} ; objets examinés : {subjects} ; exigences servies : {requirements}.",
        "Checks demanded: {checks}; subjects looked at: {subjects}; requirements served: {requirements}.",
    ),
    "questions": (
        "Corpus « {corpus} » : {n} questions de référence posées aux deux bases vectorielles.",
        "Corpus “{corpus}”: {n} gold questions were put to both stores.",
    ),
    "code": (
        "Code qui a jugé : révision {revision}, SHA-256 {sha256}.",
        "Code that judged: revision {revision}, SHA-256 {sha256}.",
    ),
    "not_compared": (
        "Aucun corpus n’a pu être comparé : ni rappel ni bascule n’ont été mesurés.",
        "No corpus could be compared: neither recall nor flips were measured.",
    ),
    "waiver_applied": (
        "Dérogation {id} au contrôle {check} sur {subject}, accordée par {owner} jusqu’au {expires}.",
        "Waiver {id} of check {check} on {subject}, answered for by {owner}, until {expires}.",
    ),
    "waiver_expired": (
        "Dérogation {id} au contrôle {check} sur {subject}, accordée par {owner} : échue le {expires}, sans effet.",
        "Waiver {id} of check {check} on {subject}, answered for by {owner}: expired on {expires}, without effect.",
    ),
    "waiver_unused": (
        "Dérogation {id} au contrôle {check} sur {subject}, accordée par {owner} jusqu’au {expires} : inutilisée.",
        "Waiver {id} of check {check} on {subject}, answered for by {owner}, until {expires}: unused.",
    ),
    "error": (
        "Le contrôle {check} sur {subject} n’a pas pu être évalué.",
        "Check {check} on {subject} could not be evaluated.",
    ),
    "uncovered": (
        "L’exigence {requirement} n’est couverte par aucun contrôle.",
        "Requirement {requirement} is covered by no check.",
    ),
    "attempt": (
        "Décision n° {attempt} d’après le journal des publications : des candidats ont déjà été présentés.",
        "Decision number {attempt} by the log of releases: candidates were put forward more than once.",
    ),
    "verdict": ("Verdict : {verdict}, code de sortie {code}.", "Verdict: {verdict}, exit code {code}."),
    "met": (
        "Exigences satisfaites sans dérogation : {met} sur {all}.",
        "Requirements met without a waiver: {met} of {all}.",
    ),
    "not_met": ("Exigence {requirement} : {outcome}.", "Requirement {requirement}: {outcome}."),
    "reason": ("Motif :", "Reason:"),
    "blocking": (
        "{blocker} a empêché d’évaluer d’autres contrôles, au nombre de {n}.",
        "{blocker} kept other checks from being evaluated; their number: {n}.",
    ),
    "outcomes": ("Contrôles par résultat : {counts}.", "Checks by outcome: {counts}."),
    "recall": (
        "Rappel@5 sur « {corpus} » : base {base}, candidat {candidate}, soit {difference} points [{lower} ; {upper}].",
        "Recall@5 on “{corpus}”: base {base}, candidate {candidate}, change {difference} points [{lower}, {upper}].",
    ),
    "flips": (
        "Bascules sur « {corpus} » : réponses perdues {lost}, gagnées {gained}.",
        "Flips on “{corpus}”: answers lost {lost}, gained {gained}.",
    ),
    "ratio": (
        "{check} sur {subject} : rapport des durées {observed}, limite {limit}.",
        "{check} on {subject}: ratio of times {observed}, limit {limit}.",
    ),
    "inconclusive": (
        "Le contrôle {check} sur {subject} ne permet pas de conclure.",
        "Check {check} on {subject} is inconclusive.",
    ),
    "waived": (
        "Le contrôle {check} sur {subject} n’est pas satisfait ; il est couvert par une dérogation.",
        "Check {check} on {subject} does not hold; it is waived.",
    ),
    "tolerated": (
        "Contrôle {check} sur {subject} : une perte réelle de {loss} points passerait encore une fois sur vingt.",
        "Check {check} on {subject}: a true loss of {loss} points would still pass one time in twenty.",
    ),
    "lost": (
        "« {corpus} » : questions auxquelles la base répond et le candidat non : {lost}.",
        "“{corpus}”: questions that the base answers and the candidate does not: {lost}.",
    ),
    "untested": (
        "« {corpus} » : tranches trop petites pour qu’une perte y soit mise en évidence : {n}.",
        "“{corpus}”: slices too small for a loss to be shown in them: {n}.",
    ),
    "file": ("{name} : {path}, SHA-256 {sha256}.", "{name}: {path}, SHA-256 {sha256}."),
    "decision": (
        "decision.json : la décision, dont sont tirés ce rapport et tous les autres.",
        "decision.json: the decision, of which this report and every other is made.",
    ),
    "more_questions": (
        "Contrôle {check} sur {subject} : il faudrait environ {n} questions pour trancher.",
        "Check {check} on {subject}: about {n} questions would decide.",
    ),
    "remedy": ("Contrôle {check} sur {subject} : {remedy}.", "Check {check} on {subject}: {remedy}."),
}


def say(name: str, /, **values: str | Wording) -> Wording:
    """Return a sentence with its blanks filled; a value in both languages goes into each sentence in its own."""
    french, english = SENTENCES[name]
    return Wording(fr=set_spaces(french).format(**_pick(values, "fr")), en=english.format(**_pick(values, "en")))


def _pick(values: dict[str, str | Wording], language: str) -> dict[str, str]:
    return {name: value if isinstance(value, str) else str(getattr(value, language)) for name, value in values.items()}
