"""Sentence pairs from any source: the phrasebook, parallel files, tables, TMX, or a data set of the Hub."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

from data import phrasebook
from data.files import CorpusFile, list_files, unzip
from data.parallel import pair_up, pairs_by_split, read_parallel
from data.splits import SPLITS, split_in, split_of
from data.tables import (
    BUILDERS,
    SEPARATED,
    Rows,
    check_json_lines,
    has_tabs,
    load_files,
    load_from_hub,
    read_separated,
    select_columns,
)
from data.tmx import read_tmx
from errors import UserError

KINDS = (".tsv", ".csv", *BUILDERS, ".tmx")  # endings of files that hold both languages


def load_pairs(
    path: str,
    subset: str | None,
    columns: str | None,
    source_lang: str,
    target_lang: str,
    seed: int,
    num_proc: int,
    *,
    streaming: bool,
) -> dict[str, Rows]:
    """Return the splits that exist, with columns `src` and `tgt` (those of the phrasebook have more).

    Args:
        path: `phrasebook`, a folder, a file, a zip archive, or a Hub data set (`org/name`).
        subset: configuration of a Hub data set, or a subfolder (`en-fr`).
        columns: names of the first columns of tables without a header, separated by commas.
        source_lang, target_lang: language codes: file endings or columns.
        seed: of the phrasebook.
        num_proc: processes that read parallel files.
        streaming: return `IterableDataset`s, which read the rows on demand and copy nothing to the disk but what is
            compressed.

    Raises:
        UserError: if something is missing, misaligned or unreadable, by file and line.
    """
    if source_lang == target_lang:
        raise UserError(f"data.source_lang and data.target_lang are both {source_lang!r}: a translation needs two")
    names = [name.strip() for name in columns.split(",")] if columns else None
    if path == "phrasebook":
        refuse_columns(names, path)
        return load_phrasebook(source_lang, target_lang, seed, streaming=streaming)

    where = Path(path).expanduser()
    pairs, incomplete = pair_up(parallel_candidates(where, source_lang, target_lang), source_lang, target_lang)
    if pairs:
        refuse_columns(names, path)
        by_split = pairs_by_split(pairs) if is_folder(where) else {"train": pairs}
        return {split: read_parallel(several, num_proc, streaming=streaming) for split, several in by_split.items()}

    files = find_files(where, subset)
    with reading_errors(path):
        if files:
            return read_files(files, path, names, source_lang, target_lang, streaming=streaming)
        if not where.exists() and "/" in path and len(where.parts) == 2 and not where.is_absolute():
            refuse_columns(names, path)
            tables = load_from_hub(path, subset, streaming=streaming)
            return {split: select_columns(ds, path, source_lang, target_lang) for split, ds in tables.items()}
    if incomplete:
        raise UserError(incomplete[0])
    if not where.exists():
        raise UserError(f"data.path {path}: no such file or folder")
    raise UserError(
        f"{path} holds no corpus: expected train.{source_lang} + train.{target_lang} (by data.source_lang and "
        f"data.target_lang) or files of one of the kinds {', '.join(KINDS)}, or .txt with tabs"
        + (f", under {subset}/" if subset else "")
    )


def load_phrasebook(source_lang: str, target_lang: str, seed: int, *, streaming: bool) -> dict[str, Rows]:
    """Return the splits of the built-in corpus.

    Raises:
        UserError: if the languages are not French and English.
    """
    if {source_lang, target_lang} != {"fr", "en"}:
        raise UserError(
            f"the phrasebook is in fr and en, not {source_lang} and {target_lang}: set data.path to a corpus of "
            "yours, or leave out data.source_lang and data.target_lang"
        )
    book = phrasebook.load(source_lang, target_lang, seed)
    return {split: ds.to_iterable_dataset() if streaming else ds for split, ds in book.items()}


def read_files(
    files: dict[str, list[CorpusFile]],
    path: str,
    columns: list[str] | None,
    source_lang: str,
    target_lang: str,
    *,
    streaming: bool,
) -> dict[str, Rows]:
    """Return the sentence pairs of tables or TMX files, all of one kind, by split; arguments as in `load_pairs`."""
    ending = next(iter(files.values()))[0].ending
    if ending in SEPARATED:
        return {
            split: read_separated(several, columns, source_lang, target_lang, streaming=streaming)
            for split, several in files.items()
        }
    refuse_columns(columns, path)
    if ending == ".tmx":
        return {
            split: read_tmx(several, source_lang, target_lang, streaming=streaming) for split, several in files.items()
        }
    tables = load_files(files, streaming=streaming)
    return {split: select_columns(ds, path, source_lang, target_lang) for split, ds in tables.items()}


def refuse_columns(columns: list[str] | None, path: str) -> None:
    """Raise a UserError if columns are named for a corpus that is not a TSV or CSV table."""
    if columns:
        raise UserError(f"--data.columns names the columns of a TSV or CSV table, and {path} is none: leave it out")


def is_folder(where: Path) -> bool:
    """Return whether a path is a folder or a zip archive, which is read like a folder."""
    return where.is_dir() or (where.is_file() and where.suffix == ".zip")


def files_in(where: Path, *, recursive: bool) -> list[CorpusFile]:
    """Return the files of a folder or a zip archive, those of its subfolders included if `recursive`."""
    return list_files(where if where.is_dir() else unzip(where), str(where), recursive=recursive)


def parallel_candidates(where: Path, source_lang: str, target_lang: str) -> list[CorpusFile]:
    """Return the files among which parallel ones are sought.

    Args:
        where: a folder; or `corpus.fr`, `corpus.fr.gz` or `corpus`, for files like `corpus.fr` and `corpus.en`.
        source_lang, target_lang: endings.
    """
    if is_folder(where):
        return files_in(where, recursive=False)
    plain_name = PurePath(CorpusFile(where, str(where)).plain_name)
    has_language = plain_name.suffix[1:] in (source_lang, target_lang)
    if not where.parent.is_dir() or (where.is_file() and not has_language):
        return []
    stem = plain_name.stem if has_language else where.name
    return [file for file in list_files(where.parent, str(where.parent), recursive=False) if file.stem == stem]


def find_files(where: Path, subset: str | None) -> dict[str, list[CorpusFile]]:
    """Return the tables or TMX files of each split; nothing if there are none.

    Args:
        where: a file, which is train; or a folder or zip archive whose file names mention the split, or whose files lie
            in folders named by split.
        subset: name of the folder that holds the files, or their folders.

    Raises:
        UserError: if there are files of several kinds, files that belong to no split, or no train split.
    """
    if is_folder(where):
        inside = files_in(where, recursive=True)
        files = [f for f in inside if subset is None or subset in PurePath(f.name).relative_to(where).parts[:-1]]
    else:
        files = [CorpusFile(where, str(where))] if where.is_file() else []
    tables = [file for file in files if file.ending in KINDS and file.plain_name != "dataset_infos.json"]
    # A .txt file beside a table is about the corpus, not part of it.
    files = tables or [file for file in files if file.ending == ".txt" and has_tabs(file)]
    endings = sorted({file.ending for file in files})
    if len(endings) > 1:
        raise UserError(f"{where} holds files of several kinds ({', '.join(endings)}): give one of them as data.path")
    if len(files) == 1:
        if is_folder(where):
            refuse_held_out(files[0], where)
        return {"train": files}
    by_split: dict[str, list[CorpusFile]] = {}
    for file in files:
        split = split_in(file.plain_name) or split_of(PurePath(file.name).parent.name)
        if not split:
            raise UserError(f"{file.name}: the name of a file must contain its split (train, val or test)")
        by_split.setdefault(split, []).append(file)
    for split, several in by_split.items():
        folders = sorted({str(PurePath(file.name).parent) for file in several})
        if len(folders) > 1:
            raise UserError(f"{where} has several folders of {split}: {', '.join(folders)}; choose by data.subset")
    return {split: by_split[split] for split in SPLITS if split in by_split}


def refuse_held_out(file: CorpusFile, where: Path) -> None:
    """Raise a UserError if the only file of a folder or zip archive is named as val or test."""
    folder = PurePath(file.name).relative_to(where).parent.name
    if (split_in(file.plain_name) or split_of(folder)) in ("val", "test"):
        raise UserError(
            f"{where} has no train split, only {file.name}: add train, or name the file in data.path to train on it"
        )


@contextmanager
def reading_errors(path: str) -> Iterator[None]:
    """Convert any exception of the parsers behind `datasets` to a UserError, with file and line where a check finds it.

    Those parsers raise exceptions of many classes, hence `except Exception`.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        cause: BaseException = error
        while inner := cause.__cause__ or cause.__context__:
            cause = inner
            if isinstance(cause, UserError):
                raise cause from None
        where = Path(path).expanduser()
        files = files_in(where, recursive=True) if is_folder(where) else [CorpusFile(where, path)]
        for file in files:
            if file.ending == ".jsonl" and file.path.is_file():
                check_json_lines(file)
        raise UserError(f"data.path {path} cannot be read: {' '.join(str(cause).split())}") from error
