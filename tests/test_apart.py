"""A contestant of a benchmark in a process of its own."""

import multiprocessing
import os
import time

import pytest

from benchmarks.apart import Apart


class Place:
    def __init__(self, name: str) -> None:
        self.name = name

    def tell(self, greeting: str) -> tuple[int, str]:
        return os.getpid(), f"{greeting} {self.name}"

    def work_of_a_child(self) -> int | None:
        child = multiprocessing.get_context("spawn").Process(target=os.getpid)
        child.start()
        child.join(60)
        return child.exitcode


def test_it_answers_has_children_and_ends_with_its_last_user() -> None:
    there = Apart(Place, "there", keeps_memory=True)
    pid, answer = there.do("tell", "hello")
    assert answer == "hello there" and pid != os.getpid()
    assert there.do("work_of_a_child") == 0  # of a daemon it would be refused
    del there
    deadline = time.monotonic() + 30
    while pid in {child.pid for child in multiprocessing.active_children()}:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_fails_there_fails_here(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(EOFError):
        Apart(Place, keeps_memory=False)
    assert "missing 1 required positional argument: 'name'" in capfd.readouterr().err
