"""Translation beside CTranslate2 and Hugging Face: `python -m benchmarks.translation --data DIR --checkpoint FILE`.

Measures tokens per second, BLEU, the latency of one sentence, the wall clock of `translate.py`, and peak memory.
"""

import argparse
import contextlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import ctranslate2
from sacrebleu.metrics import BLEU

from benchmarks.child import Child, tree_memory
from benchmarks.machine import device, now, report
from data.tokenizer import Tokenizer, normalise
from errors import UserError, one_sentence
from translation.checkpoint import read_checkpoint
from translation.conversion import convert
from translation.ctranslate2_engine import usable_threads
from translation.files import lines_of
from translation.flags import check_output
from translation.hypothesis import SearchOptions, max_length
from translation.translator import BATCH_SIZE, EngineName, Translator

ROOT = Path(__file__).parent.parent
BEAM_SIZES = {"greedy": 1, "beam4": 4}
TRIAL = 300  # sentences, to choose the fastest batches of a baseline
LATENCY = 50  # sentences, translated one at a time
STARTS = 5  # of translate.py
SENTENCE = "Deux hommes jouent au football."
LIBRARY_BATCHES = (1024, 2048)  # tokens
HUGGING_FACE_BATCHES = (64, 256)  # sentences


class System(Protocol):
    """Translates sentences, in batches of `batches` sentences or tokens."""

    def translate(self, texts: Sequence[str], options: SearchOptions, batches: int) -> list[str]: ...


class Engine:
    """One of our engines."""

    def __init__(self, checkpoint: Path, engine: EngineName, precision: str) -> None:
        self.translator = Translator.load(checkpoint, engine, precision)

    def translate(self, texts: Sequence[str], options: SearchOptions, batches: int) -> list[str]:
        """Translate sentences, `batches` at once."""
        return self.translator.translate(texts, options, batches)


class Library:
    """The bare CTranslate2 library with SentencePiece, as its documentation uses them; threads as in our engine."""

    def __init__(self, folder: Path, compute_type: str) -> None:
        self.tokenizer = Tokenizer((folder / "sentencepiece.model").read_bytes())
        threads = {"inter_threads": usable_threads(), "intra_threads": 1} if device().type == "cpu" else {}
        self.translator = ctranslate2.Translator(str(folder), device().type, compute_type=compute_type, **threads)

    def translate(self, texts: Sequence[str], options: SearchOptions, batches: int) -> list[str]:
        """Translate sentences, in batches of `batches` source tokens, which the library sorts by length."""
        processor = self.tokenizer.processor
        sources = processor.encode([normalise(text) for text in texts], out_type=str)
        results = self.translator.translate_batch(
            sources,
            batch_type="tokens",
            max_batch_size=batches,
            beam_size=options.beam_size,
            length_penalty=options.length_penalty,
            no_repeat_ngram_size=options.no_repeat_ngram_size or 0,
            min_decoding_length=options.min_length,
            # The library has one limit for a call; our engine has one for each length of the source, EOS included.
            max_decoding_length=max_length(max(map(len, sources)) + 1),
        )
        return processor.decode([result.hypotheses[0] for result in results])


class HuggingFace:
    """Hugging Face's `generate` with our weights in M2M100, in float32."""

    def __init__(self, checkpoint: Path) -> None:
        from benchmarks.huggingface import m2m100  # takes seconds

        content = read_checkpoint(checkpoint)
        self.model, self.tokenizer = m2m100(content.model), content.tokenizer

    def translate(self, texts: Sequence[str], options: SearchOptions, batches: int) -> list[str]:
        """Translate sentences, `batches` at once."""
        from benchmarks.huggingface import generate

        return generate(self.model, self.tokenizer, texts, options, batches)


def serve(connection: Connection, make: Callable[..., System], *arguments: Any) -> None:
    """Answer requests, which are the arguments of `System.translate`, by (translations, seconds): for a `Child`."""
    system = make(*arguments)
    connection.send(None)
    with contextlib.suppress(EOFError):
        while True:
            request = connection.recv()
            start = now()
            translations = system.translate(*request)
            connection.send((translations, now() - start))


class Entry(NamedTuple):
    """A system in a process of its own, and the sizes of batches among which the fastest is chosen."""

    precision: str
    child: Child
    batches: Sequence[int]


def start_systems(checkpoint: Path, folder: Path) -> dict[str, Entry]:
    """Start all systems; `folder` holds the converted model."""
    compute_types = ctranslate2.get_supported_compute_types(device().type)
    ours = [BATCH_SIZE]
    systems = {
        "pytorch": Entry("float32", Child(serve, Engine, checkpoint, "pytorch", "32"), ours),
        "ctranslate2": Entry("float32", Child(serve, Engine, checkpoint, "ctranslate2", "32"), ours),
        "library": Entry("float32", Child(serve, Library, folder, "float32"), LIBRARY_BATCHES),
        "hf": Entry("float32", Child(serve, HuggingFace, checkpoint), HUGGING_FACE_BATCHES),
    }
    if "int8" in compute_types:
        systems["ctranslate2_int8"] = Entry("int8", Child(serve, Engine, checkpoint, "ctranslate2", "int8"), ours)
        systems["library_int8"] = Entry("int8", Child(serve, Library, folder, "int8"), LIBRARY_BATCHES)
    return systems


