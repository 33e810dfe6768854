"""Translate: `python translate.py "Je suis heureux"`, or `python translate.py --input FILE --output FILE`."""

import argparse
import json
import pickle
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.progress import Progress
from sentence_splitter import SentenceSplitter, SentenceSplitterException

from data import Tokenizer
from data.batching import pad
from errors import UserError, one_sentence
from model import Transformer, search
from model.search import max_length, translation_step

MAX_PIECES = 200  # longer sentences are cut; training saw few as long
WINDOW = 2048  # lines of a file in memory at a time
SIZES = ("vocab_size", "d_model", "n_heads", "n_encoder_layers", "n_decoder_layers", "d_ff", "dropout", "norm")


class Translation(NamedTuple):
    """A translated line: its text, and the natural log-probability and score of its sentences, added up."""

    text: str
    log_prob: float
    score: float


class Translator:
    """A tokenizer and a model, joined: text in, text out."""

    def __init__(self, model: Transformer, tokenizer: Tokenizer, data: dict[str, Any], precision: str = "32") -> None:
        """Args: model; tokenizer; data, the settings of the corpus it learned; precision, `32` or `bf16`."""
        self.model, self.tokenizer, self.data = model.eval(), tokenizer, data
        self.source_lang, self.target_lang = data["source_lang"], data["target_lang"]
        self.device = next(model.parameters()).device
        self.precision = precision
        try:
            self.splitter: SentenceSplitter | None = SentenceSplitter(language=self.source_lang)
        except SentenceSplitterException:  # a language it does not know: a line is a sentence
            self.splitter = None

    @classmethod
    def load(cls, path: str | Path, device: str = "auto", precision: str = "32") -> "Translator":
        """Read a checkpoint, which needs nothing beside it; no code in it is ever run.

        Args:
            path: of a file that `train.py` made.
            device: `auto` (a GPU if there is one) or a device of PyTorch.
            precision: `32` or `bf16`.

        Raises:
            UserError: the file is missing, torn, or no checkpoint of this project.
        """
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            checkpoint = torch.load(path, map_location=device, weights_only=True)
            sizes = {name: checkpoint["hyper_parameters"][name] for name in SIZES}
            tokenizer = Tokenizer(checkpoint["sentencepiece"].cpu().numpy().tobytes())
            weights = {k.removeprefix("model."): v for k, v in checkpoint["state_dict"].items()}
            settings = checkpoint["datamodule_hyper_parameters"]
            data = {name: value for name, value in settings.items() if not name.startswith("_")}  # Lightning's own
            model = Transformer(**sizes)
            model.load_state_dict(weights)
        except FileNotFoundError:
            raise UserError(f"checkpoint {path} is missing") from None
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
            raise UserError(f"checkpoint {path} is torn or no checkpoint: {str(error).splitlines()[0]}") from error
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise UserError(f"checkpoint {path} is of another kind: {error!r} is missing in it") from error
        return cls(model.to(device), tokenizer, data, precision)

    def translate(
        self, texts: Sequence[str], beam_size: int = 4, batch_size: int = 64, length_penalty: float = 0.6
    ) -> list[str]:
        """Translate lines of text: one string back for each, in order; a blank line stays blank."""
        found = self.n_best(texts, 1, beam_size, batch_size, length_penalty)
        return [translations[0].text for translations in found]

    @torch.inference_mode()
    def n_best(
        self,
        texts: Sequence[str],
        n_best: int = 1,
        beam_size: int = 4,
        batch_size: int = 64,
        length_penalty: float = 0.6,
        first_line: int = 1,
    ) -> list[list[Translation]]:
        """Translate lines of text, the best `n_best` translations of each.

        A line of several sentences is split, and joined again: its i-th translation joins the i-th of each sentence.
        What is cut is said on stderr.

        Args:
            texts: lines; each may hold several sentences, or none.
            n_best: translations of each line, at most beam_size.
            beam_size: hypotheses kept in search; 1 is greedy.
            batch_size: sentences translated at once.
            length_penalty: alpha of `model.search.penalty`.
            first_line: number of the first line, for warnings.
        """
        segments: list[tuple[int, list[int]]] = []  # line, ids
        for line, text in enumerate(texts):
            pieces = [chunk for ids in self.tokenizer.encode(self.sentences(text)) for chunk in self.chunks(ids)]
            if any(len(ids) == MAX_PIECES for ids in pieces):
                warn(f"line {first_line + line}: a sentence longer than {MAX_PIECES} pieces is translated in parts")
            segments += [(line, ids) for ids in pieces]
        results: list[list[Translation]] = [[] for _ in segments]
        order = sorted(range(len(segments)), key=lambda i: len(segments[i][1]))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            src = pad([segments[i][1] for i in rows]).to(self.device)
            lengths = torch.tensor([max_length(len(segments[i][1])) for i in rows])
            with torch.autocast(self.device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext():
                found = search(translation_step(self.model, src), lengths, beam_size, length_penalty, self.device)
            for i, hypotheses in zip(rows, found, strict=True):
                best = hypotheses[:n_best]
                if best[0].cut:
                    line = first_line + segments[i][0]
                    warn(f"line {line}: the translation was ended at {len(best[0].tokens)} pieces")
                decoded = self.tokenizer.decode([h.tokens for h in best])
                results[i] = [Translation(t, h.log_prob, h.score) for t, h in zip(decoded, best, strict=True)]
        lines: list[list[list[Translation]]] = [[] for _ in texts]
        for (line, _), translations in zip(segments, results, strict=True):
            lines[line].append(translations)
        return [join(parts) for parts in lines]

    def sentences(self, text: str) -> list[str]:
        """Cut a line into sentences; none if it is blank."""
        if not text.strip():
            return []
        return self.splitter.split(" ".join(text.split())) if self.splitter else [text]

    def chunks(self, ids: list[int]) -> Iterator[list[int]]:
        """Cut an over-long sentence, if possible before a word."""
        while len(ids) > MAX_PIECES:
            starts = [i for i in range(1, MAX_PIECES) if self.tokenizer.processor.id_to_piece(ids[i]).startswith("▁")]
            cut = max((i for i in starts if i > MAX_PIECES // 2), default=MAX_PIECES - 1)
            yield [*ids[:cut], self.tokenizer.processor.eos_id()]
            ids = ids[cut:]
        yield ids


def join(parts: list[list[Translation]]) -> list[Translation]:
    """Join the translations of a line's sentences, the i-th with the i-th."""
    if not parts:
        return [Translation("", 0.0, 0.0)]
    ranks = range(min(map(len, parts)))
    return [
        Translation(
            " ".join(part[rank].text for part in parts),
            sum(part[rank].log_prob for part in parts),
            sum(part[rank].score for part in parts),
        )
        for rank in ranks
    ]


def warn(sentence: str) -> None:
    """Say something beside the translations."""
    print(f"warning: {sentence}", file=sys.stderr)


def read_lines(stream: Iterable[bytes], name: str) -> Iterator[str]:
    """Yield lines of UTF-8: a line ends at LF, a CR before it is dropped, and invalid bytes become U+FFFD, said so."""
    for number, raw in enumerate(stream, 1):
        raw = raw.removesuffix(b"\n").removesuffix(b"\r")
        try:
            yield raw.decode()
        except UnicodeDecodeError:
            warn(f"{name}, line {number}: invalid UTF-8 was replaced by U+FFFD")
            yield raw.decode(errors="replace")


def newest_checkpoint() -> Path:
    """Find the best checkpoint of the newest run."""
    found = sorted(Path("runs").glob("*/best.ckpt"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise UserError("there is no runs/*/best.ckpt: train first (python train.py), or give --checkpoint")
    return found[-1]


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    """Declare what every program that translates takes."""
    parser.add_argument(
        "--checkpoint", type=Path, help="file of a trained model (default: the newest runs/*/best.ckpt)"
    )
    parser.add_argument("--beam_size", type=int, default=4, help="hypotheses kept in search; 1 is greedy")
    parser.add_argument("--batch_size", type=int, default=64, help="sentences translated at once")
    parser.add_argument("--length_penalty", type=float, default=0.6, help="greater values favour longer translations")
    parser.add_argument("--precision", choices=("32", "bf16"), default="32", help="of the matrix products")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")


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
    if flags.output and not flags.output.resolve().parent.is_dir():
        raise UserError(f"--output {flags.output}: its folder does not exist")
    translator = load_translator(flags)

    def answer(lines: list[str], first: int) -> Iterator[str]:
        found = translator.n_best(
            lines, flags.n_best, flags.beam_size, flags.batch_size, flags.length_penalty, first_line=first
        )
        for translations in found:
            if flags.format == "jsonl":
                yield json.dumps([t._asdict() for t in translations], ensure_ascii=False)
            else:
                yield translations[0].text

    if flags.text:
        lines, window, total = iter(flags.text), WINDOW, len(flags.text)
    elif flags.input:
        lines, window = read_lines(flags.input.open("rb"), str(flags.input)), WINDOW
        with flags.input.open("rb") as counted:
            total = sum(1 for _ in counted)
    else:  # answered line by line, as somebody types
        lines, window, total = read_lines(sys.stdin.buffer, "standard input"), 1, 0

    part = flags.output.with_name(f"{flags.output.name}.part") if flags.output else None
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
    out = part.open("w", encoding="utf-8", newline="\n") if part else sys.stdout
    done = 0
    with Progress(console=Console(stderr=True), transient=True, disable=total <= WINDOW) as bar:
        task = bar.add_task("translating", total=total)
        while batch := list(islice(lines, window)):
            for line in answer(batch, done + 1):
                print(line, file=out)
            out.flush()
            done += len(batch)
            bar.update(task, completed=done)
    if part:
        out.close()
        part.replace(flags.output)


if __name__ == "__main__":
    with one_sentence():
        main()
