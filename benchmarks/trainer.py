"""A training of this project, prepared by the functions of `train.py`, for benchmarks to time."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

import train

CONFIG = Path(__file__).parent.parent / "configs" / "multi30k_10min.yaml"  # its sizes are those of all systems
BATCH_TOKENS = 5300  # of Multi30k: 4,100 target tokens in the mean


def prepare(path: Path, *flags: str) -> tuple[Namespace, Any]:
    """Return the settings of a training without validations and time limit, and the objects that they describe.

    Args:
        path: folder of the corpus.
        flags: more flags of `train.py`.

    Returns:
        All flags, for `train.make_trainer`; and a namespace with `model`, `training` and `data`.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    fixed: Sequence[str] = [
        f"--config={CONFIG}",
        f"--data.path={path}",
        f"--data.batch_tokens={BATCH_TOKENS}",
        "--trainer.max_time=null",
        "--trainer.max_epochs=-1",
        "--trainer.devices=1",
        "--trainer.limit_val_batches=0",
        "--trainer.enable_progress_bar=false",
        "--save_every_minutes=1000",
    ]
    parser = train.make_parser()
    settings = train.parse(parser, [*fixed, *flags])
    return settings, parser.instantiate(settings)
