"""An encoder that reads the source, a decoder that writes the target while looking at both."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.attention import LayerCache, MultiHeadAttention
from model.dropout import Dropout
from model.linear import Linear, linear, product_dtype

PAD, BOS, EOS, UNK = 0, 1, 2, 3  # ids that the tokenizer reserves
Norm = Literal["pre", "post"]
SIZES = ("vocab_size", "d_model", "n_heads", "n_encoder_layers", "n_decoder_layers", "d_ff")  # of the weights


def sinusoids(length: int, d_model: int, device: torch.device | None = None) -> Tensor:
    """Tell positions apart without learning them: a clock with d_model / 2 hands, each slower than the one before.

    Args:
        length: of the positions 0, 1, ...
        d_model: C, even.

    Returns:
        (length, C) with sine in the even and cosine in the odd columns.

    Source: Vaswani et al. 2017, section 3.5.
    """
    position = torch.arange(length, device=device).unsqueeze(1)  # (T, 1)
    rate = torch.exp(torch.arange(0, d_model, 2, device=device) * (-math.log(10_000.0) / d_model))  # (C / 2,)
    angle = position * rate  # (T, C / 2)
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1)  # (T, C)


@lru_cache(maxsize=32)
def positions(length: int, d_model: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Keep `sinusoids` (length, C): a search asks for them at every step."""
    with torch.inference_mode(mode=False):  # what is kept may meet a gradient later
        return sinusoids(length, d_model, device).to(dtype)


