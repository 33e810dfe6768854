"""The data room's door: a LightningDataModule from one `data.path` to token batches."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import lightning as L
import numpy as np
from datasets import Dataset, DatasetDict, IterableDataset
from datasets.fingerprint import Hasher
from lightning.pytorch.utilities import rank_zero_info
from tqdm import tqdm

from data.batching import TokenBatches, encode
from data.corpus import both_sides, clean, clean_block, fingerprints_held_out, load_pairs, readable
from data.streaming import StreamedBatches
from data.tokenizer import Tokenizer
from errors import UserError

SAMPLE = 100_000  # pairs that teach the tokenizer; its memory grows with their text, its pieces hardly change


@contextmanager
def shared_pages() -> Iterator[None]:
    """Let processes that are forked here share our memory: a garbage collection there would write to all of it.

    A copy of each page it writes to is that process's own; together they held a quarter more without this.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def usable_cores() -> int:
    """Count the cores that this process may use, which may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class TranslationData(L.LightningDataModule):
    """Sentence pairs as token batches; text is cleaned and cut once, into the cache of `datasets`."""

    def __init__(
        self,
        path: str | None = "phrasebook",
        subset: str | None = None,
        source_lang: str = "fr",
        target_lang: str = "en",
        vocab_size: int = 8000,
        batch_tokens: int = 4096,
        streaming: bool = False,
        block_pairs: int = 50_000,
        max_words: int = 200,
        max_ratio: float = 3.0,
        seed: int = 1,
    ) -> None:
        """Remember where the pairs are; nothing is read before `setup`.

        Raises UserError where a number makes no sense.

        Args:
            path: `phrasebook`, a folder, a file, or a Hub data set (`org/name`).
            subset: configuration of a Hub data set, or a folder's sub-folder (`en-fr`).
            source_lang: code of the language to translate from; a file ending or a column.
            target_lang: code of the language to translate to.
            vocab_size: pieces of the joint vocabulary, special ids and 256 bytes included.
            batch_tokens: most padded tokens in one batch on its longer side, over all processes.
            streaming: read the training pairs anew each epoch instead of copying them to the cache.
            block_pairs: pairs of a stream that are read, cleaned and shuffled together.
            max_words: longer training pairs are left out, and counted.
            max_ratio: training pairs with a greater ratio of characters are left out, and counted.
            seed: of all that is random: the phrasebook's sentences, splits that are not given, the tokenizer's sample,
                the order of the batches, initial weights and dropout.
        """
        super().__init__()
        self.save_hyperparameters()
        least = {"vocab_size": 1, "batch_tokens": 1, "block_pairs": 1, "max_words": 1, "max_ratio": 1.0, "seed": 0}
        for name, bound in least.items():
            if self.hparams[name] < bound:
                raise UserError(f"data.{name} must be at least {bound}, not {self.hparams[name]}")
        self.splits: DatasetDict | None = None
        self.stream: IterableDataset | None = None  # of the training pairs, where they are streamed

    def prepare_data(self) -> None:
        """Fill the cache, in one process, before the others read it."""
        self.load()

    def setup(self, stage: str = "fit") -> None:
        """Open the cache."""
        self.load()

    def load(self) -> DatasetDict:
        """Read, clean, tokenise (or open what the cache holds), and report."""
        if self.splits is None:
            with shared_pages():
                self.splits = self._load()
        return self.splits

    def _load(self) -> DatasetDict:
        h: Any = self.hparams
        if not os.isatty(2):
            datasets.disable_progress_bars()
        tqdm.monitor_interval = 0  # the thread of its bars would stay, and a process with threads makes no copies
        num_proc = usable_cores()
        if h.path is None:
            raise UserError("data.path is missing: give a folder, a file or a Hub data set (--data.path DIR)")
        found = load_pairs(h.path, h.subset, h.source_lang, h.target_lang, h.seed, num_proc, streaming=h.streaming)
        if h.streaming:
            self.stream = found.get("train")
            found = self._head(found)
        splits, report = clean(found, h.path, h.max_words, h.max_ratio, h.seed, num_proc)
        for sentence in report:
            rank_zero_info(sentence)
        self.tokenizer = self._tokenizer(splits["train"], h.vocab_size, h.seed)
        if h.streaming:
            self.held_out = fingerprints_held_out(splits, given=set(found))
            del splits["train"]
        return DatasetDict(
            {
                split: ds.map(
                    encode,
                    batched=True,
                    batch_size=5000,
                    num_proc=num_proc if len(ds) > 20_000 else None,
                    fn_kwargs={"model": self.tokenizer.model},
                    desc=f"tokenising {split}",
                )
                for split, ds in splits.items()
            }
        )

    def _head(self, found: dict[str, IterableDataset]) -> dict[str, Dataset]:
        """Read the beginning of a stream, which teaches the tokenizer, and all of its val and test."""
        h: Any = self.hparams
        rank_zero_info(
            f"streaming: the tokenizer, and splits that are not given, come from the first {SAMPLE:,} pairs; "
            f"duplicates are sought, and pairs mixed, within blocks of {h.block_pairs:,}"
        )
        with readable(h.path):
            return {
                split: Dataset.from_list(list(ds.take(SAMPLE) if split == "train" else ds))
                for split, ds in found.items()
            }

    def _tokenizer(self, train: Dataset, vocab_size: int, seed: int) -> Tokenizer:
        """Train on the training split only, once for each text and size."""
        if len(train) > SAMPLE:
            chosen = np.random.default_rng(seed).choice(len(train), SAMPLE, replace=False)
            train = train.select(np.sort(chosen))
        key = Hasher.hash((train._fingerprint, vocab_size))
        file = Path(datasets.config.HF_DATASETS_CACHE) / "sentencepiece" / f"{key}.model"
        if not file.exists():
            tokenizer = Tokenizer.train(both_sides(train), vocab_size)
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_suffix(f".{os.getpid()}")
            part.write_bytes(tokenizer.model)
            part.replace(file)
        return Tokenizer(file.read_bytes())

    def texts(self, split: str) -> tuple[list[str], list[str]]:
        """Return the source and the reference sentences of a split."""
        ds = self.load()[split]
        return list(ds["src"]), list(ds["tgt"])

    def train_dataloader(self) -> TokenBatches | StreamedBatches:
        """Batches of the training split, shuffled, this process's share of each."""
        h: Any = self.hparams
        splits, make_batches = self.load(), partial(self._batches, shuffle=True)
        if self.stream is None:
            return make_batches(splits["train"])
        clean = partial(clean_block, max_words=h.max_words, max_ratio=h.max_ratio, held_out=self.held_out)
        stream = self.stream.select_columns(["src", "tgt"])
        ahead = self.trainer is not None
        return StreamedBatches(stream, h.path, clean, make_batches, self.tokenizer.model, h.seed, h.block_pairs, ahead)

    def val_dataloader(self) -> TokenBatches:
        """Batches of the validation split."""
        return self._batches(self.load()["val"], shuffle=False)

    def _batches(self, split: Dataset, *, shuffle: bool, seed: int | None = None) -> TokenBatches:
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        h: Any = self.hparams
        seed = h.seed if seed is None else seed
        return TokenBatches(split, h.batch_tokens, seed, shuffle=shuffle, rank=rank, world=world)
