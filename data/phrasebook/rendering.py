"""From pairs of word sequences to text: elision, contraction, final marks, capitals, and the word alignment."""

import unicodedata
from dataclasses import dataclass
from typing import Any

from data.phrasebook.words import starts_with_vowel

Token = tuple[str, int]  # a word, and the number that it has in common with its translation
Word = tuple[str, tuple[int, ...]]  # a word between spaces, and the numbers of the tokens that it is made of

ELIDED = {"je", "le", "la", "ne", "de", "que", "me", "te", "se", "ce"}
AN_BEFORE = tuple("aeiouAEIOU")
CONTRACTED = {("de", "le"): "du", ("de", "les"): "des", ("à", "le"): "au", ("à", "les"): "aux"}


@dataclass(slots=True)
class Phrase:
    """The same words in French and in English; tokens that translate each other have the same number."""

    fr: tuple[Token, ...] = ()
    en: tuple[Token, ...] = ()

    def __add__(self, other: "Phrase") -> "Phrase":
        return Phrase(self.fr + other.fr, self.en + other.en)


@dataclass(slots=True)
class Style:
    """How a sentence is typed; the defaults are the usual way.

    mark: final mark, or an empty string.
    space: whether a space stands before a French question or exclamation mark.
    capital: whether the first letter is a capital.
    capitals: whether all letters are capitals.
    accents: "all", "not on capitals" or "none".
    """

    mark: str = "."
    space: bool = True
    capital: bool = True
    capitals: bool = False
    accents: str = "all"


def french_words(tokens: tuple[Token, ...]) -> list[Word]:
    """Return the words of French tokens: je aime -> j'aime, de le -> du, mange -tu -> mange-tu, oui , -> oui,"""
    words: list[Word] = []
    elided = False  # whether the last word ends in an apostrophe
    last = len(tokens) - 1
    for i, (text, number) in enumerate(tokens):
        if i < last:
            following = tokens[i + 1][0]
            if text in ELIDED and following[0] not in "-," and starts_with_vowel(following):
                text = text[:-1] + "'"
            elif text == "si" and following in ("il", "ils"):
                text = "s'"
        if words and (elided or text[0] in "-,"):
            words[-1] = (words[-1][0] + text, (*words[-1][1], number))
        elif words and (words[-1][0], text) in CONTRACTED:
            words[-1] = (CONTRACTED[words[-1][0], text], (*words[-1][1], number))
        else:
            words.append((text, (number,)))
        elided = text[-1] == "'"
    return words


def english_words(tokens: tuple[Token, ...]) -> list[Word]:
    """Return the words of English tokens: a apple -> an apple, can not -> cannot, Paul 's -> Paul's, yes , -> yes,"""
    words: list[Word] = []
    for i, (text, number) in enumerate(tokens):
        following = tokens[i + 1][0] if i + 1 < len(tokens) else ""
        if text == "a" and following[:1] in AN_BEFORE and not following.startswith(("uni", "use", "Eur")):
            text = "an"
        if words and (text in (",", "'s") or (text == "not" and words[-1][0] == "can")):
            words[-1] = (words[-1][0] + text, (*words[-1][1], number))
        else:
            words.append((text, (number,)))
    return words


def add_mark(words: list[Word], mark: str, number: int, *, space: bool) -> None:
    """Append a final mark to the last word, or as a word of its own."""
    if space:
        words.append((mark, (number,)))
    elif mark:
        words[-1] = (words[-1][0] + mark, (*words[-1][1], number))


def positions(words: list[Word]) -> dict[int, list[int]]:
    """Return, for each number, the indices of the words that hold it."""
    found: dict[int, list[int]] = {}
    for i, (_, numbers) in enumerate(words):
        for number in numbers:
            found.setdefault(number, []).append(i)
    return found


def without_accents(text: str) -> str:
    """Return the text without its accents and cedillas."""
    return "".join(letter for letter in unicodedata.normalize("NFD", text) if not unicodedata.combining(letter))


def write(words: list[Word], style: Style, *, french: bool) -> str:
    """Return the text of a sentence as `style` has it."""
    text = " ".join(word for word, _ in words)
    if style.capital or style.capitals:
        text = text[0].upper() + text[1:]
        if french and style.accents == "not on capitals":
            text = without_accents(text[0]) + text[1:]
    if style.capitals:
        text = text.upper()
    without = style.accents == "none" or (style.capitals and style.accents == "not on capitals")
    return without_accents(text) if french and without else text


def render(phrase: Phrase, style: Style, link: tuple[int, int] | None, nouns: list[int]) -> dict[str, Any]:
    """Return a phrase as text, with word alignment and pronoun link.

    Args:
        phrase: both languages.
        style: how the sentence is typed.
        link: numbers of a pronoun and of its antecedent, or None.
        nouns: numbers of all nouns of the sentence.

    Returns:
        fr, en: texts; alignment: French-English word indices (`0-0 1-2`); pronoun_fr, pronoun_en, antecedent_fr: word
        indices, -1 without a link; nouns_fr: word indices of what the pronoun could stand for, empty without a link.
    """
    french, english = french_words(phrase.fr), english_words(phrase.en)
    mark_number = -1  # no other token has it
    add_mark(french, style.mark, mark_number, space=style.space and style.mark in ("?", "!"))
    add_mark(english, style.mark, mark_number, space=False)
    french_of, english_of = positions(french), positions(english)
    common = french_of.keys() & english_of.keys()
    links = {(i, j) for number in common for i in french_of[number] for j in english_of[number]}
    pronoun, antecedent = link or (0, 0)
    return {
        "fr": write(french, style, french=True),
        "en": write(english, style, french=False),
        "alignment": " ".join([f"{i}-{j}" for i, j in sorted(links)]),
        "pronoun_fr": french_of[pronoun][0] if link else -1,
        "pronoun_en": english_of[pronoun][0] if link else -1,
        "antecedent_fr": french_of[antecedent][0] if link else -1,
        "nouns_fr": [french_of[noun][0] for noun in nouns] if link else [],
    }
