"""The corpus that ships with the project: a synchronous grammar that speaks French and English at once.

Every rule builds both sides together, so each pair comes with its word alignment, and each pronoun that stands for a
noun with the noun. Each French sentence has one English translation, which the grammar fixes: actions in the présent
are progressive unless they are habits, the passé composé is a simple past, the imparfait a past progressive.
"""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict

from data.phrasebook import lexicon

SIZES = {"val": 1000, "test": 1000, "train": 110_000}
HELD_OUT = "Je suis heureux"  # never trained on, however punctuated: what a learner asks first
CLASSES = "havrtocpf"

Token = tuple[str, int]  # a word and the number it shares with its translation; 0 for none


@dataclass(frozen=True)
class Phrase:
    """The same thing in two languages; words that translate each other share a number."""

    fr: tuple[Token, ...] = ()
    en: tuple[Token, ...] = ()

    def __add__(self, other: "Phrase") -> "Phrase":
        return Phrase(self.fr + other.fr, self.en + other.en)


@dataclass(frozen=True)
class Noun:
    """A noun with both plurals."""

    fr: tuple[str, str]
    gender: str
    en: tuple[str, str]
    kind: str  # first letter of its class


@dataclass(frozen=True)
class Adjective:
    """An adjective with its French forms: masculine, feminine, and both plurals."""

    fr: tuple[str, str, str, str]
    en: str
    place: str
    kinds: str

    def form(self, gender: str, plural: bool) -> str:
        """Agree."""
        return self.fr[2 * plural + (gender == "f")]


@dataclass(frozen=True)
class Verb:
    """A verb with its French forms (six of the présent) and its English ones."""

    infinitive: str
    present: tuple[str, ...]
    participle: str
    en: str
    past: str
    ing: str
    aspect: str
    objects: str
    etre: bool

    @property
    def progressive(self) -> bool:
        """Say whether English speaks of it with -ing."""
        return self.aspect in "ae"

    def imparfait(self, person: int) -> str:
        """Conjugate: the stem of `nous`, and the endings."""
        stem = self.present[3].removesuffix("ons")
        ending = ("ais", "ais", "ait", "ions", "iez", "aient")[person]
        if stem.endswith("ge") and ending[0] == "i":
            stem = stem[:-1]
        return stem + ending


@dataclass(frozen=True)
class Subject:
    """Who does it: person 0 to 5 (je, tu, il, nous, vous, ils), gender, the words, and the number of the noun."""

    person: int
    gender: str
    phrase: Phrase
    pronoun: str = ""  # in French, where the subject is one
    noun: Noun | None = None
    head: int = 0


def split(table: str) -> list[str]:
    """Cut a table of the lexicon into entries."""
    return [entry.strip() for line in table.splitlines() for entry in line.split(";") if entry.strip()]


def both(entry: str) -> tuple[str, str]:
    """Cut `French=English`."""
    fr, en = entry.split("=")
    return fr, en


def plural(word: str, french: bool) -> str:
    """Form a regular plural."""
    if french:
        return word if word[-1] in "sxz" else word + ("x" if word.endswith("eau") else "s")
    if word.endswith(("s", "x", "ch", "sh", "ato")):
        return word + "es"
    return word[:-1] + "ies" if word[-1] == "y" and word[-2] not in "aeiou" else word + "s"


def read_noun(entry: str) -> Noun:
    fr, gender, *en, kind = entry.split()
    singular, _, irregular = fr.partition("/")
    english, _, many = " ".join(en).partition("/")
    return Noun(
        (singular, irregular or plural(singular, True)), gender, (english, many or plural(english, False)), kind[0]
    )


def read_adjective(entry: str) -> Adjective:
    m, f, en, place, kinds = entry.split()
    return Adjective((m, f, plural(m, True), plural(f, True)), en, place, CLASSES if kinds == "*" else kinds)


def read_verb(entry: str) -> Verb:
    fr, en, aspect, objects, *etre = entry.split()
    infinitive, *forms = fr.split(",")
    forms = forms or [infinitive[:-2] + ending for ending in ("e", "es", "e", "ons", "ez", "ent", "é")]
    base, *rest = (part.replace("_", " ") for part in en.split(","))
    first, _, particle = base.partition(" ")
    tail = f" {particle}" if particle else ""
    past = (
        first + "d"
        if first[-1] == "e"
        else first[:-1] + "ied"
        if first[-1] == "y" and first[-2] not in "aeo"
        else first + "ed"
    )
    stem = first[:-1] if first[-1] == "e" and first[-2] != "e" else first
    kinds = CLASSES if objects == "*" else "" if objects == "-" else objects
    return Verb(
        infinitive, tuple(forms[:6]), forms[6], base, rest[0] if rest else past + tail,
        rest[1] if len(rest) > 1 else stem + "ing" + tail, aspect, kinds, bool(etre),
    )  # fmt: skip


