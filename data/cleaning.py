"""Cleaning of sentence pairs: normalised text, and a counted reason for each pair that is left out."""

from enum import IntEnum
from hashlib import blake2b
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict

from constants import MAX_TOKENS
from data import cache
from data.batching import column
from data.splits import SPLITS, cut_missing, is_in
from data.tokenizer import normalise
from errors import UserError

LENGTH_OFFSET = 10  # characters added to both sides before their ratio is taken, so that short phrases may differ
PARALLEL_ROWS = 20_000  # from so many rows on, the start of several processes takes less time than they save

Columns = dict[str, list[Any]]


class DropReason(IntEnum):
    """Why a pair is left out of a split; NONE if it is kept."""

    NONE = 0
    EMPTY_SIDE = 1
    TOO_MANY_WORDS = 2
    LENGTH_RATIO = 3
    DUPLICATE = 4
    HELD_OUT = 5
    TOO_MANY_TOKENS = 6


DESCRIPTIONS = {
    DropReason.EMPTY_SIDE: "with an empty side",
    DropReason.TOO_MANY_WORDS: "over data.max_words",
    DropReason.LENGTH_RATIO: "over data.max_ratio",
    DropReason.DUPLICATE: "duplicate",
    DropReason.HELD_OUT: "also in val or test",
    DropReason.TOO_MANY_TOKENS: f"over {MAX_TOKENS:,} tokens",
}


def text_hash(text: str) -> int:
    """Return a hash of 63 bits that is the same in every process."""
    return int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()) >> 1


def drop_reason(src: str, tgt: str, max_words: int, max_ratio: float) -> DropReason:
    """Return why a normalised pair is left out, as far as the pair alone tells."""
    if not src or not tgt:
        return DropReason.EMPTY_SIDE
    if max(src.count(" "), tgt.count(" ")) + 1 > max_words:
        return DropReason.TOO_MANY_WORDS
    shorter, longer = sorted((len(src) + LENGTH_OFFSET, len(tgt) + LENGTH_OFFSET))
    return DropReason.LENGTH_RATIO if longer > max_ratio * shorter else DropReason.NONE


def examine(rows: Columns, max_words: int, max_ratio: float, stamp: str = "") -> Columns:
    """Return the pairs normalised, with a `DropReason` and hashes of source and pair.

    Args:
        rows: columns src and tgt; None counts as empty.
        max_words, max_ratio: see `clean`.
        stamp: part of the cache key; it changes no pair.

    Raises:
        UserError: if a sentence is not text.
    """
    for text in (text for side in ("src", "tgt") for text in rows[side]):
        if not isinstance(text, str | None):
            raise UserError(f"a sentence of the corpus is {text!r}, which is not text")
    src = [normalise(text or "") for text in rows["src"]]
    tgt = [normalise(text or "") for text in rows["tgt"]]
    pairs = list(zip(src, tgt, strict=True))
    return {
        "src": src,
        "tgt": tgt,
        "reason": [drop_reason(s, t, max_words, max_ratio) for s, t in pairs],
        "src_hash": [text_hash(s) for s in src],
        "pair_hash": [text_hash(f"{s}\n{t}") for s, t in pairs],
    }


def mark_repeated(
    reason: np.ndarray, pairs: np.ndarray, held_out: np.ndarray, keep_duplicates: bool = False
) -> np.ndarray:
    """Return the drop reasons (N,) with DUPLICATE and HELD_OUT added.

    Args:
        reason: drop reasons by `examine` (N,).
        pairs: hashes of the training pairs (N,).
        held_out: hashes of the pairs of val and test, sorted.
        keep_duplicates: mark HELD_OUT only.
    """
    if not keep_duplicates:
        first = np.zeros(len(pairs), dtype=bool)
        first[np.unique(pairs, return_index=True)[1]] = True
        reason = np.where((reason == DropReason.NONE) & ~first, DropReason.DUPLICATE, reason)
    return np.where((reason == DropReason.NONE) & is_in(pairs, held_out), DropReason.HELD_OUT, reason)


def count_reasons(reason: np.ndarray) -> np.ndarray:
    """Return the number of pairs for each `DropReason`, NONE first."""
    return np.bincount(reason, minlength=len(DropReason))


