"""The CTranslate2 model of a checkpoint: kept beside it, written again when the checkpoint changes."""

import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from data.tokenizer import Tokenizer
from errors import UserError
from translation.files import warn

FORMAT = 1  # of what `translation.conversion` writes; a new number makes kept folders obsolete
SETTINGS = "translator.json"
TOKENIZER = "sentencepiece.model"
TEMPORARY: list[tempfile.TemporaryDirectory[str]] = []  # removed when Python exits


class Converted(NamedTuple):
    """A CTranslate2 model and what belongs to it; see `translation.checkpoint.Checkpoint` for `data`, `alignment`."""

    folder: Path
    tokenizer: Tokenizer
    data: dict[str, Any]
    alignment: dict[str, Any] | None


def open_converted(checkpoint: Path) -> Converted:
    """Return the CTranslate2 model of a checkpoint; convert the checkpoint if that has not been done since it changed.

    `runs/NAME/best.ckpt` is kept as `runs/NAME/best.ctranslate2/`, or in a temporary folder where that cannot be
    written. PyTorch is imported only for the conversion.

    Raises:
        UserError: the checkpoint cannot be read or converted.
    """
    try:
        stat = checkpoint.stat()
    except OSError as error:
        raise UserError(f"checkpoint {checkpoint} cannot be read: {error.strerror}") from error
    stamp = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "format": FORMAT}
    kept = checkpoint.with_suffix(".ctranslate2")
    settings = read_settings(kept)
    if settings is None or settings["stamp"] != stamp:
        kept = write_converted(checkpoint, kept, stamp)
        settings = read_settings(kept)
    if settings is None:
        raise UserError(f"{kept} cannot be read: remove it, so that the checkpoint is converted again")
    return Converted(kept, Tokenizer((kept / TOKENIZER).read_bytes()), settings["data"], settings["alignment"])


def read_settings(folder: Path) -> dict[str, Any] | None:
    """Return what `translation.conversion.convert` wrote beside the weights, or None if the folder is not complete."""
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    complete = all((folder / name).is_file() for name in ("model.bin", TOKENIZER))
    return settings if complete and {"stamp", "data", "alignment"} <= settings.keys() else None


def write_converted(checkpoint: Path, folder: Path, stamp: dict[str, int]) -> Path:
    """Convert a checkpoint into a folder, or into a temporary one if that cannot be written; return the folder."""
    from translation.checkpoint import read_checkpoint
    from translation.conversion import convert

    content = read_checkpoint(checkpoint)
    try:
        convert(content, folder, stamp)
    except OSError as error:
        TEMPORARY.append(tempfile.TemporaryDirectory(prefix="ctranslate2-"))
        warn(f"the converted model is not kept: {folder}: {error.strerror}")
        folder = Path(TEMPORARY[-1].name) / folder.name
        convert(content, folder, stamp)
    return folder
