"""How cost grows with length, batch, width and corpus: `python -m benchmarks.growth --json FILE --plot FILE`."""

import argparse
import logging
import multiprocessing
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch.utils.data import DataLoader

sys.path.insert(0, str(Path(__file__).parent.parent))  # so that `python benchmarks/growth.py` works too

from benchmarks.machine import Turn, device, forward_flops, now, product_rates, report
from benchmarks.memory import peak_memory
from benchmarks.trainer import bare_trainer
from data.batching import Batch
from data.module import TranslationData
from data.phrasebook import Grammar
from errors import UserError, one_sentence
from model import search
from model.module import TranslationModule
from model.search import translation_step
from model.transformer import BOS, EOS, UNK

VOCAB_SIZE = 8000
LENGTHS = (10, 25, 50, 100, 200)  # tokens of a sentence
BATCHES = (1, 4, 16, 64, 256)  # sentences in a batch
WIDTHS = (64, 128, 256, 512, 1024)  # d_model
CORPORA = (1_000, 10_000, 100_000)  # pairs
LENGTH, BATCH, WIDTH, BATCH_TOKENS = 25, 64, 256, 4096  # what stays while another varies


class Until(Callback):
    """End training after some seconds, the first step not counted."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.tokens, self.start, self.passed = seconds, 0, 0.0, 0.0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count, and stop when it is time."""
        if not self.start:
            self.start = now()
            return
        self.tokens += batch.n_tokens
        self.passed = now() - self.start
        if self.passed >= self.seconds:
            trainer.should_stop = True


