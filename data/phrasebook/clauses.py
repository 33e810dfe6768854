"""Rules for clauses: verbs with their subjects, objects and tenses, as statements and as questions."""

from dataclasses import dataclass

from data.phrasebook import lexicon
from data.phrasebook.phrases import COUNTRIES, GENERIC, MEASURES, STRESSED, UNOWNED, PhraseRules, Subject
from data.phrasebook.rendering import Phrase
from data.phrasebook.words import (
    DATIVE_VERBS,
    INFINITIVE_VERBS,
    NOUNS_OF,
    PLACING_VERBS,
    VERBS,
    Noun,
    Verb,
    entries,
    number_en,
    number_fr,
    read_french_verb,
    read_verb,
    read_verbs,
    starts_with_vowel,
    translations,
)

BE, HAVE = read_verb("être = be | state"), read_verb("avoir = have | state person")
HAVE_STATE = read_verb("avoir = be | state")
GO, FEEL = read_verb("aller = go | action"), read_verb("aller = be | state")
AVOIR, ALLER, ETRE = (read_french_verb(verb) for verb in ("avoir", "aller", "être"))
BE_NOW, BE_PAST = ("am", "are", "is", "are", "are", "are"), ("was", "were", "was", "were", "were", "were")
REFLEXIVE = ("me", "te", "se", "nous", "vous", "se")

VERBS_ALONE = [verb for verb in VERBS if verb.alone and verb.fr.infinitive not in ("habiter", "vivre")]
VERBS_WITH_OBJECT = [verb for verb in VERBS if verb.objects]
NO_PRONOUN = {"sport", "tv", "subject", "asked", "language"}  # classes of objects
PRONOUN_VERBS = [
    verb
    for verb in VERBS_WITH_OBJECT
    if verb.first and verb.tail in ("", "à") and not verb.en.base.endswith(" on") and not NO_PRONOUN & set(verb.objects)
]
CLITIC_VERBS = [verb for verb in PRONOUN_VERBS if verb.fr.infinitive != "penser"]  # penser à lui, not lui penser
WANTED_ALONE = [verb for verb in VERBS_ALONE if verb.progressive and verb.fr.infinitive != "mourir"]
WANTED_WITH_OBJECT = [verb for verb in VERBS_WITH_OBJECT if verb.progressive]
VEHICLE_VERBS = read_verbs(lexicon.VEHICLES_DO)
DOINGS = {  # what subjects of a class do
    "animal": [verb for verb in VERBS if verb.fr.infinitive in lexicon.ANIMALS_DO.split()],
    "robot": [verb for verb in VERBS if verb.fr.infinitive in lexicon.ROBOTS_DO.split()],
    "vehicle": VEHICLE_VERBS,
}
BE_STATES, HAVE_STATES = translations(lexicon.BE_STATES), translations(lexicon.HAVE_STATES)
DEGREES, HEALTH = translations(lexicon.DEGREES), translations(lexicon.HEALTH)
FREQUENCIES, MANNERS = translations(lexicon.FREQUENCIES), translations(lexicon.MANNERS)
MANNER_VERBS = lexicon.MANNER_VERBS.split()
GENERIC_VERBS = ("aimer", "adorer", "détester", "préférer")  # of things in general: aimer le café, like coffee
FORMS = ("est-ce que", "inversion", "intonation")


@dataclass(frozen=True)
class Clitic:
    """An object pronoun: before the French verb, behind the English one; gender and number agree with a participle."""

    fr: str
    en: str
    gender: str = "m"
    plural: bool = False


def inversion(finite: str, pronoun: str) -> str:
    """Return what is attached to an inverted verb: -tu, or -t-il between two vowels."""
    return ("-t-" if finite[-1] in "ae" and pronoun[0] in "ieo" else "-") + pronoun


def tail_words(verb: Verb, negation: str) -> list[str]:
    """Return the words after a verb; an indefinite article becomes `de` after a negation (pas de sport)."""
    words = verb.tail.split()
    if negation and verb.fr.infinitive in ("faire", "prendre") and words and words[0] in ("du", "une", "des"):
        words[0] = "de"
    return words


@dataclass(frozen=True)
class VerbForms:
    """A conjugated verb.

    finite, rest: the French verb, and its participle or infinitive.
    aux: the English auxiliary, empty in simple tenses; main: what follows it, or the verb of a simple tense.
    support: the form of `do` that questions and negations of simple tenses have, before `base`.
    """

    finite: str
    rest: str
    aux: str
    main: str
    support: str = ""
    base: str = ""


