"""Translate: `uv run translate.py "Je suis heureux"`, or `uv run translate.py --input FILE --output FILE`."""

import argparse
import codecs
import copy
import io
import json
import pickle
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from rich.console import Console
from rich.progress import Progress
from sentence_splitter import SentenceSplitter, SentenceSplitterException

from data import Tokenizer, pad
from errors import UserError, one_sentence
from maps.align import Reading, usual_reading
from maps.export import export, make_folder
from maps.sentence import SentenceMaps, take_maps
from model import Hypothesis, Transformer
from model.cores import whole_threads
from model.int8 import pack_int8
from model.linear import has_bf16_products, pack
from model.memory import keep_freed_memory
from model.pool import WorkerPool
from model.search import LENGTH_PENALTY, search_translations
from model.transformer import EOS, SIZES

if TYPE_CHECKING:
    from data.module import TranslationData

MAX_PIECES = 200  # longer sentences are cut; training saw few as long
WINDOW = 2048  # lines of a file in memory at a time
BATCH_PIECES, BATCH_HYPOTHESES = 4096, 512  # at once on a CPU: what is computed from them stays in its cache
SHARE = 8  # sentences for which one more worker is worth while
PRECISIONS = ("32", "bf16", "int8")  # numbers in float32, in bfloat16; float32, and products of 8-bit integers
END = re.compile(r"[.?!]")  # of a sentence


class Sentence(NamedTuple):
    """One sentence, or part of an over-long one: the line it stands in (from 0), its ids, its translations."""

    line: int
    ids: list[int]
    hypotheses: list[Hypothesis]


class Translation(NamedTuple):
    """A translated line: its text, and the natural log-probability and score of its sentences, added up."""

    text: str
    log_prob: float
    score: float


def search_batch(
    model: Transformer, batch: Sequence[Sequence[int]], beam_size: int, length_penalty: float, scored: bool
) -> list[list[Hypothesis]]:
    """Search the translations of source ids."""
    src = pad(batch).to(model.embedding.weight.device)
    return search_translations(model, src, beam_size, length_penalty, scored)


