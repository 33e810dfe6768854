"""Translation speed beside CTranslate2 and Hugging Face: `python -m benchmarks.translation --data DIR --json FILE`."""

import argparse
import copy
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from ctranslate2 import get_supported_compute_types
from sacrebleu.metrics import BLEU

sys.path.insert(0, str(Path(__file__).parent.parent))  # so that `python benchmarks/translation.py` works too

from benchmarks.apart import Apart
from benchmarks.ctranslate import CTranslate, Settings
from benchmarks.huggingface import PEERS_LENGTH_PENALTY, M2M100Translation
from benchmarks.machine import PRECISIONS, device, forward_flops, has_products, now, ratio, report, row, take_turns
from benchmarks.memory import peak_of
from convert import convert
from data import Tokenizer
from errors import UserError, one_sentence
from evaluate import lines_of
from model import Transformer
from translate import Translator

ROOT = Path(__file__).parent.parent
OURS = "this project"
TASKS = {"greedy": 1, "beam4": 4}  # beam sizes
HF_PRECISIONS = ("float32", "bfloat16")
HF_TOKENS = (1024, 2048, 4096, 8192)  # batches worth a try
# CTranslate2's; a processor or GPU has some of them.
COMPUTE_TYPES = ("float32", "int8", "int8_float32", "float16", "bfloat16", "int8_float16")
# How a peer's C library treats freed memory, and what the table says of it; its users can set it as we set ours.
MEMORY = {False: "", True: ", memory kept"}
WITHIN = 0.2  # of the float32 BLEU: what counts as the same quality
BRIEF = ("--model.consistency=0", "--model.dropout=0.1")  # of a training too short to overfit
TRIAL, LATENCY = 200, 100  # sentences to choose settings by, and to translate one at a time


