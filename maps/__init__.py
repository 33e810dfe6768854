"""Attention weights -> data, pictures and pages. The door is `python -m maps`."""

from maps.sentence import SentenceMaps, take_maps

__all__ = ["SentenceMaps", "take_maps"]
