"""The sentences of the phrasebook: a synchronous grammar that generates French and English together.

Each French sentence has one English translation. The grammar fixes it: what happens now is progressive unless it is a
habit (tous les jours) or a state (savoir); the passé composé is a simple past, the imparfait a past progressive; il and
elle are he and she, unless a noun of the sentence that names no person is their antecedent (it).
"""

from dataclasses import replace
from itertools import accumulate
from typing import Any

from data.phrasebook import lexicon
from data.phrasebook.clauses import BE, VERBS_ALONE
from data.phrasebook.linked import LinkedRules
from data.phrasebook.orders import PLEASE, OrderRules
from data.phrasebook.phrases import (
    CITIES,
    COUNTRIES,
    DAYS,
    MONTHS,
    PLACES,
    SAID_ALONE,
    SEASONS,
    SINGULAR,
    TIMES,
    UNOWNED,
    Subject,
)
from data.phrasebook.presentations import WEATHER, PresentationRules
from data.phrasebook.questions import QuestionRules
from data.phrasebook.rendering import Phrase, Style, render
from data.phrasebook.words import (
    ADJECTIVES,
    NOUNS,
    VERBS,
    Noun,
    Verb,
    entries,
    number_en,
    number_fr,
    read_verb,
    starts_with_vowel,
    translations,
)

GREETINGS, FAREWELLS = translations(lexicon.GREETINGS), translations(lexicon.FAREWELLS)
STATEMENTS, ASKED = translations(lexicon.STATEMENTS), translations(lexicon.EXPRESSIONS_ASKED)
ADDRESSED = translations(lexicon.ADDRESSED)
MARK_NEEDED = entries(lexicon.MARK_NEEDED)


