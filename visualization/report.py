"""What the attention of a trained model knows: which word translates which, and what a pronoun stands for."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from maps.align import Links, Reading, align, alignment_error_rate, diagonal
from maps.sentence import SentenceMaps, merge, word_spans


class Link(NamedTuple):
    """A pronoun and the noun that it stands for, as places of words, counted from 0.

    pronoun, antecedent, nouns: in the source; nouns are all that the pronoun could stand for, the antecedent included.
    pronoun_translated: in the reference translation.
    """

    pronoun: int
    antecedent: int
    nouns: list[int]
    pronoun_translated: int


def attention_to_antecedent(maps: SentenceMaps, link: Link) -> np.ndarray:
    """Weight that each encoder head puts from the pronoun on its antecedent (L, H)."""
    return pronoun_row(maps, link)[:, :, link.antecedent]


def pronoun_row(maps: SentenceMaps, link: Link) -> np.ndarray:
    """Weights from the pronoun to each word of the source (L, H, words)."""
    spans = word_spans(maps.source_tokens[:-1])
    return merge(maps.encoder_self[..., :-1, :-1], spans, spans)[:, :, link.pronoun]


def antecedent_shares(maps: Sequence[SentenceMaps], links: Sequence[Link]) -> tuple[np.ndarray, float]:
    """Share of sentences whose pronoun has its strongest key among the nouns at its own, by each encoder head (L, H).

    Returns:
        The shares, and the share that chance would find.
    """
    strongest = [pronoun_row(m, link)[:, :, link.nouns].argmax(-1) for m, link in zip(maps, links, strict=True)]
    right = [place == link.nouns.index(link.antecedent) for place, link in zip(strongest, links, strict=True)]
    return np.mean(right, axis=0), float(np.mean([1 / len(link.nouns) for link in links]))


def pronouns_right(translations: Sequence[str], references: Sequence[str], links: Sequence[Link]) -> float:
    """Share of translations that hold the reference's pronoun at the reference's place."""
    right = 0
    for translation, reference, link in zip(translations, references, links, strict=True):
        found, wanted = (words(text)[link.pronoun_translated :][:1] for text in (translation, reference))
        right += found == wanted
    return right / len(links)


def words(text: str) -> list[str]:
    """Words without case and final mark."""
    return text.lower().rstrip(" .?!").split()


def alignment_errors(maps: Sequence[SentenceMaps], gold: Sequence[Links], reading: Reading) -> tuple[float, float]:
    """Alignment error rate of a reading, and of the diagonal."""
    lengths = [(len(word_spans(m.source_tokens[:-1])), len(word_spans(m.decoder_output_tokens[:-1]))) for m in maps]
    return (
        alignment_error_rate([align(m, reading) for m in maps], gold),
        alignment_error_rate([diagonal(*n) for n in lengths], gold),
    )
