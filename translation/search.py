"""Beam search over a step closure: it knows neither networks nor words."""

from collections.abc import Callable
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from errors import UserError
from model.attention import LayerCache, MultiHeadAttention
from model.transformer import BOS, EOS, PAD, UNK, Transformer

# Of 0.6, 1.0, 1.4 and 1.8 the best on the mean of three validations: Multi30k (BLEU 47.0 by 0.6, 48.1 by 1.8 after ten
# minutes of training, 50.7 and 51.1 after an hour) and Tatoeba (53.9 and 54.0). By 0.6, texts are 3 to 5 % too short.
LENGTH_PENALTY = 1.8
CHUNK = 100  # pieces of the vocabulary whose maximum is taken at once; a few vector registers

# (tokens (B, K), parents (B, K) or None) -> logits of the next token (B, K, V). `parents` are flat indices into the
# grid (B, K) of the step before: they say which hypothesis each one continues, and, by what they leave out, which
# sentences nobody asks for any more; sentences keep their order. It is None in the first call, where K is 1; in all
# others K is the same. What is returned may be written into.
Step = Callable[[Tensor, Tensor | None], Tensor]


class Hypothesis(NamedTuple):
    """One finished translation.

    tokens: ids without the begin mark, the end mark last.
    log_prob: natural logarithm of its probability, the end mark included; NaN if nobody asked.
    score: log_prob divided by the length penalty; ranks hypotheses of different length; NaN if nobody asked.
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
    step: Step,
    max_lengths: Tensor,
    beam_size: int = 1,
    length_penalty: float = LENGTH_PENALTY,
    device: torch.device | None = None,
    scored: bool = True,
) -> list[list[Hypothesis]]:
    """Find probable token sequences, keeping the beam_size best unfinished ones of each sentence at every step.

    A hypothesis is finished when the end mark is among the beam_size best continuations; a sentence is finished with
    beam_size such hypotheses. A beam of 1 is greedy search. At the length limit the end mark is forced.

    Args:
        step: the closure above; its state starts with one begin mark a sentence.
        max_lengths: most tokens, the end mark included, of each sentence (B,), on the CPU, each at least 1.
        beam_size: K.
        length_penalty: alpha of `penalty`; 0 ranks by probability alone.
        device: where `step` computes.
        scored: whether somebody wants probabilities. Greedy search does without, as the largest logit is the most
            probable token; others need them to compare hypotheses, and always have them.

    Returns:
        For each sentence its finished hypotheses, best score first: at least one, and beam_size unless the length limit
        came before.

    Raises:
        UserError: the beam is as large as the vocabulary.
    """
    scored = scored or beam_size > 1
    n_sentences = len(max_lengths)
    finished: list[list[Hypothesis]] = [[] for _ in range(n_sentences)]
    sentences = torch.arange(n_sentences)  # (B,) which sentence stands in which row
    unfinished = torch.ones(n_sentences, dtype=torch.bool)
    history = torch.empty(n_sentences, 1, 0, dtype=torch.long)  # (B, K, length)
    log_probs = torch.zeros(n_sentences, 1, device=device)  # (B, K)
    never = torch.tensor([PAD, BOS, UNK], device=device)  # part of a text
    logits = step(torch.full((n_sentences, 1), BOS, device=device), None)  # (B, 1, V)
    if beam_size >= logits.size(-1):
        raise UserError(f"beam_size {beam_size} must be smaller than the vocabulary of {logits.size(-1)} pieces")

    for length in range(1, int(max_lengths.max()) + 1):
        last = max_lengths[sentences] == length  # (B,)
        candidates = logits.float()  # (B, K, V); its maxima are found ten times faster than those of bfloat16
        if scored:
            candidates = candidates.log_softmax(dim=-1)
        candidates.index_fill_(-1, never, float("-inf"))
        if last.any():
            others = torch.arange(logits.size(-1), device=device) != EOS
            candidates = candidates.masked_fill(last.to(device)[:, None, None] & others, float("-inf"))
        # Each hypothesis offers the end mark once, so 2 K candidates hold at least K that go on.
        log_probs, parents, tokens = largest_sums(log_probs, candidates, 2 * beam_size)  # (B, 2 K), best first
        parents, tokens = parents.cpu(), tokens.cpu()
        ends = tokens == EOS
        if ends.any():
            sums = log_probs.tolist()
            for row, rank in ends[:, :beam_size].nonzero().tolist():
                log_prob, sentence = sums[row][rank], int(sentences[row])
                if log_prob == float("-inf") or not unfinished[sentence]:
                    continue
                ids = [*history[row, parents[row, rank]].tolist(), EOS]
                log_prob = log_prob if scored else float("nan")
                score = log_prob / penalty(length, length_penalty)
                finished[sentence].append(Hypothesis(ids, log_prob, score, cut=bool(last[row])))
                unfinished[sentence] = len(finished[sentence]) < beam_size
            unfinished[sentences[last]] = False
            if not unfinished.any():
                break
            going_on = ends.to(torch.uint8).argsort(dim=1, stable=True)  # before what ends, best first
            parents, tokens = parents.gather(1, going_on), tokens.gather(1, going_on)
            log_probs = log_probs.gather(1, going_on.to(device))
        parents, tokens, log_probs = (best[:, :beam_size] for best in (parents, tokens, log_probs))  # (B, K)
        flat = parents + logits.size(1) * torch.arange(len(parents)).unsqueeze(1)  # into the grid of the step before
        history = torch.cat((history.flatten(0, 1)[flat], tokens.unsqueeze(-1)), dim=-1)
        n_rows = few_sizes(int(unfinished.sum()))
        if n_rows < len(sentences):  # some rows of finished sentences stay, so that rows come in few numbers
            alive = unfinished[sentences].to(torch.uint8).argsort(stable=True, descending=True)[:n_rows].sort().values
            sentences, history, flat, tokens = sentences[alive], history[alive], flat[alive], tokens[alive]
            log_probs = log_probs[alive.to(device)]
        if not scored:
            log_probs = torch.zeros_like(log_probs)  # not sums of logits, which would grow and lose digits
        logits = step(tokens.to(device), flat.to(device))

    return [sorted(hypotheses, key=lambda h: -h.score) for hypotheses in finished]


def few_sizes(n: int) -> int:
    """Round up to one of four sizes an octave: 8, 10, 12, 14, 16, 20, 24, ...

    A library of matrix products prepares each shape anew, which takes longer than the product itself.
    """
    step = 1 << max(0, (n - 1).bit_length() - 3)
    return -(-n // step) * step


def largest_sums(log_probs: Tensor, candidates: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Find the n largest of log_probs (B, K) + candidates (B, K, V) of each sentence.

    The n largest stand in the n chunks with the largest maxima. A maximum is found ten times faster than a sorted
    selection, so only those chunks are added to and sorted.

    Returns:
        sums, rows of K and columns of V (B, n) each, largest first; n is at most K * V.
    """
    n_beams, n_tokens = candidates.shape[1:]
    n = min(n, n_beams * n_tokens)
    if n_tokens % CHUNK:
        candidates = F.pad(candidates, (0, -n_tokens % CHUNK), value=float("-inf"))
    chunks = candidates.unflatten(-1, (-1, CHUNK))  # (B, K, chunks, CHUNK)
    maxima = (chunks.amax(-1) + log_probs.unsqueeze(-1)).flatten(1)  # (B, K * chunks)
    best = maxima.topk(min(n, maxima.size(1)), dim=1).indices  # (B, n)
    added = log_probs.gather(1, best // chunks.size(2)).unsqueeze(-1)  # (B, n, 1)
    near = chunks.flatten(1, 2).gather(1, best.unsqueeze(-1).expand(-1, -1, CHUNK)) + added  # (B, n, CHUNK)
    sums, place = near.flatten(1).topk(n, dim=1)
    index = best.gather(1, place // CHUNK) * CHUNK + place % CHUNK  # into (K, chunks * CHUNK)
    # The padding of the last chunk may be chosen where less than n is possible at all; it is as impossible as V - 1.
    tokens = (index % candidates.size(-1)).clamp(max=n_tokens - 1)
    return sums, index // candidates.size(-1), tokens


def translation_step(model: Transformer, src: Tensor) -> Step:
    """Bind a model and a batch of source ids (B, S) to the closure that `search` asks for.

    The source is read once; caches hold the keys and values of everything written so far.
    """
    memory, padding = model.encode(src)
    src_mask = None if padding.all() else padding  # sentences of one length have none
    attentions = [cast(MultiHeadAttention, layer.cross_attention) for layer in model.decoder]
    cache = [LayerCache(*attention.keys_values(memory)) for attention in attentions]
    n_sentences, n_hypotheses, position = len(src), 1, -1

    def step(tokens: Tensor, parents: Tensor | None) -> Tensor:
        nonlocal src_mask, n_sentences, n_hypotheses, position
        if parents is not None and len(parents) < n_sentences:  # some sentences are finished
            sentences = parents[:, 0] // n_hypotheses
            src_mask = None if src_mask is None else src_mask[sentences]
            for layer in cache:
                layer.select(sentences)
        unmoved = tokens.shape == (n_sentences, 1)  # the one hypothesis of each sentence
        for layer in cache:
            layer.parents = None if parents is None or unmoved else parents.flatten()
        n_sentences, n_hypotheses = tokens.shape
        position += 1
        x = model.decode_next(tokens.reshape(-1, 1), position, src_mask, cache)  # (B·K, 1, C)
        return model.logits(x).view(n_sentences, n_hypotheses, -1)  # (B, K, V)

    return step


@torch.inference_mode()
def search_translations(
    model: Transformer,
    src: Tensor,
    beam_size: int = 1,
    length_penalty: float = LENGTH_PENALTY,
    scored: bool = True,
) -> list[list[Hypothesis]]:
    """Search the translations of source ids (B, S), as `search` returns them, none longer than `max_length`."""
    lengths = torch.tensor([max_length(n) for n in (src != PAD).sum(dim=1).tolist()])
    return search(translation_step(model, src), lengths, beam_size, length_penalty, src.device, scored)


def max_length(source_length: int) -> int:
    """Bound a translation by its source: twice as many pieces and ten more, which no honest translation needs."""
    return 2 * source_length + 10
