"""Hugging Face `transformers` as a peer: MarianMT trained from nothing, and our own weights in M2M100."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import GenerationConfig, M2M100Config, M2M100ForConditionalGeneration, MarianConfig, MarianMTModel
from transformers import logging as transformers_logging

from benchmarks.machine import device, now
from data import Tokenizer, pad
from data.batching import Batch, group_by_length
from model import Transformer
from model.search import max_length
from model.transformer import BOS, EOS, PAD, sinusoids

transformers_logging.set_verbosity_error()
LEARNING_RATE, WARMUP_STEPS = 5e-4, 400  # usual values, untuned
PEERS_LENGTH_PENALTY = 1.3  # their length^1.3 grows about a sentence of 13 pieces as our ((5 + length) / 6)^1.8


def sizes_of(model: Any) -> dict[str, Any]:
    """Name the sizes of our `Transformer` as Hugging Face does."""
    d_ff, n_heads = model.encoder[0].feed_forward.expand.out_features, model.n_heads
    sizes: dict[str, Any] = {"vocab_size": model.embedding.num_embeddings, "d_model": model.embedding.embedding_dim}
    for side, layers in (("encoder", model.encoder), ("decoder", model.decoder)):
        sizes |= {f"{side}_layers": len(layers), f"{side}_ffn_dim": d_ff, f"{side}_attention_heads": n_heads}
    marks = {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS, "decoder_start_token_id": BOS}
    return sizes | marks | {"activation_function": "relu", "scale_embedding": True, "tie_word_embeddings": True}


class MarianTraining:
    """MarianMT of our sizes in a plain PyTorch loop: AdamW, clipped gradients, label smoothing, our token batches."""

    def __init__(self, like: Transformer, batches: Iterable[Batch], precision: str, attention: str = "sdpa") -> None:
        """Args: like, gives the sizes; batches, endless; precision, `float32` or `bfloat16` products; attention."""
        torch.manual_seed(1)
        config = MarianConfig(**sizes_of(like), dropout=0.1, max_position_embeddings=1024, forced_eos_token_id=None)
        config._attn_implementation = attention
        model: Any = MarianMTModel(config)
        self.model = model.to(device())
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), fused=True)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: min((step + 1) / WARMUP_STEPS, (WARMUP_STEPS / (step + 1)) ** 0.5)
        )
        self.batches, self.precision = endless(batches), precision

    def step(self) -> int:
        """Take one step; return its target tokens."""
        batch = next(self.batches)
        src, tgt = batch.src.to(device()), batch.tgt.to(device())
        with torch.autocast(device().type, torch.bfloat16) if self.precision == "bfloat16" else nullcontext():
            found = self.model(input_ids=src, attention_mask=(src != PAD).long(), decoder_input_ids=tgt[:, :-1])
            loss = F.cross_entropy(
                found.logits.flatten(0, 1), tgt[:, 1:].flatten(), ignore_index=PAD, label_smoothing=0.1
            )
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        return batch.n_tokens

    def train(self, seconds: float) -> int:
        """Go on for some time; return the target tokens."""
        self.model.train()
        tokens, start = 0, now()
        while now() - start < seconds:
            tokens += self.step()
        return tokens


def fastest_attention(like: Transformer, batches: Iterable[Batch], precision: str, seconds: float) -> str:
    """Find out which attention MarianMT trains faster with: for short sentences it need not be the fused one."""
    speeds = {}
    for attention in ("sdpa", "eager"):
        training = MarianTraining(like, batches, precision, attention)
        training.step()
        start = now()
        tokens = training.train(seconds)
        speeds[attention] = tokens / (now() - start)
    return max(speeds, key=lambda attention: speeds[attention])


def endless(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Begin a new epoch whenever one ends."""
    while True:
        yield from batches


