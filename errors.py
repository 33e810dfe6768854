"""Errors that a user can cause, reported in one sentence."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk, a quota or a limit on the size of files


class UserError(Exception):
    """An error that the user can fix: the message is one sentence that names the file, line or flag, and the remedy."""


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn errors that the user can fix into one sentence on stderr, in place of a traceback.

    Raises:
        SystemExit: with code 2 after a `UserError` or an error of the operating system, which are printed; without a
            message, with code 130 after Ctrl-C, and with code 0 where the reader of the output has closed it.
    """
    try:
        yield
        if sys.stdout:
            sys.stdout.flush()  # a write that fails should fail here, not while Python shuts down
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:  # the reader of the output has closed it, as `head` does
        drop_output()
        raise SystemExit(0) from None
    except OSError as error:
        if error.filename is None and error.errno not in DISK_FULL:  # not an error that a user can fix
            raise
        print(f"error: {error.filename or 'output'}: {error.strerror}", file=sys.stderr)
        if error.filename is None:
            drop_output()
        raise SystemExit(2) from None


def drop_output() -> None:
    """Redirect stdout to the null device, so that Python's own flush at exit cannot fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
