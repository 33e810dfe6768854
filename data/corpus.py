"""Sentence pairs from any source: read, cleaned, split, and every pair left out counted."""

import csv
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from datasets import Dataset, DatasetDict, IterableDataset, load_dataset

from data import phrasebook
from data.tokenizer import normalise
from errors import UserError

SPLITS = ("train", "val", "test")
ALIASES = {"validation": "val", "valid": "val", "dev": "val"}
TABLES = {".tsv": "csv", ".csv": "csv", ".jsonl": "json", ".json": "json", ".parquet": "parquet"}
TSV = {"sep": "\t", "quoting": csv.QUOTE_NONE}
TEXT = {"keep_default_na": False}  # "None" and "NA" are sentences, not missing values
REASONS = ("empty side", "over-long", "wild length ratio", "duplicate", "also in val or test")
PART = 50_000  # lines that one process reads at a time

Rows: TypeAlias = Dataset | IterableDataset


def load_pairs(
    path: str, subset: str | None, source_lang: str, target_lang: str, seed: int, num_proc: int, *, streaming: bool
) -> dict[str, Rows]:
    """Read the splits that exist, as columns `src` and `tgt` (the phrasebook has more).

    Args:
        path: `phrasebook`, a folder, a file, or a Hub data set (`org/name`).
        subset: configuration of a Hub data set (`en-fr`).
        source_lang, target_lang: language codes: file endings, or columns.
        seed: of the phrasebook.
        num_proc: processes that read parallel files.
        streaming: read the rows whenever they are asked for, and copy nothing to the disk.

    Raises:
        UserError: what is missing, misaligned or unreadable, by file and line.
    """
    if source_lang == target_lang:
        raise UserError(f"data.source_lang and data.target_lang are both {source_lang!r}: a translation needs two")
    if path == "phrasebook":
        if {source_lang, target_lang} != {"fr", "en"}:
            raise UserError(
                f"the phrasebook speaks fr and en, not {source_lang} and {target_lang}: set data.path to a corpus of "
                "yours, or leave data.source_lang and data.target_lang"
            )
        book = phrasebook.load(source_lang, target_lang, seed)
        return {split: ds.to_iterable_dataset() if streaming else ds for split, ds in book.items()}
    where = Path(path).expanduser()
    texts = parallel_files(where, source_lang, target_lang)
    if texts:
        return {split: read_parallel(*sides, num_proc, streaming=streaming) for split, sides in texts.items()}
    with readable(path):
        found = load_tables(where, path, subset, streaming=streaming)
        return {split: pick_columns(ds, path, source_lang, target_lang) for split, ds in found.items()}


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


def read_parallel(source: Path, target: Path, num_proc: int, *, streaming: bool) -> Rows:
    """Read two files, line N of one the translation of line N of the other."""
    (at, n), (target_at, n_target) = (find_parts(path) for path in (source, target))
    if n != n_target:
        raise UserError(f"{source} has {n} lines but {target} has {n_target}: they must correspond line by line")
    if not n:
        raise UserError(f"{source} is empty")
    # A changed file must not be read from the cache.
    stamp = str([code_stamp(), *(path.stat().st_mtime_ns for path in (source, target))])
    files = {"source": source, "target": target, "parts": list(zip(at, target_at, strict=True)), "stamp": stamp}
    if streaming:
        return IterableDataset.from_generator(pair_lines, gen_kwargs=files)
    processes = min(num_proc, len(at))
    return Dataset.from_generator(pair_lines, gen_kwargs=files, num_proc=processes if processes > 1 else None)


def find_parts(path: Path) -> tuple[list[int], int]:
    """Find the bytes at which parts of 50,000 lines begin, and the number of lines; all of it must be UTF-8."""
    starts, at, n = [], 0, 0
    with path.open("rb") as file:
        while lines := list(islice(file, PART)):
            part = b"".join(lines)
            try:
                part.decode()
                bad = part.find(b"\0")  # what UTF-16 looks like, and no text has
                reason = "zero byte"
            except UnicodeDecodeError as error:
                bad, reason = error.start, error.reason
            if bad >= 0:
                line = n + part[:bad].count(b"\n") + 1
                raise UserError(f"{path}, line {line}: not UTF-8 ({reason}); convert the file first")
            starts.append(at)
            at, n = at + len(part), n + len(lines)
    return starts, n


