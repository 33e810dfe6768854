"""What each optimisation of training saves: `python -m benchmarks.ablations --data DIR --json FILE`.

Two trainings take turns on the same batches, one as `train.py` trains, one without a single optimisation.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.child import Child
from benchmarks.machine import device, report
from benchmarks.trainer import prepare
from benchmarks.training import STEPS, train_ours
from constants import PAD
from errors import UserError, one_sentence
from model import MultiHeadAttention
from training.hardware import has_bf16_matmul
from training.module import TranslationModule
from translation.flags import check_output


class LossOnLogits(TranslationModule):
    """Computes the logits of the whole batch, and then PyTorch's cross-entropy."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the same loss as `TranslationModule` with one pass over a batch, in one process."""
        logits = self.model.logits(self.hidden_states(batch.src, batch.tgt[:, :-1])).flatten(0, 1)
        targets, smoothing = batch.tgt[:, 1:].flatten(), self.config.label_smoothing
        total = F.cross_entropy(logits, targets, ignore_index=PAD, label_smoothing=smoothing, reduction="sum")
        return total / batch.n_tokens


class FusedAttention(TranslationModule):
    """Calls PyTorch's fused attention, as on a GPU, in place of the explicit computation."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        for layer in self.model.modules():
            if isinstance(layer, MultiHeadAttention):
                layer.attend = partial(fused_attend, layer)  # type: ignore[method-assign]


def fused_attend(layer: MultiHeadAttention, x: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Compute `MultiHeadAttention.attend` by `scaled_dot_product_attention`."""
    heads = F.scaled_dot_product_attention(layer.split_heads(layer.w_q(x)), k, v, attn_mask=mask)  # (B, H, T, D)
    return layer.w_o(heads.transpose(1, 2).flatten(2))


class Float32Activations(TranslationModule):
    """Leaves the activations between the linear layers in float32, under autocast."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        embed = self.model.embed

        def embed_in_float32(tokens: Tensor, start: int = 0) -> Tensor:
            with torch.autocast(tokens.device.type, enabled=False):
                return embed(tokens, start)

        self.model.embed = embed_in_float32  # type: ignore[method-assign]


# Optimisation -> arguments of `train_ours` for a training without it.
WITHOUT: dict[str, dict[str, Any]] = {"fused_loss": {"kind": LossOnLogits}}
if device().type == "cpu":
    WITHOUT |= {
        "kept_memory": {"keeps_memory": False},
        "explicit_attention": {"kind": FusedAttention},
        "few_kernels": {"limits_kernels": False},
    }
if has_bf16_matmul(device().type):
    WITHOUT["bfloat16_activations"] = {"kind": Float32Activations}


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare pairs of trainings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train, val and test in fr and en")
    parser.add_argument("--json", type=Path, help="file for rows and figures")
    parser.add_argument("--rounds", type=int, default=8, help="turns of each training after one to warm up")
    flags = parser.parse_args(arguments)
    check_output("--json", flags.json)
    if flags.rounds < 1:
        raise UserError(f"--rounds must be at least 1, not {flags.rounds}")
    prepare(flags.data)[1].data.load()  # fills the cache of prepared corpora before the children read it

    rows: list[dict[str, Any]] = []
    figures: dict[str, Sequence[float]] = {}
    for name, changes in WITHOUT.items():
        print(f"with and without {name}", file=sys.stderr)
        children = [Child(partial(train_ours, **variant), flags.data) for variant in ({}, changes)]
        turns = [[child.ask(STEPS) for child in children] for _ in range(flags.rounds + 1)][1:]
        steps = [[seconds / STEPS for _, seconds in pair] for pair in turns]  # seconds of a step, with and without
        saved = [100 * (1 - with_it / without) for with_it, without in steps]
        figures[f"ablations/{name}"] = saved
        rows.append(
            {
                "optimisation": name,
                "ms with": round(1000 * statistics.median(pair[0] for pair in steps)),
                "ms without": round(1000 * statistics.median(pair[1] for pair in steps)),
                "% saved": round(statistics.median(saved), 1),
                "peak MB with": children[0].peak_memory(),
                "peak MB without": children[1].peak_memory(),
            }
        )
        for child in children:
            child.stop()
    report("A training step with and without each optimisation", rows, figures, flags.json)


if __name__ == "__main__":
    with one_sentence():
        main()
