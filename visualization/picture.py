"""Attention as a picture for a paper."""

import io
from collections.abc import Sequence
from typing import Literal

import numpy as np

from maps.sentence import Kind, SentenceMaps

TITLES = {
    "encoder_self": "encoder self-attention",
    "decoder_self": "decoder masked self-attention",
    "cross": "cross-attention",
}
CELL = 0.17  # inches a piece: a label of 7 points fits
DOTS_PER_INCH, MOST_DOTS = 200, 60e6  # of a PNG; four bytes a dot are in memory at once


def picture(
    maps: SentenceMaps,
    kind: Kind,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    form: Literal["png", "svg"] = "png",
) -> bytes:
    """Draw heatmaps, a row for each layer and a column for each head, all on one scale from 0 to 1.

    Args:
        maps: of one sentence.
        kind: which attention.
        layers, heads: which of them, from 0; all if None.
        form: of the file; PNG has 200 dots an inch, fewer where that would be more than 60 million (SVG stays sharp).
    """
    # Half a second, which only who wants a picture should wait.
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    weights = maps.weights(kind)  # (L, H, queries, keys)
    layers = range(weights.shape[0]) if layers is None else layers
    heads = range(weights.shape[1]) if heads is None else heads
    queries, keys = ([visible(t) for t in tokens] for tokens in (maps.query_tokens(kind), maps.key_tokens(kind)))
    width, height = max(1.2, CELL * len(keys)), max(1.2, CELL * len(queries))
    figure = Figure(figsize=(0.6 + len(heads) * (width + 1.0), 0.8 + len(layers) * (height + 1.2)), layout="compressed")
    grid = figure.subplots(len(layers), len(heads), squeeze=False)
    # What a query may not see is no weight of 0: it stays without colour.
    hidden = np.triu(np.ones(weights.shape[2:], dtype=bool), k=1) if kind == "decoder_self" else False
    image = None
    for row, layer in zip(grid, layers, strict=True):
        for axes, head in zip(row, heads, strict=True):
            shown = np.ma.masked_array(weights[layer, head], mask=np.broadcast_to(hidden, weights.shape[2:]))
            image = axes.imshow(shown, cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
            axes.set_facecolor("0.93")
            axes.set_title(f"layer {layer}, head {head}", fontsize=8)
            axes.set_xlabel("key", fontsize=8)
            axes.set_ylabel("query", fontsize=8)
            # A token such as `$x$` is a token, not a formula.
            axes.set_xticks(range(len(keys)), keys, rotation=90, fontsize=7, parse_math=False)
            axes.set_yticks(range(len(queries)), queries, fontsize=7, parse_math=False)
            axes.tick_params(length=0)
    figure.suptitle(TITLES[kind], fontsize=10)
    if image is not None:
        figure.colorbar(image, ax=grid, shrink=0.8, label="weight").ax.tick_params(labelsize=7)
    figure.dpi = min(DOTS_PER_INCH, (MOST_DOTS / figure.get_size_inches().prod()) ** 0.5)
    out = io.BytesIO()
    # By the canvas, as `savefig` would draw everything twice.
    if form == "svg":
        with rc_context({"svg.hashsalt": kind}):  # no random names and no date: the same attention is the same file
            FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None})
    else:
        FigureCanvasAgg(figure).print_png(out)
    return out.getvalue()


def visible(token: str) -> str:
    """Show what cannot be drawn, such as a control character, as U+FFFD."""
    return "".join(c if c.isprintable() else "\ufffd" for c in token)
