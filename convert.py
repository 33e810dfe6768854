"""Write a checkpoint as a CTranslate2 model for other programs: `uv run convert.py --output DIR`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from errors import UserError, one_sentence
from translation.checkpoint import read_checkpoint
from translation.conversion import convert
from translation.files import newest_checkpoint


def main(arguments: Sequence[str] | None = None) -> None:
    """Convert one checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    checkpoint = "file of a trained model (default: the newest runs/*/best.ckpt)"
    parser.add_argument("--checkpoint", type=Path, help=checkpoint)
    parser.add_argument("--output", type=Path, required=True, help="folder to make")
    parser.add_argument("--force", action="store_true", help="replace the folder if it holds a CTranslate2 model")
    flags = parser.parse_args(arguments)
    if flags.output.exists() and not flags.force:
        raise UserError(f"--output {flags.output} exists: choose another folder, or replace it by --force")
    if not flags.output.resolve().parent.is_dir():
        raise UserError(f"--output {flags.output}: its parent folder does not exist")
    convert(read_checkpoint(flags.checkpoint or newest_checkpoint()), flags.output)


if __name__ == "__main__":
    with one_sentence():
        main()
