"""Attention weights as data, pictures, pages, alignments and reports. `visualize.py` is the program.

`from visualization import attention` is the entry point for notebooks. Matplotlib is imported only where a picture is
drawn, so that an import of this package takes no longer than that of PyTorch.

Dimensions as in `model/__init__.py`; L is the number of layers of the encoder or decoder.
"""

from visualization.sentence import SentenceMaps, attention

__all__ = ["SentenceMaps", "attention"]
