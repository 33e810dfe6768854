"""Training: the Lightning module and what stands around it.

Read `module.py` first, then `loss.py`, `optimizer.py` and `schedule.py`. Callbacks and loggers, which Lightning calls
at fixed moments, are in `log.py` (rows of the curves, seeds), `curves.py` (the curves in a file), `checkpoints.py`,
`watch.py` (attention of a few sentences) and `progress.py` (the bar). `hardware.py` chooses the precision, and
`memory.py` changes settings of the C library and of oneDNN.
"""
