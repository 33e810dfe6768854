"""A checkpoint as a CTranslate2 model: a folder that the CTranslate2 engine, and other programs, translate with."""

import errno
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from ctranslate2.specs import TransformerSpec
from torch import Tensor, nn

from constants import BOS, EOS, UNK
from data.tokenizer import Tokenizer
from errors import UserError
from model import MultiHeadAttention, Transformer
from model.transformer import FeedForward, Residual
from translation.checkpoint import Checkpoint
from translation.converted import SETTINGS, TOKENIZER


def convert(checkpoint: Checkpoint, output: Path, stamp: dict[str, Any] | None = None) -> None:
    """Write a CTranslate2 model, complete or not at all; it replaces an earlier one.

    The folder holds `model.bin`, `config.json` and `shared_vocabulary.json` (CTranslate2's own), the tokenizer as
    `sentencepiece.model`, and `translator.json`.

    Args:
        checkpoint: weights, tokenizer and settings.
        output: the folder.
        stamp: identifies the checkpoint file, so that a change of it is noticed.

    Raises:
        UserError: CTranslate2 has no layers of this kind.
        OSError: the folder cannot be written, or it holds something else.
    """
    output = output.resolve()  # a symbolic link is followed, not replaced
    if output.exists() and not (output / "model.bin").is_file():
        raise FileExistsError(errno.EEXIST, "holds no CTranslate2 model, so it is not replaced", str(output))
    spec = specification(checkpoint.model, checkpoint.tokenizer)
    try:
        spec.validate()
        spec.optimize()
    except (ValueError, NotImplementedError) as error:
        raise UserError(f"CTranslate2 cannot hold this checkpoint: {str(error).splitlines()[0]}") from error
    settings = {"data": checkpoint.data, "alignment": checkpoint.alignment, "stamp": stamp}
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as part:
        folder = Path(part) / output.name
        folder.mkdir()
        spec.save(str(folder))
        (folder / TOKENIZER).write_bytes(checkpoint.tokenizer.model)
        (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        if output.exists():
            shutil.rmtree(output)
        folder.replace(output)


def specification(model: Transformer, tokenizer: Tokenizer) -> TransformerSpec:
    """Return CTranslate2's description of a Transformer, which names every weight."""
    config = model.config
    pre_norm = config.norm == "pre"
    sizes = (config.n_encoder_layers, config.n_decoder_layers)
    spec = TransformerSpec.from_config(sizes, config.n_heads, pre_norm=pre_norm)

    embedding, positions = array(model.embedding.weight), array(model.positions)
    spec.encoder.embeddings[0].weight = spec.decoder.embeddings.weight = embedding
    spec.decoder.projection.weight = embedding
    spec.encoder.position_encodings.encodings = spec.decoder.position_encodings.encodings = positions
    layer: Any
    for theirs, layer in zip(spec.encoder.layer, model.encoder, strict=True):
        set_attention(theirs.self_attention, layer.self_attention, layer.residuals[0])
        set_feed_forward(theirs.ffn, layer.feed_forward, layer.residuals[1])
    for theirs, layer in zip(spec.decoder.layer, model.decoder, strict=True):
        set_attention(theirs.self_attention, layer.self_attention, layer.residuals[0])
        set_attention(theirs.attention, layer.cross_attention, layer.residuals[1])
        set_feed_forward(theirs.ffn, layer.feed_forward, layer.residuals[2])
    if pre_norm:
        set_norm(spec.encoder.layer_norm, model.encoder_norm)
        set_norm(spec.decoder.layer_norm, model.decoder_norm)

    vocabulary = tokenizer.tokens(range(len(tokenizer)))
    spec.register_source_vocabulary(vocabulary)
    spec.register_target_vocabulary(vocabulary)
    spec.config.bos_token = spec.config.decoder_start_token = vocabulary[BOS]
    spec.config.eos_token = vocabulary[EOS]
    spec.config.unk_token = vocabulary[UNK]
    spec.config.add_source_eos = True  # as the encoder was trained
    return spec


def array(weight: Tensor) -> Any:
    """Copy a weight to a NumPy array of float32."""
    return weight.detach().float().cpu().contiguous().numpy()


def set_linear(spec: Any, *layers: nn.Linear) -> None:
    """Copy linear layers; several of the same input are stacked to one."""
    spec.weight = array(torch.cat([layer.weight for layer in layers]))
    spec.bias = array(torch.cat([layer.bias for layer in layers]))


def set_norm(spec: Any, norm: nn.Module) -> None:
    """Copy the scale and shift of a layer normalisation."""
    spec.gamma, spec.beta = array(norm.weight), array(norm.bias)  # type: ignore[arg-type]


def set_attention(spec: Any, attention: MultiHeadAttention, residual: Residual) -> None:
    """Copy an attention layer: self-attention stacks q, k and v; cross-attention stacks k and v."""
    q, k, v, o = attention.w_q, attention.w_k, attention.w_v, attention.w_o
    groups = [(q, k, v), (o,)] if len(spec.linear) == 2 else [(q,), (k, v), (o,)]
    for linear, layers in zip(spec.linear, groups, strict=True):
        set_linear(linear, *layers)
    set_norm(spec.layer_norm, residual.norm)


def set_feed_forward(spec: Any, feed_forward: FeedForward, residual: Residual) -> None:
    """Copy a feed-forward network."""
    set_linear(spec.linear_0, feed_forward.expand)
    set_linear(spec.linear_1, feed_forward.contract)
    set_norm(spec.layer_norm, residual.norm)
