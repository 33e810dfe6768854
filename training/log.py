"""Callbacks that stand around each training step: its seed, and its row in the curves."""

import logging
import time
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from errors import UserError

logger = logging.getLogger(__name__)

MAX_SKIPPED = 20  # updates skipped in a row, after which a run stops


class SeededSteps(Callback):
    """Seeds PyTorch before each training batch from (seed, update, batch, process).

    A resumed run thus draws the same random numbers as one that was never stopped, although no state of a generator is
    saved; and validations, which may draw numbers too, change nothing in training.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed the generators of all devices."""
        sequence = np.random.SeedSequence([self.seed, trainer.global_step, batch_idx, trainer.global_rank])
        torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0]))


class TrainingLog(Callback):
    """Every `log_every_n_steps` updates, reads the values of the last one and writes a row to the loggers.

    Reading makes a GPU finish its queue, so nothing is read between these updates. The row of an update is written
    before any checkpoint that contains it, because Lightning calls checkpoint callbacks last.

    Attributes:
        last: the values that were read last, for the progress bar.
    """

    def __init__(self) -> None:
        self.last: dict[str, float] = {}
        self.step = self.skipped = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start to count tokens and seconds."""
        self.step = trainer.global_step
        self.skipped = int(trainer.optimizers[0].skipped)  # type: ignore[attr-defined]
        self._restart_clock()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the score, and leave the time of the validation out of tokens/s."""
        if "val_bleu" in trainer.callback_metrics:
            self.last["val_bleu"] = float(trainer.callback_metrics["val_bleu"])
        self._restart_clock()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write a row if this batch ended with an update whose turn it is.

        Raises:
            UserError: the last `MAX_SKIPPED` updates were skipped.
        """
        self.n_tokens += batch.n_tokens
        if trainer.global_step == self.step:  # gradients are still accumulating
            return
        self.step = trainer.global_step
        if self.step % trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return
        optimizer: Any = trainer.optimizers[0]
        loss = trainer.strategy.reduce(outputs["loss"] * trainer.accumulate_grad_batches, reduce_op="mean")
        values = torch.stack([loss.float(), optimizer.skipped.float(), optimizer.skipped_in_a_row.float()])
        loss, skipped, in_a_row = values.tolist()  # the one moment at which the host waits
        rate = self.n_tokens / max(1e-9, time.monotonic() - self.since)
        self._restart_clock()
        self.last |= {"loss": loss, "tokens/s": rate}
        row = {
            "epoch": trainer.current_epoch,
            "loss": loss,
            "learning_rate": optimizer.param_groups[0]["lr"],
            "tokens/s": rate,
            "skipped_updates": int(skipped),
        }
        for each in trainer.loggers:
            each.log_metrics(row, step=self.step - 1)  # updates are counted from 0
        if skipped > self.skipped:
            n = skipped - self.skipped
            logger.info(f"step {self.step}: updates skipped because their gradients were not finite: {n:.0f}")
        self.skipped = int(skipped)
        if in_a_row >= MAX_SKIPPED:
            raise UserError(
                f"step {self.step}: the gradients of {in_a_row:.0f} updates in a row were not finite: lower "
                "--training.learning_rate and --training.adamw_learning_rate, raise --training.warmup_steps, or set "
                "--trainer.precision 32-true"
            )

    def _restart_clock(self) -> None:
        self.since, self.n_tokens = time.monotonic(), 0
