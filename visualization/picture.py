"""Attention maps as a picture, PNG or SVG."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from translation.maps import KINDS, Kind, printable
from visualization.sentence import SentenceMaps

if TYPE_CHECKING:
    from matplotlib.figure import Figure, FigureBase

TITLES = {
    "encoder_self": "encoder self-attention",
    "decoder_self": "decoder masked self-attention",
    "cross": "cross-attention",
}
CELL_SIZE = 0.17  # inches; labels of 7 points fit
DOTS_PER_INCH = 200  # of a PNG
MAX_PIXELS = 60e6  # of a PNG, which takes four bytes of memory for each


def picture(
    maps: SentenceMaps,
    kind: Kind,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    form: Literal["png", "svg"] = "png",
) -> bytes:
    """Return heatmaps as an image file: a row for each layer, a column for each head, one scale from 0 to 1.

    Args:
        maps: of one sentence.
        kind: of attention.
        layers, heads: indices from 0; all if None.
        form: of the file.
    """
    # Matplotlib takes half a second to import, so it is imported only where a picture is drawn.
    from matplotlib.figure import Figure

    n_layers, n_heads = maps.weights(kind).shape[:2]
    layers = range(n_layers) if layers is None else layers
    heads = range(n_heads) if heads is None else heads
    figure = Figure(figsize=size_of(maps, kind, len(layers), len(heads)), layout="compressed")
    draw(figure, maps, kind, layers, heads)
    return to_image(figure, form, salt=kind)


def overview(maps: SentenceMaps, form: Literal["png", "svg"] = "png") -> bytes:
    """Return the heatmaps of all layers and heads of all three kinds of attention, one kind below the other."""
    from matplotlib.figure import Figure

    shapes = {kind: maps.weights(kind).shape[:2] for kind in KINDS}
    sizes = [size_of(maps, kind, *shape) for kind, shape in shapes.items()]
    heights = [height for _, height in sizes]
    figure = Figure(figsize=(max(width for width, _ in sizes), sum(heights)), layout="constrained")
    parts = figure.subfigures(len(KINDS), 1, squeeze=False, height_ratios=heights)[:, 0]
    for part, (kind, (n_layers, n_heads)) in zip(parts, shapes.items(), strict=True):
        draw(part, maps, kind, range(n_layers), range(n_heads))
    return to_image(figure, form, salt="attention")


def size_of(maps: SentenceMaps, kind: Kind, n_layers: int, n_heads: int) -> tuple[float, float]:
    """Return width and height in inches of the heatmaps of one kind, so that all labels fit."""
    width = max(1.2, CELL_SIZE * len(maps.key_tokens(kind)))
    height = max(1.2, CELL_SIZE * len(maps.query_tokens(kind)))
    return 0.6 + n_heads * (width + 1.0), 0.8 + n_layers * (height + 1.2)


def draw(figure: "FigureBase", maps: SentenceMaps, kind: Kind, layers: Sequence[int], heads: Sequence[int]) -> None:
    """Draw the heatmaps of one kind into a figure of Matplotlib or a part of one; arguments as in `picture`."""
    weights = maps.weights(kind)  # (L, H, queries, keys)
    queries = [printable(token) for token in maps.query_tokens(kind)]
    keys = [printable(token) for token in maps.key_tokens(kind)]
    grid = figure.subplots(len(layers), len(heads), squeeze=False)
    # Masked cells have no colour, unlike weights of 0.
    masked = np.zeros(weights.shape[2:], dtype=bool)  # (queries, keys)
    if kind == "decoder_self":
        masked = np.triu(~masked, k=1)
    image = None
    for row, layer in zip(grid, layers, strict=True):
        for axes, head in zip(row, heads, strict=True):
            shown = np.ma.masked_array(weights[layer, head], mask=masked)
            image = axes.imshow(shown, cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
            axes.set_facecolor("0.93")
            axes.set_title(f"layer {layer}, head {head}", fontsize=8)
            axes.set_xlabel("key", fontsize=8)
            axes.set_ylabel("query", fontsize=8)
            # Without parse_math=False, Matplotlib would draw a token such as `$x$` as a formula.
            axes.set_xticks(range(len(keys)), keys, rotation=90, fontsize=7, parse_math=False)
            axes.set_yticks(range(len(queries)), queries, fontsize=7, parse_math=False)
            axes.tick_params(length=0)
    figure.suptitle(TITLES[kind], fontsize=10)
    if image is not None:
        figure.colorbar(image, ax=grid, shrink=0.8, label="weight").ax.tick_params(labelsize=7)


def to_image(figure: "Figure", form: Literal["png", "svg"], salt: str) -> bytes:
    """Return a figure as an image file; the same figure gives the same file.

    Args:
        figure: of Matplotlib.
        form: of the file. A PNG has 200 dots per inch, or fewer if that would be more than 60 million pixels.
        salt: of the ids in an SVG.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    square_inches = figure.get_size_inches().prod()
    figure.dpi = min(DOTS_PER_INCH, (MAX_PIXELS / square_inches) ** 0.5)
    out = io.BytesIO()
    # Print through the canvas: `savefig` would draw everything twice.
    if form == "svg":
        # A fixed salt for ids and no date, so that the same attention gives the same file.
        with rc_context({"svg.hashsalt": salt}):
            FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None})
    else:
        FigureCanvasAgg(figure).print_png(out)
    return out.getvalue()
