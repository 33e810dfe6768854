"""All attention of one translation, taken in one pass over the finished sentence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from model import Transformer, attention_maps
from model.transformer import BOS

Kind = Literal["encoder_self", "decoder_self", "cross"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Span = tuple[int, int]  # first piece and the one after the last


@dataclass(frozen=True)
class SentenceMaps:
    """One translation and every attention weight that made it.

    Row t of `decoder_self` and `cross` belongs to the step that reads `decoder_input_ids[t]` and predicts
    `decoder_output_ids[t]`.

    source, translation: the texts.
    source_ids: pieces of the source, end mark last (S).
    decoder_input_ids: begin mark, then the translation (T).
    decoder_output_ids: the translation, then the end mark (T).
    source_tokens, decoder_input_tokens, decoder_output_tokens: the same as text, `▁` before a word.
    log_probs: natural logarithm of the probability of each output piece (T,), float32.
    encoder_self: weights (L, H, S, S), float32: layer, head, query, key.
    decoder_self: weights (L, H, T, T); L is the decoder's depth here.
    cross: weights (L, H, T, S).
    """

    source: str
    translation: str
    source_ids: list[int]
    decoder_input_ids: list[int]
    decoder_output_ids: list[int]
    source_tokens: list[str]
    decoder_input_tokens: list[str]
    decoder_output_tokens: list[str]
    log_probs: np.ndarray
    encoder_self: np.ndarray
    decoder_self: np.ndarray
    cross: np.ndarray

    def weights(self, kind: Kind) -> np.ndarray:
        """Return the weights of one kind of attention (L, H, queries, keys)."""
        return getattr(self, kind)

    def query_tokens(self, kind: Kind) -> list[str]:
        """Name the rows: decoder rows by the piece that they predict."""
        return self.source_tokens if kind == "encoder_self" else self.decoder_output_tokens

    def key_tokens(self, kind: Kind) -> list[str]:
        """Name the columns: decoder columns by the piece that was read there."""
        return self.decoder_input_tokens if kind == "decoder_self" else self.source_tokens

    @property
    def log_prob(self) -> float:
        """Natural logarithm of the probability of the whole translation, end mark included."""
        return float(self.log_probs.sum())


@torch.no_grad()
def forced_pass(
    model: Transformer, src_ids: Sequence[int], tgt_ids: Sequence[int]
) -> tuple[Tensor, dict[str, Tensor], list[int]]:
    """Let the model read a source and a finished translation at once, while every attention is recorded.

    Teacher-forced, without padding, in eval mode and float32; the model's mode is left as it was.

    Args:
        model: the network.
        src_ids: the source, end mark last (S).
        tgt_ids: the translation without begin mark, end mark last (T).

    Returns:
        Logits (1, T, V), weights by module path (1, H, queries, keys), and what the decoder read (T).
    """
    device = next(model.parameters()).device
    read = [BOS, *tgt_ids[:-1]]
    training = model.training
    model.eval()
    try:
        with attention_maps(model) as maps, torch.autocast(device.type, enabled=False):
            logits = model(torch.tensor([list(src_ids)], device=device), torch.tensor([read], device=device))
    finally:
        model.train(training)
    return logits, maps, read


def take_maps(
    model: Transformer,
    src_ids: Sequence[int],
    tgt_ids: Sequence[int],
    pieces: Callable[[Sequence[int]], list[str]],
    source: str,
    translation: str,
) -> SentenceMaps:
    """Look at every attention while the model reads a source and a finished translation of it.

    One `forced_pass` over the finished translation: it holds for greedy, beam and given translations alike, and its
    log-probability is the search's own.

    Args:
        model: the network; its mode and its weights are left as they were.
        src_ids: the source, end mark last.
        tgt_ids: the translation without begin mark, end mark last.
        pieces: ids -> pieces, such as `Tokenizer.pieces`.
        source, translation: the texts, kept beside the weights.
    """
    logits, maps, read = forced_pass(model, src_ids, tgt_ids)
    predicted = torch.tensor(list(tgt_ids), device=logits.device)
    log_probs = logits[0].float().log_softmax(dim=-1).gather(1, predicted[:, None]).squeeze(1)  # (T,)

    def stack(side: str, name: str) -> np.ndarray:
        layers = [maps[f"{side}.{i}.{name}"][0].float() for i in range(len(getattr(model, side)))]
        return torch.stack(layers).cpu().numpy()  # (L, H, queries, keys)

    return SentenceMaps(
        source=source,
        translation=translation,
        source_ids=list(src_ids),
        decoder_input_ids=read,
        decoder_output_ids=list(tgt_ids),
        source_tokens=pieces(src_ids),
        decoder_input_tokens=pieces(read),
        decoder_output_tokens=pieces(tgt_ids),
        log_probs=log_probs.cpu().numpy(),
        encoder_self=stack("encoder", "self_attention"),
        decoder_self=stack("decoder", "self_attention"),
        cross=stack("decoder", "cross_attention"),
    )


def word_spans(tokens: Sequence[str]) -> list[Span]:
    """Group pieces to words: a piece that begins with `▁` starts one, and each special token is one by itself."""
    special = {"<pad>", "<s>", "</s>", "<unk>"}
    starts = [
        i
        for i, token in enumerate(tokens)
        if i == 0 or token.startswith("▁") or token in special or tokens[i - 1] in special
    ]
    return list(pairwise([*starts, len(tokens)]))


def merge(weights: np.ndarray, queries: Sequence[Span], keys: Sequence[Span]) -> np.ndarray:
    """Merge pieces into words: keys add up, queries are averaged, so that each row still sums to 1.

    Args:
        weights: (..., queries, keys).
        queries, keys: spans of pieces.
    """
    columns = np.stack([weights[..., start:stop].sum(-1) for start, stop in keys], axis=-1)
    return np.stack([columns[..., start:stop, :].mean(-2) for start, stop in queries], axis=-2)


def head_statistics(weights: np.ndarray, kind: Kind) -> dict[str, np.ndarray]:
    """Describe each head by three numbers, each a mean over its queries.

    Args:
        weights: (L, H, queries, keys).
        kind: which attention it is.

    Returns:
        entropy: that of a row over log2 of the number of visible keys, (L, H): 1 looks everywhere, 0 at one key. Rows
            with a single visible key have no choice and are left out.
        maximum: the largest weight of a row (L, H).
        distance: mean |query - key| in pieces, weighted by attention (L, H); for cross-attention both positions are
            taken as they stand.
    """
    n_queries, n_keys = weights.shape[-2:]
    # Keys that each query may attend to (queries,): the past and itself in the decoder, else all.
    visible = np.arange(1, n_queries + 1) if kind == "decoder_self" else np.full(n_queries, n_keys)
    bits = -(weights * np.log2(np.maximum(weights, 1e-30))).sum(-1)  # (L, H, queries)
    choice = visible > 1
    share = bits[..., choice] / np.log2(visible[choice])
    entropy = share.mean(-1) if choice.any() else np.zeros(weights.shape[:2])
    far = np.abs(np.arange(n_queries)[:, None] - np.arange(n_keys)[None, :])
    return {
        "entropy": entropy,
        "maximum": weights.max(-1).mean(-1),
        "distance": (weights * far).sum(-1).mean(-1),
    }
