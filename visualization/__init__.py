"""Attention weights -> data, pictures and pages. The door is `python -m maps`."""
