"""Sentence pairs from any source: read, cleaned, split, and every pair left out counted."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict, load_dataset

from data import phrasebook
from data.tokenizer import normalise
from errors import UserError

SPLITS = ("train", "val", "test")
ALIASES = {"validation": "val", "valid": "val", "dev": "val"}
TABLES = {".tsv": "csv", ".csv": "csv", ".jsonl": "json", ".json": "json", ".parquet": "parquet"}
REASONS = ("empty side", "over-long", "wild length ratio", "duplicate", "also in val or test")


def load_pairs(path: str, subset: str | None, source_lang: str, target_lang: str, seed: int) -> DatasetDict:
    """Read the splits that exist, as columns `src` and `tgt` (the phrasebook has more).

    Args:
        path: `phrasebook`, a folder, a file, or a Hub data set (`org/name`).
        subset: configuration of a Hub data set (`en-fr`).
        source_lang, target_lang: language codes: file endings, or columns.

    Raises:
        UserError: what is missing, misaligned or unreadable, by file and line.
    """
    if path == "phrasebook":
        return phrasebook.load(source_lang, target_lang, seed)
    where = Path(path).expanduser()
    texts = parallel_files(where, source_lang, target_lang)
    if texts:
        return DatasetDict({split: read_parallel(*sides) for split, sides in texts.items()})
    found = load_tables(where, path, subset)
    return DatasetDict({split: pick_columns(ds, path, source_lang, target_lang) for split, ds in found.items()})


def parallel_files(where: Path, source_lang: str, target_lang: str) -> dict[str, tuple[Path, Path]]:
    """Find `train.fr` + `train.en` and their like in a folder, or beside a file or a prefix of that name."""
    if where.is_dir():
        stems = {where / name: ALIASES.get(name, name) for name in (*SPLITS, *ALIASES)}
    else:
        stems = {where.with_suffix("") if where.suffix[1:] in (source_lang, target_lang) else where: "train"}
    found = {}
    for stem, split in stems.items():
        sides = [stem.with_name(f"{stem.name}.{lang}") for lang in (source_lang, target_lang)]
        present = [side for side in sides if side.is_file()]
        if len(present) == 1:
            missing = next(side for side in sides if side not in present)
            raise UserError(f"{present[0]} has no partner: {missing} is missing")
        if present:
            found[split] = (sides[0], sides[1])
    return found


def read_parallel(source: Path, target: Path) -> Dataset:
    """Read two files, line N of one the translation of line N of the other, into the memory-mapped cache."""
    counts = [count_lines(path) for path in (source, target)]
    if counts[0] != counts[1]:
        raise UserError(
            f"{source} has {counts[0]} lines but {target} has {counts[1]}: they must correspond line by line"
        )
    if not counts[0]:
        raise UserError(f"{source} is empty")
    stamp = str(
        [path.stat().st_mtime_ns for path in (source, target)]
    )  # a changed file must not be read from the cache
    return Dataset.from_generator(pair_lines, gen_kwargs={"source": source, "target": target, "stamp": stamp})


def count_lines(path: Path) -> int:
    """Count lines and check that they are UTF-8."""
    n = 0
    with path.open("rb") as lines:
        for n, line in enumerate(lines, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                raise UserError(f"{path}, line {n}: not UTF-8 ({error.reason}); convert the file first") from None
    return n


def pair_lines(source: Path, target: Path, stamp: str) -> Iterator[dict[str, str]]:
    """Yield the pairs of two parallel files; a line ends at LF and nowhere else."""
    with source.open("rb") as left, target.open("rb") as right:
        for src, tgt in zip(left, right, strict=True):
            yield {"src": src.decode(), "tgt": tgt.decode()}


def load_tables(where: Path, path: str, subset: str | None) -> dict[str, Dataset]:
    """Read TSV, CSV, JSON lines or Parquet, from disk or from the Hub, by split."""
    options: dict[str, Any] = {}
    if where.is_file() or where.is_dir():
        files = [where] if where.is_file() else sorted(f for f in where.rglob("*") if f.suffix in TABLES)
        files = [f for f in files if subset is None or where.is_file() or subset in f.relative_to(where).parts[:-1]]
        kinds = {f.suffix for f in files}
        if len(kinds) != 1 or not kinds <= set(TABLES):
            raise UserError(
                f"{path} holds no corpus: expected train.fr + train.en (by data.source_lang and data.target_lang) or "
                f"files of one of the kinds {', '.join(TABLES)}" + (f" under {subset}/" if subset else "")
            )
        kind = kinds.pop()
        by_split: dict[str, list[str]] = {}
        for file in files:
            name = file.stem.split("-")[0].split(".")[0]
            split = ALIASES.get(name, name) if len(files) > 1 else "train"
            if split not in SPLITS:
                raise UserError(f"{file}: the name of a file must begin with its split (train, val or test)")
            by_split.setdefault(split, []).append(str(file))
        if kind == ".tsv":
            options = {"delimiter": "\t", "quoting": 3}
        load = {"path": TABLES[kind], "data_files": by_split, **options}
    elif "/" in path and len(where.parts) == 2 and not where.is_absolute():
        load = {"path": path, "name": subset}
    else:
        raise UserError(f"data.path {path}: no such file or folder")
    try:
        found = load_dataset(**load)
    except Exception as error:  # the loaders of `datasets` raise whatever their parsers raise
        raise UserError(f"data.path {path} cannot be read: {str(error).splitlines()[0]}") from error
    return {ALIASES.get(split, split): ds for split, ds in found.items() if ALIASES.get(split, split) in SPLITS}


def pick_columns(ds: Dataset, path: str, source_lang: str, target_lang: str) -> Dataset:
    """Reduce a table to `src` and `tgt`: from a `translation` column of language codes, or from two columns."""
    if "translation" in ds.column_names:
        ds = ds.select_columns(["translation"]).flatten()
        ds = ds.rename_columns({name: name.removeprefix("translation.") for name in ds.column_names})
    for lang in (source_lang, target_lang):
        if lang not in ds.column_names:
            raise UserError(f"data.path {path} has no column {lang!r}, only {', '.join(ds.column_names)}")
    return ds.select_columns([source_lang, target_lang]).rename_columns({source_lang: "src", target_lang: "tgt"})


def fingerprint(text: str) -> int:
    """Stand for a text in 63 bits, the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()) >> 1


