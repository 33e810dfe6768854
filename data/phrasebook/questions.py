"""Rules for questions: by est-ce que, by inversion, by intonation, and with question words."""

from itertools import accumulate

from data.phrasebook import lexicon
from data.phrasebook.clauses import (
    BE,
    BE_NOW,
    BE_PAST,
    FEEL,
    FORMS,
    GO,
    HAVE,
    PRONOUN_VERBS,
    RESIDENCE_VERBS,
    VERBS_ALONE,
    VERBS_WITH_OBJECT,
    WANTED_ALONE,
    ClauseRules,
    Clitic,
    inversion,
)
from data.phrasebook.phrases import OWNERS, UNOWNED, Subject
from data.phrasebook.rendering import Phrase
from data.phrasebook.words import (
    DATIVE_VERBS,
    INFINITIVE_VERBS,
    NOUNS_OF,
    read_french_verb,
    read_verb,
    translations,
)

WEATHER = translations(lexicon.WEATHER)
QUESTION_WORDS = (("pourquoi", "why"), ("quand", "when"), ("comment", "how"), ("où", "where"))
DO = read_verb("faire = do | action thing")
CAN = next(verb for verb in INFINITIVE_VERBS if verb.en.base == "can")
HELPING = ("aider", "attendre", "appeler", "comprendre", "entendre", "écouter")
HELPING_VERBS = [verb for verb in PRONOUN_VERBS if verb.fr.infinitive in HELPING]
UNCOUNTED = {"mass", "drink", "sound", "cup", "language", "sky", "stuff", "person", "family", "job"}
COUNTING_VERBS = [
    verb
    for verb in PRONOUN_VERBS
    if verb.progressive and not verb.tail and not verb.personal and not set(verb.objects) <= UNCOUNTED
]
APPELER = read_french_verb("appeler")


