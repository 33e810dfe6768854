"""Beam search over a step closure: it knows neither networks nor words."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from model.transformer import BOS, EOS, PAD, UNK, LayerCache, Transformer

# (tokens (B, K), parents (B, K) or None) -> logits of the next token (B, K, V). `parents` are flat indices into the
# grid (B, K) of the step before: they say which hypothesis each one continues, and, by what they leave out, which
# sentences are finished. None continues every hypothesis in its place.
Step = Callable[[Tensor, Tensor | None], Tensor]


class Hypothesis(NamedTuple):
    """One finished translation.

    tokens: ids without the begin mark, the end mark last.
    log_prob: natural logarithm of its probability, the end mark included.
    score: log_prob divided by the length penalty; ranks hypotheses of different length.
    cut: the length limit, not the model, ended it.
    """

    tokens: list[int]
    log_prob: float
    score: float
    cut: bool


def penalty(length: int, alpha: float) -> float:
    """Make up for each further token that costs probability: ((5 + length) / 6)^alpha (Wu et al. 2016, equation 14)."""
    return ((5 + length) / 6) ** alpha


@torch.inference_mode()
def search(
    step: Step, max_lengths: Tensor, beam_size: int = 1, length_penalty: float = 0.6, device: torch.device | None = None
) -> list[list[Hypothesis]]:
    """Find probable token sequences, keeping the beam_size best unfinished ones of each sentence at every step.

    A hypothesis is finished when the end mark is among the beam_size best continuations; a sentence is finished with
    beam_size such hypotheses. A beam of 1 is greedy search. At the length limit the end mark is forced.

    Args:
        step: the closure above; its state starts with one begin mark a sentence.
        max_lengths: most tokens, the end mark included, of each sentence (B,), on the CPU, each at least 1.
        beam_size: K.
        length_penalty: alpha; 0 ranks by probability alone.
        device: where `step` computes.

    Returns:
        For each sentence its finished hypotheses, best score first: at least one, and beam_size unless the length limit
        came before.
    """
    n_sentences = len(max_lengths)
    finished: list[list[Hypothesis]] = [[] for _ in range(n_sentences)]
    sentences = torch.arange(n_sentences)  # (B,) which sentences are still searched
    history = torch.empty(n_sentences, 1, 0, dtype=torch.long)  # (B, K, length)
    log_probs = torch.zeros(n_sentences, 1, device=device)  # (B, K)
    logits = step(torch.full((n_sentences, 1), BOS, device=device), None)  # (B, 1, V)

    for length in range(1, int(max_lengths.max()) + 1):
        n_tokens = logits.size(-1)
        last = max_lengths[sentences] == length  # (B,)
        candidates = logits.float().log_softmax(dim=-1)  # (B, K, V)
        candidates[..., [PAD, BOS, UNK]] = float("-inf")  # never part of a text
        if last.any():
            others = torch.arange(n_tokens, device=device) != EOS
            candidates = candidates.masked_fill(last.to(device)[:, None, None] & others, float("-inf"))
        candidates += log_probs.unsqueeze(-1)
        # Each hypothesis offers the end mark once, so 2 K candidates hold at least K that go on.
        width = min(2 * beam_size, candidates[0].numel())
        top, index = candidates.flatten(1).topk(width, dim=1)  # (B, 2 K), best first
        parents, tokens = (index // n_tokens).cpu(), (index % n_tokens).cpu()
        ends = tokens == EOS

        for row, rank in ends[:, :beam_size].nonzero().tolist():
            log_prob = top[row, rank].item()
            if log_prob == float("-inf") or len(finished[sentences[row]]) == beam_size:
                continue
            ids = [*history[row, parents[row, rank]].tolist(), EOS]
            score = log_prob / penalty(length, length_penalty)
            finished[sentences[row]].append(Hypothesis(ids, log_prob, score, cut=bool(last[row])))

        n_finished = torch.tensor([len(finished[s]) for s in sentences.tolist()])
        alive = ((n_finished < beam_size) & ~last).nonzero().squeeze(1)  # (B',) rows of sentences that go on
        if not len(alive):
            break
        going_on = ends[alive].to(torch.uint8).argsort(dim=1, stable=True)[:, :beam_size]  # (B', K) best first
        parents = parents[alive].gather(1, going_on)
        tokens = tokens[alive].gather(1, going_on)
        log_probs = top[alive.to(device)].gather(1, going_on.to(device))
        history = torch.cat((history[alive[:, None], parents], tokens.unsqueeze(-1)), dim=-1)
        sentences = sentences[alive]
        flat = parents + alive[:, None] * logits.size(1)  # (B', K) into the grid of the step before
        logits = step(tokens.to(device), flat.to(device))

    return [sorted(hypotheses, key=lambda h: -h.score) for hypotheses in finished]


def translation_step(model: Transformer, src: Tensor) -> Step:
    """Bind a model and a batch of source ids (B, S) to the closure that `search` asks for.

    The source is read once; caches hold the keys and values of everything written so far.
    """
    memory, src_mask = model.encode(src)
    cache = [LayerCache() for _ in model.decoder]
    width = 1  # K of the step before

    def step(tokens: Tensor, parents: Tensor | None) -> Tensor:
        nonlocal memory, src_mask, width
        if parents is not None:
            rows = parents.flatten()
            for layer in cache:
                layer.own.select(rows)
            if len(parents) < len(memory):  # some sentences are finished
                sentences = parents[:, 0] // width
                memory, src_mask = memory[sentences], src_mask[sentences]
                for layer in cache:
                    layer.cross.select(sentences)
        width = tokens.size(1)
        x = model.decode(tokens.reshape(-1, 1), memory, src_mask, cache)  # (N, 1, C)
        return model.logits(x).view(*tokens.shape, -1)  # (B, K, V)

    return step


def max_length(source_length: int) -> int:
    """Bound a translation by its source: twice as many pieces and ten more, which no honest translation needs."""
    return 2 * source_length + 10
