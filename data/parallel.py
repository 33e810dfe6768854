"""Reader of parallel files: line N of one file is the translation of line N of the other."""

import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from datasets import Dataset, IterableDataset

from data import cache
from data.files import CorpusFile
from data.splits import SPLITS, split_in, split_of
from errors import UserError

logger = logging.getLogger(__name__)

LINES_PER_SHARD = 50_000  # several processes read different shards of a file; a stream shuffles the shards


class FilePair(NamedTuple):
    """Two parallel files; their stem is what their names have in common before the language (`train`)."""

    stem: str
    source: CorpusFile
    target: CorpusFile


class Shard(NamedTuple):
    """Lines of two parallel files, by the byte offset of the first."""

    source: Path
    target: Path
    source_start: int
    target_start: int


def pair_up(files: list[CorpusFile], source_lang: str, target_lang: str) -> tuple[list[FilePair], list[str]]:
    """Return the pairs of files that differ only in the language at the end, and a sentence on each file without one.

    Args:
        files: of one folder. If a file exists plain and compressed, the plain one counts.
        source_lang, target_lang: endings.

    Raises:
        UserError: a file that is named exactly as a split (`train.fr`) has no counterpart.
    """
    by_stem: dict[str, dict[str, CorpusFile]] = {}
    for file in sorted(files, key=lambda file: file.path.name != file.plain_name):  # plain files first
        stem, _, lang = file.plain_name.rpartition(".")
        if stem and lang in (source_lang, target_lang):
            by_stem.setdefault(stem, {}).setdefault(lang, file)
    pairs, incomplete = [], []
    for stem, sides in sorted(by_stem.items()):
        if len(sides) == 2:
            pairs.append(FilePair(stem, sides[source_lang], sides[target_lang]))
        else:
            (lang, file), other = next(iter(sides.items())), target_lang if source_lang in sides else source_lang
            missing = Path(file.name).with_name(f"{stem}.{other}")
            incomplete.append(f"{file.name} has no counterpart: {missing} is missing")
            if split_of(stem):
                raise UserError(incomplete[-1])
    return pairs, incomplete


def pairs_by_split(pairs: list[FilePair]) -> dict[str, list[FilePair]]:
    """Return the pairs of files of each split, and log where names leave a choice.

    For each split, files named exactly so (`train.fr`) count; without any, all whose names mention it
    (`newstest2014-fren.fr`). If no name mentions train, files that mention no split are train.
    """
    by_split: dict[str, list[FilePair]] = {}
    for split in SPLITS:
        exact = [pair for pair in pairs if split_of(pair.stem) == split]
        mentioned = [pair for pair in pairs if split_in(pair.stem) == split]
        if exact or mentioned:
            by_split[split] = exact or mentioned
    unnamed = [pair for pair in pairs if not split_in(pair.stem)]
    if unnamed and "train" not in by_split:
        by_split = {"train": unnamed} | by_split
    for split, chosen in by_split.items():
        if [pair.stem for pair in chosen] != [split]:
            logger.info(f"{split}: read from {', '.join(pair.source.plain_name for pair in chosen)}")
    ignored = [pair.source.plain_name for pair in pairs if not any(pair in chosen for chosen in by_split.values())]
    if ignored:
        logger.info(f"not read: {', '.join(ignored)}")
    return by_split


def read_parallel(pairs: list[FilePair], num_proc: int, *, streaming: bool) -> Dataset | IterableDataset:
    """Return the sentence pairs of parallel files, one pair of files after the other, as columns src and tgt.

    Raises:
        UserError: if files are empty, not UTF-8, or of different numbers of lines.
    """
    shards = []
    for _, source, target in pairs:
        source_path, target_path = source.unpack(), target.unpack()
        source_starts, n_source = scan_lines(source_path, source.name)
        target_starts, n_target = scan_lines(target_path, target.name)
        if n_source != n_target:
            raise UserError(
                f"{source.name} has {n_source} lines but {target.name} has {n_target}: they must correspond line by "
                "line"
            )
        if not n_source:
            raise UserError(f"{source.name} is empty")
        starts = zip(source_starts, target_starts, strict=True)
        shards += [Shard(source_path, target_path, *offsets) for offsets in starts]
    # The stamp is part of the cache key: a file that has changed must not be read from the cache.
    changed = [path.stat().st_mtime_ns for shard in shards for path in (shard.source, shard.target)]
    options = {"shards": shards, "stamp": f"{cache.code_stamp()} {changed}"}
    if streaming:
        return IterableDataset.from_generator(read_shards, gen_kwargs=options)
    n_readers = min(num_proc, len(shards))
    return Dataset.from_generator(read_shards, gen_kwargs=options, num_proc=n_readers if n_readers > 1 else None)


def scan_lines(path: Path, name: str) -> tuple[list[int], int]:
    """Return the byte offset of each shard of `LINES_PER_SHARD` lines, and the number of lines.

    Args:
        path: the file.
        name: the file in messages.

    Raises:
        UserError: at the first line that is not UTF-8.
    """
    starts, offset, n_lines = [], 0, 0
    with path.open("rb") as file:
        while lines := list(islice(file, LINES_PER_SHARD)):
            shard = b"".join(lines)
            try:
                shard.decode()
                bad = shard.find(b"\0")  # frequent in UTF-16, absent from text in UTF-8
                reason = "zero byte"
            except UnicodeDecodeError as error:
                bad, reason = error.start, error.reason
            if bad >= 0:
                line = n_lines + shard[:bad].count(b"\n") + 1
                raise UserError(f"{name}, line {line}: not UTF-8 ({reason}); convert the file first")
            starts.append(offset)
            offset, n_lines = offset + len(shard), n_lines + len(lines)
    return starts, n_lines


def read_shards(shards: list[Shard], stamp: str) -> Iterator[dict[str, str]]:
    """Yield the pairs of some shards; a line ends at LF and at no other character.

    Args:
        shards: lines of files.
        stamp: part of the cache key; it changes no pair.
    """
    for shard in shards:
        with shard.source.open("rb") as source_file, shard.target.open("rb") as target_file:
            source_file.seek(shard.source_start)
            target_file.seek(shard.target_start)
            source_lines, target_lines = islice(source_file, LINES_PER_SHARD), islice(target_file, LINES_PER_SHARD)
            for src, tgt in zip(source_lines, target_lines, strict=True):
                yield {"src": src.decode("utf-8-sig"), "tgt": tgt.decode("utf-8-sig")}  # without a byte-order mark
