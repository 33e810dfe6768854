"""A contestant in a process of its own, as its user would start it: no setting of ours reaches it there unasked."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from model.memory import keep_freed_memory


class Apart:
    """An object that lives in another process, as long as this one is in use."""

    def __init__(self, make: Callable[..., Any], *arguments: Any, keeps_memory: bool) -> None:
        """Start the process, and wait for the object to be made there.

        Args:
            make: makes the object; it is pickled, like its arguments.
            arguments: of `make`.
            keeps_memory: whether the C library is set there as our programs set it for themselves.
        """
        self.pool = ProcessPoolExecutor(1, get_context("spawn"))
        self.pool.submit(begin, keeps_memory, make, arguments).result()

    def do(self, method: str, *arguments: Any) -> Any:
        """Call a method; what goes there and comes back is pickled, errors too."""
        return self.pool.submit(call, method, arguments).result()


_served: Any  # in the other process


def begin(keeps_memory: bool, make: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Make the object."""
    global _served
    if keeps_memory:
        keep_freed_memory()
    _served = make(*arguments)


def call(method: str, arguments: tuple[Any, ...]) -> Any:
    """Do what is asked of it."""
    return getattr(_served, method)(*arguments)
