"""Checkpoints that are intact or absent, written often, and once more before an orderly stop."""

import io
import logging
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
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins import TorchCheckpointIO

from errors import UserError
from files import write_atomically

logger = logging.getLogger(__name__)

LAST, PREVIOUS = "last.ckpt", "last.previous.ckpt"


class Interrupted(Exception):
    """SIGINT or SIGTERM arrived, and last.ckpt is written."""

    def __init__(self, signum: int, step: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name} at step {step}, which is saved")
        self.signum = signum


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a temporary file, flushes it to the disk and renames it: readers find the old file or the new one.

    Lightning's own plugin writes to the system's temporary folder, which may be on another disk, and flushes nothing.
    The last.ckpt before the newest is kept as last.previous.ckpt.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            OSError: the disk is full, for example; the files that were there before are unchanged.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()  # torch.save to a file would replace an OSError by an error that does not name the reason
        torch.save(checkpoint, buffer)
        write_atomically(path, buffer.getbuffer(), sync=True, previous=PREVIOUS if path.name == LAST else None)


class LastCheckpoint(Checkpoint):
    """Writes last.ckpt every few minutes, after each validation, at the end of the run and before an orderly stop.

    It is written only at moments from which Lightning resumes exactly: after an update that no validation follows, and
    after a validation. The curves are flushed to the disk before it.

    Several processes decide together whether to save. That makes GPUs wait, so they do it every `log_every_n_steps`
    updates only.

    Args:
        run: folder of the run.
        every: time of training that a kill may cost, at most.
    """

    def __init__(self, run: Path, every: timedelta) -> None:
        self.file, self.every = run / LAST, every
        self.step = self.saved_step = 0
        self.signum: int | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock and handle SIGINT and SIGTERM; the Trainer restores its own handlers at the end."""
        if trainer.is_global_zero:
            for part in self.file.parent.glob("*.part"):
                part.unlink()  # left by a kill
        self.step = self.saved_step = trainer.global_step
        self.saved_at = time.monotonic()
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, self._note)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        """Remember a signal; the same signal once more stops the process at once."""
        self.signum = signum
        signal.signal(signum, signal.SIG_DFL)
        name = signal.Signals(signum).name
        os.write(2, f"{name}: saving after this batch or validation; once more stops at once\n".encode())

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Save if it is time, or if a signal has arrived, in all processes together."""
        updated, self.step = trainer.global_step != self.step, trainer.global_step
        at_log_step = trainer.global_step % trainer.log_every_n_steps == 0  # type: ignore[attr-defined]
        if not updated or (trainer.world_size > 1 and not at_log_step):
            return
        due = self.signum is not None or time.monotonic() - self.saved_at >= self.every.total_seconds()
        if trainer.strategy.reduce_boolean_decision(due, all=False) and not validation_follows(trainer):
            self._save(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save the state after a validation."""
        self._save(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save the end of the run."""
        if self.saved_step != trainer.global_step:
            self._save(trainer)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Flush the curves, so that they contain every step of the checkpoint."""
        for each in trainer.loggers:
            each.save()

    def _save(self, trainer: L.Trainer) -> None:
        """Write last.ckpt; stop if a signal has arrived in any process."""
        trainer.save_checkpoint(self.file, weights_only=False)
        self.saved_at, self.saved_step = time.monotonic(), trainer.global_step
        if trainer.strategy.reduce_boolean_decision(self.signum is not None, all=False):
            raise Interrupted(self.signum or signal.SIGTERM, trainer.global_step)


def validation_follows(trainer: L.Trainer) -> bool:
    """Return whether a validation follows the training batch that has just ended.

    The Trainer must count batches across epochs (check_val_every_n_epoch=None, an integer val_check_interval) and have
    no least number of epochs or steps.
    """
    if not trainer.enable_validation:
        return False
    n_batches = trainer.fit_loop.total_batch_idx + 1
    every = trainer.val_check_batch
    return trainer.should_stop or (every is not None and n_batches % every == 0)


def intact(path: Path) -> bool:
    """Return whether a checkpoint's bytes match the checksums in the file, which `torch.load` does not compare."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False


def state(path: Path) -> str:
    """Return `missing`, `intact` or `corrupt`."""
    if not path.exists():
        return "missing"
    return "intact" if intact(path) else "corrupt"


def newest_intact(run: Path) -> Path | None:
    """Return the checkpoint from which a run resumes: last.ckpt, or last.previous.ckpt if last.ckpt is not intact.

    A corrupt last.ckpt is deleted, or else the next save would move it over the intact file. None means that the run
    was stopped before its first checkpoint.

    Raises:
        UserError: there are checkpoints, but none of these two is intact.
    """
    last, previous = run / LAST, run / PREVIOUS
    if intact(last):
        return last
    if intact(previous):
        logger.info(f"{last} is {state(last)}: resuming from the checkpoint before it, {previous}")
        last.unlink(missing_ok=True)
        return previous
    found = [path for path in (last, previous, run / "best.ckpt") if path.exists()]
    if found:
        states = ", ".join(f"{path} is {state(path)}" for path in found)
        raise UserError(f"--ckpt_path last: {states}: give an intact checkpoint by --ckpt_path FILE")
    return None


def saved_step(path: Path) -> int:
    """Return the number of updates that a checkpoint has seen; no code in the file is run.

    Raises:
        UserError: the file is not a checkpoint.
    """
    try:
        return int(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["global_step"])
    except (KeyError, TypeError, ValueError, RuntimeError, pickle.UnpicklingError) as error:
        raise UserError(f"--ckpt_path: {path} is not a checkpoint of this project") from error
