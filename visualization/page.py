"""The attention page: one HTML file that shows every map of some sentences, offline."""

import base64
import gzip
from collections.abc import Sequence
from typing import Any

import numpy as np

from maps.sentence import KINDS, Kind, SentenceMaps, head_statistics, word_spans
from maps.template import fill
from model.transformer import BOS, EOS, PAD

SCALE = 65535  # a weight w is written as the uint16 round(w * SCALE), so it is off by 1 / (2 * SCALE) at most
PLAIN_LIMIT = 1_000_000  # characters of base64 above which the weights are compressed


def page(sentences: Sequence[SentenceMaps], start: str = "") -> str:
    """Write a page on which every layer, head and weight of some translations can be looked at.

    The page loads nothing and needs no network. What it shows stands in its URL fragment:

    - `s` sentence, `k` kind of attention, `l` layer, `h` head or `mean`;
    - `q` and `c` query and key under the cursor, `p` pinned query;
    - the same with a `2` behind (`s2`, `k2`, ...) for a second panel beside the first, `a=2` where that has the keys;
    - `v=lines` lines instead of a heatmap, `w=1` words instead of pieces, `x=1` special tokens hidden.

    All counts start at 0, as in the arrays.

    Args:
        sentences: at least one.
        start: fragment at which the page opens when its address has none, such as `s=2&k=encoder_self&l=1&h=3&p=4`.
    """
    blobs = [{kind: blob(maps.weights(kind)) for kind in KINDS} for maps in sentences]
    plain_size = sum(4 * -(-len(raw) // 3) for kinds in blobs for raw in kinds.values())
    compressed = plain_size > PLAIN_LIMIT
    if compressed:
        blobs = [{kind: gzip.compress(raw, mtime=0) for kind, raw in kinds.items()} for kinds in blobs]
    return fill(
        "page.html",
        {
            "start": start,
            "scale": SCALE,
            "compressed": compressed,
            "sentences": [
                {
                    "source": maps.source,
                    "translation": maps.translation,
                    "sides": {
                        "source": side(maps.source_tokens, maps.source_ids),
                        "input": side(maps.decoder_input_tokens, maps.decoder_input_ids),
                        "output": side(maps.decoder_output_tokens, maps.decoder_output_ids),
                    },
                    "logProbs": [round(float(value), 5) for value in maps.log_probs],
                    "maps": {kind: head_maps(maps.weights(kind), kind, kinds[kind]) for kind in KINDS},
                }
                for maps, kinds in zip(sentences, blobs, strict=True)
            ],
        },
    )


def blob(weights: np.ndarray) -> bytes:
    """Write weights in [0, 1] as little-endian uint16, the last axis running fastest."""
    return np.rint(weights.astype(np.float64) * SCALE).astype("<u2").tobytes()


def side(tokens: list[str], ids: list[int]) -> dict[str, Any]:
    """Describe the tokens along one side of a map: the tokens, their words as spans, which of them are marks."""
    marks = [position for position, id in enumerate(ids) if id in {PAD, BOS, EOS}]
    return {"tokens": tokens, "words": word_spans(tokens), "special": marks}


def head_maps(weights: np.ndarray, kind: Kind, packed: bytes) -> dict[str, Any]:
    """Describe all heads of one kind; the last entropy of a layer is that of the mean of its heads."""
    heads = head_statistics(weights, kind)["entropy"]  # (L, H)
    mean = head_statistics(weights.mean(1, keepdims=True), kind)["entropy"]  # (L, 1)
    return {
        "shape": weights.shape,
        "weights": base64.b64encode(packed).decode(),
        "entropy": np.concatenate([heads, mean], axis=1).astype(float).round(4).tolist(),
    }
