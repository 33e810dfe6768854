"""Log-probabilities of given translations."""

from collections.abc import Sequence

import torch

from constants import BOS, PAD
from data.batching import pad
from model import Transformer


@torch.inference_mode()
def log_probs_of_pairs(
    model: Transformer, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], batch_size: int
) -> list[float]:
    """Return the natural logarithm of the probability of each target given its source, in order.

    Args:
        model: in eval mode.
        sources, targets: ids of each sentence, EOS last.
        batch_size: pairs computed at once; pairs of similar length come together.
    """
    order = sorted(range(len(sources)), key=lambda i: (len(targets[i]), len(sources[i])))
    found = [0.0] * len(order)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        src = pad([sources[i] for i in rows]).to(model.positions.device)  # (B, S)
        tgt = pad([[BOS, *targets[i]] for i in rows]).to(src.device)  # (B, T + 1)
        expected = tgt[:, 1:]
        log_probs = model(src, tgt[:, :-1]).float().log_softmax(-1)  # (B, T, V)
        chosen = log_probs.gather(2, expected[..., None])[..., 0].masked_fill(expected == PAD, 0.0)  # (B, T)
        for i, value in zip(rows, chosen.sum(1).tolist(), strict=True):
            found[i] = value
    return found
