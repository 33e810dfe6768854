"""Show the attention of translations: `uv run visualize.py export|lesson|live|align|report|ablate|history`.

Commands:
    export   write the attention of sentences as arrays, JSON, pictures and a page
    lesson   write a page that computes one attention step by step
    live     write a page that holds the model and translates in the browser
    align    write word alignments of a file in Pharaoh format
    report   print alignment error and pronoun accuracy on the phrasebook's test sentences
    ablate   print what is lost when each head is off in turn
    history  write a page that shows how the attention of a run was learned
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from errors import UserError, one_sentence
from files import write_atomically
from translation.files import RUNS, lines_of
from translation.flags import add_checkpoint_flags, check_output, chosen_checkpoint
from translation.hypothesis import SearchOptions
from translation.maps import KINDS
from translation.translator import Translator
from visualization import ablation
from visualization.ablation import Head, Sample, Scores, ablate, sample_of_corpus
from visualization.align import SIDES, Reading, align_line, default_reading, pharaoh
from visualization.export import FORMATS, PICTURE_FORMATS, export, named_maps
from visualization.history import history
from visualization.lesson import lesson
from visualization.live import WEIGHT_FORMATS, live
from visualization.report import alignment_report, pronoun_report
from visualization.sentence import encode_pair, maps_of, maps_of_pair


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the commands."""
    flags = build_parser().parse_args(arguments)
    if flags.command in ("lesson", "live", "align", "history"):  # `export` writes a folder
        check_output("--output", flags.output)
    if flags.command == "history":  # needs the folder of a run, but no model
        run_history(flags)
        return
    options = SearchOptions(beam_size=getattr(flags, "beam_size", 4))  # the live page has its own choice
    translator = Translator.load(chosen_checkpoint(flags))
    commands: dict[str, Callable[..., None]] = {
        "export": run_export,
        "lesson": run_lesson,
        "live": run_live,
        "align": run_align,
        "report": run_report,
        "ablate": run_ablate,
    }
    commands[flags.command](flags, translator, options)


