"""Nothing is lost: checkpoints that are whole or absent, written often, and once more before an orderly stop."""

import io
import os
import pickle
import signal
import time
import zipfile
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities import rank_zero_info

from errors import UserError

LAST, PREVIOUS = "last.ckpt", "last.previous.ckpt"


class Interrupted(Exception):
    """SIGINT or SIGTERM arrived, and last.ckpt is written."""

    def __init__(self, signum: int, step: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name} at step {step}, which is saved")
        self.signum = signum


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write beside, flush to the disk, rename: a reader finds the old file or the new one, and never a part.

    Lightning's own goes through the system's temporary folder, which may be another disk, and flushes nothing. Of
    last.ckpt, the one before is kept as last.previous.ckpt.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            OSError: the disk is full, or the like; the files that were there are untouched.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()  # writing to a file directly, torch.save hides the reason of a failure
        torch.save(checkpoint, buffer)
        part = path.with_suffix(".part")
        try:
            with part.open("wb") as file:
                file.write(buffer.getbuffer())
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            part.unlink(missing_ok=True)
            raise
        if path.name == LAST and path.exists():
            path.replace(path.with_name(PREVIOUS))
        part.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)  # the names, too
        os.close(folder)


def intact(path: Path) -> bool:
    """Whether every byte is as it was written: `torch.load` does not look at the checksums in the file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False


def newest_intact(run: Path) -> Path | None:
    """Find what a run goes on from: last.ckpt, or the one before where that is torn; None before the first.

    Raises:
        UserError: there are checkpoints, and none can be gone on from.
    """
    for path in (run / LAST, run / PREVIOUS):
        if intact(path):
            if path.name == PREVIOUS:
                rank_zero_info(f"{run / LAST} is {state(run / LAST)}: going on from the one before, {path}")
                (run / LAST).unlink(missing_ok=True)  # or else it would take the place of the good one
            return path
    found = [path for path in (run / LAST, run / PREVIOUS, run / "best.ckpt") if path.exists()]
    if found:
        states = ", ".join(f"{path} is {state(path)}" for path in found)
        raise UserError(f"--ckpt_path last: {states}: name a whole checkpoint by --ckpt_path FILE")
    return None


def saved_step(path: Path) -> int:
    """Read how many updates a checkpoint has seen; no code in it is run.

    Raises:
        UserError: it is not one.
    """
    try:
        return int(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["global_step"])
    except (KeyError, TypeError, ValueError, RuntimeError, pickle.UnpicklingError) as error:
        raise UserError(f"--ckpt_path: {path} is no checkpoint of this project") from error


def state(path: Path) -> str:
    """Return a word for a message."""
    return "missing" if not path.exists() else "whole" if intact(path) else "torn"


class LastCheckpoint(Checkpoint):
    """Write last.ckpt every few minutes, after each validation, at the end and before an orderly stop.

    It is written at the two moments only from which Lightning goes on exactly: after an update that no validation
    follows, and after a validation. The curves are on the disk before it is.
    """

    def __init__(self, run: Path, every: timedelta) -> None:
        """Args: run, the folder; every, how much work a kill may cost."""
        self.file, self.every = run / LAST, every
        self.step = self.saved_step = 0
        self.signum: int | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock, and turn SIGINT and SIGTERM into a note; the Trainer restores its handlers at the end."""
        if trainer.is_global_zero:
            for part in self.file.parent.glob("*.part"):
                part.unlink()  # left by a kill
        self.step = self.saved_step = trainer.global_step
        self.saved_at = time.monotonic()
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, self._note)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        """Remember to stop where it is safe; the next signal stops at once."""
        self.signum = signum
        signal.signal(signum, signal.SIG_DFL)
        name = signal.Signals(signum).name
        os.write(2, f"{name}: saving after this batch or validation; once more stops at once\n".encode())

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Save where it is due, all processes together."""
        updated, self.step = trainer.global_step != self.step, trainer.global_step
        due = self.signum is not None or time.monotonic() - self.saved_at >= self.every.total_seconds()
        if not trainer.strategy.reduce_boolean_decision(due and updated, all=False):
            return
        loop = trainer.fit_loop.epoch_loop
        if not loop._should_check_val_fx(trainer.fit_loop._data_fetcher):  # type: ignore[arg-type]
            self._save(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save what a validation knows."""
        if not trainer.sanity_checking:
            self._save(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save the end."""
        if self.saved_step != trainer.global_step:
            self._save(trainer)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Flush the curves first, so that no checkpoint knows of a step that they lack."""
        for logger in trainer.loggers:
            logger.save()

    def _save(self, trainer: L.Trainer) -> None:
        trainer.save_checkpoint(self.file, weights_only=False)
        self.saved_at, self.saved_step = time.monotonic(), trainer.global_step
        if trainer.strategy.reduce_boolean_decision(self.signum is not None, all=False):
            raise Interrupted(self.signum or signal.SIGTERM, trainer.global_step)
