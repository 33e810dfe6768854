"""Training and validation of the Transformer, as Lightning asks for them."""

import math
import time
from functools import partial
from typing import Any, Literal

import lightning as L
import torch
import torch.distributed
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from sacrebleu.metrics import BLEU, CHRF
from torch import Tensor
from torch.optim import Optimizer

from errors import UserError
from model.cores import run_parallel, sum_of_losses, workers
from model.loss import projected_cross_entropy
from model.optimizer import MuonAdamW, inverse_sqrt_decay, linear_decay, paper_adam
from model.rng import seeded
from model.search import search_translations
from model.transformer import PAD, SIZES, Norm, Transformer

BOUNDS = {  # least, and what lies above
    **dict.fromkeys(SIZES, (1, math.inf)),
    **dict.fromkeys(("dropout", "label_smoothing"), (0, 1)),
    **dict.fromkeys(("consistency", "sampled_after", "warmup_steps"), (0, math.inf)),
    **dict.fromkeys(("learning_rate", "adamw_learning_rate"), (0, math.inf)),
}
ARCHITECTURE = (*SIZES, "norm", "optimizer")  # what a checkpoint's weights and state belong to
BATCHES = ("seed", "batch_tokens", "streaming", "block_pairs", "max_words", "max_ratio", "source_lang", "target_lang")
MAX_SKIPPED = 20  # updates skipped in a row, after which a run stops


