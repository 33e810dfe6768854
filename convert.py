"""Write a checkpoint for use elsewhere: `uv run convert.py --output DIR`, or `--output FILE.ckpt`.

A folder becomes a CTranslate2 model for other programs. A file that ends in .ckpt becomes a checkpoint of this project
to be handed on: weights in half precision, tokenizer and settings, and nothing else.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from errors import UserError, one_sentence
from translation.checkpoint import read_checkpoint
from translation.conversion import convert
from translation.flags import add_checkpoint_flags, chosen_checkpoint
from translation.release import write_release


def main(arguments: Sequence[str] | None = None) -> None:
    """Convert one checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_checkpoint_flags(parser)
    parser.add_argument("--output", type=Path, required=True, help="folder, or file ending in .ckpt, to make")
    parser.add_argument("--force", action="store_true", help="replace the file, or the folder if it is such a model")
    flags = parser.parse_args(arguments)
    output: Path = flags.output
    if output.exists() and not flags.force:
        raise UserError(f"--output {output} exists: choose another name, or replace it by --force")
    if not output.resolve().parent.is_dir():
        raise UserError(f"--output {output}: its parent folder does not exist")
    checkpoint = read_checkpoint(chosen_checkpoint(flags))
    if output.suffix == ".ckpt" and not output.is_dir():
        write_release(checkpoint, output)
    else:
        convert(checkpoint, output)


if __name__ == "__main__":
    with one_sentence():
        main()