def agreement(participle: str, gender: str, plural: bool) -> str:
    """Return a participle with its endings."""
    feminine = participle + "e" if gender == "f" else participle
    return feminine + "s" if plural and feminine[-1] != "s" else feminine


def conjugate(verb: Verb, subject: Subject, tense: str, *, simple: bool, clitic: Clitic | None = None) -> VerbForms:
    """Return the forms of a verb.

    Args:
        verb: the verb.
        subject: person and gender.
        tense: "present", "past" (passé composé), "imparfait", "near" (futur proche), "future" or "conditional".
        simple: whether English has a simple tense where it might be progressive.
        clitic: an object pronoun, with which the participle agrees.
    """
    person, english = subject.person, subject.english
    fr, en = verb.fr, verb.en
    is_be = en.base == "be" or en.base.startswith("be ")
    simple = simple or not verb.progressive
    base = en.base
    if tense == "near":
        return VerbForms(ALLER.present[person], fr.infinitive, BE_NOW[english], f"going to {base}")
    if tense in ("future", "conditional"):
        finite = (fr.future if tense == "future" else fr.conditional)[person]
        if verb.aspect == "modal":
            return VerbForms(finite, "", "could" if base == "can" else "should", "")
        if tense == "conditional":
            base = base.replace("want", "like")
        return VerbForms(finite, "", "will" if tense == "future" else "would", base)
    finite, rest = (fr.imparfait if tense == "imparfait" else fr.present)[person], ""
    if tense == "past":
        finite = (ETRE if verb.etre else AVOIR).present[person]
        if verb.etre and not (verb.reflexive and verb.tail):
            rest = agreement(fr.participle, subject.gender, subject.plural)
        elif clitic and not verb.dative:
            rest = agreement(fr.participle, clitic.gender, clitic.plural)
        else:
            rest = fr.participle
    past = tense != "present"
    if verb.aspect == "modal":
        return VerbForms(finite, rest, base if not past else "could", "")
    if is_be:
        return VerbForms(finite, rest, (BE_PAST if past else BE_NOW)[english], base[3:])
    if tense == "past" or (past and simple):
        return VerbForms(finite, rest, "", en.past, "did", base)
    if not simple:
        return VerbForms(finite, rest, (BE_PAST if past else BE_NOW)[english], en.ing)
    third = english == 2
    return VerbForms(finite, rest, "", en.third if third else base, "does" if third else "do", base)


