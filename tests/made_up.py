"""Attention maps with random weights, made without a model."""

import numpy as np

from constants import BOS, EOS
from visualization.sentence import SentenceMaps


def made_up(
    source: list[str], target: list[str], n_layers: tuple[int, int] = (1, 2), n_heads: int = 2, seed: int = 1
) -> SentenceMaps:
    """Return maps with random weights of a sentence and its translation.

    Args:
        source, target: tokens; EOS is added.
        n_layers: of the encoder and the decoder.
        n_heads: of each layer.
        seed: of the random weights.
    """
    draw = np.random.default_rng(seed)
    n_encoder, n_decoder = n_layers
    S, T = len(source) + 1, len(target) + 1

    def weights(layers: int, queries: int, keys: int, causal: bool = False) -> np.ndarray:
        scores = draw.normal(scale=2, size=(layers, n_heads, queries, keys))
        if causal:
            scores = np.where(np.tri(queries, keys, dtype=bool), scores, -np.inf)
        powers = np.exp(scores - scores.max(-1, keepdims=True))
        return (powers / powers.sum(-1, keepdims=True)).astype(np.float32)

    return SentenceMaps(
        source="".join(source).replace("▁", " ").strip(),
        translation="".join(target).replace("▁", " ").strip(),
        source_ids=[*range(4, 3 + S), EOS],
        decoder_input_ids=[BOS, *range(4, 3 + T)],
        decoder_output_ids=[*range(4, 3 + T), EOS],
        source_tokens=[*source, "</s>"],
        decoder_input_tokens=["<s>", *target],
        decoder_output_tokens=[*target, "</s>"],
        log_probs=np.log(draw.uniform(0.1, 1, T)).astype(np.float32),
        encoder_self=weights(n_encoder, S, S),
        decoder_self=weights(n_decoder, T, T, causal=True),
        cross=weights(n_decoder, T, S),
    )
