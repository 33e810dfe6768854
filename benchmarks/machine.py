"""What the machine can do at this minute, and how programs that share it are compared."""

import importlib.metadata
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table

from model.cores import run_parallel
from model.int8 import largest_weight
from model.linear import has_bf16_products

# Rows, inner and outer width of a product, and how many of them between two looks at the clock: on a processor the
# feed-forward product of the compared model in training; on a GPU one that keeps it busy.
PRODUCTS = {"cpu": (2048, 256, 1024, 1), "cuda": (8192, 4096, 4096, 20)}
PROBE_SECONDS = 0.3
PRECISIONS = {"32": "float32", "bf16": "bfloat16", "int8": "int8"}  # of our translations, by their flag
PACKAGES = ("torch", "lightning", "transformers", "ctranslate2", "sentencepiece")


class Rates(NamedTuple):
    """Billions of floating-point operations a second in matrix products of the two precisions."""

    float32: float
    bfloat16: float


class Turn(NamedTuple):
    """One turn of one contestant: what it got through, in which time, on a machine of which rates."""

    tokens: int
    seconds: float
    rates: Rates

    @property
    def speed(self) -> float:
        """Tokens a second."""
        return self.tokens / self.seconds


def device() -> torch.device:
    """Return where everybody computes: the GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_products(precision: str) -> bool:
    """Say whether the machine has instructions for products of a precision; without them it is no contestant."""
    kind = device().type
    if precision == "bfloat16":
        return has_bf16_products(kind)
    return precision != "int8" or (kind == "cpu" and largest_weight() > 0)


def now() -> float:
    """Read the clock, in seconds, when all work handed to a GPU is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def product_rate(dtype: torch.dtype) -> float:
    """Multiply matrices of a model's size for a while, by this thread; return billions of operations a second."""
    n_rows, inner, outer, at_once = PRODUCTS[device().type]
    x = torch.randn(n_rows, inner, dtype=dtype, device=device())
    w = torch.randn(outer, inner, dtype=dtype, device=device())
    F.linear(x, w)  # the first call prepares
    products, start = 0, now()
    while (passed := now() - start) < PROBE_SECONDS:
        for _ in range(at_once):
            F.linear(x, w)
        products += at_once
    return 2 * n_rows * inner * outer * products / passed / 1e9


def product_rates() -> Rates:
    """Measure what the machine can do, as a yardstick: clocks, neighbours and heat change by the minute.

    Each core of a processor multiplies by itself: cores that share a product also wait for each other.
    """
    n = torch.get_num_threads() if device().type == "cpu" else 1
    return Rates(
        *(sum(run_parallel([partial(product_rate, dtype)] * n, n)) for dtype in (torch.float32, torch.bfloat16))
    )


def take_turns(contestants: dict[str, Callable[[], int]], rounds: int) -> dict[str, list[Turn]]:
    """Let everybody work in turn, A, B, ... and again A, B, ..., so that all meet the same machine.

    Args:
        contestants: each does its work once and returns the tokens it got through.
        rounds: turns of each, after one to warm up.
    """
    turns: dict[str, list[Turn]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, work in contestants.items():
            rates, start = product_rates(), now()
            tokens = work()
            if number:
                turns[name].append(Turn(tokens, now() - start, rates))
    return turns


def ratio(ours: Sequence[Turn], theirs: Sequence[Turn]) -> float:
    """Return the median over the rounds of our speed divided by theirs in the same round."""
    return statistics.median(a.speed / b.speed for a, b in zip(ours, theirs, strict=True))


def row(system: str, task: str, precision: str, turns: Sequence[Turn], flops: float, bleu: float) -> dict[str, Any]:
    """Sum up the turns of one contestant.

    Args:
        system, task, precision: who did what, how.
        turns: see `take_turns`.
        flops: floating-point operations that the model needs for one token.
        bleu: quality of what came out.
    """
    speed = statistics.median(turn.speed for turn in turns)
    rates = Rates(*(statistics.median(column) for column in zip(*(turn.rates for turn in turns), strict=True)))
    limit = rates._asdict().get(precision)  # integers and others are not measured
    return {
        "task": task,
        "system": system,
        "precision": precision,
        "tokens_per_second": round(speed, 1),
        "bleu": round(bleu, 2),
        "gflops": round(speed * flops / 1e9, 1),
        "machine_float32_gflops": round(rates.float32, 1),
        "machine_bfloat16_gflops": round(rates.bfloat16, 1),
        "utilisation": round(speed * flops / 1e9 / limit, 3) if limit else None,
        "turns": [round(turn.speed, 1) for turn in turns],
    }


def forward_flops(model: Any, source: Sequence[int], target: Sequence[int], beam_size: int = 1) -> float:
    """Count the floating-point operations of the matrix products that real tokens need; training takes three times it.

    Args:
        model: a `Transformer`, which gives the sizes.
        source, target: tokens of each sentence, target with its end mark.
        beam_size: hypotheses that a search carries for each sentence.
    """
    vocab_size, c = model.embedding.weight.shape
    f = model.encoder[0].feed_forward.expand.out_features
    s, t = sum(source), beam_size * sum(target)
    # Multiply-adds: four projections and two of the feed-forward a token, and two products a pair of tokens.
    encoder = s * (4 * c * c + 2 * c * f) + 2 * c * sum(n * n for n in source)
    pairs = sum(m * (m + 1) / 2 + m * n for n, m in zip(source, target, strict=True))
    decoder = t * (6 * c * c + 2 * c * f) + s * 2 * c * c + beam_size * 2 * c * pairs
    return 2 * (len(model.encoder) * encoder + len(model.decoder) * decoder + t * c * vocab_size)


def version(package: str) -> str | None:
    """Return the version of an installed package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def processor() -> str:
    """Name what computes."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.processor())


def report(title: str, rows: list[dict[str, Any]], ratios: dict[str, float], file: Path | None) -> None:
    """Print rows and ratios, and write them as JSON with the machine and the versions.

    Args:
        title: of the table.
        rows: each a line of the table; lists go to the JSON only.
        ratios: ours divided by the peer's, by key.
        file: for the JSON, if wanted.
    """
    console = Console(width=None if Console().is_terminal else 160)
    columns = list(
        dict.fromkeys(name for values in rows for name, value in values.items() if not isinstance(value, list))
    )
    table = Table(*(name.replace("_", " ") for name in columns), title=title)
    for values in rows:
        table.add_row(*("" if (value := values.get(name)) is None else str(value) for name in columns))
    console.print(table)
    if ratios:
        table = Table("key", "ours divided by theirs")
        for key, value in ratios.items():
            table.add_row(key, f"{value:.2f}")
        console.print(table)
    if file:
        result = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "processor": processor(),
            "threads": torch.get_num_threads(),
            "versions": {name: version(name) for name in PACKAGES},
            "rows": rows,
            "ratios": {key: round(value, 3) for key, value in ratios.items()},
        }
        file.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
