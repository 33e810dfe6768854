"""Rules for two clauses, the second about a noun of the first: a pronoun and its antecedent."""

from collections.abc import Sequence
from dataclasses import replace

from data.phrasebook.clauses import (
    BE,
    DOINGS,
    GENERIC_VERBS,
    HAVE_STATE,
    HAVE_STATES,
    VERBS_ALONE,
    ClauseRules,
)
from data.phrasebook.phrases import PLACES, UNOWNED, Subject
from data.phrasebook.rendering import Phrase
from data.phrasebook.words import NOUNS_OF, VERBS

HANDLED = ("thing", "thing", "text", "clothes", "vehicle", "food", "furniture", "opening", "crossing")  # objects


class LinkedRules(ClauseRules):
    """Rules that draw a clause and a second one whose subject is a pronoun."""

    def linked(self) -> Phrase:
        """Le robot a pris la balle parce qu'elle était rouge."""
        if self.chance(0.55):
            return self.linked_to_object_or_subject()
        return self.linked_to_subject()

    def linked_subject(self, kinds: Sequence[str], weights: Sequence[int]) -> Subject:
        """Draw the noun that a pronoun may stand for."""
        kind = self.rng.choices(kinds, weights)[0]
        if kind == "name":
            name, gender = self.name(known=True)
            self.nouns.append(self.number)
            return Subject(2, gender, False, name, "elle" if gender == "f" else "il", "person", self.number, 2)
        noun = self.noun([kind])
        det = "my" if kind == "family" else self.rng.choice(("the", "the", "the", "this", "my"))
        if (noun.fr[0] in UNOWNED and kind != "family" and det == "my") or kind in (*PLACES, "crossing", "sky"):
            det = "the"
        plural = None if self.chance(0.5) else False
        return self.noun_subject(self.noun_phrase(noun, det, adjective=0.08, plural=plural))

    def linked_to_subject(self) -> Phrase:
        """Return two clauses, the second about the subject of the first: la fille est petite mais elle court."""
        kinds = (
            "person",
            "family",
            "name",
            "animal",
            "robot",
            "vehicle",
            "thing",
            "food",
            "clothes",
            "place",
            "furniture",
            "opening",
        )
        subject = self.linked_subject(kinds, (16, 10, 10, 16, 7, 12, 8, 6, 5, 6, 3, 2))
        tense = self.rng.choices(("present", "imparfait"), (85, 15))[0]
        if subject.kind in DOINGS and self.chance(0.3):
            first = self.verb_phrase(
                subject,
                self.pick([v for v in DOINGS[subject.kind] if v.alone]),
                "present",
                negation="pas" if self.chance(0.3) else "",
            )
        elif subject.kind == "person" and self.chance(0.4):
            first = self.action_clause("statement", subject)
        else:
            first = self.verb_phrase(subject, BE, tense, negation="pas" if self.chance(0.1) else "") + self.described(
                subject
            )
        active = subject.kind in ("person", "animal", "robot")
        joint = self.joint(active or subject.kind == "vehicle")
        return first + joint + self.about(subject, tense)

    def linked_to_object_or_subject(self) -> Phrase:
        """Return a clause with an object of another gender, and a second one about the object or the subject."""
        subject = self.linked_subject(("person", "family", "name", "animal", "robot"), (30, 16, 16, 24, 14))
        kind = self.rng.choice(HANDLED)
        nouns = [noun for noun in NOUNS_OF[kind] if noun.gender != subject.gender]
        if not nouns:
            kind = "thing"
            nouns = [noun for noun in NOUNS_OF[kind] if noun.gender != subject.gender]
        noun = self.pick(nouns)
        verbs = LINKED_VERBS[kind]
        if subject.kind in DOINGS:
            verbs = [
                v for v in DOINGS[subject.kind] if kind in v.objects and v.fr.infinitive not in GENERIC_VERBS
            ] or LINKED_VERBS[kind][:2]
        verb = self.pick(verbs)
        tense = self.rng.choices(("past", "present", "near"), (55, 35, 10))[0]
        negation = "pas" if self.chance(0.25) else ""
        det = "the" if kind == "crossing" else self.rng.choice(("the", "the", "this", "my"))
        clause = self.verb_phrase(subject, verb, tense, negation=negation)
        found = self.noun_phrase(noun, det, adjective=0.06, plural=None if self.chance(0.4) else False)
        target = self.noun_subject(found) if self.chance(0.6) else subject
        about_tense = "imparfait" if tense == "past" else "present"
        return clause + found.phrase + self.joint(True) + self.about(target, about_tense)

    def joint(self, reasons: bool) -> Phrase:
        """Return a conjunction."""
        joints = (("parce que", "because"), ("car", "because"), ("mais", "but"), ("et", "and"))
        return self.pair(*self.rng.choices(joints, (40, 25, 25, 10) if reasons else (10, 10, 50, 30))[0])

    def resume(self, antecedent: Subject) -> Subject:
        """Return a pronoun that stands for a noun, as a subject, and note the link: il or elle; he, she or it."""
        feminine = antecedent.gender == "f"
        singular = ("she" if feminine else "he") if antecedent.kind == "person" else "it"
        pronoun = self.pair(antecedent.pronoun, "they" if antecedent.plural else singular)
        if not antecedent.plural:
            self.link = (self.number, antecedent.head)
        return replace(antecedent, phrase=pronoun, head=self.number, is_pronoun=True)

    def about(self, antecedent: Subject, tense: str) -> Phrase:
        """Return a clause whose subject is a pronoun that stands for `antecedent`."""
        it = self.resume(antecedent)
        person, draw = it.kind == "person", self.rng.random()
        negation = "pas" if self.chance(0.15) else ""
        if draw < 0.3 and tense == "present" and (person or it.kind in DOINGS):
            verbs = DOINGS.get(it.kind, VERBS_ALONE)
            verb = self.pick([verb for verb in verbs if verb.alone and not (person and verb.objects)])
            return self.verb_phrase(it, verb, "present", negation=negation)
        if (person and draw < 0.5) or (it.kind == "animal" and draw < 0.4):
            state = self.pick(HAVE_STATES[: 8 if person else 5])
            return self.verb_phrase(it, HAVE_STATE, tense, negation=negation) + self.pair(*state)
        return self.verb_phrase(it, BE, tense, negation=negation) + self.described(it)


LINKED_VERBS = {
    kind: [
        v
        for v in VERBS
        if kind in v.objects and v.fr.infinitive not in GENERIC_VERBS and v.en.base not in ("have", "win")
    ]
    for kind in HANDLED
}
