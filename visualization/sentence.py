"""The attention of one sentence: taken, shown in a notebook, merged to words, and summed up in numbers."""

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from pathlib import Path

import numpy as np

from data.tokenizer import Tokenizer
from errors import UserError
from model import Transformer
from translation.hypothesis import SearchOptions
from translation.maps import KINDS as KINDS
from translation.maps import Kind, RecordedMaps, record_maps
from translation.scoring import forced_pass as forced_pass
from translation.translator import MAX_SOURCE_TOKENS, Translator

FRAME = "width: 100%; height: 46rem; border: 0"  # style of the page in a notebook
Span = tuple[int, int]  # first token of a word and the one after its last


class SentenceMaps(RecordedMaps):
    """`RecordedMaps` that can be saved, and that a notebook shows as a page."""

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
    """Return all attention weights of a sentence and its translation, both as ids; arguments as in `record_maps`."""
    return SentenceMaps(**vars(record_maps(model, source_ids, target_ids, tokenizer)))


def maps_of(translator: Translator, source_ids: Sequence[int], target_ids: Sequence[int]) -> SentenceMaps:
    """Return all attention weights of a sentence and its translation, both as ids, as `Translator.search` has them."""
    return take_maps(translator.model, source_ids, target_ids, translator.tokenizer)


def maps_of_pair(translator: Translator, source: str, target: str) -> SentenceMaps:
    """Return all attention weights of a sentence and a given translation, both as texts.

    Raises:
        UserError: one of them is too long.
    """
    return maps_of(translator, *encode_pair(translator, source, target))


def encode_pair(
    translator: Translator,
    source: str,
    target: str,
    source_name: str = "the sentence",
    target_name: str = "the given translation",
) -> tuple[list[int], list[int]]:
    """Return the ids of a sentence and of a given translation.

    Args:
        translator: whose tokenizer encodes them.
        source, target: the texts.
        source_name, target_name: of the texts, in messages.

    Raises:
        UserError: one of them is too long.
    """
    source_ids, target_ids = translator.tokenizer.encode([source, target])
    for name, ids in ((source_name, source_ids), (target_name, target_ids)):
        if len(ids) > MAX_SOURCE_TOKENS:
            raise UserError(f"{name} has {len(ids)} tokens, EOS included: give at most {MAX_SOURCE_TOKENS}")
    return source_ids, target_ids


def attention(
    translator: Translator, text: str, target: str | None = None, options: SearchOptions | None = None
) -> SentenceMaps:
    """Translate a sentence and return all its attention weights; a notebook shows them as a page.

    Args:
        translator: from `Translator.load`.
        text: one sentence.
        target: a translation to take instead of the model's own.
        options: of the search; None takes the defaults.

    Raises:
        UserError: the text is blank or holds several sentences, or one of a given pair is too long.
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
