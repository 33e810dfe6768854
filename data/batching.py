"""Token batches: sentences of like length together, a bounded number of tokens in each."""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor

from data.corpus import column
from data.tokenizer import BOS, PAD, Tokenizer, pad


class Batch(NamedTuple):
    """Pairs of like length, padded on the right with 0.

    rows: their places in the corpus (B,).
    src: source ids, end mark last (B, S).
    tgt: target ids between begin and end mark (B, T + 1): columns :-1 are read, columns 1: predicted.
    n_tokens: target tokens of the whole batch over all processes; the loss is divided by it.
    """

    rows: Tensor
    src: Tensor
    tgt: Tensor
    n_tokens: int

    def shard(self, n: int) -> list["Batch"]:
        """Share the rows out to at most n batches of like work, each as wide as the longest of its own.

        Sources of like length stay together, which leaves less padding. One batch is this one.
        """
        if n < 2 or len(self.rows) < 2:
            return [self]
        lengths = (self.src != PAD).sum(dim=1)
        order = lengths.argsort(descending=True, stable=True)
        shares = order.split(cut_evenly((lengths[order] + self.tgt.size(1)).tolist(), n))
        return [Batch(self.rows[i], narrow(self.src[i]), narrow(self.tgt[i]), self.n_tokens) for i in shares]


def narrow(ids: Tensor) -> Tensor:
    """Cut off columns that hold nothing but padding."""
    return ids[:, : int((ids != PAD).sum(dim=1).max())]


def cut_evenly(widths: list[int], n: int) -> list[int]:
    """Cut rows into at most n shares of which the largest, padding included, is as small as it can be.

    Args:
        widths: columns that each row needs, descending: a share is as wide as its first row.

    Returns:
        rows of each share.
    """

    def sizes(limit: int) -> list[int]:
        shares, start = [], 0
        while start < len(widths):
            shares.append(min(limit // widths[start], len(widths) - start))
            start += shares[-1]
        return shares

    limits = range(widths[0], widths[0] * len(widths) + 1)
    return sizes(limits[bisect_left(limits, True, key=lambda limit: len(sizes(limit)) <= n)])


def group_by_length(
    src_lengths: np.ndarray, tgt_lengths: np.ndarray, batch_tokens: int, seed: list[int]
) -> list[np.ndarray]:
    """Cut a corpus into batches of rows whose padded size (rows x longest side) is at most `batch_tokens`.

    Rows are shuffled, then sorted by target and source length, so that equal lengths meet in a new order with each
    seed; at last the batches are shuffled. Of every other target length the longest sources come first: where a batch
    reaches from one length into the next, its sources are still alike. A pair longer than `batch_tokens` makes a batch
    of its own.

    Args:
        src_lengths, tgt_lengths: tokens of each row.
        seed: any list of numbers, such as the run's seed and the epoch.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(np.arange(len(src_lengths), dtype=np.uint32))  # a large corpus has many rows
    src_turned = np.where(tgt_lengths % 2, -src_lengths, src_lengths)
    order = order[np.lexsort((src_turned[order], tgt_lengths[order]))]
    longest = np.maximum(src_lengths, tgt_lengths)[order]
    starts: list[int] = [0]
    while starts[-1] < len(order):
        start = starts[-1]
        rows = longest[start : start + max(1, batch_tokens // longest[start])]  # more could never fit
        fit = np.maximum.accumulate(rows) * np.arange(1, len(rows) + 1) <= batch_tokens
        starts.append(start + max(1, int(np.count_nonzero(fit))))
    batches = [order[start:end] for start, end in pairwise(starts)]
    return [batches[i] for i in rng.permutation(len(batches))]


def encode(rows: dict[str, list[str]], model: bytes) -> dict[str, Any]:
    """Add ids and their lengths to a batch of pairs."""
    tokenizer = Tokenizer(model)
    src, tgt = tokenizer.encode(rows["src"]), tokenizer.encode(rows["tgt"])
    return {
        "src_ids": [np.array(ids, dtype=np.int32) for ids in src],
        "tgt_ids": [np.array(ids, dtype=np.int32) for ids in tgt],
        "src_length": np.array([len(ids) for ids in src], dtype=np.int32),
        "tgt_length": np.array([len(ids) for ids in tgt], dtype=np.int32),
    }


class TokenBatches:
    """An iterable of `Batch`: reshuffled every epoch from the seed, split across processes, resumable in mid-epoch.

    All processes cut the same global batches and take every n-th row of each, so that they learn together what one
    process would learn alone. Where rows run out, a process holds one row of padding, which weighs nothing.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_tokens: int,
        seed: int,
        *,
        shuffle: bool,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """Remember the corpus and cut the first epoch.

        Args:
            dataset: with columns src, tgt, src_ids, tgt_ids, src_length, tgt_length.
            batch_tokens: see `group_by_length`.
            seed: of the order.
            shuffle: anew every epoch.
            rank, world: this process among how many.
        """
        self.rows = dataset.select_columns(["src_ids", "tgt_ids"]).with_format("arrow")
        # Arrays of two columns: the texts of a large corpus never enter memory.
        self.src_lengths, self.tgt_lengths = column(dataset, "src_length"), column(dataset, "tgt_length")
        self.batch_tokens, self.seed, self.shuffle = batch_tokens, seed, shuffle
        self.rank, self.world = rank, world
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Cut the batches of an epoch."""
        self.epoch = epoch if self.shuffle else 0
        self.position = 0  # batches already handed out
        self.batches = group_by_length(self.src_lengths, self.tgt_lengths, self.batch_tokens, [self.seed, self.epoch])

    def __len__(self) -> int:
        """Return the batches of an epoch."""
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        """Hand out the batches of this epoch that are left; of the next epoch, if none are.

        What is not shuffled begins anew, wherever it was left: each validation is of the same sentences.
        """
        if not self.shuffle or self.position >= len(self.batches):
            self.set_epoch(self.epoch + 1)
        while self.position < len(self.batches):
            self.position += 1
            yield self.collate(self.position - 1)

    def collate(self, position: int) -> Batch:
        """Build this process's share of a global batch."""
        index = self.batches[position]
        share = index[self.rank :: self.world]
        table = self.rows[share]
        src, tgt = table["src_ids"].to_pylist(), table["tgt_ids"].to_pylist()
        n_tokens = int(self.tgt_lengths[index].sum())
        if not src:
            return Batch(torch.empty(0, dtype=torch.long), pad([[PAD]]), pad([[PAD, PAD]]), n_tokens)
        return Batch(torch.from_numpy(share.astype(np.int64)), pad(src), pad([[BOS, *row] for row in tgt]), n_tokens)

    def state_dict(self) -> dict[str, Any]:
        """Say where in which epoch we stand; Lightning keeps it in the checkpoint."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` stood."""
        self.set_epoch(state["epoch"])
        self.position = state["position"]
