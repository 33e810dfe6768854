"""The network: token ids -> logits.

`attention.py` holds the equation and its heads, `transformer.py` the layers around them, `intervention.py` changes of
single heads for experiments. Dimensions, used in the shape comments of `model/` and `translation/`:

    B  sentences in a batch          H  heads
    T  target length (queries)       D  width of one head, d_k = C / H
    S  source length (keys)          V  vocabulary
    C  width of the model, d_model   K  hypotheses of a sentence (beams)
                                     N  target tokens decoded so far

A `*_mask` is boolean, and True means "may attend".
"""

from model.attention import MultiHeadAttention, attention, attention_maps
from model.intervention import head_outputs, intervene
from model.transformer import LayerCache, Transformer, TransformerConfig

__all__ = [
    "LayerCache",
    "MultiHeadAttention",
    "Transformer",
    "TransformerConfig",
    "attention",
    "attention_maps",
    "head_outputs",
    "intervene",
]
