"""Lines of text in, warnings out, and the checkpoint that is used where none is named."""

import codecs
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from errors import UserError


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


def newest_checkpoint() -> Path:
    """Return the best checkpoint of the newest run.

    Raises:
        UserError: there is none.
    """
    found = sorted(Path("runs").glob("*/best.ckpt"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise UserError("there is no runs/*/best.ckpt: train first (uv run train.py), or give --checkpoint")
    return found[-1]
