"""Attention weights as data, pictures, pages, alignments and reports. `visualize.py` is the program.

Dimensions as in `model/__init__.py`; L is the number of layers of the encoder or decoder.
"""
