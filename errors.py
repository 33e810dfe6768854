"""Mistakes that a user can make, told in one sentence."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk, a quota or a limit on the size of files


class UserError(Exception):
    """What the user can mend: the message is one sentence that names the file, line or flag, and the remedy."""


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn a `UserError`, or what the system refuses, into a sentence on stderr and exit code 2; no traceback."""
    try:
        yield
        if sys.stdout:
            sys.stdout.flush()  # what cannot be written is met here, not when Python ends
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:  # the reader of our output has left, as `head` does
        drop_output()
        raise SystemExit(0) from None
    except OSError as error:
        if error.filename is None and error.errno not in DISK_FULL:  # nothing that a user knows of
            raise
        print(f"error: {error.filename or 'output'}: {error.strerror}", file=sys.stderr)
        if error.filename is None:
            drop_output()
        raise SystemExit(2) from None


def drop_output() -> None:
    """Let Python write what is left of stdout to nowhere, or it would fail once more when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
