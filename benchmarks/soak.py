"""Translate and train for an hour and watch the memory: `python -m benchmarks.soak --data DIR --minutes 60`."""

import argparse
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import lightning as L
from matplotlib.figure import Figure

from benchmarks.memory import held
from benchmarks.trainer import bare_trainer
from data.module import TranslationData
from errors import one_sentence
from model.module import TranslationModule
from translate import Translator, newest_checkpoint, read_lines


def resident() -> int:
    """Bytes of memory that this process and its copies hold now."""
    return sum(held(os.getpid()))


class Watch(L.Callback):
    """Note the memory once in a while."""

    def __init__(self, name: str, every: float) -> None:
        self.name, self.every, self.start, self.rows = name, every, time.monotonic(), [(0.0, resident())]

    def look(self) -> float:
        """Note the memory if it is time; return the minutes since the start."""
        minutes = (time.monotonic() - self.start) / 60
        if minutes - self.rows[-1][0] >= self.every:
            self.rows.append((minutes, resident()))
            print(f"{self.name} {minutes:6.1f} min  {self.rows[-1][1] / 2**20:8.0f} MiB", flush=True)
        return minutes

    def on_train_batch_end(self, *_: Any) -> None:
        """Look."""
        self.look()


def translate(watch: Watch, flags: argparse.Namespace) -> None:
    """Translate the test set again and again."""
    translator = Translator.load(flags.checkpoint or newest_checkpoint())
    with (flags.data / "test.fr").open("rb") as stream:
        lines = list(read_lines(stream, "test.fr"))
    while watch.look() < flags.minutes:
        for start in range(0, len(lines), 256):
            translator.translate(lines[start : start + 256])
            watch.look()


def train(watch: Watch, flags: argparse.Namespace) -> None:
    """Train the shape of configs/multi30k.yaml, validations left out."""
    data = TranslationData(str(flags.data), batch_tokens=3072)
    trainer = bare_trainer(watch, max_time={"seconds": int(60 * flags.minutes)})
    trainer.fit(TranslationModule(8000), data)


JOBS = {"translating": translate, "training": train}


def do(name: str, flags: argparse.Namespace) -> list[tuple[float, int]]:
    """Do one of JOBS; return minutes and bytes."""
    watch = Watch(name, flags.minutes / 60)
    JOBS[name](watch, flags)
    return watch.rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Watch both, at the same time, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train, val and test in .fr and .en")
    parser.add_argument(
        "--checkpoint", type=Path, help="file of a trained model (default: the newest runs/*/best.ckpt)"
    )
    parser.add_argument("--minutes", type=float, default=60, help="of both")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--plot", type=Path, help="PNG file for the curves")
    flags = parser.parse_args(arguments)
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    found = {}
    with ProcessPoolExecutor(len(JOBS), get_context("spawn")) as pool:
        for name, rows in zip(JOBS, pool.map(do, JOBS, [flags] * len(JOBS)), strict=True):
            minutes, memory = zip(*rows, strict=True)
            axes.plot(minutes, [m / 2**20 for m in memory], label=name)
            tenth = memory[max(1, len(memory) // 10)]
            found[name] = {"minutes": minutes, "bytes": memory, "end_over_first_tenth": memory[-1] / tenth}
            print(f"{name}: memory at the end is {memory[-1] / tenth:.2f} times that after a tenth of the time")
    axes.set(xlabel="minutes", ylabel="resident memory, MiB", ylim=(0, None))
    axes.legend(loc="lower right")
    if flags.plot:
        figure.savefig(flags.plot, dpi=150)
    if flags.json:
        flags.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    with one_sentence():
        main()