class Contestant:
    """One translator at one task: does the test set in each turn, and keeps what it said."""

    def __init__(
        self, system: str, precision: str, translator: Apart, how: tuple[Any, ...], tokenizer: Tokenizer
    ) -> None:
        """Say who translates, and how.

        Args:
            system, precision: for the table.
            translator: has a method `translate`.
            how: what that takes after the texts.
            tokenizer: counts target tokens for everybody.
        """
        self.system, self.precision, self.tokenizer = system, precision, tokenizer
        self.translator, self.how = translator, how
        self.texts: list[str] = []

    def translate(self, texts: Sequence[str]) -> list[str]:
        """Translate sentences."""
        return self.translator.do("translate", texts, *self.how)

    def work(self, sources: Sequence[str]) -> int:
        """Translate everything; return the target tokens."""
        self.texts = self.translate(sources)
        return sum(map(len, self.tokenizer.encode(self.texts)))

    def work_one_by_one(self, sources: Sequence[str]) -> int:
        """Translate everything, one sentence at a time; return the target tokens."""
        self.texts = [self.translate([source])[0] for source in sources]
        return sum(map(len, self.tokenizer.encode(self.texts)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Translate the test set with everybody in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train, val and test in fr and en")
    parser.add_argument("--json", type=Path, help="file for rows and ratios")
    parser.add_argument("--checkpoint", type=Path, help="file of a trained model (default: train one now)")
    parser.add_argument("--minutes", type=int, default=3, help="of that training")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each after one to warm up")
    flags = parser.parse_args(arguments)
    if flags.rounds < 1 or flags.minutes < 1:
        raise UserError("--rounds and --minutes must be at least 1")
    sources, references = lines_of(flags.data / "test.fr", "--data"), lines_of(flags.data / "test.en", "--data")
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = flags.checkpoint or train(flags.data, flags.minutes, Path(folder))
        translator = Translator.load(checkpoint)
        convert(translator, Path(folder) / "ctranslate2")
        rows: list[dict[str, Any]] = []
        ratios: dict[str, float] = {}
        for task, beam_size in TASKS.items():
            found = compare(
                task, beam_size, checkpoint, Path(folder) / "ctranslate2", sources, references, flags.rounds
            )
            rows, ratios = rows + found[0], ratios | found[1]
        found = latency(checkpoint, Path(folder) / "ctranslate2", sources[:LATENCY], references[:LATENCY], flags.rounds)
        rows, ratios = rows + found[0], ratios | found[1]
        memory = {
            OURS: peak_memory("ours", checkpoint, flags.data / "test.fr"),
            "CTranslate2": peak_memory("ctranslate2", Path(folder) / "ctranslate2", flags.data / "test.fr"),
        }
        ratios["memory/ctranslate2_float32"] = memory[OURS] / memory["CTranslate2"]
        for system, peak in memory.items():
            rows.append({"task": "memory, beam4", "system": system, "precision": "float32", "peak_mb": peak})
    title = f"Translation of {len(sources)} sentences, target tokens (latency: one sentence at a time)"
    report(title, rows, ratios, flags.json)


def train(data: Path, minutes: int, folder: Path) -> Path:
    """Train weights of the compared shape, as a user would."""
    command = [sys.executable, f"{ROOT}/train.py", f"--config={ROOT}/configs/multi30k.yaml", "--name=benchmark"]
    options = [f"--data.path={data.resolve()}", f"--trainer.max_time=00:00:{minutes:02}:00", *BRIEF]
    print(f"training for {minutes} minutes, which --checkpoint FILE makes needless", file=sys.stderr)
    subprocess.run([*command, *options], cwd=folder, check=True, stdout=sys.stderr)
    return folder / "runs" / "benchmark" / "best.ckpt"


def ours(checkpoint: Path, beam_size: int, tokenizer: Tokenizer) -> list[Contestant]:
    """Load our translator in its default precision and in every other that the machine has."""
    contestants = []
    for flag, precision in PRECISIONS.items():
        if not has_products(precision):
            continue
        translator = Apart(Translator.load, checkpoint, "auto", flag, keeps_memory=True)  # as it sets itself
        contestants.append(Contestant(OURS, precision, translator, (beam_size,), tokenizer))
    return contestants


def ctranslate2(
    model: Path, precision: str, ways: Sequence[Settings], beam_size: int, tokenizer: Tokenizer
) -> list[Contestant]:
    """Load our weights in CTranslate2, to be run in several ways, with the C library as it is and set as ours."""
    contestants = []
    for keeps_memory, ending in MEMORY.items():
        engine = Apart(CTranslate, model, precision, device().type, keeps_memory=keeps_memory)
        for settings in ways:
            way = f"{settings.translators} × {settings.threads} threads, {settings.batch_tokens} tokens"
            how = settings, beam_size, PEERS_LENGTH_PENALTY
            contestants.append(Contestant(f"CTranslate2, {way}{ending}", precision, engine, how, tokenizer))
    return contestants


def hugging_face(network: Transformer, precision: str, beam_size: int, tokenizer: Tokenizer) -> list[Contestant]:
    """Load our weights in Hugging Face's M2M100, to be given batches of several sizes, with both C libraries."""
    contestants = []
    for keeps_memory, ending in MEMORY.items():
        peer = Apart(M2M100Translation, network, tokenizer, precision, keeps_memory=keeps_memory)
        for size in HF_TOKENS:
            how = size, beam_size, PEERS_LENGTH_PENALTY
            contestants.append(Contestant(f"HF M2M100, {size} tokens{ending}", precision, peer, how, tokenizer))
    return contestants


def fastest(contestants: Sequence[Contestant], work: Callable[[Contestant], object]) -> Contestant:
    """Choose by the best of three short trials of some work."""
    seconds = dict.fromkeys(contestants, float("inf"))
    for _ in range(3):
        for contestant in contestants:
            start = now()
            work(contestant)
            seconds[contestant] = min(seconds[contestant], now() - start)
    return min(contestants, key=lambda contestant: seconds[contestant])


def compare(
    task: str,
    beam_size: int,
    checkpoint: Path,
    model: Path,
    sources: Sequence[str],
    references: Sequence[str],
    rounds: int,
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Translate in batches with everybody in turn; return rows and ratios."""
    translator = Translator.load(checkpoint)
    tokenizer, network = translator.tokenizer, copy.deepcopy(translator.model)  # as it was before `pack`
    mine = ours(checkpoint, beam_size, tokenizer)
    trial = sources[:: max(1, len(sources) // TRIAL)]

    def translate_trial(contestant: Contestant) -> object:
        return contestant.work(trial)

    ways = Settings.worth_a_try(torch.get_num_threads())
    theirs = [
        fastest(ctranslate2(model, precision, ways, beam_size, tokenizer), translate_trial)
        for precision in COMPUTE_TYPES
        if precision in get_supported_compute_types(device().type)
    ]
    float32, low = theirs[0], fastest(theirs, translate_trial)
    hf = [
        fastest(hugging_face(network, precision, beam_size, tokenizer), translate_trial)
        for precision in HF_PRECISIONS
        if has_products(precision)
    ]
    everybody = {str(i): contestant for i, contestant in enumerate(dict.fromkeys([*mine, float32, low, *hf]))}
    names = {contestant: name for name, contestant in everybody.items()}
    turns = take_turns({name: partial(c.work, sources) for name, c in everybody.items()}, rounds)

    bleu = {name: BLEU().corpus_score(c.texts, [references]).score for name, c in everybody.items()}
    flops = cost(network, tokenizer, sources, references, beam_size)
    rows = [row(c.system, task, c.precision, turns[name], flops, bleu[name]) for name, c in everybody.items()]
    equal = [c for c in mine if abs(bleu[names[c]] - bleu[names[mine[0]]]) <= WITHIN]
    best = max(equal, key=lambda c: ratio(turns[names[c]], turns[names[low]]))
    hf_best = max(hf, key=lambda c: ratio(turns[names[c]], turns[names[low]]))
    return rows, {
        f"{task}/ctranslate2_float32": ratio(turns[names[mine[0]]], turns[names[float32]]),
        f"{task}/ctranslate2_fastest": ratio(turns[names[best]], turns[names[low]]),
        f"{task}/hf": ratio(turns[names[mine[0]]], turns[names[hf[0]]]),
        f"{task}/hf_fastest": ratio(turns[names[best]], turns[names[hf_best]]),
    }


def latency(
    checkpoint: Path, model: Path, sources: Sequence[str], references: Sequence[str], rounds: int
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Translate one sentence at a time, beam 4; return rows and ratio."""
    translator = Translator.load(checkpoint)
    mine = ours(checkpoint, 4, translator.tokenizer)[0]
    ways = [Settings.whole_machine(threads) for threads in sorted({1, torch.get_num_threads()})]
    tries = ctranslate2(model, "float32", ways, 4, mine.tokenizer)
    theirs = fastest(tries, lambda contestant: contestant.work_one_by_one(sources[: TRIAL // 10]))
    everybody = {OURS: mine, "CTranslate2": theirs}
    turns = take_turns({name: partial(c.work_one_by_one, sources) for name, c in everybody.items()}, rounds)
    flops = cost(translator.model, mine.tokenizer, sources, references, 4)
    bleu = {name: BLEU().corpus_score(c.texts, [references]).score for name, c in everybody.items()}
    rows = []
    for name, contestant in everybody.items():
        rows.append(row(contestant.system, "latency, beam4", "float32", turns[name], flops, bleu[name]))
        milliseconds = sorted(1000 * turn.seconds / len(sources) for turn in turns[name])[rounds // 2]
        rows[-1]["ms_per_sentence"] = round(milliseconds, 1)
    return rows, {"latency/ctranslate2_float32": ratio(turns[OURS], turns["CTranslate2"])}


def cost(network: Any, tokenizer: Tokenizer, sources: Sequence[str], targets: Sequence[str], beam_size: int) -> float:
    """Return the floating-point operations of one target token, as long as the references are."""
    lengths = [[len(ids) for ids in tokenizer.encode(texts)] for texts in (sources, targets)]
    return forward_flops(network, lengths[0], lengths[1], beam_size) / sum(lengths[1])


def peak_memory(system: str, model: Path, file: Path) -> int:
    """Measure the peak, in MB, of a program that translates a file with beam 4 in float32."""
    command = [sys.executable, "-m", "benchmarks.memory", system, str(model.resolve()), str(file.resolve()), "4"]
    return peak_of(command, cwd=ROOT)[1] // 10**6


if __name__ == "__main__":
    with one_sentence():
        main()