def m2m100(ours: Transformer) -> Any:
    """Put our weights into M2M100, which is pre-norm and has a bias wherever we have one."""
    config = M2M100Config(**sizes_of(ours), max_position_embeddings=1024)
    config._attn_implementation = "sdpa"
    theirs: Any = M2M100ForConditionalGeneration(config)
    attention = {"w_q": "q_proj", "w_k": "k_proj", "w_v": "v_proj", "w_o": "out_proj"}
    names = {"feed_forward.expand": "fc1", "feed_forward.contract": "fc2"}
    names |= {f"self_attention.{a}": f"self_attn.{b}" for a, b in attention.items()}
    names |= {f"cross_attention.{a}": f"encoder_attn.{b}" for a, b in attention.items()}
    norms = {
        "encoder": ("self_attn_layer_norm", "final_layer_norm"),
        "decoder": ("self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm"),
    }
    weights = {"model.shared.weight": ours.embedding.weight}
    for path, parameter in ours.named_parameters():
        side, _, rest = path.partition(".")
        if side in ("encoder_norm", "decoder_norm"):
            weights[f"model.{side.removesuffix('_norm')}.layer_norm.{rest}"] = parameter
        elif side in norms:
            number, inner = rest.split(".", 1)
            module, _, kind = inner.rpartition(".")
            if module.startswith("residuals."):
                module = norms[side][int(module.split(".")[1])]
            weights[f"model.{side}.layers.{number}.{names.get(module, module)}.{kind}"] = parameter
    missing, unexpected = theirs.load_state_dict(weights, strict=False)
    tied = {"model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight"}
    if set(missing) - tied or unexpected:
        raise RuntimeError(f"M2M100 of this version names its weights otherwise: {missing}, {unexpected}")
    theirs.tie_weights()
    for side in (theirs.model.encoder, theirs.model.decoder):
        table = side.embed_positions
        first = PAD + 1  # where it looks the first position up
        table.weights[first:] = sinusoids(len(table.weights) - first, config.d_model)
    return theirs.to(device()).eval()


class M2M100Translation:
    """Our weights in M2M100: text in, text out."""

    def __init__(self, ours: Transformer, tokenizer: Tokenizer, precision: str) -> None:
        """Args: ours; tokenizer, ours; precision, `float32` or `bfloat16`."""
        self.model, self.tokenizer = m2m100(ours).to(getattr(torch, precision)), tokenizer

    def translate(self, texts: Sequence[str], batch_tokens: int, beam_size: int, length_penalty: float) -> list[str]:
        """Translate sentences; see `generate`."""
        return generate(self.model, self.tokenizer, texts, beam_size, length_penalty, batch_tokens)


@torch.inference_mode()
def generate(
    model: Any, tokenizer: Tokenizer, texts: Sequence[str], beam_size: int, length_penalty: float, batch_tokens: int
) -> list[str]:
    """Translate with Hugging Face's `generate`, sentences of like length together.

    Args:
        model: of Hugging Face.
        tokenizer: ours.
        texts: sentences.
        beam_size: 1 is greedy.
        length_penalty: power of the length that a score is divided by.
        batch_tokens: padded source tokens in a batch.
    """
    ids = tokenizer.encode(texts)
    lengths = np.array([len(row) for row in ids])
    found = [""] * len(texts)
    for rows in group_by_length(lengths, lengths, batch_tokens, seed=[1]):
        src = pad([ids[i] for i in rows]).to(device())
        settings = GenerationConfig(
            num_beams=beam_size,
            do_sample=False,
            max_new_tokens=max_length(src.size(1)),
            pad_token_id=PAD,
            bos_token_id=BOS,
            eos_token_id=EOS,
            decoder_start_token_id=BOS,
            **({"length_penalty": length_penalty, "early_stopping": True} if beam_size > 1 else {}),
        )
        output = model.generate(src, attention_mask=(src != PAD).long(), generation_config=settings)
        for i, text in zip(rows, tokenizer.decode(output.tolist()), strict=True):
            found[i] = text
    return found