def pair_lines(source: Path, target: Path, parts: list[tuple[int, int]], stamp: str) -> Iterator[dict[str, str]]:
    """Yield the pairs of parts of two parallel files; a line ends at LF and nowhere else."""
    with source.open("rb") as left, target.open("rb") as right:
        for src_start, tgt_start in parts:
            left.seek(src_start)
            right.seek(tgt_start)
            for src, tgt in zip(islice(left, PART), islice(right, PART), strict=True):
                yield {"src": src.decode("utf-8-sig"), "tgt": tgt.decode("utf-8-sig")}  # without a byte-order mark


def load_tables(where: Path, path: str, subset: str | None, *, streaming: bool) -> dict[str, Rows]:
    """Read TSV, CSV, JSON lines or Parquet, from disk or from the Hub, by split."""
    load: dict[str, Any]
    if where.is_file() or where.is_dir():
        by_split = find_tables(where, path, subset)
        kind = next(iter(by_split.values()))[0].suffix
        for file in (file for files in by_split.values() for file in files if kind != ".parquet"):
            find_parts(file)  # only to find what is not UTF-8
        load = {"path": TABLES[kind], "data_files": {split: [str(f) for f in fs] for split, fs in by_split.items()}}
        if TABLES[kind] == "csv":
            load |= TEXT | (TSV if kind == ".tsv" else {})
    elif "/" in path and len(where.parts) == 2 and not where.is_absolute():
        load = {"path": path, "name": subset}
    else:
        raise UserError(f"data.path {path}: no such file or folder")
    found = load_dataset(**load, streaming=streaming)
    return {ALIASES.get(split, split): ds for split, ds in found.items() if ALIASES.get(split, split) in SPLITS}


def find_tables(where: Path, path: str, subset: str | None) -> dict[str, list[Path]]:
    """Find the tables of each split: a file, or files named by split, or in folders named by split (as on the Hub)."""
    if where.is_file():
        files = [where]
    else:
        inside = [f for f in sorted(where.rglob("*")) if f.suffix in TABLES and f.name != "dataset_infos.json"]
        files = [f for f in inside if subset is None or subset in f.relative_to(where).parts[:-1]]
    kinds = {f.suffix for f in files}
    if len(kinds) != 1 or not kinds <= set(TABLES):
        raise UserError(
            f"{path} holds no corpus: expected train.fr + train.en (by data.source_lang and data.target_lang) or "
            f"files of one of the kinds {', '.join(TABLES)}" + (f" under {subset}/" if subset else "")
        )
    by_split: dict[str, list[Path]] = {}
    folders: dict[str, set[Path]] = {}
    for file in files:
        names = [name.split("-")[0].split(".")[0] for name in (file.name, file.parent.name)]
        known = [ALIASES.get(name, name) for name in names if ALIASES.get(name, name) in SPLITS]
        if len(files) > 1 and not known:
            raise UserError(f"{file}: the name of a file must begin with its split (train, val or test)")
        split = known[0] if len(files) > 1 else "train"
        by_split.setdefault(split, []).append(file)
        folders.setdefault(split, set()).add(file.parent)
    for split, several in folders.items():
        if len(several) > 1:
            raise UserError(
                f"{path} has several folders of {split}: {', '.join(sorted(map(str, several)))}; choose by data.subset"
            )
    return by_split


