"""The machine that a benchmark runs on, and the report of the figures that were measured there."""

import importlib.metadata
import json
import platform
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table

from translation.ctranslate2_engine import usable_threads

PACKAGES = ("torch", "lightning", "transformers", "ctranslate2", "sentencepiece")
MATMULS = {"cpu": (2048, 256, 1024), "cuda": (8192, 4096, 4096)}  # rows, inner and outer width
MATMUL_SECONDS = 0.5


def device() -> torch.device:
    """Return the device of all systems: the GPU, or the CPU where there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def now() -> float:
    """Return the time in seconds, after all work of a GPU is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def matmul_rate(dtype: torch.dtype) -> float:
    """Return how many billion floating-point operations per second linear layers reach.

    The rate tells runs on different machines, or on one machine at different hours, apart.
    """
    n_rows, inner, outer = MATMULS[device().type]
    x = torch.randn(n_rows, inner, dtype=dtype, device=device())
    w = torch.randn(outer, inner, dtype=dtype, device=device())
    F.linear(x, w)  # the first call selects a kernel
    n_matmuls, start = 0, now()
    while (seconds := now() - start) < MATMUL_SECONDS:
        F.linear(x, w)
        n_matmuls += 1
    return 2 * n_rows * inner * outer * n_matmuls / seconds / 1e9


def processor() -> str:
    """Return the name of the GPU or of the CPU."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.processor())


def version(package: str) -> str | None:
    """Return the version of a package, None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def report(title: str, rows: list[dict[str, Any]], figures: dict[str, Sequence[float]], file: Path | None) -> None:
    """Print two tables, and write them as JSON with the date, the machine and the versions.

    Args:
        title: of the first table.
        rows: its rows, all with the same columns; lists go to the JSON only.
        figures: the values that each round has measured, by key; the second table shows their median and range.
        file: for the JSON, or None.
    """
    console = Console(width=None if Console().is_terminal else 160)
    if rows:
        columns = [name for name, value in rows[0].items() if not isinstance(value, list)]
        table = Table(*columns, title=title)
        for row in rows:
            table.add_row(*(str(row[name]) for name in columns))
        console.print(table)
    if figures:
        table = Table("key", "median", "lowest", "highest", "rounds")
        for key, values in figures.items():
            shown = [f"{value:.4g}" for value in (statistics.median(values), min(values), max(values))]
            table.add_row(key, *shown, str(len(values)))
        console.print(table)
    rates = {name: round(matmul_rate(getattr(torch, name)), 1) for name in ("float32", "bfloat16")}
    console.print("matmuls: " + ", ".join(f"{rate} GFLOP/s in {name}" for name, rate in rates.items()))
    if file:
        result = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "processor": processor(),
            "cores": usable_threads(),
            "matmul_gflops": rates,
            "versions": {name: version(name) for name in PACKAGES},
            "rows": rows,
            "figures": {
                key: {"median": round(statistics.median(values), 4), "rounds": [round(value, 4) for value in values]}
                for key, values in figures.items()
            },
        }
        file.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
