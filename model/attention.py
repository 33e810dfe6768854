"""Scaled dot-product attention, many heads of it, and the way to look inside."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from errors import UserError
from model.linear import Linear, linears


class _Here(threading.local):
    """What `attention_maps` knows, of this thread alone: others may search with the same model."""

    observer: Callable[[Tensor], None] | None = None  # set while somebody looks
    path = ""  # of the layer that runs now


_here = _Here()


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Look values up by keys that need only be similar to the query: softmax(q kᵀ / √d_k) v.

    A dictionary returns the value whose key equals the query. This one returns a mean of all values, weighted by
    how well each key fits. Without the division by √d_k, the products of wide vectors grow so large that the softmax
    saturates and its gradient vanishes.

    Args:
        q: queries (B, H, T, D).
        k: keys (B, H, S, D).
        v: values (B, H, S, D).
        mask: boolean, broadcastable to (B, H, T, S); True means "may attend". Every query needs one visible key.

    Returns:
        One weighted sum of values for each query (B, H, T, D).

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.1, equation 1.
    """
    # A GPU's fused call never stores the weights. On a CPU, sentences are short and the lines in the open are faster:
    # up to seven times in the backward pass.
    observer = _here.observer
    if observer is None and q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    scores = q @ k.transpose(-2, -1) / q.size(-1) ** 0.5  # (B, H, T, S)
    if mask is not None:
        scores = scores + torch.zeros_like(mask, dtype=scores.dtype).masked_fill(~mask, float("-inf"))
    weights = scores.softmax(dim=-1)  # each row sums to 1
    if observer is not None:
        observer(weights)
    return weights @ v  # (B, H, T, D)


class LayerCache:
    """What a decoder layer remembers between two steps of a search: keys and values of source and target."""

    def __init__(self, k: Tensor, v: Tensor) -> None:
        """Args: keys and values of the source (B, H, S, D)."""
        self.source = k.contiguous(), v.contiguous()  # or each step would copy them for its products
        self.target = k[:, :, :0], v[:, :, :0]  # (B·K, H, N, D) each, of the tokens so far
        self.parents: Tensor | None = None  # (B·K,) rows of these that the next tokens continue; None: each its own

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Append keys and values (B·K, H, T, D) of target tokens to their parents'; return all, (B·K, H, N, D) each."""
        self.target = self._append(self.target[0], k), self._append(self.target[1], v)
        return self.target

    def _append(self, past: Tensor, new: Tensor) -> Tensor:
        # All is copied: where room was left for more tokens, an attention took two to three times as long.
        if self.parents is None:
            return torch.cat((past, new), dim=2)
        if past.device.type != "cpu":  # one copy more; Apple's GPUs write wrongly into a view before PyTorch 2.14
            return torch.cat((past.index_select(0, self.parents), new), dim=2)
        n_rows, n_heads, n_new, width = new.shape
        start = past.size(2)
        both = new.new_empty(n_rows, n_heads, start + n_new, width)
        torch.index_select(past, 0, self.parents, out=both[:, :, :start])  # moved and copied in one go
        both[:, :, start:] = new
        return both

    def select(self, sentences: Tensor) -> None:
        """Keep the sources of the given sentences (B',), in that order."""
        k, v = self.source
        self.source = k.index_select(0, sentences), v.index_select(0, sentences)


class MultiHeadAttention(nn.Module):
    """Attend in n_heads subspaces at once, so that one head can follow syntax while another follows meaning.

    Self-attention is `layer(x)`: queries, keys and values are three projections of the same x. Cross-attention is
    `layer(x, context)`: x asks, another sequence answers. It is the same function.

    Source: Vaswani et al. 2017, section 3.2.2.
    """

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        if d_model % n_heads:
            raise UserError(f"d_model {d_model} cannot be divided among n_heads {n_heads}: make it a multiple")
        self.n_heads = n_heads
        self.w_q = Linear(d_model, d_model)
        self.w_k = Linear(d_model, d_model)
        self.w_v = Linear(d_model, d_model)
        self.w_o = Linear(d_model, d_model)

    def forward(
        self,
        x: Tensor,
        context: Tensor | tuple[Tensor, Tensor] | None = None,
        mask: Tensor | None = None,
        cache: LayerCache | None = None,
    ) -> Tensor:
        """Let every position of x gather what it needs.

        Args:
            x: asks (B, T, C).
            context: answers (B, S, C), or what `keys_values` made of it; x itself if None.
            mask: broadcastable to (B, H, T, S), True means "may attend".
            cache: keys and values of what x continues, if x itself answers.

        Returns:
            What was gathered, mixed over the heads (B, T, C).
        """
        if context is None:
            q, k, v = self._heads(x, self.w_q, self.w_k, self.w_v)  # (B, H, T, D)
            if cache is not None:
                k, v = cache.extend(k, v)
        else:
            (q,) = self._heads(x, self.w_q)
            k, v = self.keys_values(context) if isinstance(context, Tensor) else context
        heads = attention(q, k, v, mask)  # (B, H, T, D)
        return self.w_o(heads.transpose(1, 2).flatten(2))  # (B, T, C)

    def keys_values(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Project what is attended to: context (B, S, C) -> keys and values, (B, H, S, D) each."""
        k, v = self._heads(context, self.w_k, self.w_v)
        return k, v

    def _heads(self, x: Tensor, *layers: Linear) -> list[Tensor]:
        """x (B, T, C) -> what each layer makes of it, cut into heads (B, H, T, D)."""
        # Somebody who looks may hold hooks in the layers, so they are called one by one.
        made = linears(x, layers) if _here.observer is None else [layer(x) for layer in layers]
        return [y.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for y in made]


@contextmanager
def attention_maps(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Record the attention weights of the last forward pass that this thread makes inside the `with` block.

    Nothing is kept while nobody looks. Inside the block `attention` computes the weights in the open, on a GPU too, and
    hands them over; a second forward pass overwrites the first.

    Args:
        model: any module that contains `MultiHeadAttention` layers.

    Yields:
        A dictionary from module path (`encoder.0.self_attention`) to weights (B, H, T, S), filled by forward passes.
    """
    maps: dict[str, Tensor] = {}
    paths = {module: path for path, module in model.named_modules() if isinstance(module, MultiHeadAttention)}

    def enter(module: nn.Module, _: object) -> None:
        _here.path = paths[module]  # type: ignore[index]

    def record(weights: Tensor) -> None:
        maps[_here.path] = weights.detach()

    previous = _here.observer
    handles = [module.register_forward_pre_hook(enter) for module in paths]
    _here.observer = record
    try:
        yield maps
    finally:
        _here.observer = previous
        for handle in handles:
            handle.remove()
