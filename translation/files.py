"""Lines of text in, warnings out, and the checkpoint that a program uses."""

import codecs
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from errors import UserError

RUNS = Path("runs")  # `train.py` writes runs/NAME
READY_MADE = Path(__file__).parent.parent / "models" / "fr-en.ckpt"


def warn(sentence: str) -> None:
    """Print a warning on stderr."""
    print(f"warning: {sentence}", file=sys.stderr)


def read_lines(stream: Iterable[bytes], name: str) -> Iterator[str]:
    """Yield lines of UTF-8 text.

    A line ends at LF, a CR before it is dropped, and a byte-order mark at the start of the text is no part of it.
    Invalid bytes become U+FFFD, with a warning.

    Args:
        stream: lines of bytes, such as a file opened in binary mode.
        name: of the stream, for warnings.
    """
    for number, raw in enumerate(stream, 1):
        raw = raw.removesuffix(b"\n").removesuffix(b"\r")
        if number == 1:
            raw = raw.removeprefix(codecs.BOM_UTF8)
        try:
            yield raw.decode()
        except UnicodeDecodeError:
            warn(f"{name}, line {number}: invalid UTF-8 was replaced by U+FFFD")
            yield raw.decode(errors="replace")


def lines_of(flag: str, path: Path) -> list[str]:
    """Return the lines of the text file that a flag names.

    Raises:
        UserError: the file is missing.
    """
    if not path.is_file():
        raise UserError(f"{flag} {path} is missing")
    with path.open("rb") as stream:
        return list(read_lines(stream, str(path)))


def find_checkpoint(name: str | None = None) -> Path:
    """Return the best checkpoint of a run, of the newest run where none is named, or else the ready-made model.

    Raises:
        UserError: there is no such run, or nothing to choose from.
    """
    if name is not None:
        path = RUNS / name / "best.ckpt"
        if not path.is_file():
            names = ", ".join(sorted(found.parent.name for found in RUNS.glob("*/best.ckpt"))) or "none"
            raise UserError(f"--name {name}: {path} is missing; runs that have one: {names}")
        return path
    newest = max(RUNS.glob("*/best.ckpt"), key=lambda path: path.stat().st_mtime, default=READY_MADE)
    if not newest.is_file():
        raise UserError(f"there is neither runs/*/best.ckpt nor {READY_MADE}: train first, or give --checkpoint")
    return newest
