"""Hugging Face `transformers` as a baseline: MarianMT trained from random weights, and M2M100 with our weights."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GenerationConfig, M2M100Config, M2M100ForConditionalGeneration, MarianConfig, MarianMTModel
from transformers import logging as transformers_logging

from benchmarks.machine import device, now
from constants import BOS, EOS, MAX_TOKENS, PAD
from data.batching import Batch, pad
from data.tokenizer import Tokenizer
from errors import UserError
from model import Transformer, TransformerConfig
from model.transformer import sinusoids
from translation.hypothesis import SearchOptions, max_length

transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()

LEARNING_RATE, WARMUP_STEPS = 5e-4, 400  # usual values, not tuned
TRIAL_STEPS = 2  # of each attention, to choose the faster one
NAMES = {  # of modules: ours -> Hugging Face's
    "self_attention.w_q": "self_attn.q_proj",
    "self_attention.w_k": "self_attn.k_proj",
    "self_attention.w_v": "self_attn.v_proj",
    "self_attention.w_o": "self_attn.out_proj",
    "cross_attention.w_q": "encoder_attn.q_proj",
    "cross_attention.w_k": "encoder_attn.k_proj",
    "cross_attention.w_v": "encoder_attn.v_proj",
    "cross_attention.w_o": "encoder_attn.out_proj",
    "feed_forward.expand": "fc1",
    "feed_forward.contract": "fc2",
}
NORMS = {  # of each layer, in the order of `residuals`
    "encoder": ("self_attn_layer_norm", "final_layer_norm"),
    "decoder": ("self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm"),
}


def sizes(config: TransformerConfig) -> dict[str, Any]:
    """Return the sizes of a Transformer under Hugging Face's names."""
    named: dict[str, Any] = {"vocab_size": config.vocab_size, "d_model": config.d_model}
    for side, n_layers in (("encoder", config.n_encoder_layers), ("decoder", config.n_decoder_layers)):
        named[f"{side}_layers"] = n_layers
        named[f"{side}_ffn_dim"] = config.d_ff
        named[f"{side}_attention_heads"] = config.n_heads
    special = {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS, "decoder_start_token_id": BOS}
    kind = {"activation_function": "relu", "scale_embedding": True, "tie_word_embeddings": True}
    return named | special | kind | {"max_position_embeddings": MAX_TOKENS, "dropout": config.dropout}


class MarianTraining:
    """MarianMT in a plain PyTorch loop: AdamW, clipped gradients, label smoothing, and our token batches."""

    def __init__(self, like: TransformerConfig, batches: Iterable[Batch], precision: str, attention: str) -> None:
        """Prepare the first step.

        Args:
            like: the sizes.
            batches: iterated again at the end of each epoch.
            precision: `float32`, or `bfloat16` for autocast.
            attention: Hugging Face's `sdpa` or `eager`.
        """
        torch.manual_seed(1)
        model: Any = MarianMTModel(MarianConfig(**sizes(like), forced_eos_token_id=None))
        model.set_attn_implementation(attention)
        self.model = model.to(device()).train()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), fused=True)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: min((step + 1) / WARMUP_STEPS, (WARMUP_STEPS / (step + 1)) ** 0.5)
        )
        self.batches, self.precision = endless(batches), precision

    def step(self) -> int:
        """Update the weights once; return the number of target tokens."""
        batch = next(self.batches)
        src, tgt = batch.src.to(device()), batch.tgt.to(device())
        with torch.autocast(device().type, torch.bfloat16) if self.precision == "bfloat16" else nullcontext():
            output = self.model(input_ids=src, attention_mask=(src != PAD).long(), decoder_input_ids=tgt[:, :-1])
            logits, targets = output.logits.flatten(0, 1), tgt[:, 1:].flatten()
            loss = F.cross_entropy(logits, targets, ignore_index=PAD, label_smoothing=0.1)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        return batch.n_tokens


def endless(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Yield the batches of one epoch after the other."""
    while True:
        yield from batches


def faster_attention(like: TransformerConfig, batches: Iterable[Batch], precision: str) -> str:
    """Return the attention implementation with which MarianMT trains faster: `sdpa`, the default, or `eager`."""
    seconds = {}
    for attention in ("sdpa", "eager"):
        training = MarianTraining(like, batches, precision, attention)
        training.step()  # the first step allocates
        start = now()
        for _ in range(TRIAL_STEPS):
            training.step()
        seconds[attention] = now() - start
    return min(seconds, key=lambda attention: seconds[attention])


def m2m100(ours: Transformer) -> Any:
    """Return Hugging Face's M2M100 with our weights: it is pre-norm and has the same layers and biases.

    Raises:
        UserError: our model is post-norm.
        RuntimeError: this version of transformers names its weights otherwise.
    """
    if ours.config.norm != "pre":
        raise UserError("this baseline needs a checkpoint with model.norm pre")
    theirs: Any = M2M100ForConditionalGeneration(M2M100Config(**sizes(ours.config)))
    weights: dict[str, Tensor] = {"model.shared.weight": ours.embedding.weight}
    for path, parameter in ours.named_parameters():
        side, _, rest = path.partition(".")
        if side in ("encoder_norm", "decoder_norm"):
            weights[f"model.{side.removesuffix('_norm')}.layer_norm.{rest}"] = parameter
        elif side in NORMS:
            number, inner = rest.split(".", 1)
            module, _, kind = inner.rpartition(".")
            name = NORMS[side][int(module.split(".")[1])] if module.startswith("residuals.") else NAMES[module]
            weights[f"model.{side}.layers.{number}.{name}.{kind}"] = parameter
    missing, unexpected = theirs.load_state_dict(weights, strict=False)
    tied = {"model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight"}
    if set(missing) - tied or unexpected:
        raise RuntimeError(f"M2M100 of this version names its weights otherwise: {missing}, {unexpected}")
    theirs.tie_weights()
    for side in (theirs.model.encoder, theirs.model.decoder):
        table = side.embed_positions
        first = PAD + 1  # row of the first position
        table.weights[first:] = sinusoids(len(table.weights) - first, ours.config.d_model)
    return theirs.to(device()).eval()


@torch.inference_mode()
def generate(
    model: Any, tokenizer: Tokenizer, texts: Sequence[str], options: SearchOptions, batch_size: int
) -> list[str]:
    """Translate sentences with Hugging Face's `generate`, sentences of similar length together, longest first."""
    ids = tokenizer.encode(texts)
    order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
    found = [""] * len(texts)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        src = pad([ids[i] for i in rows]).to(device())
        beam = {"length_penalty": options.length_penalty, "early_stopping": True} if options.beam_size > 1 else {}
        config = GenerationConfig(
            num_beams=options.beam_size,
            do_sample=False,
            no_repeat_ngram_size=options.no_repeat_ngram_size or 0,
            min_new_tokens=options.min_length,
            max_new_tokens=max_length(src.size(1)),
            pad_token_id=PAD,
            bos_token_id=BOS,
            eos_token_id=EOS,
            decoder_start_token_id=BOS,
            **beam,
        )
        output = model.generate(src, attention_mask=(src != PAD).long(), generation_config=config)
        for i, text in zip(rows, tokenizer.decode(output.tolist()), strict=True):
            found[i] = text
    return found