@contextmanager
def readable(path: str) -> Iterator[None]:
    """Say in one sentence what a parser stumbled over; those of `datasets` raise whatever they like."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        where = Path(path).expanduser()
        for file in sorted([where, *where.rglob("*")]):
            if file.is_file() and TABLES.get(file.suffix) in ("csv", "json"):
                check_table(file)
        cause: BaseException = error
        while cause.__cause__ or cause.__context__:
            cause = cause.__cause__ or cause.__context__ or cause
        raise UserError(f"data.path {path} cannot be read: {' '.join(str(cause).split())}") from error


def check_table(path: Path) -> None:
    """Raise UserError at the first line that cannot be parsed; `datasets` names no file, and counts JSON in blocks."""
    if path.suffix == ".jsonl":
        with path.open("rb") as lines:
            for n, line in enumerate(lines, 1):
                try:
                    json.loads(line)
                except json.JSONDecodeError as error:
                    raise UserError(f"{path}, line {n}: not JSON ({error.msg})") from None
    elif path.suffix != ".json":
        try:
            for _ in pd.read_csv(path, dtype=str, chunksize=PART, **(TSV if path.suffix == ".tsv" else {})):
                pass
        except ValueError as error:
            raise UserError(f"{path}: {' '.join(str(error).split())}") from None


def pick_columns(ds: Rows, path: str, source_lang: str, target_lang: str) -> Rows:
    """Reduce a table to `src` and `tgt`: from a `translation` column of language codes, or from two columns."""
    names = names_of(ds)
    if not names:
        raise UserError(f"data.path {path} has no rows")
    if "translation" in names and isinstance(ds, Dataset):
        ds = ds.select_columns(["translation"]).flatten()
        ds = ds.rename_columns({name: name.removeprefix("translation.") for name in ds.column_names})
    elif "translation" in names:
        ds = ds.map(itemgetter("translation"), remove_columns=names)
    for lang in (source_lang, target_lang):
        if lang not in names_of(ds):
            raise UserError(f"data.path {path} has no column {lang!r}, only {', '.join(names_of(ds))}")
    return ds.select_columns([source_lang, target_lang]).rename_columns({source_lang: "src", target_lang: "tgt"})


def names_of(ds: Rows) -> list[str]:
    """Name the columns; a stream may know them only by its first row."""
    return ds.column_names or list(next(iter(ds), {}))


def fingerprint(text: str) -> int:
    """Stand for a text in 63 bits, the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()) >> 1


def code_stamp() -> str:
    """Stand for the code of this room: whoever changes it must not be given what the cache holds of yesterday's."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def inspect(rows: dict[str, list[Any]], max_words: int, max_ratio: float, stamp: str = "") -> dict[str, list[Any]]:
    """Normalise a batch of pairs and say of each why it should be left out (index into REASONS, or -1).

    The stamp changes no pair, only the name under which the cache keeps them.
    """
    for text in (text for side in ("src", "tgt") for text in rows[side]):
        if not isinstance(text, str | None):
            raise UserError(f"a sentence of the corpus is {text!r}, which is no text")
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


def column(ds: Dataset, name: str) -> np.ndarray:
    """Return numbers of a column in their own width."""
    return ds.select_columns([name]).with_format("arrow")[:][name].to_numpy()


def is_in(values: np.ndarray, some: np.ndarray) -> np.ndarray:
    """Say of each value whether it is one of some sorted ones; `np.isin` would sort all values."""
    if not len(some):
        return np.zeros(len(values), dtype=bool)
    return some[np.searchsorted(some, values).clip(max=len(some) - 1)] == values


def leave_out(reason: np.ndarray, pairs: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Mark, beside what `inspect` found, pairs that were seen before or that val or test hold.

    Args:
        reason: what `inspect` says of each training pair.
        pairs: fingerprint of each.
        held_out: fingerprints of val and test, sorted.
    """
    first = np.zeros(len(pairs), dtype=bool)
    first[np.unique(pairs, return_index=True)[1]] = True
    reason = np.where((reason < 0) & ~first, 3, reason)
    return np.where((reason < 0) & is_in(pairs, held_out), 4, reason)


def summary(split: str, counts: np.ndarray) -> str:
    """Say how many pairs were left out and why.  Args: counts, pairs kept, then pairs for each of REASONS."""
    dropped = [f"{n:,} {name}" for name, n in zip(REASONS, counts[1:], strict=True) if n]
    return f"{split}: {counts.sum():,} pairs read, {', '.join(dropped) or 'none'} left out, {counts[0]:,} kept"


def count(reason: np.ndarray) -> np.ndarray:
    """Count the pairs kept, and those of each of REASONS."""
    return np.bincount(reason + 1, minlength=len(REASONS) + 1)


