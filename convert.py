"""Hand a model to CTranslate2: `python -m convert --checkpoint FILE --output DIR`."""

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from data import Tokenizer
from errors import UserError, one_sentence
from model.attention import MultiHeadAttention
from model.transformer import FeedForward, Residual, sinusoids
from translate import Translator, newest_checkpoint

# CTranslate2 looks positions up in a table and fails beyond its end; this is also its own default limit of a source.
POSITIONS = 1024


def convert(translator: Translator, output: Path) -> None:
    """Write a CTranslate2 model, so that programs without PyTorch can translate with the same weights.

    Args:
        translator: weights and tokenizer.
        output: folder to make, which gets `model.bin`, `config.json`, `shared_vocabulary.json` and the tokenizer as
            `sentencepiece.model`. Whole or not at all: what stood there goes only when the new one is complete.

    Raises:
        UserError: CTranslate2 is not installed, or cannot hold this model.
    """
    spec = specification(translator.model, translator.tokenizer)
    try:
        spec.validate()
        spec.optimize()
    except (ValueError, NotImplementedError) as error:
        raise UserError(f"this checkpoint cannot be held by CTranslate2: {str(error).splitlines()[0]}") from error
    with tempfile.TemporaryDirectory(dir=output.resolve().parent, prefix=f".{output.name}.") as part:
        folder = Path(part) / output.name
        folder.mkdir()
        spec.save(str(folder))
        (folder / "sentencepiece.model").write_bytes(translator.tokenizer.model)
        if output.exists():
            shutil.rmtree(output)
        folder.replace(output)


def specification(model: Any, tokenizer: Tokenizer) -> Any:
    """Name every weight of a `Transformer` as CTranslate2 does; returns its `TransformerSpec`.

    Raises UserError where CTranslate2 is not installed.
    """
    try:
        from ctranslate2.specs import TransformerSpec
    except ModuleNotFoundError as error:
        raise UserError("CTranslate2 is not installed: `uv sync --group bench` or `pip install ctranslate2`") from error
    pre_norm = isinstance(model.encoder_norm, nn.LayerNorm)
    spec = TransformerSpec.from_config((len(model.encoder), len(model.decoder)), model.n_heads, pre_norm=pre_norm)

    positions = sinusoids(POSITIONS, model.embedding.embedding_dim)
    spec.encoder.embeddings[0].weight = spec.decoder.embeddings.weight = held(model.embedding.weight)
    spec.decoder.projection.weight = held(model.embedding.weight)
    spec.encoder.position_encodings.encodings = spec.decoder.position_encodings.encodings = held(positions)
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

    pieces = tokenizer.pieces(range(len(tokenizer)))
    spec.register_source_vocabulary(pieces)
    spec.register_target_vocabulary(pieces)
    spec.config.bos_token = spec.config.decoder_start_token = pieces[tokenizer.processor.bos_id()]
    spec.config.eos_token = pieces[tokenizer.processor.eos_id()]
    spec.config.unk_token = pieces[tokenizer.processor.unk_id()]
    spec.config.add_source_eos = True  # as the encoder was trained
    return spec


def held(weight: Tensor) -> Any:
    """Copy a weight to where CTranslate2 reads it: float32, on the CPU."""
    return weight.detach().float().cpu().contiguous().numpy()


def set_linear(spec: Any, *layers: nn.Linear) -> None:
    """Stack projections of the same input, which CTranslate2 computes as one."""
    spec.weight = held(torch.cat([layer.weight for layer in layers]))
    spec.bias = held(torch.cat([layer.bias for layer in layers]))


def set_norm(spec: Any, norm: nn.LayerNorm) -> None:
    """Copy scale and shift."""
    spec.gamma, spec.beta = held(norm.weight), held(norm.bias)


def set_attention(spec: Any, attention: MultiHeadAttention, residual: Residual) -> None:
    """Copy an attention: all of q, k, v in one matrix if it asks itself, k and v in one if it asks another sequence."""
    q, k, v, o = attention.w_q, attention.w_k, attention.w_v, attention.w_o
    groups = [(q, k, v), (o,)] if len(spec.linear) == 2 else [(q,), (k, v), (o,)]
    for linear, layers in zip(spec.linear, groups, strict=True):
        set_linear(linear, *layers)
    set_norm(spec.layer_norm, residual.norm)


def set_feed_forward(spec: Any, feed_forward: FeedForward, residual: Residual) -> None:
    """Copy a feed-forward layer."""
    set_linear(spec.linear_0, feed_forward.expand)
    set_linear(spec.linear_1, feed_forward.contract)
    set_norm(spec.layer_norm, residual.norm)


def main(arguments: Sequence[str] | None = None) -> None:
    """Convert one checkpoint."""
    parser = argparse.ArgumentParser(prog="python -m convert", description=__doc__)
    parser.add_argument(
        "--checkpoint", type=Path, help="file of a trained model (default: the newest runs/*/best.ckpt)"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder to make")
    parser.add_argument("--force", action="store_true", help="replace the folder if it exists")
    flags = parser.parse_args(arguments)
    if flags.output.exists() and not flags.force:
        raise UserError(f"--output {flags.output} exists: choose another folder, or replace it by --force")
    if flags.output.exists() and not (flags.output / "model.bin").is_file():
        raise UserError(f"--output {flags.output} holds no CTranslate2 model, so --force does not replace it")
    if not flags.output.resolve().parent.is_dir():
        raise UserError(f"--output {flags.output}: its parent folder does not exist")
    convert(Translator.load(flags.checkpoint or newest_checkpoint(), device="cpu"), flags.output)


if __name__ == "__main__":
    with one_sentence():
        main()
