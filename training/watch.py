"""How attention is learned: the attention weights of a few fixed sentences, kept while the model trains."""

import io
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger

from constants import MAX_TOKENS
from data.batching import pad
from data.tokenizer import Tokenizer
from errors import UserError
from files import write_atomically
from model import Transformer
from translation.hypothesis import SearchOptions
from translation.maps import KINDS, printable, record_maps
from translation.search import search_translations

if TYPE_CHECKING:
    from data.module import TranslationData

logger = logging.getLogger(__name__)

FOLDER = "attention"  # of the files, in the folder of the run
N_SENTENCES = 3
MAX_WATCHED_TOKENS = 40  # of the sentences that are taken from a validation split, so that a file has few kilobytes
# Watched where the phrasebook is the corpus; the pronoun of the second sentence stands for its noun.
PHRASEBOOK = {
    "fr": ("Je suis heureux.", "Le robot a pris la balle parce qu'elle était rouge.", "Il ne mange pas le pain."),
    "en": ("I am happy.", "The robot took the ball because it was red.", "He does not eat the bread."),
}


class WatchAttention(Callback):
    """Keeps the translations and attention weights of a few sentences in attention/STEP.npz of the run's folder.

    A file is written before the first update, at each validation, and every `every` updates until the first validation.
    The first process does it alone. TensorBoard gets the mean cross-attention at each validation.

    Args:
        run: folder of the run.
        every: updates between two files before the first validation; 0 writes none in between.
        first_step: later files were written by an earlier start after its last checkpoint. They are removed, because
            the resumed run writes these steps again.

    Raises:
        UserError: `every` is negative.
    """

    def __init__(self, run: Path, every: int, first_step: int) -> None:
        if every < 0:
            raise UserError(f"--watch_every must be at least 0, not {every}")
        self.folder, self.every, self.first_step = run / FOLDER, every, first_step
        self.sentences: list[list[int]] = []  # ids of each, EOS last
        self.step = 0
        self.validated = False

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Choose the sentences and remove files of steps that are repeated."""
        if not trainer.is_global_zero:
            return
        self.sentences = watched_sentences(trainer.datamodule)  # type: ignore[attr-defined]
        self.folder.mkdir(exist_ok=True)
        for file in self.folder.iterdir():
            is_later = file.suffix == ".npz" and file.stem.isdecimal() and int(file.stem) > self.first_step
            if is_later or file.suffix == ".part":  # a kill may have left a part
                file.unlink()

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run must know: whether there was a validation."""
        return {"validated": self.validated}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.validated = state_dict["validated"]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the attention of a network that has learned nothing yet."""
        self.step = trainer.global_step
        if trainer.is_global_zero and trainer.global_step == 0:
            self._keep(trainer, pl_module)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Keep the attention if it is time, until the first validation."""
        updated, self.step = trainer.global_step != self.step, trainer.global_step
        if updated and self.every and not self.validated and self.step % self.every == 0 and trainer.is_global_zero:
            self._keep(trainer, pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the attention beside the BLEU of the validation, and draw it for TensorBoard."""
        self.validated = True
        if not trainer.is_global_zero:
            return
        scores = trainer.callback_metrics
        arrays = self._keep(trainer, pl_module, float(scores["val_bleu"]) if "val_bleu" in scores else None)
        for each in trainer.loggers:
            if isinstance(each, TensorBoardLogger):
                # Updates are counted from 0, as in the curves.
                each.experiment.add_figure("cross-attention", figure_of(arrays), max(0, trainer.global_step - 1))

    def _keep(self, trainer: L.Trainer, pl_module: L.LightningModule, bleu: float | None = None) -> dict[str, Any]:
        """Write the file of this step and return its arrays."""
        tokenizer = trainer.datamodule.tokenizer  # type: ignore[attr-defined]
        arrays = watch(pl_module.model, self.sentences, tokenizer)  # type: ignore[arg-type]
        arrays["step"] = np.array(trainer.global_step)
        arrays["bleu"] = np.array(np.nan if bleu is None else bleu)
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)
        write_atomically(self.folder / f"{trainer.global_step:08d}.npz", content.getvalue())
        return arrays


def watched_sentences(data: "TranslationData") -> list[list[int]]:
    """Return the ids of the sentences that `data.watch` names, or of its default.

    Raises:
        UserError: a sentence of `data.watch` is blank or has too many tokens.
    """
    given: list[str] | None = data.hparams["watch"]
    if given:
        found = data.tokenizer.encode(given)
        for text, ids in zip(given, found, strict=True):
            if not 1 < len(ids) <= MAX_TOKENS:
                raise UserError(
                    f"data.watch: {text[:40]!r} has {len(ids)} tokens: give 2 to {MAX_TOKENS}, EOS included"
                )
        return found
    language = data.hparams["source_lang"]
    if data.paths == ["phrasebook"] and language in PHRASEBOOK:
        return data.tokenizer.encode(PHRASEBOOK[language])
    val = data.load()["val"]
    fitting = (row["src_ids"] for row in val if len(row["src_ids"]) <= MAX_WATCHED_TOKENS)
    chosen = [ids for ids, _ in zip(fitting, range(N_SENTENCES), strict=False)]
    return chosen or [val[0]["src_ids"]]


def watch(model: Transformer, sources: list[list[int]], tokenizer: Tokenizer) -> dict[str, Any]:
    """Translate sentences by greedy search and return their attention weights.

    Args:
        model: its mode and its weights are not changed.
        sources: ids of each sentence, EOS last.
        tokenizer: names the tokens.

    Returns:
        For sentence i the arrays `I.encoder_self` (L, H, S, S), `I.decoder_self` (L, H, T, T) and `I.cross`
        (L, H, T, S), float16, and `I.log_probs` (T,), float32; and `meta`, a JSON text of the ids and tokens of all
        sentences. Axes and names as in `RecordedMaps`.
    """
    training = model.training
    model.eval()
    try:
        with torch.autocast(model.positions.device.type, enabled=False):
            found = search_translations(model, pad(sources).to(model.positions.device), SearchOptions(beam_size=1))
    finally:
        model.train(training)
    arrays: dict[str, Any] = {}
    described = []
    for i, (source, hypotheses) in enumerate(zip(sources, found, strict=True)):
        maps = record_maps(model, source, hypotheses[0].tokens, tokenizer)
        arrays |= {f"{i}.{kind}": maps.weights(kind).astype(np.float16) for kind in KINDS}
        arrays[f"{i}.log_probs"] = maps.log_probs
        described.append({name: value for name, value in vars(maps).items() if not isinstance(value, np.ndarray)})
    return {**arrays, "meta": np.array(json.dumps(described))}


def figure_of(arrays: dict[str, Any]) -> Any:
    """Return a Matplotlib figure of the mean cross-attention of each sentence, over all layers and heads."""
    from matplotlib.figure import Figure

    described = json.loads(str(arrays["meta"]))
    # Fixed margins: a layout that fits the labels would draw everything twice.
    figure = Figure(figsize=(4 * len(described), 4), dpi=80)
    figure.subplots_adjust(left=0.3 / len(described), right=0.99, bottom=0.22, top=0.97, wspace=0.45)
    for i, axes in enumerate(figure.subplots(1, len(described), squeeze=False)[0]):
        axes.imshow(arrays[f"{i}.cross"].astype(np.float32).mean((0, 1)), cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for side, set_ticks in (("source_tokens", axes.set_xticks), ("decoder_output_tokens", axes.set_yticks)):
            tokens = [printable(token) for token in described[i][side]]
            rotation = 90 if side == "source_tokens" else 0
            set_ticks(range(len(tokens)), tokens, fontsize=7, parse_math=False, rotation=rotation)
    return figure
