"""The curves of a run in a CSV file, which a resumed run continues."""

import csv
import io
import os
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from files import write_atomically


class Curves(Logger):
    """Logger that appends rows to a CSV file and keeps the rows of earlier starts; Lightning's CSVLogger deletes them.

    Args:
        file: metrics.csv; it is not touched before the first row.
        first_step: rows from this step on were logged by an earlier start after its last checkpoint. They are removed,
            because the resumed run logs these steps again.
    """

    def __init__(self, file: Path, first_step: int) -> None:
        super().__init__()
        self.file, self.first_step = file, first_step
        self.columns: list[str] = []

    @property
    def name(self) -> str:
        """Name of the logger."""
        return self.file.stem

    @property
    def version(self) -> str:
        """Version of the run: always empty."""
        return ""

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: config.yaml holds the settings."""

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
        """Flush the rows to the disk."""
        if self.file.exists():
            with self.file.open("a") as file:
                os.fsync(file.fileno())

    def _rewrite(self, row: dict[str, Any]) -> None:
        """Add the columns of a new row to the file; the first time, remove the rows that will be logged again."""
        text = self.file.read_text(encoding="utf-8") if self.file.exists() else ""
        rows = list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])))  # without an incomplete last line
        if not self.columns:
            rows = [old for old in rows if int(old["step"]) < self.first_step]
        self.columns = list(dict.fromkeys([*(rows[0] if rows else ()), *row]))
        table = io.StringIO()
        writer = csv.DictWriter(table, self.columns)
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(self.file, table.getvalue())
