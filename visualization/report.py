"""Measures of attention on phrasebook sentences: word alignment, and the noun that a pronoun stands for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from translation.hypothesis import SearchOptions
from visualization.align import Links, Reading, align, alignment_error_rate, diagonal, gold_links
from visualization.sentence import SentenceMaps, merge, word_spans

if TYPE_CHECKING:
    from translation.translator import Translator

Row = dict[str, Any]  # a sentence pair of the phrasebook with its alignment and its pronoun


class PronounLink(NamedTuple):
    """A pronoun and the noun that it stands for, as indices of words.

    pronoun, antecedent: in the source.
    nouns: all nouns of the source for which the pronoun could stand, the antecedent included.
    pronoun_translated: the pronoun in the reference translation.
    """

    pronoun: int
    antecedent: int
    nouns: list[int]
    pronoun_translated: int


def pronoun_link(row: Row) -> PronounLink:
    """Return the pronoun link of a phrasebook row."""
    return PronounLink(row["pronoun_fr"], row["antecedent_fr"], row["nouns_fr"], row["pronoun_en"])


def pronoun_row(maps: SentenceMaps, link: PronounLink) -> np.ndarray:
    """Return the weights of the pronoun on each word of the source, in encoder self-attention (L, H, words)."""
    spans = word_spans(maps.source_tokens[:-1])
    return merge(maps.encoder_self[..., :-1, :-1], spans, spans)[:, :, link.pronoun]


def antecedent_accuracy(maps: Sequence[SentenceMaps], links: Sequence[PronounLink]) -> tuple[np.ndarray, float]:
    """Return how often the noun with the largest weight in the pronoun's row is the antecedent.

    Returns:
        The fraction of sentences for each encoder head (L, H), and the expected fraction of a random choice.
    """
    correct = []
    for sentence, link in zip(maps, links, strict=True):
        largest = pronoun_row(sentence, link)[:, :, link.nouns].argmax(-1)  # (L, H), index into link.nouns
        correct.append(largest == link.nouns.index(link.antecedent))
    return np.mean(correct, axis=0), float(np.mean([1 / len(link.nouns) for link in links]))


def pronoun_accuracy(translations: Sequence[str], references: Sequence[str], links: Sequence[PronounLink]) -> float:
    """Return the fraction of translations with the reference's pronoun at the reference's position."""
    n_correct = 0
    for translation, reference, link in zip(translations, references, links, strict=True):
        found, expected = (words(text)[link.pronoun_translated :][:1] for text in (translation, reference))
        n_correct += found == expected
    return n_correct / len(links)


def words(text: str) -> list[str]:
    """Return the words of a sentence in lower case, without its final punctuation."""
    return text.lower().rstrip(" .?!").split()


def alignment_errors(maps: Sequence[SentenceMaps], gold: Sequence[Links], reading: Reading) -> tuple[float, float]:
    """Return the alignment error rates of a reading and of the diagonal."""
    lengths = [(len(word_spans(m.source_tokens[:-1])), len(word_spans(m.decoder_output_tokens[:-1]))) for m in maps]
    return (
        alignment_error_rate([align(m, reading) for m in maps], gold),
        alignment_error_rate([diagonal(*n) for n in lengths], gold),
    )


def alignment_report(
    rows: Sequence[Row], maps: Sequence[SentenceMaps], source_lang: str, reading: Reading
) -> list[str]:
    """Return lines about the word alignment of phrasebook pairs.

    Args:
        rows: phrasebook pairs.
        maps: of each pair.
        source_lang: source language of the model.
        reading: of the alignment.
    """
    error, diagonal_error = alignment_errors(maps, gold_links(rows, source_lang), reading)
    layer = "all layers" if reading.layer is None else f"layer {reading.layer}"
    head = "mean of all heads" if reading.head is None else f"head {reading.head}"
    return [
        f"Word alignment of {len(rows):,} test pairs by cross-attention ({layer}, {head}, {reading.side} side)",
        f"  alignment error rate {error:6.1%}",
        f"  of the diagonal      {diagonal_error:6.1%}",
    ]


def pronoun_report(
    translator: "Translator", rows: Sequence[Row], maps: Sequence[SentenceMaps], options: SearchOptions
) -> list[str]:
    """Return lines about the pronouns of phrasebook pairs, whose source must be French.

    Args:
        translator: translates the sentences with a pronoun.
        rows: phrasebook pairs.
        maps: of each pair.
        options: of the search.
    """
    with_pronoun = [row for row in rows if row["pronoun_fr"] >= 0]
    translations = translator.translate([row["src"] for row in with_pronoun], options)
    references = [row["tgt"] for row in with_pronoun]
    correct = pronoun_accuracy(translations, references, [pronoun_link(row) for row in with_pronoun])

    # With a single noun, every head would be correct.
    pairs = [(row, m) for row, m in zip(rows, maps, strict=True) if len(row["nouns_fr"]) > 1]
    links = [pronoun_link(row) for row, _ in pairs]
    accuracy, chance = antecedent_accuracy([m for _, m in pairs], links)  # (L, H)
    best_layer, best_head = np.unravel_index(accuracy.argmax(), accuracy.shape)
    weights = [
        pronoun_row(m, link)[best_layer, best_head, link.antecedent] for (_, m), link in zip(pairs, links, strict=True)
    ]
    example_row, example = pairs[int(np.argmax(weights))]
    query = word_spans(example.source_tokens)[example_row["pronoun_fr"]][0]
    start = f"s=0&k=encoder_self&l={best_layer}&h={best_head}&q={query}&p={query}"
    return [
        "",
        f"Pronouns translated correctly: {correct:.1%} of {len(with_pronoun)} that stand for a noun",
        f"Attention from such a pronoun to its noun: {len(links)} test sentences with more than one noun",
        "  fraction of sentences whose noun with the largest weight is the pronoun's, in encoder self-attention",
        *(
            f"  layer {i}   " + "  ".join(f"head {h} {fraction:6.1%}" for h, fraction in enumerate(heads))
            for i, heads in enumerate(accuracy)
        ),
        f"  chance    {chance:6.1%}",
        f"  best      {accuracy.max():6.1%}, layer {best_layer}, head {best_head}",
        f'  an example: uv run visualize.py export "{example_row["src"]}" --output DIR --start "{start}"',
    ]