class Grammar(QuestionRules, PresentationRules, OrderRules, LinkedRules):
    """A generator of sentence pairs.

    >>> Grammar(seed=1).sentence()["fr"]  # doctest: +SKIP
    'Le chat dort.'
    """

    def sentence(self) -> dict[str, Any]:
        """Return one sentence pair as `render` has it, and whether it is a set phrase or a single word."""
        self.start()
        rule = self.rng.choices(RULES, cum_weights=CUMULATIVE)[0]
        phrase = rule(self)
        return render(phrase, self.style(phrase), self.link, self.nouns) | {"set_phrase": self.set_phrase}

    def style(self, phrase: Phrase) -> Style:
        """Draw how the sentence is typed; short ones are written in capitals more often."""
        draw = self.rng.random
        short = len(phrase.fr) < 6
        mark = self.mark
        if draw() < (0.3 if short else 0.15) and not self.mark_needed:
            mark = ""
        elif mark == "." and draw() < 0.02:
            mark = "!"
        accents = draw()
        return Style(
            mark=mark,
            space=draw() < 0.8,
            capital=draw() > (0.08 if short else 0.04),
            capitals=draw() < (0.05 if short else 0.02),
            accents="none" if accents < 0.015 else "not on capitals" if accents < 0.3 else "all",
        )

    # --- words and set phrases

    def set_phrases(self) -> Phrase:
        """Bonjour ! Merci beaucoup. Comment ça va ?"""
        self.set_phrase = True
        draw = self.rng.random()
        if draw < 0.35:
            found = self.pick(GREETINGS)
            if self.chance(0.2):
                return self.pair(*found) + self.addressed(comma=0.5)
        elif draw < 0.62:
            found = self.pick(FAREWELLS)
        elif draw < 0.8:
            found = self.pick(STATEMENTS)
        else:
            found = self.pick(ASKED)
            self.mark = "?"
            self.mark_needed = found[0] in MARK_NEEDED
            return self.pair(*found)
        self.mark = self.rng.choice((".", ".", "!"))
        return self.pair(*found)

    def addressed(self, *, comma: float) -> Phrase:
        """Return whom a sentence is said to: Marie, madame, mon ami."""
        comma_before = self.comma() if self.chance(comma) else Phrase()
        if self.chance(0.6):
            return comma_before + self.name()[0]
        return comma_before + self.pair(*self.pick(ADDRESSED))

    def greeting_and_clause(self) -> Phrase:
        """Bonjour, je cherche la gare."""
        fr, en = self.pick(GREETINGS)
        if fr == "oui" and self.chance(0.3):
            fr, en = "non", "no"
        start = self.pair(fr, en)
        if self.chance(0.12):
            start += self.addressed(comma=0.5)
        start += self.comma()
        draw = self.rng.random()
        if draw < 0.3:
            self.mark = "?"
            return start + self.any_question()
        if draw < 0.4:
            return start + self.searching()
        if draw < 0.5:
            return start + self.wish_clause("statement")
        if draw < 0.58:
            return start + self.introduction()
        if draw < 0.65:
            return start + self.pair(*self.pick(STATEMENTS))
        return start + self.clause()

    def searching(self) -> Phrase:
        """Je cherche la gare."""
        subject = self.pronoun(persons=(0, 0, 3))
        verb = next(v for v in VERBS if v.fr.infinitive == "chercher")
        noun = self.noun(("place", "place", "person", "family", "thing", "street"))
        det = "the" if noun.kind in PLACES else "my" if noun.fr[0] not in UNOWNED or noun.kind == "family" else "a"
        return self.verb_phrase(subject, verb, "present") + self.noun_phrase(noun, det, adjective=0.05).phrase

    def please(self) -> Phrase:
        """Un café, s'il vous plaît. Je voudrais du pain, s'il vous plaît."""
        draw = self.rng.random()
        if draw < 0.4:
            noun = self.noun(("cup", "drink", "mass", "food", "food"))
            if noun.kind == "drink" and "cup" in noun.kinds:
                phrase = self.pair("une" if noun.gender == "f" else "un", "a") + self.pair(noun.fr[0], noun.en[0])
            else:
                phrase = self.noun_phrase(
                    noun, self.rng.choice(("a", "a", "the", "number" if not noun.mass else "a")), adjective=0.1
                ).phrase
        elif draw < 0.7:
            phrase = self.wish_clause("statement")
        elif draw < 0.85:
            phrase = self.request()
        else:
            phrase = self.order()
        please = self.pair(*PLEASE[self.polite])
        return phrase + (self.comma() if self.chance(0.7) else Phrase()) + please

    def single_word(self) -> Phrase:
        """Return one word, or what a dictionary has in its place: chat; heureuse; manger; vingt; lundi; hier soir."""
        self.set_phrase = True
        self.mark = "." if self.chance(0.2) else ""
        return self.pair(*self.rng.choice(self.rng.choices(WORD_LISTS, WORD_WEIGHTS)[0]))

    def noun_phrase_alone(self) -> Phrase:
        """Un chat; le chien noir; du pain; la voiture de Paul; le chat et le chien."""
        noun = self.noun(SAID_ALONE)
        det = self.rng.choices(("the", "a", ""), (30, 40, 30))[0]
        phrase = self.noun_phrase(noun, self.fitting(det, noun), adjective=0.35).phrase
        draw = self.rng.random()
        if draw < 0.08:
            other = self.noun([noun.kind])
            return (
                phrase
                + self.pair("et", "and")
                + self.noun_phrase(other, self.fitting(det, other), adjective=0.1).phrase
            )
        if draw < 0.16:
            return phrase + (self.place() if noun.kind in ("person", "animal", "family") else self.thing_place())
        if draw < 0.2:
            return (
                phrase
                + self.pair(*self.rng.choice((("pour", "for"), ("avec", "with"), ("sans", "without"))))
                + self.company()
            )
        self.mark = self.rng.choices((".", "!", ""), (30, 5, 65))[0]
        return phrase

    def fitting(self, det: str, noun: Noun) -> str:
        """Return a determiner that fits a noun: families have owners."""
        return "" if noun.kind in ("family", "clan", *SINGULAR) else det

    # --- two clauses

    def joined(self) -> Phrase:
        """Je suis fatigué mais je travaille. Je pense que tu as raison. S'il pleut, je reste ici."""
        draw = self.rng.random()
        self.inner = True
        if draw < 0.5:
            joint = self.pick(
                (
                    ("et", "and"),
                    ("mais", "but"),
                    ("parce que", "because"),
                    ("donc", "so"),
                    ("car", "because"),
                    ("ou", "or"),
                )
            )
            return self.clause() + self.pair(*joint) + self.clause()
        if draw < 0.75:
            subject = self.pronoun()
            verb = self.rng.choice(THAT_VERBS)
            start = self.verb_phrase(
                subject, verb, "present", negation="pas" if verb.en.base == "know" and self.chance(0.1) else ""
            )
            return start + self.pair("que", "that") + self.clause()
        if draw < 0.8:
            return self.childhood()
        if draw < 0.9:
            condition = self.pair("si", "if") + (
                self.pair(*self.pick(WEATHER[:5])) if self.chance(0.4) else self.state_clause("statement")
            )
            return condition + self.comma() + self.clause()
        must = self.pair("il faut", "we must")
        you = Subject(3, "m", True, Phrase(), "nous", "person", 0, 3)
        return must + self.infinitive_with_object(you)

    def childhood(self) -> Phrase:
        """Quand j'étais petit, j'habitais à Lyon."""
        subject = self.pronoun(persons=(0, 1, 2, 3))
        when = self.pair("quand", "when") + self.verb_phrase(subject, BE, "imparfait") + self.described(subject)
        again = self.pair(subject.phrase.fr[0][0], subject.phrase.en[0][0])
        subject = replace(subject, phrase=again, head=self.number)
        return when + self.comma() + self.verb_phrase(subject, self.pick(VERBS_ALONE), "imparfait", simple=True)

    def interrupted(self) -> Phrase:
        """Je dormais quand Paul est arrivé."""
        first, second = self.subject(), self.subject()
        doing = self.pick([v for v in VERBS_ALONE if v.aspect == "action"])
        event = self.pick([v for v in VERBS_ALONE if v.aspect == "event"])
        was_doing = self.verb_phrase(first, doing, "imparfait")
        return was_doing + self.pair("quand", "when") + self.verb_phrase(second, event, "past")


