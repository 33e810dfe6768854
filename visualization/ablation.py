"""What each attention head contributes: a translator is measured with one head off at a time."""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, Literal, NamedTuple

import numpy as np

from model import intervene
from translation.hypothesis import SearchOptions
from translation.maps import KINDS, MODULES, Kind
from translation.translator import BATCH_SIZE, Translator
from visualization.picture import TITLES, to_image
from visualization.report import Row, pronoun_accuracy, pronoun_link

MEASURES = {"log_prob": "log-probability per token", "bleu": "BLEU", "pronouns": "pronouns right"}


class Head(NamedTuple):
    """One attention head: kind of attention, layer of the encoder or decoder, and head, from 0."""

    kind: Kind
    layer: int
    head: int

    @property
    def path(self) -> str:
        """Module path of the attention layer."""
        side, name = MODULES[self.kind]
        return f"{side}.{self.layer}.{name}"


class Sample(NamedTuple):
    """Sentences on which a translator is measured.

    sources, references: sentence pairs.
    pronouns: phrasebook pairs with a pronoun that stands for a noun; empty for other corpora.
    """

    sources: list[str]
    references: list[str]
    pronouns: list[Row]


class Scores(NamedTuple):
    """What is measured.

    log_prob: mean log-probability of a token of the references, EOS included.
    bleu: of the translations.
    pronouns: whether the pronoun of each pair in `Sample.pronouns` is translated correctly.
    """

    log_prob: float
    bleu: float
    pronouns: list[bool]

    @property
    def pronoun_share(self) -> float | None:
        """Fraction of the pronouns that are translated correctly; None if there are none."""
        return float(np.mean(self.pronouns)) if self.pronouns else None


