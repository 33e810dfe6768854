"""All attention weights of one translation, recorded in one forward pass over the finished sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch

from constants import EOS
from data.tokenizer import Tokenizer
from errors import UserError
from model import Transformer
from translation.scoring import forced_pass

if TYPE_CHECKING:
    from translation.hypothesis import SearchOptions
    from translation.translator import Translator

Kind = Literal["encoder_self", "decoder_self", "cross"]
KINDS: tuple[Kind, ...] = get_args(Kind)
FRAME = "width: 100%; height: 46rem; border: 0"  # style of the page in a notebook
Span = tuple[int, int]  # first token of a word and the one after its last


@dataclass(frozen=True)
class SentenceMaps:
    """A translation and every attention weight of the forward pass over it.

    Row t of `decoder_self` and `cross` belongs to the step that reads `decoder_input_ids[t]` and predicts
    `decoder_output_ids[t]`.

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

    def save(self, path: str | Path) -> Path:
        """Write the maps to a file whose suffix names its format; return its path.

        `.html` is the attention page, `.npz` the arrays, `.json` the same as text, `.png` and `.svg` heatmaps of all
        three kinds of attention below each other.

        Raises:
            UserError: the suffix is another one.
            OSError: the file cannot be written.
        """
        from visualization.export import save  # imports the page and the pictures, which import this module

        return save(self, Path(path))

    def _repr_html_(self) -> str:
        """Return the attention page in a frame: what Jupyter shows for the last value of a cell."""
        from visualization.page import page

        # The page in a frame of its own has its own styles and its content security policy.
        return f'<iframe srcdoc="{escape(page([self]))}" style="{FRAME}" title="Attention"></iframe>'


def take_maps(
    model: Transformer, source_ids: Sequence[int], target_ids: Sequence[int], tokenizer: Tokenizer
) -> SentenceMaps:
    """Return every attention weight of a source and a finished translation of it, from one `forced_pass`.

    The same pass serves greedy, beam and given translations; its log-probability equals that of the search.

    Args:
        model: the network; its mode and its weights are not changed.
        source_ids: the source, EOS last.
        target_ids: the translation without BOS. EOS is appended if it is missing, as in a hypothesis that the length
            limit has cut.
        tokenizer: names the tokens and decodes the texts.
    """
    target_ids = [*target_ids] if target_ids and target_ids[-1] == EOS else [*target_ids, EOS]
    logits, maps, decoder_input = forced_pass(model, source_ids, target_ids)
    predicted = torch.tensor(target_ids, device=logits.device).unsqueeze(1)  # (T, 1)
    log_probs = logits[0].float().log_softmax(dim=-1).gather(1, predicted).squeeze(1)  # (T,)

    def stack(side: str, name: str) -> np.ndarray:
        layers = [maps[f"{side}.{i}.{name}"][0].float() for i in range(len(getattr(model, side)))]
        return torch.stack(layers).cpu().numpy()  # (L, H, queries, keys)

    source, translation = tokenizer.decode([source_ids, target_ids])
    return SentenceMaps(
        source=source,
        translation=translation,
        source_ids=list(source_ids),
        decoder_input_ids=decoder_input,
        decoder_output_ids=target_ids,
        source_tokens=tokenizer.tokens(source_ids),
        decoder_input_tokens=tokenizer.tokens(decoder_input),
        decoder_output_tokens=tokenizer.tokens(target_ids),
        log_probs=log_probs.cpu().numpy(),
        encoder_self=stack("encoder", "self_attention"),
        decoder_self=stack("decoder", "self_attention"),
        cross=stack("decoder", "cross_attention"),
    )


def maps_of(translator: "Translator", source_ids: Sequence[int], target_ids: Sequence[int]) -> SentenceMaps:
    """Return all attention weights of a sentence and its translation, both as ids, as `Translator.search` has them."""
    return take_maps(translator.model, source_ids, target_ids, translator.tokenizer)


def maps_of_pair(translator: "Translator", source: str, target: str) -> SentenceMaps:
    """Return all attention weights of a sentence and a given translation, both as texts."""
    source_ids, target_ids = translator.tokenizer.encode([source, target])
    return maps_of(translator, source_ids, target_ids)


def attention(
    translator: "Translator", text: str, target: str | None = None, options: "SearchOptions | None" = None
) -> SentenceMaps:
    """Translate a sentence and return all its attention weights; a notebook shows them as a page.

    Args:
        translator: from `Translator.load`.
        text: one sentence.
        target: a translation to take instead of the model's own.
        options: of the search; None takes the defaults.

    Raises:
        UserError: the text is blank or holds several sentences.
    """
    if not text.strip():
        raise UserError("the sentence is empty: give a sentence to translate")
    if target is not None:
        return maps_of_pair(translator, text, target)
    sentence, *others = translator.search([text], options)
    if others:
        raise UserError(f"the text has {1 + len(others)} sentences: give one, or its translation as target")
    return maps_of(translator, sentence.ids, sentence.hypotheses[0].tokens)


def word_spans(tokens: Sequence[str]) -> list[Span]:
    """Return the words as spans of tokens: `▁` starts a word, and each special token is a word of its own."""
    special = {"<pad>", "<s>", "</s>", "<unk>"}
    starts = [
        i
        for i, token in enumerate(tokens)
        if i == 0 or token.startswith("▁") or token in special or tokens[i - 1] in special
    ]
    return list(pairwise([*starts, len(tokens)]))


def merge(weights: np.ndarray, queries: Sequence[Span], keys: Sequence[Span]) -> np.ndarray:
    """Return weights of words: summed over the tokens of a key, averaged over those of a query; rows still sum to 1.

    Args:
        weights: (..., queries, keys), of tokens.
        queries, keys: spans of tokens.
    """
    columns = np.stack([weights[..., start:stop].sum(-1) for start, stop in keys], axis=-1)
    return np.stack([columns[..., start:stop, :].mean(-2) for start, stop in queries], axis=-2)


def head_statistics(weights: np.ndarray, kind: Kind) -> dict[str, np.ndarray]:
    """Return three numbers that describe each head, each a mean over its queries.

    Args:
        weights: (L, H, queries, keys).
        kind: of attention.

    Returns:
        entropy: entropy of a row divided by its maximum, log2 of the number of visible keys (L, H): 1 for equal
            weights, 0 for all weight on one key. Rows with a single visible key are left out.
        maximum: the largest weight of a row (L, H).
        distance: mean |query - key| in tokens, weighted by attention (L, H).
    """
    n_queries, n_keys = weights.shape[-2:]
    # Keys that each query may attend to (queries,): its own position and those before it in the decoder, else all.
    visible = np.arange(1, n_queries + 1) if kind == "decoder_self" else np.full(n_queries, n_keys)
    bits = -(weights * np.log2(np.maximum(weights, 1e-30))).sum(-1)  # (L, H, queries)
    has_choice = visible > 1  # (queries,)
    relative = bits[..., has_choice] / np.log2(visible[has_choice])
    entropy = relative.mean(-1) if has_choice.any() else np.zeros(weights.shape[:2])
    distance = np.abs(np.arange(n_queries)[:, None] - np.arange(n_keys)[None, :])  # (queries, keys)
    return {
        "entropy": entropy,
        "maximum": weights.max(-1).mean(-1),
        "distance": (weights * distance).sum(-1).mean(-1),
    }
