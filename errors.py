"""Mistakes that a user can make, told in one sentence."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """What the user can mend: the message is one sentence that names the file, line or flag, and the remedy."""


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn a `UserError` into its sentence on stderr and exit code 2; no traceback."""
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:  # the reader of our output has left, as `head` does
        sys.stderr.close()
        raise SystemExit(0) from None
