"""Rules for what is presented: c'est, il y a, voici, names, professions, ages, times, dates and weather."""

from data.phrasebook import lexicon
from data.phrasebook.clauses import BE, BE_PAST, DEGREES, HAVE, NOT_GRADED, ClauseRules
from data.phrasebook.phrases import DAYS, MONTHS, OWNERS, PLACES, SAID_ALONE, SINGULAR, UNOWNED, NounPhrase, Subject
from data.phrasebook.rendering import Phrase
from data.phrasebook.words import NOUNS_OF, Noun, read_french_verb, translations

JUDGEMENTS = translations(lexicon.JUDGEMENTS)
WEATHER, WEATHER_PAST = translations(lexicon.WEATHER), translations(lexicon.WEATHER_PAST)
WEATHER_FUTURE = translations(lexicon.WEATHER_FUTURE)
PRESENTED = [kind for kind in SAID_ALONE if kind not in ("time", "abstract", "season")]  # c'est la vie: that is life
OWNED_PLACES = ("maison", "chambre", "école", "bureau")
TODAY = (("aujourd'hui , c'est", "today is"), ("nous sommes", "it is"), ("on est", "it is"), ("c'est", "it is"))
APPELER = read_french_verb("appeler")


class PresentationRules(ClauseRules):
    """Rules that draw presentations."""

    def this_is(self) -> Phrase:
        """C'est bon; c'est Paul; c'est lundi; c'est mon ami; voici Paul."""
        draw = self.rng.random()
        if draw < 0.4:
            return self.judgement()
        if draw < 0.46:
            return self.it("this", negated=self.chance(0.2)) + self.name()[0]
        if draw < 0.5:
            return self.it("it") + self.pair(*self.pick(DAYS))
        noun = self.noun(PRESENTED)
        found = self.noun_phrase(noun, self.presented_determiner(noun), adjective=0.25)
        if draw < 0.6:
            here = self.rng.choice(("voici", "voilà"))
            return self.pair(here, "here are" if found.plural else "here is") + found.phrase
        return self.identified(found)

    def judgement(self) -> Phrase:
        """C'est bon; ce n'est pas vrai; c'était très beau."""
        fr, en = self.pick(JUDGEMENTS)
        it = self.it("it", past=self.chance(0.12), negated=self.chance(0.25))
        graded = self.chance(0.2) and en not in NOT_GRADED
        return it + (self.pair(*self.pick(DEGREES)) if graded else Phrase()) + self.pair(fr, en)

    def presented_determiner(self, noun: Noun) -> str:
        """Draw a kind of determiner for a noun that is presented."""
        if noun.kind in ("family", "clan"):
            return "my"
        det = self.rng.choice(("a", "a", "my", "the", "of"))
        unowned = noun.fr[0] in UNOWNED or noun.kind in (*PLACES, *SINGULAR)
        return "the" if det in ("my", "of") and unowned and noun.fr[0] not in OWNED_PLACES else det

    def identified(self, found: NounPhrase) -> Phrase:
        """C'est mon ami; c'est un chat; ce ne sont pas des chats. English: this is my friend, it is a cat."""
        first = found.phrase.en[0][0]
        negated = self.chance(0.18)
        if found.plural and first == "some":  # they are dogs, not some dogs
            dogs = Phrase(found.phrase.fr, found.phrase.en[1:])
            return self.it("they", plural=True, negated=negated) + dogs
        if found.plural:
            return self.it("these", plural=True, negated=negated) + found.phrase
        known = first not in ("a", "some") or found.noun.kind == "person"
        return self.it("this" if known else "it", negated=negated) + found.phrase

    def it(self, english: str, *, plural: bool = False, past: bool = False, negated: bool = False) -> Phrase:
        """Return ce and être: c'est, it is; ce ne sont pas, these are not; c'était, it was."""
        it = self.pair("ce", english)
        be = self.pair("sont", "are") if plural else self.pair("était", "was") if past else self.pair("est", "is")
        negative = self.pair("ne pas", "not") if negated else Phrase()
        return Phrase((*it.fr, *negative.fr[:1], *be.fr, *negative.fr[1:]), it.en + be.en + negative.en)

    def is_this(self) -> Phrase:
        """C'est ton chien ? Est-ce que c'est loin ?"""
        self.mark = "?"
        it = self.pair("ce", "it")
        be = self.pair("est", "is")
        english = it.en
        if self.chance(0.5):
            rest = self.pair(*self.pick(JUDGEMENTS))
        else:
            noun = self.noun(("thing", "animal", "clothes", "vehicle", "family", "text"))
            found = self.noun_phrase(
                noun, "my" if noun.kind == "family" else self.rng.choice(("my", "a")), adjective=0.1, plural=False
            )
            rest = found.phrase
            if found.plural:
                self.mark = "."
                return self.this_is()
            english = (("this", it.en[0][1]),) if rest.en[0][0] != "a" else it.en
        if self.chance(0.45):
            marker = self.pair("est-ce que", "").fr
            french = (*marker, *it.fr, *be.fr, *rest.fr)
        else:
            self.mark_needed = True
            french = (*it.fr, *be.fr, *rest.fr)
        return Phrase(french, be.en + english + rest.en)

    def there_is(self) -> Phrase:
        """Il y a deux chats dans le jardin. Il n'y a pas de pain."""
        noun = self.noun(
            (
                "person",
                "animal",
                "animal",
                "thing",
                "food",
                "mass",
                "drink",
                "vehicle",
                "furniture",
                "place",
                "text",
                "robot",
                "clothes",
            )
        )
        negated, past = self.chance(0.18), self.chance(0.1)
        det = "no" if negated else self.rng.choice(("a", "a", "a" if noun.mass else "number", "count"))
        found = self.noun_phrase(noun, det, adjective=0.15)
        self.number += 1
        number, plural = self.number, found.plural
        be = ("were" if plural else "was") if past else "are" if plural else "is"
        has = "avait" if past else "a"
        if negated:
            negative = self.pair("ne pas", "no")
            what = Phrase(found.phrase.fr, found.phrase.en)
            french = (("il", number), negative.fr[0], ("y", number), (has, number), negative.fr[1])
            start = Phrase(french, (("there", number), (be, number), *negative.en))
        else:
            start = self.pair(f"il y {has}", f"there {be}")
            what = found.phrase
        if self.chance(0.3 if noun.mass else 0.12):
            return start + what
        return (
            start
            + what
            + (
                self.thing_place()
                if noun.kind in ("thing", "food", "text", "mass", "clothes", "drink")
                else self.place()
            )
        )

    # --- names

    def introduction(self) -> Phrase:
        """Je m'appelle Marie. Mon frère s'appelle Paul."""
        if self.chance(0.12):
            return self.pair("mon nom est", "my name is") + self.name()[0]
        if self.chance(0.25):
            noun = self.noun(("family", "animal"))
            found = self.noun_phrase(noun, "my", adjective=0.05, plural=False)
            called = self.pair(
                "s'appellent" if found.plural else "s'appelle", "names are" if found.plural else "name is"
            )
            if found.plural:
                return self.introduction()
            return (
                Phrase(found.phrase.fr + called.fr, (*found.phrase.en, ("'s", called.en[0][1]), *called.en))
                + self.name(noun.gender)[0]
            )
        person = self.rng.choices((0, 1, 2), (7, 1, 4))[0]
        feminine = self.chance(0.5)
        pronoun, owner = (("je", "my"), ("tu", "your"), ("elle", "her") if feminine else ("il", "his"))[person]
        who = self.pair(pronoun, owner)
        called = self.pair(f"{('me', 'te', 'se')[person]} {APPELER.present[person]}", "name is")
        phrase = who + called + self.name(("f" if feminine else "m") if person == 2 else "")[0]
        draw = self.rng.random()
        if draw < 0.12 and person == 0:
            phrase += self.pair("et", "and") + self.pair("je", "I") + self.pair("ai", "am") + self.age()
        elif draw < 0.2 and person == 0:
            phrase += (
                self.pair("et", "and")
                + self.pair("je", "I")
                + self.pair("habite", "live")
                + self.pair("à", "in")
                + self.city()
            )
        return phrase

    def profession(self) -> Phrase:
        """Ma mère est professeur. Paul et Marie sont amis."""
        two = self.chance(0.45)
        if two:
            first, gender = self.name()
            head = self.number
            second, other = self.name()
            gender = "f" if gender == other == "f" else "m"
            subject = Subject(5, gender, True, first + self.pair("et", "and") + second, "", "person", head, 5)
            if self.chance(0.25):
                subject = self.pronoun(persons=(3, 5))
            gender = subject.gender
            nouns = [n for n in NOUNS_OF["role"] + NOUNS_OF["job"][:12] if n.gender == gender]
        else:
            subject = self.subject()
            while subject.plural or subject.english == 3:
                subject = self.subject()
            nouns = [n for n in NOUNS_OF["job"] + NOUNS_OF["role"][4:5] if n.gender == subject.gender]
        noun = self.pick(nouns)
        tense = self.rng.choices(("present", "imparfait", "near"), (86, 10, 4))[0]
        clause = self.verb_phrase(subject, BE, tense, negation="pas" if self.chance(0.1) else "")
        if subject.plural:
            return clause + self.pair(noun.fr[1], noun.en[1])
        head_noun = self.pair(noun.fr[0], noun.en[0])
        return Phrase(clause.fr + head_noun.fr, (*clause.en, ("a", head_noun.en[0][1]), *head_noun.en))

    # --- body, time and weather

    def pain(self) -> Phrase:
        """J'ai mal à la tête."""
        noun = self.noun(["body"])
        plural = noun.fr[0] in ("dent", "jambe", "pied", "œil")
        if self.chance(0.75):
            person = self.rng.choices((0, 1, 2, 4), (6, 2, 3, 2))[0]
            feminine = self.chance(0.5)
            fr = ("je", "tu", "elle" if feminine else "il", "nous", "vous")[person]
            who = self.pair(fr, "her" if person == 2 and feminine else OWNERS[person])
        else:
            name, _ = self.name()
            person, who = 2, Phrase(name.fr, (*name.en, ("'s", name.en[0][1])))
        hurts = self.pair(f"{HAVE.fr.present[person]} mal", "hurt" if plural else "hurts")
        to, the = self.pair("à", ""), self.pair("les" if plural else "la" if noun.gender == "f" else "le", "")
        part = self.pair(noun.fr[plural], noun.en[plural])
        return Phrase(who.fr + hurts.fr + to.fr + the.fr + part.fr, who.en + part.en + hurts.en)

    def clock(self) -> Phrase:
        """Il est trois heures. Nous sommes lundi. C'est le trois mai. Mon anniversaire est en mai."""
        draw = self.rng.random()
        if draw < 0.6:
            return self.pair("il est", "it is") + self.hour()
        if draw < 0.8:
            return self.pair(*self.rng.choice(TODAY)) + self.pair(*self.pick(DAYS))
        if draw < 0.9:
            return self.pair(*self.rng.choice(TODAY)) + self.date()
        whose = self.noun_phrase(self.noun(["family"]), "my", adjective=0, plural=False)
        if self.chance(0.6) or whose.plural:
            start = self.pair("mon", "my") + self.pair("anniversaire est", "birthday is")
        else:
            birthday, of, be = self.pair("le anniversaire", "birthday"), self.pair("de", "'s"), self.pair("est", "is")
            start = Phrase(birthday.fr + of.fr + whose.phrase.fr, whose.phrase.en + of.en + birthday.en) + be
        if self.chance(0.5):
            return start + self.pair("en", "in") + self.pair(*self.pick(MONTHS))
        return start + self.pair("", "on") + self.date()

    def weather(self) -> Phrase:
        """Il pleut. Il fera beau demain."""
        draw = self.rng.random()
        if draw < 0.6:
            clause = self.pair(*self.pick(WEATHER))
            if self.chance(0.3):
                extra = self.rng.choice(
                    (("aujourd'hui", "today"), ("maintenant", "now"), ("ici", "here"), ("beaucoup", "a lot"))
                )
                if extra[0] != "beaucoup" or clause.fr[-1][0] in ("pleut", "neige"):
                    clause += self.pair(*extra)
            elif self.chance(0.2):
                clause += self.pair("à", "in") + self.city()
            return clause
        if draw < 0.8:
            clause = self.pair(*self.pick(WEATHER_PAST))
            return self.with_time(clause, "past", simple=True) if self.chance(0.4) else clause
        clause = self.pair(*self.pick(WEATHER_FUTURE))
        return self.with_time(clause, "future", simple=True) if self.chance(0.5) else clause

    def birth(self) -> Phrase:
        """Je suis né à Lyon. Elle est née en 1990."""
        subject = self.subject()
        participle = "né" + ("e" if subject.gender == "f" else "") + ("s" if subject.plural else "")
        born = self.pair(f"{BE.fr.present[subject.person]} {participle}", f"{BE_PAST[subject.english]} born")
        draw = self.rng.random()
        where = self.pair("à", "in") + self.city() if draw < 0.6 else Phrase()
        when = (
            self.pair("en", "in") + (self.year() if self.chance(0.6) else self.pair(*self.pick(MONTHS)))
            if draw > 0.4
            else Phrase()
        )
        return subject.phrase + born + where + when
