"""Score translations: `uv run evaluate.py`, or `uv run evaluate.py --source F --reference F --output F`."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.metrics.base import Metric
from sacrebleu.significance import PairedTest, Result

from errors import UserError, one_sentence
from translation.files import read_lines
from translation.flags import add_model_flags, add_search_flags, check_output, load_translator, search_options


def lines_of(path: Path, flag: str) -> list[str]:
    """Return the lines of a text file; UserError names the flag of a missing one."""
    if not path.is_file():
        raise UserError(f"{flag} {path} is missing")
    with path.open("rb") as stream:
        return list(read_lines(stream, str(path)))


def metrics() -> dict[str, Metric]:
    """Return the metrics that are reported, with sacreBLEU's default settings."""
    return {"bleu": BLEU(), "chrf": CHRF(), "ter": TER()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Score translations: those in --hypotheses, or those of a model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, help="file to translate (default: the checkpoint's own test split)")
    parser.add_argument("--reference", type=Path, help="file of reference translations, line by line")
    parser.add_argument("--hypotheses", type=Path, help="file of translations to score; no model is loaded")
    parser.add_argument("--baseline", type=Path, help="file of other translations, compared by paired bootstrap")
    parser.add_argument("--output", type=Path, help="file for the translations")
    parser.add_argument("--json", type=Path, help="file for the scores")
    add_model_flags(parser)
    add_search_flags(parser)
    flags = parser.parse_args(arguments)
    if (flags.source is None) != (flags.reference is None) and flags.hypotheses is None:
        raise UserError("--source and --reference go together")
    if flags.hypotheses and not flags.reference:
        raise UserError("--hypotheses needs --reference")
    if flags.hypotheses and flags.source:
        raise UserError("--hypotheses are translations already: leave out --source")
    check_output("--output", flags.output)
    check_output("--json", flags.json)

    options = search_options(flags)
    # All files are read before anything is translated, so that a missing one is reported at once.
    references = lines_of(flags.reference, "--reference") if flags.reference else []
    baseline = lines_of(flags.baseline, "--baseline") if flags.baseline else []
    reference_name = flags.reference or "references"
    if flags.hypotheses:
        hypotheses = lines_of(flags.hypotheses, "--hypotheses")
        compare_lengths(flags.hypotheses, hypotheses, reference_name, references)
    else:
        translator = load_translator(flags)
        if flags.source:
            sources = lines_of(flags.source, "--source")
        else:
            sources, references = translator.corpus().texts("test")
        compare_lengths(flags.source or "sources", sources, reference_name, references)
    if flags.baseline:
        compare_lengths(flags.baseline, baseline, reference_name, references)
    if not flags.hypotheses:
        hypotheses = translator.translate(sources, options, flags.batch_size)
    if flags.output:
        flags.output.write_text("".join(f"{line}\n" for line in hypotheses), encoding="utf-8", newline="\n")

    result: dict[str, object] = {}
    for name, metric in metrics().items():
        score = metric.corpus_score(hypotheses, [references]).score
        result[name] = {"score": round(score, 2), "signature": str(metric.get_signature())}
        print(f"{name.upper():5} {score:6.2f}  {metric.get_signature()}")
    result["sentences"] = len(hypotheses)
    if flags.baseline:
        systems: list[tuple[str, Sequence[str]]] = [("baseline", baseline), ("translations", hypotheses)]
        _, scores = PairedTest(systems, metrics(), [references], test_type="bs")()
        table = Table("metric", "baseline", "translations", "p")
        for name, (theirs, ours) in scores.items():
            if isinstance(theirs, Result) and isinstance(ours, Result):  # the first row holds names
                table.add_row(name, f"{theirs.score:.2f}", f"{ours.score:.2f}", f"{ours.p_value:.4f}")
        Console().print(table)
    if flags.json:
        flags.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def compare_lengths(name: object, lines: list[str], other: object, others: list[str]) -> None:
    """Raise UserError unless two texts have the same number of lines, at least one."""
    if len(lines) != len(others) or not lines:
        raise UserError(
            f"{name} has {len(lines)} lines but {other} has {len(others)}: they must correspond, and not be empty"
        )


if __name__ == "__main__":
    with one_sentence():
        main()
