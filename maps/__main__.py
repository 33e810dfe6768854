"""Look inside: `python -m maps export|walkthrough|align|report`."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from errors import UserError, one_sentence
from maps.align import SIDES, Links, Reading, align, gold_links, pharaoh, usual_reading
from maps.export import FORMATS, export, write_whole
from maps.lesson import lesson
from maps.report import Link, alignment_errors, antecedent_shares, attention_to_antecedent, pronouns_right
from maps.sentence import KINDS, SentenceMaps, word_spans
from translate import MAX_PIECES, Translator, newest_checkpoint, read_lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the four commands."""
    parser = argparse.ArgumentParser(prog="python -m maps", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    every = argparse.ArgumentParser(add_help=False)
    every.add_argument("--checkpoint", type=Path, help="file of a trained model (default: the newest runs/*/best.ckpt)")
    every.add_argument("--beam_size", type=int, default=4, help="hypotheses kept in search; 1 is greedy")
    one = argparse.ArgumentParser(add_help=False)
    one.add_argument("--target", help="look at this translation instead of the model's own")
    reading = argparse.ArgumentParser(add_help=False)
    reading.add_argument("--layer", type=int, help="decoder layer to align by, from 0 (default: the checkpoint's best)")
    reading.add_argument("--head", type=int, help="head to align by, from 0 (default: the best, or the mean of all)")
    reading.add_argument(
        "--side", choices=SIDES, help="align by the row that reads a piece (input) or by the one that predicts it"
    )

    command = commands.add_parser("export", parents=[every, one, reading], help="arrays, pictures and a page")
    command.add_argument("text", nargs="+", help="sentences to translate and look at")
    command.add_argument("--output", type=Path, required=True, help="folder for the files")
    command.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS, help="which files to write")
    command.add_argument("--picture_layers", type=int, nargs="+", help="layers in the pictures, from 0 (default: all)")
    command.add_argument("--start", default="", help="what the page shows first, as in its address after #")
    command.add_argument("--picture_heads", type=int, nargs="+", help="heads in the pictures, from 0 (default: all)")

    command = commands.add_parser("walkthrough", parents=[every, one], help="a lesson on one attention, step by step")
    command.add_argument("text", help="the sentence to follow")
    command.add_argument("--output", type=Path, required=True, help="HTML file")
    command.add_argument("--kind", choices=KINDS, default="encoder_self", help="which attention")
    command.add_argument("--layer", type=int, default=0, help="of the encoder or decoder, from 0")

    command = commands.add_parser("align", parents=[every, reading], help="word alignment in Pharaoh format")
    command.add_argument("--input", type=Path, required=True, help="file of lines to translate and align")
    command.add_argument("--output", type=Path, required=True, help="file of alignments, line by line")
    command.add_argument("--target", type=Path, help="file of given translations, line by line")

    commands.add_parser("report", parents=[every, reading], help="alignment error, and where a pronoun looks")

    flags = parser.parse_args(arguments)
    if flags.beam_size < 1:
        raise UserError("--beam_size must be at least 1")
    run = {"export": run_export, "walkthrough": run_walkthrough, "align": run_align, "report": run_report}
    run[flags.command](flags, Translator.load(flags.checkpoint or newest_checkpoint()))


def take(translator: Translator, text: str, target: str | None, beam_size: int) -> list[SentenceMaps]:
    """Maps of each sentence in a text, or of the whole text and a given translation of it."""
    if not text.strip():
        raise UserError("the sentence is empty: there is nothing to look at")
    if target is None:
        return [translator.maps(s.ids, s.hypotheses[0].tokens) for s in translator.search([text], beam_size)]
    return [translator.maps(*encode_pair(translator, text, target, "the sentence", "--target"))]


