"""Which word translates which, read from cross-attention."""

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Literal, NamedTuple, get_args

import numpy as np

from maps.sentence import SentenceMaps, merge, word_spans

Side = Literal["input", "output"]
SIDES: tuple[Side, ...] = get_args(Side)
Links = set[tuple[int, int]]  # (source word, target word), counted from 0


class Reading(NamedTuple):
    """Where to look for alignment.

    layer: of the decoder; None is the mean of all layers.
    head: None is the mean of all heads.
    side: `output` reads the row that predicts a target piece; `input` the next one, which has just read it and often
        points to its source more sharply (Chen et al. 2020, "Accurate Word Alignment Induction from Neural Machine
        Translation", the shifted reading).
    """

    layer: int | None
    head: int | None
    side: Side


def word_weights(maps: SentenceMaps, reading: Reading) -> np.ndarray:
    """Read how much each target word looks at each source word, without special tokens (target words, source words)."""
    cross = maps.cross.mean(0) if reading.layer is None else maps.cross[reading.layer]  # (H, T, S)
    cross = cross.mean(0) if reading.head is None else cross[reading.head]  # (T, S)
    n_target = len(maps.decoder_output_ids) - 1  # the end mark is no word
    first = 1 if reading.side == "input" else 0
    rows = cross[first : first + n_target, :-1]
    return merge(rows, word_spans(maps.decoder_output_tokens[:-1]), word_spans(maps.source_tokens[:-1]))


def align(maps: SentenceMaps, reading: Reading) -> Links:
    """Link words that look at each other more than at any other word.

    Each target word is linked to the source word that it attends to most, and each source word to the target word that
    attends to it most: so `ne ... pas` finds its one `not`, and `aux` both `to` and `the`.
    """
    if len(maps.decoder_output_ids) == 1 or len(maps.source_ids) == 1:
        return set()  # nothing but an end mark
    weights = word_weights(maps, reading)
    forward = {(int(s), t) for t, s in enumerate(weights.argmax(1))}
    backward = {(s, int(t)) for s, t in enumerate(weights.argmax(0))}
    return forward | backward


def pharaoh(links: Links) -> str:
    """Write links as `0-0 1-2`, source word first."""
    return " ".join(f"{s}-{t}" for s, t in sorted(links))


def parse_pharaoh(line: str) -> Links:
    """Read what `pharaoh` wrote."""
    return {(int(s), int(t)) for s, t in (link.split("-") for link in line.split())}


def gold_links(rows: Iterable[dict[str, str]], source_lang: str) -> list[Links]:
    """Read the phrasebook's own alignments, whose first side is French whatever the direction."""
    links = [parse_pharaoh(row["alignment"]) for row in rows]
    return links if source_lang == "fr" else [{(j, i) for i, j in pairs} for pairs in links]


def diagonal(n_source: int, n_target: int) -> Links:
    """Align by position alone: the baseline that any reading has to beat."""
    return {(min(n_source - 1, t * n_source // n_target), t) for t in range(n_target)}


def alignment_error_rate(found: Iterable[Links], gold: Iterable[Links]) -> float:
    """1 - 2 |A ∩ G| / (|A| + |G|) over a corpus, every gold link being sure (Och and Ney 2003, equation 4)."""
    both = total = 0
    for a, g in zip(found, gold, strict=True):
        both += len(a & g)
        total += len(a) + len(g)
    return 1 - 2 * both / max(1, total)


def readings(n_layers: int, n_heads: int) -> list[Reading]:
    """List every head of every layer, the mean of each layer's and of all heads, each from both sides."""
    one_layer = product(range(n_layers), (*range(n_heads), None), SIDES)
    return [Reading(*choice) for choice in (*one_layer, *product([None], [None], SIDES))]


def best_reading(maps: Sequence[SentenceMaps], gold: Sequence[Links]) -> Reading:
    """Try every reading on pairs whose alignment is known; return the one with the least error."""
    n_layers, n_heads = maps[0].cross.shape[:2]
    return min(readings(n_layers, n_heads), key=lambda r: alignment_error_rate([align(m, r) for m in maps], gold))


def usual_reading(n_layers: int) -> Reading:
    """Where no gold alignment is known: the mean over heads of the second last layer, output side.

    Source: Garg et al. 2019, "Jointly Learning to Align and Translate with Transformer Models", section 4.2.
    """
    return Reading(max(0, n_layers - 2), None, "output")