THAT_VERBS = [
    read_verb(f"{fr} = {en} | state")
    for fr, en in (("penser", "think"), ("croire", "believe"), ("savoir", "know"), ("espérer", "hope"))
]


def dictionary(*pairs: tuple[str, str]) -> list[tuple[str, str]]:
    """Return pairs of words without those whose French has occurred before: each word has one translation."""
    return [pair for pair in {fr: (fr, en) for fr, en in reversed(pairs)}.values() if pair[0] not in NO_ENTRY]


def infinitive(verb: Verb) -> tuple[str, str]:
    """Return the infinitive of a verb in both languages."""
    reflexive = ("s'" if starts_with_vowel(verb.fr.infinitive) else "se ") if verb.reflexive else ""
    tail = f" {verb.tail}" if " " in verb.tail else ""  # a fixed object, but no preposition
    return f"{reflexive}{verb.fr.infinitive}{tail}", f"to {verb.en.base}"


NO_ENTRY = ("neuf", "cartes", "histoires")  # nine and new; cards and maps; history and stories
SINGULARS = [(noun.fr[0], noun.en[0]) for noun in NOUNS if noun.fr[0]]
PLURALS = [(noun.fr[1], noun.en[1]) for noun in NOUNS if noun.kind not in SINGULAR and not noun.mass]
ADJECTIVE_FORMS = [(form, adjective.en) for adjective in ADJECTIVES if adjective.en != "tall" for form in adjective.fr]
WORD_LISTS = [
    dictionary(*SINGULARS, *PLURALS),
    dictionary(*ADJECTIVE_FORMS),
    dictionary(*map(infinitive, VERBS)),
    [(number_fr(n), number_en(n)) for n in range(21)],
    [(number_fr(n), number_en(n)) for n in range(21, 101)],
    DAYS + MONTHS,
    [*TIMES["past"], *TIMES["present"], *TIMES["future"], *SEASONS, *COUNTRIES],
    CITIES,
]
WORD_WEIGHTS = (38, 27, 15, 5, 3, 5, 4, 3)

SET_PHRASES = {fr for pairs in (GREETINGS, FAREWELLS, STATEMENTS, ASKED, *WORD_LISTS) for fr, _ in pairs}

RULES, _WEIGHTS = zip(
    (Grammar.set_phrases, 5),
    (Grammar.greeting_and_clause, 4),
    (Grammar.please, 1.5),
    (Grammar.single_word, 6),
    (Grammar.noun_phrase_alone, 8),
    (Grammar.order_and_company, 6),
    (Grammar.any_question, 15),
    (Grammar.this_is, 5),
    (Grammar.is_this, 1),
    (Grammar.there_is, 3),
    (Grammar.introduction, 2),
    (Grammar.profession, 2),
    (Grammar.pain, 0.6),
    (Grammar.clock, 1.5),
    (Grammar.weather, 1.2),
    (Grammar.birth, 0.5),
    (Grammar.joined, 4),
    (Grammar.interrupted, 0.7),
    (Grammar.linked, 16),
    (Grammar.clause, 22),
    strict=True,
)
CUMULATIVE = list(accumulate(_WEIGHTS))
