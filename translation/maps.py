"""All attention weights of one translation, recorded in one forward pass over the finished sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch

from constants import EOS, MAX_TOKENS
from data.tokenizer import Tokenizer
from model import Transformer
from translation.scoring import forced_pass

Kind = Literal["encoder_self", "decoder_self", "cross"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# Where the attention layers of each kind are: encoder or decoder, and the name of the module in each of its layers.
MODULES: dict[Kind, tuple[str, str]] = {
    "encoder_self": ("encoder", "self_attention"),
    "decoder_self": ("decoder", "self_attention"),
    "cross": ("decoder", "cross_attention"),
}


@dataclass(frozen=True)
class RecordedMaps:
    """A translation and every attention weight of the forward pass over it.

    L is the number of layers of the encoder or decoder. Row t of `decoder_self` and `cross` belongs to the step that
    reads `decoder_input_ids[t]` and predicts `decoder_output_ids[t]`.

    source, translation: the texts.
    source_ids: token ids of the source, EOS last (S,).
    decoder_input_ids: BOS, then the translation (T,).
    decoder_output_ids: the translation, then EOS (T,).
    source_tokens, decoder_input_tokens, decoder_output_tokens: the same as text, `▁` before a word.
    log_probs: natural logarithm of the probability of each output token (T,), float32.
    encoder_self: weights (L, H, S, S), float32: layer, head, query, key.
    decoder_self: weights (L, H, T, T).
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
        """Return the names of the rows: decoder rows have the name of the token that they predict."""
        return self.source_tokens if kind == "encoder_self" else self.decoder_output_tokens

    def key_tokens(self, kind: Kind) -> list[str]:
        """Return the names of the columns: decoder columns have the name of the token that was read there."""
        return self.decoder_input_tokens if kind == "decoder_self" else self.source_tokens

    @property
    def log_prob(self) -> float:
        """Natural logarithm of the probability of the whole translation, EOS included."""
        return float(self.log_probs.sum())


def record_maps(
    model: Transformer, source_ids: Sequence[int], target_ids: Sequence[int], tokenizer: Tokenizer
) -> RecordedMaps:
    """Return every attention weight of a source and a finished translation of it, from one `forced_pass`.

    The same pass serves greedy, beam and given translations; its log-probability equals that of the search.

    Args:
        model: the network; its mode and its weights are not changed.
        source_ids: the source, EOS last.
        target_ids: the translation without BOS. If EOS is missing, as in a hypothesis that the length limit has cut, it
            is appended, in the place of the last token where the network has no position left.
        tokenizer: names the tokens and decodes the texts.
    """
    target_ids = list(target_ids)
    if target_ids[-1:] != [EOS]:
        target_ids = [*target_ids[: MAX_TOKENS - 1], EOS]
    logits, maps, decoder_input = forced_pass(model, source_ids, target_ids)
    predicted = torch.tensor(target_ids, device=logits.device).unsqueeze(1)  # (T, 1)
    log_probs = logits[0].float().log_softmax(dim=-1).gather(1, predicted).squeeze(1)  # (T,)

    def stack(kind: Kind) -> np.ndarray:
        side, name = MODULES[kind]
        layers = [maps[f"{side}.{i}.{name}"][0].float() for i in range(len(getattr(model, side)))]
        return torch.stack(layers).cpu().numpy()  # (L, H, queries, keys)

    source, translation = tokenizer.decode([source_ids, target_ids])
    return RecordedMaps(
        source=source,
        translation=translation,
        source_ids=list(source_ids),
        decoder_input_ids=decoder_input,
        decoder_output_ids=target_ids,
        source_tokens=tokenizer.tokens(source_ids),
        decoder_input_tokens=tokenizer.tokens(decoder_input),
        decoder_output_tokens=tokenizer.tokens(target_ids),
        log_probs=log_probs.cpu().numpy(),
        encoder_self=stack("encoder_self"),
        decoder_self=stack("decoder_self"),
        cross=stack("cross"),
    )


def printable(token: str) -> str:
    """Return a token with U+FFFD for each character that cannot be drawn, such as a control character."""
    return "".join(c if c.isprintable() else "\ufffd" for c in token)
