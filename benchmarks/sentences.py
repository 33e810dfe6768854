"""Judge single sentences that people type: `python -m benchmarks.sentences`, or with --name or --checkpoint."""

import argparse
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from data.phrasebook import everyday
from errors import UserError, one_sentence
from translation.flags import add_model_flags, add_search_flags, load_translator, search_options

COPIED = Path(__file__).parent.parent / "models" / "copied.tsv"
# Written in full before texts are compared.
CONTRACTIONS = {
    "won't": "will not", "can't": "can not", "cannot": "can not", "n't": " not", "'m": " am", "'re": " are",
    "'ve": " have", "'ll": " will", "it's": "it is", "he's": "he is", "she's": "she is", "that's": "that is",
    "what's": "what is", "where's": "where is", "who's": "who is", "there's": "there is",
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the sentences that are translated wrong, and the share of those that are right."""
    parser = argparse.ArgumentParser(description=__doc__)
    judged = "table of French, a tab, and accepted translations separated by | (default: the two of the project)"
    parser.add_argument("--table", type=Path, help=judged)
    add_model_flags(parser)
    add_search_flags(parser)
    flags = parser.parse_args(arguments)
    options = search_options(flags)
    if flags.table and not flags.table.is_file():
        raise UserError(f"--table {flags.table} is missing")
    translator = load_translator(flags)

    rows = read_table(flags.table) if flags.table else everyday()
    translations = translator.translate([french for french, _ in rows], options)
    right = [
        plain(translation) in map(plain, accepted)
        for (_, accepted), translation in zip(rows, translations, strict=True)
    ]
    report("translated as one of the accepted translations", rows, translations, right)
    if flags.table is None:
        rows = read_table(COPIED)
        translations = translator.translate([french for french, _ in rows], options)
        right = [all(part in text for part in parts) for (_, parts), text in zip(rows, translations, strict=True)]
        report("hold every name and number of the source", rows, translations, right)


def read_table(path: Path) -> list[tuple[str, list[str]]]:
    """Return the rows of a table: a French sentence, and what is accepted or must occur.

    Raises:
        UserError: a row has no tab.
    """
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        french, tab, rest = line.partition("\t")
        if not tab:
            raise UserError(f"{path}, line {number}: there is no tab")
        rows.append((french, rest.split("|")))
    return rows


def plain(text: str) -> str:
    """Return a text by which translations are compared: no case, no punctuation, no contractions."""
    text = text.lower().replace("’", "'")
    for short, full in CONTRACTIONS.items():
        text = text.replace(short, full)
    return " ".join(re.sub(r"[.!?,]", " ", text).split())


def report(
    claim: str, rows: Sequence[tuple[str, list[str]]], translations: Sequence[str], right: Iterable[bool]
) -> None:
    """Print the wrong translations and the share of the right ones."""
    wrong = [
        f"  {french} → {translation} ({' | '.join(accepted)})"
        for (french, accepted), translation, is_right in zip(rows, translations, right, strict=True)
        if not is_right
    ]
    n_right = len(rows) - len(wrong)
    print(*wrong, f"{n_right} of {len(rows)} ({n_right / len(rows):.0%}) {claim}", sep="\n")


if __name__ == "__main__":
    with one_sentence():
        main()