NOUNS = [read_noun(entry) for entry in split(lexicon.NOUNS)]
NOUNS_OF = {kind: [noun for noun in NOUNS if noun.kind == kind] for kind in CLASSES}
RIVALS = [set(entry.split()) for entry in split(lexicon.RIVALS)]
ADJECTIVES = [read_adjective(entry) for entry in split(lexicon.ADJECTIVES)]
VERBS = [read_verb(entry) for entry in split(lexicon.VERBS)]
NAMES = [entry.split() for entry in split(lexicon.NAMES)]
NUMBERS = [tuple(entry.replace("a_h", "a h").split(" ", 1)) for entry in split(lexicon.NUMBERS)]
FREQUENCIES = [both(entry) for entry in split(lexicon.FREQUENCIES)]
PREPOSITIONS = [both(entry) for entry in split(lexicon.PREPOSITIONS)]
SURFACES = set(split(lexicon.SURFACES))
STATES = [both(entry) for entry in split(lexicon.STATES)]
WEATHER = [both(entry) for entry in split(lexicon.WEATHER)]
PHRASES = [both(entry) for entry in split(lexicon.PHRASES)]
TIMES: dict[str, list[tuple[str, str]]] = {}
for _entry in split(lexicon.TIMES):
    TIMES.setdefault(_entry[-1], []).append(both(_entry[:-2]))

BE_FR = ("suis", "es", "est", "sommes", "êtes", "sont")
WAS_FR = ("étais", "étais", "était", "étions", "étiez", "étaient")
HAVE_FR = ("ai", "as", "a", "avons", "avez", "ont")
HAD_FR = ("avais", "avais", "avait", "avions", "aviez", "avaient")
GO_FR = ("vais", "vas", "va", "allons", "allez", "vont")
BE_EN = ("am", "are", "is", "are", "are", "are")
WAS_EN = ("was", "were", "was", "were", "were", "were")
MODALS = {
    "want": ("veux", "veux", "veut", "voulons", "voulez", "veulent"),
    "can": ("peux", "peux", "peut", "pouvons", "pouvez", "peuvent"),
    "must": ("dois", "dois", "doit", "devons", "devez", "doivent"),
}
POSSESSIVES = (("mon", "ma", "mes"), ("ton", "ta", "tes"), ("son", "sa", "ses"),
               ("notre", "notre", "nos"), ("votre", "votre", "vos"), ("leur", "leur", "leurs"))  # fmt: skip
OWNERS = ("my", "your", "", "our", "your", "their")
BEFORE_VOWEL = {
    "ma": "mon",
    "ta": "ton",
    "sa": "son",
    "ce": "cet",
    "beau": "bel",
    "nouveau": "nouvel",
    "vieux": "vieil",
}
ELIDED = {"je", "le", "la", "ne", "de", "que", "me", "te"}
ANIMALS_DO = ("dormir", "courir", "nager", "marcher", "jouer", "trembler", "respirer")
ASPIRATED = ("huit", "haut", "onz")  # words before which nothing is elided


def starts_with_vowel(word: str) -> bool:
    """Say whether a French word makes the one before it elide."""
    return word[0].lower() in "aeiouéèêâîôûœàyh" and not word.startswith(ASPIRATED)


def third_person(verb: str) -> str:
    """Add the s of he, she and it."""
    first, _, tail = verb.partition(" ")
    first = first + "es" if first == "go" else plural(first, False)
    return f"{first} {tail}".strip()


