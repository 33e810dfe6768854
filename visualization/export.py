"""Attention as files: arrays to compute with, data to read, pictures to print, pages to explore."""

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from errors import UserError
from maps.align import Reading, align, pharaoh
from maps.page import page
from maps.picture import picture
from maps.sentence import KINDS, SentenceMaps, head_statistics, word_spans

FORMATS = ("npz", "json", "png", "svg", "html")
PAGE, PAGE_WEIGHTS = 100, 20_000_000  # most sentences and weights on a page, all of which a browser holds


def export(
    sentences: Iterable[tuple[str, SentenceMaps]],
    folder: Path,
    reading: Reading,
    formats: Sequence[str] = FORMATS,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    start: str = "",
) -> list[Path]:
    """Write the attention of sentences as files: NAME.npz, NAME.json, NAME.KIND.png, NAME.KIND.svg, NAME.html.

    A page holds the sentence that it is named after and up to 99 that follow, fewer where they are long. Sentences may
    come from a generator: no more than a page of them is kept in memory.

    Args:
        sentences: names and maps.
        folder: made if it is missing.
        reading: of the alignment in NAME.json.
        formats: some of `FORMATS`.
        layers, heads: those in the pictures, from 0; all if None. Attention without such a layer has no picture.
        start: what the page shows first, see `page`.

    Returns:
        The files written.

    Raises:
        UserError: the folder cannot be written.
    """
    written = []

    def write(name: str, content: bytes | str) -> None:
        written.append(write_whole(folder / name, content))

    make_folder(folder, "--output")
    for chunk in pages(sentences):
        for name, maps in chunk:
            if "npz" in formats:
                write(f"{name}.npz", arrays(maps))
            if "json" in formats:
                write(f"{name}.json", json.dumps(record(maps, reading), indent=1) + "\n")
            for form, kind in product([form for form in FORMATS if form in ("png", "svg") and form in formats], KINDS):
                depth = len(maps.weights(kind))
                shown = range(depth) if layers is None else [layer for layer in layers if layer < depth]
                if shown:  # encoder and decoder may differ in depth
                    write(f"{name}.{kind}.{form}", picture(maps, kind, shown, heads, form))  # type: ignore[arg-type]
        if "html" in formats:
            write(f"{chunk[0][0]}.html", page([maps for _, maps in chunk], start))
    return written


def pages(sentences: Iterable[tuple[str, SentenceMaps]]) -> Iterator[list[tuple[str, SentenceMaps]]]:
    """Yield named sentences as lists, as many at once as a page holds."""
    chunk: list[tuple[str, SentenceMaps]] = []
    n_weights = 0
    for name, maps in sentences:
        chunk.append((name, maps))
        n_weights += sum(maps.weights(kind).size for kind in KINDS)
        if len(chunk) == PAGE or n_weights >= PAGE_WEIGHTS:
            yield chunk
            chunk, n_weights = [], 0
    if chunk:
        yield chunk


def arrays(maps: SentenceMaps) -> bytes:
    """Return an NPZ file: the weights and ids of `SentenceMaps`, and `meta`, a JSON text with tokens and texts."""
    out = io.BytesIO()
    np.savez(
        out,
        encoder_self=maps.encoder_self,
        decoder_self=maps.decoder_self,
        cross=maps.cross,
        log_probs=maps.log_probs,
        source_ids=np.array(maps.source_ids),
        decoder_input_ids=np.array(maps.decoder_input_ids),
        decoder_output_ids=np.array(maps.decoder_output_ids),
        meta=np.array(json.dumps(labels(maps))),
    )
    return out.getvalue()


def labels(maps: SentenceMaps) -> dict[str, Any]:
    """Return what names the rows and columns."""
    tokens = {name: getattr(maps, f"{name}_tokens") for name in ("source", "decoder_input", "decoder_output")}
    return {
        "source": maps.source,
        "translation": maps.translation,
        "axes": "layer, head, query, key; row t of decoder_self and cross reads decoder_input_tokens[t] "
        "and predicts decoder_output_tokens[t]",
        **{f"{name}_tokens": pieces for name, pieces in tokens.items()},
        **{f"{name}_words": word_spans(pieces) for name, pieces in tokens.items()},
    }


def record(maps: SentenceMaps, reading: Reading) -> dict[str, Any]:
    """Return everything about a sentence as JSON can say it; weights are rounded to seven digits."""
    return {
        **labels(maps),
        "source_ids": maps.source_ids,
        "decoder_input_ids": maps.decoder_input_ids,
        "decoder_output_ids": maps.decoder_output_ids,
        "log_prob": maps.log_prob,
        "log_probs": maps.log_probs.tolist(),
        "alignment": pharaoh(align(maps, reading)),
        "alignment_reading": reading._asdict(),
        "attention": {
            kind: {
                "weights": maps.weights(kind).astype(np.float64).round(7).tolist(),
                **{name: x.round(6).tolist() for name, x in head_statistics(maps.weights(kind), kind).items()},
            }
            for kind in KINDS
        },
    }


def make_folder(folder: Path, flag: str) -> None:
    """Make the folder that a flag names, or say why it cannot be one."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{flag} {folder} cannot be a folder: {error.strerror}") from error


def write_whole(path: Path, content: bytes | str) -> Path:
    """Write a file beside its place and rename it, so that no half of it is ever seen."""
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UserError(f"{path} cannot be written: {error.strerror}") from error
    return path