class Translator:
    """A tokenizer and a model, joined: text in, text out."""

    def __init__(
        self,
        model: Transformer,
        tokenizer: Tokenizer,
        data: dict[str, Any],
        precision: str = "32",
        alignment: Reading | None = None,
        devices: Sequence[str] = (),
    ) -> None:
        """Join what belongs together.

        Args:
            model, tokenizer: the network, and the pieces that it was trained with.
            data: settings of the corpus that it learned.
            precision: of the search, one of `PRECISIONS`.
            alignment: the cross-attention that aligns words best, if that was ever measured.
            devices: that search at the same time, the model's own first; none given, it is the only one.
        """
        self.arguments = model, tokenizer, data, precision, alignment, devices
        self.alignment = alignment
        self.model, self.tokenizer, self.data = model.eval(), tokenizer, data
        self.source_lang, self.target_lang = data["source_lang"], data["target_lang"]
        self.device = next(model.parameters()).device
        # Attention is looked at in float32, whatever the search runs in.
        searched = model if precision == "32" else copy.deepcopy(model)
        on_cpu = self.device.type == "cpu"
        if precision == "int8":
            if not on_cpu:
                raise UserError("--precision int8 is for processors: choose 32 or bf16, or --device cpu")
            pack_int8(searched)
        else:
            if precision == "bf16" and self.device.type in ("cpu", "cuda") and not has_bf16_products(self.device.type):
                warn(f"{self.device} is not known to multiply bfloat16, without which --precision 32 is faster")
            pack(searched.bfloat16() if precision == "bf16" else searched)
        if on_cpu:
            models = [searched] * whole_threads()
        else:
            models = [searched, *(copy.deepcopy(searched).to(device) for device in devices[1:])]
        self.pool = WorkerPool(search_batch, models, copied=on_cpu, first=[[EOS]])
        try:
            self.splitter: SentenceSplitter | None = SentenceSplitter(language=self.source_lang)
        except SentenceSplitterException:  # a language it does not know: a line is a sentence
            self.splitter = None

    def __reduce__(self) -> tuple[type["Translator"], tuple[Any, ...]]:
        """Send to another process what this was made of; workers and laid-out matrices are made there."""
        return Translator, self.arguments

    @classmethod
    def load(cls, path: str | Path, device: str = "auto", precision: str = "32") -> "Translator":
        """Read a checkpoint, which needs nothing beside it; no code in it is ever run.

        Args:
            path: of a file that `train.py` made.
            device: `auto` (all GPUs, or all cores where there is none) or a device of PyTorch.
            precision: of the search, one of `PRECISIONS`.

        Raises:
            UserError: the file is missing, torn, no checkpoint of this project, its numbers are not finite, or there is
                no such device or precision.
        """
        keep_freed_memory()
        devices = [device]
        if device == "auto":
            devices = [f"cuda:{i}" for i in range(torch.cuda.device_count())] or ["cpu"]
        try:
            torch.empty(0, device=devices[0])
        except (RuntimeError, AssertionError) as error:
            raise UserError(f"--device {device}: {str(error).splitlines()[0]}") from None
        try:
            checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            sizes = {name: checkpoint["hyper_parameters"][name] for name in (*SIZES, "dropout", "norm")}
            tokenizer = Tokenizer(checkpoint["sentencepiece"].cpu().numpy().tobytes())
            weights = {k.removeprefix("model."): v for k, v in checkpoint["state_dict"].items()}
            settings = checkpoint["datamodule_hyper_parameters"]
            data = {name: value for name, value in settings.items() if not name.startswith("_")}  # Lightning's own
            alignment = Reading(**checkpoint["alignment"]) if "alignment" in checkpoint else None
            model = Transformer(**sizes)
            model.load_state_dict(weights)
            if not all(weight.isfinite().all() for weight in weights.values()):
                raise UserError(f"checkpoint {path} holds weights that are not finite: its training has failed")
            if len(tokenizer) != sizes["vocab_size"]:
                known = f"{len(tokenizer)} pieces, the model {sizes['vocab_size']}"
                raise UserError(f"checkpoint {path} is of another kind: its vocabulary has {known}")
            if not all(isinstance(settings[name], str) for name in ("source_lang", "target_lang")):
                raise TypeError("a language is no text")
        except FileNotFoundError:
            raise UserError(f"checkpoint {path} is missing") from None
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
            raise UserError(f"checkpoint {path} is torn or no checkpoint: {str(error).splitlines()[0]}") from error
        except (KeyError, TypeError, AttributeError, IndexError, ValueError, ArithmeticError) as error:
            raise UserError(f"checkpoint {path} is of another kind: {error!r}") from error
        try:
            return cls(model.to(devices[0]), tokenizer, data, precision, alignment, devices)
        except RuntimeError as error:  # too little memory, or a GPU that PyTorch was not built for
            raise UserError(f"--device {device}: {str(error).splitlines()[0]}") from error

    def translate(
        self, texts: Sequence[str], beam_size: int = 4, batch_size: int = 256, length_penalty: float = LENGTH_PENALTY
    ) -> list[str]:
        """Translate lines of text: one string back for each, in order; a blank line stays blank."""
        sentences = self.search(texts, beam_size, batch_size, length_penalty, scored=False)
        return [translations[0].text for translations in self.join(sentences, len(texts))]

    def search(
        self,
        texts: Sequence[str],
        beam_size: int = 4,
        batch_size: int = 256,
        length_penalty: float = LENGTH_PENALTY,
        first_line: int = 1,
        scored: bool = True,
    ) -> list[Sentence]:
        """Find the best translations of every sentence in lines of text; what is cut is said on stderr.

        Args:
            texts: lines; each may hold several sentences, or none.
            beam_size: hypotheses kept in search; 1 is greedy.
            batch_size: most sentences translated at once.
            length_penalty: alpha of `model.search.penalty`.
            first_line: number of the first line, for warnings.
            scored: whether probabilities are wanted, without which a greedy search is faster.

        Returns:
            The sentences in the order of the text.

        Raises:
            UserError: a GPU has too little memory, or a copy of this process was killed.
        """
        segments: list[tuple[int, list[int]]] = []  # line, ids
        for line, text in enumerate(texts):
            encoded = self.tokenizer.encode(self.sentences(text))
            if any(len(ids) > MAX_PIECES for ids in encoded):
                warn(f"line {first_line + line}: a sentence longer than {MAX_PIECES} pieces is translated in parts")
            segments += [(line, chunk) for ids in encoded for chunk in self.chunks(ids)]
        # Longest first, so that no worker waits long for the others at the end.
        order = sorted(range(len(segments)), key=lambda i: -len(segments[i][1]))
        lengths = [len(segments[i][1]) for i in order]
        cuts = self.batches(lengths, beam_size, batch_size)
        batches = [[segments[i][1] for i in order[start:stop]] for start, stop in cuts]
        try:
            found = self.pool.map(batches, beam_size=beam_size, length_penalty=length_penalty, scored=scored)
        except torch.OutOfMemoryError as error:
            raise UserError(f"the memory of {self.device} is too small: lower --batch_size {batch_size}") from error
        hypotheses = dict(zip(order, chain.from_iterable(found), strict=True))
        sentences = [Sentence(line, ids, hypotheses[i]) for i, (line, ids) in enumerate(segments)]
        for line, _, (best, *_) in sentences:
            if best.cut:
                warn(f"line {first_line + line}: the translation was ended at {len(best.tokens)} pieces")
        return sentences

    def batches(self, lengths: Sequence[int], beam_size: int, most: int) -> Iterator[tuple[int, int]]:
        """Cut sentences of such lengths, longest first, where to search them at once: (start, stop) of each batch.

        The last batches are equal, so that no worker waits long for the others.
        """
        start, n_workers = 0, len(self.pool.tools)
        while left := len(lengths) - start:
            size = most
            if self.device.type == "cpu":
                size = max(1, min(most, BATCH_PIECES // lengths[start], BATCH_HYPOTHESES // beam_size))
            if left <= size * n_workers:
                n = max(-(-left // size), min(n_workers, round(left / SHARE)))
                yield from pairwise(start + left * i // n for i in range(n + 1))
                return
            yield start, start + size
            start += size

    def join(self, sentences: Sequence[Sentence], n_lines: int, n_best: int = 1) -> list[list[Translation]]:
        """Put sentences back into lines: the i-th translation of a line joins the i-th of each of its sentences.

        Args:
            sentences: what `search` found.
            n_lines: lines that were searched; one without a sentence is blank, and stays so.
            n_best: most translations of each line.
        """
        lines: list[list[Sentence]] = [[] for _ in range(n_lines)]
        for sentence in sentences:
            lines[sentence.line].append(sentence)
        joined = []
        for parts in lines:
            ranks = min((len(part.hypotheses) for part in parts), default=1)
            joined.append([self._translation(parts, rank) for rank in range(min(n_best, ranks))])
        return joined

    def _translation(self, parts: Sequence[Sentence], rank: int) -> Translation:
        chosen = [part.hypotheses[rank] for part in parts]
        text = " ".join(self.tokenizer.decode([hypothesis.tokens for hypothesis in chosen]))
        return Translation(text, sum((h.log_prob for h in chosen), 0.0), sum((h.score for h in chosen), 0.0))

    def maps(self, source_ids: list[int], target_ids: list[int]) -> SentenceMaps:
        """Take all attention weights of one sentence and its translation, found (`search`) or given, as ids."""
        source, translation = self.tokenizer.decode([source_ids, target_ids])
        return take_maps(self.model, source_ids, target_ids, self.tokenizer.pieces, source, translation)

    def maps_of_pair(self, source: str, target: str) -> SentenceMaps:
        """Take all attention weights of one sentence and a given translation of it, as texts."""
        return self.maps(*self.tokenizer.encode([source, target]))

    def corpus(self) -> "TranslationData":
        """Describe the corpus that the model has learned; UserError where another version did so otherwise."""
        from data.module import TranslationData  # with Lightning, for which only who wants this should wait

        try:
            return TranslationData(**self.data)
        except TypeError as error:
            raise UserError(
                f"the checkpoint describes its corpus as another version did ({error}): for a score, "
                "give --source and --reference"
            ) from error

    def sentences(self, text: str) -> list[str]:
        """Cut a line into sentences; none if it is blank."""
        text = " ".join(text.split())
        if not text:
            return []
        # The splitter takes a tenth of the time of a greedy search, so it is asked only where there is a choice: an end
        # before the last space.
        if self.splitter is None or not END.search(text, 0, max(0, text.rfind(" "))):
            return [text]
        return self.splitter.split(text)

    def chunks(self, ids: list[int]) -> Iterator[list[int]]:
        """Cut an over-long sentence, if possible before a word."""
        while len(ids) > MAX_PIECES:
            starts = [i for i in range(1, MAX_PIECES) if self.tokenizer.processor.id_to_piece(ids[i]).startswith("▁")]
            cut = max((i for i in starts if i > MAX_PIECES // 2), default=MAX_PIECES - 1)
            yield [*ids[:cut], self.tokenizer.processor.eos_id()]
            ids = ids[cut:]
        yield ids


def warn(sentence: str) -> None:
    """Say something beside the translations."""
    print(f"warning: {sentence}", file=sys.stderr)


def read_lines(stream: Iterable[bytes], name: str) -> Iterator[str]:
    """Yield lines of UTF-8: a line ends at LF, a CR before it is dropped, and invalid bytes become U+FFFD, said so.

    A byte-order mark, with which some editors begin a file, is no part of its first line.
    """
    for number, raw in enumerate(stream, 1):
        raw = raw.removesuffix(b"\n").removesuffix(b"\r")
        if number == 1:
            raw = raw.removeprefix(codecs.BOM_UTF8)
        try:
            yield raw.decode()
        except UnicodeDecodeError:
            warn(f"{name}, line {number}: invalid UTF-8 was replaced by U+FFFD")
            yield raw.decode(errors="replace")


def newest_checkpoint() -> Path:
    """Find the best checkpoint of the newest run."""
    found = sorted(Path("runs").glob("*/best.ckpt"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise UserError("there is no runs/*/best.ckpt: train first (uv run train.py), or give --checkpoint")
    return found[-1]


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    """Declare what every program that translates takes."""
    parser.add_argument(
        "--checkpoint", type=Path, help="file of a trained model (default: the newest runs/*/best.ckpt)"
    )
    parser.add_argument("--beam_size", type=int, default=4, help="hypotheses kept in search; 1 is greedy")
    parser.add_argument(
        "--batch_size", type=int, default=256, help="most sentences at once; on a CPU at most 512 / beam_size"
    )
    parser.add_argument(
        "--length_penalty", type=float, default=LENGTH_PENALTY, help="a greater one favours longer translations"
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="32",
        help="of the search: 32 is float32; near it and faster are int8 (on a CPU) and, where hardware has it, bf16",
    )
    parser.add_argument("--device", default="auto", help="auto (all GPUs, or all cores), cpu, cuda:1, ...")


def check_place(flag: str, path: Path | None) -> None:
    """Raise UserError where no file can be written, before there is something to write."""
    if path and not path.resolve().parent.is_dir():
        raise UserError(f"{flag} {path}: its folder does not exist")
    if path and path.is_dir():
        raise UserError(f"{flag} {path} is a folder: name a file")


def load_translator(flags: argparse.Namespace) -> Translator:
    """Check the flags of `add_model_flags` and load what they name."""
    for name in ("beam_size", "batch_size"):
        if getattr(flags, name) < 1:
            raise UserError(f"--{name} must be at least 1")
    return Translator.load(flags.checkpoint or newest_checkpoint(), flags.device, flags.precision)


def main(arguments: Sequence[str] | None = None) -> None:
    """Translate arguments, files or standard input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", nargs="*", help="sentences to translate (default: lines of --input or standard input)")
    parser.add_argument("--input", type=Path, help="file of lines to translate")
    parser.add_argument("--output", type=Path, help="file to write (default: standard output)")
    parser.add_argument(
        "--n_best", type=int, default=1, help="translations of each line; more than one with jsonl only"
    )
    parser.add_argument("--attention", type=Path, help="folder for all attention of every translation (see maps)")
    parser.add_argument("--resume", action="store_true", help="go on with an --output that was interrupted")
    parser.add_argument(
        "--format", choices=("text", "jsonl"), default="text", help="jsonl: a list of translations a line"
    )
    add_model_flags(parser)
    flags = parser.parse_args(arguments)
    if flags.text and flags.input:
        raise UserError("give sentences or --input, not both")
    if not 1 <= flags.n_best <= flags.beam_size:
        raise UserError(f"--n_best must be between 1 and --beam_size {flags.beam_size}")
    if flags.n_best > 1 and flags.format == "text":
        raise UserError("--n_best needs --format jsonl: text holds one translation a line")
    if flags.input and not flags.input.is_file():
        raise UserError(f"--input {flags.input} is missing")
    check_place("--output", flags.output)
    if flags.resume and not (flags.input and flags.output):
        raise UserError("--resume goes on with a file: give --input and --output as before")
    if not (flags.text or flags.input or sys.stdin):
        raise UserError("there is nothing to translate: give sentences, --input or standard input")
    translator = load_translator(flags)
    if flags.attention:
        make_folder(flags.attention, "--attention")

    if flags.text:
        lines, window, total = iter(flags.text), WINDOW, len(flags.text)
    elif flags.input:
        lines, window = read_lines(flags.input.open("rb"), str(flags.input)), WINDOW
        with flags.input.open("rb") as counted:
            total = sum(1 for _ in counted)
    else:  # answered line by line, as somebody types
        lines, window, total = read_lines(sys.stdin.buffer, "standard input"), 1, 0

    part = flags.output.with_name(f"{flags.output.name}.part") if flags.output else None
    done = finished_lines(part) if part and flags.resume else 0
    if done:
        print(f"--resume: {done} lines of {flags.output} are there already", file=sys.stderr)
        next(islice(lines, done - 1, done), None)  # passes over them
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    out = part.open("a" if done else "w", encoding="utf-8", newline="\n") if part else sys.stdout
    # A bar that refreshes itself is one more thread, beside which a `WorkerPool` makes no copies.
    console, short = Console(stderr=True), total <= WINDOW
    with Progress(console=console, transient=True, auto_refresh=False, disable=short) as bar:
        task = bar.add_task("translating", total=total, completed=done)
        while batch := list(islice(lines, window)):
            sentences = translator.search(
                batch,
                flags.beam_size,
                flags.batch_size,
                flags.length_penalty,
                first_line=done + 1,
                scored=flags.format == "jsonl",
            )
            if flags.attention:  # before the lines, which --resume takes as a sign that all of theirs is done
                reading = translator.alignment or usual_reading(len(translator.model.decoder))
                export(named_maps(translator, sentences, done + 1, flags.n_best), flags.attention, reading)
            for translations in translator.join(sentences, len(batch), flags.n_best):
                if flags.format == "jsonl":
                    print(json.dumps([t._asdict() for t in translations], ensure_ascii=False), file=out)
                else:
                    print(translations[0].text, file=out)
            out.flush()
            done += len(batch)
            bar.update(task, completed=done, refresh=True)
    if part:
        out.close()
        part.replace(flags.output)


def finished_lines(part: Path) -> int:
    """Count the lines of whole windows in an interrupted output and cut off the rest.

    Whole windows only: the same sentences then meet in the same batches, and the output is that of an uninterrupted
    run byte for byte.
    """
    if not part.exists():
        return 0
    with part.open("rb+") as stream:
        whole = [line for line in stream if line.endswith(b"\n")]
        done = len(whole) // WINDOW * WINDOW
        stream.truncate(sum(map(len, whole[:done])))
    return done


def named_maps(
    translator: Translator, sentences: Sequence[Sentence], first_line: int, n_best: int
) -> Iterator[tuple[str, SentenceMaps]]:
    """Yield the maps of translations, named LINE.SENTENCE, or LINE.SENTENCE.RANK where there are several of each."""
    line, place = -1, 0
    for sentence in sentences:
        line, place = sentence.line, place + 1 if sentence.line == line else 1
        for rank, hypothesis in enumerate(sentence.hypotheses[:n_best], 1):
            name = f"{first_line + line}.{place}"
            yield name if n_best == 1 else f"{name}.{rank}", translator.maps(sentence.ids, hypothesis.tokens)


if __name__ == "__main__":
    with one_sentence():
        main()
