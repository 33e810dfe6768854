"""Training pairs as people type them: in capitals, without accents, without a capital or a final mark."""

import unicodedata

from data.cleaning import text_hash


def without_accents(text: str) -> str:
    """Return a text without the accents and cedillas of its letters (`À bientôt` -> `A bientot`)."""
    decomposed = unicodedata.normalize("NFD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).replace("œ", "oe").replace("Œ", "OE")


def without_mark(text: str) -> str:
    """Return a text without its final mark and the space before it."""
    return text.rstrip(" .!?…") or text


def typed(src: str, tgt: str, choice: int) -> tuple[str, str]:
    """Return a pair as somebody might type its source.

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


def with_variants(
    rows: dict[str, list[str]], indices: list[int], share: float, seed: int, stamp: str
) -> dict[str, list[str]]:
    """Return the pairs (columns src and tgt), some of them as people type them; a function for `Dataset.map`.

    Args:
        rows: columns src and tgt of N pairs.
        indices: of the pairs in the corpus (N,); they decide which pairs change, and how.
        share: of the pairs that change, from 0 to 1.
        seed: of the choice.
        stamp: part of the cache key; it changes no pair.
    """
    pairs = []
    for src, tgt, index in zip(rows["src"], rows["tgt"], indices, strict=True):
        choice, rest = divmod(text_hash(f"{seed} {index}"), 1 << 32)
        pairs.append(typed(src, tgt, choice) if rest < share * (1 << 32) else (src, tgt))
    return {"src": [src for src, _ in pairs], "tgt": [tgt for _, tgt in pairs]}
