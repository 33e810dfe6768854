"""Attention as files: NPZ arrays, JSON, pictures, and pages for the browser."""

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from errors import UserError
from files import write_atomically
from translation.maps import KINDS
from visualization.align import Reading, align, pharaoh, usual_reading
from visualization.page import page
from visualization.picture import overview, picture
from visualization.sentence import SentenceMaps, head_statistics, maps_of, word_spans

if TYPE_CHECKING:
    from translation.translator import Sentence, Translator

FORMATS = ("npz", "json", "png", "svg", "html")
PICTURE_FORMATS: tuple[Literal["png", "svg"], ...] = ("png", "svg")
# A page ends at so many sentences or weights, all of which the browser keeps in memory.
MAX_PAGE_SENTENCES = 100
MAX_PAGE_WEIGHTS = 20_000_000

NamedMaps = tuple[str, SentenceMaps]


def export(
    sentences: Iterable[NamedMaps],
    folder: Path,
    reading: Reading,
    formats: Sequence[str] = FORMATS,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    start: str = "",
) -> list[Path]:
    """Write the attention of sentences to files: NAME.npz, NAME.json, NAME.KIND.png, NAME.KIND.svg, NAME.html.

    A page holds the sentence that it is named after and up to 99 that follow, fewer if they are long. Sentences may
    come from a generator: no more than those of one page are in memory.

    Args:
        sentences: names and maps.
        folder: created if it is missing.
        reading: of the alignment in NAME.json.
        formats: some of `FORMATS`.
        layers, heads: of the pictures, indices from 0; all if None. A kind of attention that has none of the layers
            gets no picture.
        start: what the pages show first, see `visualization.page.page`.

    Returns:
        The files written.

    Raises:
        UserError: the folder cannot be created.
        OSError: a file cannot be written.
    """
    written = []
    make_folder(folder, "--output")
    for chunk in page_chunks(sentences):
        for name, maps in chunk:
            for suffix, content in sentence_files(maps, reading, formats, layers, heads):
                written.append(write_atomically(folder / f"{name}.{suffix}", content))
        if "html" in formats:
            content = page([maps for _, maps in chunk], start)
            written.append(write_atomically(folder / f"{chunk[0][0]}.html", content))
    return written


def save(maps: SentenceMaps, path: Path) -> Path:
    """Write the attention of one sentence to one file, in the format that its suffix names.

    Raises:
        UserError: there is no such format.
        OSError: the file cannot be written.
    """
    suffix = path.suffix.lower().removeprefix(".")
    content: bytes | str
    if suffix == "html":
        content = page([maps])
    elif suffix == "npz":
        content = to_npz(maps)
    elif suffix == "json":
        content = json.dumps(to_json(maps, usual_reading(len(maps.cross))), indent=1) + "\n"
    elif suffix in PICTURE_FORMATS:
        content = overview(maps, suffix)
    else:
        raise UserError(f"{path}: the suffix must be one of {', '.join(f'.{form}' for form in FORMATS)}")
    return write_atomically(path, content)


def sentence_files(
    maps: SentenceMaps,
    reading: Reading,
    formats: Sequence[str],
    layers: Sequence[int] | None,
    heads: Sequence[int] | None,
) -> Iterator[tuple[str, bytes | str]]:
    """Yield suffix and content of the files of one sentence; arguments as in `export`."""
    if "npz" in formats:
        yield "npz", to_npz(maps)
    if "json" in formats:
        yield "json", json.dumps(to_json(maps, reading), indent=1) + "\n"
    picture_formats = [form for form in PICTURE_FORMATS if form in formats]
    for form, kind in product(picture_formats, KINDS):
        n_layers = len(maps.weights(kind))  # encoder and decoder may differ in depth
        existing = range(n_layers) if layers is None else [layer for layer in layers if layer < n_layers]
        if existing:
            yield f"{kind}.{form}", picture(maps, kind, existing, heads, form)


def page_chunks(sentences: Iterable[NamedMaps]) -> Iterator[list[NamedMaps]]:
    """Yield sentences in lists, each of which fits on a page."""
    chunk: list[NamedMaps] = []
    n_weights = 0
    for name, maps in sentences:
        chunk.append((name, maps))
        n_weights += sum(maps.weights(kind).size for kind in KINDS)
        if len(chunk) == MAX_PAGE_SENTENCES or n_weights >= MAX_PAGE_WEIGHTS:
            yield chunk
            chunk, n_weights = [], 0
    if chunk:
        yield chunk


def named_maps(
    translator: "Translator", sentences: Sequence["Sentence"], first_line: int = 1, n_best: int = 1
) -> Iterator[NamedMaps]:
    """Yield the maps of translations, named LINE.SENTENCE, or LINE.SENTENCE.RANK if `n_best` is more than 1.

    Args:
        translator: that has translated them.
        sentences: what `Translator.search` returned.
        first_line: number of the first line that was searched.
        n_best: translations of each sentence, best first.
    """
    line, place = -1, 0
    for sentence in sentences:
        line, place = sentence.line, place + 1 if sentence.line == line else 1
        for rank, hypothesis in enumerate(sentence.hypotheses[:n_best], 1):
            name = f"{first_line + line}.{place}"
            yield name if n_best == 1 else f"{name}.{rank}", maps_of(translator, sentence.ids, hypothesis.tokens)


def to_npz(maps: SentenceMaps) -> bytes:
    """Return an NPZ file with the weights and ids of `SentenceMaps`, and `meta`, a JSON text of tokens and texts."""
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
    """Return texts, tokens and words, which name the rows and columns."""
    sides = {
        "source": maps.source_tokens,
        "decoder_input": maps.decoder_input_tokens,
        "decoder_output": maps.decoder_output_tokens,
    }
    return {
        "source": maps.source,
        "translation": maps.translation,
        "axes": "layer, head, query, key; row t of decoder_self and cross reads decoder_input_tokens[t] "
        "and predicts decoder_output_tokens[t]",
        **{f"{side}_tokens": tokens for side, tokens in sides.items()},
        **{f"{side}_words": word_spans(tokens) for side, tokens in sides.items()},
    }


def to_json(maps: SentenceMaps, reading: Reading) -> dict[str, Any]:
    """Return everything about a sentence as a JSON value; weights are rounded to seven decimals."""
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
    """Create the folder that a flag names.

    Raises:
        UserError: the folder cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{flag} {folder} cannot be a folder: {error.strerror}") from error
