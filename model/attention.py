"""Scaled dot-product attention, multi-head attention, and the recording of attention weights."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention: softmax(q kᵀ / √d_k) v.

    A dictionary returns the value whose key equals the query. Attention returns a weighted mean of all values, and the
    weight of a value grows with the similarity of its key to the query. A dot product of d_k independent terms of
    variance 1 has variance d_k; the division by √d_k brings it back to 1. Without it the softmax of wide heads
    saturates, and its gradient vanishes.

    Args:
        q: queries (B, H, T, D).
        k: keys (B, H, S, D).
        v: values (B, H, S, D).
        mask: boolean, broadcastable to (B, H, T, S); True means "may attend". Every query needs at least one True.

    Returns:
        The weighted means (B, H, T, D) and the weights (B, H, T, S), whose rows sum to 1.

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.1, equation 1.
    """
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))  # (B, H, T, S)
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))  # exp(-inf) = 0: no weight
    weights = scores.softmax(dim=-1)  # (B, H, T, S)
    return weights @ v, weights


class MultiHeadAttention(nn.Module):
    """Attention in n_heads subspaces side by side: concat(head_1, ..., head_H) W_O.

    One head averages over positions, so it can follow one relation at a time. Several heads with projections of their
    own follow several relations at once. Self-attention is `layer(x)`: queries, keys and values are projections of the
    same sequence. Cross-attention is `layer(x, context)`: keys and values come from another sequence.

    Attributes:
        recorder: a function that receives the weights (B, H, T, S) of each forward pass; None, the default, records
            nothing. `attention_maps` sets it.

    Source: Vaswani et al. 2017, section 3.2.2.
    """

    def __init__(self, d_model: int, n_heads: int) -> None:
        """Create the four projections.  Args: d_model, C; n_heads, H, a divisor of d_model."""
        super().__init__()
        self.n_heads = n_heads
        self.w_q = nn.Linear(d_model, d_model)
        self.w_k = nn.Linear(d_model, d_model)
        self.w_v = nn.Linear(d_model, d_model)
        self.w_o = nn.Linear(d_model, d_model)
        self.recorder: Callable[[Tensor], None] | None = None

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Attend from every position of x to the positions of the context.

        Args:
            x: query sequence (B, T, C).
            context: key and value sequence (B, S, C); x itself if None.
            mask: broadcastable to (B, H, T, S), True means "may attend".

        Returns:
            The heads' weighted means, concatenated and projected (B, T, C).
        """
        k, v = self.keys_values(x if context is None else context)
        return self.attend(x, k, v, mask)

    def keys_values(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Project a sequence (B, S, C) to its keys and values, (B, H, S, D) each."""
        return self.split_heads(self.w_k(context)), self.split_heads(self.w_v(context))

    def attend(self, x: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend from x (B, T, C) to keys and values (B, H, S, D) -> (B, T, C)."""
        q = self.split_heads(self.w_q(x))  # (B, H, T, D)
        # The fused kernel of a GPU never stores the weights, so it serves where nothing records them. On CPU the
        # explicit computation is up to 7 times faster in the backward pass for short sequences.
        if self.recorder is None and x.device.type != "cpu":
            heads = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # (B, H, T, D)
        else:
            heads, weights = attention(q, k, v, mask)
            if self.recorder is not None:
                self.recorder(weights.detach())
        return self.w_o(heads.transpose(1, 2).flatten(2))  # (B, T, C)

    def split_heads(self, x: Tensor) -> Tensor:
        """Split the width among the heads: (B, T, C) -> (B, H, T, D)."""
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)


def layers_of(model: nn.Module) -> dict[str, MultiHeadAttention]:
    """Return the attention layers of a model by module path."""
    return {path: module for path, module in model.named_modules() if isinstance(module, MultiHeadAttention)}


@contextmanager
def attention_maps(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Record the attention weights of forward passes inside the `with` block.

    A second forward pass overwrites the weights of the first. Outside the block nothing is recorded.

    Args:
        model: any module that contains `MultiHeadAttention` layers.

    Yields:
        A dictionary from module path (`encoder.0.self_attention`) to weights (B, H, T, S).
    """
    maps: dict[str, Tensor] = {}
    layers = layers_of(model)
    previous = {path: layer.recorder for path, layer in layers.items()}
    for path, layer in layers.items():
        layer.recorder = partial(maps.__setitem__, path)
    try:
        yield maps
    finally:
        for path, layer in layers.items():
            layer.recorder = previous[path]
