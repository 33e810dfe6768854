"""Attention weights -> data, pictures and pages. The door is `python -m maps`."""

from maps.align import Reading, align, usual_reading
from maps.export import export, make_folder
from maps.picture import picture
from maps.sentence import KINDS, Kind, SentenceMaps, take_maps

__all__ = [
    "KINDS",
    "Kind",
    "Reading",
    "SentenceMaps",
    "align",
    "export",
    "make_folder",
    "picture",
    "take_maps",
    "usual_reading",
]