def clean(
    splits: dict[str, Dataset], path: str, max_words: int, max_ratio: float, seed: int, num_proc: int
) -> tuple[DatasetDict, list[str]]:
    """Leave out what cannot be learned from, cut missing splits from train, and report both.

    Only train loses over-long pairs, wild ratios and duplicates: val and test are scored whole, but for empty sides.
    Lengths are words; a ratio compares characters, ten added to each side so that short phrases may differ.

    Returns:
        The splits train, val and test, and one sentence for each thing done.

    Raises:
        UserError: if nothing is left of a split.
    """
    report: list[str] = []
    stamp = code_stamp()  # what is made of these rows has it in its name, too
    looked = {
        split: ds.map(
            inspect,
            batched=True,
            num_proc=num_proc if len(ds) > 20_000 else None,
            fn_kwargs={"max_words": max_words, "max_ratio": max_ratio, "stamp": stamp},
            desc=f"cleaning {split}",
        )
        for split, ds in splits.items()
    }
    scored = [column(ds, "pair_hash") for split, ds in looked.items() if split != "train"]
    held_out = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *scored]))
    kept = {}
    for split, ds in looked.items():
        reason = column(ds, "reason")
        if split == "train":
            reason = leave_out(reason, column(ds, "pair_hash"), held_out)
        else:
            reason = np.where(reason > 0, -1, reason)
        kept[split] = ds.select(np.flatnonzero(reason < 0))
        report.append(summary(split, count(reason)))
    if "train" in kept:
        missing = [split for split in ("val", "test") if split not in kept]
        if missing:
            report.append(cut_splits(kept, missing, seed))
    for split in SPLITS:
        if split not in kept or not len(kept[split]):
            raise UserError(f"data.path {path}: the {split} split is empty ({'; '.join(report)})")
    return DatasetDict({s: kept[s].remove_columns(["reason", "pair_hash", "src_hash"]) for s in SPLITS}), report


def fingerprints_held_out(splits: DatasetDict, given: set[str]) -> np.ndarray:
    """Stand for what a stream must not train on: pairs of val and test as given, all sources of what was cut for them.

    Returns:
        Fingerprints, sorted.
    """
    rows = ((split, row) for split in ("val", "test") for row in splits[split])
    return np.sort([fingerprint(f"{r['src']}\n{r['tgt']}" if split in given else r["src"]) for split, r in rows])


def clean_block(
    rows: dict[str, list[str]], max_words: int, max_ratio: float, held_out: np.ndarray
) -> tuple[dict[str, list[str]], np.ndarray]:
    """Clean a block of a stream as `clean` does train.

    Args:
        rows: columns src and tgt.
        max_words, max_ratio: see `clean`.
        held_out: sorted fingerprints of pairs given for val and test, and of sources that were cut for them.

    Returns:
        The pairs kept, and for each of all pairs why it was left out (index into REASONS, or -1).
    """
    looked = inspect(rows, max_words, max_ratio)
    reason = leave_out(np.array(looked["reason"]), np.array(looked["pair_hash"]), held_out)
    reason = np.where((reason < 0) & is_in(np.array(looked["src_hash"]), held_out), 4, reason)
    kept = np.flatnonzero(reason < 0)
    return {side: [looked[side][i] for i in kept] for side in ("src", "tgt")}, reason


def cut_splits(kept: dict[str, Dataset], missing: list[str], seed: int) -> str:
    """Move at most 2,000 source sentences, or a twentieth, from train to each missing split, with all their pairs."""
    train = kept["train"]
    sources = column(train, "src_hash")
    distinct = np.random.default_rng(seed).permutation(np.unique(sources))
    size = min(2000, len(distinct) // 20)
    for i, split in enumerate(missing):
        kept[split] = train.select(np.flatnonzero(is_in(sources, np.sort(distinct[i * size : (i + 1) * size]))))
    kept["train"] = train.select(np.flatnonzero(~is_in(sources, np.sort(distinct[: len(missing) * size]))))
    sizes = ", ".join(f"{split} {len(kept[split]):,}" for split in ("train", *missing))
    return f"no {' and no '.join(missing)} split given: cut from train by source sentence with seed {seed} ({sizes})"


def both_sides(train: Dataset) -> Iterator[str]:
    """Yield the sentences of both languages, in batches from disk."""
    for rows in train.select_columns(["src", "tgt"]).iter(1000):
        yield from rows["src"]
        yield from rows["tgt"]