def inspect(rows: dict[str, list[Any]], max_words: int, max_ratio: float) -> dict[str, list[Any]]:
    """Normalise a batch of pairs and say of each why it should be left out (index into REASONS, or -1)."""
    src = [normalise(text or "") for text in rows["src"]]
    tgt = [normalise(text or "") for text in rows["tgt"]]
    reasons = []
    for s, t in zip(src, tgt, strict=True):
        if not s or not t:
            reasons.append(0)
        elif max(s.count(" "), t.count(" ")) >= max_words:
            reasons.append(1)
        elif max(len(s) + 10, len(t) + 10) > max_ratio * min(len(s) + 10, len(t) + 10):
            reasons.append(2)
        else:
            reasons.append(-1)
    return {
        "src": src,
        "tgt": tgt,
        "reason": reasons,
        "src_hash": [fingerprint(s) for s in src],
        "pair_hash": [fingerprint(f"{s}\n{t}") for s, t in zip(src, tgt, strict=True)],
    }


def clean(
    splits: DatasetDict, max_words: int, max_ratio: float, seed: int, num_proc: int
) -> tuple[DatasetDict, list[str]]:
    """Leave out what cannot be learned from, cut missing splits from train, and report both.

    Only train loses over-long pairs, wild ratios and duplicates: val and test are scored whole, but for empty sides.
    Lengths are words; a ratio compares characters, ten added to each side so that short phrases may differ.

    Returns:
        The splits train, val and test, and one sentence for each thing done.
    """
    report: list[str] = []
    looked = {}
    for split, ds in splits.items():
        looked[split] = ds.map(
            inspect,
            batched=True,
            num_proc=num_proc if len(ds) > 20_000 else None,
            fn_kwargs={"max_words": max_words, "max_ratio": max_ratio},
            desc=f"cleaning {split}",
        )
    held_out = [np.asarray(ds.with_format("numpy")["pair_hash"][:]) for s, ds in looked.items() if s != "train"]
    kept = {}
    for split, ds in looked.items():
        reason = np.array(ds.with_format("numpy")["reason"][:])
        if split == "train":
            pairs = np.asarray(ds.with_format("numpy")["pair_hash"][:])
            first = np.zeros(len(ds), dtype=bool)
            first[np.unique(pairs, return_index=True)[1]] = True
            reason[(reason < 0) & ~first] = 3
            if held_out:
                reason[(reason < 0) & np.isin(pairs, np.concatenate(held_out))] = 4
        else:
            reason[reason > 0] = -1
        dropped = [f"{(reason == i).sum():,} {name}" for i, name in enumerate(REASONS) if (reason == i).any()]
        kept[split] = ds.select(np.flatnonzero(reason < 0))
        report.append(
            f"{split}: {len(ds):,} pairs read, {', '.join(dropped) or 'none'} left out, {len(kept[split]):,} kept"
        )
    if "train" in kept:
        missing = [split for split in ("val", "test") if split not in kept]
        if missing:
            report.append(cut_splits(kept, missing, seed))
    for split in SPLITS:
        if split not in kept or not len(kept[split]):
            raise UserError(f"the {split} split is empty: {'; '.join(report)}")
    return DatasetDict(
        {split: kept[split].remove_columns(["reason", "pair_hash", "src_hash"]) for split in SPLITS}
    ), report


def cut_splits(kept: dict[str, Dataset], missing: list[str], seed: int) -> str:
    """Move at most 2,000 source sentences, or a twentieth, from train to each missing split, with all their pairs."""
    train = kept["train"]
    sources = np.asarray(train.with_format("numpy")["src_hash"][:])
    distinct = np.random.default_rng(seed).permutation(np.unique(sources))
    size = min(2000, len(distinct) // 20)
    for i, split in enumerate(missing):
        kept[split] = train.select(np.flatnonzero(np.isin(sources, distinct[i * size : (i + 1) * size])))
    kept["train"] = train.select(np.flatnonzero(~np.isin(sources, distinct[: len(missing) * size])))
    sizes = ", ".join(f"{split} {len(kept[split]):,}" for split in ("train", *missing))
    return f"no {' and no '.join(missing)} split given: cut from train by source sentence with seed {seed} ({sizes})"


def both_sides(train: Dataset) -> Iterator[str]:
    """Yield the sentences of both languages, in batches from disk."""
    for rows in train.select_columns(["src", "tgt"]).iter(1000):
        yield from rows["src"]
        yield from rows["tgt"]
