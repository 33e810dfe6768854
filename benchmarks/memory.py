"""How much memory processes hold, and a translator to be watched: arguments are system, model, file and beam size.

A program of its own, which imports only what its translator needs.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def main(system: str, model: str, file: str, beam_size: str) -> None:
    """Translate the lines of a file."""
    texts = Path(file).read_text(encoding="utf-8").splitlines()
    if system == "ours":
        from translate import Translator

        Translator.load(model, "cpu").translate(texts, beam_size=int(beam_size))
    else:
        from benchmarks.ctranslate import CTranslate, Settings

        # A translator on each core: what is fastest with beam 4 where it was measured, and how copies of ours work.
        settings = Settings(len(os.sched_getaffinity(0)), 1, 1024)
        CTranslate(Path(model), "float32").translate(texts, settings, int(beam_size), length_penalty=1.0)


def held(pid: int) -> tuple[int, int]:
    """Return the bytes that a process and its descendants hold, as Linux counts them.

    Returns:
        what nobody else can use, with pages that they share counted once; pages of mapped files, such as programs and
        caches, of the process that has most of these. (0, 0) if it has ended.
    """
    sizes = {"Rss": 0, "Anonymous": 0, "Pss_Anon": 0}
    children: list[int] = []
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, *value = line.split()
            if name.rstrip(":") in sizes:
                sizes[name.rstrip(":")] = 1024 * int(value[0])
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (task / "children").read_text().split())
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    below = [held(child) for child in children]
    own = sizes["Pss_Anon"] + sum(own for own, _ in below)
    return own, max([sizes["Rss"] - sizes["Anonymous"], *(files for _, files in below)])


def peak_of(command: Sequence[str], **options: Any) -> tuple[int, int, str]:
    """Run a program and look at its memory ten times a second.

    Args:
        command: program and arguments.
        options: of `subprocess.Popen`.

    Returns:
        most bytes that nobody else could use; most bytes with mapped files; what it printed.

    Raises:
        SystemExit: it failed.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
    own = whole = 0
    while process.poll() is None:
        now, files = held(process.pid)
        own, whole = max(own, now), max(whole, now + files)
        time.sleep(0.1)
    out = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed with exit code {process.returncode}")
    return own, whole, out


def peak_memory() -> int:
    """Return the most memory that this process has held, in MB.

    Linux's own count for the program: `getrusage` would include what the parent held when it started us.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 // 10**6


if __name__ == "__main__":
    main(*sys.argv[1:])
