"""A contestant in a process of its own, as its user would start it: no setting of ours reaches it there."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


class Apart:
    """An object that lives in another process, until this one ends."""

    def __init__(self, make: Callable[..., Any], *arguments: Any) -> None:
        """Start the process, and wait for the object to be made there; `make` and its arguments are pickled.

        Raises:
            EOFError: the other process has failed, and has said why.
        """
        spawn = multiprocessing.get_context("spawn")
        self.connection, there = spawn.Pipe()
        spawn.Process(target=serve, args=(there, make, *arguments), daemon=True).start()
        there.close()
        self.connection.recv()

    def do(self, method: str, *arguments: Any) -> Any:
        """Call a method; what goes there and comes back is pickled.

        Raises:
            EOFError: the other process has failed, and has said why.
        """
        self.connection.send((method, arguments))
        return self.connection.recv()


def serve(connection: Connection, make: Callable[..., Any], *arguments: Any) -> None:
    """Make the object and do what is asked of it."""
    served = make(*arguments)
    connection.send(None)
    while True:
        method, arguments = connection.recv()
        connection.send(getattr(served, method)(*arguments))
