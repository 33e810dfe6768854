"""Random numbers that a run which was killed and resumed draws again, bit by bit."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_here = threading.local()  # `generator`: of this thread; PyTorch's own where there is none


@contextmanager
def seeded(place: tuple[int, ...], device: torch.device) -> Iterator[None]:
    """Draw this thread's numbers from nothing but a place in a run: a resumed run needs no saved generator.

    Args:
        place: any numbers, such as those of seed, epoch and batch.
        device: where numbers are drawn.
    """
    _here.generator = torch.Generator(device).manual_seed(hash(place) % 2**63)
    try:
        yield
    finally:
        _here.generator = None


def generator() -> torch.Generator | None:
    """Return where this thread's numbers come from; None is PyTorch's own generator."""
    return getattr(_here, "generator", None)
