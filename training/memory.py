"""Memory that is freed and taken again, step after step."""

import ctypes

# Parameters of glibc's mallopt(3).
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX, ARENA_MAX = -1, -2, -4, -8


def keep_freed_memory() -> None:
    """Let the C library keep freed memory for the next step instead of handing it back to the system.

    The activations of a step are tens of megabytes, which glibc maps and unmaps each time; every page is then faulted
    in and zeroed again, which took a tenth to a fifth of a training step. The peak stays. Other C libraries are left
    as they are.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(ARENA_MAX, 1)  # what one thread frees, another takes
    mallopt(MMAP_MAX, 0)
    mallopt(TRIM_THRESHOLD, -1)  # never
    mallopt(TOP_PAD, 64 * 2**20)
