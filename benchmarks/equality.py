"""Count translations that depend on batches, order or engine: `python -m benchmarks.equality --data DIR`."""

import argparse
import random
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import ctranslate2

from benchmarks.machine import device, report
from errors import UserError, one_sentence
from translation.files import lines_of
from translation.flags import check_output
from translation.hypothesis import SearchOptions
from translation.translator import BATCH_SIZE, Translation, Translator

BEAM_SIZES = {"greedy": 1, "beam4": 4}
OTHER_BATCH_SIZES = (1, 7)


def main(arguments: Sequence[str] | None = None) -> None:
    """Translate the test set with both engines, in several batch sizes and in another order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with test.fr")
    parser.add_argument("--checkpoint", type=Path, required=True, help="file of a trained model")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--sentences", type=int, default=1000, help="lines of the test set to translate")
    flags = parser.parse_args(arguments)
    check_output("--json", flags.json)
    if flags.sentences < 1:
        raise UserError(f"--sentences must be at least 1, not {flags.sentences}")
    lines = lines_of("--data", flags.data / "test.fr")[: flags.sentences]

    figures: dict[str, Sequence[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "model.ckpt"  # a copy, so that nothing is written beside the original
        shutil.copy(flags.checkpoint, checkpoint)
        translators = {
            "pytorch": Translator.load(checkpoint, "pytorch"),
            "ctranslate2": Translator.load(checkpoint, "ctranslate2"),
        }
        if "int8" in ctranslate2.get_supported_compute_types(device().type):
            translators["ctranslate2_int8"] = Translator.load(checkpoint, "ctranslate2", "int8")
        for task, beam_size in BEAM_SIZES.items():
            options = SearchOptions(beam_size)
            usual = {name: best(each, lines, options, BATCH_SIZE) for name, each in translators.items()}
            for name, translator in translators.items():
                print(f"{task}: {name}", file=sys.stderr)
                for size in OTHER_BATCH_SIZES:
                    other = best(translator, lines, options, size)
                    figures[f"{task}/{name}/batch_size_{size}"] = [n_different(usual[name], other)]
                other = shuffled(translator, lines, options)
                figures[f"{task}/{name}/order"] = [n_different(usual[name], other)]
            ours, theirs = usual["pytorch"], usual["ctranslate2"]
            figures[f"{task}/engines"] = [n_different(ours, theirs)]
            scores = [abs(a.score - b.score) for a, b in zip(ours, theirs, strict=True) if a.text == b.text]
            figures[f"{task}/score_difference"] = [max(scores, default=0.0)]
    print(f"Translations of {len(lines)} lines that differ, and the largest difference of equal translations' scores")
    report("", [], figures, flags.json)


def best(translator: Translator, lines: Sequence[str], options: SearchOptions, batch_size: int) -> list[Translation]:
    """Return the best translation of each line."""
    sentences = translator.search(lines, options, batch_size)
    return [translations[0] for translations in translator.join(sentences, len(lines))]


def shuffled(translator: Translator, lines: Sequence[str], options: SearchOptions) -> list[Translation]:
    """Return the best translation of each line, when the lines are translated in random order."""
    order = list(range(len(lines)))
    random.Random(1).shuffle(order)
    found = best(translator, [lines[i] for i in order], options, BATCH_SIZE)
    by_line = dict(zip(order, found, strict=True))
    return [by_line[i] for i in range(len(lines))]


def n_different(translations: Sequence[Translation], others: Sequence[Translation]) -> int:
    """Return the number of lines whose texts differ."""
    return sum(a.text != b.text for a, b in zip(translations, others, strict=True))


if __name__ == "__main__":
    with one_sentence():
        main()
