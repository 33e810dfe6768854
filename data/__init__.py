"""Text -> token batches: sentence pairs, cleaned and counted, cut into pieces, grouped by length."""

from data.module import TranslationData
from data.tokenizer import Tokenizer

__all__ = ["Tokenizer", "TranslationData"]