class FeedForward(nn.Module):
    """Think about each position by itself: two linear maps with a ReLU between (section 3.3, equation 2)."""

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.expand = Linear(d_model, d_ff)
        self.contract = Linear(d_ff, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        return self.contract(F.relu(self.expand(x)))


class LayerNorm(nn.LayerNorm):
    """Layer normalisation in the precision of its input, where autocast on a GPU would answer in float32."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        return super().forward(x).to(x.dtype)


class Residual(nn.Module):
    """Add what a sub-layer found to what was there before, so that gradients reach every layer undiminished.

    Pre-norm normalises what the sub-layer reads, x + f(norm(x)), and trains without long warm-up (Xiong et al. 2020);
    post-norm normalises the sum, norm(x + f(x)), as in the paper (section 3.1). Dropout as in section 5.4.
    """

    def __init__(self, d_model: int, dropout: float, norm: Norm) -> None:
        super().__init__()
        self.norm = LayerNorm(d_model)
        self.dropout = Dropout(dropout)
        self.pre = norm == "pre"

    def forward(self, x: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        if self.pre:
            return x + self.dropout(sublayer(self.norm(x)))
        return self.norm(x + self.dropout(sublayer(x)))


class EncoderLayer(nn.Module):
    """Self-attention, then feed-forward (section 3.1)."""

    def __init__(self, d_model: int, n_heads: int, d_ff: int, dropout: float, norm: Norm) -> None:
        super().__init__()
        self.self_attention = MultiHeadAttention(d_model, n_heads)
        self.feed_forward = FeedForward(d_model, d_ff)
        self.residuals = nn.ModuleList(Residual(d_model, dropout, norm) for _ in range(2))

    def forward(self, x: Tensor, src_mask: Tensor) -> Tensor:
        """x (B, S, C), src_mask (B, 1, 1, S) -> (B, S, C)."""
        x = self.residuals[0](x, lambda y: self.self_attention(y, mask=src_mask))
        return self.residuals[1](x, self.feed_forward)


class DecoderLayer(nn.Module):
    """Masked self-attention over what was written, cross-attention to what was read, feed-forward (section 3.1)."""

    def __init__(self, d_model: int, n_heads: int, d_ff: int, dropout: float, norm: Norm) -> None:
        super().__init__()
        self.self_attention = MultiHeadAttention(d_model, n_heads)
        self.cross_attention = MultiHeadAttention(d_model, n_heads)
        self.feed_forward = FeedForward(d_model, d_ff)
        self.residuals = nn.ModuleList(Residual(d_model, dropout, norm) for _ in range(3))

    def forward(
        self,
        x: Tensor,
        memory: Tensor | tuple[Tensor, Tensor],
        tgt_mask: Tensor | None,
        src_mask: Tensor | None,
        cache: LayerCache | None = None,
    ) -> Tensor:
        """x (B, T, C), memory (B, S, C), tgt_mask (T, T), src_mask (B, 1, 1, S) -> (B, T, C).

        The memory may be given as the keys and values that cross-attention makes of it, and x as several hypotheses of
        each sentence (B·K, T, C), which continue what a cache holds. A mask of None hides nothing.
        """

        def ask(y: Tensor) -> Tensor:
            n_sentences = len(memory if isinstance(memory, Tensor) else memory[0])
            together = y.reshape(n_sentences, -1, y.size(-1))  # hypotheses of a sentence share its keys
            return self.cross_attention(together, memory, src_mask).view_as(y)

        x = self.residuals[0](x, lambda y: self.self_attention(y, mask=tgt_mask, cache=cache))
        x = self.residuals[1](x, ask)
        return self.residuals[2](x, self.feed_forward)


class Transformer(nn.Module):
    """The whole network, from token ids to logits.

    One matrix serves as source embedding, target embedding and output projection (section 3.4), which the joint
    vocabulary makes possible.
    """

    def __init__(
        self,
        vocab_size: int,
        d_model: int = 256,
        n_heads: int = 4,
        n_encoder_layers: int = 3,
        n_decoder_layers: int = 3,
        d_ff: int = 1024,
        dropout: float = 0.1,
        norm: Norm = "pre",
    ) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.dropout = Dropout(dropout)
        sizes = (d_model, n_heads, d_ff, dropout, norm)
        self.encoder = nn.ModuleList(EncoderLayer(*sizes) for _ in range(n_encoder_layers))
        self.decoder = nn.ModuleList(DecoderLayer(*sizes) for _ in range(n_decoder_layers))
        # Pre-norm leaves the sum of all sub-layers unnormalised; post-norm has just normalised it.
        self.encoder_norm = LayerNorm(d_model) if norm == "pre" else nn.Identity()
        self.decoder_norm = LayerNorm(d_model) if norm == "pre" else nn.Identity()
        self.apply(initialise)

    def forward(self, src: Tensor, tgt: Tensor) -> Tensor:
        """Source ids (B, S) and target ids so far (B, T) -> logits of each next token (B, T, V)."""
        memory, src_mask = self.encode(src)
        return self.logits(self.decode(tgt, memory, src_mask))

    def encode(self, src: Tensor) -> tuple[Tensor, Tensor]:
        """Read the source: ids (B, S) -> memory (B, S, C) and its mask (B, 1, 1, S), False on padding."""
        src_mask = (src != PAD)[:, None, None, :]  # (B, 1, 1, S)
        x = self.embed(src)
        for layer in self.encoder:
            x = layer(x, src_mask)
        return self.encoder_norm(x), src_mask

    def decode(self, tgt: Tensor, memory: Tensor, src_mask: Tensor) -> Tensor:
        """Target ids (B, T), memory (B, S, C), src_mask (B, 1, 1, S) -> what each position knows (B, T, C).

        Padding stands at the end of a target, so the causal mask already hides it from every real token.
        """
        length = tgt.size(1)
        # (T, T): a position sees itself and the past
        tgt_mask = torch.ones(length, length, dtype=torch.bool, device=tgt.device).tril()
        x = self.embed(tgt)
        for layer in self.decoder:
            x = layer(x, memory, tgt_mask, src_mask)
        return self.decoder_norm(x)

    def decode_next(self, tokens: Tensor, position: int, src_mask: Tensor | None, cache: list[LayerCache]) -> Tensor:
        """Go one token further in each hypothesis -> what each knows now (B·K, 1, C).

        Args:
            tokens: ids (B·K, 1): K hypotheses of each sentence.
            position: of these tokens, from 0.
            src_mask: what `encode` returned; None if nothing is padding.
            cache: of each layer.
        """
        x = self.embed(tokens, position)
        for layer, layer_cache in zip(self.decoder, cache, strict=True):
            x = layer(x, layer_cache.source, None, src_mask, layer_cache)
        return self.decoder_norm(x)

    def embed(self, tokens: Tensor, position: int | None = None) -> Tensor:
        """Ids (B, T) at positions 0 ... T - 1, or all at the same one -> √d_model · embedding + position (B, T, C)."""
        start, stop = (0, tokens.size(1)) if position is None else (position, position + 1)
        d_model = self.embedding.embedding_dim
        x = self.embedding(tokens) * d_model**0.5
        x = x + positions(1 << stop.bit_length(), d_model, x.device, x.dtype)[start:stop]
        return self.dropout(x.to(product_dtype(x)))  # all that follows keeps to it: fewer bytes move

    def logits(self, x: Tensor) -> Tensor:
        """Compare each state with every embedding: (..., C) -> (..., V)."""
        return linear(x, self.embedding.weight)


def initialise(module: nn.Module) -> None:
    """Start every layer where its output has about the variance of its input; all initialisation happens here.

    Matrices are Xavier uniform (Glorot and Bengio 2010, equation 16), biases zero. Embeddings are normal with
    variance 1 / d_model: times √d_model they enter the encoder with variance 1, and as output projection they give
    logits of variance 1. Layer norms keep PyTorch's start, scale 1 and shift 0.
    """
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=module.embedding_dim**-0.5)