class ClauseRules(PhraseRules):
    """Rules that draw clauses."""

    # --- a verb with its subject

    def verb_phrase(
        self,
        subject: Subject,
        verb: Verb,
        tense: str,
        *,
        form: str = "statement",
        negation: str = "",
        simple: bool = False,
        clitic: Clitic | None = None,
        adverb: Phrase | None = None,
    ) -> Phrase:
        """Return subject and verb.

        Args:
            subject, verb: what they are.
            tense, simple: see `conjugate`.
            form: "statement"; "after qui", a question about the subject; or a question by "est-ce que", by "intonation"
                or by "inversion", which resumes a noun by a pronoun.
            negation: "", "pas", "jamais", "plus" or "rien".
            clitic: an object pronoun.
            adverb: how often it happens; before the English verb, behind the French one.
        """
        if form == "inversion" and subject.person == 0:  # je is not inverted
            form = "est-ce que"
        separate = tense == "near"  # the infinitive and its translation have a number of their own
        forms = conjugate(verb, subject, tense, simple=simple or negation == "jamais", clitic=clitic)
        finite = self.pair(forms.finite, forms.aux)  # only its number is used
        number = finite.fr[0][1]
        rest_number = self.pair("x", "x").fr[0][1] if separate else number
        question = form in FORMS

        object_pronoun = self.pair(clitic.fr, clitic.en) if clitic else Phrase()
        if verb.reflexive:
            object_pronoun = Phrase(((REFLEXIVE[subject.person], rest_number),))
        negative = self.pair(f"ne {negation}", NEGATIONS[negation]) if negation else Phrase()
        marker = self.pair("est-ce que", "").fr if form == "est-ce que" else ()
        inverted = ((inversion(forms.finite, subject.pronoun), subject.head),) if form == "inversion" else ()
        named = not (form == "after qui" or (form == "inversion" and subject.is_pronoun))
        rest = ((forms.rest, rest_number),) if forms.rest else ()
        tail = () if clitic and verb.dative else tuple((word, rest_number) for word in tail_words(verb, negation))
        french = (
            *marker,
            *(subject.phrase.fr if named else ()),
            *negative.fr[:1],
            *(() if separate else object_pronoun.fr),
            (forms.finite, number),
            *inverted,
            *negative.fr[1:],
            *(adverb.fr if adverb else ()),
            *(object_pronoun.fr if separate else ()),
            *rest,
            *tail,
        )
        if form == "intonation":
            self.mark_needed = True

        supported = not forms.aux and (question or negation in ("pas", "rien"))
        aux, main = (forms.support, forms.base) if supported else (forms.aux, forms.main)
        aux_number = marker[0][1] if marker and supported else number
        auxiliary = ((aux, aux_number),) if aux else ()
        who = () if form == "after qui" else subject.phrase.en
        words = main.split()
        n_first = 2 if separate else 0  # "going to" belongs to the finite verb
        english = (
            *(auxiliary + who if question else who + auxiliary),
            *(negative.en[:1] if negation == "rien" else negative.en),
            *(adverb.en if adverb else ()),
            *((word, number) for word in words[:n_first]),
            *((word, rest_number) for word in words[n_first:]),
            *object_pronoun.en,
            *(negative.en[1:] if negation == "rien" else ()),
        )
        return Phrase(french, english)

    def infinitive(self, verb: Verb, subject: Subject, clitic: Clitic | None = None) -> Phrase:
        """Return an infinitive whose reflexive pronoun belongs to `subject`."""
        words = verb.fr.infinitive if clitic and verb.dative else f"{verb.fr.infinitive} {verb.tail}"
        if verb.reflexive:
            words = f"{REFLEXIVE[subject.person]} {words}"
        found = self.pair(words, verb.en.base)
        if clitic is None:
            return found
        pronoun = self.pair(clitic.fr, clitic.en)
        return Phrase(pronoun.fr + found.fr, found.en + pronoun.en)

    # --- what stands beside the verb

    def negation(self, form: str = "statement") -> str:
        """Draw a negation, which is mostly none."""
        draw = self.rng.random()
        if form != "statement":
            return "pas" if draw < 0.07 else ""
        return "pas" if draw < 0.19 else "jamais" if draw < 0.215 else "plus" if draw < 0.23 else ""

    def tense(self) -> str:
        """Draw a tense; in clauses that others surround, the présent."""
        if self.inner:
            return "present"
        return self.rng.choices(("present", "past", "near", "imparfait", "future"), (52, 22, 11, 7, 8))[0]

    def with_time(self, clause: Phrase, tense: str, *, simple: bool, front: bool = True) -> Phrase:
        """Add when it happens, before a comma or at the end."""
        when = {"past": "past", "imparfait": "past", "near": "future", "future": "future"}.get(tense, "present")
        if tense == "present":
            when = "habit" if simple else self.rng.choice(("present", "present", "soon"))
        time = self.time(when)
        if front and self.chance(0.3) and not self.inner:
            return time + self.comma() + clause
        return clause + time

    def clitic(self, verb: Verb, subject: Subject, *, before_vowel: bool = False) -> Clitic:
        """Draw an object pronoun: lui of verbs with à, him of verbs whose objects are persons, otherwise it and them.

        Where `l'` hides the gender, it stands for a masculine (him).
        """
        rng = self.rng
        others = [p for p in (0, 1, 3, 4) if p % 3 != subject.person % 3 and p != subject.person]
        if verb.personal and self.chance(0.6) and others:
            person = rng.choice(others)
            fr, en = (("me", "me"), ("te", "you"), ("", ""), ("nous", "us"), ("vous", "you"))[person]
            return Clitic(fr, en, rng.choice("mf"), person == 3)
        if verb.dative:
            return rng.choice((Clitic("lui", "him"), Clitic("lui", "him"), Clitic("leur", "them", plural=True)))
        if self.chance(0.25):
            return Clitic("les", "them", rng.choice("mf"), True)
        if self.chance(0.5) and not before_vowel:
            return Clitic("la", "her" if verb.personal else "it", "f")
        return Clitic("le", "him" if verb.personal else "it")

    def object(self, verb: Verb, subject: Subject | None = None, *, negated: bool = False) -> Phrase:
        """Return an object of a verb."""
        noun = self.noun(verb.objects)
        if noun.kind in ("person", "family") and self.chance(0.15):
            return self.name()[0]
        eaten = verb.fr.infinitive in ("manger", "boire")
        det = self.object_determiner(verb, noun)
        if det in ("generic", "bare"):
            plural = not noun.mass and noun.kind not in GENERIC
            return self.noun_phrase(noun, det, adjective=0, plural=plural).phrase
        return self.noun_phrase(noun, det, owner=subject, negated=negated, eaten=eaten).phrase

    def object_determiner(self, verb: Verb, noun: Noun) -> str:
        """Return the kind of determiner of an object, empty if it is any.

        What is liked is a kind of things (aimer les pommes, like apples) or a known thing; who is loved is known.
        """
        known = (
            "my"
            if noun.kind == "family"
            else self.rng.choice(("the", "this", "this" if noun.fr[0] in UNOWNED else "my"))
        )
        if noun.kind == "language":
            return "bare" if verb.fr.infinitive == "parler" else "generic"
        if verb.fr.infinitive in GENERIC_VERBS:
            if noun.mass or noun.kind in GENERIC:
                return "generic"
            if noun.kind in ("food", "text", "clothes") or (noun.kind == "animal" and verb.en.base != "love"):
                return "generic" if self.chance(0.6) and noun.fr[1] else "this"
            return known
        known_verbs = ("know", "think of", "speak to", "call", "answer")
        return known if verb.en.base in known_verbs or noun.kind == "family" else ""

    # --- kinds of clauses

    def be_clause(self, form: str) -> Phrase:
        """Je suis très fatigué."""
        draw = self.rng.random()
        if draw < 0.82:
            subject = self.subject()
        else:
            kind = self.rng.choice(
                (
                    "animal",
                    "thing",
                    "food",
                    "vehicle",
                    "place",
                    "shop",
                    "clothes",
                    "furniture",
                    "robot",
                    "idea",
                    "opening",
                )
            )
            noun = self.noun([kind])
            subject = self.noun_subject(
                self.noun_phrase(noun, self.rng.choice(("the", "the", "this", "my")), adjective=0.05)
            )
        kind = self.rng.choices(("present", "imparfait", "future", "near"), (80, 12, 5, 3))[0]
        negation = self.negation(form)
        adverb = self.frequency() if kind == "present" and not negation and self.chance(0.05) else None
        clause = self.verb_phrase(subject, BE, kind, form=form, negation=negation, adverb=adverb)
        clause += self.described(subject)
        if self.chance(0.1):
            times = {"present": "present", "imparfait": "past"}
            clause = (
                self.with_time(clause, kind, simple=bool(adverb), front=form == "statement")
                if kind in times and not adverb
                else clause
            )
        return clause

    def described(self, subject: Subject) -> Phrase:
        """Return an adjective after être, perhaps with an adverb of degree."""
        adjective = self.adjective(subject.kind, ("before", "after", "never"))
        if adjective is None:
            return self.pair("là", "there")
        degree = Phrase()
        if self.chance(0.18) and adjective.en not in NOT_GRADED:
            degree = self.pair(*self.pick(DEGREES))
        return degree + self.pair(adjective.form(subject.gender, subject.plural), adjective.en)

    def state_clause(self, form: str) -> Phrase:
        """J'ai faim; je suis en retard; ma mère est à la maison; je vais bien."""
        subject, negation, draw = self.subject(), self.negation(form), self.rng.random()
        tense = self.rng.choices(("present", "imparfait"), (85, 15))[0]
        if draw < 0.5:
            verb, rest = HAVE_STATE, self.pair(*self.pick(HAVE_STATES))
        elif draw < 0.62:
            verb, (fr, en) = FEEL, self.pick(HEALTH)
            tense = "present"
            if negation:
                negation, fr, en = "pas", "bien", "well"
            rest = self.pair(fr, en)
        elif draw < 0.85:
            verb, rest = BE, self.place()
        else:
            verb, rest = BE, self.pair(*self.pick(BE_STATES))
        return self.verb_phrase(subject, verb, tense, form=form, negation=negation) + rest

    def possession_clause(self, form: str) -> Phrase:
        """J'ai un chien."""
        subject, negation = self.subject(), self.negation(form)
        noun = self.noun(("family", "animal", "thing", "vehicle", "clothes", "text", "stuff", "idea"))
        if "unique" in noun.kinds or not noun.fr[0] or noun.fr[0] in UNOWNED:
            noun = NOUNS_OF["family"][2]
        tense = self.rng.choices(("present", "imparfait", "future"), (85, 10, 5))[0]
        det = self.rng.choice(("a", "a", "a", "number", "count")) if not negation else "a"
        clause = self.verb_phrase(subject, HAVE, tense, form=form, negation=negation)
        return clause + self.noun_phrase(noun, det, negated=bool(negation), adjective=0.15).phrase

    def age_clause(self, form: str) -> Phrase:
        """J'ai vingt ans."""
        subject = self.subject()
        return self.verb_phrase(subject, HAVE_STATE, "present", form=form) + self.age()

    def age(self) -> Phrase:
        """Return a number of years: vingt ans, twenty years old."""
        n = self.rng.choice((self.rng.randint(2, 20), self.rng.randint(2, 99)))
        fr, en = (str(n), str(n)) if self.chance(0.15) else (number_fr(n), number_en(n))
        return self.pair(fr, en) + self.pair("ans", "years old")

    def go_clause(self, form: str) -> Phrase:
        """Je vais à l'école."""
        subject, tense, negation = self.subject(), self.tense(), self.negation(form)
        habit = tense == "present" and form == "statement" and self.chance(0.15)
        clause = self.verb_phrase(subject, GO, tense, form=form, negation=negation, simple=habit) + self.place("to")
        if habit or self.chance(0.3):
            clause = self.with_time(clause, tense, simple=habit or negation == "jamais", front=form == "statement")
        return clause

    def residence_clause(self, form: str) -> Phrase:
        """Zoé habite à Paris."""
        subject, negation = self.subject(pronouns=0.5), self.negation(form)
        verb = self.pick(RESIDENCE_VERBS)
        tense = self.rng.choices(("present", "imparfait"), (88, 12))[0]
        draw = self.rng.random()
        if draw < 0.6:
            where = self.pair("à", "in") + self.city()
        elif draw < 0.75:
            where = self.pair(*self.pick(COUNTRIES))
        else:
            noun = self.noun(["home"] if verb.en.base == "live" else ["place"])
            where = (
                self.pair("dans", "in")
                + self.noun_phrase(noun, self.rng.choice(("a", "a", "this")), plural=False).phrase
            )
        return self.verb_phrase(subject, verb, tense, form=form, negation=negation, simple=True) + where

    def frequency(self) -> Phrase:
        """Return how often something happens."""
        return self.pair(*self.pick(FREQUENCIES))

    def action_clause(self, form: str, subject: Subject | None = None, *, question: bool = False) -> Phrase:
        """Le chat mange la souris; elle lit un livre; je travaille demain."""
        rng = self.rng
        subject = subject or self.subject(
            self.rng.choices((("person", "family"), ("animal",), ("robot",), ("vehicle",)), (84, 11, 2, 3))[0]
        )
        with_object = self.chance(0.58)
        doings = DOINGS.get(subject.kind)
        verb = self.pick(doings or (VERBS_WITH_OBJECT if with_object else VERBS_ALONE))
        with_object = bool(verb.objects) and (with_object or not verb.alone)
        tense, negation = self.tense(), self.negation(form)
        if tense == "imparfait" and verb.aspect == "event":
            tense = "past"
        if negation in ("jamais", "plus") and tense != "present":
            negation = "pas"
        if verb.objects and verb.alone and not with_object and negation == "pas" and self.chance(0.2):
            negation = "rien"
        draw = rng.random()
        habit = tense == "present" and negation not in ("plus", "rien") and draw < 0.12
        adverb = self.frequency() if habit and not negation and draw < 0.06 else None
        clause = self.verb_phrase(subject, verb, tense, form=form, negation=negation, simple=habit, adverb=adverb)
        if with_object:
            clause += self.object(verb, subject, negated=negation in ("pas", "jamais", "plus"))
        elif verb.fr.infinitive in MANNER_VERBS and tense == "present" and self.chance(0.15):
            clause += self.pair(*self.pick(MANNERS))
        elif (
            verb.aspect == "action"
            and not verb.tail
            and not verb.reflexive
            and subject.kind != "vehicle"
            and self.chance(0.3)
            and not question
        ):
            clause += self.pair("avec", "with") + self.company() if self.chance(0.25) else self.place()
        simple = habit or negation == "jamais"
        timed = (habit and adverb is None) or (self.chance(0.2) and adverb is None and not question)
        if timed and (verb.progressive or tense != "present" or simple):
            clause = self.with_time(clause, tense, simple=simple, front=form == "statement")
        return clause

    def company(self) -> Phrase:
        """Return whom a person is with."""
        draw = self.rng.random()
        if draw < 0.4:
            return self.pair(*self.pick(STRESSED))
        if draw < 0.6:
            return self.name()[0]
        return self.noun_phrase(self.noun(["family", "animal"]), "my", adjective=0.05).phrase

    def pronoun_clause(self, form: str) -> Phrase:
        """Je t'aime; je ne l'ai pas vu."""
        subject, verb = self.subject(pronouns=0.75), self.pick(PRONOUN_VERBS)
        tense = self.rng.choices(("present", "past", "near", "future"), (60, 22, 12, 6))[0]
        negation = self.negation(form)
        if negation in ("jamais", "plus") and tense != "present":
            negation = "pas"
        next_word = {"past": "a", "near": verb.fr.infinitive, "future": verb.fr.future_stem}.get(
            tense, verb.fr.present[0]
        )
        hidden = starts_with_vowel(next_word) and tense != "past"
        clitic = self.clitic(verb, subject, before_vowel=hidden)
        if verb.fr.infinitive == "penser":
            return self.verb_phrase(subject, verb, tense, form=form, negation=negation) + self.pair(
                *self.pick(STRESSED)
            )
        clause = self.verb_phrase(subject, verb, tense, form=form, negation=negation, clitic=clitic)
        if self.chance(0.08) and tense != "present":
            clause = self.with_time(clause, tense, simple=False, front=form == "statement")
        return clause

    def infinitive_clause(self, form: str) -> Phrase:
        """Je veux dormir; pouvez-vous m'aider; je voudrais un café."""
        subject, verb = self.subject(pronouns=0.8), self.pick(INFINITIVE_VERBS)
        negation = "pas" if self.negation(form) else ""
        if verb.fr.infinitive in ("adorer", "détester", "oublier"):
            negation = ""
        if form != "statement" and verb.en.base == "must":
            form = "statement"
        tense = "present"
        if verb.fr.infinitive in ("vouloir", "aimer", "devoir", "pouvoir") and self.chance(0.25):
            tense = "conditional"
        elif verb.fr.infinitive in ("vouloir", "aimer", "espérer") and self.chance(0.15):
            tense = "imparfait"
        elif verb.aspect in ("event", "action") and self.chance(0.35):
            tense = "past"
        clause = self.verb_phrase(subject, verb, tense, form=form, negation=negation)
        if verb.fr.infinitive == "savoir":
            skill = self.pick([v for v in VERBS_ALONE if v.fr.infinitive in SKILLS])
            return clause + self.infinitive(skill, subject)
        return clause + self.infinitive_with_object(subject, elided=not verb.tail)

    def infinitive_with_object(self, subject: Subject, *, elided: bool = True) -> Phrase:
        """Return an infinitive with an object or an object pronoun; `elided`: le and les may begin it."""
        draw = self.rng.random()
        if draw < 0.2 and elided:
            verb = self.pick(CLITIC_VERBS)
            clitic = self.clitic(verb, subject, before_vowel=starts_with_vowel(verb.fr.infinitive))
            return self.infinitive(verb, subject, clitic)
        if draw < 0.3:
            return self.infinitive(GO, subject) + self.place("to")
        verb = self.pick(WANTED_WITH_OBJECT if self.chance(0.5) else WANTED_ALONE)
        found = self.infinitive(verb, subject)
        if verb.objects and (not verb.alone or self.chance(0.5)):
            found += self.object(verb, subject)
        return found

    def wish_clause(self, form: str) -> Phrase:
        """Je voudrais un café."""
        polite = self.chance(0.65)
        subject = self.pronoun(persons=(0, 0, 3, 2) if form == "statement" else (1, 4))
        negation = "pas" if not polite and self.negation(form) else ""
        kinds = ("cup", "drink", "mass", "food", "food", "thing", "clothes")
        noun = self.noun(kinds)
        clause = self.verb_phrase(subject, WANT, "conditional" if polite else "present", form=form, negation=negation)
        det = self.rng.choice(("a", "a", "a", "this", "number", "the")) if not negation else "a"
        if noun.kind == "drink" and not negation:
            draw = self.rng.random()
            if "cup" in noun.kinds and draw < 0.5:
                n = self.rng.choice((1, 1, 1, 2, 3))
                self.nouns.append(self.number)
                is_feminine = noun.gender == "f"
                if n == 1:
                    return clause + self.pair("une" if is_feminine else "un", "a") + self.pair(noun.fr[0], noun.en[0])
                return clause + self.pair(number_fr(n), number_en(n)) + self.pair(noun.fr[1], noun.en[1])
            if draw < 0.65 and "cup" not in noun.kinds:
                return clause + self.pair(*self.pick(MEASURES)) + self.pair(noun.fr[0], noun.en[0])
            det = "a"
        if noun.mass and det == "number":
            det = "a"
        return clause + self.noun_phrase(noun, det, negated=bool(negation), adjective=0.1).phrase

    def dative_clause(self, form: str) -> Phrase:
        """Il me donne un livre; il donne un livre à Marie."""
        subject, verb = self.subject(pronouns=0.7), self.pick(DATIVE_VERBS)
        tense, negation = (
            self.rng.choices(("present", "past", "near"), (5, 3, 2))[0],
            "pas" if self.negation(form) else "",
        )
        what = self.noun_phrase(self.noun(verb.objects), negated=bool(negation), owner=subject, adjective=0.1).phrase
        if self.chance(0.5):
            others = [
                c
                for c in DATIVES
                if c.fr != REFLEXIVE[subject.person] and not (subject.english == 3 and c.fr == "nous")
            ]
            return (
                self.verb_phrase(subject, verb, tense, form=form, negation=negation, clitic=self.rng.choice(others))
                + what
            )
        clause = self.verb_phrase(subject, verb, tense, form=form, negation=negation) + what
        return clause + self.pair("à", "to") + self.receiver()

    def receiver(self) -> Phrase:
        """Return a person."""
        if self.chance(0.5):
            return self.name()[0]
        return self.noun_phrase(self.noun(["family"]), "my", adjective=0, plural=False).phrase

    def placing_clause(self, form: str) -> Phrase:
        """Elle met le livre sur la table."""
        subject, verb = self.subject(pronouns=0.7), self.pick(PLACING_VERBS)
        tense = self.rng.choices(("present", "past", "near"), (5, 4, 1))[0]
        what = self.noun_phrase(
            self.noun(verb.objects), self.rng.choice(("the", "the", "my", "a", "own")), owner=subject, adjective=0.1
        ).phrase
        return self.verb_phrase(subject, verb, tense, form=form, negation="") + what + self.thing_place()

    def clause(self, form: str = "statement") -> Phrase:
        """Draw a clause of any kind."""
        draw = self.rng.random()
        for probability, rule in CLAUSES:
            if draw < probability:
                return rule(self, form)
            draw -= probability
        return self.action_clause(form)


