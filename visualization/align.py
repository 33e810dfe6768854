"""Word alignment: which source word a target word translates, read from cross-attention."""

from collections.abc import Iterable, Sequence
from itertools import product
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np

from errors import UserError
from visualization.sentence import SentenceMaps, merge, word_spans

if TYPE_CHECKING:
    from translation.translator import Translator

Side = Literal["input", "output"]
SIDES: tuple[Side, ...] = get_args(Side)
Links = set[tuple[int, int]]  # (source word, target word), counted from 0


class Reading(NamedTuple):
    """The cross-attention weights from which an alignment is read.

    layer: of the decoder; None is the mean of all layers.
    head: None is the mean of all heads.
    side: `output` reads the row that predicts a target token. `input` reads the next row, whose input is that token;
        it often points to the source word more sharply (Chen et al. 2020, "Accurate Word Alignment Induction from
        Neural Machine Translation").
    """

    layer: int | None
    head: int | None
    side: Side


def word_weights(maps: SentenceMaps, reading: Reading) -> np.ndarray:
    """Return the weight of each target word on each source word (target words, source words), EOS left out."""
    cross = maps.cross.mean(0) if reading.layer is None else maps.cross[reading.layer]  # (H, T, S)
    cross = cross.mean(0) if reading.head is None else cross[reading.head]  # (T, S)
    n_target = len(maps.decoder_output_ids) - 1  # tokens without EOS
    first = 1 if reading.side == "input" else 0
    rows = cross[first : first + n_target, :-1]
    return merge(rows, word_spans(maps.decoder_output_tokens[:-1]), word_spans(maps.source_tokens[:-1]))


def align(maps: SentenceMaps, reading: Reading) -> Links:
    """Return the links of a sentence: of each word to the word of the other language with the largest weight.

    Each target word is linked to the source word with the largest weight in its row, and each source word to the target
    word with the largest weight in its column. So `ne ... pas` is linked to its one `not`, and `aux` to `to` and `the`.
    """
    if len(maps.decoder_output_ids) == 1 or len(maps.source_ids) == 1:
        return set()  # one side is empty but for EOS
    weights = word_weights(maps, reading)
    forward = {(int(s), t) for t, s in enumerate(weights.argmax(1))}
    backward = {(s, int(t)) for s, t in enumerate(weights.argmax(0))}
    return forward | backward


def align_line(sentences: Iterable[SentenceMaps], reading: Reading) -> Links:
    """Return the links of a line that holds several sentences; words are counted through the line."""
    links: Links = set()
    n_source = n_target = 0
    for maps in sentences:
        links |= {(s + n_source, t + n_target) for s, t in align(maps, reading)}
        n_source += len(word_spans(maps.source_tokens[:-1]))
        n_target += len(word_spans(maps.decoder_output_tokens[:-1]))
    return links


def pharaoh(links: Links) -> str:
    """Return links in Pharaoh format: `0-0 1-2`, source word first."""
    return " ".join(f"{s}-{t}" for s, t in sorted(links))


def parse_pharaoh(line: str) -> Links:
    """Return the links of a line in Pharaoh format."""
    return {(int(s), int(t)) for s, t in (link.split("-") for link in line.split())}


def gold_links(rows: Iterable[dict[str, str]], source_lang: str) -> list[Links]:
    """Return the known alignments of phrasebook rows, which are written with French as the source."""
    links = [parse_pharaoh(row["alignment"]) for row in rows]
    return links if source_lang == "fr" else [{(j, i) for i, j in pairs} for pairs in links]


def diagonal(n_source: int, n_target: int) -> Links:
    """Return the links of a baseline that aligns by relative position."""
    return {(min(n_source - 1, t * n_source // n_target), t) for t in range(n_target)}


def alignment_error_rate(found: Iterable[Links], gold: Iterable[Links]) -> float:
    """Return 1 - 2 |A ∩ G| / (|A| + |G|) over a corpus, all gold links being sure (Och and Ney 2003, equation 4)."""
    n_common = n_links = 0
    for a, g in zip(found, gold, strict=True):
        n_common += len(a & g)
        n_links += len(a) + len(g)
    return 1 - 2 * n_common / max(1, n_links)


def all_readings(n_layers: int, n_heads: int) -> list[Reading]:
    """Return every head, the mean of the heads of each layer, and the mean of all heads, each with both sides."""
    of_one_layer = product(range(n_layers), (*range(n_heads), None), SIDES)
    of_all_layers = product([None], [None], SIDES)
    return [Reading(*choice) for choice in (*of_one_layer, *of_all_layers)]


def best_reading(maps: Sequence[SentenceMaps], gold: Sequence[Links]) -> Reading:
    """Return the reading with the lowest alignment error rate on sentences whose alignment is known."""
    n_layers, n_heads = maps[0].cross.shape[:2]

    def error_rate(reading: Reading) -> float:
        return alignment_error_rate([align(m, reading) for m in maps], gold)

    return min(all_readings(n_layers, n_heads), key=error_rate)


def usual_reading(n_layers: int) -> Reading:
    """Return the reading to use where no alignment is known: the mean over heads of the second last layer.

    Source: Garg et al. 2019, "Jointly Learning to Align and Translate with Transformer Models", section 4.2.
    """
    return Reading(max(0, n_layers - 2), None, "output")


def default_reading(translator: "Translator") -> Reading:
    """Return the reading that training found best, if it compared heads with known links, or else the usual one.

    Raises:
        UserError: the checkpoint names a layer, head or side that does not exist.
    """
    config = translator.model.config
    if translator.alignment is None:
        return usual_reading(config.n_decoder_layers)
    layers, heads = [None, *range(config.n_decoder_layers)], [None, *range(config.n_heads)]
    try:
        reading = Reading(**translator.alignment)
        exists = reading.layer in layers and reading.head in heads and reading.side in SIDES
    except TypeError:  # other fields, or no dictionary
        exists = False
    if not exists:
        raise UserError(f"the alignment that the checkpoint names does not fit its network: {translator.alignment!r}")
    return reading
