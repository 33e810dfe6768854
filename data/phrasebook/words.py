"""The words of the lexicon as objects that know their forms: nouns, adjectives and verbs of both languages, numbers."""

from dataclasses import dataclass
from functools import cached_property

from data.phrasebook import lexicon

PERSONS = range(6)  # grammatical persons: je, tu, il or elle, nous, vous, ils or elles
VOWELS = "aeiouhéèêâîôûœàæ"  # h included: an h is mute unless the word is in ASPIRATED
ASPIRATED = ("huit", "haut", "hauts", "onze", "hamster", "hamsters", "héros", "handball", "oui", "hibou", "hiboux")


def starts_with_vowel(word: str) -> bool:
    """Return whether the French word before `word` is elided (le + ami -> l'ami)."""
    return (word[0].lower() in VOWELS or word == "y") and word not in ASPIRATED


# --- inflection of regular words


def plural_fr(word: str) -> str:
    """Return the regular plural of a French noun or adjective."""
    if word[-1] in "sxz":
        return word
    if word.endswith("al"):
        return word[:-1] + "ux"
    return word + ("x" if word.endswith(("eau", "eu")) and word != "bleu" else "s")


def feminine(word: str) -> str:
    """Return the regular feminine of a French adjective."""
    if word.endswith("e"):
        return word
    for masculine_ending, feminine_ending in (("eux", "euse"), ("er", "ère"), ("if", "ive"), ("en", "enne")):
        if word.endswith(masculine_ending):
            return word.removesuffix(masculine_ending) + feminine_ending
    return word + "e"


def add_s(word: str) -> str:
    """Return the English plural of a noun, or the third person of a verb, where it is regular."""
    if word.endswith(("s", "x", "ch", "sh", "o")) and word not in ("piano", "photo", "radio", "video"):
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeou":
        return word[:-1] + "ies"
    return word + "s"


def doubles_last_letter(word: str) -> bool:
    """Return whether a regular English verb doubles its last consonant (stop -> stopped, stopping)."""
    one_syllable = sum(letter in "aeiou" for letter in word) == 1
    return one_syllable and len(word) > 2 and word[-2] in "aeiou" and word[-1] not in "aeiouwxy"


def add_ed(word: str) -> str:
    """Return the regular past of an English verb."""
    if word.endswith("e"):
        return word + "d"
    if word.endswith("y") and word[-2] not in "aeou":
        return word[:-1] + "ied"
    return word + (word[-1] if doubles_last_letter(word) else "") + "ed"


def add_ing(word: str) -> str:
    """Return the regular present participle of an English verb."""
    if word.endswith("ie"):
        return word[:-2] + "ying"
    if word.endswith("e") and not word.endswith("ee"):
        return word[:-1] + "ing"
    return word + (word[-1] if doubles_last_letter(word) else "") + "ing"


# --- nouns and adjectives


