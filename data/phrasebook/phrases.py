"""Rules for the parts of a sentence: noun phrases, subjects, names, places, times and numbers."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from data.phrasebook import lexicon
from data.phrasebook.rendering import Phrase, Token
from data.phrasebook.words import (
    ADJECTIVES,
    NOUNS_OF,
    RIVALS,
    Adjective,
    Noun,
    entries,
    number_en,
    number_fr,
    starts_with_vowel,
    translations,
)

Item = TypeVar("Item")

PREPOSITIONS = translations(lexicon.PREPOSITIONS)
QUANTITIES_COUNT, QUANTITIES_MASS = translations(lexicon.QUANTITIES_COUNT), translations(lexicon.QUANTITIES_MASS)
MEASURES = translations(lexicon.MEASURES)
HOME = [tuple(part.strip() for part in entry.split("=")) for entry in entries(lexicon.HOME)]  # French, at, to
NAMES = [tuple(entry.split()) for entry in entries(lexicon.NAMES)]
SYLLABLES, NAME_ENDINGS = lexicon.SYLLABLES.split(), lexicon.NAME_ENDINGS.split()
CITIES = [(fr.strip(), (en or fr).strip()) for fr, _, en in (e.partition("=") for e in entries(lexicon.CITIES))]
COUNTRIES = translations(lexicon.COUNTRIES)
DAYS, MONTHS, SEASONS = translations(lexicon.DAYS), translations(lexicon.MONTHS), translations(lexicon.SEASONS)
DAYS_ON = [(fr, f"on {en}") for fr, en in DAYS]
TIMES = {
    "soon": translations(lexicon.TIMES_FUTURE)[:3],
    "past": translations(lexicon.TIMES_PAST),
    "present": translations(lexicon.TIMES_NOW),
    "future": translations(lexicon.TIMES_FUTURE),
    "habit": translations(lexicon.TIMES_HABIT),
}

POSSESSIVES = (("mon", "ma", "mes"), ("ton", "ta", "tes"), ("son", "sa", "ses"),
               ("notre", "notre", "nos"), ("votre", "votre", "vos"), ("leur", "leur", "leurs"))  # fmt: skip
OWNERS = ("my", "your", "his", "our", "your", "their")
BEFORE_VOWEL = {
    "ma": "mon",
    "ta": "ton",
    "sa": "son",
    "ce": "cet",
    "beau": "bel",
    "nouveau": "nouvel",
    "vieux": "vieil",
}
PRONOUNS = (("je", "I"), ("tu", "you"), ("il", "he"), ("nous", "we"), ("vous", "you"), ("ils", "they"))
STRESSED = (
    ("moi", "me"),
    ("toi", "you"),
    ("lui", "him"),
    ("elle", "her"),
    ("nous", "us"),
    ("vous", "you"),
    ("eux", "them"),
)
GENERIC = ("sport", "language", "subject", "tv")  # classes whose nouns have an article in French only
PLACES = ("place", "shop", "inside", "street", "surface")
SINGULAR = (
    *GENERIC,
    "land",
    "sky",
    "restroom",
    "truth",
    "body",
    "abstract",
    "nature",
    "season",
)  # classes whose nouns have no plural here
SAID_ALONE = lexicon.SAID_ALONE.split()  # classes of nouns
UNOWNED = lexicon.UNOWNED.split()  # nouns without possessives


@dataclass(frozen=True)
class NounPhrase:
    """A noun with its determiner and adjective: the words, whether it is plural, and the number of the noun."""

    phrase: Phrase
    noun: Noun
    plural: bool
    head: int


@dataclass(frozen=True)
class Subject:
    """The subject of a clause.

    person: French grammatical person (index of je, tu, il, nous, vous, ils).
    gender: "m" or "f", which adjectives and participles agree with.
    plural: whether they agree with a plural.
    phrase: the words.
    pronoun: the French pronoun, if it is one; otherwise the pronoun that stands behind an inverted verb.
    kind: class of the noun ("person" for pronouns).
    head: number of the noun or pronoun.
    english: grammatical person in English, which differs for `on` (we).
    """

    person: int
    gender: str
    plural: bool
    phrase: Phrase
    pronoun: str
    kind: str
    head: int
    english: int
    is_pronoun: bool = False


def before_vowels(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """Return a French noun phrase with the forms that stand before vowels: mon amie, cet homme, un bel arbre."""
    found = list(tokens)
    for i in range(len(found) - 1):
        text, number = found[i]
        if text in BEFORE_VOWEL and starts_with_vowel(found[i + 1][0]):
            found[i] = (BEFORE_VOWEL[text], number)
    return tuple(found)


class PhraseRules:
    """Rules that draw parts of sentences with a seeded generator, and the state of the sentence that they build."""

    def __init__(self, seed: int | str) -> None:
        self.rng = random.Random(seed)
        self.start()

    def start(self) -> None:
        """Forget the last sentence."""
        self.number = 0  # the last number that a pair of words was given
        self.nouns: list[int] = []  # numbers of the nouns of the sentence, in the order in which they were drawn
        self.used: list[str] = []  # English adjectives of the sentence
        self.link: tuple[int, int] | None = None  # numbers of a pronoun and of its antecedent
        self.mark = "."
        self.mark_needed = False  # whether the sentence is ambiguous without its mark (Il pleut ?)
        self.polite = self.chance(0.6)  # whether the sentence says vous rather than tu, where it says please
        self.inner = False  # whether the clauses stand in the présent, because others surround them
        self.set_phrase = False  # whether it is a set phrase or a single word

    # --- drawing

    def chance(self, probability: float) -> bool:
        """Return True with a probability."""
        return self.rng.random() < probability

    def pick(self, items: Sequence[Item]) -> Item:
        """Draw an item; the first ones are the most frequent: the first quarter is drawn in half of all cases."""
        return items[int(len(items) * self.rng.random() ** 2)]

    def pair(self, fr: str, en: str) -> Phrase:
        """Return words that translate each other as one unit."""
        self.number = number = self.number + 1
        if " " not in fr and " " not in en and fr and en:  # most pairs: one word each
            return Phrase(((fr, number),), ((en, number),))
        return Phrase(tuple([(word, number) for word in fr.split()]), tuple([(word, number) for word in en.split()]))

    def comma(self) -> Phrase:
        """Return a comma in both languages."""
        return self.pair(",", ",")

    # --- nouns

    def noun(self, kinds: Sequence[str]) -> Noun:
        """Draw a noun of one of several classes, large classes and the first ones more often."""
        sizes = [len(NOUNS_OF[kind]) ** 0.5 for kind in kinds]
        return self.pick(NOUNS_OF[self.rng.choices(kinds, sizes)[0] if len(kinds) > 1 else kinds[0]])

    def adjective(self, kind: str, places: Sequence[str]) -> Adjective | None:
        """Draw an adjective for a class of nouns, none twice in a sentence and no rival of one before; or None."""
        taken = set(self.used)
        for rivals in RIVALS:
            if rivals & taken:
                taken |= rivals
        found = [a for a in ADJECTIVES_OF.get(kind, ()) if a.place in places and a.en not in taken]
        if not found:
            return None
        adjective = self.rng.choice(found)
        self.used.append(adjective.en)
        return adjective

    def noun_phrase(
        self,
        noun: Noun,
        det: str = "",
        *,
        owner: Subject | None = None,
        negated: bool = False,
        eaten: bool = False,
        adjective: float = 0.2,
        plural: bool | None = None,
    ) -> NounPhrase:
        """Return a noun with a determiner and perhaps an adjective, agreeing.

        Args:
            noun: the noun.
            det: kind of determiner (see `determiner`); drawn if empty.
            owner: the subject of the clause, to which "own" possessives belong.
            negated: whether the phrase follows `pas` (pas de pain).
            eaten: whether English leaves out `some` before a substance (boire de l'eau, drink water).
            adjective: probability of an adjective.
            plural: number; drawn if None.
        """
        det = det or self.draw_determiner(noun, owner)
        if noun.kind in SINGULAR or "unique" in noun.kinds:
            plural = False
        if plural is None:
            plural = det in ("number", "count") or (not noun.mass and self.chance(0.2))
        if det == "of" and "unique" not in noun.kinds and noun.kind == "family" and self.chance(0.7):
            plural = False
        plural = (plural or not noun.fr[0]) and not noun.mass and bool(noun.fr[1])
        if not noun.fr[0] and det in ("number", "count"):
            det = "the"
        drawn = self.adjective(noun.kind, ("before", "after", "beside")) if self.chance(adjective) else None
        head_phrase = self.pair(noun.fr[plural], noun.en[plural])
        head = self.number
        self.nouns.append(head)
        form = self.pair(drawn.form(noun.gender, plural), drawn.en) if drawn else Phrase()
        before = drawn is not None and drawn.place in ("before", "beside")
        core = Phrase(form.fr + head_phrase.fr if before else head_phrase.fr + form.fr, form.en + head_phrase.en)
        if det == "of":
            return NounPhrase(self.possessed(core, noun, plural, before), noun, plural, head)
        article = self.determiner(det, noun, plural, owner, negated, eaten, before)
        fr = before_vowels(article.fr + core.fr)
        return NounPhrase(Phrase(fr, article.en + core.en), noun, plural, head)

    def draw_determiner(self, noun: Noun, owner: Subject | None) -> str:
        """Draw a kind of determiner that suits a noun."""
        kind, draw = noun.kind, self.rng.random()
        if kind in GENERIC:
            return "generic"
        if kind == "family":
            return "own" if owner and draw < 0.35 else "of" if draw > 0.85 else "my"
        if noun.mass:
            return "a" if draw < 0.55 else "the" if draw < 0.85 else "this" if draw < 0.93 else "my"
        if kind == "clan":
            return "my"
        if kind in ("land", "sky", "crossing", "body", "abstract", "nature", "season"):
            return "the"
        if draw < 0.42:
            return "the"
        if draw < 0.62:
            return "a"
        if draw < 0.72:
            return "the" if kind == "time" else "this"  # ce soir is tonight
        if draw < 0.78:
            return "number"
        if draw < 0.81:
            return "count"
        if noun.fr[0] in UNOWNED or kind in PLACES:
            return "the"
        if owner and draw < 0.9:
            return "own"
        return "of" if draw > 0.96 else "my"

    def determiner(
        self, det: str, noun: Noun, plural: bool, owner: Subject | None, negated: bool, eaten: bool, before: bool
    ) -> Phrase:
        """Return a determiner.

        Args:
            det: "the", "a" (some, of substances), "this", "my" (any owner), "own" (the subject's), "number",
                "count" (a lot of), "generic" (the in French only), "bare" (none), "which", "no" (de, after ne pas).
            noun, plural, owner, negated, eaten: see `noun_phrase`.
            before: whether an adjective follows (de grands chiens).
        """
        is_feminine = noun.gender == "f"
        definite = "les" if plural else "la" if is_feminine else "le"
        if det == "the":
            return self.pair(definite, "the")
        if det == "generic":
            return self.pair(definite, "")
        if det == "bare":
            return Phrase()
        if det == "no":
            return self.pair("de", "")
        if det == "a":
            many = plural or noun.mass
            if negated:
                return self.pair("de", "" if eaten and noun.mass else "any" if many else "a")
            if noun.mass:
                return self.pair(f"de {definite}", "" if eaten else "some")
            if plural:
                return self.pair("de" if before else "des", "some")
            return self.pair("une" if is_feminine else "un", "a")
        if det == "this":
            return self.pair("ces" if plural else "cette" if is_feminine else "ce", "these" if plural else "this")
        if det == "which":
            return self.pair(("quelle" if is_feminine else "quel") + ("s" if plural else ""), "which")
        if det == "number":
            n = self.pick(range(2, 13))
            return self.pair(number_fr(n), number_en(n))
        if det == "count":
            return self.pair(*self.pick(QUANTITIES_MASS if noun.mass else QUANTITIES_COUNT))
        if det == "own" and owner is not None:
            person = owner.person
            english = "her" if person == 2 and owner.gender == "f" else OWNERS[person]
        else:
            person = self.rng.choices((0, 1, 3, 4), (8, 4, 2, 3))[0]
            english = OWNERS[person]
        return self.pair(POSSESSIVES[person][2 if plural else int(is_feminine)], english)

    def possessed(self, core: Phrase, noun: Noun, plural: bool, before: bool) -> Phrase:
        """Return a noun phrase with its owner: le chien de Paul, Paul's dog."""
        article = self.pair("les" if plural else "la" if noun.gender == "f" else "le", "")
        if self.chance(0.6):
            owner = self.name()[0]
        else:
            owner = self.noun_phrase(self.noun(["family"]), "my", adjective=0, plural=False).phrase
        of = self.pair("de", "'s")
        return Phrase(before_vowels(article.fr + core.fr) + of.fr + owner.fr, owner.en + of.en + core.en)

    # --- names

    def name(self, gender: str = "", *, known: bool = False) -> tuple[Phrase, str]:
        """Return the name of a person and its gender; an invented name, which can only be copied, has any gender."""
        if not known and self.chance(0.15):
            name = self.invented_name()
            return self.pair(name, name), gender or self.rng.choice("mf")
        name, gender = self.pick([name for name in NAMES if name[1] == gender] if gender else NAMES)
        return self.pair(name, name), gender

    def invented_name(self) -> str:
        """Return a name made of syllables."""
        syllables = [self.rng.choice(SYLLABLES) for _ in range(self.rng.choice((1, 2, 2, 3)))]
        return "".join([*syllables, self.rng.choice(NAME_ENDINGS)]).capitalize()

    def city(self) -> Phrase:
        """Return the name of a city."""
        if self.chance(0.15):
            name = self.invented_name()
            return self.pair(name, name)
        return self.pair(*self.pick(CITIES))

    # --- subjects

    def pronoun(self, *, persons: Sequence[int] = range(6)) -> Subject:
        """Draw a personal pronoun that stands for a person."""
        weights = [(30, 17, 26, 9, 14, 12)[person] for person in persons]
        person = self.rng.choices(persons, weights)[0]
        gender = self.rng.choice("mf")
        fr, en = PRONOUNS[person]
        english, plural = person, person in (3, 5) or (person == 4 and self.chance(0.5))
        if person in (2, 5) and gender == "f":
            fr, en = ("elle", "she") if person == 2 else ("elles", "they")
        elif person == 2 and self.chance(0.1):
            fr, en, english, gender = "on", "we", 3, "m"
        phrase = self.pair(fr, en)
        return Subject(person, gender, plural, phrase, fr, "person", self.number, english, is_pronoun=True)

    def noun_subject(self, found: NounPhrase) -> Subject:
        """Return a noun phrase as a subject."""
        feminine = found.noun.gender == "f"
        pronoun = ("elle" if feminine else "il") + ("s" if found.plural else "")
        kind = "person" if found.noun.kind == "family" else found.noun.kind
        person = 5 if found.plural else 2
        return Subject(person, found.noun.gender, found.plural, found.phrase, pronoun, kind, found.head, person)

    def name_subject(self) -> Subject:
        """Return a name, or two, as a subject."""
        phrase, gender = self.name()
        head = self.number
        if self.chance(0.2):
            other, other_gender = self.name()
            gender = "f" if gender == other_gender == "f" else "m"
            phrase += self.pair("et", "and") + other
            return Subject(5, gender, True, phrase, "elles" if gender == "f" else "ils", "person", head, 5)
        return Subject(2, gender, False, phrase, "elle" if gender == "f" else "il", "person", head, 2)

    def subject(self, kinds: Sequence[str] = ("person", "family"), *, pronouns: float = 0.6) -> Subject:
        """Draw a subject: a pronoun, a name, or a noun phrase of one of several classes."""
        draw = self.rng.random()
        if draw < pronouns:
            return self.pronoun()
        if draw < pronouns + (1 - pronouns) * 0.3 and "person" in kinds:
            return self.name_subject()
        noun = self.noun(kinds)
        det = (
            ""
            if noun.kind == "family"
            else self.rng.choices(("the", "this", "a", "my", "number"), (48, 18, 16, 14, 4))[0]
        )
        if det == "my" and noun.fr[0] in UNOWNED and noun.kind != "family":
            det = "the"
        return self.noun_subject(self.noun_phrase(noun, det))

    # --- places and times

    def place(self, mode: str = "at") -> Phrase:
        """Return a place: "at" where something is, "to" where a person goes."""
        draw = self.rng.random()
        if draw < 0.25:
            home, at, to = self.pick(HOME)
            return self.pair(home, to if mode == "to" else at)
        if draw < 0.37:
            return self.pair("à", "to" if mode == "to" else "in") + self.city()
        if draw < 0.43:
            fr, en = self.pick(COUNTRIES)
            in_fr, _, country_fr = fr.partition(" ")
            in_en, _, country_en = en.partition(" ")
            return self.pair(in_fr, "to" if mode == "to" else in_en) + self.pair(country_fr, country_en)
        if draw < 0.47:
            return self.somebodys_house(mode)
        kinds = ["place", "place", "place", "inside", "surface"] + ["street"] * (mode == "at")
        noun = self.noun(kinds + ["restroom", "land"] * (draw > 0.9))
        det = self.rng.choices(("the", "this", "a"), (82, 12, 6))[0]
        if noun.kind in ("restroom", "land"):
            det = "the"
        if noun.kind == "inside":
            preposition = self.pair("dans", "to" if mode == "to" else "in")
        elif mode == "to" or (noun.kind in ("place", "shop") and self.chance(0.35)):
            if noun.fr[0] in ("école", "maison"):  # "à l'école" and "à la maison" are in HOME: at school, at home
                noun = NOUNS_OF["place"][1]
            preposition = self.pair("à", "to" if mode == "to" else "at")
        elif noun.kind in ("surface", "street") and noun.fr[0] != "rue":
            preposition = self.pair("sur", "on")
        elif noun.kind == "restroom" or (noun.kind == "land" and noun.fr[0] != "mer"):
            preposition = self.pair("à" if noun.fr[0] in ("", "campagne") else "dans", "in")
        else:
            preposition = self.pair(*self.pick(PREPOSITIONS[:-1]))
        if preposition.fr[0][0] == "à":
            det = "the"
        return preposition + self.noun_phrase(noun, det, adjective=0.12, plural=False).phrase

    def somebodys_house(self, mode: str) -> Phrase:
        """Return chez Paul, chez moi: at Paul's house, to my house."""
        at = self.pair("chez", "to" if mode == "to" else "at")
        if self.chance(0.4):
            (stressed, _), owner = self.rng.choices(
                [
                    (STRESSED[0], "my"),
                    (STRESSED[1], "your"),
                    (STRESSED[2], "his"),
                    (STRESSED[3], "her"),
                    (STRESSED[4], "our"),
                ],
                (6, 3, 2, 2, 2),
            )[0]
            return at + self.pair(stressed, f"{owner} house")
        name, _ = self.name()
        house = self.pair("", "'s house")
        return at + name + house

    def thing_place(self) -> Phrase:
        """Return where a thing lies: on the table, in the bag, in the kitchen."""
        draw = self.rng.random()
        if draw < 0.5:
            noun = self.pick(NOUNS_OF["furniture"][:5])
            preposition = self.pair(*self.pick(ON_THINGS))
        elif draw < 0.7:
            noun = self.rng.choice([n for n in NOUNS_OF["thing"] if n.fr[0] in ("sac", "boîte", "panier", "valise")])
            preposition = self.pair("dans", "in")
        else:
            return self.place()
        return (
            preposition
            + self.noun_phrase(noun, self.rng.choice(("the", "the", "my")), adjective=0.1, plural=False).phrase
        )

    def time(self, tense: str) -> Phrase:
        """Return when something happens. Args: tense: "past", "present", "soon", "future" or "habit"."""
        draw = self.rng.random()
        if tense == "soon":
            return self.pair(*self.pick(TIMES["soon"])) if draw < 0.6 else self.pair(*self.pick(DAYS_ON))
        if tense == "habit":
            if draw < 0.25:
                fr, en = self.pick(DAYS)
                return self.pair("le", "on") + self.pair(fr, en + "s")
            return self.pair(*(self.pick(SEASONS) if draw > 0.9 else self.pick(TIMES["habit"])))
        if tense != "present" and draw < 0.35:
            return self.day(tense)
        if tense != "present" and draw < 0.5:
            return self.pair("à", "at") + self.hour()
        if tense == "past" and draw < 0.6:
            n = self.pick(range(2, 13))
            unit = self.pair(
                *self.rng.choice((("jours", "days"), ("ans", "years"), ("mois", "months"), ("semaines", "weeks")))
            )
            ago = self.pair("il y a", "ago")
            count = self.pair(number_fr(n), number_en(n))
            return Phrase(ago.fr + count.fr + unit.fr, count.en + unit.en + ago.en)
        if tense == "past" and draw < 0.65:
            return self.pair("en", "in") + self.year()
        if draw < 0.72 and tense != "present":
            return self.pair("en", "in") + self.pair(*self.pick(MONTHS))
        return self.pair(*self.pick(TIMES[tense]))

    def day(self, tense: str) -> Phrase:
        """Return a day of the week or a date."""
        fr, en = self.pick(DAYS)
        draw = self.rng.random()
        if draw < 0.5:
            return self.pair(fr, f"on {en}")
        if draw < 0.7:
            adjective = ("prochain", "next") if tense == "future" else ("dernier", "last")
            last = self.pair(*adjective)
            name = self.pair(fr, en)
            return Phrase(name.fr + last.fr, last.en + name.en)
        if draw < 0.85:
            part = self.rng.choice((("matin", "morning"), ("soir", "evening"), ("après-midi", "afternoon")))
            return self.pair(fr, f"on {en}") + self.pair(*part)
        date = self.date()
        on = self.pair("", "on")
        return on + date

    def date(self) -> Phrase:
        """Return a date: le trois mai, May 3."""
        n = self.rng.randint(1, 31)
        fr, en = self.pick(MONTHS)
        spelled = "premier" if n == 1 else number_fr(n) if self.chance(0.4) else str(n)
        the, count, month = self.pair("le", ""), self.pair(spelled, str(n)), self.pair(fr, en)
        return Phrase(the.fr + count.fr + month.fr, month.en + count.en)

    def year(self) -> Phrase:
        """Return a year in digits."""
        year = str(self.rng.randint(1920, 2026))
        return self.pair(year, year)

    def hour(self) -> Phrase:
        """Return a time of day: trois heures, three o'clock."""
        draw = self.rng.random()
        if draw < 0.1:
            return self.pair(
                *self.pick((("midi", "noon"), ("minuit", "midnight"), ("midi et demi", "half past twelve")))
            )
        n = self.rng.randint(1, 12)
        hours = "heure" if n == 1 else "heures"
        if draw < 0.22:
            return self.pair(str(n), str(n)) + self.pair(hours, "o'clock")
        name = "une" if n == 1 else number_fr(n)
        if draw < 0.65:
            return self.pair(name, number_en(n)) + self.pair(hours, "o'clock")
        hour = self.pair(name, number_en(n)) + self.pair(hours, "")
        if draw < 0.82:
            part = self.pair("et demie", "half past")
        elif draw < 0.9:
            part = self.pair("et quart", "quarter past")
        elif draw < 0.95:
            part = self.pair("moins le quart", "quarter to")
        else:
            minutes = self.rng.choice((5, 10, 20, 25))
            part = self.pair(number_fr(minutes), f"{number_en(minutes)} past")
        return Phrase(hour.fr + part.fr, part.en + hour.en)


ON_THINGS = translations(lexicon.ON_THINGS)
ADJECTIVES_OF: dict[str, list[Adjective]] = {}
for _adjective in ADJECTIVES:
    for _kind in _adjective.kinds:
        ADJECTIVES_OF.setdefault(_kind, []).append(_adjective)
