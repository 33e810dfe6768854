"""Training: the Lightning module and what stands around it.

Read `module.py` first, then `loss.py`, `optimizer.py` and `schedule.py`. The other files hold callbacks and loggers,
which Lightning calls at fixed moments: `log.py` (rows of the curves, seeds), `progress.py` (the bar), `checkpoints.py`
and `curves.py`.
"""
