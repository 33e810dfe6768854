"""Starting the programs, in a new Python as a user does or in a fork, which is faster."""

import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
SETTINGS = {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
SECONDS = 300  # time limit of a program

Done = subprocess.CompletedProcess[str]


def start(program: str | Path, *arguments: str | Path, cwd: Path) -> Done:
    """Run a program in a new Python: a file of this project, or `-m` and a module."""
    command = [sys.executable, program if program == "-m" else ROOT / program, *arguments]
    environment = os.environ | SETTINGS
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, encoding="utf-8", timeout=SECONDS)


def run(program: str | Path, *arguments: str | Path, cwd: Path, stdin: bytes = b"") -> Done:
    """Run a file in a fork of a process that has imported everything, since imports take most of a program's time.

    Unlike a new Python, the fork has the same hash seed as all other forks, runs no `atexit` functions, has the tests'
    folder on its path, and read variables such as OMP_NUM_THREADS before it was forked.
    """
    from benchmarks.faults import forked  # not earlier: this imports `datasets`, which reads where its cache is

    with tempfile.TemporaryDirectory() as name:
        streams = [Path(name) / stream for stream in ("stdin", "stdout", "stderr")]
        for stream in streams:
            stream.write_bytes(stdin if stream.stem == "stdin" else b"")
        words = [str(ROOT / program), *map(str, arguments)]
        process = forked(become, words, cwd, streams, os.environ | SETTINGS)
        process.start()
        try:
            process.join(SECONDS)
            code = process.exitcode
        finally:
            process.kill()  # also if the tests are interrupted
            process.join()
        out, err = (stream.read_text(encoding="utf-8") for stream in streams[1:])
        assert code is not None, f"{words} took more than {SECONDS} seconds: {err}"
        return Done(words, code, out, err)


def become(words: Sequence[str], cwd: Path, streams: Sequence[Path], environment: dict[str, str]) -> None:
    """Run a program in this process, with files as stdin, stdout and stderr."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for number, stream in enumerate(streams):
        os.dup2(os.open(stream, os.O_RDWR), number)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.argv = list(words)
    runpy.run_path(words[0], run_name="__main__")
