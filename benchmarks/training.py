"""Training speed beside Hugging Face MarianMT: `python -m benchmarks.training --data DIR --json FILE`."""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

import train
from benchmarks.child import Child, Turns
from benchmarks.huggingface import MarianTraining, faster_attention
from benchmarks.machine import device, report
from benchmarks.trainer import prepare
from errors import UserError, one_sentence
from training.hardware import has_bf16_matmul
from training.memory import keep_few_kernels, keep_freed_memory
from training.module import TranslationModule
from translation.flags import check_output

STEPS = 3  # of one turn
OURS = "this project"


class TurnsOfTrainer(Callback):
    """Makes a Lightning training take turns."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Wait for the first turn."""
        self.turns = Turns(self.connection)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count a step."""
        self.turns.step_done(batch.n_tokens)


def train_ours(
    connection: Connection,
    path: Path,
    kind: type[TranslationModule] = TranslationModule,
    *,
    keeps_memory: bool = True,
    limits_kernels: bool = True,
) -> None:
    """Train as `train.py` does, in its default precision, without validations: the target of a `Child`.

    Args:
        connection: of the child.
        path: folder of the corpus.
        kind: the Lightning module.
        keeps_memory: whether `keep_freed_memory` is called, as `train.py` does.
        limits_kernels: whether `keep_few_kernels` is called, as `train.py` does.
    """
    if keeps_memory:
        keep_freed_memory()
    if limits_kernels:
        keep_few_kernels()
    with tempfile.TemporaryDirectory() as folder:
        settings, made = prepare(path)
        trainer = train.make_trainer(settings, Path(folder), first_step=0)
        trainer.callbacks.append(TurnsOfTrainer(connection))  # type: ignore[attr-defined]
        trainer.fit(kind(made.model, made.training), made.data)


def train_marian(connection: Connection, path: Path, precision: str, keeps_memory: bool) -> None:
    """Train MarianMT with the faster of its attentions: the target of a `Child`."""
    if keeps_memory:
        keep_freed_memory()
    made = prepare(path)[1]
    attention = faster_attention(made.model, made.data.train_dataloader(), precision)
    print(f"Marian, {precision}: {attention} attention is the faster one", file=sys.stderr)
    training = MarianTraining(made.model, made.data.train_dataloader(), precision, attention)
    turns = Turns(connection)
    while True:
        turns.step_done(training.step())


def main(arguments: Sequence[str] | None = None) -> None:
    """Let all trainings take turns on the same batches."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train, val and test in fr and en")
    parser.add_argument("--json", type=Path, help="file for rows and figures")
    parser.add_argument("--rounds", type=int, default=10, help="turns of each system after one to warm up")
    flags = parser.parse_args(arguments)
    check_output("--json", flags.json)
    if flags.rounds < 1:
        raise UserError(f"--rounds must be at least 1, not {flags.rounds}")
    prepare(flags.data)[1].data.load()  # fills the cache of prepared corpora before the children read it

    has_bf16 = has_bf16_matmul(device().type)
    systems: dict[str, tuple[str, Callable[..., None], tuple[Any, ...]]] = {
        OURS: ("bfloat16" if has_bf16 else "float32", train_ours, (flags.data,))
    }
    for precision in ("float32", "bfloat16") if has_bf16 else ("float32",):
        systems[f"marian_{precision}"] = (precision, train_marian, (flags.data, precision, False))
        if device().type == "cpu":
            systems[f"marian_{precision}_kept_memory"] = (precision, train_marian, (flags.data, precision, True))

    children = {name: Child(target, *settings) for name, (_, target, settings) in systems.items()}
    speeds: dict[str, list[float]] = {name: [] for name in systems}  # target tokens/s of each round
    for number in range(flags.rounds + 1):
        print(f"round {number} of {flags.rounds}", file=sys.stderr)  # round 0 is not counted
        for name, child in children.items():
            n_tokens, seconds = child.ask(STEPS)
            if number:
                speeds[name].append(n_tokens / seconds)
    rows = [
        {
            "system": name,
            "precision": precision,
            "tokens/s": round(statistics.median(speeds[name])),
            "peak MB": children[name].peak_memory(),
        }
        for name, (precision, _, _) in systems.items()
    ]
    figures: dict[str, Sequence[float]] = {
        f"training/{name}": [ours / theirs for ours, theirs in zip(speeds[OURS], speeds[name], strict=True)]
        for name in systems
        if name != OURS
    }
    report("Training, target tokens per second", rows, figures, flags.json)


if __name__ == "__main__":
    with one_sentence():
        main()
