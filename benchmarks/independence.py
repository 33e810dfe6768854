"""Count translations that depend on their neighbours: `python -m benchmarks.independence --data DIR`."""

import argparse
import json
import random
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.machine import PRECISIONS, has_products
from errors import one_sentence
from translate import Translator, newest_checkpoint, read_lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Translate the test set in several batch sizes and orders, and compare line by line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with test.fr")
    parser.add_argument(
        "--checkpoint", type=Path, help="file of a trained model (default: the newest runs/*/best.ckpt)"
    )
    parser.add_argument("--json", type=Path, help="file for the figures")
    flags = parser.parse_args(arguments)
    checkpoint = flags.checkpoint or newest_checkpoint()
    with (flags.data / "test.fr").open("rb") as stream:
        lines = list(read_lines(stream, "test.fr"))
    order = list(range(len(lines)))
    random.Random(1).shuffle(order)
    table = Table("precision", "beam", "batch 1", "batch 7", "shuffled", "first 100 alone", title="lines that differ")
    rows = []
    precisions = [flag for flag, precision in PRECISIONS.items() if has_products(precision)]
    for precision, beam in product(precisions, (1, 4)):
        translator = Translator.load(checkpoint, precision=precision)
        usual = translator.translate(lines, beam, batch_size=64)
        shuffled = dict(zip(order, translator.translate([lines[i] for i in order], beam, batch_size=64), strict=True))
        others = [
            translator.translate(lines, beam, batch_size=1),
            translator.translate(lines, beam, batch_size=7),
            [shuffled[i] for i in range(len(lines))],
            translator.translate(lines[:100], beam, batch_size=64),
        ]
        differ = [sum(a != b for a, b in zip(usual, other, strict=False)) for other in others]
        rows.append({"precision": precision, "beam_size": beam, "sentences": len(lines), "differ": differ})
        table.add_row(precision, str(beam), *map(str, differ))
    Console().print(table)
    if flags.json:
        flags.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    with one_sentence():
        main()
