"""Schedules of the learning rate, and the fraction of a run that is done."""

import lightning as L
from lightning.pytorch.callbacks import Timer


def linear_decay(step: int, fraction_done: float, warmup_steps: int) -> float:
    """Factor of the learning rate: a rise over `warmup_steps`, and a straight fall to zero at the end of the run."""
    return min(1.0, (step + 1) / max(1, warmup_steps)) * max(0.0, 1.0 - fraction_done)


def inverse_sqrt_decay(step: int, fraction_done: float, warmup_steps: int) -> float:
    """Factor of the learning rate: a rise over `warmup_steps` to 1, then 1 / √step (section 5.3, equation 3)."""
    warmup_steps = max(1, warmup_steps)
    return min((step + 1) / warmup_steps, (warmup_steps / (step + 1)) ** 0.5)


class FractionDone:
    """The fraction of a run that is done: updates / max_steps or seconds / max_time, whichever is larger, at most 1.

    The clocks of several processes differ, but their learning rates must not. So they take the time of the first
    process, and, because that makes GPUs wait, only every `log_every_n_steps` updates.
    """

    def __init__(self) -> None:
        self.by_time: float | None = None

    def __call__(self, trainer: L.Trainer) -> float:
        """Return the fraction; every process must call this at the same updates."""
        by_steps = trainer.global_step / trainer.max_steps if trainer.max_steps > 0 else 0.0
        timer = next((callback for callback in trainer.callbacks if isinstance(callback, Timer)), None)  # type: ignore[attr-defined]
        if timer is None:  # no max_time
            return min(1.0, by_steps)
        at_log_step = trainer.global_step % trainer.log_every_n_steps == 0  # type: ignore[attr-defined]
        if self.by_time is None or trainer.world_size == 1 or at_log_step:
            elapsed, remaining = timer.time_elapsed(), timer.time_remaining() or 0.0
            self.by_time = trainer.strategy.broadcast(elapsed / max(1e-9, elapsed + remaining))
        return min(1.0, max(by_steps, self.by_time))
