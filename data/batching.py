"""Token batches: sentences of similar length together, a bounded number of tokens in each batch."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from constants import BOS, MAX_TOKENS, PAD
from data.tokenizer import Tokenizer

if TYPE_CHECKING:  # programs that translate use `pad` and should not wait for the import of `datasets`
    from datasets import Dataset


class Batch(NamedTuple):
    """Sentence pairs of similar length, padded on the right with PAD.

    rows: indices of the pairs in the corpus (B,).
    src: source ids, EOS last (B, S).
    tgt: BOS, target ids, EOS (B, T + 1): columns :-1 are the decoder input, columns 1: what it must predict.
    n_tokens: predicted tokens of the global batch, that of all processes; the loss is divided by it. It is a Python
        int, so that reading it never waits for a GPU.
    """

    rows: Tensor
    src: Tensor
    tgt: Tensor
    n_tokens: int


def pad(rows: Sequence[Sequence[int]]) -> Tensor:
    """Return lists of ids as one LongTensor (B, longest list), padded on the right with PAD."""
    width = max(map(len, rows), default=1)
    return torch.tensor([[*row, *[PAD] * (width - len(row))] for row in rows], dtype=torch.long).view(len(rows), width)


def tokenise(rows: dict[str, list[str]], model: bytes) -> dict[str, Any]:
    """Return the ids and the number of tokens of both sides of each pair, EOS included.

    Args:
        rows: columns src and tgt.
        model: a serialised SentencePiece model.
    """
    tokenizer = Tokenizer(model)
    src, tgt = tokenizer.encode(rows["src"]), tokenizer.encode(rows["tgt"])
    return {
        "src_ids": [np.array(ids, dtype=np.int32) for ids in src],
        "tgt_ids": [np.array(ids, dtype=np.int32) for ids in tgt],
        "src_length": np.array([len(ids) for ids in src], dtype=np.int32),
        "tgt_length": np.array([len(ids) for ids in tgt], dtype=np.int32),
    }


def fits_network(src_lengths: np.ndarray, tgt_lengths: np.ndarray) -> np.ndarray:
    """Return for each pair (N,) whether both sides have at most `MAX_TOKENS` tokens, EOS included.

    The network has so many positions. The decoder input, BOS and the target without EOS, is as long as the target.
    """
    return np.maximum(src_lengths, tgt_lengths) <= MAX_TOKENS


def group_by_length(
    src_lengths: np.ndarray, tgt_lengths: np.ndarray, batch_tokens: int, seed: list[int]
) -> list[np.ndarray]:
    """Return batches of row indices whose padded size (rows x longest side) is at most `batch_tokens`.

    Rows are shuffled, then sorted by target length and source length, so that rows of equal lengths are combined anew
    with each seed; the batches are shuffled, too. A pair longer than `batch_tokens` is a batch of its own.

    Args:
        src_lengths, tgt_lengths: tokens of each row (N,).
        batch_tokens: most tokens of a batch on its longer side, padding included.
        seed: any list of numbers, such as the run's seed and the epoch.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(np.arange(len(src_lengths), dtype=np.uint32))  # 4 bytes a row: corpora may have 1e8 rows
    # Source lengths ascend where the target length is even and descend where it is odd. A batch that spans two target
    # lengths then still has sources of similar length.
    src_key = np.where(tgt_lengths % 2, -src_lengths, src_lengths)
    order = order[np.lexsort((src_key[order], tgt_lengths[order]))]
    longer_side = np.maximum(src_lengths, tgt_lengths)[order]

    starts = [0]
    while starts[-1] < len(order):
        start = starts[-1]
        most_rows = max(1, batch_tokens // longer_side[start])
        candidates = longer_side[start : start + most_rows]
        # padded_size[i]: size of the batch that ends with candidate i; it grows with i.
        padded_size = np.maximum.accumulate(candidates) * np.arange(1, len(candidates) + 1)
        n_rows = int(np.count_nonzero(padded_size <= batch_tokens))
        starts.append(start + max(1, n_rows))
    batches = [order[start:end] for start, end in pairwise(starts)]
    return [batches[i] for i in rng.permutation(len(batches))]


def column(ds: "Dataset", name: str) -> np.ndarray:
    """Return a numeric column (N,) in its own dtype."""
    return ds.select_columns([name]).with_format("arrow")[:][name].to_numpy()


class TokenBatches:
    """Iterable of `Batch` over a corpus: shuffled every epoch by the seed, sharded among processes, resumable.

    All processes make the same global batches, and process `rank` takes the rows rank, rank + world, ... of each, so
    that all together see each pair once per epoch. A process for which a batch has no row gets one row of padding,
    which adds nothing to the loss.
    """

    def __init__(
        self,
        dataset: "Dataset",
        batch_tokens: int,
        seed: int,
        *,
        shuffle: bool,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """Prepare the batches of the first epoch.

        Args:
            dataset: with the columns that `tokenise` makes.
            batch_tokens: see `group_by_length`.
            seed: of the order.
            shuffle: whether each epoch has another order.
            rank, world: index of this process, and number of processes.
        """
        self.rows = dataset.select_columns(["src_ids", "tgt_ids"]).with_format("arrow")
        # Only the lengths are held in memory; ids are read from disk for each batch.
        self.src_lengths, self.tgt_lengths = column(dataset, "src_length"), column(dataset, "tgt_length")
        self.batch_tokens, self.seed, self.shuffle = batch_tokens, seed, shuffle
        self.rank, self.world = rank, world
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Prepare the batches of an epoch."""
        self.epoch = epoch if self.shuffle else 0
        self.position = 0  # number of batches returned
        self.batches = group_by_length(self.src_lengths, self.tgt_lengths, self.batch_tokens, [self.seed, self.epoch])

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        """Yield the remaining batches of the current epoch, or all of the next epoch if none remain.

        Without `shuffle` it yields all batches, so that each validation is of the same sentences, even if the one
        before ended early.
        """
        if not self.shuffle or self.position >= len(self.batches):
            self.set_epoch(self.epoch + 1)
        while self.position < len(self.batches):
            self.position += 1
            yield self.collate(self.position - 1)

    def collate(self, position: int) -> Batch:
        """Return this process's shard of a global batch."""
        global_rows = self.batches[position]
        rows = global_rows[self.rank :: self.world]
        n_tokens = int(self.tgt_lengths[global_rows].sum())
        if not len(rows):
            return Batch(torch.empty(0, dtype=torch.long), pad([[PAD]]), pad([[PAD, PAD]]), n_tokens)
        table = self.rows[rows]
        src, tgt = table["src_ids"].to_pylist(), table["tgt_ids"].to_pylist()
        return Batch(torch.from_numpy(rows.astype(np.int64)), pad(src), pad([[BOS, *ids] for ids in tgt]), n_tokens)

    def state_dict(self) -> dict[str, Any]:
        """Return epoch and position, which Lightning saves in the checkpoint."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state that `state_dict` returned."""
        self.set_epoch(state["epoch"])
        self.position = state["position"]
