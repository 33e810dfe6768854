"""The Transformer: configuration, layers, encoder, decoder, initialisation."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from constants import MAX_TOKENS, PAD
from errors import UserError
from model.attention import MultiHeadAttention

Norm = Literal["pre", "post"]


@dataclass(frozen=True)
class TransformerConfig:
    """The sizes of a Transformer, under the paper's names.

    Args:
        vocab_size: V, tokens of the joint vocabulary.
        d_model: C, width of the model; even, and a multiple of n_heads.
        n_heads: H, heads of each attention layer.
        n_encoder_layers: layers of the encoder.
        n_decoder_layers: layers of the decoder.
        d_ff: inner width of the feed-forward networks.
        dropout: probability of zeroing an activation in training (section 5.4).
        norm: `pre` normalises the input of each sub-layer, x + f(norm(x)); `post` normalises its sum with the input,
            norm(x + f(x)), as in the paper.

    Raises:
        UserError: a number is out of range.
    """

    vocab_size: int
    d_model: int = 256
    n_heads: int = 4
    n_encoder_layers: int = 3
    n_decoder_layers: int = 3
    d_ff: int = 1024
    dropout: float = 0.1
    norm: Norm = "pre"

    def __post_init__(self) -> None:
        for name in ("vocab_size", "d_model", "n_heads", "n_encoder_layers", "n_decoder_layers", "d_ff"):
            if getattr(self, name) < 1:
                raise UserError(f"model.{name} must be at least 1, not {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise UserError(f"model.dropout must be at least 0 and below 1, not {self.dropout}")
        if self.d_model % self.n_heads:
            raise UserError(f"model.d_model {self.d_model} must be a multiple of model.n_heads {self.n_heads}")
        if self.d_model % 2:
            raise UserError(f"model.d_model must be even (sines and cosines of positions), not {self.d_model}")
        if self.norm not in ("pre", "post"):
            raise UserError(f"model.norm must be pre or post, not {self.norm}")


def sinusoids(length: int, d_model: int) -> Tensor:
    """Position encodings: pos -> sin(pos / 10000^(2i / d_model)) in column 2i, cos of the same angle in column 2i + 1.

    Each pair of columns has a lower frequency than the pair before it. The d_model / 2 angles together identify a
    position.

    Args:
        length: number of positions 0, 1, ...
        d_model: C, even.

    Returns:
        Encodings (length, C).

    Source: Vaswani et al. 2017, section 3.5.
    """
    position = torch.arange(length).unsqueeze(1)  # (T, 1)
    frequency = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10_000.0) / d_model))  # (C / 2,)
    angle = position * frequency  # (T, C / 2)
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1)  # (T, C)


class FeedForward(nn.Module):
    """Position-wise feed-forward network: two linear layers with a ReLU between them (section 3.3, equation 2)."""

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.expand = nn.Linear(d_model, d_ff)
        self.contract = nn.Linear(d_ff, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        return self.contract(F.relu(self.expand(x)))


class Residual(nn.Module):
    """A residual connection with layer normalisation and dropout around a sub-layer (sections 3.1 and 5.4).

    Pre-norm, x + dropout(f(norm(x))), leaves an unnormalised path for the gradient and trains without a long warm-up
    (Xiong et al. 2020, "On Layer Normalization in the Transformer Architecture"). Post-norm, norm(x + dropout(f(x))),
    is the paper's.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.d_model)
        self.dropout = nn.Dropout(config.dropout)
        self.pre = config.norm == "pre"

    def forward(self, x: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        if self.pre:
            return x + self.dropout(sublayer(self.norm(x)))
        return self.norm(x + self.dropout(sublayer(x)))


class EncoderLayer(nn.Module):
    """Self-attention, then a feed-forward network, each with a residual connection (section 3.1)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.self_attention = MultiHeadAttention(config.d_model, config.n_heads)
        self.feed_forward = FeedForward(config.d_model, config.d_ff)
        self.residuals = nn.ModuleList(Residual(config) for _ in range(2))

    def forward(self, x: Tensor, src_mask: Tensor) -> Tensor:
        """x (B, S, C), src_mask (B, 1, 1, S) -> (B, S, C)."""
        x = self.residuals[0](x, lambda y: self.self_attention(y, mask=src_mask))
        return self.residuals[1](x, self.feed_forward)


class LayerCache(NamedTuple):
    """Keys and values that a decoder layer has already computed, so that a decoding step projects new tokens only.

    target_k, target_v: of the target tokens so far (B * K, H, N, D).
    source_k, source_v: of the source (B, H, S, D); all K hypotheses of a sentence share them.
    """

    target_k: Tensor
    target_v: Tensor
    source_k: Tensor
    source_v: Tensor

    def append(self, k: Tensor, v: Tensor) -> "LayerCache":
        """Return a cache with the keys and values (B * K, H, 1, D) of one more target token."""
        target_k, target_v = torch.cat((self.target_k, k), dim=2), torch.cat((self.target_v, v), dim=2)
        return self._replace(target_k=target_k, target_v=target_v)


class DecoderLayer(nn.Module):
    """Masked self-attention, cross-attention to the encoder output, then a feed-forward network (section 3.1)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.self_attention = MultiHeadAttention(config.d_model, config.n_heads)
        self.cross_attention = MultiHeadAttention(config.d_model, config.n_heads)
        self.feed_forward = FeedForward(config.d_model, config.d_ff)
        self.residuals = nn.ModuleList(Residual(config) for _ in range(3))

    def forward(self, x: Tensor, memory: Tensor, tgt_mask: Tensor, src_mask: Tensor) -> Tensor:
        """x (B, T, C), memory (B, S, C), tgt_mask (T, T), src_mask (B, 1, 1, S) -> (B, T, C)."""
        x = self.residuals[0](x, lambda y: self.self_attention(y, mask=tgt_mask))
        x = self.residuals[1](x, lambda y: self.cross_attention(y, memory, src_mask))
        return self.residuals[2](x, self.feed_forward)

    def step(self, x: Tensor, cache: LayerCache, src_mask: Tensor) -> tuple[Tensor, LayerCache]:
        """Compute `forward` for one new token of each hypothesis.

        Args:
            x: the new tokens of K hypotheses of each sentence (B * K, 1, C).
            cache: keys and values of the source and of the tokens before.
            src_mask: (B, 1, 1, S).

        Returns:
            The layer's output (B * K, 1, C), and the cache with the new token.
        """

        def attend_to_target(y: Tensor) -> Tensor:
            nonlocal cache
            cache = cache.append(*self.self_attention.keys_values(y))
            return self.self_attention.attend(y, cache.target_k, cache.target_v)

        def attend_to_source(y: Tensor) -> Tensor:
            # The K hypotheses of a sentence are K queries to the same keys.
            queries = y.reshape(len(cache.source_k), -1, y.size(-1))  # (B, K, C)
            return self.cross_attention.attend(queries, cache.source_k, cache.source_v, src_mask).view_as(y)

        x = self.residuals[0](x, attend_to_target)
        x = self.residuals[1](x, attend_to_source)
        return self.residuals[2](x, self.feed_forward), cache


class Transformer(nn.Module):
    """The network from token ids to logits.

    One matrix serves as source embedding, target embedding and output projection (section 3.4), which the joint
    vocabulary of both languages makes possible.
    """

    positions: Tensor  # (MAX_TOKENS, C)

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.register_buffer("positions", sinusoids(MAX_TOKENS, config.d_model), persistent=False)
        self.dropout = nn.Dropout(config.dropout)
        self.encoder = nn.ModuleList(EncoderLayer(config) for _ in range(config.n_encoder_layers))
        self.decoder = nn.ModuleList(DecoderLayer(config) for _ in range(config.n_decoder_layers))
        # Pre-norm layers return an unnormalised sum; post-norm layers have just normalised it.
        pre = config.norm == "pre"
        self.encoder_norm = nn.LayerNorm(config.d_model) if pre else nn.Identity()
        self.decoder_norm = nn.LayerNorm(config.d_model) if pre else nn.Identity()
        self.apply(initialise)

    def forward(self, src: Tensor, tgt: Tensor) -> Tensor:
        """Source ids (B, S) and target ids so far (B, T) -> logits of each next token (B, T, V)."""
        memory, src_mask = self.encode(src)
        return self.logits(self.decode(tgt, memory, src_mask))

    def encode(self, src: Tensor) -> tuple[Tensor, Tensor]:
        """Source ids (B, S) -> encoder output, the memory (B, S, C), and its mask (B, 1, 1, S), False on padding."""
        src_mask = (src != PAD)[:, None, None, :]  # (B, 1, 1, S)
        x = self.embed(src)
        for layer in self.encoder:
            x = layer(x, src_mask)
        return self.encoder_norm(x), src_mask

    def decode(self, tgt: Tensor, memory: Tensor, src_mask: Tensor) -> Tensor:
        """Target ids (B, T), memory (B, S, C), src_mask (B, 1, 1, S) -> decoder hidden states (B, T, C).

        Target padding stands at the end, so the causal mask already hides it from all real tokens.
        """
        length = tgt.size(1)
        tgt_mask = torch.ones(length, length, dtype=torch.bool, device=tgt.device).tril()  # itself and the past
        x = self.embed(tgt)
        for layer in self.decoder:
            x = layer(x, memory, tgt_mask, src_mask)
        return self.decoder_norm(x)

    def start_cache(self, memory: Tensor) -> list[LayerCache]:
        """Memory (B, S, C) -> the cache of each decoder layer, for one hypothesis a sentence without any token."""
        caches = []
        for layer in self.decoder:
            k, v = layer.cross_attention.keys_values(memory)  # type: ignore[operator,union-attr]
            caches.append(LayerCache(k[:, :, :0], v[:, :, :0], k, v))
        return caches

    def decode_step(
        self, tokens: Tensor, caches: Sequence[LayerCache], src_mask: Tensor
    ) -> tuple[Tensor, list[LayerCache]]:
        """Decode one step: the last token of each hypothesis -> logits of its next token.

        Args:
            tokens: ids (B * K, 1).
            caches: of each decoder layer, from `start_cache` or from the step before.
            src_mask: (B, 1, 1, S).

        Returns:
            Logits (B * K, V), and the caches with the new tokens.
        """
        x = self.embed(tokens, start=caches[0].target_k.size(2))
        extended = []
        for layer, cache in zip(self.decoder, caches, strict=True):
            x, cache = layer.step(x, cache, src_mask)  # type: ignore[operator]
            extended.append(cache)
        return self.logits(self.decoder_norm(x)).squeeze(1), extended

    def embed(self, tokens: Tensor, start: int = 0) -> Tensor:
        """Ids (B, T) at positions start, start + 1, ... -> √d_model · embedding + position encoding (B, T, C).

        Raises:
            ValueError: a position is not below MAX_TOKENS.
        """
        end = start + tokens.size(1)
        if end > MAX_TOKENS:
            raise ValueError(f"{end} tokens are more than the {MAX_TOKENS} positions of the network")
        x = self.embedding(tokens) * math.sqrt(self.config.d_model) + self.positions[start:end]
        if torch.is_autocast_enabled(x.device.type):
            # Cast once to the compute dtype; later layers keep it, which saves memory bandwidth.
            x = x.to(torch.get_autocast_dtype(x.device.type))
        return self.dropout(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """Dot products of hidden states with every embedding: (..., C) -> (..., V)."""
        return F.linear(hidden, self.embedding.weight)


def initialise(module: nn.Module) -> None:
    """Draw the initial weights of one layer so that its output has about the variance of its input.

    Matrices are Xavier uniform (Glorot and Bengio 2010, equation 16), biases zero. Embeddings are normal with variance
    1 / d_model: times √d_model they enter the encoder with variance 1, and as output projection they give logits of
    variance 1. Layer norms keep PyTorch's start, scale 1 and shift 0.
    """
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=module.embedding_dim**-0.5)
