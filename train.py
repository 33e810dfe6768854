"""Train a Transformer: `uv run train.py`, or `uv run train.py --config configs/multi30k.yaml --data.path DIR`.

Everything that a run makes goes to runs/NAME: config.yaml, metrics.csv, best.ckpt (of the best validation BLEU),
last.ckpt (to resume the run), attention/ (of a few sentences, at each validation) and the files of TensorBoard.
"""

import logging
import sys
import threading
import warnings
from argparse import ArgumentError
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import lightning as L
import torch
from jsonargparse import ActionConfigFile, ArgumentParser, Namespace
from jsonargparse.typing import PositiveInt
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from data.module import TranslationData
from errors import DISK_FULL, UserError, one_sentence
from files import write_atomically
from model import TransformerConfig
from training.checkpoints import (
    LAST,
    AtomicCheckpointIO,
    Interrupted,
    LastCheckpoint,
    intact,
    newest_intact,
    saved_step,
    state,
)
from training.curves import Curves
from training.hardware import choose_precision
from training.log import SeededSteps, TrainingLog
from training.memory import keep_few_kernels, keep_freed_memory
from training.module import TrainingConfig, TranslationModule
from training.progress import RunProgress
from training.watch import WatchAttention, watched_sentences
from translation.checkpoint import read_checkpoint
from translation.files import RUNS
from translation.translator import Translator
from visualization.align import best_reading, gold_links
from visualization.live import MAX_PARAMETERS, count_parameters, live
from visualization.sentence import maps_of_pair

DEFAULT_CONFIG = Path(__file__).parent / "configs" / "phrasebook.yaml"
EXAMPLES = {"fr": "Je suis heureux.", "en": "I am happy."}  # by source language, for the finished model
MAX_MINUTES = 1_000_000  # --save_every_minutes: about two years
ALIGNED_PAIRS = 300  # of the validation split, on which the cross-attention for alignment is chosen

# Arguments of Lightning's Trainer that are no flags: this program sets them, relies on their defaults or has no use for
# them.
NO_FLAGS = {
    "callbacks", "logger", "plugins", "enable_model_summary", "enable_checkpointing", "enable_autolog_hparams",
    "num_sanity_val_steps", "check_val_every_n_epoch", "min_epochs", "min_steps", "use_distributed_sampler",
    "reload_dataloaders_every_n_epochs", "fast_dev_run", "barebones", "default_root_dir", "model_registry",
    "limit_test_batches", "limit_predict_batches", "sync_batchnorm",
}  # fmt: skip

