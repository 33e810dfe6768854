"""Translate thousands of texts that nobody would type: `python -m benchmarks.fuzz --checkpoint FILE --cases 10000`."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, given, settings

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from test_fuzz import every_line_has_its_own, lines

from benchmarks.soak import resident
from errors import one_sentence
from translate import Translator, newest_checkpoint


def main(arguments: Sequence[str] | None = None) -> None:
    """Search for a text that breaks a promise; the first one found is shown, shrunk, by a traceback."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--checkpoint", type=Path, help="file of a trained model (default: the newest runs/*/best.ckpt)"
    )
    parser.add_argument("--cases", type=int, default=10_000, help="lists of texts to try")
    flags = parser.parse_args(arguments)
    translator = Translator.load(flags.checkpoint or newest_checkpoint())
    translated = slowest = 0.0

    @settings(max_examples=flags.cases, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(texts=lines)
    def try_one(texts: list[str]) -> None:
        nonlocal translated, slowest
        start = time.monotonic()
        every_line_has_its_own(translator, texts)
        translated += len(texts)
        slowest = max(slowest, (time.monotonic() - start) / len(texts))

    before = resident()
    try_one()
    print(f"{flags.cases:,} cases, {translated:,.0f} lines: no crash, one line for each, blank stays blank")
    print(f"slowest case {slowest:.2f} s a line; resident memory {before / 2**20:.0f} -> {resident() / 2**20:.0f} MiB")
    start = time.monotonic()
    translator.translate(["x" * 1_000_000], beam_size=1)
    print(f"one line of 1 MB without a space: {time.monotonic() - start:.0f} s, {resident() / 2**20:.0f} MiB")


if __name__ == "__main__":
    with one_sentence():
        main()
