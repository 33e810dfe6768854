"""The attention page: one HTML file that shows every attention map of some translations, without a network."""

import base64
import gzip
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from constants import BOS, EOS, PAD
from translation.maps import KINDS, Kind
from visualization.sentence import SentenceMaps, head_statistics, word_spans
from visualization.template import fill

SCALE = 65535  # a weight w is stored as the uint16 round(w * SCALE): its error is at most 1 / (2 * SCALE)
UNCOMPRESSED_LIMIT = 1_000_000  # characters of base64 above which the weights are compressed


def page(sentences: Sequence[SentenceMaps], start: str = "") -> str:
    """Return an HTML page that shows every layer, head and weight of some translations.

    The page loads nothing. Its URL fragment holds what it shows:

    - `s` sentence, `k` kind of attention, `l` layer, `h` head or `mean`;
    - `q` and `c` query and key under the cursor, `p` pinned query;
    - the same names followed by `2` (`s2`, `k2`, ...) for a second panel, `a=2` if the second panel is active;
    - `v=lines` lines instead of a heatmap, `w=1` words instead of tokens, `x=1` special tokens hidden.

    All indices start at 0, as in the arrays.

    Args:
        sentences: at least one.
        start: fragment for a page that is opened without one, such as `s=2&k=encoder_self&l=1&h=3&p=4`.
    """
    blobs = [{kind: to_uint16(maps.weights(kind)) for kind in KINDS} for maps in sentences]
    base64_size = sum(4 * math.ceil(len(blob) / 3) for kinds in blobs for blob in kinds.values())
    compressed = base64_size > UNCOMPRESSED_LIMIT
    if compressed:
        # Without a time stamp, so that the same sentences give the same page.
        blobs = [{kind: gzip.compress(blob, mtime=0) for kind, blob in kinds.items()} for kinds in blobs]
    data = {
        "title": "Attention",
        "start": start,
        "scale": SCALE,
        "compressed": compressed,
        "sentences": [describe(maps, kinds) for maps, kinds in zip(sentences, blobs, strict=True)],
    }
    return fill("attention.html", data)


def to_uint16(weights: np.ndarray) -> bytes:
    """Return weights in [0, 1] as little-endian uint16, in C order."""
    return np.rint(weights.astype(np.float64) * SCALE).astype("<u2").tobytes()


def describe(maps: SentenceMaps, blobs: dict[Kind, bytes]) -> dict[str, Any]:
    """Return the data of one sentence; `blobs` are its weights by kind of attention."""
    return {
        "source": maps.source,
        "translation": maps.translation,
        "sides": {
            "source": describe_tokens(maps.source_tokens, maps.source_ids),
            "input": describe_tokens(maps.decoder_input_tokens, maps.decoder_input_ids),
            "output": describe_tokens(maps.decoder_output_tokens, maps.decoder_output_ids),
        },
        "logProbs": [round(float(value), 5) for value in maps.log_probs],
        "maps": {kind: describe_heads(maps.weights(kind), kind, blobs[kind]) for kind in KINDS},
    }


def describe_tokens(tokens: list[str], ids: list[int]) -> dict[str, Any]:
    """Return the tokens along one side of a map, the spans of their words, and the positions of special tokens."""
    special = [position for position, token in enumerate(ids) if token in {PAD, BOS, EOS}]
    return {"tokens": tokens, "words": word_spans(tokens), "special": special}


def describe_heads(weights: np.ndarray, kind: Kind, blob: bytes) -> dict[str, Any]:
    """Return the weights of one kind, and the entropies of each layer: of its heads, then of the mean of its heads."""
    heads = head_statistics(weights, kind)["entropy"]  # (L, H)
    mean = head_statistics(weights.mean(1, keepdims=True), kind)["entropy"]  # (L, 1)
    return {
        "shape": weights.shape,
        "weights": base64.b64encode(blob).decode(),
        "entropy": np.concatenate([heads, mean], axis=1).astype(float).round(4).tolist(),
    }
