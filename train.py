"""Train a Transformer: `python train.py`, or `python train.py --config configs/multi30k.yaml --data.path DIR`."""

import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, RichProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from data import TranslationData
from errors import UserError, one_sentence
from model import TranslationModule
from translate import Translator

RUNS = Path("runs")


def choose_precision(precision: str | None) -> str | None:
    """Resolve `auto`: bfloat16 products where the hardware has them (four times the rate), float32 elsewhere."""
    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        features = torch.cpu.get_capabilities()
        has_bf16 = bool(features.get("avx512_bf16") or features.get("amx_bf16"))
    chosen = "bf16-mixed" if has_bf16 else "32-true"
    rank_zero_info(f"precision {chosen}: this hardware has {'' if has_bf16 else 'no '}bfloat16 instructions")
    return chosen


class Trainer(L.Trainer):
    """Lightning's Trainer with `precision: auto`."""

    def __init__(self, *, precision: str | int | None = "auto", **kwargs: Any) -> None:
        """Args: precision, `auto` or any of Lightning's."""
        # TokenBatches shards itself, so that every pair is seen once an epoch by any number of processes.
        super().__init__(precision=choose_precision(precision), use_distributed_sampler=False, **kwargs)  # type: ignore[arg-type]


class TrainCLI(LightningCLI):
    """YAML sections `model`, `data`, `trainer` and `early_stopping`, and a name for what the run makes."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Declare what Lightning does not know."""
        parser.add_argument("--name", type=str, default="phrasebook", help="files go to runs/NAME")
        parser.add_argument("--ckpt_path", type=str | None, default=None, help="`last` goes on with runs/NAME")
        parser.link_arguments("data.vocab_size", "model.vocab_size")
        parser.link_arguments("data.seed", "model.seed")
        parser.add_lightning_class_args(EarlyStopping, "early_stopping")
        parser.set_defaults(
            {"early_stopping.monitor": "val_bleu", "early_stopping.mode": "max", "early_stopping.patience": 10}
        )

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        """Send everything that the run makes to runs/NAME."""
        run = RUNS / self.config.name
        files = {"dirpath": run, "enable_version_counter": False, "save_on_train_epoch_end": False}
        callbacks: list[Callback] = [
            ModelCheckpoint(filename="best", monitor="val_bleu", mode="max", **files),
            ModelCheckpoint(filename="last", **files),
        ]
        if self.config.trainer.enable_progress_bar is not False:
            callbacks.append(RichProgressBar())
        where = {"save_dir": run, "name": "", "version": ""}
        return super().instantiate_trainer(
            logger=[CSVLogger(**where), TensorBoardLogger(**where)], callbacks=callbacks, **kwargs
        )


def resume_arguments(arguments: list[str]) -> list[str]:
    """With `--ckpt_path`, put the run's own config.yaml before everything else."""
    values = dict(zip(arguments, arguments[1:], strict=False))
    values |= dict(a.split("=", 1) for a in arguments if a.startswith("--") and "=" in a)
    if "--ckpt_path" not in values:
        return arguments
    config = RUNS / values.get("--name", "phrasebook") / "config.yaml"
    if not config.is_file():
        raise UserError(f"--ckpt_path: {config} is missing, there is no run of that name to go on with")
    return ["--config", str(config), *arguments]


def main(arguments: list[str] | None = None) -> None:
    """Train, then show what was learned."""
    logging.getLogger("lightning.pytorch").setLevel(logging.INFO)
    warnings.filterwarnings("ignore", module="lightning")
    arguments = resume_arguments(sys.argv[1:] if arguments is None else arguments)
    cli = TrainCLI(
        TranslationModule,
        TranslationData,
        trainer_class=Trainer,
        save_config_callback=None,
        run=False,
        args=arguments,
        seed_everything_default=False,
        parser_kwargs={"default_config_files": [str(Path(__file__).parent / "configs" / "phrasebook.yaml")]}
        if not any(a.startswith("--config") for a in arguments)
        else {},
    )
    run, ckpt_path = RUNS / cli.config.name, cli.config.ckpt_path
    if ckpt_path == "last":
        ckpt_path = str(run / "last.ckpt")
    # The other processes start after the first has written the configuration.
    if ckpt_path is None and cli.trainer.is_global_zero and (run / "config.yaml").exists():
        raise UserError(f"{run} exists: choose another --name, or go on with it by --ckpt_path last")
    if ckpt_path is not None and not Path(ckpt_path).is_file():
        raise UserError(f"--ckpt_path: {ckpt_path} is missing, there is nothing to go on from")
    if ckpt_path is None and cli.trainer.is_global_zero:
        cli.datamodule.load()  # what is wrong with the data is said before anything is written
        run.mkdir(parents=True, exist_ok=True)
        cli.parser.save(cli.config, run / "config.yaml", overwrite=True, multifile=False)
    cli.trainer.fit(cli.model, cli.datamodule, ckpt_path=ckpt_path, weights_only=True)
    cli.trainer.save_checkpoint(run / "last.ckpt")
    show(run / "best.ckpt")


@rank_zero_only
def show(checkpoint: Path) -> None:
    """Translate one sentence with the finished model and say what can be done next."""
    sentence = "Je suis heureux."
    translator = Translator.load(checkpoint)
    if translator.source_lang == "fr":
        print(f"\n{sentence} → {translator.translate([sentence])[0]}")
    print(f'Next: python translate.py --checkpoint {checkpoint} "{sentence}"')


if __name__ == "__main__":
    with one_sentence():
        main()
