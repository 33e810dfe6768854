"""How attention was learned: a page with a slider over the training steps of a run."""

import gzip
import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from errors import UserError
from translation.maps import KINDS
from visualization.page import SCALE, describe, to_uint16
from visualization.sentence import SentenceMaps
from visualization.template import fill

MAX_STEPS = 200  # on a page; of more, evenly spaced ones are shown


def history(run: Path) -> str:
    """Return an HTML page of the maps that training kept in a run's folder.

    Raises:
        UserError: the run has kept no maps, or a file cannot be read.
    """
    steps = [read_step(file) for file in chosen(run)]
    return fill("history.html", {"name": run.name, "scale": SCALE, "steps": steps})


def chosen(run: Path) -> list[Path]:
    """Return the files of a run in the order of their steps, at most MAX_STEPS, the first and the last included."""
    files = sorted((run / "attention").glob("*.npz"))
    if not files:
        raise UserError(f"{run} has kept no maps: train it with this version, which writes {run / 'attention'}")
    if len(files) <= MAX_STEPS:
        return files
    return [files[round(i * (len(files) - 1) / (MAX_STEPS - 1))] for i in range(MAX_STEPS)]


def read_step(file: Path) -> dict[str, Any]:
    """Return the data of one step, as the page reads it.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            sentences = [sentence(arrays, i, meta) for i, meta in enumerate(json.loads(str(arrays["meta"])))]
            step, bleu = int(arrays["step"]), float(arrays["bleu"])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{file} cannot be read ({error}): delete it") from error
    blobs = [{kind: gzip.compress(to_uint16(maps.weights(kind)), mtime=0) for kind in KINDS} for maps in sentences]
    return {
        "step": step,
        "bleu": None if math.isnan(bleu) else round(bleu, 2),
        "sentences": [describe(maps, kinds) for maps, kinds in zip(sentences, blobs, strict=True)],
    }


def sentence(arrays: Any, i: int, meta: dict[str, Any]) -> SentenceMaps:
    """Return the maps of sentence `i` of a file that `training.watch` has written."""
    weights = {kind: arrays[f"{i}.{kind}"].astype(np.float32) for kind in KINDS}
    return SentenceMaps(**meta, **weights, log_probs=arrays[f"{i}.log_probs"])