def encode_pair(
    translator: Translator, source: str, target: str, source_name: str, target_name: str
) -> tuple[list[int], list[int]]:
    """Ids of a sentence and of a given translation; UserError names the side that is too long."""
    source_ids, target_ids = translator.tokenizer.encode([source, target])
    for name, ids in ((source_name, source_ids), (target_name, target_ids)):
        if len(ids) > MAX_PIECES:
            raise UserError(f"{name} has {len(ids)} pieces, at most {MAX_PIECES} can be looked at beside --target")
    return source_ids, target_ids


def choose_reading(flags: argparse.Namespace, translator: Translator) -> Reading:
    """Take the reading from the flags, else from the checkpoint, else the usual one, and say so."""
    default = translator.alignment or usual_reading(len(translator.model.decoder))
    if translator.alignment is None and flags.layer is None:
        say(f"alignment: no head was compared with known links, taking the mean of decoder layer {default.layer}")
    n_layers, n_heads = len(translator.model.decoder), translator.model.n_heads
    check("--layer", flags.layer, n_layers, "decoder layers")
    check("--head", flags.head, n_heads, "heads")
    layer = default.layer if flags.layer is None else flags.layer
    if layer is None and flags.head is not None:
        raise UserError("--head is one head of one layer: give --layer, too")
    # What is best in one layer says nothing about another.
    head = default.head if flags.head is None and layer == default.layer else flags.head
    return Reading(layer, head, flags.side or default.side)


def check(flag: str, number: int | None, count: int, things: str) -> None:
    """Raise UserError unless a layer or head exists."""
    if number is not None and not 0 <= number < count:
        raise UserError(f"{flag} {number} does not exist: the model has {things} 0 to {count - 1}")


def say(sentence: str) -> None:
    """Say something beside the results."""
    print(sentence, file=sys.stderr)


def run_export(flags: argparse.Namespace, translator: Translator) -> None:
    """Write arrays, pictures and a page."""
    if flags.target is not None and len(flags.text) > 1:
        raise UserError("--target is the translation of one sentence: give one sentence")
    deepest = max(len(translator.model.encoder), len(translator.model.decoder))
    for layer in flags.picture_layers or []:
        check("--picture_layers", layer, deepest, "layers")
    for head in flags.picture_heads or []:
        check("--picture_heads", head, translator.model.n_heads, "heads")
    reading = choose_reading(flags, translator)
    sentences = [
        (f"{line}.{i}", maps)
        for line, text in enumerate(flags.text, 1)
        for i, maps in enumerate(take(translator, text, flags.target, flags.beam_size), 1)
    ]
    written = export(
        sentences, flags.output, reading, flags.formats, flags.picture_layers, flags.picture_heads, flags.start
    )
    for path in written:
        print(path)


def run_walkthrough(flags: argparse.Namespace, translator: Translator) -> None:
    """Write the lesson."""
    maps, *others = take(translator, flags.text, flags.target, flags.beam_size)
    if others:
        raise UserError(f"the lesson follows one sentence, and these are {1 + len(others)}: choose one")
    print(write_whole(flags.output, lesson(translator.model, maps, flags.kind, flags.layer)))


def run_align(flags: argparse.Namespace, translator: Translator) -> None:
    """Write one line of links for each line of text."""
    reading = choose_reading(flags, translator)
    for flag, path in (("--input", flags.input), ("--target", flags.target)):
        if path is not None and not path.is_file():
            raise UserError(f"{flag} {path} is missing")
    with flags.input.open("rb") as stream:
        sources = list(read_lines(stream, str(flags.input)))
    parts: list[list[tuple[list[int], list[int]]]] = [[] for _ in sources]  # of each line, ids of both sides
    if flags.target:
        with flags.target.open("rb") as stream:
            targets = list(read_lines(stream, str(flags.target)))
        if len(targets) != len(sources):
            raise UserError(f"{flags.input} has {len(sources)} lines but {flags.target} has {len(targets)}")
        for number, (part, source, target) in enumerate(zip(parts, sources, targets, strict=True), 1):
            names = f"{flags.input}, line {number},", f"{flags.target}, line {number},"
            part.append(encode_pair(translator, source, target, *names))
    else:
        for sentence in translator.search(sources, flags.beam_size):
            parts[sentence.line].append((sentence.ids, sentence.hypotheses[0].tokens))
    links = (line_links((translator.maps(*pair) for pair in part), reading) for part in parts)
    write_whole(flags.output, "".join(f"{pharaoh(line)}\n" for line in links))


