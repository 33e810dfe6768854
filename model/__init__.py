"""The Transformer: token ids -> loss, hypotheses.

Dimensions, used in every shape comment of this project:

    B  sentences in a batch          H  heads
    T  target length (queries)       D  width of one head, d_k = C / H
    S  source length (keys)          V  vocabulary
    C  width of the model, d_model   K  hypotheses a sentence (beams)
                                     N  tokens that a search remembers of each sentence

A `*_mask` is boolean and True means "may attend".

`model.module.TranslationModule` is the door for training. It is not imported here, so that a translation need not wait
for Lightning.
"""

from model.attention import attention, attention_maps
from model.search import Hypothesis, search
from model.transformer import Transformer

__all__ = ["Hypothesis", "Transformer", "attention", "attention_maps", "search"]