class Grammar:
    """Rules that draw from a seeded generator; each returns a phrase in both languages."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.number = 0
        self.nouns: list[int] = []  # numbers of the nouns of this sentence
        self.used: list[Adjective] = []
        self.link: tuple[int, int] | None = None  # numbers of a pronoun and of the noun it stands for

    def pair(self, fr: str, en: str) -> Phrase:
        """Let words translate each other as one unit."""
        self.number += 1
        return Phrase(
            tuple((word, self.number) for word in fr.split()), tuple((word, self.number) for word in en.split())
        )

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def noun_of(self, kinds: str) -> Noun:
        kind = self.rng.choice(kinds)
        return self.rng.choice(NOUNS_OF[kind])

    def adjective(self, kind: str, places: str) -> Adjective:
        """Draw an adjective that fits a class of nouns and one of `places`, none twice in a sentence, and no rival."""
        taken = {a.en for a in self.used}
        taken = taken.union(*(rivals for rivals in RIVALS if rivals & taken))
        self.used.append(
            self.rng.choice([a for a in ADJECTIVES if kind in a.kinds and a.place in places and a.en not in taken])
        )
        return self.used[-1]

    def noun_phrase(
        self, noun: Noun, owner: Subject | None = None, negated: bool = False, det: str = ""
    ) -> tuple[Phrase, bool, int]:
        """Determiner, adjective and noun, agreeing: the phrase, whether it is plural, and the noun's number."""
        rng = self.rng
        kinds = ["the", "the", "a", "this", "my"] + ["number"] * (noun.kind != "p") + (["own"] * 2 if owner else [])
        det = det or rng.choice(kinds)
        many = det == "number" or (noun.kind != "p" and self.chance(0.25))
        adjective = self.adjective(noun.kind, "ba") if self.chance(0.35) else None
        head = self.pair(noun.fr[many], noun.en[many])
        number = self.number
        self.nouns.append(number)
        article = self.determiner(det, noun.gender, many, owner, negated, adjective)
        form = self.pair(adjective.form(noun.gender, many), adjective.en) if adjective else Phrase()
        before = adjective is not None and adjective.place == "b"
        fr = [*article.fr, *(form.fr + head.fr if before else head.fr + form.fr)]
        en = [*article.en, *form.en, *head.en]
        for i in range(len(article.fr) + before):  # the determiner, and an adjective before the noun
            if fr[i][0] in BEFORE_VOWEL and starts_with_vowel(fr[i + 1][0]):
                fr[i] = (BEFORE_VOWEL[fr[i][0]], fr[i][1])
        return Phrase(tuple(fr), tuple(en)), many, number

    def determiner(
        self, det: str, gender: str, many: bool, owner: Subject | None, negated: bool, adjective: Adjective | None
    ) -> Phrase:
        """Article, demonstrative, possessive or number; `des` and `un` become `de` where French asks for it."""
        feminine = gender == "f"
        if det == "the":
            return self.pair("les" if many else "la" if feminine else "le", "the")
        if det == "a":
            before = adjective is not None and adjective.place == "b"
            if negated:
                return self.pair("de", "any" if many else "a")
            return self.pair(
                ("de" if before else "des") if many else "une" if feminine else "un", "some" if many else "a"
            )
        if det == "this":
            return self.pair("ces" if many else "cette" if feminine else "ce", "these" if many else "this")
        if det == "number":
            return self.pair(*self.rng.choice(NUMBERS))
        person = owner.person if det == "own" and owner is not None else self.rng.choice((0, 1, 3, 4))
        english = OWNERS[person] or ("her" if owner is not None and owner.gender == "f" else "his")
        return self.pair(POSSESSIVES[person][2 if many else int(feminine)], english)

    def subject(self) -> Subject:
        """A pronoun, a name or a noun phrase."""
        kind = self.rng.random()
        if kind < 0.55:
            person, gender = self.rng.randrange(6), self.rng.choice("mf")
            if person == 4:
                gender = "m"
            fr = ("je", "tu", "elle" if gender == "f" else "il", "nous", "vous", "elles" if gender == "f" else "ils")[
                person
            ]
            en = ("I", "you", "she" if gender == "f" else "he", "we", "you", "they")[person]
            return Subject(person, gender, self.pair(fr, en), pronoun=fr)
        if kind < 0.7:
            name, gender = self.rng.choice(NAMES)
            return Subject(
                2, gender, self.pair(name, name), noun=Noun((name, name), gender, (name, name), "h"), head=self.number
            )
        noun = self.noun_of("h")
        phrase, many, head = self.noun_phrase(noun)
        return Subject(5 if many else 2, noun.gender, phrase, noun=noun, head=head)

    def predicate(self, subject: Subject, tense: str, negated: bool = False) -> tuple[Phrase, Phrase]:
        """Être and an adjective: the verb and the rest."""
        kind = subject.noun.kind if subject.noun else "h"
        adjective = self.adjective(kind, "ba-")
        forms = (BE_FR, BE_EN) if tense == "present" else (WAS_FR, WAS_EN)
        verb = self.pair(forms[0][subject.person], forms[1][subject.person])
        if negated:
            verb = self.negate(verb)
        return verb, self.pair(adjective.form(subject.gender, subject.person > 2), adjective.en)

    def negate(self, verb: Phrase) -> Phrase:
        """Put `ne … pas` around the first French word of a verb and `not` after the first English one."""
        self.number += 1
        fr = (("ne", self.number), verb.fr[0], ("pas", self.number), *verb.fr[1:])
        return Phrase(fr, (verb.en[0], ("not", self.number), *verb.en[1:]))

    def conjugate(self, verb: Verb, subject: Subject, tense: str, habit: bool, split_aux: bool = False) -> Phrase:
        """Give a verb its forms; the first English word is an auxiliary wherever `not` or a question needs one."""
        person, simple = subject.person, habit or not verb.progressive
        feminine, many = subject.gender == "f", person > 2
        if tense == "past":
            agreement = ("e" if feminine else "") + ("s" if many else "") if verb.etre else ""
            fr = f"{(BE_FR if verb.etre else HAVE_FR)[person]} {verb.participle}{agreement}"
            en = f"did {verb.en}" if split_aux else verb.past
        elif tense == "imparfait":
            fr = verb.imparfait(person)
            en = f"{WAS_EN[person]} {verb.ing}" if not simple else f"did {verb.en}" if split_aux else verb.past
        elif tense == "future":
            return self.pair(GO_FR[person], f"{BE_EN[person]} going to") + self.pair(verb.infinitive, verb.en)
        else:
            fr = verb.present[person]
            if not simple:
                en = f"{BE_EN[person]} {verb.ing}"
            elif split_aux:
                en = f"{'does' if person == 2 else 'do'} {verb.en}"
            else:
                en = third_person(verb.en) if person == 2 else verb.en
        return self.pair(fr, en)

    def time(self, tense: str, habit: bool) -> Phrase:
        """When it happens, fitting the tense."""
        key = {"past": "p", "imparfait": "p", "future": "f"}.get(tense, "h" if habit else "n")
        return self.pair(*self.rng.choice(TIMES[key]))

    def place(self) -> Phrase:
        """Where it happens."""
        noun = self.noun_of("p")
        fr, en = self.rng.choice(PREPOSITIONS)
        preposition = self.pair("sur", "on") if noun.fr[0] in SURFACES and fr in ("dans", "à") else self.pair(fr, en)
        return preposition + self.noun_phrase(noun, det=self.rng.choice(("the", "the", "this", "my")))[0]

    def thing(self, verb: Verb, subject: Subject, negated: bool = False) -> Phrase:
        """The object of a verb; one loves the cat or this cat, whereas one sees a cat."""
        known = self.rng.choice(("the", "this", "my")) if verb.aspect == "f" else ""
        return self.noun_phrase(self.noun_of(verb.objects), subject, negated, det=known)[0]

    def object_pronoun(self, verb: Verb, subject: Subject, tense: str, negated: bool) -> Phrase:
        """A verb with its object as a pronoun: before the French verb, behind the English one."""
        human = verb.objects == "h"
        choices = [("les", "them", "m", True)]
        others = ((0, "me", "me", False), (1, "te", "you", False), (3, "nous", "us", True))
        choices += [(p, e, "m", n) for who, p, e, n in others if human and subject.person % 3 != who % 3]
        if tense != "present" or not starts_with_vowel(verb.present[subject.person]):
            choices += [("le", "him" if human else "it", "m", False), ("la", "her" if human else "it", "f", False)]
        fr, en, gender, many = self.rng.choice(choices)
        if tense == "past" and fr in ("me", "te", "nous"):  # whose gender would be a guess
            fr, en, gender, many = "les", "them", "m", True
        forms = self.conjugate(verb, subject, tense, habit=False, split_aux=negated)
        words = list(forms.fr)
        if tense == "past":
            words[-1] = (
                words[-1][0] + ("e" if gender == "f" else "") + ("s" if many and words[-1][0][-1] != "s" else ""),
                words[-1][1],
            )
        clitic = self.pair(fr, en)
        at = 1 if tense == "future" else 0
        words[at:at] = clitic.fr
        if negated:
            self.number += 1
            end = 1 if tense == "future" else 2
            words = [("ne", self.number), *words[:end], ("pas", self.number), *words[end:]]
            forms = Phrase(forms.fr, (forms.en[0], ("not", self.number), *forms.en[1:]))
        return Phrase(tuple(words), forms.en + clitic.en)

    def clause(self) -> Phrase:
        """A statement."""
        rng = self.rng
        subject = self.subject()
        tense = rng.choice(("present", "present", "past", "imparfait", "future"))
        negated = self.chance(0.25)
        kind = rng.random()
        if kind < 0.2:
            is_, rest = self.predicate(subject, rng.choice(("present", "present", "imparfait")), negated)
            return subject.phrase + is_ + rest
        if kind < 0.27:
            have, be = (HAVE_FR, BE_EN) if self.chance(0.7) else (HAD_FR, WAS_EN)
            is_ = self.pair(have[subject.person], be[subject.person])
            return subject.phrase + (self.negate(is_) if negated else is_) + self.pair(*rng.choice(STATES))
        if kind < 0.34:
            goes = self.pair(GO_FR[subject.person], f"{BE_EN[subject.person]} going")
            to = self.pair("à", "to")
            place, _, _ = self.noun_phrase(self.noun_of("p"), det=rng.choice(("the", "the", "my", "this")))
            return subject.phrase + (self.negate(goes) if negated else goes) + to + place
        if kind < 0.42:
            return self.modal(subject, negated)
        if kind < 0.52:
            verb = rng.choice([v for v in VERBS if v.objects and not v.etre])
            if verb.objects == "h" or set(verb.objects) <= set("vrtocf"):
                tense = "past" if tense == "imparfait" else tense
                return subject.phrase + self.object_pronoun(verb, subject, tense, negated)
        verb = rng.choice(VERBS)
        habit = tense == "present" and self.chance(0.3)
        if tense == "imparfait" and not verb.progressive:
            tense = "present"
        forms = self.conjugate(verb, subject, tense, habit, split_aux=negated)
        frequency = Phrase()
        if negated:
            forms = self.negate(forms)
        elif habit and self.chance(0.6):
            frequency = self.pair(*rng.choice(FREQUENCIES))
        body = Phrase(subject.phrase.fr + forms.fr + frequency.fr, subject.phrase.en + frequency.en + forms.en)
        if verb.objects:
            body += self.thing(verb, subject, negated)
        elif verb.aspect != "e" and self.chance(0.4):
            body += self.place()
        if (habit and not frequency.fr) or self.chance(0.3):
            body += self.time(tense, habit) if verb.progressive or tense != "present" or habit else Phrase()
        return body

    def modal(self, subject: Subject, negated: bool) -> Phrase:
        """Can, must or want to do something."""
        english = self.rng.choice(sorted(MODALS))
        verb = self.rng.choice(VERBS)
        fr = MODALS[english][subject.person]
        if english == "want":
            en = (
                ("does want" if subject.person == 2 else "do want")
                if negated
                else "wants"
                if subject.person == 2
                else "want"
            )
        else:
            en = english
        modal = self.pair(fr, en)
        if negated:
            modal = self.negate(modal)
        what = self.pair(verb.infinitive, f"to {verb.en}" if english == "want" else verb.en)
        body = subject.phrase + modal + what
        if verb.objects:
            body += self.thing(verb, subject, negated)
        return body

    def linked(self) -> Phrase:
        """A clause about a thing or a person, and a second one whose pronoun stands for it."""
        rng = self.rng
        first = self.noun_of("hhhhavvrtoc")
        phrase, many, number = self.noun_phrase(first, det=rng.choice(("the", "this", "my")))
        subject = Subject(5 if many else 2, first.gender, phrase, noun=first, head=number)
        target = subject
        if first.kind == "h" and self.chance(0.9):
            # The pronoun may stand for the object, where gender tells it apart from the subject.
            seen = rng.choice([n for n in NOUNS if n.kind in "vrtoc" and n.gender != first.gender])
            verb = rng.choice([v for v in VERBS if seen.kind in v.objects])
            tense = rng.choice(("present", "past"))
            forms = self.conjugate(verb, subject, tense, habit=False)
            thing, several, other = self.noun_phrase(seen, det=rng.choice(("the", "this", "my")))
            body = subject.phrase + forms + thing
            if self.chance(0.6):
                target = Subject(5 if several else 2, seen.gender, thing, noun=seen, head=other)
        else:
            verb_be, rest = self.predicate(subject, "present")
            body = subject.phrase + verb_be + rest
        joints = [("mais", "but"), ("et", "and")]
        if first.kind in "ha":  # who acts or feels has reasons
            joints += [("parce que", "because"), ("car", "because")]
        joint = self.pair(*rng.choice(joints))
        many, gender, noun = target.person > 2, target.gender, target.noun
        assert noun is not None
        french = ("elle" if gender == "f" else "il") + ("s" if many else "")
        english = "they" if many else ("she" if gender == "f" else "he") if noun.kind == "h" else "it"
        pronoun = self.pair(french, english)
        if not many:
            self.link = (self.number, target.head)
        speaker = Subject(target.person, gender, pronoun, pronoun=french, noun=noun)
        if noun.kind in "ha" and self.chance(0.5):
            verb = rng.choice([v for v in VERBS if not v.objects and (noun.kind == "h" or v.infinitive in ANIMALS_DO)])
            forms = self.conjugate(verb, speaker, "present", habit=False, split_aux=(negated := self.chance(0.3)))
            return body + joint + pronoun + (self.negate(forms) if negated else forms)
        if noun.kind in "vr" and self.chance(0.5):
            form, english = ("roule", "moving") if noun.kind == "v" else ("avance", "moving forward")
            verb_phrase = self.pair(form + ("nt" if many else ""), f"{BE_EN[target.person]} {english}")
            return body + joint + pronoun + verb_phrase
        verb_be, rest = self.predicate(speaker, rng.choice(("present", "imparfait")), negated=self.chance(0.2))
        return body + joint + pronoun + verb_be + rest

    def question(self) -> tuple[Phrase, str]:
        """A yes/no or wh-question; its mark."""
        rng = self.rng
        kind = rng.random()
        subject = self.subject()
        if kind < 0.15:
            forms = self.pair(BE_FR[subject.person], BE_EN[subject.person])
            where = self.pair("où", "where")
            if subject.pronoun:
                return Phrase(where.fr + forms.fr + self.glue(subject), where.en + forms.en + subject.phrase.en), "?"
            return Phrase(where.fr + forms.fr + subject.phrase.fr, where.en + forms.en + subject.phrase.en), "?"
        if kind < 0.25:
            noun = self.noun_of("havrtoc")
            how = self.pair("combien de", "how many")
            what = self.pair(noun.fr[1], noun.en[1])
            self.nouns.append(self.number)
            have = self.pair(HAVE_FR[subject.person], f"{'does' if subject.person == 2 else 'do'} have")
            english = how.en + what.en + have.en[:1] + subject.phrase.en + have.en[1:]
            if subject.pronoun and subject.person:
                return Phrase(how.fr + what.fr + have.fr + self.glue(subject, have.fr[-1][0]), english), "?"
            middle = self.pair("est-ce que", "").fr
            return Phrase(how.fr + what.fr + middle + subject.phrase.fr + have.fr, english), "?"
        tense = rng.choice(("present", "past", "future"))
        verb = rng.choice(VERBS)
        word = (
            self.pair(*rng.choice((("pourquoi", "why"), ("quand", "when"), ("comment", "how"))))
            if self.chance(0.35)
            else Phrase()
        )
        if kind < 0.35 and verb.objects:
            word = self.pair("qu'", "what")
            subject = subject if subject.pronoun else Subject(1, "m", self.pair("tu", "you"), pronoun="tu")
            forms = self.conjugate(verb, subject, tense, habit=False, split_aux=True)
            middle = self.pair("est-ce que", "").fr
            asked = self.ask(word, forms, subject, middle[0][1])
            return Phrase(word.fr + middle + subject.phrase.fr + forms.fr, asked.en), "?"
        forms = self.conjugate(verb, subject, tense, habit=False, split_aux=True)
        rest = Phrase()
        if verb.objects:
            rest = self.thing(verb, subject)
        if subject.pronoun and subject.person and self.chance(0.5):
            fr = word.fr + forms.fr[:1] + self.glue(subject, forms.fr[0][0]) + forms.fr[1:]
            asked = self.ask(word, forms, subject)
        else:
            middle = self.pair("est-ce que", "").fr
            fr = word.fr + middle + subject.phrase.fr + forms.fr
            asked = self.ask(word, forms, subject, middle[0][1])
        return Phrase(fr + rest.fr, asked.en + rest.en), "?"

    def ask(self, word: Phrase, forms: Phrase, subject: Subject, marker: int | None = None) -> Phrase:
        """English order: question word, auxiliary, subject, the rest of the verb.

        Where French asks by *est-ce que*, whose number `marker` is, English asks by *do*: they translate each other.
        """
        (auxiliary, number), *rest = forms.en
        if marker is not None and auxiliary in ("do", "does", "did"):
            number = marker
        return Phrase((), (*word.en, (auxiliary, number), *subject.phrase.en, *rest))

    def glue(self, subject: Subject, verb: str = "t") -> tuple[Token, ...]:
        """A subject pronoun behind its verb, `-tu`, with a t between two vowels."""
        between = "-t-" if verb[-1] in "aeé" and subject.pronoun[0] in "ie" else "-"
        return ((between + subject.pronoun, subject.phrase.fr[0][1]),)

    def there_is(self) -> Phrase:
        """What is where."""
        noun = self.noun_of("havrtoc")
        phrase, many, _ = self.noun_phrase(noun, det=self.rng.choice(("a", "a", "number")))
        return self.pair("il y a", "there are" if many else "there is") + phrase + self.place()

    def this_is(self) -> Phrase:
        """Present something."""
        noun = self.noun_of("havrtocf")
        self.number += 1
        phrase, many, _ = self.noun_phrase(noun, det=self.rng.choice(("a", "my", "the")))
        start = self.pair("ce sont", "these are") if many else self.pair("c' est", "this is")
        return start + phrase

    def age(self) -> Phrase:
        """Say how old somebody is."""
        subject = self.subject()
        verb = self.pair(HAVE_FR[subject.person], BE_EN[subject.person])
        return subject.phrase + verb + self.pair(*self.rng.choice(NUMBERS)) + self.pair("ans", "years old")

    def at_oclock(self) -> Phrase:
        """An event and its hour."""
        subject = self.subject()
        verb = self.rng.choice([v for v in VERBS if v.aspect == "e"])
        tense = self.rng.choice(("past", "future"))
        hour = self.pair("à", "at") + self.pair(*self.rng.choice(NUMBERS[:10])) + self.pair("heures", "o'clock")
        return subject.phrase + self.conjugate(verb, subject, tense, habit=False) + hour

    def interrupted(self) -> Phrase:
        """What somebody was doing when something happened."""
        first, second = self.subject(), self.subject()
        doing = self.rng.choice([v for v in VERBS if v.aspect == "a" and not v.objects])
        event = self.rng.choice([v for v in VERBS if v.aspect == "e"])
        was_doing = first.phrase + self.conjugate(doing, first, "imparfait", habit=False)
        return (
            was_doing + self.pair("quand", "when") + second.phrase + self.conjugate(event, second, "past", habit=False)
        )

    def sentence(self) -> dict[str, Any]:
        """Draw one pair, with what stands beside it."""
        self.number, self.nouns, self.used, self.link = 0, [], [], None
        rng, mark = self.rng, "."
        kind = rng.random()
        if kind < 0.27:
            phrase = self.linked()
        elif kind < 0.45:
            phrase, mark = self.question()
        elif kind < 0.50:
            phrase = self.there_is()
        elif kind < 0.53:
            phrase = self.this_is()
        elif kind < 0.56:
            phrase = self.age()
        elif kind < 0.60:
            phrase = self.at_oclock()
        elif kind < 0.62:
            phrase = self.interrupted()
        elif kind < 0.625:
            phrase = self.pair(*rng.choice(WEATHER + PHRASES))
        elif kind < 0.69:
            joint = rng.choice((("et", "and"), ("mais", "but"), ("parce que", "because")))
            phrase = self.clause() + self.pair(*joint) + self.clause()
        elif kind < 0.78:
            subject = self.subject()
            tense = rng.choice(("present", "imparfait"))
            verb, rest = self.predicate(subject, tense, negated=self.chance(0.25))
            phrase = subject.phrase + verb + rest
            if self.chance(0.2):
                day = ("aujourd'hui", "today") if tense == "present" else ("hier", "yesterday")
                phrase += self.pair(*rng.choice((day, ("ici", "here"))))
        else:
            phrase = self.clause()
        if self.chance(0.2):
            mark = ""
        return self.render(phrase, mark)

    def render(self, phrase: Phrase, mark: str) -> dict[str, Any]:
        """Write both sides and find out which words of the text translate each other."""
        fr, en = french_words(phrase.fr), english_words(phrase.en)
        if mark:
            self.number += 1
            en[-1] = (en[-1][0] + mark, en[-1][1] | {self.number})
            if mark == "?":
                fr.append((mark, {self.number}))
            else:
                fr[-1] = (fr[-1][0] + mark, fr[-1][1] | {self.number})
        fr_of, en_of = places(fr), places(en)
        links = sorted({(i, j) for n in fr_of.keys() & en_of.keys() - {0} for i in fr_of[n] for j in en_of[n]})
        pronoun, antecedent = self.link or (0, 0)
        return {
            "fr": capitalise(" ".join(word for word, _ in fr)),
            "en": capitalise(" ".join(word for word, _ in en)),
            "alignment": " ".join(f"{i}-{j}" for i, j in links),
            "pronoun_fr": fr_of[pronoun][0] if pronoun else -1,
            "pronoun_en": en_of[pronoun][0] if pronoun else -1,
            "antecedent_fr": fr_of[antecedent][0] if pronoun else -1,
            "nouns_fr": [fr_of[n][0] for n in self.nouns] if pronoun else [],
        }


