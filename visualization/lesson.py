"""A lesson on one attention, step by step, with the model's own numbers: one HTML file."""

import base64
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from errors import UserError
from maps.sentence import Kind, SentenceMaps, forced_pass
from maps.template import fill
from model import Transformer
from model.attention import MultiHeadAttention
from model.transformer import Residual

Call = tuple[dict[str, Any], Tensor]  # what a module was given, by argument name, and what it returned


def lesson(model: Transformer, maps: SentenceMaps, kind: Kind = "encoder_self", layer: int = 0) -> str:
    """Let a newcomer follow one attention from its input to its output, and check every number on the way.

    The page holds the inputs of that attention and what the model made of them in one forward pass of its own. It
    computes every step anew from the inputs alone and shows how far the model's values are from its own.

    Args:
        model: the network; its mode and its weights are left as they were.
        maps: of the sentence that is followed; its texts, ids and pieces are shown.
        kind: which attention.
        layer: which layer of the encoder or decoder, from 0.

    Returns:
        HTML. Its size is 0.1 MB, 21 d_model² bytes for the four matrices, and 50 d_model bytes a piece: 0.5 MB for a
        short sentence and d_model 128, 1.7 MB for 256, 3 MB for 350, 6 MB for 512.

    Raises:
        UserError: the layer does not exist.

    Source: Vaswani et al. 2017, "Attention Is All You Need", sections 3.1 to 3.5.
    """
    path, around = find(model, kind, layer)
    attention = cast(MultiHeadAttention, model.get_submodule(path))
    residual = cast(Residual, model.get_submodule(around))
    modules = {
        "residual": residual,
        "norm": residual.norm,
        "attention": attention,
        **{name: getattr(attention, name) for name in ("w_q", "w_k", "w_v", "w_o")},
    }
    with calls(modules) as seen:
        _, found, _ = forced_pass(model, maps.source_ids, maps.decoder_output_ids)

    weights = found[path][0]  # (H, T, S)
    mask = seen["attention"][0].get("mask")
    visible = torch.ones_like(weights[0], dtype=torch.bool) if mask is None else mask.expand(1, 1, *weights.shape[1:])
    x = seen["residual"][0]["x"][0]  # (T, C), before any norm of this sub-layer
    first = layer == 0 and kind != "cross"  # what enters here is embedding and position, which the page can compute
    source: dict[str, Any] = {"ids": maps.source_ids, "pieces": maps.source_tokens}
    read: dict[str, Any] = {"ids": maps.decoder_input_ids, "pieces": maps.decoder_input_tokens}
    queries = source if kind == "encoder_self" else read
    inputs = {
        **({"embedding": array(model.embedding.weight[queries["ids"]])} if first else {"x": array(x)}),
        **({"context": array(seen["w_k"][0]["x"][0])} if kind == "cross" else {}),
        "scale": array(residual.norm.weight),
        "shift": array(residual.norm.bias),
    }
    for name in ("w_q", "w_k", "w_v", "w_o"):
        linear = getattr(attention, name)
        inputs[name] = array(linear.weight.T)  # as the paper writes it, X W: (in, out)
        inputs[name.replace("w", "b")] = array(linear.bias)
    made = {
        **({"x": array(x)} if first else {}),
        **({"norm": array(seen["norm"][1][0])} if residual.pre else {}),
        **{name[2:]: array(seen[name][1][0]) for name in ("w_q", "w_k", "w_v")},
        "weights": array(weights),
        "heads": array(seen["w_o"][0]["x"][0]),
        "output": array(seen["w_o"][1][0]),
        "result": array(seen["residual"][1][0]),
    }
    data = {
        "source": maps.source,
        "translation": maps.translation,
        "kind": kind,
        "layer": layer,
        "n_layers": len(model.encoder if kind == "encoder_self" else model.decoder),
        "n_heads": attention.n_heads,
        "vocab_size": model.embedding.num_embeddings,
        "norm": "pre" if residual.pre else "post",
        "eps": residual.norm.eps,
        "queries": queries,
        "keys": read if kind == "decoder_self" else source,
        "predicted": [] if kind == "encoder_self" else maps.decoder_output_tokens,  # by each row of the decoder
        "mask": visible.reshape(weights.shape[1:]).int().tolist(),  # 1 means "may attend"
        "inputs": inputs,
        "model": made,
    }
    return fill("lesson.html", data)


def find(model: Transformer, kind: Kind, layer: int) -> tuple[str, str]:
    """Find one attention and the residual connection around it: their paths in the model.

    Raises UserError where there is no such layer.
    """
    side = "encoder" if kind == "encoder_self" else "decoder"
    n_layers = len(getattr(model, side))
    if not 0 <= layer < n_layers:
        raise UserError(f"--layer {layer} does not exist: the {side} of this model has the layers 0 to {n_layers - 1}")
    name, place = ("cross_attention", 1) if kind == "cross" else ("self_attention", 0)
    return f"{side}.{layer}.{name}", f"{side}.{layer}.residuals.{place}"


@contextmanager
def calls(modules: dict[str, nn.Module]) -> Iterator[dict[str, Call]]:
    """Keep the last call of each module that is made inside the `with` block, under the module's name."""
    seen: dict[str, Call] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> None:
            seen[name] = inspect.signature(module.forward).bind(*args, **kwargs).arguments, output

        return hook

    handles = [module.register_forward_hook(keep(name), with_kwargs=True) for name, module in modules.items()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def array(values: Tensor) -> dict[str, Any]:
    """Write numbers so that a page reads them without loss: shape, and little-endian float32 as base64."""
    raw = values.detach().float().cpu().contiguous().numpy().astype("<f4").tobytes()
    return {"shape": list(values.shape), "float32": base64.b64encode(raw).decode()}
