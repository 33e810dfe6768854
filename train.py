"""Train a Transformer: `uv run train.py`, or `uv run train.py --config configs/multi30k.yaml --data.path DIR`."""

import logging
import os
import sys
import threading
import warnings
from argparse import ArgumentError
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from data.module import TranslationData
from errors import DISK_FULL, UserError, one_sentence
from maps.align import best_reading, gold_links
from model.checkpoints import AtomicCheckpointIO, Interrupted, LastCheckpoint, intact, newest_intact, saved_step
from model.curves import Curves
from model.linear import has_bf16_products
from model.memory import keep_freed_memory
from model.module import TranslationModule
from model.progress import RunProgress
from translate import Translator

RUNS = Path("runs")
EXAMPLES = {"fr": "Je suis heureux.", "en": "I am happy."}  # to ask a finished model, by source language
SWEEP = 300  # validation pairs that choose a cross-attention to align by
DEFAULT_CONFIG = str(Path(__file__).parent / "configs" / "phrasebook.yaml")


def choose_precision(precision: str | int | None, accelerator: Any = "auto") -> str | int | None:
    """Resolve `auto`: bfloat16 products where the hardware has them, at several times the rate; else float32."""
    if precision != "auto":
        return precision
    has_bf16 = has_bf16_products("cuda" if torch.cuda.is_available() and accelerator != "cpu" else "cpu")
    chosen = "bf16-mixed" if has_bf16 else "32-true"
    rank_zero_info(f"precision {chosen}: this hardware has {'' if has_bf16 else 'no '}bfloat16 instructions")
    return chosen


class Trainer(L.Trainer):
    """Lightning's Trainer with `precision: auto`, and with checkpoints that are whole or absent."""

    def __init__(self, *, precision: str | int | None = "auto", **kwargs: Any) -> None:
        """Args: precision, `auto` or any of Lightning's."""
        # Every batch has shapes of its own, and oneDNN would keep the kernels of the last 1024: a gigabyte or more.
        os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")
        keep_freed_memory()
        # TokenBatches shards itself, so that every pair is seen once an epoch by any number of processes.
        super().__init__(
            precision=choose_precision(precision, kwargs.get("accelerator")),  # type: ignore[arg-type]
            use_distributed_sampler=False,
            plugins=AtomicCheckpointIO(),
            **kwargs,
        )


