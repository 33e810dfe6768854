"""Seconds of training until a test BLEU: `python -m benchmarks.time_to_bleu --data DIR --json FILE`."""

import argparse
import contextlib
import io
import sys
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, Timer
from sacrebleu.metrics import BLEU

import train
from benchmarks.child import Child
from benchmarks.huggingface import MarianTraining, faster_attention, generate
from benchmarks.machine import now, report
from benchmarks.trainer import prepare
from data.module import TranslationData
from errors import UserError, one_sentence
from training.memory import keep_few_kernels, keep_freed_memory
from training.module import TranslationModule
from translation.flags import check_output
from translation.hypothesis import SearchOptions
from translation.translator import BATCH_SIZE, Translator

CHECKS = 20  # measurements of BLEU that a run has time for; only the second half of them is made
# For a run that sees each pair once or twice: many small updates, and no dropout, which prevents overfitting.
SHORT_RUN = ("--data.batch_tokens=1536", "--training.warmup_steps=30", "--model.dropout=0")
MARIAN_BATCH_TOKENS = 4096

Curve = list[tuple[float, float]]  # (seconds of training, test BLEU)


class Stopwatch(Timer):
    """Lightning's Timer without the time that was spent on measuring BLEU; the learning rate follows it."""

    def __init__(self, seconds: float) -> None:
        """Args: seconds, of training, after which the run ends."""
        super().__init__(timedelta(seconds=seconds), verbose=False)
        self.excluded = 0.0

    def time_elapsed(self, *arguments: Any) -> float:
        """Return seconds of training."""
        return max(0.0, super().time_elapsed(*arguments) - self.excluded)


class Checks(Callback):
    """Measures BLEU regularly in the second half of a run, where the learning rate is low, and at its end.

    Attributes:
        curve: what was measured.
    """

    def __init__(self, stopwatch: Stopwatch, folder: Path, seconds: float, target: float) -> None:
        """Args: stopwatch; folder, for checkpoints; seconds, of the run; target, the BLEU that ends it."""
        self.stopwatch, self.folder, self.target = stopwatch, folder, target
        self.every, self.next = seconds / CHECKS, seconds / 2
        self.curve: Curve = []

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure if it is time; stop at the target."""
        elapsed = self.stopwatch.time_elapsed()
        if elapsed >= self.next:
            self.next = elapsed + self.every
            self.measure(trainer)
            trainer.should_stop = trainer.should_stop or self.curve[-1][1] >= self.target

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measure the end of the run, where the learning rate is zero."""
        if not self.curve or self.curve[-1][1] < self.target:
            self.measure(trainer)

    def measure(self, trainer: L.Trainer) -> None:
        """Translate the test set with beam 4, as users do, and add a point to the curve."""
        elapsed, start = self.stopwatch.time_elapsed(), now()
        checkpoint = self.folder / "now.ckpt"
        trainer.save_checkpoint(checkpoint)
        sources, references = trainer.datamodule.texts("test")  # type: ignore[attr-defined]
        with contextlib.redirect_stderr(io.StringIO()):  # warnings about translations that the length limit ended
            translations = Translator.load(checkpoint, "ctranslate2").translate(sources)
        self.curve.append((elapsed, score(elapsed, translations, references)))
        self.stopwatch.excluded += now() - start


def score(elapsed: float, translations: list[str], references: list[str]) -> float:
    """Return BLEU, and print it."""
    bleu = BLEU().corpus_score(translations, [references]).score
    print(f"{elapsed:.0f} s: BLEU {bleu:.1f}", file=sys.stderr)
    return bleu


def train_ours(path: Path, seconds: float, target: float) -> Curve:
    """Train as `train.py` does, for `seconds` or until the target."""
    keep_freed_memory()
    keep_few_kernels()
    with tempfile.TemporaryDirectory() as name:
        settings, made = prepare(path, *SHORT_RUN)
        made.data.load()
        trainer = train.make_trainer(settings, Path(name), first_step=0)
        stopwatch = Stopwatch(seconds)
        checks = Checks(stopwatch, Path(name), seconds, target)
        trainer.callbacks += [stopwatch, checks]  # type: ignore[attr-defined]
        trainer.fit(TranslationModule(made.model, made.training), made.data)
        return checks.curve


def train_marian(connection: Connection, path: Path, seconds: float, target: float) -> None:
    """Train MarianMT in float32, for `seconds` or until the target; answers the first request by the curve."""
    made = prepare(path, f"--data.batch_tokens={MARIAN_BATCH_TOKENS}")[1]
    data: TranslationData = made.data
    batches = data.train_dataloader()
    sources, references = data.texts("test")
    training = MarianTraining(made.model, batches, "float32", faster_attention(made.model, batches, "float32"))
    connection.send(None)
    connection.recv()
    curve: Curve = []
    elapsed, next_check = 0.0, seconds / 2
    while elapsed < seconds and not (curve and curve[-1][1] >= target):
        start = now()
        training.step()
        elapsed += now() - start
        if elapsed >= min(next_check, seconds):
            next_check = elapsed + seconds / CHECKS
            translations = generate(training.model.eval(), data.tokenizer, sources, SearchOptions(), BATCH_SIZE)
            training.model.train()
            curve.append((elapsed, score(elapsed, translations, references)))
    connection.send(curve)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train until the BLEU is reached, or the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train, val and test in fr and en")
    parser.add_argument("--json", type=Path, help="file for rows and figures")
    parser.add_argument("--bleu", type=float, default=33.5, help="of the test set, beam 4")
    parser.add_argument("--seconds", type=float, default=100, help="of our training; the learning rate ends at zero")
    marian = "of training Hugging Face MarianMT after ours (default: it is not trained)"
    parser.add_argument("--marian_seconds", type=float, default=0, help=marian)
    flags = parser.parse_args(arguments)
    check_output("--json", flags.json)
    if flags.seconds <= 0 or flags.marian_seconds < 0:
        raise UserError("--seconds must be above 0, and --marian_seconds at least 0")
    curves = {"this project": train_ours(flags.data, flags.seconds, flags.bleu)}
    if flags.marian_seconds:
        child = Child(train_marian, flags.data, flags.marian_seconds, flags.bleu)
        curves["marian_float32"] = child.ask(None)

    rows: list[dict[str, Any]] = []
    figures: dict[str, Sequence[float]] = {}
    for system, curve in curves.items():
        reached = next((elapsed for elapsed, bleu in curve if bleu >= flags.bleu), None)
        if reached is not None:
            figures[f"time_to_bleu/{system.replace(' ', '_')}"] = [reached]
        rows.append(
            {
                "system": system,
                f"seconds to BLEU {flags.bleu}": "not reached" if reached is None else round(reached, 1),
                "last BLEU": round(curve[-1][1], 2),
                "after seconds": round(curve[-1][0], 1),
                "curve": [[round(elapsed, 1), round(bleu, 2)] for elapsed, bleu in curve],
            }
        )
    report("Seconds of training until a test BLEU, beam 4", rows, figures, flags.json)


if __name__ == "__main__":
    with one_sentence():
        main()
