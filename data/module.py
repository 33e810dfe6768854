"""The data room's door: a LightningDataModule from one `data.path` to token batches."""

import os
from pathlib import Path
from typing import Any

import datasets
import lightning as L
from datasets import Dataset, DatasetDict
from datasets.fingerprint import Hasher
from lightning.pytorch.utilities import rank_zero_info

from data.batching import TokenBatches
from data.corpus import both_sides, clean, load_pairs
from data.tokenizer import Tokenizer
from errors import UserError


def encode(rows: dict[str, list[str]], model: bytes) -> dict[str, list]:
    """Add ids and their lengths to a batch of pairs."""
    tokenizer = Tokenizer(model)
    src, tgt = tokenizer.encode(rows["src"]), tokenizer.encode(rows["tgt"])
    return {
        "src_ids": src,
        "tgt_ids": tgt,
        "src_length": [len(ids) for ids in src],
        "tgt_length": [len(ids) for ids in tgt],
    }


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
        subword_alpha: float | None = None,
        max_words: int = 200,
        max_ratio: float = 3.0,
        seed: int = 1,
    ) -> None:
        """Remember where the pairs are; nothing is read before `setup`.

        Args:
            path: `phrasebook`, a folder, a file, or a Hub data set (`org/name`).
            subset: configuration of a Hub data set, or a folder's sub-folder (`en-fr`).
            source_lang: code of the language to translate from; a file ending or a column.
            target_lang: code of the language to translate to.
            vocab_size: pieces of the joint vocabulary, special ids and 256 bytes included.
            batch_tokens: most padded tokens in one batch on its longer side, over all processes.
            subword_alpha: cut the training text anew each epoch, drawn with this inverse temperature; null takes the
                most probable cut always.
            max_words: longer training pairs are left out, and counted.
            max_ratio: training pairs with a greater ratio of characters are left out, and counted.
            seed: of the splits and of the order of the batches.
        """
        super().__init__()
        self.save_hyperparameters()
        self.splits: DatasetDict | None = None

    def prepare_data(self) -> None:
        """Fill the cache, in one process, before the others read it."""
        self.load()

    def setup(self, stage: str = "fit") -> None:
        """Open the cache."""
        self.load()

    def load(self) -> DatasetDict:
        """Read, clean, tokenise (or open what the cache holds), and report."""
        if self.splits is not None:
            return self.splits
        h: Any = self.hparams
        if not os.isatty(2):
            datasets.disable_progress_bars()
        num_proc = os.cpu_count() or 1
        if h.path is None:
            raise UserError("data.path is missing: give a folder, a file or a Hub data set (--data.path DIR)")
        raw = load_pairs(h.path, h.subset, h.source_lang, h.target_lang, h.seed)
        splits, report = clean(raw, h.max_words, h.max_ratio, h.seed, num_proc)
        for sentence in report:
            rank_zero_info(sentence)
        self.tokenizer = self._tokenizer(splits["train"], h.vocab_size)
        self.splits = DatasetDict(
            {
                split: ds.map(
                    encode,
                    batched=True,
                    num_proc=num_proc if len(ds) > 20_000 else None,
                    fn_kwargs={"model": self.tokenizer.model},
                    desc=f"tokenising {split}",
                )
                for split, ds in splits.items()
            }
        )
        return self.splits

    def _tokenizer(self, train: Dataset, vocab_size: int) -> Tokenizer:
        """Train on the training split only, once for each text and size."""
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

    def train_dataloader(self) -> TokenBatches:
        """Batches of the training split, shuffled, this process's share of each."""
        return self._batches("train", shuffle=True, subword_alpha=self.hparams["subword_alpha"])

    def val_dataloader(self) -> TokenBatches:
        """Batches of the validation split."""
        return self._batches("val", shuffle=False)

    def _batches(self, split: str, *, shuffle: bool, subword_alpha: float | None = None) -> TokenBatches:
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        h: Any = self.hparams
        return TokenBatches(
            self.load()[split],
            h.batch_tokens,
            h.seed,
            shuffle=shuffle,
            rank=rank,
            world=world,
            tokenizer=self.tokenizer,
            subword_alpha=subword_alpha,
        )
