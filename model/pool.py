"""Workers for a stream of jobs: copies of this process, or threads."""

import contextlib
import ctypes
import multiprocessing
import os
import platform
import signal
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import torch

from errors import UserError
from model.cores import MOST, run_parallel

Tool = TypeVar("Tool")
Result = TypeVar("Result")
TOGETHER = 4  # threads that share one item; what more of them gain was never measured
PR_SET_PDEATHSIG = 1  # of Linux's prctl(2): the signal to get when the parent dies, however it does


class WorkerPool(Generic[Tool, Result]):
    """Workers that do jobs with a tool each, such as a model: threads, or copies of this process.

    A search passes through Python between all its products, where the threads of one process wait for each other: a
    fifth of the time of two threads, in bfloat16. Copies do not. They are made as soon as there is something to do for
    each, where that is safe and possible, share the tool's memory with this process, use one thread each, and end with
    this process.
    """

    def __init__(self, do: Callable[..., Result], tools: Sequence[Tool], copied: bool, first: Any = None) -> None:
        """Say what there will be to do, and with what.

        Copies see nothing of what changes in a tool after they were made.

        Args:
            do: called with a tool, an item and options.
            tools: of each worker.
            copied: processes are wanted.
            first: a small item, done before copies are made: what a tool prepares when it is first used, all share.
        """
        self.do, self.tools, self.copied, self.first = do, tools, copied, first
        self.executor: ProcessPoolExecutor | None = None
        self.copies: set[BaseProcess] = set()
        self.owner = 0  # process that the copies belong to; not one that was made of it later

    def map(self, items: Sequence[Any], **options: Any) -> list[Result]:
        """Do all items; return the results in order.

        Args:
            items: like options and results, they can be pickled. One alone is done by this process, with several
                threads: of few rows, products do little but read the weights, which two cores do sooner than one.
            options: the same for all.

        Raises:
            UserError: a copy was killed.
        """
        if len(items) > 1 and self._has_copies(len(items), options):
            assert self.executor is not None
            try:
                return list(self.executor.map(partial(_work, **options), items))
            except KeyboardInterrupt:
                for copy in self.copies:
                    copy.kill()  # or the end of this process would wait for the end of their jobs
                self.executor, self.owner = None, 0
                raise
            except BrokenProcessPool:
                self.executor = None
                raise UserError("a process that did a part of the work was killed: too little memory?") from None
        idle: SimpleQueue[Tool] = SimpleQueue()
        for tool in self.tools:
            idle.put(tool)

        def work(item: Any) -> Result:
            tool = idle.get()
            try:
                return self.do(tool, item, **options)
            finally:
                idle.put(tool)

        at_once = min(len(self.tools), MOST, max(1, len(items), len(self.tools) // TOGETHER))
        return run_parallel([partial(work, item) for item in items], at_once)

    def _has_copies(self, n_items: int, options: dict[str, Any]) -> bool:
        """Say whether this process has copies; make them if it never tried, and there are items for all."""
        if self.copied and self.owner != os.getpid() and n_items >= len(self.tools) > 1 and _may_fork():
            if self.first is not None:
                run_parallel([partial(self.do, self.tools[0], self.first, **options)], len(self.tools))
            self.owner, self.executor = os.getpid(), None
            others = set(multiprocessing.active_children())
            fork, start = multiprocessing.get_context("fork"), (partial(self.do, self.tools[0]), self.owner)
            try:
                with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # see `_may_fork`
                    executor = ProcessPoolExecutor(len(self.tools), fork, initializer=_start, initargs=start)
                    executor.submit(os.getpid)  # makes them all
            except (OSError, NotImplementedError, RuntimeError):  # no semaphores here, no room for a process or thread
                for copy in set(multiprocessing.active_children()) - others:  # made before there was no more room
                    copy.kill()
            else:
                weakref.finalize(self, _end, executor)  # or when the program ends, while Python still knows how
                self.executor, self.copies = executor, set(multiprocessing.active_children()) - others
        return self.executor is not None and self.owner == os.getpid()


def copies_work() -> bool:
    """Say whether copies were ever tried on such a machine.

    On other processors, libraries may ask their native threads for help whatever number is set; a copy has none.
    """
    return sys.platform == "linux" and platform.machine() == "x86_64"


def _may_fork() -> bool:
    """Say whether a copy of this process would work: it has the calling thread only, and all locks as they are now.

    The native threads of PyTorch, of which Python 3.12 warns, wait for work and hold no lock.
    """
    return (
        copies_work()
        and threading.active_count() == 1
        and not multiprocessing.current_process().daemon  # which may have no children
        and not torch.cuda.is_initialized()
    )


def _end(executor: ProcessPoolExecutor) -> None:
    """End copies that nobody will ask any more."""
    with contextlib.suppress(RuntimeError):  # the executor's own thread found that out, and cannot wait for itself
        executor.shutdown()


_do: Callable[..., Any]  # what this process does with an item, if it is a copy


def _start(do: Callable[..., Any], owner: int) -> None:
    """Become a worker."""
    global _do
    _do = do
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the owner too, which decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # what the owner does then is not ours to do
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != owner:  # it was killed before that
        os._exit(1)


def _work(item: Any, **options: Any) -> Any:
    return _do(item, **options)
