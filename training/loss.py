"""The loss of the output projection, trained without ever holding float32 logits of a whole batch."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from model.linear import product_dtype
from model.sampling import sample_pieces

ROWS = 128  # tokens whose logits fit into a processor's cache
ROWS_GPU = 4096  # tokens that keep a GPU busy


class ProjectedCrossEntropy(torch.autograd.Function):
    """Project states onto the vocabulary; sum label-smoothed cross-entropies and the disagreement of two passes.

    The gradient of a softmax is known as soon as the softmax is: p - q, predicted minus wanted probabilities. So it is
    formed in the forward pass, a few rows at a time while they are in cache, and kept in the precision of the
    products. PyTorch's own functions pass five times over the float32 logits of the batch, which took a third of a
    training step on a CPU.

    Rows of the embedding may be a sample of the vocabulary (`sample_pieces`): one that stands for n pieces counts n
    times in each sum over pieces.

    Sources: the smoothed target q = (1 - ε) · one-hot + ε / V, Szegedy et al. 2016, section 7; the disagreement of two
    passes under different dropout, α / 2 · (KL(p || p') + KL(p' || p)), Liang et al. 2021 (R-Drop), equation 4.
    """

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        embedding: Tensor,
        weights: Tensor,
        targets: Tensor,
        smoothing: float,
        consistency: float,
    ) -> Tensor:
        """states (R, tokens, C) of R = 1 or 2 passes, embedding (V, C), targets (tokens,) -> sum of losses in nats.

        weights: of how many pieces each row of the embedding stands for (V,); 1 for all targets.
        consistency: α; it needs two passes.
        """
        kind = states.device.type
        dtype = product_dtype(states)
        h, w = states.to(dtype), embedding.to(dtype)
        log_weights, share = weights.log(), weights / weights.sum()  # (V,)
        gradient = h.new_empty(*h.shape[:2], len(w))  # of the logits (R, tokens, V)
        total = torch.zeros((), dtype=torch.float, device=states.device)
        step = (ROWS if kind == "cpu" else ROWS_GPU) // len(h)
        with torch.autocast(kind, enabled=False):
            for start in range(0, len(targets), step):
                rows = slice(start, start + step)
                logits = (h[:, rows].flatten(0, 1) @ w.T).float().unflatten(0, (len(h), -1))  # (R, rows, V)
                target = targets[rows, None].expand(len(h), -1, 1)  # (R, rows, 1)
                mean = (logits @ share).unsqueeze(2)
                wanted = (1 - smoothing) * logits.gather(2, target) + smoothing * mean
                logits += log_weights
                p = logits.softmax(dim=2)
                # p = exp(logit) / Σ exp, so the most probable token tells log Σ exp, and exponentials are taken once.
                log_sum = logits.amax(dim=2, keepdim=True) - p.amax(dim=2, keepdim=True).log()  # (R, rows, 1)
                total += (log_sum - wanted).sum()
                if consistency:
                    log_p = logits - log_sum
                    ratio = log_p[0] - log_p[1]  # log(p / p'), (rows, V)
                    surprise = (p[0] * ratio).sum(dim=1), -(p[1] * ratio).sum(dim=1)  # KL(p || p'), KL(p' || p)
                    total += consistency / 2 * (surprise[0] + surprise[1]).sum()
                    pull = p[0] * (ratio - surprise[0][:, None]), p[1] * (-ratio - surprise[1][:, None])
                    apart = p[0] - p[1]
                    p[0] += consistency / 2 * (pull[0] + apart)
                    p[1] += consistency / 2 * (pull[1] - apart)
                difference = p.sub_(smoothing * share)  # p - ε / V, if none stands for others
                difference.scatter_add_(2, target, torch.full_like(target, smoothing - 1, dtype=torch.float))
                gradient[:, rows] = difference
        ctx.save_for_backward(gradient, h, w)
        ctx.dtypes = states.dtype, embedding.dtype
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Scale what the forward pass has formed, and carry it through the projection."""
        gradient, h, w = ctx.saved_tensors
        scale = grad_outputs[0]
        states_dtype, embedding_dtype = ctx.dtypes
        to_embedding = gradient.flatten(0, 1).T @ h.flatten(0, 1)
        to_states = gradient @ w
        nothing = None, None, None, None
        return to_states.to(states_dtype) * scale, to_embedding.to(embedding_dtype) * scale, *nothing


def projected_cross_entropy(
    states: Tensor,
    embedding: Tensor,
    targets: Tensor,
    smoothing: float,
    consistency: float = 0.0,
    sampled_after: int = 0,
) -> Tensor:
    """Sum of the label-smoothed cross-entropies of `states @ embedding.T` at `targets`, in nats.

    With gradients, the disagreement of two passes is added, and the sums over the vocabulary may be estimates; a
    validation has one pass and takes all pieces.

    Args:
        states: of R passes of the same tokens (R, tokens, C).
        embedding: (V, C).
        targets: (tokens,).
        smoothing: ε, probability spread over all pieces.
        consistency: α, what the disagreement of two passes weighs (R-Drop); needs R = 2.
        sampled_after: rank in the vocabulary up to which all pieces are compared with, of the rarer ones a sample
            (`sample_pieces`); 0 compares with all.
    """
    if torch.is_grad_enabled():
        weights = embedding.new_ones(len(embedding), dtype=torch.float)
        if 0 < sampled_after < len(embedding):
            ids, weights = sample_pieces(targets, len(embedding), sampled_after)
            embedding, targets = embedding.index_select(0, ids), torch.searchsorted(ids, targets)
        return ProjectedCrossEntropy.apply(states, embedding, weights, targets, smoothing, consistency)
    logits = F.linear(states, embedding).float()  # (R, tokens, V)
    targets = targets.expand(len(states), -1)
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), label_smoothing=smoothing, reduction="sum")