def sample_of_corpus(translator: Translator, n_sentences: int) -> Sample:
    """Return pairs of the validation split of the model's own corpus, evenly spaced, and the first linked pronouns.

    Args:
        translator: whose checkpoint names its corpus.
        n_sentences: most pairs, and most pairs with a pronoun.

    Raises:
        UserError: the checkpoint names no corpus.
    """
    data = translator.corpus()
    sources, references = data.texts("val")
    n = min(n_sentences, len(sources))
    rows = [i * len(sources) // n for i in range(n)]
    pronouns: list[Row] = []
    # The phrasebook links French pronouns to their nouns.
    if "phrasebook" in data.paths and translator.source_lang == "fr":
        linked = (row for row in data.corpora["phrasebook"]["val"] if row["pronoun_fr"] >= 0)
        pronouns = [row for row, _ in zip(linked, range(n_sentences), strict=False)]
    return Sample([sources[i] for i in rows], [references[i] for i in rows], pronouns)


def heads_of(translator: Translator) -> list[Head]:
    """Return every head of the model: encoder self-attention, decoder self-attention, cross-attention."""
    model = translator.model
    heads = range(model.config.n_heads)
    depth = {kind: len(getattr(model, side)) for kind, (side, _) in MODULES.items()}
    return [Head(kind, *place) for kind in KINDS for place in product(range(depth[kind]), heads)]


def measure(translator: Translator, sample: Sample, options: SearchOptions) -> Scores:
    """Measure a translator as it is now; each source is translated as one sentence, as in training."""
    from sacrebleu.metrics import BLEU

    from translation.pytorch_engine import PyTorchEngine

    encode = translator.tokenizer.encode
    log_probs = translator.log_probs(sample.sources, sample.references)
    n_tokens = sum(len(ids) for ids in encode(sample.references))
    # An engine on one device, so that it translates with the network that is changed and not with a copy.
    engine = PyTorchEngine(translator.model, "32", [str(translator.device)])
    texts = [*sample.sources, *(row["src"] for row in sample.pronouns)]
    found = engine.translate(encode(texts), options, BATCH_SIZE)
    translations = translator.tokenizer.decode([hypotheses[0].tokens for hypotheses in found])
    n = len(sample.sources)
    return Scores(
        log_prob=sum(log_probs) / n_tokens,
        bleu=BLEU().corpus_score(translations[:n], [sample.references]).score,
        pronouns=[
            pronoun_accuracy([translation], [row["tgt"]], [pronoun_link(row)]) == 1
            for translation, row in zip(translations[n:], sample.pronouns, strict=True)
        ],
    )


def ablate(translator: Translator, sample: Sample, options: SearchOptions) -> Iterator[tuple[Head | None, Scores]]:
    """Yield the scores without a change (head None), then those with each head off in turn.

    Source: Michel et al. 2019, "Are Sixteen Heads Really Better than One?", section 3.2; Voita et al. 2019, "Analyzing
    Multi-Head Self-Attention", which prunes heads while the model learns to do without them. Here nothing is trained.
    """
    yield None, measure(translator, sample, options)
    for head in heads_of(translator):
        with intervene(translator.model, {head.path: {head.head: "off"}}):
            scores = measure(translator, sample, options)
        yield head, scores


def header(sample: Sample) -> str:
    """Return the first lines of the table that `table_row` continues."""
    pronouns = f"; pronouns of {len(sample.pronouns):,} sentences" if sample.pronouns else ""
    columns = "   pronouns right    lost  gained" if sample.pronouns else ""
    return (
        f"Each head off in turn: {len(sample.sources):,} sentences{pronouns}. In brackets: change.\n"
        f"{'head that is off':<46}   log-probability/token              BLEU{columns}"
    )


def table_row(head: Head | None, scores: Scores, baseline: Scores) -> str:
    """Return the line of one head; `baseline` are the scores without a change."""
    name = "none" if head is None else f"{TITLES[head.kind]}, layer {head.layer}, head {head.head}"
    log_prob, bleu = scores.log_prob - baseline.log_prob, scores.bleu - baseline.bleu
    line = f"{name:<49}{scores.log_prob:8.3f} ({log_prob:+7.3f})   {scores.bleu:6.1f} ({bleu:+6.1f})"
    if scores.pronoun_share is not None and baseline.pronoun_share is not None:
        lost, gained = lost_and_gained(scores, baseline)
        change = scores.pronoun_share - baseline.pronoun_share
        line += f"   {scores.pronoun_share:6.1%} ({change:+6.1%})  {lost:6}  {gained:6}"
    return line


def lost_and_gained(scores: Scores, baseline: Scores) -> tuple[int, int]:
    """Return how many pronouns are no longer right, and how many are right that were not."""
    pairs = list(zip(scores.pronouns, baseline.pronouns, strict=True))
    return sum(before and not now for now, before in pairs), sum(now and not before for now, before in pairs)


def to_json(sample: Sample, found: Sequence[tuple[Head | None, Scores]]) -> dict[str, Any]:
    """Return the scores of `ablate` as a JSON value."""
    (_, baseline), *changed = found

    def values(scores: Scores) -> dict[str, Any]:
        return {"log_prob": scores.log_prob, "bleu": scores.bleu, "pronouns": scores.pronoun_share}

    heads = []
    for head, scores in changed:
        assert head is not None
        lost, gained = lost_and_gained(scores, baseline)
        counts = {"pronouns_lost": lost, "pronouns_gained": gained}
        heads.append({**head._asdict(), **values(scores), **counts})
    sizes = {"sentences": len(sample.sources), "pronoun_sentences": len(sample.pronouns)}
    return {**sizes, "baseline": values(baseline), "off": heads}


def to_picture(found: Sequence[tuple[Head | None, Scores]], form: Literal["png", "svg"] = "png") -> bytes:
    """Return the changes as heatmaps: a row for each measure, a column for each kind, cells layers by heads."""
    from matplotlib.figure import Figure

    baseline = found[0][1]
    measures = [name for name in MEASURES if name != "pronouns" or baseline.pronouns]
    grids = {(name, kind): changes(found, name, kind) for name, kind in product(measures, KINDS)}
    n_layers = max(len(grid) for grid in grids.values())
    n_heads = next(iter(grids.values())).shape[1]
    size = (2.5 + 3 * max(1.2, 0.62 * n_heads), len(measures) * (0.8 + 0.5 * n_layers) + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    axes_grid = figure.subplots(len(measures), len(KINDS), squeeze=False)
    for name, axes_row in zip(measures, axes_grid, strict=True):
        largest = max(float(np.abs(grids[name, kind]).max()) for kind in KINDS) or 1.0
        image = None
        for kind, axes in zip(KINDS, axes_row, strict=True):
            grid = grids[name, kind]
            image = axes.imshow(grid, cmap="RdBu", vmin=-largest, vmax=largest, aspect="auto")
            for (layer, head), value in np.ndenumerate(grid):
                colour = "white" if abs(value) > 0.6 * largest else "black"
                text = f"{value:+.1%}" if name == "pronouns" else f"{value:+.{1 if name == 'bleu' else 2}f}"
                axes.text(head, layer, text, ha="center", va="center", fontsize=7, color=colour)
            axes.set_xticks(range(grid.shape[1]))
            axes.set_yticks(range(grid.shape[0]))
            axes.tick_params(length=0, labelsize=7)
            axes.set_xlabel("head", fontsize=7)
            axes.set_ylabel("layer", fontsize=7)
            if name == measures[0]:
                axes.set_title(TITLES[kind], fontsize=8)
        assert image is not None
        bar = figure.colorbar(image, ax=list(axes_row), shrink=0.9)
        bar.set_label(MEASURES[name], fontsize=7)
        bar.ax.tick_params(labelsize=7)
    figure.suptitle("Change when one head is off", fontsize=9)
    return to_image(figure, form, salt="ablation")


def changes(found: Sequence[tuple[Head | None, Scores]], measure: str, kind: Kind) -> np.ndarray:
    """Return the change of one measure by each head of one kind (L, H)."""

    def value(scores: Scores) -> float:
        if measure == "pronouns":
            return scores.pronoun_share or 0.0  # no sentence has a pronoun
        return getattr(scores, measure)

    (_, baseline), *changed = found
    of_kind = [(head, value(scores) - value(baseline)) for head, scores in changed if head and head.kind == kind]
    grid = np.zeros((1 + max(head.layer for head, _ in of_kind), 1 + max(head.head for head, _ in of_kind)))
    for head, change in of_kind:
        grid[head.layer, head.head] = change
    return grid
