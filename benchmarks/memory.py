"""Peak memory of one translator, on behalf of `translation.py`: arguments are system, model, file and beam size.

A process of its own, which imports only what its translator needs.
"""

import os
import sys
from pathlib import Path


def main(system: str, model: str, file: str, beam_size: str) -> None:
    """Translate the lines of a file and print the most memory held, in MB."""
    texts = Path(file).read_text(encoding="utf-8").splitlines()
    if system == "ours":
        from translate import Translator

        Translator.load(model).translate(texts, beam_size=int(beam_size))
    else:
        from benchmarks.ctranslate import CTranslate, Settings

        translator = CTranslate(Path(model), "float32", Settings.whole_machine(os.cpu_count() or 1))
        translator.translate(texts, int(beam_size), length_penalty=1.0)
    print(peak_memory())


def peak_memory() -> int:
    """Return the most memory that this process has held, in MB.

    Linux's own count for the program: `getrusage` would include what the parent held when it started us.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 // 10**6


if __name__ == "__main__":
    main(*sys.argv[1:])
