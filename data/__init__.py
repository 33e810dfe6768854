"""Text -> token batches: sentence pairs, cleaned and counted, cut into pieces, grouped by length.

`data.module.TranslationData` is the door for training. It is not imported here, so that a translation need not wait for
Lightning and `datasets`.
"""

from data.tokenizer import Tokenizer, pad

__all__ = ["Tokenizer", "pad"]
