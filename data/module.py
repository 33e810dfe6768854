"""LightningDataModule that turns `data.path` into token batches."""

import gc
import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import datasets
import lightning as L
import numpy as np
from datasets import Dataset, DatasetDict, IterableDataset, concatenate_datasets

from constants import MAX_TOKENS
from data import cache
from data.batching import TokenBatches, column, fits_network, tokenise
from data.cleaning import PARALLEL_ROWS, DropReason, clean, clean_block, held_out_hashes
from data.mixture import corpus_names, leave_out_held_out, repeated
from data.readers import load_pairs, reading_errors
from data.streaming import StreamedBatches
from data.tokenizer import Tokenizer
from data.variants import with_variants
from errors import UserError
from files import write_atomically

logger = logging.getLogger(__name__)

SAMPLE = 100_000  # pairs that train the tokenizer: its memory grows with their number, its tokens hardly change
MINIMA = {"vocab_size": 1, "batch_tokens": 1, "block_pairs": 1, "max_words": 1, "max_ratio": 1.0, "seed": 0}


def usable_cores() -> int:
    """Return the number of cores that this process may use; a container may have fewer than the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def frozen_objects() -> Iterator[None]:
    """Exclude the objects that exist from garbage collection, which would write to all of them.

    Forked processes share memory pages until one of them writes: without this, cleaning and tokenising Tatoeba in two
    processes held 943 MB at most, with it 677 MB.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class TranslationData(L.LightningDataModule):
    """Sentence pairs as token batches; the cache of `datasets` keeps the cleaned and tokenised text."""

    def __init__(
        self,
        path: str | list[str] | None = "phrasebook",
        weights: list[int] | None = None,
        subset: str | None = None,
        columns: str | None = None,
        source_lang: str = "fr",
        target_lang: str = "en",
        vocab_size: int = 8000,
        batch_tokens: int = 4096,
        streaming: bool = False,
        block_pairs: int = 50_000,
        max_words: int = 200,
        max_ratio: float = 3.0,
        variants: float = 0.0,
        made_up: float = 0.0,
        watch: list[str] | None = None,
        seed: int = 1,
    ) -> None:
        """Store the settings; nothing is read before `load` or `setup`.

        Raises:
            UserError: if a number is out of its range.

        Args:
            path: `phrasebook`, a folder, a file, a zip archive, or a Hub data set (`org/name`); or a list of them.
            weights: how often an epoch holds each training pair of each corpus of a list; once by default.
            subset: configuration of a Hub data set, or a subfolder of `path` (`en-fr`).
            columns: names of the first columns of a TSV or CSV table without a header, in order (`en,fr`).
            source_lang: code of the source language: a file ending or a column.
            target_lang: code of the target language: a file ending or a column.
            vocab_size: tokens of the joint vocabulary, special tokens and 256 bytes included.
            batch_tokens: most tokens of a batch on its longer side, padding included, over all processes.
            streaming: read the training pairs anew each epoch instead of copying them to the cache.
            block_pairs: pairs of a stream that are read, cleaned and shuffled together.
            max_words: training pairs with more words on one side are left out and counted.
            max_ratio: training pairs with a greater ratio of characters are left out and counted.
            variants: share of the training pairs that are changed to what people type: in capitals, without accents,
                without final mark (`data.variants.typed`).
            made_up: share of the training pairs in which names and numbers that both sides have in common are replaced
                by made-up ones, which teach the model to copy (`data.variants.with_made_up`).
            watch: source sentences whose attention training keeps (`training.watch`); by default three of the
                phrasebook, or the first of the validation split of another corpus.
            seed: of everything random: sentences of the phrasebook, splits that are not given, the sample that trains
                the tokenizer, the order of the batches, initial weights and dropout.
        """
        super().__init__()
        self.save_hyperparameters()
        for name, minimum in MINIMA.items():
            if self.hparams[name] < minimum:
                raise UserError(f"data.{name} must be at least {minimum}, not {self.hparams[name]}")
        for name, value in (("variants", variants), ("made_up", made_up)):
            if not 0 <= value <= 1:
                raise UserError(f"data.{name} must be from 0 to 1, not {value}")
        self.paths = [path] if isinstance(path, str) else path or []
        self.names = corpus_names(self.paths)
        weights = weights or [1] * len(self.paths)
        if len(weights) != len(self.paths) or min(weights, default=1) < 1:
            n = len(self.paths)
            raise UserError(f"data.weights must be {n} numbers from 1 on, one for each corpus, not {weights}")
        self.weights = dict(zip(self.names, weights, strict=True))
        if streaming and (len(self.paths) > 1 or variants or made_up):
            raise UserError("data.streaming reads one corpus, and without data.variants and data.made_up")
        self.given_tokenizer: Tokenizer | None = None  # set before `load`, it is used instead of a newly trained one
        self.corpora: dict[str, DatasetDict] = {}  # cleaned and tokenised, by name
        self.splits: DatasetDict | None = None  # those of all corpora
        self.stream: IterableDataset | None = None  # the training pairs, if they are streamed

    def prepare_data(self) -> None:
        """Fill the cache in one process, before the others read it."""
        self.load()

    def setup(self, stage: str = "fit") -> None:
        """Open what is in the cache."""
        self.load()

    def load(self) -> DatasetDict:
        """Return the cleaned, tokenised splits, and log what was left out; a stream has no train split.

        Raises:
            UserError: if the corpus cannot be read or a split is empty.
        """
        if self.splits is None:
            with frozen_objects():
                self.splits = self._load()
        return self.splits

    def _load(self) -> DatasetDict:
        h: Any = self.hparams
        if not os.isatty(2):
            datasets.disable_progress_bars()
        if not self.paths:
            raise UserError("data.path is missing: give a folder, a file or a Hub data set (--data.path DIR)")
        for name, path in zip(self.names, self.paths, strict=True):
            self.corpora[name] = self._clean(name, path)
        if len(self.corpora) > 1:
            for sentence in leave_out_held_out(self.corpora):
                logger.info(sentence)
        if h.variants or h.made_up:
            for splits in self.corpora.values():
                splits["train"] = self._with_variants(splits["train"])
        if self.given_tokenizer is None:
            self.tokenizer = self._train_tokenizer(repeated(self.corpora, self.weights))
        else:
            self.tokenizer = self.given_tokenizer
        for name, splits in self.corpora.items():
            if h.streaming:
                del splits["train"]
            self.corpora[name] = DatasetDict({split: self._tokenise(name, split, ds) for split, ds in splits.items()})
        every = list(self.corpora.values())
        joined = {split: concatenate_datasets([splits[split] for splits in every]) for split in ("val", "test")}
        if not h.streaming:
            joined["train"] = repeated(self.corpora, self.weights)
        return DatasetDict(joined)

    def _clean(self, name: str, path: str) -> DatasetDict:
        """Read and clean one corpus."""
        h: Any = self.hparams
        num_proc = usable_cores()
        is_phrasebook = path == "phrasebook"
        # Beside other corpora the phrasebook does without the settings of tables.
        columns = None if is_phrasebook and len(self.paths) > 1 else h.columns
        found = load_pairs(
            path, h.subset, columns, h.source_lang, h.target_lang, h.seed, num_proc, streaming=h.streaming
        )
        if h.streaming:
            self.stream = found.get("train")
            found = self._head(found)
        # The phrasebook draws set phrases as often as people say them: there a repetition is a weight, no accident.
        splits, report = clean(found, path, h.max_words, h.max_ratio, h.seed, num_proc, keep_duplicates=is_phrasebook)
        for sentence in report:
            logger.info(f"{name}: {sentence}" if len(self.paths) > 1 else sentence)
        if h.streaming:
            self.held_out = held_out_hashes(splits, given=set(found))
        return splits

    def _with_variants(self, train: Dataset) -> Dataset:
        """Return a training split with some pairs as people type them."""
        h: Any = self.hparams
        return train.map(
            with_variants,
            with_indices=True,
            batched=True,
            fn_kwargs={"share": h.variants, "made_up": h.made_up, "seed": h.seed, "stamp": cache.code_stamp()},
            desc="variants",
        )

    def _head(self, found: dict[str, IterableDataset]) -> dict[str, Dataset]:
        """Return the first pairs of a stream, which train the tokenizer, and its val and test completely."""
        h: Any = self.hparams
        logger.info(
            f"streaming: the tokenizer, and splits that are not given, come from the first {SAMPLE:,} pairs; "
            f"duplicates are removed, and pairs shuffled, within blocks of {h.block_pairs:,}"
        )
        with reading_errors(self.paths[0]):
            return {
                split: Dataset.from_list(list(ds.take(SAMPLE) if split == "train" else ds))
                for split, ds in found.items()
            }

    def _train_tokenizer(self, train: Dataset) -> Tokenizer:
        """Return the tokenizer of the training split, from the cache if the same text was seen before."""
        h: Any = self.hparams
        if len(train) > SAMPLE:
            chosen = np.random.default_rng(h.seed).choice(len(train), SAMPLE, replace=False)
            train = train.select(np.sort(chosen))
        key = hashlib.sha256(f"{cache.code_stamp()} {h.vocab_size}".encode())
        for text in both_sides(train):
            key.update(f"\n{text}".encode())
        file = Path(datasets.config.HF_DATASETS_CACHE) / "sentencepiece" / f"{key.hexdigest()}.model"
        if not file.exists():
            tokenizer = Tokenizer.train(both_sides(train), h.vocab_size)
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, tokenizer.model)
        return Tokenizer(file.read_bytes())

    def _tokenise(self, name: str, split: str, ds: Dataset) -> Dataset:
        """Return a split with ids, without pairs that are too long for the network."""
        num_proc = usable_cores()
        ds = ds.map(
            tokenise,
            batched=True,
            batch_size=5000,
            num_proc=num_proc if len(ds) > PARALLEL_ROWS else None,
            fn_kwargs={"model": self.tokenizer.model},
            desc=f"tokenising {split}",
        )
        fits = fits_network(column(ds, "src_length"), column(ds, "tgt_length"))
        if fits.all():
            return ds
        n_long = np.count_nonzero(~fits)
        sentence = f"{split}: {n_long:,} of {len(ds):,} pairs left out, over {MAX_TOKENS:,} tokens on one side"
        if not fits.any():
            raise UserError(f"data.path {name}: the {split} split is empty ({sentence})")
        logger.info(f"{name}: {sentence}" if len(self.paths) > 1 else sentence)
        return ds.select(np.flatnonzero(fits))

    def _prepare_block(self, rows: dict[str, list[str]]) -> tuple[Dataset, np.ndarray]:
        """Return the tokenised pairs of a stream's block that are kept, and the `DropReason` of each of its pairs."""
        h: Any = self.hparams
        kept, reason = clean_block(rows, h.max_words, h.max_ratio, self.held_out, self.paths == ["phrasebook"])
        ds = Dataset.from_dict(kept | tokenise(kept, self.tokenizer.model))
        fits = fits_network(column(ds, "src_length"), column(ds, "tgt_length"))
        if not fits.all():
            too_long = np.flatnonzero(reason == DropReason.NONE)[~fits]
            reason[too_long] = DropReason.TOO_MANY_TOKENS
            ds = ds.select(np.flatnonzero(fits))
        return ds, reason

    @cached_property
    def fingerprint(self) -> str | None:
        """Hash of the training pairs and their order, which tells whether the corpus has changed; None for a stream."""
        splits = self.load()
        if "train" not in splits:
            return None
        # Of the pairs of each corpus once: `data.weights`, which repeats them, is a setting.
        hashes = [column(splits["train"], "pair_hash") for splits in self.corpora.values()]
        return hashlib.sha256(np.concatenate(hashes).astype("<i8").tobytes()).hexdigest()

    def texts(self, split: str) -> tuple[list[str], list[str]]:
        """Return the source and the reference sentences of a split, one corpus after the other."""
        ds = self.load()[split]
        return list(ds["src"]), list(ds["tgt"])

    def rows_by_corpus(self, split: str) -> dict[str, range]:
        """Return for each corpus, by name, its rows in val or test."""
        self.load()
        rows, start = {}, 0
        for name, splits in self.corpora.items():
            rows[name] = range(start, start + len(splits[split]))
            start = rows[name].stop
        return rows

    def train_dataloader(self) -> TokenBatches | StreamedBatches:
        """Return the batches of the training split, shuffled; this process's shard of each."""
        h: Any = self.hparams
        splits, make_batches = self.load(), partial(self._batches, shuffle=True)
        if self.stream is None:
            return make_batches(splits["train"])
        stream = self.stream.select_columns(["src", "tgt"])
        ahead = self.trainer is not None
        return StreamedBatches(stream, self.paths[0], self._prepare_block, make_batches, h.seed, h.block_pairs, ahead)

    def val_dataloader(self) -> TokenBatches:
        """Return the batches of the validation split, the same in every epoch; this process's shard of each."""
        return self._batches(self.load()["val"], shuffle=False)

    def _batches(self, split: Dataset, *, shuffle: bool, seed: int | None = None) -> TokenBatches:
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        h: Any = self.hparams
        seed = h.seed if seed is None else seed
        return TokenBatches(split, h.batch_tokens, seed, shuffle=shuffle, rank=rank, world=world)


def both_sides(ds: Dataset) -> Iterator[str]:
    """Yield the sentences of both languages, read from disk in batches."""
    for rows in ds.select_columns(["src", "tgt"]).iter(1000):
        yield from rows["src"]
        yield from rows["tgt"]
