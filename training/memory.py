"""Settings of the C library and of oneDNN for memory that is freed and allocated again in every step."""

import ctypes
import os

# Parameters of glibc's mallopt(3).
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX, ARENA_MAX = -1, -2, -4, -8


def keep_freed_memory() -> None:
    """Make glibc keep freed memory for the next step instead of returning it to the system.

    The activations of a step are tensors of tens of megabytes. By default glibc maps each of them anew and unmaps it
    again, so that the kernel zeroes every page once per tensor: a training step on two cores took 26 % longer. Peak
    memory stays the same. Other C libraries are left as they are.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(ARENA_MAX, 1)  # one pool: what one thread frees, another can allocate
    mallopt(MMAP_MAX, 0)  # allocate from the pool, never by mmap
    mallopt(TRIM_THRESHOLD, -1)  # never return the pool's free end
    mallopt(TOP_PAD, 64 * 2**20)  # grow the pool by 64 MiB at a time


def keep_few_kernels() -> None:
    """Limit oneDNN's cache of compiled kernels from 1,024 to 128, unless the environment sets a limit.

    Every batch has its own shape, and in bfloat16 every shape has its own kernels: a full cache took a gigabyte.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")
