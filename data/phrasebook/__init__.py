"""The built-in corpus: a synchronous grammar that generates French and English together, with word alignments."""

from data.phrasebook.corpus import EVERYDAY, HELD_OUT, SIZES, bare, everyday, generate, load
from data.phrasebook.grammar import Grammar

__all__ = ["EVERYDAY", "HELD_OUT", "SIZES", "Grammar", "bare", "everyday", "generate", "load"]