class TranslationModule(L.LightningModule):
    """A Transformer with its loss, its optimizer and its validation."""

    def __init__(
        self,
        vocab_size: int,
        d_model: int = 256,
        n_heads: int = 4,
        n_encoder_layers: int = 3,
        n_decoder_layers: int = 3,
        d_ff: int = 1024,
        dropout: float = 0.1,
        norm: Norm = "pre",
        label_smoothing: float = 0.1,
        consistency: float = 0.0,
        sampled_after: int = 512,
        optimizer: Literal["muon", "adam"] = "muon",
        learning_rate: float = 0.02,
        adamw_learning_rate: float = 0.002,
        warmup_steps: int = 100,
        decay: Literal["linear", "inverse_sqrt"] = "linear",
        seed: int = 1,
    ) -> None:
        """Build the network; the names of its sizes are the paper's.

        Raises UserError where a number makes no sense.

        Args:
            vocab_size: V, the pieces of the joint vocabulary.
            d_model: C, width of the model.
            n_heads: H, heads of each attention; divides d_model.
            n_encoder_layers: layers that read.
            n_decoder_layers: layers that write.
            d_ff: inner width of the feed-forward layers.
            dropout: share of activations zeroed in training.
            norm: `pre` (x + f(norm(x))) or `post`, as in the paper.
            label_smoothing: probability spread over all pieces (Szegedy et al. 2016, section 7).
            consistency: weight of the disagreement between two passes over a batch, each with dropout of its own
                (Liang et al. 2021, R-Drop); 0 makes one.
            sampled_after: rank in the vocabulary up to which an update compares with all pieces; of the rarer ones it
                takes a sample. 0 compares with all, which is exact and slower.
            optimizer: `muon` (matrices by Muon, the rest by AdamW) or `adam`, as in the paper.
            learning_rate: peak; of Muon's part where there is one (0.02 suits it; 0.0007 suits Adam).
            adamw_learning_rate: peak of AdamW's part beside Muon.
            warmup_steps: updates until the peak.
            decay: from the peak `linear` to zero at trainer.max_steps or max_time, or `inverse_sqrt` of the step.
            seed: of the initial weights, of dropout and of sampled pieces.
        """
        super().__init__()
        self.save_hyperparameters()
        for name, (least, above) in BOUNDS.items():
            if not least <= self.hparams[name] < above:
                below = f" and below {above}" if above < math.inf else ""
                raise UserError(f"model.{name} must be at least {least}{below}, not {self.hparams[name]}")
        if d_model % 2:
            raise UserError(f"model.d_model must be even, for sines and cosines of positions, not {d_model}")
        torch.manual_seed(seed)
        self.model = Transformer(vocab_size, d_model, n_heads, n_encoder_layers, n_decoder_layers, d_ff, dropout, norm)
        self.hypotheses: dict[int, list[int]] = {}  # row of the validation split -> ids
        self.clock = (time.monotonic(), 0)  # when tokens were last counted, and how many since
        self.skipped = self.skipped_in_a_row = 0  # updates whose loss or gradient was not finite

    def on_train_start(self) -> None:
        """Count tokens from here, and learn at the rates that were asked for, not at those of a checkpoint."""
        self.clock = (time.monotonic(), 0)
        schedule: Any = self.lr_schedulers()
        for group, before, peak in zip(schedule.optimizer.param_groups, schedule.base_lrs, self.peaks, strict=True):
            if peak != before:  # a resumed run was given another
                group["lr"] = group["lr"] * peak / before if before else 0.0
        schedule.base_lrs = self.peaks

    def on_validation_end(self) -> None:
        """Count no time of validation."""
        self.clock = (time.monotonic(), 0)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Mean loss of one target token."""
        h: Any = self.hparams

        def loss_of(share: Any, number: int) -> Tensor:
            place = (h.seed, self.current_epoch, batch_idx, self.global_rank, number)
            with seeded(place, self.device):
                return self.loss(share, h.label_smoothing, h.consistency, h.sampled_after)

        loss = sum_of_losses([partial(loss_of, share, i) for i, share in enumerate(self.shard(batch))], self.model)
        self.clock = (self.clock[0], self.clock[1] + batch.n_tokens)
        # Of all processes: what one cannot learn from, none does.
        self.mean_loss = self.trainer.strategy.reduce(loss.detach().clone(), reduce_op="mean")
        return loss

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Skip the update where loss or gradient is not finite, and log.

        An optimizer leaves weights without a gradient, and its own state of them, as they are. Rows are written here,
        before the update and so before any checkpoint that holds it; Lightning would write them after.

        Raises:
            UserError: `MAX_SKIPPED` updates in a row were skipped.
        """
        norm = torch.nn.utils.get_total_norm([p.grad for p in self.parameters() if p.grad is not None])
        if torch.isfinite(self.mean_loss + norm):
            self.skipped_in_a_row = 0
        else:
            optimizer.zero_grad()
            self.skipped += 1
            self.skipped_in_a_row += 1
            rank_zero_info(
                f"step {self.global_step}: loss {self.mean_loss:.3g}, gradient {norm:.3g}: update skipped "
                f"({self.skipped_in_a_row} in a row, {self.skipped} in all)"
            )
            if self.skipped_in_a_row == MAX_SKIPPED:
                raise UserError(
                    f"step {self.global_step}: {MAX_SKIPPED} losses or gradients in a row are not finite: lower "
                    "--model.learning_rate and --model.adamw_learning_rate, raise --model.warmup_steps, or set "
                    "--trainer.precision 32-true"
                )
        self.log("loss", self.mean_loss, logger=False)
        if (self.global_step + 1) % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            (since, tokens), self.clock = self.clock, (time.monotonic(), 0)
            rate = tokens / max(1e-9, self.clock[0] - since)
            self.log_dict({"tokens/s": rate, "percent_done": 100 * self.progress()}, logger=False)
            row = {"epoch": self.current_epoch, "loss": self.mean_loss.item(), "tokens/s": rate}
            for logger in self.loggers:
                logger.log_metrics(row | {"skipped_updates": self.skipped}, step=self.global_step)

    def loss(
        self, batch: Any, label_smoothing: float = 0.0, consistency: float = 0.0, sampled_after: int = 0
    ) -> Tensor:
        """Cross-entropy of the target tokens of a share, over those of the whole batch.

        Only real tokens are projected onto the vocabulary. Data-parallel training takes the mean over processes, hence
        the factor: their mean is the loss of the whole batch, however unevenly it is shared. An empty share has loss
        zero and gradients of zero, which the other processes wait for; attention to padding alone would be NaN.
        """
        if not len(batch.rows):
            return torch.stack([p.sum() for p in self.model.parameters()]).sum() * 0.0
        passes = 2 if consistency else 1
        tgt, predicted = batch.tgt[:, :-1], batch.tgt[:, 1:]
        memory, src_mask = self.model.encode(batch.src.repeat(passes, 1))
        real = predicted != PAD  # (B, T)
        states = self.model.decode(tgt.repeat(passes, 1), memory, src_mask)  # (passes * B, T, C)
        states = states.unflatten(0, (passes, -1))[:, real]  # (passes, tokens, C)
        embedding = self.model.embedding.weight
        total = projected_cross_entropy(states, embedding, predicted[real], label_smoothing, consistency, sampled_after)
        return total / passes * self.trainer.world_size / batch.n_tokens

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Loss on the references, and a greedy translation of each source."""
        loss = self.loss(batch)
        self.log("val_loss", loss, batch_size=batch.n_tokens, sync_dist=True, prog_bar=True)
        if not len(batch.rows):
            return
        shares = self.shard(batch)
        searches = [partial(search_translations, self.model, share.src, scored=False) for share in shares]
        for share, found in zip(shares, run_parallel(searches, len(shares)), strict=True):
            for row, hypotheses in zip(share.rows.tolist(), found, strict=True):
                self.hypotheses[row] = hypotheses[0].tokens

    def shard(self, batch: Any) -> list[Any]:
        """Share a batch out to the cores of a processor; a GPU does it whole."""
        return batch.shard(workers() if self.device.type == "cpu" else 1)

    def on_validation_epoch_end(self) -> None:
        """BLEU and chrF of the decoded text, and a few translations to look at."""
        rows = self.hypotheses
        if self.trainer.world_size > 1:
            shares: list[dict[int, list[int]]] = [{} for _ in range(self.trainer.world_size)]
            torch.distributed.all_gather_object(shares, rows)
            rows = {row: ids for share in shares for row, ids in share.items()}
        self.hypotheses = {}
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        sources, references = data.texts("val")
        order = sorted(rows)
        hypotheses = data.tokenizer.decode([rows[row] for row in order])
        references = [references[row] for row in order]
        bleu = BLEU().corpus_score(hypotheses, [references]).score
        self.log("val_bleu", bleu, prog_bar=True, rank_zero_only=False)
        self.log("val_chrf", CHRF().corpus_score(hypotheses, [references]).score)
        if not self.trainer.sanity_checking:
            rank_zero_info(f"step {self.global_step}: validation BLEU {bleu:.1f}")
            for row, hypothesis in list(zip(order, hypotheses, strict=True))[:: max(1, len(order) // 3)][:3]:
                rank_zero_info(f"  {sources[row]} → {hypothesis}")

    def progress(self) -> float:
        """Share of the run that is over: steps over max_steps or elapsed over max_time, whichever is larger."""
        trainer = self.trainer
        share = trainer.global_step / trainer.max_steps if trainer.max_steps > 0 else 0.0
        for timer in (callback for callback in trainer.callbacks if isinstance(callback, Timer)):  # type: ignore[attr-defined]
            elapsed, left = timer.time_elapsed(), timer.time_remaining()
            if left is not None:
                share = max(share, elapsed / max(1e-9, elapsed + left))
                # Clocks differ, and learning rates must not.
                share = trainer.strategy.broadcast(share)
        return min(1.0, share)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Optimizer and schedule, stepped after every update."""
        h: Any = self.hparams
        if h.optimizer == "muon":
            optimizer: torch.optim.Optimizer = MuonAdamW(self.model, h.learning_rate, h.adamw_learning_rate)
        else:
            optimizer = paper_adam(self.model, h.learning_rate)
        self.peaks = [group["lr"] for group in optimizer.param_groups]
        shape = linear_decay if h.decay == "linear" else inverse_sqrt_decay
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: shape(step, self.progress(), h.warmup_steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Leave the schedule where it is when the update was skipped."""
        if not self.skipped_in_a_row:
            scheduler.step()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the tokenizer into the file, as bytes in a tensor, so that the file needs nothing beside it."""
        checkpoint["skipped_updates"] = [self.skipped, self.skipped_in_a_row]
        model = self.trainer.datamodule.tokenizer.model  # type: ignore[attr-defined]
        checkpoint["sentencepiece"] = torch.frombuffer(bytearray(model), dtype=torch.uint8)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on counting.

        Raises:
            UserError: the checkpoint is of another network, knows other pieces, or stands in an epoch of other batches.
        """
        for name in ARCHITECTURE:
            saved, ours = checkpoint["hyper_parameters"].get(name), self.hparams[name]
            if saved != ours:
                raise UserError(f"--ckpt_path: the checkpoint has model.{name} {saved}, not {ours}")
        data: Any = self.trainer.datamodule.hparams  # type: ignore[attr-defined]
        for name in (name for name in BATCHES if name != "block_pairs" or data["streaming"]):
            saved, ours = checkpoint["datamodule_hyper_parameters"].get(name), data[name]
            if saved != ours:
                raise UserError(f"--ckpt_path: the checkpoint's epoch was cut by data.{name} {saved}, not {ours}")
        pieces = checkpoint["sentencepiece"].cpu().numpy().tobytes()
        if pieces != self.trainer.datamodule.tokenizer.model:  # type: ignore[attr-defined]
            raise UserError("--ckpt_path: the checkpoint has other pieces than this corpus, which has changed")
        self.skipped, self.skipped_in_a_row = checkpoint.get("skipped_updates", [0, 0])
