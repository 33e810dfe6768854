"""Reader of tables (TSV, CSV, JSON lines, Parquet) from disk or from the Hub, by `datasets`."""

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
from datasets import Dataset, IterableDataset, load_dataset

from data.parallel import scan_lines
from data.splits import split_of
from errors import UserError

BUILDERS = {".tsv": "csv", ".csv": "csv", ".jsonl": "json", ".json": "json", ".parquet": "parquet"}  # by ending
TSV = {"sep": "\t", "quoting": csv.QUOTE_NONE}
TEXT = {"keep_default_na": False}  # "None" and "NA" are sentences, not missing values
CHUNK = 50_000  # rows that are parsed at a time

Rows: TypeAlias = Dataset | IterableDataset


def load_tables(where: Path, path: str, subset: str | None, *, streaming: bool) -> dict[str, Rows]:
    """Return the tables of a file, a folder or a Hub data set by split, with all their columns.

    Args:
        where: `path` with the home folder expanded.
        path: `data.path`, as messages name it.
        subset: see `data.readers.load_pairs`.
        streaming: see `data.readers.load_pairs`.

    Raises:
        UserError: if there is no table, or a file is not UTF-8.
    """
    load: dict[str, Any]
    if where.is_file() or where.is_dir():
        by_split = find_tables(where, path, subset)
        ending = next(iter(by_split.values()))[0].suffix
        builder = BUILDERS[ending]
        if builder != "parquet":
            for file in (file for files in by_split.values() for file in files):
                scan_lines(file)  # raises where the file is not UTF-8
        load = {"path": builder, "data_files": {split: list(map(str, files)) for split, files in by_split.items()}}
        if builder == "csv":
            load |= TEXT | (TSV if ending == ".tsv" else {})
    elif "/" in path and len(where.parts) == 2 and not where.is_absolute():
        load = {"path": path, "name": subset}
    else:
        raise UserError(f"data.path {path}: no such file or folder")
    found = load_dataset(**load, streaming=streaming)
    return {split: ds for name, ds in found.items() if (split := split_of(name))}


def find_tables(where: Path, path: str, subset: str | None) -> dict[str, list[Path]]:
    """Return the files of each split.

    Args:
        where: a file, which is train; or a folder whose files, or the folders that hold them, are named by split.
        path: `data.path`, as messages name it.
        subset: name of the folder that holds the files, or their folders.

    Raises:
        UserError: if there are no tables, tables of several kinds, or files that belong to no split.
    """
    if where.is_file():
        files = [where]
    else:
        inside = [f for f in sorted(where.rglob("*")) if f.suffix in BUILDERS and f.name != "dataset_infos.json"]
        files = [f for f in inside if subset is None or subset in f.relative_to(where).parts[:-1]]
    endings = {f.suffix for f in files}
    if len(endings) != 1 or not endings <= set(BUILDERS):
        raise UserError(
            f"{path} holds no corpus: expected train.fr + train.en (by data.source_lang and data.target_lang) or "
            f"files of one of the kinds {', '.join(BUILDERS)}" + (f" under {subset}/" if subset else "")
        )
    if len(files) == 1:
        return {"train": files}
    by_split: dict[str, list[Path]] = {}
    for file in files:
        first_words = [name.split("-")[0].split(".")[0] for name in (file.name, file.parent.name)]
        named = [split for word in first_words if (split := split_of(word))]
        if not named:
            raise UserError(f"{file}: the name of a file must begin with its split (train, val or test)")
        by_split.setdefault(named[0], []).append(file)
    for split, files in by_split.items():
        folders = sorted({str(file.parent) for file in files})
        if len(folders) > 1:
            raise UserError(f"{path} has several folders of {split}: {', '.join(folders)}; choose by data.subset")
    return by_split


@contextmanager
def parser_errors(path: str) -> Iterator[None]:
    """Convert any exception of the parsers behind `datasets` to a UserError, with file and line where a check finds it.

    Those parsers raise exceptions of many classes, hence `except Exception`.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        where = Path(path).expanduser()
        for file in sorted([where, *where.rglob("*")]):
            if file.is_file() and BUILDERS.get(file.suffix) in ("csv", "json"):
                check_table(file)
        cause: BaseException = error
        while inner := cause.__cause__ or cause.__context__:
            cause = inner
        raise UserError(f"data.path {path} cannot be read: {' '.join(str(cause).split())}") from error


def check_table(path: Path) -> None:
    """Raise a UserError that names the first line that cannot be parsed; errors of `datasets` name no file and line."""
    if path.suffix == ".jsonl":
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    json.loads(line)
                except json.JSONDecodeError as error:
                    raise UserError(f"{path}, line {number}: not JSON ({error.msg})") from None
    elif BUILDERS[path.suffix] == "csv":
        try:
            for _ in pd.read_csv(path, dtype=str, chunksize=CHUNK, **(TSV if path.suffix == ".tsv" else {})):
                pass
        except ValueError as error:
            raise UserError(f"{path}: {' '.join(str(error).split())}") from None


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