@dataclass(frozen=True)
class Noun:
    """A noun: singular and plural in both languages, gender, and classes, of which the first chooses the adjectives.

    A noun that exists in the plural only (toilettes) has an empty singular.
    """

    fr: tuple[str, str]
    gender: str
    en: tuple[str, str]
    kinds: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The first class of the noun."""
        return self.kinds[0]

    @property
    def mass(self) -> bool:
        """Whether the noun names a substance, which is not counted (du pain, some bread)."""
        return self.kind in ("mass", "drink", "stuff")


@dataclass(frozen=True)
class Adjective:
    """An adjective: French forms (masculine, feminine, both plurals), place, and classes of nouns that it describes."""

    fr: tuple[str, str, str, str]
    en: str
    place: str  # "before" or "after" the French noun; "beside": before it, not after être; "never" beside it
    kinds: frozenset[str]

    def form(self, gender: str, plural: bool) -> str:
        """Return the French form that agrees with a noun."""
        return self.fr[2 * plural + (gender == "f")]


def entries(table: str) -> list[str]:
    """Return the entries of a table of the lexicon, which stand between semicolons and ends of lines."""
    return [entry.strip() for line in table.splitlines() for entry in line.split(";") if entry.strip()]


def translations(table: str) -> list[tuple[str, str]]:
    """Return the (French, English) entries of a table of the form `French = English`."""
    pairs = (entry.split("=") for entry in entries(table))
    return [(fr.strip(), en.strip()) for fr, en in pairs]


def read_noun(entry: str) -> Noun:
    """Return the noun of an entry `French[/plural] gender English[/plural] class...`; `-` stands for no singular."""
    fr, gender, en, *kinds = entry.split()
    (fr_one, _, fr_many), (en_one, _, en_many) = (
        fr.replace("_", " ").partition("/"),
        en.replace("_", " ").partition("/"),
    )
    forms_fr = ("" if fr_one == "-" else fr_one, fr_many or plural_fr(fr_one))
    forms_en = ("" if en_one == "-" else en_one, en_many or add_s(en_one))
    return Noun(forms_fr, gender, forms_en, tuple(kinds))


def read_adjective(entry: str) -> Adjective:
    """Return the adjective of an entry `masculine[,feminine[,plurals]] English place class...`."""
    fr, en, place, *groups = entry.split()
    forms = fr.split(",")
    masculine, feminine_form = forms[0], forms[1] if len(forms) > 1 else feminine(forms[0])
    plurals = forms[2:] or [plural_fr(masculine), plural_fr(feminine_form)]
    kinds = [kind for group in groups for kind in GROUPS.get(group, [group])]
    return Adjective((masculine, feminine_form, plurals[0], plurals[-1]), en.replace("_", " "), place, frozenset(kinds))


# --- verbs


@dataclass(frozen=True)
class FrenchVerb:
    """The French forms of a verb."""

    infinitive: str
    present: tuple[str, ...]  # six persons
    participle: str
    future_stem: str

    @cached_property
    def imparfait(self) -> tuple[str, ...]:
        """The six forms of the imparfait: the stem of `nous` in the présent, and the endings."""
        stem = "ét" if self.infinitive == "être" else self.present[3].removesuffix("ons")
        forms = [stem + ending for ending in lexicon.IMPARFAIT]
        return tuple(form.replace("geio", "gio").replace("geie", "gie").replace("çi", "ci") for form in forms)

    @cached_property
    def future(self) -> tuple[str, ...]:
        """The six forms of the futur simple."""
        return tuple(self.future_stem + ending for ending in lexicon.FUTURE)

    @cached_property
    def conditional(self) -> tuple[str, ...]:
        """The six forms of the conditional."""
        return tuple(self.future_stem + ending for ending in lexicon.IMPARFAIT)

    @cached_property
    def imperative(self) -> tuple[str, str]:
        """The imperative of tu and of vous."""
        if self.infinitive in IMPERATIVES:
            return IMPERATIVES[self.infinitive]
        tu = self.present[1]
        return tu.removesuffix("s") if tu.endswith(("es", "vas")) else tu, self.present[4]


def read_french_verb(infinitive: str) -> FrenchVerb:
    """Return the forms of a French verb: irregular ones from the lexicon, regular ones by the last letters."""
    if infinitive in IRREGULAR:
        *present, participle, future_stem = IRREGULAR[infinitive]
        return FrenchVerb(infinitive, tuple(present), participle, future_stem)
    stem, ending = infinitive[:-2], infinitive[-2:]
    if ending == "ir":
        endings = ("is", "is", "it", "issons", "issez", "issent")
        return FrenchVerb(infinitive, tuple(stem + e for e in endings), stem + "i", infinitive)
    if ending == "re":
        endings = ("s", "s", "", "ons", "ez", "ent")
        return FrenchVerb(infinitive, tuple(stem + e for e in endings), stem + "u", infinitive[:-1])
    strong = STRONG_STEMS.get(infinitive, stem)  # of the forms whose ending is silent: j'achète
    nous = stem + {"g": "e"}.get(stem[-1], "") if stem[-1] != "c" else stem[:-1] + "ç"
    forms = (strong + "e", strong + "es", strong + "e", nous + "ons", stem + "ez", strong + "ent")
    return FrenchVerb(infinitive, forms, stem + "é", infinitive if "é" in stem else strong + "er")


@dataclass(frozen=True)
class EnglishVerb:
    """The English forms of a verb; words that follow it (look at) are part of each form."""

    base: str
    third: str  # present of he, she and it
    past: str
    ing: str


def read_english_verb(words: str) -> EnglishVerb:
    """Return the forms of an English verb and of the words that follow it."""
    verb, _, rest = words.partition(" ")
    irregular = IRREGULAR_ENGLISH.get(verb, [])
    past = irregular[0] if irregular else add_ed(verb)
    ing = irregular[1] if len(irregular) > 1 else add_ing(verb)
    third = {"have": "has", "be": "is"}.get(verb) or add_s(verb)
    return EnglishVerb(*(f"{form} {rest}".strip() for form in (verb, third, past, ing)))


@dataclass(frozen=True)
class Verb:
    """A verb of both languages in one meaning.

    aspect: "action" (English speaks of it with -ing), "event" (an action without duration) or "state" (simple tenses).
    objects: classes of nouns that may be its object.
    alone: whether it stands without an object.
    tail: French words that follow it: a preposition (parler à) or a fixed object (faire la vaisselle).
    first: whether this is the first meaning of the French verb with an object, the one that object pronouns have.
    """

    fr: FrenchVerb
    en: EnglishVerb
    aspect: str
    objects: tuple[str, ...] = ()
    alone: bool = True
    tail: str = ""
    reflexive: bool = False
    etre: bool = False  # whether être is the auxiliary of its passé composé
    first: bool = True

    @property
    def progressive(self) -> bool:
        """Whether English uses the progressive for what happens now."""
        return self.aspect != "state"

    @property
    def dative(self) -> bool:
        """Whether the object follows `à`, so that its pronouns are lui and leur."""
        return self.tail == "à"

    @property
    def personal(self) -> bool:
        """Whether an object pronoun of the verb stands for a person rather than a thing."""
        return bool(self.objects) and self.objects[0] in ("person", "family")


def read_verb(entry: str) -> Verb:
    """Return the verb of an entry `[se] infinitive [words] = English words | aspect [class...]`; `-` for no object."""
    meaning, _, grammar = entry.partition("|")
    french, _, english = meaning.partition("=")
    reflexive = french.split()[0] in ("se", "s'")
    infinitive, *tail = french.split()[reflexive:]
    aspect, *groups = grammar.split()
    kinds = dict.fromkeys(kind for group in groups for kind in GROUPS.get(group, [group]))
    objects = tuple(kind for kind in kinds if kind != "-")
    return Verb(
        fr=read_french_verb(infinitive),
        en=read_english_verb(english.strip().replace("_", " ")),
        aspect=aspect,
        objects=objects,
        alone=not objects or "-" in kinds,
        tail=" ".join(tail),
        reflexive=reflexive,
        etre=reflexive or infinitive in ETRE_VERBS,
    )


def read_verbs(table: str) -> list[Verb]:
    """Return the verbs of a table; of a French verb with several meanings, only the first takes object pronouns."""
    verbs: list[Verb] = []
    seen = set()
    for entry in entries(table):
        verb = read_verb(entry)
        key = (verb.fr.infinitive, verb.tail, bool(verb.objects))
        verbs.append(Verb(**(vars(verb) | {"first": key not in seen})))
        seen.add(key)
    return verbs


# --- numbers


def number_fr(n: int) -> str:
    """Return a French cardinal from 0 to 100."""
    if n < len(UNITS_FR):
        return UNITS_FR[n]
    if n == 100:
        return "cent"
    tens, unit = divmod(n, 10)
    if tens in (7, 9):
        tens, unit = tens - 1, unit + 10
    if unit == 0:
        return TENS_FR[tens] + ("s" if tens == 8 else "")
    if unit in (1, 11) and tens != 8:
        return f"{TENS_FR[tens]} et {UNITS_FR[unit]}"
    return f"{TENS_FR[tens]}-{UNITS_FR[unit]}"


def number_en(n: int) -> str:
    """Return an English cardinal from 0 to 100."""
    if n < len(UNITS_EN):
        return UNITS_EN[n]
    if n == 100:
        return "a hundred"
    tens, unit = divmod(n, 10)
    return TENS_EN[tens] + (f"-{UNITS_EN[unit]}" if unit else "")


# --- the tables of the lexicon, read

GROUPS = {name: kinds.split() for name, kinds in translations(lexicon.GROUPS)}
STRONG_STEMS = dict(translations(lexicon.STRONG_STEMS))
IRREGULAR = {verb: forms.split() for verb, forms in translations(lexicon.IRREGULAR)}
IRREGULAR_ENGLISH = {verb: forms for verb, *forms in map(str.split, entries(lexicon.IRREGULAR_ENGLISH))}
IMPERATIVES = {"être": ("sois", "soyez"), "avoir": ("aie", "ayez"), "savoir": ("sache", "sachez")}
ETRE_VERBS = set(lexicon.ETRE_VERBS.split())
UNITS_FR, TENS_FR = lexicon.UNITS_FR.split(), dict(zip(range(2, 9), lexicon.TENS_FR.split(), strict=False))
UNITS_EN, TENS_EN = lexicon.UNITS_EN.split(), dict(zip(range(2, 10), lexicon.TENS_EN.split(), strict=True))
TENS_FR[8] = "quatre-vingt"

NOUNS = [read_noun(entry) for entry in entries(lexicon.NOUNS)]
NOUNS_OF: dict[str, list[Noun]] = {}
for _noun in NOUNS:
    for _kind in _noun.kinds:
        NOUNS_OF.setdefault(_kind, []).append(_noun)
ADJECTIVES = [read_adjective(entry) for entry in entries(lexicon.ADJECTIVES)]
RIVALS = [set(entry.replace("_", " ").split(",")) for entry in entries(lexicon.RIVALS)]
VERBS = read_verbs(lexicon.VERBS)
DATIVE_VERBS = read_verbs(lexicon.DATIVE_VERBS)
PLACING_VERBS = read_verbs(lexicon.PLACING_VERBS)
INFINITIVE_VERBS = read_verbs(lexicon.INFINITIVE_VERBS)
