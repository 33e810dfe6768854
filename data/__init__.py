"""From text to token batches: readers, cleaning, splits, tokenizer, batching, and the Lightning data module.

`data.module.TranslationData` is the entry point for training. Only the tokenizer is imported here: a program that
translates needs nothing else of this package and should not wait for the imports of Lightning, `datasets` and PyTorch.
"""

from data.tokenizer import Tokenizer

__all__ = ["Tokenizer"]
