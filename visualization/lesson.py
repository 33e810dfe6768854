"""The lesson: one attention from its inputs to its output, step by step, as one HTML file with the model's numbers."""

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from errors import UserError
from model import MultiHeadAttention, Transformer
from model.transformer import Residual
from translation.maps import MODULES, Kind
from translation.scoring import forced_pass
from visualization.sentence import SentenceMaps
from visualization.template import fill


class Call(NamedTuple):
    """First argument and result of a module's last call."""

    input: Tensor
    output: Tensor


def lesson(model: Transformer, maps: SentenceMaps, kind: Kind = "encoder_self", layer: int = 0) -> str:
    """Return an HTML page that computes one attention of a sentence step by step.

    The page holds the inputs of that attention and the values that the model computes from them in one forward pass.
    It computes every step again from the inputs alone, and shows how far its values are from those of the model.

    Args:
        model: the network; its mode and its weights are not changed.
        maps: of the sentence; the page shows its texts, ids and tokens.
        kind: of attention.
        layer: of the encoder or decoder, from 0.

    Returns:
        HTML. Its size is 0.1 MB, 21 d_model² bytes for the four matrices, and 50 d_model bytes for each token: 0.5 MB
        for a short sentence and d_model 128, 1.7 MB for 256, 3 MB for 350, 6 MB for 512.

    Raises:
        UserError: the layer does not exist.

    Source: Vaswani et al. 2017, "Attention Is All You Need", sections 3.1 to 3.5.
    """
    attention_path, residual_path = module_paths(model, kind, layer)
    attention = cast(MultiHeadAttention, model.get_submodule(attention_path))
    residual = cast(Residual, model.get_submodule(residual_path))
    projections = {name: getattr(attention, name) for name in ("w_q", "w_k", "w_v", "w_o")}
    with record_calls({"residual": residual, "norm": residual.norm, **projections}) as calls:
        _, weights_by_path, _ = forced_pass(model, maps.source_ids, maps.decoder_output_ids)

    weights = weights_by_path[attention_path][0]  # (H, T, S)
    visible = torch.ones(weights.shape[1:])  # (T, S), 1 means "may attend"
    source: dict[str, Any] = {"ids": maps.source_ids, "tokens": maps.source_tokens}
    decoder_input: dict[str, Any] = {"ids": maps.decoder_input_ids, "tokens": maps.decoder_input_tokens}
    queries = source if kind == "encoder_self" else decoder_input
    # The first self-attention reads embeddings plus positions, which the page computes itself.
    is_first = layer == 0 and kind != "cross"
    x = calls["residual"].input[0]  # (T, C), input of the sub-layer before any layer norm
    embedding = model.embedding.weight[queries["ids"]]  # (T, C)
    inputs = {
        **({"embedding": to_base64(embedding)} if is_first else {"x": to_base64(x)}),
        **({"context": to_base64(calls["w_k"].input[0])} if kind == "cross" else {}),
        "scale": to_base64(residual.norm.weight),
        "shift": to_base64(residual.norm.bias),
        **parameters(projections),
    }
    computed = {
        **({"x": to_base64(x)} if is_first else {}),
        **({"norm": to_base64(calls["norm"].output[0])} if residual.pre else {}),
        "q": to_base64(calls["w_q"].output[0]),
        "k": to_base64(calls["w_k"].output[0]),
        "v": to_base64(calls["w_v"].output[0]),
        "weights": to_base64(weights),
        "heads": to_base64(calls["w_o"].input[0]),
        "output": to_base64(calls["w_o"].output[0]),
        "result": to_base64(calls["residual"].output[0]),
    }
    data = {
        "source": maps.source,
        "translation": maps.translation,
        "kind": kind,
        "layer": layer,
        "n_layers": len(getattr(model, MODULES[kind][0])),
        "n_heads": attention.n_heads,
        "vocab_size": model.config.vocab_size,
        "norm": model.config.norm,
        "eps": residual.norm.eps,
        "queries": queries,
        "keys": decoder_input if kind == "decoder_self" else source,
        "predicted": [] if kind == "encoder_self" else maps.decoder_output_tokens,  # by each row of the decoder
        "mask": (visible.tril() if kind == "decoder_self" else visible).int().tolist(),
        "inputs": inputs,
        "model": computed,
    }
    return fill("lesson.html", data)


def module_paths(model: Transformer, kind: Kind, layer: int) -> tuple[str, str]:
    """Return the module paths of one attention and of the residual connection around it.

    Raises:
        UserError: the layer does not exist.
    """
    side, name = MODULES[kind]
    n_layers = len(getattr(model, side))
    if not 0 <= layer < n_layers:
        raise UserError(f"--layer {layer} does not exist: the {side} of this model has layers 0 to {n_layers - 1}")
    return f"{side}.{layer}.{name}", f"{side}.{layer}.residuals.{1 if kind == 'cross' else 0}"


@contextmanager
def record_calls(modules: dict[str, nn.Module]) -> Iterator[dict[str, Call]]:
    """Yield a dictionary that holds the last call of each module inside the `with` block, by its name."""
    calls: dict[str, Call] = {}

    def recorder(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
            calls[name] = Call(args[0], output)

        return hook

    handles = [module.register_forward_hook(recorder(name)) for name, module in modules.items()]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def parameters(projections: dict[str, nn.Linear]) -> dict[str, dict[str, Any]]:
    """Return matrices `w_*` as in the paper's X W, (in, out), and biases `b_*`."""
    matrices = {name: to_base64(linear.weight.T) for name, linear in projections.items()}
    biases = {name.replace("w", "b"): to_base64(linear.bias) for name, linear in projections.items()}
    return matrices | biases


def to_base64(values: Tensor) -> dict[str, Any]:
    """Return a tensor without loss as JSON: its shape, and little-endian float32 in base64."""
    raw = values.detach().float().cpu().contiguous().numpy().astype("<f4").tobytes()
    return {"shape": list(values.shape), "float32": base64.b64encode(raw).decode()}
