"""Claims about workers: they do every job once, whoever does it, and none outlives its owner."""

import errno
import multiprocessing
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures.process import _ExecutorManagerThread
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from errors import UserError
from model.pool import WorkerPool, copies_work

SCRIPT = """
import os, signal, time
from errors import one_sentence
from model.pool import WorkerPool

def do(tool, item):
    os.write(1, b"%d\\n" % os.getpid())
    time.sleep(item)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
with one_sentence():
    WorkerPool(do, ["tool"] * 2, copied=True).map([60, 60])
"""


def whoami(tool: str, item: int, greeting: str) -> tuple[int, str, int]:
    time.sleep(0.1)
    return os.getpid(), f"{greeting} {tool} {item}", torch.get_num_threads()


def no_room() -> int:
    raise OSError(errno.EAGAIN, "no more processes")


def no_thread(manager: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def pids(workers: WorkerPool[Any, Any]) -> set[int | None]:
    return {copy.pid for copy in workers.copies}


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies are possible, though libraries have left threads in the process of the tests."""
    if not copies_work():
        pytest.skip("copies are not made on such a machine")
    monkeypatch.setattr(threading, "active_count", lambda: 1)


def owner_at_work() -> tuple[subprocess.Popen[str], set[int]]:
    """Start a process whose copies work for a minute; return it and them."""
    owner = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert owner.stdout
    copies = {int(owner.stdout.readline()) for _ in range(2)}
    assert len(copies - {owner.pid}) == 2
    return owner, copies


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


@pytest.mark.usefixtures("alone")
def test_copies_do_every_item_in_order_with_one_thread_each() -> None:
    workers = WorkerPool(whoami, ["tool"] * 2, copied=True)
    found = workers.map(range(5), greeting="hello")
    assert [text for _, text, _ in found] == [f"hello tool {i}" for i in range(5)]
    assert {pid for pid, _, _ in found} <= pids(workers)
    assert len(pids(workers) - {os.getpid()}) == 2
    assert {threads for _, _, threads in found} == {1}


@pytest.mark.usefixtures("alone")
def test_one_item_is_done_here() -> None:
    assert WorkerPool(whoami, ["tool"] * 2, copied=True).map([0], greeting="hello")[0][0] == os.getpid()


@pytest.mark.parametrize("tools", [1, 2, 8])
def test_without_items_there_are_no_results(tools: int) -> None:
    assert WorkerPool(whoami, ["tool"] * tools, copied=True).map([], greeting="hello") == []


@pytest.mark.parametrize(("threads", "expected"), [(1, 1), (2, 2), (4, 4), (8, 4), (12, 4)])
def test_one_item_is_done_by_a_few_threads_together(threads: int, expected: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        workers = WorkerPool(whoami, ["tool"] * threads, copied=False)
        assert workers.map([0], greeting="hello")[0][2] == expected
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_beside_another_thread_nothing_is_copied() -> None:
    end = threading.Event()
    beside = threading.Thread(target=end.wait)
    beside.start()
    try:
        found = WorkerPool(whoami, ["tool"] * 2, copied=True).map(range(3), greeting="hello")
    finally:
        end.set()
        beside.join()
    assert [(pid, text) for pid, text, _ in found] == [(os.getpid(), f"hello tool {i}") for i in range(3)]


def test_threads_work_at_the_same_time_with_a_tool_each() -> None:
    tools: list[list[int]] = [[], []]
    meeting = threading.Barrier(2, timeout=30)

    def work(tool: list[int], item: int) -> bool:
        tool.append(item)
        meeting.wait()  # breaks where one thread does all
        return tool.pop() == item and not tool

    threads = torch.get_num_threads()
    assert all(WorkerPool(work, tools, copied=False).map(range(8)))
    assert torch.get_num_threads() == threads


@pytest.mark.usefixtures("alone")
def test_copies_are_made_when_there_is_work_for_each_and_kept() -> None:
    workers = WorkerPool(whoami, ["tool"] * 3, copied=True)
    assert {pid for pid, _, _ in workers.map(range(2), greeting="hello")} == {os.getpid()}
    assert not workers.copies
    for n in (6, 2):
        assert {pid for pid, _, _ in workers.map(range(n), greeting="hello")} <= pids(workers)
        assert len(pids(workers)) == 3


@pytest.mark.usefixtures("alone")
def test_copies_end_with_their_pool() -> None:
    workers = WorkerPool(whoami, ["tool"] * 2, copied=True)
    workers.map(range(4), greeting="hello")
    copies = [pid for pid in pids(workers) if pid]
    assert all(map(running, copies))
    del workers
    wait_until(lambda: not any(map(running, copies)))


def test_a_program_that_ends_with_its_pool_says_nothing() -> None:
    script = (
        "import operator; from model.pool import WorkerPool; workers = WorkerPool(operator.add, [1, 1], copied=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{script}; print(workers.map([1, 2]))"],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("[2, 3]\n", "", 0)


@pytest.mark.usefixtures("alone")
def test_an_interrupt_between_jobs_ends_no_copy() -> None:
    workers = WorkerPool(whoami, ["tool"] * 2, copied=True)
    workers.map(range(4), greeting="hello")
    for copy in pids(workers):
        os.kill(copy, signal.SIGINT)
    assert {pid for pid, _, _ in workers.map(range(4), greeting="hello")} <= pids(workers)


@pytest.mark.usefixtures("alone")
def test_an_error_in_a_copy_is_raised_here_and_the_copies_go_on() -> None:
    def work(tool: str, item: int) -> float:
        if not item:
            raise UserError("item 0 cannot be done")
        return 1 / item

    workers = WorkerPool(work, ["tool"] * 2, copied=True)
    with pytest.raises(UserError, match="item 0"):
        workers.map([1, 0, 1])
    assert workers.map([1, 2]) == [1, 0.5]
    assert workers.executor is not None


@pytest.mark.usefixtures("alone")
def test_a_killed_copy_is_said_and_work_goes_on_without_copies() -> None:
    def work(tool: str, item: int) -> int:
        if item < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return os.getpid()

    workers = WorkerPool(work, ["tool"] * 2, copied=True)
    with pytest.raises(UserError, match="was killed"):
        workers.map([1, -1, 1])
    assert workers.map([1, 1]) == [os.getpid()] * 2


@pytest.mark.usefixtures("alone")
def test_a_process_made_of_the_owner_does_not_wait_for_the_owners_copies() -> None:
    workers = WorkerPool(whoami, ["tool"] * 2, copied=True)
    workers.map(range(4), greeting="hello")
    first = pids(workers)
    readable, writable = os.pipe()
    if not (child := os.fork()):
        second = {pid for pid, _, _ in workers.map(range(4), greeting="hello")}
        os.write(writable, b"same" if second & {*first, os.getpid()} else b"other")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(readable, 9) == b"other"
    os.close(readable)
    os.close(writable)


@pytest.mark.skipif(not copies_work(), reason="copies are not made on such a machine")
def test_no_copy_outlives_a_killed_owner() -> None:
    owner, copies = owner_at_work()
    owner.kill()
    owner.communicate()
    wait_until(lambda: not any(map(running, copies)))


@pytest.mark.skipif(not copies_work(), reason="copies are not made on such a machine")
def test_an_interrupt_ends_owner_and_copies_without_a_traceback() -> None:
    owner, copies = owner_at_work()
    os.killpg(owner.pid, signal.SIGINT)
    _, errors = owner.communicate(timeout=30)
    assert owner.returncode == 130
    assert errors == ""
    wait_until(lambda: not any(map(running, copies)))


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        (sys, "platform", "darwin"),
        (torch.cuda, "is_initialized", lambda: True),
        (multiprocessing, "current_process", lambda: SimpleNamespace(daemon=True)),
        (os, "fork", no_room),
        (platform, "machine", lambda: "aarch64"),
        (_ExecutorManagerThread, "start", no_thread),
    ],
)
def test_where_copies_are_unsafe_or_impossible_threads_do_the_work(
    module: Any, name: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, value)
    found = WorkerPool(whoami, ["tool"] * 2, copied=True).map(range(3), greeting="hello")
    assert [(pid, text) for pid, text, _ in found] == [(os.getpid(), f"hello tool {i}") for i in range(3)]
    monkeypatch.undo()
    wait_until(lambda: not multiprocessing.active_children())


@pytest.mark.usefixtures("alone")
def test_where_there_is_room_for_one_copy_only_it_does_not_outlive_the_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    fork, made = os.fork, []

    def once() -> int:
        if made:
            no_room()
        made.append(fork())
        return made[0]

    monkeypatch.setattr(os, "fork", once)
    found = WorkerPool(whoami, ["tool"] * 2, copied=True).map(range(3), greeting="hello")
    assert {pid for pid, _, _ in found} == {os.getpid()}
    assert len(made) == 1 and made[0]
    wait_until(lambda: not running(made[0]))


@pytest.mark.usefixtures("alone")
def test_what_a_tool_prepares_at_first_use_is_prepared_once_for_all_copies() -> None:
    def prepare(tool: list[int], item: int) -> tuple[int, int]:
        if not tool:
            tool.append(os.getpid())
        return tool[0], item

    tool: list[int] = []
    assert WorkerPool(prepare, [tool] * 2, copied=True, first=0).map([1, 2, 3]) == [(os.getpid(), i) for i in (1, 2, 3)]


@pytest.mark.usefixtures("alone")
def test_a_first_item_that_fails_does_not_end_the_hope_for_copies() -> None:
    def work(tool: str, item: int, least: int) -> int:
        if item < least:
            raise UserError("too small")
        return os.getpid()

    workers = WorkerPool(work, ["tool"] * 2, copied=True, first=0)
    with pytest.raises(UserError, match="too small"):
        workers.map([1, 2], least=1)
    assert set(workers.map([1, 2], least=0)) <= pids(workers)
