"""Readers of files that hold both languages: TSV and CSV by pandas, JSON lines and Parquet by `datasets`."""

import csv
import json
import logging
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
from datasets import Dataset, IterableDataset, load_dataset

from data import cache
from data.files import CorpusFile
from data.parallel import scan_lines
from data.splits import split_of
from errors import UserError

logger = logging.getLogger(__name__)

SEPARATED = (".tsv", ".csv", ".txt")
BUILDERS = {".jsonl": "json", ".json": "json", ".parquet": "parquet"}  # of `datasets`, by ending
CHUNK = 10_000  # rows that are parsed at a time
MAX_SHOWN = 100  # characters of a row in a message

Rows: TypeAlias = Dataset | IterableDataset


def has_tabs(file: CorpusFile) -> bool:
    """Return whether the first line of a file has a tab, as that of a .txt file that is a table does."""
    with file.unpack().open("rb") as lines:
        return b"\t" in lines.readline()


def parser_options(ending: str) -> dict[str, Any]:
    """Return the arguments of `pandas.read_csv` for the table's format; every field is text, also `NA` and `1`."""
    options: dict[str, Any] = {"dtype": str, "keep_default_na": False, "encoding": "utf-8-sig"}
    return options if ending == ".csv" else options | {"sep": "\t", "quoting": csv.QUOTE_NONE}


def read_separated(
    files: list[CorpusFile], columns: list[str] | None, source_lang: str, target_lang: str, *, streaming: bool
) -> Rows:
    """Return the sentence pairs of TSV and CSV files as columns src and tgt.

    Args:
        files: tables with the languages among the names in their first row, or without a header.
        columns: names of the first columns, in order, of tables without a header.
        source_lang, target_lang: names of columns.
        streaming: see `data.readers.load_pairs`.

    Raises:
        UserError: if a column is missing or a file cannot be parsed.
    """
    tables = []
    for file in files:
        path = file.unpack()
        scan_lines(path, file.name)  # raises where the file is not UTF-8
        names, has_header = name_columns(path, file, columns, source_lang, target_lang)
        tables.append((path, file, names, has_header))
    changed = [path.stat().st_mtime_ns for path, *_ in tables]
    languages = (source_lang, target_lang)  # a tuple: `datasets` would split a list among processes, as it does tables
    options = {"tables": tables, "languages": languages, "stamp": f"{cache.code_stamp()} {changed}"}
    make = IterableDataset.from_generator if streaming else Dataset.from_generator
    return make(read_tables, gen_kwargs=options)


def name_columns(
    path: Path, file: CorpusFile, columns: list[str] | None, source_lang: str, target_lang: str
) -> tuple[list[str], bool]:
    """Return the names of all columns of a table, and whether its first row holds them.

    Raises:
        UserError: if the table has no rows, too few columns, or no column for a language.
    """
    try:
        # A second row that is longer than the first raises here. Later, pandas would take its first field for an index.
        head = pd.read_csv(path, header=None, nrows=2, **parser_options(file.ending)).fillna("")
    except pd.errors.EmptyDataError:
        raise UserError(f"{file.name} has no rows") from None
    except ValueError as error:
        raise UserError(f"{file.name}: {' '.join(str(error).split())}") from None
    first_row = list(head.iloc[0])
    shown = " | ".join(first_row)
    shown = shown if len(shown) <= MAX_SHOWN else shown[:MAX_SHOWN] + "..."
    if columns and len(columns) > len(first_row):
        raise UserError(f"--data.columns names {len(columns)} columns, but the first row of {file.name} is: {shown}")
    names = columns or first_row
    for lang in (source_lang, target_lang):
        if columns and columns.count(lang) != 1:
            raise UserError(f"--data.columns {','.join(columns)} must name the column {lang!r} once")
        if names.count(lang) != 1:
            problem = "more than one" if lang in names else "no"
            raise UserError(
                f"{file.name} has {problem} column {lang!r}; its first row is: {shown}; if that is not a header, name "
                f"the columns in their order, as in --data.columns {source_lang},{target_lang}"
            )
    has_header = first_row[: len(names)] == names
    # Numbers stand for the names of all other columns: those of a header may be empty or repeated.
    unique = [name if name in (source_lang, target_lang) else str(i) for i, name in enumerate(names)]
    return unique + [str(i) for i in range(len(names), len(first_row))], has_header