def places(words: list[tuple[str, set[int]]]) -> dict[int, list[int]]:
    """Find out in which words each number stands."""
    found: dict[int, list[int]] = {}
    for i, (_, numbers) in enumerate(words):
        for number in numbers:
            found.setdefault(number, []).append(i)
    return found


def capitalise(text: str) -> str:
    """Begin as sentences do."""
    return text[0].upper() + text[1:]


def french_words(tokens: tuple[Token, ...]) -> list[tuple[str, set[int]]]:
    """Elide, contract and join: je aime -> j'aime, de le -> du, à les -> aux, mange -tu -> mange-tu."""
    contracted = {("de", "le"): "du", ("de", "les"): "des", ("à", "le"): "au", ("à", "les"): "aux"}
    words: list[tuple[str, set[int]]] = []
    open_end = False  # whether the last word wants the next one attached
    for i, (text, number) in enumerate(tokens):
        follows = tokens[i + 1][0] if i + 1 < len(tokens) else ""
        if text in ELIDED and follows and starts_with_vowel(follows) and not follows.startswith("-"):
            text = text[:-1] + "'"
        last = words[-1] if words else ("", set())
        if open_end or text.startswith("-"):
            words[-1] = (last[0] + text, last[1] | {number})
        elif (last[0], text) in contracted:
            words[-1] = (contracted[last[0], text], last[1] | {number})
        else:
            words.append((text, {number}))
        open_end = text.endswith("'") and len(text) < 4
    return words


