"""The pieces of the vocabulary that an update's softmax compares."""

import torch
from torch import Tensor

from model.rng import generator


def sample_pieces(targets: Tensor, n_pieces: int, sampled_after: int) -> tuple[Tensor, Tensor]:
    """Choose pieces whose softmax estimates that of the whole vocabulary.

    A softmax needs Σ exp(logit) of all pieces, though most are so rare that they add next to nothing. Behind special
    ids and bytes, the vocabulary is ordered by frequency, which falls with the rank r about as 1 / r (Zipf's law). So a
    piece takes part with chance min(1, sampled_after / r), and then stands for as many as it was chosen from: the
    expectation of the sum stays, in whatever order (Horvitz and Thompson 1952). What is a target always takes part, and
    stands for itself alone.

    Args:
        targets: ids, any shape.
        n_pieces: V.
        sampled_after: rank (id + 1) up to which all take part, at least 1.

    Returns:
        ids of the chosen pieces (chosen,), ascending, and how many pieces each stands for (chosen,).

    Source: Bengio and Senécal 2008, "Adaptive Importance Sampling to Accelerate Training of a Neural Probabilistic
    Language Model", which samples for the same sum.
    """
    ranks = torch.arange(1, n_pieces + 1, dtype=torch.float, device=targets.device)
    chance = (sampled_after / ranks).clamp(max=1)
    chance[targets] = 1
    drawn = torch.rand(n_pieces, dtype=torch.float, device=targets.device, generator=generator())  # below 1
    ids = (drawn < chance).nonzero()[:, 0]
    return ids, 1 / chance[ids]