SKILLS = lexicon.SKILLS.split()
NEGATIONS = {"pas": "not", "jamais": "never", "plus": "no longer", "rien": "not anything"}
NOT_GRADED = set(entries(lexicon.NOT_GRADED))
DATIVES = [
    Clitic(fr, en)
    for fr, en in (("me", "me"), ("te", "you"), ("lui", "him"), ("nous", "us"), ("vous", "you"), ("leur", "them"))
]
WANT = read_verb("vouloir = want | state thing")
RESIDENCE_VERBS = [
    read_verb(f"{fr} = {en} | state")
    for fr, en in (("habiter", "live"), ("travailler", "work"), ("vivre", "live"), ("étudier", "study"))
]
CLAUSES = (
    (0.20, ClauseRules.be_clause),
    (0.12, ClauseRules.state_clause),
    (0.05, ClauseRules.possession_clause),
    (0.02, ClauseRules.age_clause),
    (0.07, ClauseRules.go_clause),
    (0.04, ClauseRules.residence_clause),
    (0.08, ClauseRules.pronoun_clause),
    (0.07, ClauseRules.infinitive_clause),
    (0.04, ClauseRules.wish_clause),
    (0.03, ClauseRules.dative_clause),
    (0.02, ClauseRules.placing_clause),
)
