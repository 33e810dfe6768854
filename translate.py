"""Translate: `uv run translate.py "Je suis heureux"`, or `uv run translate.py --input FILE --output FILE`."""

import argparse
import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from errors import UserError, one_sentence
from translation.files import read_lines, warn
from translation.flags import add_model_flags, add_search_flags, check_output, load_translator, search_options
from translation.hypothesis import SearchOptions
from translation.translator import Sentence, Translation, Translator

WINDOW = 2048  # lines of a file in memory at a time


def main(arguments: Sequence[str] | None = None) -> None:
    """Translate arguments, a file or standard input: one line of output for each line of input."""
    flags = parse(arguments)
    options = search_options(flags, flags.n_best)
    translator = load_translator(flags)
    if flags.attention:
        from visualization.export import make_folder

        make_folder(flags.attention, "--attention")

    lines, window, total = open_input(flags)
    # An incomplete output is called OUTPUT.part, so that OUTPUT is complete whenever it exists.
    target = flags.output.resolve() if flags.output else None  # a symbolic link is followed, not replaced
    part = target.with_name(f"{target.name}.part") if target else None
    done = finished_lines(part) if part and flags.resume else 0
    if done:
        print(f"--resume: {done} lines of {flags.output} are translated already", file=sys.stderr)
        next(islice(lines, done - 1, done), None)  # skip them
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    output = part.open("a" if done else "w", encoding="utf-8", newline="\n") if part else sys.stdout
    with progress_bar(total) as show:
        while batch := list(islice(lines, window)):
            sentences = translator.search(batch, options, flags.batch_size, done + 1, flags.target_prefix)
            if flags.attention:  # before the lines: --resume takes a line as a sign that its maps are written
                export_attention(translator, sentences, done + 1, options, flags.attention)
            joined = translator.join(sentences, len(batch), options.n_best)
            for number, (source, translations) in enumerate(zip(batch, joined, strict=True), done + 1):
                print(format_line(source, translations, flags.format), file=output)
                if translations[0].confidence < flags.warn_below:
                    warn(f"line {number}: confidence {translations[0].confidence:.2f}: {translations[0].text}")
            output.flush()
            done += len(batch)
            show(done)
    if part and target:
        output.close()
        part.replace(target)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the flags; UserError where they contradict each other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", nargs="*", help="sentences to translate (default: lines of --input or standard input)")
    parser.add_argument("--input", type=Path, help="file of lines to translate")
    parser.add_argument("--output", type=Path, help="file to write (default: standard output)")
    parser.add_argument("--resume", action="store_true", help="continue an --output that was interrupted")
    forms = "tsv: source, tab, translation; jsonl: an object for each line, with scores and confidence"
    parser.add_argument("--format", choices=("text", "tsv", "jsonl"), default="text", help=forms)
    below = "name lines whose confidence, the mean probability of a token, is lower than this number from 0 to 1"
    parser.add_argument("--warn_below", type=float, default=0.0, help=below)
    parser.add_argument("--n_best", type=int, default=1, help="translations of each line, with --format jsonl")
    parser.add_argument("--target_prefix", default="", help="text with which the translation of every line begins")
    parser.add_argument("--attention", type=Path, help="folder for all attention weights of every translation")
    add_model_flags(parser)
    add_search_flags(parser)
    flags = parser.parse_args(arguments)
    if flags.text and flags.input:
        raise UserError("give sentences or --input, not both")
    if flags.n_best > 1 and flags.format != "jsonl":
        raise UserError(f"--n_best needs --format jsonl: {flags.format} holds one translation a line")
    if not 0 <= flags.warn_below <= 1:
        raise UserError(f"--warn_below must be from 0 to 1, not {flags.warn_below}")
    if flags.input and not flags.input.is_file():
        raise UserError(f"--input {flags.input} is missing")
    if flags.resume and not (flags.input and flags.output):
        raise UserError("--resume continues a file: give --input and --output as before")
    check_output("--output", flags.output)
    if not (flags.text or flags.input or sys.stdin):
        raise UserError("there is nothing to translate: give sentences, --input or standard input")
    return flags


def open_input(flags: argparse.Namespace) -> tuple[Iterator[str], int, int]:
    """Return the lines to translate, how many of them to translate together, and their number (0 if unknown)."""
    if flags.text:
        # Python decodes an invalid byte of an argument to a surrogate, which cannot be written.
        raw = (text.encode(errors="surrogateescape") for text in flags.text)
        return read_lines(raw, "the arguments"), WINDOW, len(flags.text)
    if flags.input:
        with flags.input.open("rb") as stream:
            total = sum(1 for _ in stream)
        return read_lines(flags.input.open("rb"), str(flags.input)), WINDOW, total
    return read_lines(sys.stdin.buffer, "standard input"), 1, 0  # a line that is typed is translated at once


def format_line(source: str, translations: Sequence[Translation], form: str) -> str:
    """Write one line with its translations, best first, as text, as columns of a TSV file or as JSON."""
    if form == "jsonl":
        row = {"source": source, "translations": [translation._asdict() for translation in translations]}
        return json.dumps(row, ensure_ascii=False)
    text = translations[0].text
    return f"{' '.join(source.split())}\t{text}" if form == "tsv" else text


def export_attention(
    translator: Translator, sentences: Sequence[Sentence], first_line: int, options: SearchOptions, folder: Path
) -> None:
    """Write the attention weights of translations into a folder."""
    from visualization.align import default_reading
    from visualization.export import export, named_maps

    maps = named_maps(translator, sentences, first_line, options.n_best)
    export(maps, folder, default_reading(translator))


def finished_lines(part: Path) -> int:
    """Return the number of lines of complete windows in an interrupted output, and cut off the rest.

    Only complete windows are kept: the same sentences are then translated in the same batches, and the output equals
    that of an uninterrupted run byte for byte.
    """
    if not part.exists():
        return 0
    with part.open("rb+") as stream:
        complete = [line for line in stream if line.endswith(b"\n")]
        done = len(complete) // WINDOW * WINDOW
        stream.truncate(sum(map(len, complete[:done])))
    return done


@contextmanager
def progress_bar(total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on stderr for texts of more than one window; yields a function that takes the lines done."""
    if total <= WINDOW:
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("translating", total=total)
        yield lambda done: bar.update(task, completed=done)


if __name__ == "__main__":
    with one_sentence():
        main()
