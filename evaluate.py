"""Score translations: `uv run evaluate.py`, or `uv run evaluate.py --source FILE --reference FILE`."""

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import sacrebleu
from rich.console import Console
from rich.table import Table
from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.metrics.base import Metric
from sacrebleu.significance import PairedTest, Result

from errors import UserError, one_sentence
from translation.files import lines_of
from translation.flags import add_model_flags, add_search_flags, check_output, load_translator, search_options
from translation.translator import Translator


class TestSet(NamedTuple):
    """What is scored: sentences and reference translations, line by line.

    sources: None where finished translations are scored and nothing else is known.
    rows: lines of each corpus by name, if the model was trained on several; else all lines under an empty name.
    """

    sources: list[str] | None
    references: list[str]
    rows: dict[str, range]


def main(arguments: Sequence[str] | None = None) -> None:
    """Score translations: those in --hypotheses, or those of a model."""
    flags = parse(arguments)
    options = search_options(flags)
    # All files are read before anything is translated, so that a missing one is reported at once.
    baseline = lines_of("--baseline", flags.baseline) if flags.baseline else []
    hypotheses = lines_of("--hypotheses", flags.hypotheses) if flags.hypotheses else []
    translator = None if flags.hypotheses else load_translator(flags)
    test = read_test_set(flags, translator)
    if flags.hypotheses:
        compare_lengths(flags.hypotheses, hypotheses, flags.reference or flags.testset, test.references)
    if flags.baseline:
        compare_lengths(flags.baseline, baseline, flags.reference or "references", test.references)
    target_lang = translator.target_lang if translator else ""
    if flags.langpair:
        target_lang = flags.langpair.partition("-")[2]
    scorers = metrics(target_lang)

    if translator:
        assert test.sources is not None
        hypotheses = translator.translate(test.sources, options, flags.batch_size)
    if flags.output:
        flags.output.write_text("".join(f"{line}\n" for line in hypotheses), encoding="utf-8", newline="\n")
    result: dict[str, Any] = {}
    for name, rows in test.rows.items():
        if name:
            print(f"{name}, {len(rows):,} sentences")
        scores = score([hypotheses[i] for i in rows], [test.references[i] for i in rows], scorers)
        result |= {name: scores} if name else scores
    if flags.baseline:
        compare(baseline, hypotheses, test.references, scorers)
    if flags.json:
        flags.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if flags.sentences:
        write_sentences(flags.sentences, test, hypotheses)
    if flags.log_probs:
        assert translator and test.sources is not None
        log_probs = translator.log_probs(test.sources, test.references)
        flags.log_probs.write_text("".join(f"{value:.4f}\n" for value in log_probs), encoding="utf-8")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the flags; UserError where they contradict each other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, help="file to translate (default: the checkpoint's own test split)")
    parser.add_argument("--reference", type=Path, help="file of reference translations, line by line")
    parser.add_argument("--testset", help="test set that sacreBLEU downloads, such as wmt14; needs --langpair")
    parser.add_argument("--langpair", help="languages such as fr-en; the second one decides how BLEU splits words")
    parser.add_argument("--hypotheses", type=Path, help="file of translations to score; no model is loaded")
    parser.add_argument("--baseline", type=Path, help="file of other translations, compared by paired bootstrap")
    parser.add_argument("--output", type=Path, help="file for the translations")
    parser.add_argument("--json", type=Path, help="file for the scores")
    table = "TSV file of chrF, source, reference and translation of each sentence, worst first"
    parser.add_argument("--sentences", type=Path, help=table)
    given = "file for the model's log-probability of each reference, line by line"
    parser.add_argument("--log_probs", type=Path, help=given)
    add_model_flags(parser)
    add_search_flags(parser)
    flags = parser.parse_args(arguments)
    if flags.source and not flags.reference:
        raise UserError("--source needs --reference")
    if flags.reference and not (flags.source or flags.hypotheses):
        raise UserError("--reference needs --source, or --hypotheses")
    if flags.testset and (flags.source or flags.reference):
        raise UserError("--testset brings its own sentences: leave out --source and --reference")
    if flags.testset and not flags.langpair:
        raise UserError("--testset needs --langpair, such as fr-en")
    if flags.hypotheses and not (flags.reference or flags.testset):
        raise UserError("--hypotheses needs --reference")
    if flags.hypotheses and flags.log_probs:
        raise UserError("--log_probs needs a model: leave out --hypotheses")
    for flag in ("output", "json", "sentences", "log_probs"):
        check_output(f"--{flag}", getattr(flags, flag))
    return flags


