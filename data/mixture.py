"""Several corpora as one: their names, their weights, and no pair of one in training that another holds out."""

from collections.abc import Sequence
from pathlib import PurePath

import numpy as np
from datasets import Dataset, DatasetDict, concatenate_datasets

from data.batching import column
from data.splits import is_in
from errors import UserError


def corpus_names(paths: Sequence[str]) -> list[str]:
    """Return a short name for each corpus, by which scores are reported: the last part of its path, without endings.

    Raises:
        UserError: if two corpora would have the same name.
    """
    names = [PurePath(path).name.split(".")[0] or path for path in paths]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise UserError(
                f"data.path: two corpora are called {name!r}: rename a folder, so that scores tell them apart"
            )
    return names


def leave_out_held_out(corpora: dict[str, DatasetDict]) -> list[str]:
    """Remove from the training split of each corpus the pairs that are in val or test of another; in place.

    Args:
        corpora: splits with the column pair_hash, by name.

    Returns:
        A sentence for each corpus that lost pairs.

    Raises:
        UserError: if nothing is left.
    """
    report = []
    held_out = {
        name: np.concatenate([column(splits[split], "pair_hash") for split in ("val", "test")])
        for name, splits in corpora.items()
    }
    for name, splits in corpora.items():
        others = [hashes for other, hashes in held_out.items() if other != name]
        train = splits["train"]
        found = is_in(column(train, "pair_hash"), np.sort(np.concatenate([np.empty(0, dtype=np.int64), *others])))
        if found.all():
            raise UserError(f"data.path: every training pair of {name} is in val or test of another corpus")
        if found.any():
            splits["train"] = train.select(np.flatnonzero(~found))
            n = np.count_nonzero(found)
            report.append(f"{name}: {n:,} of {len(train):,} training pairs left out, in val or test of another corpus")
    return report


def repeated(corpora: dict[str, DatasetDict], weights: dict[str, int]) -> Dataset:
    """Return the training pairs of all corpora, each as often as the weight of its corpus says."""
    parts = [corpora[name]["train"] for name, weight in weights.items() for _ in range(weight)]
    return concatenate_datasets(parts) if len(parts) > 1 else parts[0]