logger = logging.getLogger("train")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train a model, translate a sentence with it, and name the next command."""
    log_to_stderr()
    keep_freed_memory()
    keep_few_kernels()

    # Settings.
    parser = make_parser()
    settings = parse(parser, sys.argv[1:] if arguments is None else arguments)
    has_end = settings.trainer.max_time is not None or settings.trainer.max_steps >= 0
    if settings.training.decay == "linear" and not has_end:
        raise UserError("training.decay linear needs an end of the run: give --trainer.max_steps or --trainer.max_time")
    run = RUNS / settings.name
    checkpoint = find_checkpoint(run, settings.ckpt_path)
    origin = None
    if settings.init_from:  # a resumed run has sizes and tokenizer in its own checkpoint
        origin = read_checkpoint(checkpoint or Path(settings.init_from))
        take_sizes(settings, origin.model.config)

    # Model, data, trainer.
    made = parser.instantiate(settings)
    data: TranslationData = made.data
    module = TranslationModule(made.model, made.training)
    if origin:
        data.given_tokenizer = origin.tokenizer
        module.model.load_state_dict(origin.model.state_dict())
    if settings.compile:
        compiled = torch.compile(module.hidden_states, fullgraph=True, dynamic=True)
        module.hidden_states = compiled  # type: ignore[method-assign]
    trainer = make_trainer(settings, run, first_step=saved_step(checkpoint) if checkpoint else 0)

    # The first process prepares the folder before Lightning starts the others; processes that torchrun or SLURM has
    # started wait in `fit`.
    if trainer.is_global_zero:
        if settings.ckpt_path is None and (run / "config.yaml").exists():
            raise UserError(f"{run} exists: choose another --name, or resume it by --ckpt_path last")
        logger.info(describe_device(trainer))
        if settings.init_from and not checkpoint:
            logger.info(f"sizes, tokenizer and weights come from {settings.init_from}, whatever the configuration says")
        # Errors in the corpus and in data.watch are reported before anything is written.
        data.load()
        watched_sentences(data)
        logger.info(f"model: {sum(p.numel() for p in module.parameters()):,} parameters")
        if settings.ckpt_path is None:
            run.mkdir(parents=True, exist_ok=True)
            # With null values: where one was missing, a resumed run would take a default in its place.
            parser.save(settings, run / "config.yaml", skip_unset=False, overwrite=True, multifile=False)

    # Training.
    best, last = run / "best.ckpt", run / LAST
    with explained_stops(settings.name, trainer.global_rank):
        trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
        if best.exists():  # a short run may end before its first validation
            keep_alignment(best, data)
    show(best if best.exists() else last)


def make_parser() -> ArgumentParser:
    """Return the parser of flags and YAML files: sections `model`, `training`, `data` and `trainer`."""
    parser = ArgumentParser(description=__doc__, exit_on_error=False)
    parser.add_argument("--config", action=ActionConfigFile, help="YAML file of settings; default: the phrasebook's")
    parser.add_argument("--name", type=str, default="phrasebook", help="files go to runs/NAME")
    resume = "resume runs/NAME from its `last` checkpoint, or from a file, with its own config.yaml"
    parser.add_argument("--ckpt_path", type=str | None, default=None, help=resume)
    origin = "checkpoint from which a new run takes sizes, tokenizer and weights, to adapt it to other data"
    parser.add_argument("--init_from", type=str | None, default=None, help=origin)
    parser.add_argument("--save_every_minutes", type=float, default=2.0, help="training time that a kill may cost")
    often = "updates between two kept maps of attention until the first validation; 0: at validations only"
    parser.add_argument("--watch_every", type=int, default=0, help=often)
    parser.add_argument("--compile", type=bool, default=False, help="compile the network by torch.compile")
    parser.add_class_arguments(TransformerConfig, "model")
    parser.add_class_arguments(TrainingConfig, "training")
    parser.add_class_arguments(TranslationData, "data")
    replaced = {"precision", "val_check_interval", "log_every_n_steps"}
    parser.add_class_arguments(L.Trainer, "trainer", instantiate=False, skip=NO_FLAGS | replaced)
    precision = "one of Lightning's, or `auto`: bf16-mixed where the hardware has bfloat16 instructions, else 32-true"
    parser.add_argument("--trainer.precision", type=str, default="auto", help=precision)
    interval = "training batches between two validations, counted across epochs"
    parser.add_argument("--trainer.val_check_interval", type=PositiveInt, default=1000, help=interval)
    rows = "updates between two rows of metrics.csv"
    parser.add_argument("--trainer.log_every_n_steps", type=PositiveInt, default=50, help=rows)
    parser.link_arguments("data.vocab_size", "model.vocab_size")
    parser.link_arguments("data.seed", "training.seed")
    return parser


def parse(parser: ArgumentParser, arguments: Sequence[str]) -> Namespace:
    """Parse flags; without --config, the run's own config.yaml (where it resumes) or the phrasebook's comes first.

    Raises:
        UserError: a flag, a key of a YAML file or a value is wrong.
    """
    try:
        settings = parser.parse_args(arguments)
        if settings.ckpt_path is None:
            config = DEFAULT_CONFIG
        else:
            config = RUNS / settings.name / "config.yaml"
            if settings.config:
                raise UserError("--ckpt_path: leave --config out, the run resumes with its own config.yaml")
            if not config.is_file():
                raise UserError(f"--ckpt_path: {config} is missing, there is no run --name {settings.name} to resume")
        if not settings.config:
            settings = parser.parse_args(["--config", str(config), *arguments])
    except ArgumentError as error:
        raise UserError(" ".join(str(error).split())) from None
    return settings


def take_sizes(settings: Namespace, config: TransformerConfig) -> None:
    """Replace the sizes of the network in the settings by those of a trained one; dropout is no size."""
    for name, value in asdict(config).items():
        if name != "dropout":
            settings.model[name] = value
    settings.data.vocab_size = config.vocab_size


def find_checkpoint(run: Path, ckpt_path: str | None) -> Path | None:
    """Return the file that `--ckpt_path` means; None starts at the first step.

    Raises:
        UserError: there is no intact checkpoint.
    """
    if ckpt_path is None:
        return None
    if ckpt_path != "last":
        path = Path(ckpt_path)
        if not intact(path):
            raise UserError(f"--ckpt_path: {path} is {state(path)}, give an intact checkpoint")
        return path
    found = newest_intact(run)
    if found is None:
        logger.info(f"{run} was stopped before its first checkpoint: starting at the first step")
    return found


def make_trainer(settings: Namespace, run: Path, first_step: int) -> L.Trainer:
    """Return Lightning's Trainer with the callbacks and loggers of this program.

    Args:
        settings: all flags.
        run: folder of the run.
        first_step: number of updates that were made before.

    Raises:
        UserError: --save_every_minutes is out of range, or flags of the Trainer contradict each other, the machine or
            the packages that are installed.
    """
    if not 0 <= settings.save_every_minutes <= MAX_MINUTES:
        raise UserError(f"--save_every_minutes must be from 0 to {MAX_MINUTES:,}, not {settings.save_every_minutes}")
    flags = dict(settings.trainer)
    flags["precision"] = choose_precision(flags["precision"], flags["accelerator"])
    log = TrainingLog()
    every = timedelta(minutes=settings.save_every_minutes)
    best = ModelCheckpoint(
        dirpath=run,
        filename="best",
        monitor="val_bleu",
        mode="max",
        enable_version_counter=False,
        save_on_train_epoch_end=False,
    )
    callbacks: list[Callback] = [
        SeededSteps(settings.training.seed),
        log,
        EarlyStopping("val_bleu", mode="max", patience=settings.training.patience),
        best,
        LastCheckpoint(run, every),
        WatchAttention(run, settings.watch_every, first_step),
    ]
    if flags["enable_progress_bar"] is not False:
        callbacks.append(RunProgress(log))
    tensorboard = TensorBoardLogger(run, name="", version="", default_hp_metric=False, purge_step=first_step)
    try:
        return L.Trainer(
            callbacks=callbacks,
            logger=[Curves(run / "metrics.csv", first_step), tensorboard],
            plugins=AtomicCheckpointIO(),
            use_distributed_sampler=False,  # TokenBatches gives each process its shard of every batch
            num_sanity_val_steps=0,
            check_val_every_n_epoch=None,  # val_check_interval counts batches across epochs
            enable_model_summary=False,
            **flags,
        )
    except (MisconfigurationException, ValueError, ImportError) as error:  # some flags need a package of their own
        raise UserError(f"trainer: {' '.join(str(error).split())}") from None


def describe_device(trainer: L.Trainer) -> str:
    """Return one line about the hardware and the precision of a run."""
    device = trainer.strategy.root_device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper()
    parallel = ""
    if trainer.world_size > 1:
        parallel = f", processes: {trainer.world_size}"
    elif device.type == "cpu":
        parallel = f", threads: {torch.get_num_threads()}"
    return f"device: {name}{parallel}, precision: {trainer.precision}"


@contextmanager
def explained_stops(name: str, rank: int) -> Iterator[None]:
    """Turn a signal, a full disk, a full GPU and an error of the Trainer into one sentence that says how to go on.

    Raises:
        SystemExit: a signal stopped the run.
        UserError: the disk or a GPU is full, or the Trainer cannot do what its flags say.
    """
    resume = f"resume by: uv run train.py --name {name} --ckpt_path last"
    # TensorBoard writes in a thread of its own; when that fails, the main thread gets the same error at the next row.
    default_hook = threading.excepthook
    threading.excepthook = lambda failed: None if disk_is_full(failed.exc_value) else default_hook(failed)
    try:
        yield
    except Interrupted as stopped:
        if rank > 0:  # the first process reports the stop; a launcher would take another failure for a crash
            raise SystemExit(0) from None
        print(f"{stopped}; {resume}", file=sys.stderr)
        raise SystemExit(128 + stopped.signum) from None
    except MisconfigurationException as error:
        raise UserError(" ".join(str(error).split())) from None
    except torch.OutOfMemoryError:
        last = RUNS / name / LAST
        keep = f", and --init_from {last} to keep its weights" if last.exists() else ""
        # A resumed run has the same batches.
        raise UserError(
            f"the GPU has too little memory: start a run of another --name with a lower --data.batch_tokens{keep}"
        ) from None
    except OSError as error:
        if not disk_is_full(error):
            raise
        raise UserError(
            f"{RUNS / name}: {error.strerror}; the last checkpoint is intact: free some space, then {resume}"
        ) from None
    finally:
        threading.excepthook = default_hook


def disk_is_full(error: BaseException | None) -> bool:
    """Return whether a file could not grow."""
    return isinstance(error, OSError) and error.errno in DISK_FULL


@rank_zero_only
def keep_alignment(checkpoint: Path, data: TranslationData) -> None:
    """Write into a checkpoint which cross-attention aligns words best, if the corpus knows its alignments."""
    if "phrasebook" not in data.paths:  # a file may have this name, too: `data.corpora` has short names
        return
    data.load()
    val = data.corpora["phrasebook"]["val"]
    translator = Translator.load(checkpoint, device="cpu")
    rows = val.select(range(min(ALIGNED_PAIRS, len(val)))).to_list()
    maps = [maps_of_pair(translator, row["src"], row["tgt"]) for row in rows]
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    content["alignment"] = best_reading(maps, gold_links(rows, translator.source_lang))._asdict()
    AtomicCheckpointIO().save_checkpoint(content, checkpoint)


@rank_zero_only
def show(checkpoint: Path) -> None:
    """Print the translation of one sentence and the command that translates more, and write a page of the model."""
    translator = Translator.load(checkpoint, device="cpu")
    sentence = EXAMPLES.get(translator.source_lang)
    if sentence:
        print(f"\n{sentence} → {translator.translate([sentence])[0]}")
    print(f'Next: uv run translate.py --checkpoint {checkpoint} "{sentence or "..."}"')
    if count_parameters(translator.model) <= MAX_PARAMETERS:
        page = write_atomically(checkpoint.parent / "translator.html", live(translator))
        print(f"Open {page} in a browser: it translates what you type and shows every attention weight.")


class FirstProcess(logging.Handler):
    """Prints messages of the first process to what `sys.stderr` is now: a progress bar replaces it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
            print(self.format(record), file=sys.stderr)


HANDLER = FirstProcess()


def log_to_stderr() -> None:
    """Show the messages of this project, and of Lightning only those that the user can act on."""
    for package in ("train", "data", "model", "training", "translation", "visualization"):
        project_logger = logging.getLogger(package)
        project_logger.setLevel(logging.INFO)
        project_logger.addHandler(HANDLER)
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")


if __name__ == "__main__":
    with one_sentence():
        main()
