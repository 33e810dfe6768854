"""Flags that the programs share: which model translates, and how it searches."""

import argparse
import os
import sys
from pathlib import Path

from errors import UserError
from translation.files import find_checkpoint
from translation.hypothesis import LENGTH_PENALTY, SearchOptions
from translation.translator import BATCH_SIZE, Translator


def add_checkpoint_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `chosen_checkpoint`."""
    choice = parser.add_mutually_exclusive_group()
    default = "default: the newest run, or the ready-made model where there is none"
    choice.add_argument("--name", help=f"run whose best checkpoint is used ({default})")
    choice.add_argument("--checkpoint", type=Path, help="file of a trained model")


def chosen_checkpoint(flags: argparse.Namespace) -> Path:
    """Return the checkpoint that the flags of `add_checkpoint_flags` choose; a person at a terminal is told which."""
    path: Path = flags.checkpoint or find_checkpoint(flags.name)
    if sys.stderr.isatty():
        shown = os.path.relpath(path)
        print(f"model: {path if shown.startswith('..') else shown}", file=sys.stderr)
    return path


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `load_translator`."""
    add_checkpoint_flags(parser)
    engine = "pytorch: the search of this project; ctranslate2: the same search in C++, several times faster"
    parser.add_argument("--engine", choices=("pytorch", "ctranslate2"), default="pytorch", help=engine)
    precision = "of the weights in the search: 32 or bf16; with ctranslate2 also int8 and fp16"
    parser.add_argument("--precision", default="32", help=precision)
    parser.add_argument(
        "--device", default="auto", help="auto (all GPUs, or all cores where there is none), cpu, cuda:1"
    )


def add_search_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `search_options`, and `--batch_size`."""
    parser.add_argument("--beam_size", type=int, default=4, help="hypotheses kept in the search; 1 is greedy")
    penalty = "alpha of score = log-probability / length^alpha; a larger one favours longer translations"
    parser.add_argument("--length_penalty", type=float, default=LENGTH_PENALTY, help=penalty)
    ngram = "no sequence of so many tokens occurs twice; by default 3 for a translation that would run in a loop"
    parser.add_argument("--no_repeat_ngram_size", type=int, help=ngram)
    parser.add_argument("--min_length", type=int, default=1, help="least tokens of a translation")
    parser.add_argument("--batch_size", type=int, default=BATCH_SIZE, help="most sentences translated at once")


def load_translator(flags: argparse.Namespace) -> Translator:
    """Load the model that the flags of `add_model_flags` name."""
    return Translator.load(chosen_checkpoint(flags), flags.engine, flags.precision, flags.device)


def search_options(flags: argparse.Namespace, n_best: int = 1) -> SearchOptions:
    """Return the search that the flags of `add_search_flags` describe; UserError for numbers out of range."""
    if flags.batch_size < 1:
        raise UserError(f"--batch_size must be at least 1, not {flags.batch_size}")
    return SearchOptions(flags.beam_size, n_best, flags.length_penalty, flags.no_repeat_ngram_size, flags.min_length)


def check_output(flag: str, path: Path | None) -> None:
    """Raise UserError where a flag names a file that cannot be written, before the work begins."""
    if path and not path.resolve().parent.is_dir():
        raise UserError(f"{flag} {path}: its folder does not exist")
    if path and path.is_dir():
        raise UserError(f"{flag} {path} is a folder: name a file")
    if path and path.exists() and not path.is_file():  # a device or a pipe, which a rename would replace
        raise UserError(f"{flag} {path} is no regular file: name a file")