def build_parser() -> argparse.ArgumentParser:
    """Declare the commands and their flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)

    common = argparse.ArgumentParser(add_help=False)
    add_checkpoint_flags(common)
    common.add_argument("--beam_size", type=int, default=4, help="hypotheses kept in search; 1 is greedy")
    sentence = argparse.ArgumentParser(add_help=False)
    sentence.add_argument("--target", help="use this translation instead of the model's own")
    reading = argparse.ArgumentParser(add_help=False)
    reading.add_argument("--layer", type=int, help="decoder layer to align by, from 0 (default: the checkpoint's best)")
    reading.add_argument("--head", type=int, help="head to align by, from 0 (default: the best, or the mean of all)")
    reading.add_argument(
        "--side",
        choices=SIDES,
        help="align by the row that predicts a target token (output) or by the row that reads it (input)",
    )

    command = commands.add_parser("export", parents=[common, sentence, reading], help="arrays, pictures and a page")
    command.add_argument("text", nargs="+", help="sentences to translate")
    command.add_argument("--output", type=Path, required=True, help="folder for the files")
    command.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS, help="which files to write")
    command.add_argument("--picture_layers", type=int, nargs="+", help="layers in the pictures, from 0 (default: all)")
    command.add_argument("--picture_heads", type=int, nargs="+", help="heads in the pictures, from 0 (default: all)")
    command.add_argument("--start", default="", help="what the page shows first, as in its address after #")

    command = commands.add_parser("lesson", parents=[common, sentence], help="one attention, computed step by step")
    command.add_argument("text", help="the sentence to translate")
    command.add_argument("--output", type=Path, required=True, help="HTML file")
    command.add_argument("--kind", choices=KINDS, default="encoder_self", help="of attention")
    command.add_argument("--layer", type=int, default=0, help="of the encoder or decoder, from 0")

    command = commands.add_parser("live", help="the model itself in one page")
    add_checkpoint_flags(command)
    command.add_argument("--output", type=Path, required=True, help="HTML file")
    command.add_argument("--weights", choices=WEIGHT_FORMATS, default="int8", help="how the page stores the model")
    command.add_argument("--start", default="", help="what the page shows first, as in its address after #")

    command = commands.add_parser("align", parents=[common, reading], help="word alignment in Pharaoh format")
    command.add_argument("--input", type=Path, required=True, help="file of lines to translate and align")
    command.add_argument("--output", type=Path, required=True, help="file of alignments, line by line")
    command.add_argument("--target", type=Path, help="file of given translations, line by line")

    commands.add_parser("report", parents=[common, reading], help="alignment error and pronouns of the phrasebook")

    command = commands.add_parser("ablate", parents=[common], help="scores with each head off in turn")
    command.add_argument("--sentences", type=int, default=300, help="pairs of the validation split (default: 300)")
    command.add_argument("--source", type=Path, help="file of sentences, instead of the checkpoint's own corpus")
    command.add_argument("--reference", type=Path, help="file of their translations, line by line")
    command.add_argument("--json", type=Path, help="file for the scores")
    command.add_argument("--picture", type=Path, help="PNG or SVG file for heatmaps of the changes")

    command = commands.add_parser("history", help="how the attention of a run was learned")
    add_checkpoint_flags(command)
    command.add_argument("--output", type=Path, required=True, help="HTML file")
    return parser


def run_export(flags: argparse.Namespace, translator: Translator, options: SearchOptions) -> None:
    """Write arrays, JSON, pictures and a page."""
    if flags.target is not None and len(flags.text) > 1:
        raise UserError("--target is the translation of one sentence: give one sentence")
    check_not_blank(flags.text)
    config = translator.model.config
    for layer in flags.picture_layers or []:
        check_index("--picture_layers", layer, max(config.n_encoder_layers, config.n_decoder_layers), "layers")
    for head in flags.picture_heads or []:
        check_index("--picture_heads", head, config.n_heads, "heads")
    reading = choose_reading(flags, translator)
    if flags.target is None:
        sentences = named_maps(translator, translator.search(flags.text, options))
    else:
        ids = encode_pair(translator, flags.text[0], flags.target, "the sentence", "--target")
        sentences = iter([("1.1", maps_of(translator, *ids))])
    written = export(
        sentences, flags.output, reading, flags.formats, flags.picture_layers, flags.picture_heads, flags.start
    )
    for path in written:
        print(path)


def run_lesson(flags: argparse.Namespace, translator: Translator, options: SearchOptions) -> None:
    """Write the lesson."""
    check_not_blank([flags.text])
    if flags.target is None:
        sentence, *others = translator.search([flags.text], options)
        if others:
            raise UserError(f"the lesson follows one sentence, but the text has {1 + len(others)}: choose one")
        ids = sentence.ids, sentence.hypotheses[0].tokens
    else:
        ids = encode_pair(translator, flags.text, flags.target, "the sentence", "--target")
    html = lesson(translator.model, maps_of(translator, *ids), flags.kind, flags.layer)
    print(write_atomically(flags.output, html))


def run_live(flags: argparse.Namespace, translator: Translator, options: SearchOptions) -> None:
    """Write the page that holds the model."""
    html = live(translator, flags.weights, flags.start)
    print(write_atomically(flags.output, html))
    log(f"the page has {len(html) / 1e6:.1f} MB and opens by double click, without a network")


def run_align(flags: argparse.Namespace, translator: Translator, options: SearchOptions) -> None:
    """Write one line of links for each line of text."""
    reading = choose_reading(flags, translator)
    sources = lines_of("--input", flags.input)
    pairs: list[list[tuple[list[int], list[int]]]] = [[] for _ in sources]  # of each line, ids of source and target
    if flags.target:
        targets = lines_of("--target", flags.target)
        if len(targets) != len(sources):
            raise UserError(f"{flags.input} has {len(sources)} lines but {flags.target} has {len(targets)}")
        for i, (source, target) in enumerate(zip(sources, targets, strict=True)):
            names = f"{flags.input}, line {i + 1},", f"{flags.target}, line {i + 1},"
            pairs[i].append(encode_pair(translator, source, target, *names))
    else:
        for sentence in translator.search(sources, options):
            pairs[sentence.line].append((sentence.ids, sentence.hypotheses[0].tokens))
    links = (align_line((maps_of(translator, *ids) for ids in line), reading) for line in pairs)
    write_atomically(flags.output, "".join(f"{pharaoh(line)}\n" for line in links))


def run_report(flags: argparse.Namespace, translator: Translator, options: SearchOptions) -> None:
    """Print alignment error and pronoun accuracy on the phrasebook's test pairs."""
    reading = choose_reading(flags, translator)
    data = translator.corpus()
    if "phrasebook" not in data.paths:
        raise UserError("report needs known alignments, which only the phrasebook has: give a checkpoint trained on it")
    data.load()
    rows = list(data.corpora["phrasebook"]["test"])
    maps = [maps_of_pair(translator, row["src"], row["tgt"]) for row in rows]
    print(*alignment_report(rows, maps, translator.source_lang, reading), sep="\n")
    if translator.source_lang == "fr":
        print(*pronoun_report(translator, rows, maps, options), sep="\n")
    else:
        log("pronouns are reported for French sources only: the phrasebook links French pronouns to their nouns")


