"""Reader of parallel files: line N of one file is the translation of line N of the other."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from datasets import Dataset, IterableDataset

from data import cache
from data.splits import ALIASES, SPLITS, split_of
from errors import UserError

LINES_PER_SHARD = 50_000  # several processes read different shards of a file; a stream shuffles the shards


def find_parallel(where: Path, source_lang: str, target_lang: str) -> dict[str, tuple[Path, Path]]:
    """Return source and target file by split.

    Args:
        where: a folder with `train.fr`, `train.en` and the same for other splits; or one of two such files; or their
            common path without the ending.
        source_lang, target_lang: endings.

    Raises:
        UserError: if a file has no counterpart.
    """
    if where.is_dir():
        stems = [where / name for name in (*SPLITS, *ALIASES)]
    else:
        stems = [where.with_suffix("") if where.suffix[1:] in (source_lang, target_lang) else where]
    found = {}
    for stem in stems:
        sides = [stem.with_name(f"{stem.name}.{lang}") for lang in (source_lang, target_lang)]
        present = [side for side in sides if side.is_file()]
        if len(present) == 1:
            missing = next(side for side in sides if side not in present)
            raise UserError(f"{present[0]} has no counterpart: {missing} is missing")
        if present:
            split = (where.is_dir() and split_of(stem.name)) or "train"
            found[split] = (sides[0], sides[1])
    return found


def read_parallel(source: Path, target: Path, num_proc: int, *, streaming: bool) -> Dataset | IterableDataset:
    """Return the pairs of two files as columns src and tgt.

    Raises:
        UserError: if the files are empty, not UTF-8, or of different numbers of lines.
    """
    (source_starts, n_source), (target_starts, n_target) = scan_lines(source), scan_lines(target)
    if n_source != n_target:
        raise UserError(f"{source} has {n_source} lines but {target} has {n_target}: they must correspond line by line")
    if not n_source:
        raise UserError(f"{source} is empty")
    shards = list(zip(source_starts, target_starts, strict=True))
    # The stamp is part of the cache key: a file that has changed must not be read from the cache.
    stamp = str([cache.code_stamp(), source.stat().st_mtime_ns, target.stat().st_mtime_ns])
    options = {"source": source, "target": target, "shards": shards, "stamp": stamp}
    if streaming:
        return IterableDataset.from_generator(read_shards, gen_kwargs=options)
    n_readers = min(num_proc, len(shards))
    return Dataset.from_generator(read_shards, gen_kwargs=options, num_proc=n_readers if n_readers > 1 else None)


def scan_lines(path: Path) -> tuple[list[int], int]:
    """Return the byte offset of each shard of `LINES_PER_SHARD` lines, and the number of lines.

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
                raise UserError(f"{path}, line {line}: not UTF-8 ({reason}); convert the file first")
            starts.append(offset)
            offset, n_lines = offset + len(shard), n_lines + len(lines)
    return starts, n_lines


def read_shards(source: Path, target: Path, shards: list[tuple[int, int]], stamp: str) -> Iterator[dict[str, str]]:
    """Yield the pairs of some shards; a line ends at LF and at no other character.

    Args:
        shards: byte offsets in source and target.
        stamp: part of the cache key; it changes no pair.
    """
    with source.open("rb") as source_file, target.open("rb") as target_file:
        for source_start, target_start in shards:
            source_file.seek(source_start)
            target_file.seek(target_start)
            source_lines, target_lines = islice(source_file, LINES_PER_SHARD), islice(target_file, LINES_PER_SHARD)
            for src, tgt in zip(source_lines, target_lines, strict=True):
                yield {"src": src.decode("utf-8-sig"), "tgt": tgt.decode("utf-8-sig")}  # without a byte-order mark