class QuestionRules(ClauseRules):
    """Rules that draw questions."""

    def any_question(self) -> Phrase:
        """Draw a question."""
        self.mark = "?"
        return self.rng.choices(QUESTIONS, cum_weights=CUMULATIVE_QUESTIONS)[0](self)

    def form(self) -> str:
        """Draw a form of question."""
        return self.rng.choices(FORMS, (36, 40, 24))[0]

    def yes_no_question(self) -> Phrase:
        """Êtes-vous heureux ? Est-ce que tu as faim ? Il pleut ?"""
        draw = self.rng.random()
        if draw < 0.04:
            return self.asked_weather()
        if draw < 0.12:
            return self.request()
        if draw < 0.16:
            return self.is_there()
        return self.clause(self.form())

    def asked_weather(self) -> Phrase:
        """Est-ce qu'il pleut ?"""
        fr, en = self.pick(WEATHER[:5])
        it, verb, *rest = fr.split()
        subject, be, *adjective = en.split(" is ")[0], "is", *en.split(" is ")[1].split()
        self.number += 1
        number = self.number
        marker = self.pair("est-ce que", "").fr
        french = (*marker, *((word, number) for word in (it, verb, *rest)))
        return Phrase(french, tuple((word, number) for word in (be, *subject.split(), *adjective)))

    def request(self) -> Phrase:
        """Pouvez-vous m'aider ? Est-ce que je peux entrer ?"""
        self.mark = "?"
        draw = self.rng.random()
        subject = self.pronoun(persons=(1, 4)) if draw < 0.7 else self.pronoun(persons=(0, 3))
        tense = "conditional" if self.chance(0.3) else "present"
        clause = self.verb_phrase(subject, CAN, tense, form=self.form())
        if subject.person in (1, 4) and self.chance(0.3):
            verb = self.pick(DATIVE_VERBS)
            clitic = self.rng.choice((Clitic("me", "me"), Clitic("nous", "us")))
            what = self.noun_phrase(
                self.noun(verb.objects), self.rng.choice(("a", "the", "this")), adjective=0.05
            ).phrase
            return clause + self.infinitive(verb, subject, clitic) + what
        if subject.person in (1, 4) and self.chance(0.5):
            verb = self.rng.choice(HELPING_VERBS)
            return clause + self.infinitive(verb, subject, Clitic("me", "me"))
        return clause + self.infinitive_with_object(subject)

    def why_when_where(self) -> Phrase:
        """Pourquoi est-ce que tu pleures ? Où vas-tu ? Tu pars quand ?"""
        fr, en = self.rng.choices(QUESTION_WORDS, (40, 25, 10, 25))[0]
        form = self.form()
        draw = self.rng.random()
        word = self.pair(fr, en)
        if fr == "où":
            verb, simple = (
                (GO, False)
                if draw < 0.35
                else (self.pick(RESIDENCE_VERBS), True)
                if draw < 0.65
                else (self.pick(WANTED_ALONE), False)
            )
            subject = self.subject()
            if verb.fr.infinitive in ("travailler", "étudier"):
                simple = True
            tense = "present" if simple else self.rng.choice(("present", "present", "past", "near"))
            clause = self.verb_phrase(subject, verb, tense, form=form, simple=simple)
        elif fr == "pourquoi" and draw < 0.35:
            clause = self.rng.choice((self.be_clause, self.state_clause))(form)
        elif fr == "pourquoi":
            clause = self.action_clause(form, question=True)
        else:
            subject = self.subject()
            verb = self.pick(WANTED_ALONE)
            clause = self.verb_phrase(subject, verb, self.rng.choice(("present", "past", "near", "near")), form=form)
            if verb.objects and not verb.alone:
                clause += self.object(verb, subject)
        last = form == "intonation" and fr != "pourquoi" and self.chance(0.5)
        return Phrase(clause.fr + word.fr if last else word.fr + clause.fr, word.en + clause.en)

    def where_is(self) -> Phrase:
        """Où est la gare ? Où sont mes clés ? Où es-tu ?"""
        word = self.pair("où", "where")
        past = self.chance(0.1)
        if self.chance(0.35):
            subject = self.subject(pronouns=0.8)
        else:
            noun = self.noun(
                (
                    "place",
                    "place",
                    "place",
                    "thing",
                    "thing",
                    "restroom",
                    "family",
                    "animal",
                    "street",
                    "clothes",
                    "robot",
                    "surface",
                )
            )
            det = (
                ""
                if noun.kind == "family"
                else self.rng.choice(("the", "the", "my", "my"))
                if noun.kind in ("thing", "clothes", "animal")
                else "the"
            )
            plural = None if noun.kind in ("thing", "clothes") else False
            subject = self.noun_subject(self.noun_phrase(noun, det, adjective=0.08, plural=plural))
        forms_fr, forms_en = (BE.fr.imparfait, BE_PAST) if past else (BE.fr.present, BE_NOW)
        fr, en = forms_fr[subject.person], forms_en[subject.english]
        if subject.is_pronoun and subject.person == 0:
            marker, be = self.pair("est-ce que", ""), self.pair(fr, en)
            return Phrase(word.fr + marker.fr + subject.phrase.fr + be.fr, word.en + be.en + subject.phrase.en)
        if not subject.is_pronoun and not past and self.chance(0.15):
            fr = "se trouvent" if subject.plural else "se trouve"
        return word + self.behind(self.pair(fr, en), subject)

    def behind(self, verb: Phrase, subject: Subject) -> Phrase:
        """Return a verb with its subject behind it: es-tu, est cette femme."""
        attached = ((inversion(verb.fr[0][0], subject.pronoun), subject.head),)
        return Phrase(verb.fr + (attached if subject.is_pronoun else subject.phrase.fr), verb.en + subject.phrase.en)

    def who(self) -> Phrase:
        """Qui mange la pomme ? Qui est cette femme ? Qui cherches-tu ?"""
        draw = self.rng.random()
        word = self.pair("qui", "who")
        if draw < 0.4:
            if self.chance(0.2):
                subject = self.pronoun(persons=(1, 2, 4, 5))
            else:
                noun = self.noun(["person"])
                det = self.rng.choice(("this", "this", "this", "the"))
                subject = self.noun_subject(self.noun_phrase(noun, det, adjective=0.1))
            be = self.pair(BE.fr.present[subject.person], BE_NOW[subject.english])
            return word + self.behind(be, subject)
        if draw < 0.6:
            verb = self.pick([v for v in PRONOUN_VERBS if v.personal and not v.dative and v.en.base != "think of"])
            subject = self.pronoun(persons=(1, 2, 4, 5))
            clause = self.verb_phrase(
                subject, verb, self.rng.choice(("present", "past")), form=self.rng.choice(FORMS[:2])
            )
            return word + clause
        he = Subject(2, "m", False, Phrase(), "il", "person", 0, 2)
        if draw < 0.75:
            clause = self.verb_phrase(he, BE, "present", form="after qui")
            rest = self.described(he) if self.chance(0.5) else self.place()
            return word + clause + rest
        verb = self.pick(VERBS_WITH_OBJECT if self.chance(0.6) else VERBS_ALONE)
        tense = self.rng.choice(("present", "present", "past", "near"))
        clause = self.verb_phrase(he, verb, tense, form="after qui")
        if verb.objects and (not verb.alone or self.chance(0.6)):
            clause += self.object(verb)
        return word + clause

    def what(self) -> Phrase:
        """Que fais-tu ? Qu'est-ce que tu manges ? Que mange le chat ? Tu manges quoi ?"""
        rng, draw = self.rng, self.rng.random()
        things = [v for v in PRONOUN_VERBS if not v.personal and not v.tail and v.fr.infinitive != "faire"]
        verb = DO if draw < 0.2 else self.pick(things)
        tense = rng.choice(("present", "present", "present", "past", "near"))
        subject = self.pronoun(persons=range(1, 6)) if self.chance(0.75) else self.subject(pronouns=0)
        if draw > 0.85:  # Que veux-tu manger ?
            subject = self.pronoun(persons=(1, 2, 4, 5))
            modal = self.rng.choice([v for v in INFINITIVE_VERBS if v.fr.infinitive in ("vouloir", "pouvoir")])
            eaten = rng.choice([v for v in things if v.progressive])
            eaten = DO if self.chance(0.3) else eaten
            clause = self.verb_phrase(subject, modal, "present", form=rng.choice(FORMS[:2])) + self.infinitive(
                eaten, subject
            )
            word = self.pair("que", "what")
            return word + clause
        word = self.pair("que", "what")
        if subject.is_pronoun and self.chance(0.15):
            clause = self.verb_phrase(subject, verb, tense, form="intonation")
            return Phrase((*clause.fr, ("quoi", word.fr[0][1])), word.en + clause.en)
        if subject.is_pronoun:
            clause = self.verb_phrase(subject, verb, tense, form=rng.choice(FORMS[:2]))
            return word + clause
        if self.chance(0.5) and tense == "present":
            clause = self.verb_phrase(subject, verb, tense, form="intonation")
            self.mark_needed = False
            finite = clause.fr[len(subject.phrase.fr) :]
            return Phrase(word.fr + finite + subject.phrase.fr, word.en + clause.en)
        clause = self.verb_phrase(subject, verb, tense, form="est-ce que")
        return word + clause

    def how_is(self) -> Phrase:
        """Comment vas-tu ? Comment va ta mère ?"""
        word = self.pair("comment", "how")
        subject = (
            self.pronoun(persons=(1, 1, 2, 4, 4, 5))
            if self.chance(0.6)
            else self.noun_subject(self.noun_phrase(self.noun(["family"]), "my", adjective=0))
        )
        verb = self.pair(FEEL.fr.present[subject.person], BE_NOW[subject.english])
        if not subject.is_pronoun or self.chance(0.8):
            return word + self.behind(verb, subject)
        self.mark_needed = True
        return Phrase(word.fr + subject.phrase.fr + verb.fr, word.en + verb.en + subject.phrase.en)

    def how_old(self) -> Phrase:
        """Quel âge as-tu ? Quel âge a ton frère ? Tu as quel âge ?"""
        word = self.pair("quel âge", "how old")
        subject = self.pronoun(persons=range(1, 6)) if self.chance(0.6) else self.subject(pronouns=0)
        verb = self.pair(HAVE.fr.present[subject.person], BE_NOW[subject.english])
        if subject.is_pronoun and self.chance(0.2):
            return Phrase(subject.phrase.fr + verb.fr + word.fr, word.en + verb.en + subject.phrase.en)
        return word + self.behind(verb, subject)

    def what_name(self) -> Phrase:
        """Comment t'appelles-tu ? Comment s'appelle ton chien ?"""
        word = self.pair("comment", "what")
        if self.chance(0.35):
            noun = self.noun(("animal", "family"))
            found = self.noun_phrase(noun, "my", adjective=0, plural=False)
            called = self.pair("s'appelle" if not found.plural else "s'appellent", "is")
            name = self.pair("", "'s name")
            return Phrase(word.fr + called.fr + found.phrase.fr, word.en + called.en + found.phrase.en + name.en)
        person = self.rng.choices((1, 2, 4), (5, 2, 4))[0]
        feminine = self.chance(0.5)
        pronoun = ("tu", "elle" if feminine else "il", "vous")[(1, 2, 4).index(person)]
        clitic = {1: "te", 2: "se", 4: "vous"}[person]
        owner = "her" if person == 2 and feminine else OWNERS[person]
        called = self.pair("x", "is")
        number = called.fr[0][1]
        whose = self.pair("x", f"{owner} name")
        form = APPELER.present[person]
        if self.chance(0.7):
            fr = (*word.fr, (clitic, number), (form, number), (inversion(form, pronoun), whose.fr[0][1]))
        else:
            marker = self.pair("est-ce que", "").fr if self.chance(0.4) else ()
            fr = (*word.fr, *marker, (pronoun, whose.fr[0][1]), (clitic, number), (form, number))
        return Phrase(fr, word.en + called.en + whose.en)

    def how_many(self) -> Phrase:
        """Combien de frères as-tu ? Combien coûte ce livre ?"""
        if self.chance(0.35):
            noun = self.noun(("thing", "clothes", "food", "text", "vehicle"))
            thing = self.noun_phrase(noun, self.rng.choice(("this", "the", "this")), adjective=0.1)
            word = self.pair("combien", "how much")
            cost = self.pair("coûtent", "do cost") if thing.plural else self.pair("coûte", "does cost")
            return word + Phrase(cost.fr + thing.phrase.fr, cost.en[:1] + thing.phrase.en + cost.en[1:])
        noun = self.noun(("family", "animal", "thing", "text", "food", "vehicle", "role"))
        noun = NOUNS_OF["family"][2] if "unique" in noun.kinds else noun
        how, what = self.pair("combien de", "how many"), self.pair(noun.fr[1], noun.en[1])
        if self.chance(0.25):
            there = self.pair("y a-t-il", "are there")
            return how + what + there + self.place()
        subject = self.pronoun(persons=(1, 2, 4, 5))
        clause = self.verb_phrase(subject, HAVE, "present", form=self.rng.choice(FORMS[:2]))
        return how + what + clause

    def which(self) -> Phrase:
        """Quel livre lis-tu ? Quelle est ton adresse ? De quelle couleur est ta voiture ?"""
        draw = self.rng.random()
        if draw < 0.35:
            noun = self.noun(["detail"])
            what_is = self.pair(("quelle" if noun.gender == "f" else "quel") + " est", "what is")
            return what_is + self.noun_phrase(noun, "my", adjective=0, plural=False).phrase
        if draw < 0.5:
            noun = self.noun(("clothes", "vehicle", "thing"))
            det = self.rng.choice(("the", "this", "the" if noun.fr[0] in UNOWNED else "my"))
            thing = self.noun_phrase(noun, det, adjective=0, plural=False)
            be = self.pair("sont", "are") if thing.plural else self.pair("est", "is")
            return self.pair("de quelle couleur", "what colour") + be + thing.phrase
        verb = self.pick(COUNTING_VERBS)
        noun = self.noun([kind for kind in verb.objects if kind not in UNCOUNTED])
        found = self.noun_phrase(noun, "which", adjective=0, plural=self.chance(0.2))
        tense, form = self.rng.choice(("present", "present", "near")), self.rng.choice(FORMS[:2])
        return found.phrase + self.verb_phrase(self.pronoun(persons=(1, 2, 4, 5)), verb, tense, form=form)

    def is_there(self) -> Phrase:
        """Y a-t-il une banque ici ? Est-ce qu'il y a du lait ?"""
        noun = self.noun(("place", "place", "mass", "drink", "person", "animal"))
        found = self.noun_phrase(noun, "a", adjective=0.08)
        fr = self.rng.choice(("y a-t-il", "est-ce que il y a"))
        where = self.pair("ici", "here") if self.chance(0.4) else self.place() if self.chance(0.5) else Phrase()
        return self.pair(fr, "are there" if found.plural else "is there") + found.phrase + where


QUESTIONS, _WEIGHTS = zip(
    (QuestionRules.yes_no_question, 34),
    (QuestionRules.why_when_where, 15),
    (QuestionRules.where_is, 11),
    (QuestionRules.who, 9),
    (QuestionRules.what, 11),
    (QuestionRules.how_is, 4),
    (QuestionRules.how_old, 3),
    (QuestionRules.what_name, 4),
    (QuestionRules.how_many, 5),
    (QuestionRules.which, 4),
    strict=True,
)
CUMULATIVE_QUESTIONS = list(accumulate(_WEIGHTS))