def network(width: int) -> TranslationModule:
    """Build the compared model, or one of another width; heads stay 64 wide, as in the paper."""
    return TranslationModule(VOCAB_SIZE, width, max(1, width // 64), d_ff=4 * width).to(device())


def random_ids(rows: int, length: int) -> torch.Tensor:
    """Draw sentences of exactly this length, the end mark last (B, S)."""
    ids = torch.randint(UNK + 1, VOCAB_SIZE, (rows, length))
    ids[:, -1] = EOS
    return ids


def training(rows: int, length: int, width: int, seconds: float) -> Turn:
    """Train on one batch again and again, as `train.py` does."""
    src = random_ids(rows, length)
    tgt = torch.cat((torch.full((rows, 1), BOS), src), dim=1)
    batches: Any = [Batch(torch.arange(rows), src, tgt, src.numel())] * 1000
    rates, until = product_rates(), Until(seconds)
    trainer = bare_trainer(until)
    trainer.fit(network(width), train_dataloaders=DataLoader(batches, batch_size=None))
    return Turn(until.tokens, until.passed, rates)


def translation(rows: int, length: int, width: int, seconds: float) -> Turn:
    """Search greedily for translations as long as their sources; untrained weights hardly ever end one sooner."""
    model, src = network(width).model.eval(), random_ids(rows, length).to(device())
    rates, tokens, start = product_rates(), 0, now()
    while (passed := now() - start) < seconds or not tokens:
        with torch.inference_mode():
            found = search(translation_step(model, src), torch.full((rows,), length), device=device())
        tokens += sum(len(hypotheses[0].tokens) for hypotheses in found)
    return Turn(tokens, passed, rates)


def measure(axis: str, value: int, rows: int, length: int, width: int, seconds: float) -> list[dict[str, Any]]:
    """Train and translate at one point of an axis."""
    flops = forward_flops(network(width).model, [length], [length]) / length
    table = []
    for task, work, cost in (("training", training, 3 * flops), ("translation, greedy", translation, flops)):
        turn = work(rows, length, width, seconds)
        table.append(
            {
                "axis": axis,
                "value": value,
                "task": task,
                "tokens_per_second": round(turn.speed, 1),
                "gflops": round(turn.speed * cost / 1e9, 1),
                "machine_float32_gflops": round(turn.rates.float32, 1),
                "machine_bfloat16_gflops": round(turn.rates.bfloat16, 1),
            }
        )
    return table


def alone(axis: str, value: int, *arguments: Any) -> list[dict[str, Any]]:
    """Measure in a process of its own, so that the peak of memory belongs to this point alone."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        work = measure_corpus if axis == "corpus" else measure
        return process.submit(with_memory, work, axis, value, *arguments).result()


def with_memory(work: Callable[..., list[dict[str, Any]]], *arguments: Any) -> list[dict[str, Any]]:
    """Add the peak of this process to each row."""
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    return [values | {"peak_mb": peak_memory()} for values in work(*arguments)]


def measure_corpus(axis: str, pairs: int, seconds: float) -> list[dict[str, Any]]:
    """Prepare a corpus of so many pairs, and read one epoch of it."""
    with tempfile.TemporaryDirectory() as folder:
        grammar = Grammar(seed=1)
        with (Path(folder) / "train.fr").open("w") as fr, (Path(folder) / "train.en").open("w") as en:
            for number in range(pairs):
                pair = grammar.sentence()
                print(f"{number} {pair['fr']}", file=fr)  # numbers keep them apart
                print(f"{number} {pair['en']}", file=en)
        start = now()
        data = TranslationData(folder, vocab_size=1000, batch_tokens=BATCH_TOKENS)
        data.load()
        prepared = now() - start
        start, tokens = now(), 0
        for batch in data.train_dataloader():
            tokens += batch.n_tokens
        read = now() - start
    return [
        {"axis": axis, "value": pairs, "task": "preparing", "seconds": round(prepared, 1)},
        {"axis": axis, "value": pairs, "task": "reading", "tokens_per_second": round(tokens / read, 1)},
    ]


def plot(rows: list[dict[str, Any]], file: Path) -> None:
    """Draw throughput against each axis, both on scales where a power is a straight line."""
    from matplotlib.figure import Figure

    axes = {"length": "tokens in a sentence", "batch": "sentences in a batch", "width": "d_model", "corpus": "pairs"}
    figure = Figure(figsize=(14, 4), layout="constrained")
    for panel, (axis, label) in zip(figure.subplots(1, len(axes)), axes.items(), strict=True):
        chosen = [values for values in rows if values["axis"] == axis]
        for task in dict.fromkeys(values["task"] for values in chosen):
            line = [values for values in chosen if values["task"] == task]
            name = "seconds" if "seconds" in line[0] else "tokens_per_second"
            panel.plot(
                [values["value"] for values in line],
                [values[name] for values in line],
                marker="o",
                label=f"{task}, {name.replace('_per_', '/')}",
            )
        if axis == "corpus":
            values = {values["value"]: values["peak_mb"] for values in chosen}
            panel.plot(list(values), list(values.values()), marker="s", linestyle="--", label="peak memory, MB")
        panel.set(xscale="log", yscale="log", xlabel=label)
        panel.grid(alpha=0.3, which="both")
        panel.xaxis.set_minor_formatter("")
        panel.legend(fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1.0))  # above what it explains
    figure.savefig(file, dpi=120)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure along all four axes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="file for rows")
    parser.add_argument("--plot", type=Path, default=Path("growth.png"), help="picture to write, PNG")
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement")
    flags = parser.parse_args(arguments)
    if flags.seconds <= 0:
        raise UserError("--seconds must be above 0")
    s = flags.seconds
    points: list[tuple[Any, ...]] = []
    points += [("length", length, BATCH_TOKENS // length, length, WIDTH, s) for length in LENGTHS]
    points += [("batch", rows, rows, LENGTH, WIDTH, s) for rows in BATCHES]
    points += [("width", width, BATCH, LENGTH, width, s) for width in WIDTHS]
    points += [("corpus", pairs, s) for pairs in CORPORA]
    with tempfile.TemporaryDirectory() as cache:
        os.environ["HF_DATASETS_CACHE"] = cache  # of the processes that we start: an empty one
        rows = [values for point in points for values in alone(*point)]
    plot(rows, flags.plot)
    report("How throughput grows; peak memory of each point's own process", rows, {}, flags.json)


if __name__ == "__main__":
    with one_sentence():
        main()
