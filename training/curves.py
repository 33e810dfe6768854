"""The curves of a run, which a resumed run joins."""

import csv
import io
import os
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only


class Curves(Logger):
    """Rows of a CSV file; on resume, those behind the checkpoint are replaced. Lightning's own deletes them all."""

    def __init__(self, file: Path, first_step: int) -> None:
        """Remember the place; nothing is written before the first row.

        Args:
            file: metrics.csv.
            first_step: rows from this step on are of an earlier start, and will be logged again.
        """
        super().__init__()
        self.file, self.first_step = file, first_step
        self.columns: list[str] = []

    @property
    def name(self) -> str:
        """What Lightning calls it."""
        return self.file.stem

    @property
    def version(self) -> str:
        """There is one."""
        return ""

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Leave them to config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append a row."""
        row = {"step": step, **metrics}
        if not set(row) <= set(self.columns):
            self._rewrite(row)
        with self.file.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self.columns).writerow(row)

    @rank_zero_only
    def save(self) -> None:
        """Have the disk hold what was logged."""
        if self.file.exists():
            with self.file.open("a") as file:
                os.fsync(file.fileno())

    def _rewrite(self, row: dict[str, Any]) -> None:
        """Give the file the columns of a new row; the first time, leave out what will be logged again."""
        text = self.file.read_text(encoding="utf-8") if self.file.exists() else ""
        rows = list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])))  # a torn last line is left out
        if not self.columns:
            rows = [old for old in rows if int(old["step"]) < self.first_step]
        self.columns = list(dict.fromkeys([*(rows[0] if rows else ()), *row]))
        part = self.file.with_suffix(".part")
        with part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(rows)
        part.replace(self.file)