def summary(split: str, counts: np.ndarray) -> str:
    """Return a sentence on what was kept and what was left out.

    Args:
        counts: number of pairs for each `DropReason`, see `count_reasons`.
    """
    dropped = [f"{counts[reason]:,} {text}" for reason, text in DESCRIPTIONS.items() if counts[reason]]
    kept = counts[DropReason.NONE]
    return f"{split}: {counts.sum():,} pairs read, {kept:,} kept; left out: {', '.join(dropped) or 'none'}"


def clean(
    splits: dict[str, Dataset],
    path: str,
    max_words: int,
    max_ratio: float,
    seed: int,
    num_proc: int,
    keep_duplicates: bool = False,
) -> tuple[DatasetDict, list[str]]:
    """Leave out pairs that training cannot use, and cut missing splits from train.

    Only train loses long pairs, pairs of very different lengths and duplicates. Val and test lose only pairs with an
    empty side, so that scores are of all sentences that the user gave.

    Args:
        splits: columns src and tgt by split.
        path: name of the corpus in messages.
        max_words: most words of a training sentence.
        max_ratio: largest ratio of characters between the sides, `LENGTH_OFFSET` added to each.
        seed: of the missing splits.
        num_proc: processes that share the work.
        keep_duplicates: keep training pairs that occur several times; their number is then their weight.

    Returns:
        The splits train, val and test with the column pair_hash added, and a sentence for each thing done.

    Raises:
        UserError: if nothing is left of a split.
    """
    report: list[str] = []
    # The stamp is part of the cache key of this step, and by it of all that follow.
    settings = {"max_words": max_words, "max_ratio": max_ratio, "stamp": cache.code_stamp()}
    examined = {
        split: ds.map(
            examine,
            batched=True,
            num_proc=num_proc if len(ds) > PARALLEL_ROWS else None,
            fn_kwargs=settings,
            desc=f"cleaning {split}",
        )
        for split, ds in splits.items()
    }
    given = [column(ds, "pair_hash") for split, ds in examined.items() if split != "train"]
    held_out = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *given]))
    kept = {}
    for split, ds in examined.items():
        reason = column(ds, "reason")
        if split == "train":
            reason = mark_repeated(reason, column(ds, "pair_hash"), held_out, keep_duplicates)
        else:
            reason = np.where(reason == DropReason.EMPTY_SIDE, reason, DropReason.NONE)
        kept[split] = ds.select(np.flatnonzero(reason == DropReason.NONE))
        report.append(summary(split, count_reasons(reason)))
    if "train" in kept and (done := cut_missing(kept, seed)):
        report.append(done)
    for split in SPLITS:
        if split not in kept or not len(kept[split]):
            raise UserError(f"data.path {path}: the {split} split is empty ({'; '.join(report)})")
    return DatasetDict({split: kept[split].remove_columns(["reason", "src_hash"]) for split in SPLITS}), report


def held_out_hashes(splits: DatasetDict, given: set[str]) -> np.ndarray:
    """Return sorted hashes of what a stream must leave out of training.

    Args:
        splits: val and test.
        given: splits that the corpus holds: their pairs are left out. The others were cut from the beginning of the
            stream: all pairs with their source sentences are left out.
    """
    rows = ((split, row) for split in ("val", "test") for row in splits[split])
    return np.sort([text_hash(f"{row['src']}\n{row['tgt']}" if split in given else row["src"]) for split, row in rows])


def clean_block(
    rows: Columns, max_words: int, max_ratio: float, held_out: np.ndarray, keep_duplicates: bool = False
) -> tuple[dict[str, list[str]], np.ndarray]:
    """Clean a block of a stream by the rules that `clean` applies to train.

    Args:
        rows: columns src and tgt of N pairs.
        max_words, max_ratio, keep_duplicates: see `clean`.
        held_out: see `held_out_hashes`.

    Returns:
        Columns src and tgt of the pairs kept, and the drop reasons (N,).
    """
    examined = examine(rows, max_words, max_ratio)
    reason = mark_repeated(np.array(examined["reason"]), np.array(examined["pair_hash"]), held_out, keep_duplicates)
    source_held_out = is_in(np.array(examined["src_hash"]), held_out)
    reason = np.where((reason == DropReason.NONE) & source_held_out, DropReason.HELD_OUT, reason)
    kept = np.flatnonzero(reason == DropReason.NONE)
    return {side: [examined[side][i] for i in kept] for side in ("src", "tgt")}, reason
