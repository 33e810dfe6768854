"""The programs, started as a user starts them, or sooner."""

import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
SETTINGS = {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
SECONDS = 300  # that a program may take

Done = subprocess.CompletedProcess[str]


def start(*arguments: str | Path, cwd: Path) -> Done:
    """Run one of the programs, a file or `-m` and a room, in a new Python, as a user does."""
    command = [sys.executable, *words_of(arguments)]
    environment = os.environ | SETTINGS
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, encoding="utf-8", timeout=SECONDS)


def run(*arguments: str | Path, cwd: Path, stdin: bytes = b"") -> Done:
    """Do the same in a fork of a process that has imported everything, which is what most programs take longest for."""
    from benchmarks.faults import forked  # not earlier: it imports `datasets`, which looks where its cache is

    with tempfile.TemporaryDirectory() as name:
        streams = [Path(name) / stream for stream in ("stdin", "stdout", "stderr")]
        for stream in streams:
            stream.write_bytes(stdin if stream.stem == "stdin" else b"")
        words = words_of(arguments)
        process = forked(become, words, cwd, streams)
        process.start()
        process.join(SECONDS)
        code = process.exitcode
        process.kill()  # what goes on after that
        out, err = (stream.read_text(encoding="utf-8") for stream in streams[1:])
        assert code is not None, f"{words} took more than {SECONDS} seconds: {err}"
        return Done(words, code, out, err)


def words_of(arguments: Sequence[str | Path]) -> list[str]:
    """Write a command for Python, whatever folder it is called in."""
    program = "-m" if arguments[0] == "-m" else str(ROOT / arguments[0])
    return [program, *map(str, arguments[1:])]


def become(words: Sequence[str], cwd: Path, streams: Sequence[Path]) -> None:
    """Be a program; stdin, stdout and stderr are files."""
    os.chdir(cwd)
    os.environ.update(SETTINGS)
    for number, stream in enumerate(streams):
        os.dup2(os.open(stream, os.O_RDWR), number)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.argv = words[words[0] == "-m" :]
    if words[0] == "-m":
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")
