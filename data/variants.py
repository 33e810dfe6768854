"""Changed training pairs: written as people type them, and with made-up names and numbers, which teach to copy."""

import random
import re
import unicodedata

from data.cleaning import text_hash

NAME = re.compile(r"\b[A-ZÀ-Þ][a-zß-ÿ]{2,}\b")
NUMBER = re.compile(r"\b\d+\b")
# Syllables of made-up names.
ONSETS = (
    "b",
    "c",
    "ch",
    "d",
    "f",
    "g",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "t",
    "v",
    "w",
    "z",
    "br",
    "gr",
    "",
)
NUCLEI = ("a", "e", "i", "o", "u", "y", "é", "ai", "ou", "oi", "ie", "ea")
CODAS = ("", "", "", "", "n", "r", "l", "s", "t", "x", "nt", "ck")


def without_accents(text: str) -> str:
    """Return a text without the accents and cedillas of its letters (`À bientôt` -> `A bientot`)."""
    decomposed = unicodedata.normalize("NFD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).replace("œ", "oe").replace("Œ", "OE")


def without_mark(text: str) -> str:
    """Return a text without its final mark and the space before it."""
    return text.rstrip(" .!?…") or text


def typed(src: str, tgt: str, choice: int) -> tuple[str, str]:
    """Return a pair with its source as people might type it.

    Capitals and a missing mark are kept by the translation; missing accents and a missing capital are not.

    Args:
        src, tgt: a normalised pair.
        choice: any number from 0 on; it chooses one of six ways.
    """
    way = choice % 6
    if way in (0, 1):
        return (src if way else without_accents(src)).upper(), tgt.upper()
    if way == 2:
        return without_accents(src), tgt
    if way == 3:
        return without_mark(src), without_mark(tgt)
    lowered = src[:1].lower() + src[1:]
    if way == 4:
        return without_mark(lowered), without_mark(tgt)
    return without_mark(without_accents(lowered)), without_mark(tgt)


def made_up_name(rng: random.Random) -> str:
    """Return an invented name: two to four random syllables, sometimes two such names with a hyphen."""
    syllables = (rng.choice(ONSETS) + rng.choice(NUCLEI) + rng.choice(CODAS) for _ in range(rng.randint(2, 4)))
    name = "".join(syllables).capitalize()
    return f"{name}-{made_up_name(rng)}" if rng.random() < 0.1 else name


def with_made_up(src: str, tgt: str, rng: random.Random) -> tuple[str, str]:
    """Return a pair with another name or number in place of each that both sides have in common.

    A name is a word with a capital. What a model has never seen can only be copied, so such pairs teach it to copy.
    """
    for pattern in (NAME, NUMBER):
        for old in sorted(set(pattern.findall(src)) & set(pattern.findall(tgt))):
            new = made_up_name(rng) if pattern is NAME else str(rng.randrange(10 ** rng.randint(1, 4)))
            src, tgt = (re.sub(rf"\b{old}\b", new, side) for side in (src, tgt))
    return src, tgt


def with_variants(
    rows: dict[str, list[str]], indices: list[int], share: float, made_up: float, seed: int, stamp: str
) -> dict[str, list[str]]:
    """Return the pairs (columns src and tgt), some of them changed; a function for `Dataset.map`.

    Args:
        rows: columns src and tgt of N pairs.
        indices: of the pairs in the corpus (N,); they decide which pairs change, and how.
        share: of the pairs that are written as people type them, from 0 to 1.
        made_up: share of the pairs that get made-up names and numbers, if they have any on both sides, from 0 to 1.
        seed: of the choice.
        stamp: part of the cache key; it changes no pair.
    """
    pairs = []
    for src, tgt, index in zip(rows["src"], rows["tgt"], indices, strict=True):
        rng = random.Random(text_hash(f"{seed} {index}"))
        pair = (src, tgt)
        if rng.random() < made_up:
            pair = with_made_up(*pair, rng)
        if rng.random() < share:
            pair = typed(*pair, rng.randrange(6))
        pairs.append(pair)
    return {"src": [src for src, _ in pairs], "tgt": [tgt for _, tgt in pairs]}
