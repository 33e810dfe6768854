"""A system in a process of its own, with the settings of its users, that works only when it is its turn."""

import atexit
import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.machine import now

STOP_SECONDS = 10


class Child:
    """A process that answers one request at a time and waits in between.

    Systems that are compared run in processes of their own, because allocator and thread settings hold for a process.
    They take turns (A, B, ..., A, B, ...), so that all meet the same machine, whose speed may change by the minute.
    """

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        """Start the process, and wait until it is ready.

        Args:
            target: a function of this connection's other end and the arguments. It sends one message when it is ready,
                then receives requests and sends an answer to each.
            arguments: of `target`; they are pickled.

        Raises:
            EOFError: the process has failed; its traceback is on stderr.
        """
        context = multiprocessing.get_context("spawn")
        self.connection, other_end = context.Pipe()
        self.process = context.Process(target=target, args=(other_end, *arguments))
        self.process.start()
        atexit.register(self.stop)  # daemons end by themselves, but may not start processes
        other_end.close()
        self.connection.recv()

    def ask(self, request: Any) -> Any:
        """Send a request and return its answer; both are pickled.

        Raises:
            EOFError: the process has failed; its traceback is on stderr.
        """
        self.connection.send(request)
        return self.connection.recv()

    def peak_memory(self) -> int:
        """Return the largest resident memory so far in MB (Linux); 0 if the process has ended."""
        return memory(self.process.pid, "VmHWM") // 1000

    def stop(self) -> None:
        """Close the connection, at which the process ends; kill it if it is still busy after some seconds."""
        self.connection.close()
        self.process.join(STOP_SECONDS)
        self.process.kill()
        self.process.join()


class Turns:
    """The training side of a `Child`: pauses after the requested number of steps until the next request.

    A request is a number of training steps; its answer is (target tokens, seconds).
    """

    def __init__(self, connection: Connection) -> None:
        """Report that the training is ready, and wait for its first turn."""
        self.connection = connection
        connection.send(None)
        self._wait()

    def _wait(self) -> None:
        try:
            self.n_steps = self.connection.recv()
        except EOFError:  # the benchmark has ended
            raise SystemExit from None
        self.n_tokens, self.start = 0, now()

    def step_done(self, n_tokens: int) -> None:
        """Count a step of `n_tokens` target tokens; at the end of a turn, answer and wait."""
        self.n_tokens += n_tokens
        self.n_steps -= 1
        if self.n_steps == 0:
            self.connection.send((self.n_tokens, now() - self.start))
            self._wait()


def memory(pid: int | None, name: str) -> int:
    """Return a size in kB from Linux's /proc/PID/status, such as VmRSS; 0 if the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)


def tree_memory(pid: int) -> int:
    """Return the resident memory in kB of a process and its descendants; pages that they share count for each."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        children = []
    return memory(pid, "VmRSS") + sum(map(tree_memory, children))