def run_ablate(flags: argparse.Namespace, translator: Translator, options: SearchOptions) -> None:
    """Print the scores with each head off in turn, and write them as JSON and as a picture."""
    if flags.sentences < 1:
        raise UserError(f"--sentences must be at least 1, not {flags.sentences}")
    if (flags.source is None) != (flags.reference is None):
        raise UserError("--source and --reference belong together: give both")
    form = flags.picture.suffix[1:].lower() if flags.picture else "png"
    if form not in PICTURE_FORMATS:
        raise UserError(f"--picture {flags.picture} must end in .{' or .'.join(PICTURE_FORMATS)}")
    check_output("--json", flags.json)
    check_output("--picture", flags.picture)
    if flags.source:
        sources, references = lines_of("--source", flags.source), lines_of("--reference", flags.reference)
        if len(sources) != len(references) or not sources:
            raise UserError(
                f"{flags.source} has {len(sources)} lines but {flags.reference} has {len(references)}: they must "
                "correspond, and not be empty"
            )
        sample = Sample(sources[: flags.sentences], references[: flags.sentences], [])
    else:
        sample = sample_of_corpus(translator, flags.sentences)
    print(ablation.header(sample))
    found: list[tuple[Head | None, Scores]] = []
    for head, scores in ablate(translator, sample, options):
        found.append((head, scores))
        print(ablation.table_row(head, scores, baseline=found[0][1]), flush=True)
    if flags.json:
        write_atomically(flags.json, json.dumps(ablation.to_json(sample, found), indent=1) + "\n")
    if flags.picture:
        write_atomically(flags.picture, ablation.to_picture(found, form))


def run_history(flags: argparse.Namespace) -> None:
    """Write the page of the maps that training kept beside the checkpoint."""
    run = RUNS / flags.name if flags.name else chosen_checkpoint(flags).parent
    print(write_atomically(flags.output, history(run)))


def choose_reading(flags: argparse.Namespace, translator: Translator) -> Reading:
    """Return the reading that the flags name, completed by the default of the checkpoint."""
    default = default_reading(translator)
    if translator.alignment is None and flags.layer is None:
        log(f"alignment: the checkpoint names no best head; the mean of decoder layer {default.layer} is used")
    config = translator.model.config
    check_index("--layer", flags.layer, config.n_decoder_layers, "decoder layers")
    check_index("--head", flags.head, config.n_heads, "heads")
    layer = default.layer if flags.layer is None else flags.layer
    if layer is None and flags.head is not None:
        raise UserError("--head is one head of one layer: give --layer, too")
    # The default head was chosen for the default layer only.
    head = default.head if flags.head is None and layer == default.layer else flags.head
    return Reading(layer, head, flags.side or default.side)


def check_not_blank(texts: Sequence[str]) -> None:
    """Raise UserError if a text has no words."""
    if not all(text.strip() for text in texts):
        raise UserError("the sentence is empty: give a sentence to translate")


def check_index(flag: str, index: int | None, count: int, things: str) -> None:
    """Raise UserError unless a layer or head exists."""
    if index is not None and not 0 <= index < count:
        raise UserError(f"{flag} {index} does not exist: the model has {things} 0 to {count - 1}")


def log(sentence: str) -> None:
    """Print a sentence on stderr."""
    print(sentence, file=sys.stderr)


if __name__ == "__main__":
    with one_sentence():
        main()