def measure_speed(
    systems: dict[str, Entry], task: str, sources: list[str], references: list[str], tokenizer: Tokenizer, rounds: int
) -> tuple[list[dict[str, Any]], dict[str, Sequence[float]]]:
    """Translate all sentences with every system in turn; return rows and figures of one task."""
    options = SearchOptions(beam_size=BEAM_SIZES[task])
    print(f"{task}: choosing the batches of the baselines", file=sys.stderr)
    batches = {name: fastest_batches(entry, sources[:TRIAL], options) for name, entry in systems.items()}
    speeds: dict[str, list[float]] = {name: [] for name in systems}  # tokens/s of each round
    bleu: dict[str, float] = {}
    for number in range(rounds):
        print(f"{task}: round {number + 1} of {rounds}", file=sys.stderr)
        for name, entry in systems.items():
            translations, seconds = entry.child.ask((sources, options, batches[name]))
            speeds[name].append(sum(map(len, tokenizer.encode(translations))) / seconds)
            bleu[name] = BLEU().corpus_score(translations, [references]).score  # the same in every round
    rows = [
        {
            "task": task,
            "system": name,
            "precision": entry.precision,
            "batches": batches[name],
            "tokens/s": round(statistics.median(speeds[name])),
            "BLEU": round(bleu[name], 2),
        }
        for name, entry in systems.items()
    ]
    pairs = {
        "pytorch/hf": ("pytorch", "hf"),
        "ctranslate2/library": ("ctranslate2", "library"),
        "ctranslate2_int8/library_int8": ("ctranslate2_int8", "library_int8"),
        "ctranslate2/pytorch": ("ctranslate2", "pytorch"),
    }
    figures: dict[str, Sequence[float]] = {
        f"{task}/{key}": [a / b for a, b in zip(speeds[ours], speeds[theirs], strict=True)]
        for key, (ours, theirs) in pairs.items()
        if ours in systems
    }
    return rows, figures


def fastest_batches(entry: Entry, texts: list[str], options: SearchOptions) -> int:
    """Return the size of batches that is fastest in the better of two trials, which also warm the system up."""
    seconds = dict.fromkeys(entry.batches, float("inf"))
    for batches in [*entry.batches, *entry.batches]:
        seconds[batches] = min(seconds[batches], entry.child.ask((texts, options, batches))[1])
    return min(seconds, key=lambda batches: seconds[batches])


def measure_latency(systems: dict[str, Entry], sources: list[str], rounds: int) -> dict[str, Sequence[float]]:
    """Translate one sentence at a time with both engines; return mean milliseconds of a sentence, beam 4."""
    engines = ("ctranslate2", "pytorch")
    figures: dict[str, list[float]] = {f"latency/{name}": [] for name in engines}
    for _ in range(rounds):
        for name in engines:
            requests = [([source], SearchOptions(), BATCH_SIZE) for source in sources]
            seconds = [systems[name].child.ask(request)[1] for request in requests]
            figures[f"latency/{name}"].append(1000 * statistics.mean(seconds))
    return dict(figures)


def measure_start(checkpoint: Path) -> list[float]:
    """Return the seconds that `translate.py --engine ctranslate2` takes for one sentence, conversion kept."""
    command = translate_command(checkpoint, "ctranslate2", SENTENCE)
    seconds = []
    for _ in range(STARTS + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    return seconds[1:]  # the first start may read files that the system's cache lacks


def measure_memory(checkpoint: Path, engine: str, sources: list[str], folder: Path) -> float:
    """Return the peak of resident memory, in MB, of `translate.py` for a file, with its child processes."""
    (folder / "source").write_text("".join(f"{line}\n" for line in sources), encoding="utf-8")
    arguments = ("--input", str(folder / "source"), "--output", str(folder / "translations"))
    process = subprocess.Popen(translate_command(checkpoint, engine, *arguments))
    peak = 0
    while process.poll() is None:
        peak = max(peak, tree_memory(process.pid))
        time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"translate.py failed with exit code {process.returncode}")
    return peak / 1000


def translate_command(checkpoint: Path, engine: str, *arguments: str) -> list[str]:
    """Return a command line of `translate.py`."""
    return [sys.executable, str(ROOT / "translate.py"), f"--checkpoint={checkpoint}", f"--engine={engine}", *arguments]


def main(arguments: Sequence[str] | None = None) -> None:
    """Translate the test set with all systems."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with test.fr and test.en")
    parser.add_argument("--checkpoint", type=Path, required=True, help="file of a trained model")
    parser.add_argument("--json", type=Path, help="file for rows and figures")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each system")
    parser.add_argument("--sentences", type=int, default=1000, help="sentences of the test set to translate")
    flags = parser.parse_args(arguments)
    check_output("--json", flags.json)
    if flags.rounds < 1 or flags.sentences < 1:
        raise UserError("--rounds and --sentences must be at least 1")
    sources = lines_of("--data", flags.data / "test.fr")[: flags.sentences]
    references = lines_of("--data", flags.data / "test.en")[: flags.sentences]

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = folder / "model.ckpt"  # a copy, so that nothing is written beside the original
        shutil.copy(flags.checkpoint, checkpoint)
        content = read_checkpoint(checkpoint)
        convert(content, folder / "library")
        systems = start_systems(checkpoint, folder / "library")
        rows: list[dict[str, Any]] = []
        figures: dict[str, Sequence[float]] = {}
        for task in BEAM_SIZES:
            more = measure_speed(systems, task, sources, references, content.tokenizer, flags.rounds)
            rows, figures = rows + more[0], figures | more[1]
        figures |= measure_latency(systems, sources[:LATENCY], flags.rounds)
        for entry in systems.values():
            entry.child.stop()
        figures["program/ctranslate2"] = measure_start(checkpoint)
        for engine in ("ctranslate2", "pytorch"):
            figures[f"memory/{engine}"] = [measure_memory(checkpoint, engine, sources, folder)]
    title = f"Translation of {len(sources)} sentences, target tokens per second"
    report(title, rows, figures, flags.json)


if __name__ == "__main__":
    with one_sentence():
        main()
