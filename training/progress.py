"""A progress bar of the whole run."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from training.log import TrainingLog

FORMATS = {"loss": "loss {:.3f}", "tokens/s": "{:,.0f} tokens/s", "val_bleu": "BLEU {:.1f}"}


class RunProgress(ProgressBar):
    """Shows the fraction of the run that is done and the time left; Lightning's own bars show one epoch.

    The values beside the bar are those that a `TrainingLog` read last: the bar itself reads nothing from the device.
    """

    def __init__(self, log: TrainingLog) -> None:
        super().__init__()
        self.log_callback = log
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("left  {task.fields[values]}"),
            console=Console(stderr=True),
            speed_estimate_period=3600,  # seconds; long enough to include validations
        )
        self.task = self.progress.add_task("training", total=1.0, values="")

    def disable(self) -> None:
        """Show nothing: Lightning disables the bar in all processes but the first."""
        self.progress.disable = True

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the bar; while it is shown, lines on stderr are printed above it."""
        self.progress.start()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        """Move the bar."""
        last = self.log_callback.last
        values = "  ".join(form.format(last[name]) for name, form in FORMATS.items() if name in last)
        self.progress.update(self.task, completed=pl_module.fraction_done(trainer), values=values)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Name the reason why the bar does not move."""
        self.progress.update(self.task, description="validating")

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Name training again."""
        self.progress.update(self.task, description="training")

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Remove the bar, after an error too."""
        self.progress.stop()
