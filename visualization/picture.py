"""Attention maps as a picture, PNG or SVG."""

import io
from collections.abc import Sequence
from typing import Literal

import numpy as np

from visualization.sentence import Kind, SentenceMaps

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
        form: of the file. A PNG has 200 dots per inch, or fewer if that would be more than 60 million pixels.
    """
    # Matplotlib takes half a second to import, so it is imported only where a picture is drawn.
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    weights = maps.weights(kind)  # (L, H, queries, keys)
    layers = range(weights.shape[0]) if layers is None else layers
    heads = range(weights.shape[1]) if heads is None else heads
    queries = [printable(token) for token in maps.query_tokens(kind)]
    keys = [printable(token) for token in maps.key_tokens(kind)]
    width, height = max(1.2, CELL_SIZE * len(keys)), max(1.2, CELL_SIZE * len(queries))
    figure = Figure(figsize=(0.6 + len(heads) * (width + 1.0), 0.8 + len(layers) * (height + 1.2)), layout="compressed")
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
    square_inches = figure.get_size_inches().prod()
    figure.dpi = min(DOTS_PER_INCH, (MAX_PIXELS / square_inches) ** 0.5)
    out = io.BytesIO()
    # Print through the canvas: `savefig` would draw everything twice.
    if form == "svg":
        # A fixed salt for ids and no date, so that the same attention gives the same file.
        with rc_context({"svg.hashsalt": kind}):
            FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None})
    else:
        FigureCanvasAgg(figure).print_png(out)
    return out.getvalue()


def printable(token: str) -> str:
    """Return a token with U+FFFD for each character that cannot be drawn, such as a control character."""
    return "".join(c if c.isprintable() else "\ufffd" for c in token)
