"""Seconds of training until a test BLEU: `python -m benchmarks.time_to_bleu --data DIR --json FILE`."""

import argparse
import sys
import warnings
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, Timer
from sacrebleu.metrics import BLEU

sys.path.insert(0, str(Path(__file__).parent.parent))  # so that `python benchmarks/time_to_bleu.py` works too

from benchmarks.huggingface import PEERS_LENGTH_PENALTY, MarianTraining, fastest_attention, generate
from benchmarks.machine import now, product_rates, report
from benchmarks.trainer import bare_trainer
from data.module import TranslationData
from errors import UserError, one_sentence
from model.module import TranslationModule
from translate import Translator

CHECKS = 20  # times that BLEU is measured in a run
# Of a run that sees each pair about once: many small updates, and nothing that slows learning to prevent overfitting.
# BLEU after 100 s: 31.2 with batches of 2,048 and dropout 0.1, 36.4 without dropout, 36.7 with batches of 1,536.
BATCH_TOKENS, BRIEF = 1536, {"warmup_steps": 30, "dropout": 0.0}


class Stopwatch(Timer):
    """Training time alone: it stands still while BLEU is measured, and the learning rate follows it."""

    def __init__(self, seconds: float) -> None:
        """Args: seconds, after which training ends."""
        super().__init__(timedelta(seconds=seconds), verbose=False)
        self.stood_still = 0.0

    def time_elapsed(self, *arguments: Any) -> float:
        """Return seconds of training."""
        return max(0.0, super().time_elapsed(*arguments) - self.stood_still)


class Checks(Callback):
    """Measure BLEU at regular times of the second half of a run, where a falling learning rate brings it."""

    def __init__(self, stopwatch: Stopwatch, data: TranslationData, seconds: float, target: float) -> None:
        """Args: stopwatch, of the run; data; seconds, its length; target, the BLEU that ends it."""
        self.stopwatch, self.data, self.target = stopwatch, data, target
        self.every, self.next = seconds / CHECKS, seconds / 2
        self.curve: list[tuple[float, float]] = []

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure when it is time."""
        if (elapsed := self.stopwatch.time_elapsed()) < self.next:
            return
        self.next = elapsed + self.every
        if self.measure(elapsed, pl_module):
            trainer.should_stop = True

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measure the end, where the learning rate is zero."""
        if not self.curve or self.curve[-1][1] < self.target:
            self.measure(self.stopwatch.time_elapsed(), pl_module)

    def measure(self, elapsed: float, pl_module: Any) -> bool:
        """Translate the test set with beam 4, as users do; return whether the target is reached."""
        start = now()
        sources, references = self.data.texts("test")
        found = Translator(pl_module.model, self.data.tokenizer, dict(self.data.hparams)).translate(sources)
        pl_module.train()
        self.curve.append((elapsed, score(found, references)))
        self.stopwatch.stood_still += now() - start
        return self.curve[-1][1] >= self.target


def score(found: list[str], references: list[str]) -> float:
    """Return BLEU, and say it."""
    bleu = BLEU().corpus_score(found, [references]).score
    print(f"BLEU {bleu:.1f}", file=sys.stderr)
    return bleu


def main(arguments: Sequence[str] | None = None) -> None:
    """Train until the BLEU is reached, or the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train, val and test in fr and en")
    parser.add_argument("--json", type=Path, help="file for rows and ratios")
    parser.add_argument("--bleu", type=float, default=33.5, help="on the test split, beam 4")
    parser.add_argument("--seconds", type=float, default=100, help="of our training; the learning rate is zero then")
    parser.add_argument(
        "--peer_seconds", type=float, default=0, help="of Hugging Face MarianMT's, 600 or more; 0: none"
    )
    flags = parser.parse_args(arguments)
    if flags.seconds <= 0 or flags.peer_seconds < 0:
        raise UserError("--seconds must be above 0, and --peer_seconds at least 0")
    data = [TranslationData(str(flags.data), vocab_size=8000, batch_tokens=n) for n in (BATCH_TOKENS, 4096)]
    for each in data:
        each.load()
    rates = product_rates()
    curves = {"this project": train_ours(data[0], flags.seconds, flags.bleu)}
    if flags.peer_seconds:
        curves["HF Marian, float32"] = train_peer(data[1], flags.peer_seconds, flags.bleu)
    rows = []
    for system, curve in curves.items():
        seconds = next((elapsed for elapsed, bleu in curve if bleu >= flags.bleu), None)
        rows.append(
            {
                "system": system,
                "target_bleu": flags.bleu,
                "seconds": seconds and round(seconds, 1),
                "best_bleu": round(max(bleu for _, bleu in curve), 2),
                "machine_float32_gflops": round(rates.float32, 1),
                "machine_bfloat16_gflops": round(rates.bfloat16, 1),
                "curve": [[round(elapsed, 1), round(bleu, 2)] for elapsed, bleu in curve],
            }
        )
    times = [values["seconds"] for values in rows]
    ratios = {"time_to_bleu/hf_marian_float32": times[0] / times[1]} if len(times) == 2 and all(times) else {}
    report(f"Seconds of training until test BLEU {flags.bleu}, beam 4", rows, ratios, flags.json)


def train_ours(data: TranslationData, seconds: float, target: float) -> list[tuple[float, float]]:
    """Train as `train.py` does; return (seconds, BLEU) where it was measured."""
    warnings.filterwarnings("ignore", module="lightning")
    stopwatch = Stopwatch(seconds)
    checks = Checks(stopwatch, data, seconds, target)
    trainer = bare_trainer(stopwatch, checks)
    trainer.fit(TranslationModule(vocab_size=8000, **BRIEF), train_dataloaders=data.train_dataloader())
    return checks.curve


def train_peer(data: TranslationData, seconds: float, target: float) -> list[tuple[float, float]]:
    """Train MarianMT; return (seconds, BLEU) where it was measured."""
    like, batches = TranslationModule(vocab_size=8000).model, data.train_dataloader()
    peer = MarianTraining(like, batches, "float32", fastest_attention(like, batches, "float32", seconds=5))
    sources, references = data.texts("test")
    curve: list[tuple[float, float]] = []
    elapsed = 0.0
    while elapsed < seconds:
        start = now()
        peer.train(seconds / CHECKS)
        elapsed += now() - start
        if elapsed >= seconds / 2:
            found = generate(peer.model.eval(), data.tokenizer, sources, 4, PEERS_LENGTH_PENALTY, batch_tokens=2048)
            curve.append((elapsed, score(found, references)))
            if curve[-1][1] >= target:
                break
    return curve


if __name__ == "__main__":
    with one_sentence():
        main()
