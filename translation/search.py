"""Greedy and beam search over a step function.

`search` only sees token ids and logits, so it works with any autoregressive model; `search_translations` connects it to
the Transformer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from constants import BOS, EOS, PAD, UNK
from errors import UserError
from model import Transformer
from model.transformer import LayerCache
from translation.hypothesis import Hypothesis, SearchOptions, max_length

# (tokens (B, K), parents (B, K)) -> logits of the next tokens (B, K, V). `tokens` are the last tokens of K hypotheses
# of B sentences. `parents` says which hypothesis of the call before each one continues, as an index into the flattened
# tokens of that call. Finished sentences leave the batch, the others keep their order.
Step = Callable[[Tensor, Tensor], Tensor]

NEVER_GENERATED = [PAD, BOS, UNK]


@dataclass
class Beams:
    """The unfinished hypotheses of B sentences, K of each.

    sentences: which sentence of the search each row belongs to (B,), on the CPU.
    tokens: ids so far, BOS first (B, K, N + 1).
    log_probs: their log-probabilities (B, K).
    """

    sentences: Tensor
    tokens: Tensor
    log_probs: Tensor


@torch.inference_mode()
def search(
    step: Step, max_lengths: Tensor, options: SearchOptions, prefix: Tensor | None = None, device: str = "cpu"
) -> list[list[Hypothesis]]:
    """Find probable token sequences for B sentences at once.

    Every step extends each hypothesis by every token of the vocabulary and keeps the K = beam_size most probable
    results of each sentence. Those that end in EOS are finished hypotheses. A sentence is finished with K of them, or
    at its length limit, where the others are cut. With K = 1 this is greedy search.

    Args:
        step: the model, see `Step`; the first call gets BOS as the one hypothesis of each sentence.
        max_lengths: most tokens of each sentence, EOS included (B,), on the CPU, each at least 1.
        options: beam size and constraints.
        prefix: ids with which the translation of each sentence begins, padded with PAD (B, P); None for no prefix.
        device: where `step` computes.

    Returns:
        For each sentence its best hypotheses, best first: n_best, or fewer if the length limit left fewer.

    Raises:
        UserError: beam_size is not smaller than the vocabulary.
    """
    n_sentences, n_beams = len(max_lengths), options.beam_size
    finished: list[list[Hypothesis]] = [[] for _ in range(n_sentences)]
    beams = Beams(
        sentences=torch.arange(n_sentences),
        tokens=torch.full((n_sentences, 1, 1), BOS, device=device),  # one hypothesis until the first expansion
        log_probs=torch.zeros(n_sentences, 1, device=device),
    )
    parents = torch.arange(n_sentences, device=device).unsqueeze(1)  # (B, 1)

    for length in range(1, int(max_lengths.max()) + 1):
        logits = step(beams.tokens[:, :, -1], parents)  # (B, K, V)
        if n_beams >= logits.size(-1):
            raise UserError(f"--beam_size {n_beams} must be smaller than the vocabulary of {logits.size(-1)} tokens")
        logits = logits.float()
        if options.no_repeat_ngram_size:
            forbid_repeats(logits, beams.tokens, options.no_repeat_ngram_size)
        next_log_probs = logits.log_softmax(dim=-1)  # (B, K, V)
        rows = beams.sentences.to(device)
        constrain(next_log_probs, length, options.min_length, None if prefix is None else prefix[rows])

        # A hypothesis can end in EOS only once, so the best 2 K candidates hold at least K unfinished ones.
        candidates, origins = expand(beams, next_log_probs, 2 * n_beams)  # (B, 2 K) hypotheses

        at_limit = max_lengths[beams.sentences] == length  # (B,)
        collect_finished(finished, candidates, at_limit, options)
        done = at_limit | torch.tensor([len(finished[i]) >= n_beams for i in beams.sentences.tolist()])
        if done.all():
            break
        beams, parents = prune(candidates, origins, (~done).nonzero().squeeze(1), n_beams)

    return [sorted(found, key=lambda h: -h.score)[: options.n_best] for found in finished]


def forbid_repeats(logits: Tensor, tokens: Tensor, n: int) -> None:
    """Set the logits of tokens that would repeat an n-gram to -inf, in place.

    The softmax that follows gives their probability to the other tokens, as CTranslate2 does.

    Args:
        logits: of the next tokens (B, K, V).
        tokens: ids so far, BOS first (B, K, N + 1).
        n: tokens of an n-gram.
    """
    if tokens.size(-1) <= n:
        return
    # The n-gram that a new token would complete begins with the last n - 1 tokens. Where these occurred before, the
    # token that followed them is forbidden.
    ngrams = tokens[:, :, 1:].unfold(-1, n, 1)  # (B, K, windows, n)
    last = tokens[:, :, None, tokens.size(-1) - (n - 1) :]  # (B, K, 1, n - 1)
    repeats = (ngrams[..., :-1] == last).all(dim=-1)  # (B, K, windows)
    penalties = torch.zeros_like(repeats, dtype=logits.dtype).masked_fill(repeats, float("-inf"))
    logits.scatter_add_(-1, ngrams[..., -1], penalties)


def constrain(log_probs: Tensor, length: int, min_length: int, prefix: Tensor | None) -> None:
    """Set the log-probabilities of forbidden tokens to -inf, in place; the others keep the model's values.

    Args:
        log_probs: of the next tokens (B, K, V).
        length: number of tokens of a hypothesis with the next one.
        min_length: least number of tokens before EOS.
        prefix: ids with which the translation of each sentence begins, padded with PAD (B, P); None for no prefix.
    """
    log_probs[..., NEVER_GENERATED] = float("-inf")
    if length <= min_length:
        log_probs[..., EOS] = float("-inf")
    if prefix is not None and length <= prefix.size(1):
        given = prefix[:, length - 1]  # (B,)
        rows = (given != PAD).nonzero().squeeze(1)
        log_probs[rows] = float("-inf")
        log_probs[rows, :, given[rows]] = 0.0  # a given token is certain


def expand(beams: Beams, next_log_probs: Tensor, n_candidates: int) -> tuple[Beams, Tensor]:
    """Extend every hypothesis by every token and take the most probable results of each sentence, best first.

    Args:
        beams: hypotheses (B, K).
        next_log_probs: log-probabilities of their next tokens (B, K, V).
        n_candidates: results of each sentence; fewer if there are fewer than that.

    Returns:
        The candidates (B, n_candidates), one token longer, and for each the index of the hypothesis that it extends, in
        the flattened grid (B, K).
    """
    n_rows, n_beams, vocab_size = next_log_probs.shape
    totals = beams.log_probs.unsqueeze(-1) + next_log_probs  # (B, K, V)
    log_probs, index = totals.flatten(1).topk(min(n_candidates, n_beams * vocab_size), dim=1)  # (B, 2 K)
    beam, token = index // vocab_size, index % vocab_size  # (B, 2 K) each
    row = torch.arange(n_rows, device=index.device).unsqueeze(1)  # (B, 1)
    tokens = torch.cat((beams.tokens[row, beam], token.unsqueeze(-1)), dim=-1)  # (B, 2 K, N + 2)
    return Beams(beams.sentences, tokens, log_probs), row * n_beams + beam


def collect_finished(
    finished: list[list[Hypothesis]], candidates: Beams, at_limit: Tensor, options: SearchOptions
) -> None:
    """Add to `finished` what ends here: candidates among the best K whose last token is EOS, at the limit all K.

    Args:
        finished: hypotheses of each sentence, extended in place.
        candidates: (B, 2 K), best first.
        at_limit: whether a sentence has reached its length limit (B,), on the CPU.
        options: `beam_size` and `length_penalty`.
    """
    best_tokens = candidates.tokens[:, : options.beam_size]  # (B, K, N + 2)
    has_eos = best_tokens[..., -1].cpu() == EOS  # (B, K)
    rows, ranks = (has_eos | at_limit.unsqueeze(1)).nonzero(as_tuple=True)
    if not len(rows):
        return
    tokens = best_tokens[rows, ranks, 1:].tolist()  # without BOS
    log_probs = candidates.log_probs[rows, ranks].tolist()
    for row, ids, log_prob in zip(rows.tolist(), tokens, log_probs, strict=True):
        if log_prob > float("-inf"):  # a forbidden token is no candidate
            score = log_prob / len(ids) ** options.length_penalty
            finished[candidates.sentences[row]].append(Hypothesis(ids, log_prob, score, cut=ids[-1] != EOS))


def prune(candidates: Beams, origins: Tensor, rows: Tensor, n_beams: int) -> tuple[Beams, Tensor]:
    """Keep the best unfinished candidates of the sentences that go on.

    Args:
        candidates: (B, 2 K), best first.
        origins: what `expand` returned with them (B, 2 K).
        rows: of the sentences that go on (B',), on the CPU.
        n_beams: K.

    Returns:
        The new beams (B', K), and which hypothesis of the last step each one extends (B', K).
    """
    kept = rows.to(origins.device)
    ends = candidates.tokens[kept, :, -1] == EOS  # (B', 2 K)
    columns = ends.to(torch.uint8).argsort(dim=1, stable=True)[:, :n_beams]  # unfinished ones first, in their order
    row = kept.unsqueeze(1)  # (B', 1)
    beams = Beams(candidates.sentences[rows], candidates.tokens[row, columns], candidates.log_probs[row, columns])
    return beams, origins[row, columns]


def translation_step(model: Transformer, src: Tensor) -> Step:
    """Connect a Transformer and a batch of source ids (B, S) to `search`.

    The source is encoded once. Caches hold the keys and values of all target tokens so far.
    """
    memory, src_mask = model.encode(src)
    caches = model.start_cache(memory)
    n_beams = 1  # hypotheses of a sentence in the call before

    def step(tokens: Tensor, parents: Tensor) -> Tensor:
        nonlocal caches, src_mask, n_beams
        sentences = parents[:, 0] // n_beams  # (B,) rows of the call before
        caches = [select(cache, parents.flatten(), sentences) for cache in caches]
        src_mask = src_mask[sentences]
        n_beams = tokens.size(1)
        logits, caches = model.decode_step(tokens.reshape(-1, 1), caches, src_mask)  # (B * K, V)
        return logits.unflatten(0, tokens.shape)

    return step


def select(cache: LayerCache, hypotheses: Tensor, sentences: Tensor) -> LayerCache:
    """Return the cache of the given hypotheses (B * K,) of the given sentences (B,), both indices of rows."""
    return LayerCache(
        cache.target_k.index_select(0, hypotheses),
        cache.target_v.index_select(0, hypotheses),
        cache.source_k.index_select(0, sentences),
        cache.source_v.index_select(0, sentences),
    )


@torch.inference_mode()
def search_translations(
    model: Transformer, src: Tensor, options: SearchOptions, target_prefix: Sequence[Sequence[int]] | None = None
) -> list[list[Hypothesis]]:
    """Search the translations of source ids (B, S), as `search` returns them.

    Args:
        model: the network.
        src: source ids with EOS, padded with PAD (B, S), on the model's device.
        options: how to search.
        target_prefix: ids with which each translation begins, without BOS; None for no prefix.
    """
    source_lengths = (src != PAD).sum(dim=1).tolist()
    prefixes = [list(ids) for ids in target_prefix or [[]] * len(src)]
    width = max(map(len, prefixes), default=0)
    prefix = torch.tensor([ids + [PAD] * (width - len(ids)) for ids in prefixes], device=src.device) if width else None
    limits = [max_length(n, len(ids)) for n, ids in zip(source_lengths, prefixes, strict=True)]
    return search(translation_step(model, src), torch.tensor(limits), options, prefix, str(src.device))
