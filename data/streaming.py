"""Token batches of a corpus that is never stored: read in blocks, each cleaned, cut and shuffled as it comes."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from datasets import Dataset, IterableDataset
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from data.batching import Batch, TokenBatches, encode
from data.corpus import REASONS, count, readable, summary

State = dict[str, Any]
Clean = Callable[[dict[str, list[str]]], tuple[dict[str, list[str]], np.ndarray]]


class Block(NamedTuple):
    """Neighbouring rows of a stream.

    state: where the stream stands before them.
    batches: what is left of them by cleaning.
    rows: their places in the stream (N,).
    """

    state: State
    batches: TokenBatches
    rows: Tensor


class StreamedBatches:
    """An iterable of `Batch` like `TokenBatches`, over rows that are read whenever they are needed.

    A stream cannot be shuffled as a whole: files (or parts of a text) come in a new order each epoch, rows are shuffled
    within blocks. The next block is read while one is trained. All processes read the same blocks and take their shares
    of the same batches.
    """

    def __init__(
        self,
        stream: IterableDataset,
        path: str,
        clean: Clean,
        make_batches: Callable[..., TokenBatches],
        model: bytes,
        seed: int,
        block_pairs: int,
        ahead: bool = False,
    ) -> None:
        """Remember how to read; nothing is read before the first batch is asked for.

        Args:
            stream: with columns src and tgt.
            path: what messages call it.
            clean: columns -> columns of the pairs kept, and why the others are left out (see `clean_block`).
            make_batches: `TokenBatches` of a data set and a seed.
            model: a serialised SentencePiece model.
            seed: of the order.
            block_pairs: rows that are shuffled together.
            ahead: whether whoever asks for a batch still works on the one before, as Lightning does where it cannot
                know the number of batches; `state_dict` then leaves out the last batch that was handed out.
        """
        self.stream, self.path, self.clean = stream, path, clean
        self.make_batches, self.model = make_batches, model
        self.seed, self.block_pairs, self.ahead = seed, block_pairs, ahead
        self.previous: State
        self.state: State
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch."""
        counts = [0] * (len(REASONS) + 1)
        # row and stream: where the current block begins; position: batches of it handed out; counts: before it
        state = {"epoch": epoch, "row": 0, "stream": None, "position": 0, "counts": counts, "done": False}
        self.load_state_dict(state)

    def __iter__(self) -> Iterator[Batch]:
        """Hand out the batches of this epoch that are left; of the next epoch, if none are."""
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
                    left = len(block.batches) - block.batches.position
                    after = block.state | {"position": block.batches.position} if left else following.result().state
                    self.previous, self.state = self.state, after
                    yield batch._replace(rows=block.rows[batch.rows])
                block = following.result()
        self.previous = self.state = block.state
        if block.state["epoch"] == 0:
            rank_zero_info(summary("train", np.array(block.state["counts"])))

    def blocks(self) -> Iterator[Block]:
        """Read, clean and cut one block after the other; the last is empty, and only says that all is done."""
        state, stream = self.state, iter(self.stream)
        while True:
            with readable(self.path):
                pairs = list(islice(stream, self.block_pairs))
            columns = {side: [pair[side] for pair in pairs] for side in ("src", "tgt")}
            kept, reason = self.clean(columns)
            seed = np.random.SeedSequence((self.seed, state["epoch"], state["row"])).generate_state(1)
            batches = self.make_batches(Dataset.from_dict(kept | encode(kept, self.model)), seed=int(seed[0]))
            batches.load_state_dict({"epoch": 0, "position": state["position"]})
            rows = torch.from_numpy(np.flatnonzero(reason < 0)) + state["row"]
            yield Block(state | {"done": not pairs}, batches, rows)
            state = state | {
                "row": state["row"] + len(pairs),
                "stream": self.stream.state_dict(),
                "position": 0,
                "counts": (np.array(state["counts"]) + count(reason)).tolist(),
            }

    def state_dict(self) -> State:
        """Say where in which epoch we stand; Lightning keeps it in the checkpoint."""
        return self.previous if self.ahead else self.state

    def load_state_dict(self, state: State) -> None:
        """Go on where `state_dict` stood."""
        self.previous = self.state = state
