"""Sentence pairs from any source: the phrasebook, parallel files, tables, or a data set of the Hub."""

from pathlib import Path

from data import phrasebook
from data.parallel import find_parallel, read_parallel
from data.tables import Rows, load_tables, parser_errors, select_columns
from errors import UserError


def load_pairs(
    path: str, subset: str | None, source_lang: str, target_lang: str, seed: int, num_proc: int, *, streaming: bool
) -> dict[str, Rows]:
    """Return the splits that exist, with columns `src` and `tgt` (those of the phrasebook have more).

    Args:
        path: `phrasebook`, a folder, a file, or a Hub data set (`org/name`).
        subset: configuration of a Hub data set, or a subfolder (`en-fr`).
        source_lang, target_lang: language codes: file endings or columns.
        seed: of the phrasebook.
        num_proc: processes that read parallel files.
        streaming: return `IterableDataset`s, which read the rows on demand and copy nothing to the disk.

    Raises:
        UserError: if something is missing, misaligned or unreadable, by file and line.
    """
    if source_lang == target_lang:
        raise UserError(f"data.source_lang and data.target_lang are both {source_lang!r}: a translation needs two")
    if path == "phrasebook":
        if {source_lang, target_lang} != {"fr", "en"}:
            raise UserError(
                f"the phrasebook is in fr and en, not {source_lang} and {target_lang}: set data.path to a corpus of "
                "yours, or leave out data.source_lang and data.target_lang"
            )
        book = phrasebook.load(source_lang, target_lang, seed)
        return {split: ds.to_iterable_dataset() if streaming else ds for split, ds in book.items()}
    where = Path(path).expanduser()
    files = find_parallel(where, source_lang, target_lang)
    if files:
        return {split: read_parallel(*sides, num_proc, streaming=streaming) for split, sides in files.items()}
    with parser_errors(path):
        tables = load_tables(where, path, subset, streaming=streaming)
        return {split: select_columns(ds, path, source_lang, target_lang) for split, ds in tables.items()}
