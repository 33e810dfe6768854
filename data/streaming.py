"""Token batches of a corpus that is read in blocks every epoch and never stored."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from datasets import Dataset, IterableDataset
from torch import Tensor

from data.batching import Batch, TokenBatches
from data.cleaning import DropReason, count_reasons, summary
from data.readers import reading_errors

logger = logging.getLogger(__name__)

State = dict[str, Any]
# Columns src and tgt of N pairs -> the tokenised pairs that are kept, and the drop reasons (N,).
PrepareBlock = Callable[[dict[str, list[str]]], tuple[Dataset, np.ndarray]]


class Block(NamedTuple):
    """Consecutive pairs of a stream.

    state: position of the stream at the first of them.
    batches: token batches of the pairs that are kept.
    rows: indices of these pairs in the stream (N,).
    """

    state: State
    batches: TokenBatches
    rows: Tensor


class StreamedBatches:
    """Iterable of `Batch` like `TokenBatches`, over pairs that are read on demand.

    A stream cannot be shuffled as a whole: its files (or the shards of a text file) come in a new order each epoch, and
    pairs are shuffled within blocks. A thread reads the next block while the current one is used. All processes read
    the same blocks, and each takes its shard of every batch.
    """

    def __init__(
        self,
        stream: IterableDataset,
        path: str,
        prepare_block: PrepareBlock,
        make_batches: Callable[..., TokenBatches],
        seed: int,
        block_pairs: int,
        ahead: bool = False,
    ) -> None:
        """Store the settings; nothing is read before the first batch.

        Args:
            stream: with columns src and tgt.
            path: name of the corpus in messages.
            prepare_block: cleans and tokenises a block.
            make_batches: returns the `TokenBatches` of a data set and a seed.
            seed: of the order.
            block_pairs: pairs that are shuffled together.
            ahead: whether the consumer requests each batch before it has used the one before, as Lightning does for an
                iterable without a length. `state_dict` then does not count the last batch.
        """
        self.stream, self.path, self.prepare_block = stream, path, prepare_block
        self.make_batches, self.seed, self.block_pairs, self.ahead = make_batches, seed, block_pairs, ahead
        self.previous: State
        self.state: State
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Move to the beginning of an epoch."""
        self.load_state_dict(
            {
                "epoch": epoch,
                "row": 0,  # index in the stream of the current block's first pair
                "stream": None,  # state of the stream there
                "position": 0,  # number of batches of the block that were returned
                "counts": [0] * len(DropReason),  # of the pairs before the block
                "done": False,  # whether the epoch has no batches left
            }
        )

    def __iter__(self) -> Iterator[Batch]:
        """Yield the remaining batches of the current epoch, or all of the next epoch if none remain."""
        if self.state["done"]:
            self.set_epoch(self.state["epoch"] + 1)
        self.stream.set_epoch(self.seed + self.state["epoch"])
        self.stream.load_state_dict(self.state["stream"])
        blocks = self.blocks()
        with ThreadPoolExecutor(max_workers=1) as reader:
            block = reader.submit(next, blocks).result()
            while not block.state["done"]:
                following = reader.submit(next, blocks)
                for batch in block.batches:
                    if block.batches.position < len(block.batches):
                        after = block.state | {"position": block.batches.position}
                    else:
                        after = following.result().state
                    self.previous, self.state = self.state, after
                    yield batch._replace(rows=block.rows[batch.rows])
                block = following.result()
        self.previous = self.state = block.state
        if block.state["epoch"] == 0:
            logger.info(summary("train", np.array(block.state["counts"])))

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks from the current state on; the last is empty and its state is `done`."""
        state, stream = self.state, iter(self.stream)
        while True:
            with reading_errors(self.path):
                pairs = list(islice(stream, self.block_pairs))
            tokenised, reason = self.prepare_block({side: [pair[side] for pair in pairs] for side in ("src", "tgt")})
            seed = np.random.SeedSequence((self.seed, state["epoch"], state["row"])).generate_state(1)
            batches = self.make_batches(tokenised, seed=int(seed[0]))
            batches.load_state_dict({"epoch": 0, "position": state["position"]})
            rows = torch.from_numpy(np.flatnonzero(reason == DropReason.NONE)) + state["row"]
            yield Block(state | {"done": not pairs}, batches, rows)
            state = state | {
                "row": state["row"] + len(pairs),
                "stream": self.stream.state_dict(),
                "position": 0,
                "counts": (np.array(state["counts"]) + count_reasons(reason)).tolist(),
            }

    def state_dict(self) -> State:
        """Return the position in the epoch, which Lightning saves in the checkpoint."""
        return self.previous if self.ahead else self.state

    def load_state_dict(self, state: State) -> None:
        """Continue from a state that `state_dict` returned."""
        self.previous = self.state = state