def read_tables(
    tables: list[tuple[Path, CorpusFile, list[str], bool]], languages: tuple[str, str], stamp: str
) -> Iterator[dict[str, str]]:
    """Yield the sentence pairs of TSV and CSV files.

    Args:
        tables: path, file, names of the columns, and whether the first row is a header.
        languages: names of the source and the target column.
        stamp: part of the cache key; it changes no pair.

    Raises:
        UserError: if a file has no rows or cannot be parsed.
    """
    for path, file, names, has_header in tables:
        rows = 0
        header = 0 if has_header else None
        try:
            for chunk in pd.read_csv(path, header=header, names=names, chunksize=CHUNK, **parser_options(file.ending)):
                rows += len(chunk)
                src, tgt = (chunk[language].fillna("") for language in languages)  # a row may have too few fields
                yield from ({"src": s, "tgt": t} for s, t in zip(src, tgt, strict=True))
        except ValueError as error:
            raise UserError(f"{file.name}: {' '.join(str(error).split())}") from None
        if not rows:
            raise UserError(f"{file.name} has no rows")


def load_files(files: dict[str, list[CorpusFile]], *, streaming: bool) -> dict[str, Rows]:
    """Return the rows of JSON or Parquet files by split, with all their columns.

    Raises:
        UserError: if a JSON file is not UTF-8.
    """
    data_files: dict[str, list[str]] = {}
    for split, several in files.items():
        for file in several:
            path = file.unpack()
            if BUILDERS[file.ending] == "json":
                scan_lines(path, file.name)  # raises where the file is not UTF-8
            data_files.setdefault(split, []).append(str(path))
    builder = BUILDERS[next(iter(files.values()))[0].ending]
    return dict(load_dataset(builder, data_files=data_files, streaming=streaming))


def load_from_hub(path: str, subset: str | None, *, streaming: bool) -> dict[str, Rows]:
    """Return the rows of a Hub data set by split, with all their columns, and log which of its splits are not read.

    Of several names for one split (`validation` and `dev`), the first counts.
    """
    by_split: dict[str, Rows] = {}
    ignored = []
    for name, ds in load_dataset(path, subset, streaming=streaming).items():
        split = split_of(name)
        if split and split not in by_split:
            by_split[split] = ds
        else:
            ignored.append(name)
    if ignored:
        logger.info(f"{path}: not read: {', '.join(ignored)}")
    return by_split


def check_json_lines(file: CorpusFile) -> None:
    """Raise a UserError that names the first line that is not JSON; errors of `datasets` name no file and line."""
    with file.unpack().open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                json.loads(line)
            except json.JSONDecodeError as error:
                raise UserError(f"{file.name}, line {number}: not JSON ({error.msg})") from None


def select_columns(ds: Rows, path: str, source_lang: str, target_lang: str) -> Rows:
    """Reduce a table to the columns src and tgt, taken from two columns or from a column `translation` of dicts.

    Raises:
        UserError: if the table has no rows, or lacks a language.
    """
    names = column_names(ds)
    if not names:
        raise UserError(f"data.path {path} has no rows")
    if "translation" in names and isinstance(ds, Dataset):
        ds = ds.select_columns(["translation"]).flatten()
        ds = ds.rename_columns({name: name.removeprefix("translation.") for name in ds.column_names})
    elif "translation" in names:
        ds = ds.map(itemgetter("translation"), remove_columns=names)
    for lang in (source_lang, target_lang):
        if lang not in column_names(ds):
            raise UserError(f"data.path {path} has no column {lang!r}, only {', '.join(column_names(ds))}")
    return ds.select_columns([source_lang, target_lang]).rename_columns({source_lang: "src", target_lang: "tgt"})


def column_names(ds: Rows) -> list[str]:
    """Return the names of the columns; those of some streams are known only from the first row."""
    return ds.column_names or list(next(iter(ds), {}))