def line_links(parts: Iterable[SentenceMaps], reading: Reading) -> Links:
    """Links of a line of several sentences, whose words are counted through."""
    links: Links = set()
    n_source = n_target = 0
    for maps in parts:
        links |= {(s + n_source, t + n_target) for s, t in align(maps, reading)}
        n_source += len(word_spans(maps.source_tokens[:-1]))
        n_target += len(word_spans(maps.decoder_output_tokens[:-1]))
    return links


def run_report(flags: argparse.Namespace, translator: Translator) -> None:
    """Print what attention knows about the phrasebook's test pairs."""
    reading = choose_reading(flags, translator)
    if translator.data["path"] != "phrasebook":
        raise UserError("report needs known alignments, which only the phrasebook has: give a checkpoint trained on it")
    rows = translator.corpus().load()["test"]
    maps = [translator.maps_of_pair(row["src"], row["tgt"]) for row in rows]
    error, baseline = alignment_errors(maps, gold_links(rows, translator.source_lang), reading)
    layer = "all layers" if reading.layer is None else f"layer {reading.layer}"
    where = f"{layer}, {'mean of all heads' if reading.head is None else f'head {reading.head}'}"
    print(f"Word alignment of {len(rows):,} test pairs by cross-attention ({where}, {reading.side} side)")
    print(f"  alignment error rate {error:6.1%}")
    print(f"  of the diagonal      {baseline:6.1%}")
    if translator.source_lang != "fr":
        say("where a pronoun looks is reported for French sources only: their pronouns carry the links")
        return
    linked = [row for row in rows if row["pronoun_fr"] >= 0]
    translations = translator.translate([row["src"] for row in linked], flags.beam_size)
    right = pronouns_right(translations, [row["tgt"] for row in linked], list(map(link_of, linked)))
    # Only a choice can be right or wrong.
    chosen = [(row, m) for row, m in zip(rows, maps, strict=True) if len(row["nouns_fr"]) > 1]
    links = [link_of(row) for row, _ in chosen]
    shares, chance = antecedent_shares([m for _, m in chosen], links)
    best_layer, best_head = np.unravel_index(shares.argmax(), shares.shape)
    print(f"\nPronouns translated right: {right:.1%} of {len(linked)} that stand for a noun")
    print(f"Where such a pronoun looks: {len(links)} test sentences with a choice of nouns")
    print("  share whose strongest key among the nouns is that noun, in encoder self-attention")
    for i, row in enumerate(shares):
        print(f"  layer {i}   " + "  ".join(f"head {h} {share:6.1%}" for h, share in enumerate(row)))
    print(f"  chance    {chance:6.1%}")
    print(f"  best      {shares.max():6.1%}, layer {best_layer}, head {best_head}")
    firmest = max(
        range(len(links)), key=lambda i: attention_to_antecedent(chosen[i][1], links[i])[best_layer, best_head]
    )
    row, example = chosen[firmest][0], chosen[firmest][1]
    query = word_spans(example.source_tokens)[row["pronoun_fr"]][0]
    start = f"s=0&k=encoder_self&l={best_layer}&h={best_head}&q={query}&p={query}"
    print(f'  to see one: uv run python -m maps export "{row["src"]}" --output DIR --start "{start}"')


def link_of(row: dict) -> Link:
    """Read a phrasebook row's pronoun link."""
    return Link(row["pronoun_fr"], row["antecedent_fr"], row["nouns_fr"], row["pronoun_en"])


if __name__ == "__main__":
    with one_sentence():
        main()