def read_test_set(flags: argparse.Namespace, translator: Translator | None) -> TestSet:
    """Return what the flags name: files, a test set of sacreBLEU, or the test split of the model's own corpus."""
    rows = None
    sources: list[str] | None
    if flags.testset:
        sources, references = download(flags.testset, flags.langpair)
    elif flags.reference:
        sources = lines_of("--source", flags.source) if flags.source else None
        references = lines_of("--reference", flags.reference)
    else:
        assert translator  # without --reference there are no --hypotheses
        data = translator.corpus()
        sources, references = data.texts("test")
        if len(data.names) > 1:
            rows = data.rows_by_corpus("test")
    if sources is not None:
        compare_lengths(flags.source or "sources", sources, flags.reference or "references", references)
    return TestSet(sources, references, rows or {"": range(len(references))})


def download(testset: str, langpair: str) -> tuple[list[str], list[str]]:
    """Return sources and references of a test set of sacreBLEU, which keeps them in ~/.sacrebleu.

    Raises:
        UserError: there is no such test set, or no way to its server.
    """
    if testset not in sacrebleu.get_available_testsets():
        known = ", ".join(sorted(sacrebleu.get_available_testsets()))
        raise UserError(f"--testset {testset} is not one of sacreBLEU's: {known}")
    if langpair not in sacrebleu.get_langpairs_for_testset(testset):
        known = ", ".join(sorted(sacrebleu.get_langpairs_for_testset(testset)))
        raise UserError(f"--langpair {langpair}: {testset} has {known}")
    try:
        source, (reference, *_) = (
            sacrebleu.get_source_file(testset, langpair),
            sacrebleu.get_reference_files(testset, langpair),
        )
    except OSError as error:
        raise UserError(f"--testset {testset} cannot be downloaded: {error}") from error
    return lines_of("--testset", Path(source)), lines_of("--testset", Path(reference))


def compare_lengths(name: object, lines: list[str], other: object, others: list[str]) -> None:
    """Raise UserError unless two texts have the same number of lines, at least one."""
    if len(lines) != len(others) or not lines:
        raise UserError(
            f"{name} has {len(lines)} lines but {other} has {len(others)}: they must correspond, and not be empty"
        )


def metrics(target_lang: str) -> dict[str, Metric]:
    """Return the metrics that are reported, with the defaults of sacreBLEU for the target language.

    Raises:
        UserError: sacreBLEU needs a package to split words of this language.
    """
    try:
        return {"bleu": BLEU(trg_lang=target_lang), "chrf": CHRF(), "ter": TER()}
    except (RuntimeError, ImportError) as error:
        raise UserError(f"BLEU of {target_lang}: {' '.join(str(error).split())}") from error


def score(hypotheses: list[str], references: list[str], scorers: dict[str, Metric]) -> dict[str, Any]:
    """Print and return the scores of translations, with sacreBLEU's signatures."""
    result: dict[str, Any] = {}
    for name, metric in scorers.items():
        value = metric.corpus_score(hypotheses, [references]).score
        result[name] = {"score": round(value, 2), "signature": str(metric.get_signature())}
        print(f"{name.upper():5} {value:6.2f}  {metric.get_signature()}")
    return result | {"sentences": len(hypotheses)}


def compare(baseline: list[str], hypotheses: list[str], references: list[str], scorers: dict[str, Metric]) -> None:
    """Print a table that compares two systems by paired bootstrap."""
    systems: list[tuple[str, Sequence[str]]] = [("baseline", baseline), ("translations", hypotheses)]
    _, scores = PairedTest(systems, scorers, [references], test_type="bs")()
    table = Table("metric", "baseline", "translations", "p")
    for name, (theirs, ours) in scores.items():
        if isinstance(theirs, Result) and isinstance(ours, Result):  # the first row holds names
            table.add_row(name, f"{theirs.score:.2f}", f"{ours.score:.2f}", f"{ours.p_value:.4f}")
    Console().print(table)


def write_sentences(path: Path, test: TestSet, hypotheses: list[str]) -> None:
    """Write chrF, source, reference and translation of each sentence, worst first."""
    chrf = CHRF()
    sources = test.sources or [""] * len(hypotheses)
    rows = [
        (chrf.sentence_score(hypothesis, [reference]).score, source, reference, hypothesis)
        for source, reference, hypothesis in zip(sources, test.references, hypotheses, strict=True)
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, dialect="excel-tab", lineterminator="\n")
        writer.writerow(["chrf", "source", "reference", "translation"])
        writer.writerows((f"{value:.1f}", *texts) for value, *texts in sorted(rows, key=lambda row: row[0]))


if __name__ == "__main__":
    with one_sentence():
        main()
