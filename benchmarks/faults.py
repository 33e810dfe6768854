"""Kill training at random moments, resume it, and count what was lost: `python -m benchmarks.faults --json FILE`.

Trainings are forked from one process that has imported everything, so that a kill costs seconds. Nothing is lost if the
weights equal those of an undisturbed run bit by bit and the curves contain the same rows. All forks have the same hash
seed, which two Pythons have not: a test in `tests/test_training.py` resumes in a new Python.
"""

import argparse
import csv
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data.phrasebook import Grammar
from errors import UserError, one_sentence
from translation.flags import check_output

ROOT = Path(__file__).parent.parent
STEPS = 30
SETTINGS = [
    f"--config={ROOT / 'configs' / 'multi30k.yaml'}",
    "--data.path=corpus",
    "--data.vocab_size=400",
    "--data.batch_tokens=256",
    "--model.d_model=32",
    "--model.n_heads=2",
    "--model.n_encoder_layers=1",
    "--model.n_decoder_layers=1",
    "--model.d_ff=64",
    "--trainer.accelerator=cpu",
    "--trainer.max_time=null",
    f"--trainer.max_steps={STEPS}",
    "--trainer.val_check_interval=8",
    "--trainer.log_every_n_steps=1",
    "--trainer.enable_progress_bar=false",
]
# Moment -> class, method, least number of its calls in an undisturbed run, and longest delay of the signal in seconds.
MOMENTS = {
    "epoch": ("training.module.TranslationModule", "training_step", STEPS, 0.02),
    "validation": ("training.module.TranslationModule", "validation_step", 6, 0.05),
    "checkpoint write": ("training.checkpoints.AtomicCheckpointIO", "save_checkpoint", STEPS, 0.02),
}


def write_corpus(folder: Path, n_train: int = 151, n_val: int = 21) -> None:
    """Write parallel files that the phrasebook's grammar generates."""
    folder.mkdir()
    grammar = Grammar(seed=5)
    for split, size in (("train", n_train), ("val", n_val), ("test", 20)):
        rows = [grammar.sentence() for _ in range(size)]
        for lang in ("fr", "en"):
            (folder / f"{split}.{lang}").write_text("".join(row[lang] + "\n" for row in rows), encoding="utf-8")


