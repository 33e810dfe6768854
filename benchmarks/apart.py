"""A contestant in a process of its own, as its user would start it: no setting of ours reaches it there unasked."""

import atexit
import contextlib
import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
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

        Raises:
            EOFError: the other process has failed, and has said why.
        """
        spawn = multiprocessing.get_context("spawn")
        self.connection, there = spawn.Pipe()
        process = spawn.Process(target=serve, args=(there, keeps_memory, make, *arguments))
        process.start()
        atexit.register(process.kill)  # no daemon, as daemons may have no children
        there.close()
        self.connection.recv()

    def do(self, method: str, *arguments: Any) -> Any:
        """Call a method; what goes there and comes back is pickled.

        Raises:
            EOFError: the other process has failed, and has said why.
        """
        self.connection.send((method, arguments))
        return self.connection.recv()


def serve(connection: Connection, keeps_memory: bool, make: Callable[..., Any], *arguments: Any) -> None:
    """Make the object and do what is asked of it, until nobody asks any more."""
    if keeps_memory:
        keep_freed_memory()
    served = make(*arguments)
    connection.send(None)
    with contextlib.suppress(EOFError):
        while True:
            method, arguments = connection.recv()
            connection.send(getattr(served, method)(*arguments))
