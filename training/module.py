"""The Lightning module: what happens in a training step, in a validation and with a checkpoint."""

import logging
import math
from dataclasses import asdict, dataclass
from statistics import mean
from typing import Any, Literal

import lightning as L
import torch
import torch.distributed
import torch.nn.functional as F
from sacrebleu.metrics import BLEU, CHRF
from torch import Tensor
from torch.optim import Optimizer

from constants import PAD
from errors import UserError
from model import Transformer, TransformerConfig
from training.loss import projected_cross_entropy
from training.optimizer import MuonAdamW, adam_groups, muon_groups
from training.schedule import FractionDone, inverse_sqrt_decay, linear_decay
from translation.hypothesis import SearchOptions
from translation.search import search_translations

logger = logging.getLogger(__name__)

# Settings of the corpus that decide which batches an epoch has: a resumed run needs the same.
BATCH_SETTINGS = (
    "seed", "batch_tokens", "weights", "variants", "made_up", "streaming", "block_pairs", "max_words", "max_ratio",
    "source_lang", "target_lang",
)  # fmt: skip


@dataclass(frozen=True)
class TrainingConfig:
    """Loss, optimizer and schedule.

    Args:
        label_smoothing: probability spread over all tokens (Szegedy et al. 2016, section 7).
        consistency: weight of the divergence between two passes over a batch, each with dropout of its own (Liang et
            al. 2021, R-Drop); 0 makes one pass.
        optimizer: `muon` (Muon for the matrices of the layers, AdamW for the rest) or `adam`, as in the paper.
        learning_rate: peak of Muon (0.02 suits it), or of Adam (0.0007 suits it).
        adamw_learning_rate: peak of AdamW beside Muon.
        warmup_steps: updates until the peak.
        decay: after the peak, `linear` to zero at trainer.max_steps or max_time, or `inverse_sqrt` of the step.
        patience: validations without a better BLEU after which the run ends.
        seed: of the initial weights and of dropout.

    Raises:
        UserError: a number is out of range.
    """

    label_smoothing: float = 0.1
    consistency: float = 0.0
    optimizer: Literal["muon", "adam"] = "muon"
    learning_rate: float = 0.02
    adamw_learning_rate: float = 0.002
    warmup_steps: int = 100
    decay: Literal["linear", "inverse_sqrt"] = "linear"
    patience: int = 10
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise UserError(f"training.label_smoothing must be at least 0 and below 1, not {self.label_smoothing}")
        for name in ("consistency", "learning_rate", "adamw_learning_rate", "warmup_steps", "seed"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise UserError(f"training.{name} must be at least 0, not {value}")
        if self.patience < 1:
            raise UserError(f"training.patience must be at least 1, not {self.patience}")


class TranslationModule(L.LightningModule):
    """A Transformer with its loss, its optimizer and its validation.

    Batches are those of `data.batching.Batch`, and the Trainer's data module is a `TranslationData`.
    """

    def __init__(self, model: TransformerConfig, training: TrainingConfig) -> None:
        super().__init__()
        self.save_hyperparameters({"model": asdict(model), "training": asdict(training)})
        self.config = training
        torch.manual_seed(training.seed)
        self.model = Transformer(model)
        self.fraction_done = FractionDone()
        self.translations: dict[int, list[int]] = {}  # row of the validation split -> ids

    def hidden_states(self, src: Tensor, tgt: Tensor) -> Tensor:
        """Source ids (B, S) and target ids (B, T) -> decoder hidden states (B, T, C); `--compile` compiles this."""
        memory, src_mask = self.model.encode(src)
        return self.model.decode(tgt, memory, src_mask)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of this process's shard of a batch: sum over target tokens / tokens of the whole batch.

        Data-parallel training averages the gradients of all processes, hence the factor `world_size`: their mean is
        then the gradient of the whole batch, however unevenly its tokens are spread over the processes.
        """
        if not len(batch.rows):  # fewer rows than processes; the others still wait for a gradient of every parameter
            return torch.stack([p.sum() for p in self.model.parameters()]).sum() * 0.0
        n_passes = 2 if self.config.consistency else 1
        inputs, targets = batch.tgt[:, :-1], batch.tgt[:, 1:]  # (B, T)
        hidden = self.hidden_states(batch.src.repeat(n_passes, 1), inputs.repeat(n_passes, 1))  # (R * B, T, C)
        total = projected_cross_entropy(
            hidden.reshape(n_passes, targets.numel(), -1),  # (R, B * T, C)
            self.model.embedding.weight,
            targets.flatten(),
            self.config.label_smoothing,
            self.config.consistency,
        )
        return total / n_passes * self.trainer.world_size / batch.n_tokens

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Set the learning rates of this update."""
        schedule = linear_decay if self.config.decay == "linear" else inverse_sqrt_decay
        factor = schedule(self.global_step, self.fraction_done(self.trainer), self.config.warmup_steps)
        for group, peak in zip(optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * factor

    def configure_optimizers(self) -> Optimizer:
        """Return the optimizer; the learning rates of its groups are the peaks of the schedule."""
        config = self.config
        if config.optimizer == "muon":
            groups = muon_groups(self.model, config.learning_rate, config.adamw_learning_rate)
        else:
            groups = adam_groups(self.model, config.learning_rate)
        self.peaks = [group["lr"] for group in groups]
        return MuonAdamW(groups)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Log the loss on the references, and translate each source by greedy search."""
        loss = torch.zeros((), device=self.device)
        if len(batch.rows):
            logits = self.model(batch.src, batch.tgt[:, :-1]).float()  # (B, T, V)
            targets = batch.tgt[:, 1:].flatten()
            loss = F.cross_entropy(logits.flatten(0, 1), targets, ignore_index=PAD, reduction="sum")
            found = search_translations(self.model, batch.src, SearchOptions(beam_size=1))
            for row, hypotheses in zip(batch.rows.tolist(), found, strict=True):
                self.translations[row] = hypotheses[0].tokens
        token_loss = loss * self.trainer.world_size / batch.n_tokens
        self.log("val_loss", token_loss, batch_size=batch.n_tokens, sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        """Log BLEU and chrF of the translations of all processes, and a few translations.

        With several corpora, `val_bleu` and `val_chrf` are the means of theirs.
        """
        translations, self.translations = self.translations, {}
        if self.trainer.world_size > 1:
            shards: list[dict[int, list[int]]] = [{} for _ in range(self.trainer.world_size)]
            torch.distributed.all_gather_object(shards, translations)
            translations = {row: ids for shard in shards for row, ids in shard.items()}
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        sources, references = data.texts("val")
        rows_by_corpus = data.rows_by_corpus("val")
        bleu, chrf = {}, {}
        for name, all_rows in rows_by_corpus.items():
            rows = [row for row in all_rows if row in translations]  # fewer than all with trainer.limit_val_batches
            if not rows:
                continue
            hypotheses = data.tokenizer.decode([translations[row] for row in rows])
            expected = [references[row] for row in rows]
            bleu[name] = BLEU().corpus_score(hypotheses, [expected]).score
            chrf[name] = CHRF().corpus_score(hypotheses, [expected]).score
            corpus = f"{name}: " if len(rows_by_corpus) > 1 else ""
            logger.info(f"step {self.global_step}: {corpus}validation BLEU {bleu[name]:.1f}, chrF {chrf[name]:.1f}")
            every = max(1, len(rows) // 3)
            for row, hypothesis in list(zip(rows, hypotheses, strict=True))[::every][:3]:
                logger.info(f"  {sources[row]} → {hypothesis}")
        self.log_dict({"val_bleu": mean(bleu.values()), "val_chrf": mean(chrf.values())})
        if len(rows_by_corpus) > 1:
            self.log_dict({f"val_bleu_{name}": score for name, score in bleu.items()})
            self.log_dict({f"val_chrf_{name}": score for name, score in chrf.items()})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the fingerprint of the training pairs, and the tokenizer, so that the checkpoint needs no file beside it.

        The tokenizer is a tensor of bytes.
        """
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        checkpoint["training_pairs"] = data.fingerprint
        checkpoint["sentencepiece"] = torch.frombuffer(bytearray(data.tokenizer.model), dtype=torch.uint8)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Compare a checkpoint with the settings of the run that resumes from it.

        Raises:
            UserError: the checkpoint has another architecture, another tokenizer, other training pairs, or other
                batches in an epoch.
        """
        saved = checkpoint["hyper_parameters"]
        if not {"model", "training"} <= set(saved):
            raise UserError(
                "--ckpt_path: the checkpoint is of another version of this program, which cannot resume from it"
            )
        for name, value in self.hparams["model"].items():
            if name != "dropout" and saved["model"].get(name) != value:
                raise UserError(f"--ckpt_path: the checkpoint has model.{name} {saved['model'].get(name)}, not {value}")
        if saved["training"].get("optimizer") != self.config.optimizer:
            kind = saved["training"].get("optimizer")
            raise UserError(f"--ckpt_path: the checkpoint has training.optimizer {kind}, not {self.config.optimizer}")
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        corpus = checkpoint["datamodule_hyper_parameters"]
        for name in BATCH_SETTINGS:
            if name == "block_pairs" and not data.hparams["streaming"]:
                continue
            if corpus.get(name) != data.hparams[name]:
                raise UserError(
                    f"--ckpt_path: the checkpoint was trained with data.{name} {corpus.get(name)}, "
                    f"not {data.hparams[name]}"
                )
        if checkpoint["sentencepiece"].cpu().numpy().tobytes() != data.tokenizer.model:
            raise UserError("--ckpt_path: the checkpoint has another tokenizer than this corpus, which has changed")
        # Streams have no fingerprint, nor have checkpoints of older versions: nothing is compared.
        fingerprints = checkpoint.get("training_pairs"), data.fingerprint
        if None not in fingerprints and fingerprints[0] != fingerprints[1]:
            raise UserError("--ckpt_path: the checkpoint has other training pairs than this corpus, which has changed")
