"""The splits train, val and test: their names, and how missing ones are cut from train."""

import re

import numpy as np
from datasets import Dataset

from data.batching import column

SPLITS = ("train", "val", "test")
WORDS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev", "newsdev"),
    "test": ("test", "tst", "newstest", "devtest"),
}
SPLIT_OF_WORD = {word: split for split, words in WORDS.items() for word in words}
MAX_CUT = 2000  # most source sentences that are moved from train to a missing split
CUT_FRACTION = 20  # at most one source sentence in so many is moved


def split_of(word: str) -> str | None:
    """Return the split that a word denotes (`validation` -> `val`), or None."""
    return SPLIT_OF_WORD.get(word)


def split_in(name: str) -> str | None:
    """Return the split that a file name mentions (`newstest2014-fren` -> `test`, `train-00000` -> `train`), or None.

    The first word that denotes a split counts; words are runs of letters.
    """
    return next((split for word in re.findall("[a-z]+", name.lower()) if (split := split_of(word))), None)


def is_in(values: np.ndarray, sorted_set: np.ndarray) -> np.ndarray:
    """Return for each value (N,) whether it occurs in a sorted array.

    `np.isin` gives the same result but sorts all N values.
    """
    if not len(sorted_set):
        return np.zeros(len(values), dtype=bool)
    positions = np.searchsorted(sorted_set, values).clip(max=len(sorted_set) - 1)
    return sorted_set[positions] == values


def cut_missing(splits: dict[str, Dataset], seed: int) -> str | None:
    """Move source sentences, with all their pairs, from train to each missing split; `splits` is changed in place.

    Args:
        splits: train, and val or test or both or none, each with the column src_hash.
        seed: of the choice.

    Returns:
        What was done, in one sentence; None if no split is missing.
    """
    missing = [split for split in ("val", "test") if split not in splits]
    if not missing:
        return None
    train = splits["train"]
    sources = column(train, "src_hash")
    distinct = np.random.default_rng(seed).permutation(np.unique(sources))
    size = min(MAX_CUT, len(distinct) // CUT_FRACTION)
    for i, split in enumerate(missing):
        chosen = np.sort(distinct[i * size : (i + 1) * size])
        splits[split] = train.select(np.flatnonzero(is_in(sources, chosen)))
    moved = np.sort(distinct[: len(missing) * size])
    splits["train"] = train.select(np.flatnonzero(~is_in(sources, moved)))
    sizes = ", ".join(f"{split} {len(splits[split]):,}" for split in ("train", *missing))
    return f"no {' and no '.join(missing)} split given: cut from train by source sentence with seed {seed} ({sizes})"
