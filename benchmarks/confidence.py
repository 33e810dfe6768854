"""Correlate confidence with sentence chrF: `python -m benchmarks.confidence --source FILE --reference FILE`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sacrebleu.metrics import CHRF

from errors import UserError, one_sentence
from translation.files import lines_of
from translation.flags import add_model_flags, add_search_flags, load_translator, search_options


def main(arguments: Sequence[str] | None = None) -> None:
    """Translate a test set and report how well confidence finds the bad lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="sentences to translate")
    parser.add_argument("--reference", type=Path, required=True, help="their translations, line by line")
    add_model_flags(parser)
    add_search_flags(parser)
    flags = parser.parse_args(arguments)
    sources, references = lines_of("--source", flags.source), lines_of("--reference", flags.reference)
    if len(sources) != len(references) or not sources:
        raise UserError(f"{flags.source} and {flags.reference} must correspond line by line, and not be empty")
    translator = load_translator(flags)
    found = translator.join(translator.search(sources, search_options(flags), flags.batch_size), len(sources))
    chrf = CHRF()
    quality = np.array([chrf.sentence_score(t.text, [r]).score for (t,), r in zip(found, references, strict=True)])
    confidence = np.array([translation.confidence for (translation,) in found])

    print(
        f"correlation of confidence with sentence chrF: {np.corrcoef(confidence, quality)[0, 1]:.2f} (Pearson), "
        f"{np.corrcoef(ranks(confidence), ranks(quality))[0, 1]:.2f} (Spearman)"
    )
    order = confidence.argsort()
    for name, rows in (("least", order[: len(order) // 10]), ("most", order[-len(order) // 10 :])):
        print(f"mean chrF of the tenth with the {name} confidence: {quality[rows].mean():.1f}")
    print(f"mean chrF of all {len(order):,} lines: {quality.mean():.1f}")


def ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value (N,), that of equal values being their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


if __name__ == "__main__":
    with one_sentence():
        main()
