"""A progress bar of the whole run."""

import logging
import sys
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


class RunProgress(ProgressBar):
    """Show how long the run will still take, where Lightning's own shows the epoch."""

    def __init__(self) -> None:
        super().__init__()
        # Over hours, validations included.
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("left  {task.fields[metrics]}"),
            console=Console(stderr=True),
            speed_estimate_period=3600,
        )
        self.task = self.progress.add_task("training", total=100, metrics="")

    def disable(self) -> None:
        """Obey Lightning, which leaves the bar to the first process."""
        self.progress.disable = True

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show it."""
        self.progress.start()
        log_to_stderr()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Say how far, how good and how fast."""
        found = trainer.callback_metrics
        forms = {"loss": "loss {:.3f}", "tokens/s": "{:,.0f} tokens/s", "val_bleu": "BLEU {:.1f}"}
        metrics = "  ".join(form.format(float(found[name])) for name, form in forms.items() if name in found)
        self.progress.update(self.task, completed=float(found.get("percent_done", 0)), metrics=metrics)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say why it stands still."""
        self.progress.update(self.task, description="validating")

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Go on."""
        self.progress.update(self.task, description="training")

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Leave the terminal as it was, after an error too."""
        self.progress.stop()
        log_to_stderr()


def log_to_stderr() -> None:
    """Point Lightning's log at what `sys.stderr` is now: while a bar is shown, lines go above it."""
    for handler in logging.getLogger("lightning.pytorch").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(sys.stderr)