def announce(path: str, method: str, number: int, connection: Connection) -> None:
    """Make the `number`-th call of a method send a message when it begins."""
    module, _, name = path.rpartition(".")
    owner = getattr(__import__(module, fromlist=[name]), name)
    original, calls = getattr(owner, method), 0

    def announced(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            connection.send(None)
        return original(*args, **kwargs)

    setattr(owner, method, announced)


def train_here(
    folder: Path, log: Path, arguments: Sequence[str], environment: dict[str, str], patches: Sequence[tuple]
) -> None:
    """In the child process: apply patches (a function and its arguments each), then train as train.py does."""
    os.chdir(folder)
    os.environ.update(environment)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    import train

    for patch, *values in patches:
        patch(*values)
    with one_sentence():
        train.main(list(arguments))


def forked(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Return a process, not yet started, that calls a function; only the first one takes time to import everything.

    The project's folder is added to PYTHONPATH permanently, so that the process that forks the others can import it.
    """
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if str(ROOT) not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), *paths]))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["train", "evaluate"])  # the tests run evaluate.py, too
    return context.Process(target=with_new_seeds, args=(target, *arguments))


def with_new_seeds(target: Callable[..., None], *arguments: Any) -> None:
    """Call a function with new random seeds, as in a new Python."""
    torch.seed()
    np.random.seed()
    target(*arguments)


class Training:
    """A process that trains in a folder; its output goes to a file."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        environment: dict[str, str] | None = None,
        patches: Sequence[tuple[Any, ...]] = (),
    ) -> None:
        descriptor, name = tempfile.mkstemp(dir=folder, suffix=".log")
        os.close(descriptor)
        self.log = Path(name)
        self.process = forked(train_here, folder, self.log, arguments, environment or {}, patches)
        self.process.daemon = True
        self.process.start()

    def wait(self) -> int:
        """Return the exit code, negative where a signal ended it."""
        self.process.join(600)
        assert self.process.exitcode is not None, self.output()
        return self.process.exitcode

    def output(self) -> str:
        """Return what the process has written to stdout and stderr."""
        return self.log.read_text(encoding="utf-8")


def disturb(folder: Path, name: str, moment: str, number: int, delay: float, signum: int, *flags: str) -> int:
    """Train until the `number`-th call at a moment, wait, send a signal, and return the exit code."""
    path, method, *_ = MOMENTS[moment]
    here, there = multiprocessing.Pipe()
    patch = (announce, path, method, number, there)
    training = Training(folder, *SETTINGS, f"--name={name}", *flags, patches=[patch])
    there.close()
    if here.poll(300):
        time.sleep(delay)
        os.kill(training.process.pid, signum)  # type: ignore[arg-type]
    return training.wait()


def resume(folder: Path, name: str, *flags: str, patches: Sequence[tuple[Any, ...]] = ()) -> Training:
    """Resume a run, and wait for its end."""
    training = Training(folder, f"--name={name}", "--ckpt_path=last", *flags, patches=patches)
    training.wait()
    return training


def rows_of(run: Path) -> list[dict[str, str]]:
    """Return the rows of metrics.csv without the column that depends on time."""
    with (run / "metrics.csv").open(encoding="utf-8") as file:
        return [{key: value for key, value in row.items() if key != "tokens/s"} for row in csv.DictReader(file)]


def differences(run: Path, undisturbed: Path) -> list[str]:
    """Return names of what differs between the end of a run and that of an undisturbed one."""
    a, b = (torch.load(folder / "last.ckpt", weights_only=True) for folder in (run, undisturbed))
    lost = [name for name, weights in b["state_dict"].items() if not torch.equal(weights, a["state_dict"][name])]
    if a["global_step"] != b["global_step"]:
        lost.append(f"{b['global_step'] - a['global_step']} steps")
    if rows_of(run) != rows_of(undisturbed):
        lost.append("rows of metrics.csv")
    return lost


def kill_and_resume(folder: Path, moment: str, seed: int) -> list[str]:
    """Kill a training at a random moment, resume it, and return what differs from runs/undisturbed at its end."""
    rng = random.Random(f"{moment} {seed}")
    _, _, calls, seconds = MOMENTS[moment]
    name = f"{moment.replace(' ', '-')}-{seed}"
    # Saving after every step, or after validations only; in the second case the resumed run replaces rows.
    minutes = 0 if moment == "checkpoint write" else rng.choice([0, 60])
    flag = f"--save_every_minutes={minutes}"
    code = disturb(folder, name, moment, rng.randint(1, calls), rng.uniform(0, seconds), signal.SIGKILL, flag)
    if code != -signal.SIGKILL:
        return [f"not killed: exit code {code}"]
    resumed = resume(folder, name)
    if resumed.process.exitcode:
        return [resumed.output().strip().splitlines()[-1]]
    return differences(folder / "runs" / name, folder / "runs" / "undisturbed")


def main(arguments: list[str] | None = None) -> None:
    """Print a table: fault, number of trials, trials in which nothing was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=25, help="kills at each kind of moment")
    parser.add_argument("--json", type=Path, help="also write the table to this file")
    options = parser.parse_args(arguments)
    check_output("--json", options.json)
    if options.times < 1:
        raise UserError(f"--times must be at least 1, not {options.times}")
    table = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_corpus(folder / "corpus")
        undisturbed = Training(folder, *SETTINGS, "--name=undisturbed")
        if undisturbed.wait():
            raise SystemExit(undisturbed.output())
        for moment in MOMENTS:
            unharmed = 0
            for seed in range(options.times):
                lost = kill_and_resume(folder, moment, seed)
                unharmed += not lost
                print(f"{moment} {seed}: {', '.join(lost) or 'nothing lost'}", file=sys.stderr)
            table.append({"fault": f"SIGKILL in {moment}", "tried": options.times, "nothing_lost": unharmed})
    print("| fault | trials | nothing lost |\n|---|---|---|")
    for row in table:
        print(f"| {row['fault']} | {row['tried']} | {row['nothing_lost']} |")
    if options.json:
        options.json.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    with one_sentence():
        main()