def english_words(tokens: tuple[Token, ...]) -> list[tuple[str, set[int]]]:
    """Say an before a vowel, and join can not -> cannot."""
    words: list[tuple[str, set[int]]] = []
    for i, (text, number) in enumerate(tokens):
        follows = tokens[i + 1][0] if i + 1 < len(tokens) else ""
        if text == "a" and follows.startswith(tuple("aeiou")) and not follows.startswith(("uni", "use")):
            text = "an"
        if text == "not" and words[-1][0] == "can":
            words[-1] = ("cannot", words[-1][1] | {number})
        else:
            words.append((text, {number}))
    return words


def bare(text: str) -> str:
    """A sentence without case and final mark, by which splits are told apart."""
    return text.rstrip(" .?!").lower()


def generate(seed: int, split_name: str, stamp: str = "") -> Iterator[dict[str, Any]]:
    """Yield the pairs of one split: each French sentence once, whatever its mark, and in one split only."""
    grammar, seen = Grammar(seed), {bare(HELD_OUT)}
    first = 0
    for name, size in SIZES.items():
        while len(seen) - 1 < first + size:
            row = grammar.sentence()
            if bare(row["fr"]) not in seen:
                seen.add(bare(row["fr"]))
                if name == split_name:
                    yield row
        if name == split_name:
            return
        first += size


def load(source_lang: str, target_lang: str, seed: int) -> DatasetDict:
    """Return train, val and test in the given direction, with alignment and pronoun links beside each pair."""
    code = b"".join(Path(file).read_bytes() for file in (__file__, lexicon.__file__))
    # Whoever changes a word or a rule must not be given yesterday's sentences from the cache.
    options = {"seed": seed, "stamp": hashlib.sha256(code).hexdigest()}
    splits = {name: Dataset.from_generator(generate, gen_kwargs={"split_name": name, **options}) for name in SIZES}
    return DatasetDict(splits).rename_columns({source_lang: "src", target_lang: "tgt"})
