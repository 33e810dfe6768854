"""Rules for imperatives."""

from data.phrasebook import lexicon
from data.phrasebook.clauses import (
    BE,
    GO,
    HAVE_STATE,
    PRONOUN_VERBS,
    VERBS_ALONE,
    VERBS_WITH_OBJECT,
    ClauseRules,
    Clitic,
)
from data.phrasebook.phrases import Subject
from data.phrasebook.rendering import Phrase
from data.phrasebook.words import ADJECTIVES, DATIVE_VERBS, Verb, entries

PLEASE = (("s'il te plaît", "please"), ("s'il vous plaît", "please"))  # to tu, to vous


class OrderRules(ClauseRules):
    """Rules that draw imperatives."""

    def order(self) -> Phrase:
        """Viens ici ! Ouvre la porte. Ne pleure pas."""
        rng, polite = self.rng, self.chance(0.4)
        self.polite = polite
        person = 4 if polite else 1
        self.mark = rng.choice((".", "!"))
        negated, draw = self.chance(0.28), rng.random()
        you = Subject(person, rng.choice("mf"), polite and self.chance(0.5), Phrase(), "", "person", 0, person)
        if draw < 0.1:
            return self.commanded(BE, you, negated) + self.be_commanded(you, negated)
        if draw < 0.14:
            return self.commanded(HAVE_STATE, you, True) + self.pair(
                *rng.choice((("peur", "afraid"), ("honte", "ashamed")))
            )
        if draw < 0.26 and not negated:
            verb = self.pick(DATIVE_VERBS)
            clitic = rng.choice(
                (
                    Clitic("moi", "me"),
                    Clitic("moi", "me"),
                    Clitic("lui", "him"),
                    Clitic("nous", "us"),
                    Clitic("leur", "them"),
                )
            )
            what = self.noun_phrase(
                self.noun(verb.objects), rng.choice(("the", "this", "a", "a", "my")), adjective=0.05
            ).phrase
            return self.commanded(verb, you, negated, clitic) + what
        if draw < 0.38:
            verb = self.pick(
                [
                    v
                    for v in PRONOUN_VERBS
                    if v.progressive and v.fr.infinitive not in ("penser", "rencontrer", "perdre", "casser", "gagner")
                ]
            )
            return self.commanded(verb, you, negated, self.ordered_pronoun(verb, negated))
        if draw < 0.48:
            return self.commanded(GO, you, negated) + self.place("to")
        verbs = ORDERED_WITH_OBJECT if self.chance(0.45) else ORDERED_ALONE
        verb = self.pick(verbs)
        phrase = self.commanded(verb, you, negated)
        if verb.objects and not (verb.alone and self.chance(0.5)):
            return phrase + self.object(verb, you, negated=negated)
        if draw > 0.8 and verb.fr.infinitive in (
            "venir",
            "rester",
            "attendre",
            "entrer",
            "jouer",
            "travailler",
            "dormir",
        ):
            return phrase + self.pair(
                *rng.choice(
                    (
                        ("ici", "here"),
                        ("avec moi", "with me"),
                        ("avec nous", "with us"),
                        ("dehors", "outside"),
                        ("maintenant", "now"),
                    )
                )
            )
        return phrase

    def ordered_pronoun(self, verb: Verb, negated: bool) -> Clitic:
        """Draw the object pronoun of an imperative."""
        if verb.personal and self.chance(0.6):
            return Clitic("me" if negated else "moi", "me")
        if verb.dative:
            return Clitic("lui", "him")
        return self.rng.choice((Clitic("le", "him" if verb.personal else "it"), Clitic("les", "them")))

    def commanded(self, verb: Verb, you: Subject, negated: bool, clitic: Clitic | None = None) -> Phrase:
        """Return a verb in the imperative."""
        vous = you.person == 4
        number = self.pair("x", "x").fr[0][1]
        form = verb.fr.imperative[vous]
        pronoun = self.pair(clitic.fr, clitic.en) if clitic else Phrase()
        fr_pronoun = pronoun.fr
        if verb.reflexive:
            fr_pronoun = (("vous" if vous else "te" if negated else "toi", number),)
        tail = () if clitic and verb.dative else tuple((word, number) for word in verb.tail.split())
        english = tuple((word, number) for word in verb.en.base.split())
        if negated:
            negative = self.pair("ne pas", "do not")
            if verb.tail.startswith(("du ", "une ", "des ")) and verb.fr.infinitive != "jouer":
                tail = (("de", number), *tail[1:])
            french = (negative.fr[0], *fr_pronoun, (form, number), negative.fr[1], *tail)
            return Phrase(french, negative.en + english + pronoun.en)
        attached = tuple((f"-{word}", n) for word, n in fr_pronoun)
        return Phrase(((form, number), *attached, *tail), english + pronoun.en)

    def be_commanded(self, you: Subject, negated: bool) -> Phrase:
        """Return what a person should be, or not be."""
        adjective = self.rng.choice(UNWANTED if negated else WANTED)
        return self.pair(adjective.form(you.gender, you.plural), adjective.en)

    def order_and_company(self) -> Phrase:
        """Viens, Marie ! Attends-moi, s'il te plaît."""
        phrase = self.order()
        draw = self.rng.random()
        if draw < 0.15:
            return phrase + self.comma() + self.pair(*PLEASE[self.polite])
        if draw < 0.25:
            return phrase + self.comma() + self.name()[0]
        if draw < 0.3:
            return self.name()[0] + self.comma() + phrase
        return phrase


ORDERED_ALONE = [
    v
    for v in VERBS_ALONE
    if v.fr.infinitive not in ("mourir", "trembler", "savoir", "mentir", "arriver", "tomber", "sourire", "cuisiner")
]
ORDERED_WITH_OBJECT = [
    v for v in VERBS_WITH_OBJECT if v.progressive and v.en.base not in ("win", "lose", "think of", "meet")
]
WANTED = [adjective for adjective in ADJECTIVES if adjective.en in entries(lexicon.WANTED)]
UNWANTED = [adjective for adjective in ADJECTIVES if adjective.en in entries(lexicon.UNWANTED)]
