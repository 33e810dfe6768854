"""Does memory grow with the corpus? `python -m benchmarks.corpus_size --pairs 50000 5000000 --json FILE`.

Writes generated pairs to the disk and trains on them twice, each time in a new process: the first start cleans and
cuts the text into an empty cache, the second finds it there. A third start streams. Memory is that of the process and
its children together, pages that they share counted once, read from /proc (Linux) ten times a second: `peak` is what
nobody else can use, `mapped` adds pages of the cache's files, which the system takes back when it needs them.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import lightning as L
from rich.console import Console
from rich.table import Table

from benchmarks.memory import peak_of
from data.module import TranslationData
from data.phrasebook import Grammar
from model.module import TranslationModule

ROOT = Path(__file__).parent.parent
STARTS = {"first": [], "second": [], "streaming": ["--streaming"]}


def pairs() -> Iterator[tuple[str, str]]:
    """Yield as many different pairs as anyone wants: two sentences of the phrasebook each."""
    grammar = Grammar(seed=1)
    pool = list({row["fr"]: row["en"] for row in (grammar.sentence() for _ in range(5000))}.items())
    for shift in range(len(pool)):
        for i in range(len(pool)):
            (fr, en), (more_fr, more_en) = pool[i], pool[(i * 7 + shift) % len(pool)]
            yield f"{fr} {more_fr}", f"{en} {more_en}"


def write(folder: Path, n: int) -> None:
    """Write train.fr and train.en of n pairs."""
    folder.mkdir()
    with (
        (folder / "train.fr").open("w", encoding="utf-8") as fr,
        (folder / "train.en").open("w", encoding="utf-8") as en,
    ):
        for left, right in islice(pairs(), n):
            fr.write(left + "\n")
            en.write(right + "\n")


def train(folder: Path, steps: int, streaming: bool) -> None:
    """Train a small model for some steps, and print the time of day at the first."""

    class FirstStep(L.Callback):
        def on_train_batch_start(self, trainer: L.Trainer, *_: object) -> None:
            if trainer.global_step == 0:
                print(time.time())

    data = TranslationData(path=str(folder), vocab_size=2000, batch_tokens=4096, streaming=streaming)
    model = TranslationModule(vocab_size=2000, d_model=128, n_encoder_layers=2, n_decoder_layers=2, d_ff=512)
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=steps,
        limit_val_batches=0,
        use_distributed_sampler=False,
        callbacks=[FirstStep()],
        **quiet,
    )
    trainer.fit(model, data)


def measure(folder: Path, cache: Path, steps: int, flags: list[str]) -> dict[str, float]:
    """Train in a process of its own and watch it."""
    command = [sys.executable, "-m", "benchmarks.corpus_size", "--train", str(folder), "--steps", str(steps), *flags]
    began = time.time()
    environment = os.environ | {"HF_DATASETS_CACHE": str(cache)}
    own, whole, printed = peak_of(command, env=environment, cwd=ROOT)
    return {"peak_mb": own / 1e6, "mapped_mb": whole / 1e6, "seconds_to_first_step": float(printed.split()[0]) - began}


def main() -> None:
    """Measure each size, print a table, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, nargs="+", default=[50_000, 5_000_000], help="sizes of the corpus")
    parser.add_argument("--steps", type=int, default=100, help="updates in each start")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)  # what a process of its own does
    parser.add_argument("--streaming", action="store_true", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.train:
        return train(flags.train, flags.steps, flags.streaming)

    figures: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for n in flags.pairs:
            folder = Path(scratch) / f"{n}"
            write(folder, n)
            figures[str(n)] = {
                name: measure(folder, Path(scratch) / f"cache-{n}", flags.steps, more) for name, more in STARTS.items()
            }
    table = Table("pairs", "start", "peak MB", "with mapped files MB", "ratio of peaks", "seconds to first step")
    base = figures[str(flags.pairs[0])]
    for n, starts in figures.items():
        for name, row in starts.items():
            row["ratio"] = row["peak_mb"] / base[name]["peak_mb"]
            shown = f"{row['peak_mb']:.0f}", f"{row['mapped_mb']:.0f}", f"{row['ratio']:.2f}"
            table.add_row(f"{int(n):,}", name, *shown, f"{row['seconds_to_first_step']:.0f}")
    Console().print(table)
    if flags.json:
        flags.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