class TrainCLI(LightningCLI):
    """YAML sections `model`, `data`, `trainer` and `early_stopping`, and a name for what the run makes."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Declare what Lightning does not know."""
        parser.add_argument("--name", type=str, default="phrasebook", help="files go to runs/NAME")
        go_on = "go on with the run of --name: from its `last` checkpoint, or from a file"
        parser.add_argument("--ckpt_path", type=str | None, default=None, help=go_on)
        parser.add_argument("--save_every_minutes", type=float, default=2.0, help="work that a kill may cost, at most")
        parser.link_arguments("data.vocab_size", "model.vocab_size")
        parser.link_arguments("data.seed", "model.seed")
        parser.add_lightning_class_args(EarlyStopping, "early_stopping")
        parser.set_defaults(
            {"early_stopping.monitor": "val_bleu", "early_stopping.mode": "max", "early_stopping.patience": 10}
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Tell a wrong flag or key in one sentence."""
        try:
            super().parse_arguments(parser, args)
        except ArgumentError as error:
            raise UserError(" ".join(str(error).split())) from None

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        """Send everything that the run makes to runs/NAME, behind what the checkpoint holds."""
        self.run = RUNS / self.config.name
        self.checkpoint = find_checkpoint(self.run, self.config.ckpt_path)
        step = saved_step(self.checkpoint) if self.checkpoint else 0
        callbacks: list[Callback] = [
            ModelCheckpoint(
                dirpath=self.run,
                filename="best",
                monitor="val_bleu",
                mode="max",
                enable_version_counter=False,
                save_on_train_epoch_end=False,
            ),
            LastCheckpoint(self.run, timedelta(minutes=self.config.save_every_minutes)),
        ]
        if self.config.trainer.enable_progress_bar is not False:
            callbacks.append(RunProgress())
        board = TensorBoardLogger(self.run, name="", version="", default_hp_metric=False, purge_step=step)
        try:
            return super().instantiate_trainer(
                logger=[Curves(self.run / "metrics.csv", step), board], callbacks=callbacks, **kwargs
            )
        except (MisconfigurationException, ValueError) as error:
            raise UserError(f"trainer: {' '.join(str(error).split())}") from None


def find_checkpoint(run: Path, ckpt_path: str | None) -> Path | None:
    """Resolve `--ckpt_path`; None starts at the first step."""
    if ckpt_path is None:
        return None
    if ckpt_path == "last":
        found = newest_intact(run)
        if found is None:
            rank_zero_info(f"{run} was stopped before its first checkpoint: starting at the first step")
        return found
    path = Path(ckpt_path)
    if not intact(path):
        raise UserError(f"--ckpt_path: {path} is {'torn' if path.exists() else 'missing'}, nothing goes on from it")
    return path


def resume_arguments(arguments: list[str]) -> list[str]:
    """With `--ckpt_path`, put the run's own config.yaml before everything else, and let no other mix with it."""
    values = dict(zip(arguments, arguments[1:], strict=False))
    values |= dict(a.split("=", 1) for a in arguments if a.startswith("--") and "=" in a)
    if "--ckpt_path" not in values:
        return arguments
    if "--name" not in values:
        raise UserError("--ckpt_path: name the run that goes on by --name NAME")
    if any(a.startswith("--config") for a in arguments):
        raise UserError("--ckpt_path: leave --config out, the run goes on with its own config.yaml")
    config = RUNS / values["--name"] / "config.yaml"
    if not config.is_file():
        raise UserError(f"--ckpt_path: {config} is missing, there is no run of that name to go on with")
    return ["--config", str(config), *arguments]


def main(arguments: list[str] | None = None) -> None:
    """Train, then show what was learned."""
    logging.getLogger("lightning.pytorch").setLevel(logging.INFO)
    warnings.filterwarnings("ignore", module="lightning")
    arguments = resume_arguments(sys.argv[1:] if arguments is None else arguments)
    config_files = [] if any(a.startswith("--config") for a in arguments) else [DEFAULT_CONFIG]
    cli = TrainCLI(
        TranslationModule,
        TranslationData,
        trainer_class=Trainer,
        save_config_callback=None,
        run=False,
        args=arguments,
        seed_everything_default=False,
        parser_kwargs={"default_config_files": config_files, "exit_on_error": False},
    )
    trainer = cli.config.trainer
    if cli.config.model.decay == "linear" and trainer.max_time is None and trainer.max_steps < 0:
        raise UserError("model.decay linear ends with the run: give --trainer.max_steps or --trainer.max_time")
    # Before Lightning starts other processes; those that torchrun or SLURM has started wait in `fit`.
    if cli.config.ckpt_path is None and cli.trainer.is_global_zero:
        if (cli.run / "config.yaml").exists():
            raise UserError(f"{cli.run} exists: choose another --name, or go on with it by --ckpt_path last")
        cli.datamodule.load()  # what is wrong with the data is said before anything is written
        cli.run.mkdir(parents=True, exist_ok=True)
        # With nulls: left out, a resumed run would take defaults in their place.
        cli.parser.save(cli.config, cli.run / "config.yaml", skip_unset=False, overwrite=True, multifile=False)
    best = cli.run / "best.ckpt"
    with stops_in_a_sentence(cli.config.name, cli.trainer.global_rank):
        cli.trainer.fit(cli.model, cli.datamodule, ckpt_path=cli.checkpoint, weights_only=True)
        if best.exists():  # a short run may have had no validation
            keep_alignment(best, cli.datamodule)
    show(best if best.exists() else cli.run / "last.ckpt")


def disk_is_full(error: BaseException | None) -> bool:
    """Whether there is no room left for a file."""
    return isinstance(error, OSError) and error.errno in DISK_FULL


@contextmanager
def stops_in_a_sentence(name: str, rank: int) -> Iterator[None]:
    """Say why training stopped, and how it goes on."""
    go_on = f"go on by: uv run train.py --name {name} --ckpt_path last"
    usual = threading.excepthook  # TensorBoard's thread, whose failure the main thread meets at the next row
    threading.excepthook = lambda failed: None if disk_is_full(failed.exc_value) else usual(failed)
    try:
        yield
    except Interrupted as stopped:
        if rank > 0:  # the first process speaks for all; a launcher would take another's failure for a crash
            raise SystemExit(0) from None
        print(f"{stopped}; {go_on}", file=sys.stderr)
        raise SystemExit(128 + stopped.signum) from None
    except MisconfigurationException as error:
        raise UserError(" ".join(str(error).split())) from None
    except OSError as error:
        if not disk_is_full(error):
            raise
        raise UserError(
            f"{RUNS / name}: {error.strerror}; the last checkpoint is whole: free some space, then {go_on}"
        ) from None


@rank_zero_only
def keep_alignment(checkpoint: Path, data: TranslationData) -> None:
    """Write into a checkpoint which cross-attention aligns words best, if the corpus knows its alignments."""
    val = data.load()["val"]
    if "alignment" not in val.column_names:
        return
    translator = Translator.load(checkpoint, "cpu")
    rows = val.select(range(min(SWEEP, len(val)))).to_list()
    maps = [translator.maps_of_pair(row["src"], row["tgt"]) for row in rows]
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    content["alignment"] = best_reading(maps, gold_links(rows, translator.source_lang))._asdict()
    AtomicCheckpointIO().save_checkpoint(content, checkpoint)


@rank_zero_only
def show(checkpoint: Path) -> None:
    """Translate one sentence with the finished model and say what can be done next."""
    translator = Translator.load(checkpoint, "cpu")  # whatever else the GPUs are doing
    sentence = EXAMPLES.get(translator.source_lang, "...")
    if sentence in EXAMPLES.values():
        print(f"\n{sentence} → {translator.translate([sentence])[0]}")
    print(f'Next: uv run translate.py --checkpoint {checkpoint} "{sentence}"')


if __name__ == "__main__":
    with one_sentence():
        main()
