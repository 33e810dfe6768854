"""Our training without what is no part of its speed: validation, checkpoints, progress bar."""

from typing import Any

import lightning as L

from train import Trainer


def bare_trainer(*callbacks: L.Callback, **settings: Any) -> Trainer:
    """Train as `train.py` does until a callback or a setting of Lightning's ends it."""
    return Trainer(
        **{
            "devices": 1,
            "max_epochs": -1,
            "gradient_clip_val": 1.0,
            "limit_val_batches": 0,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "callbacks": list(callbacks),
            **settings,
        }
    )
