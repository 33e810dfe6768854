"""Log-probabilities and attention weights of given translations."""

from collections.abc import Sequence

import torch
from torch import Tensor

from constants import BOS, PAD
from data.batching import pad
from model import Transformer, attention_maps


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


@torch.no_grad()
def forced_pass(
    model: Transformer, source_ids: Sequence[int], target_ids: Sequence[int]
) -> tuple[Tensor, dict[str, Tensor], list[int]]:
    """Return logits and attention weights of one teacher-forced pass over a source and a finished translation.

    The pass runs without padding, in eval mode and float32; the mode of the model is restored afterwards.

    Args:
        model: the network.
        source_ids: the source, EOS last (S,).
        target_ids: the translation without BOS, EOS last (T,).

    Returns:
        Logits (1, T, V), weights by module path (1, H, queries, keys), and the decoder's input ids (T,).
    """
    device = model.embedding.weight.device
    decoder_input = [BOS, *target_ids[:-1]]
    training = model.training
    model.eval()
    try:
        with attention_maps(model) as maps, torch.autocast(device.type, enabled=False):
            src = torch.tensor([list(source_ids)], device=device)  # (1, S)
            tgt = torch.tensor([decoder_input], device=device)  # (1, T)
            logits = model(src, tgt)  # (1, T, V)
    finally:
        model.train(training)
    return logits, maps, decoder_input
