"""Changes of single attention heads, made from outside by hooks: the layers have no flag for them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Literal

from torch import Tensor, nn

from errors import UserError
from model.attention import MultiHeadAttention, layers_of

# What happens to a head: its output becomes zero, its weights become uniform, or its output is replaced by a tensor.
Change = Literal["off", "uniform"] | Tensor


@contextmanager
def intervene(model: nn.Module, changes: Mapping[str, Mapping[int, Change]]) -> Iterator[None]:
    """Change attention heads inside the `with` block.

    `with intervene(model, {"encoder.0.self_attention": {2: "off"}}):` switches one head off. The changes apply to
    forward passes and to decoding steps, so to a search, too. Outside the block the model is as it was. A model that
    `torch.compile` compiled before the block may not see the changes.

    Args:
        model: any module that contains `MultiHeadAttention` layers.
        changes: by module path, as `attention_maps` names the layers, and by head, from 0:

            - `"off"`: the output of the head is zero.
            - `"uniform"`: the head has the same weight on every key that the mask allows.
            - a tensor: the output of the head is replaced, for example by its output for another sentence of as many
              tokens, which `head_outputs` records. Shape (T, D) for every sentence of the batch, or (B, T, D). A
              decoding step computes one token (self-attention) or K hypotheses (cross-attention) and no whole
              sentence, so only heads of the encoder can be patched in a search.

    Raises:
        UserError: a layer or head does not exist, a change is unknown, a replaced output has another shape, or a search
            uses a head of the decoder whose output is replaced.

    Source of patching: Vig et al. 2020, "Investigating Gender Bias in Language Models Using Causal Mediation Analysis".
    """
    # All changes are checked before the first hook is registered.
    hooks = [
        register
        for path, heads in changes.items()
        for head, change in heads.items()
        for register in hooks_of(find_layer(model, path), path, head, change)
    ]
    with ExitStack() as handles:
        for register in hooks:
            handles.callback(register().remove)
        yield


@contextmanager
def head_outputs(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Record the output of every head in forward passes inside the `with` block, before the projection W_O.

    A second forward pass overwrites the outputs of the first.

    Yields:
        A dictionary from module path (`encoder.0.self_attention`) to outputs (B, H, T, D).
    """
    outputs: dict[str, Tensor] = {}

    def record(path: str, layer: MultiHeadAttention, _: nn.Module, args: tuple[Any, ...]) -> None:
        outputs[path] = layer.split_heads(args[0]).detach()  # (B, H, T, D)

    handles = [
        layer.w_o.register_forward_pre_hook(partial(record, path, layer)) for path, layer in layers_of(model).items()
    ]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def find_layer(model: nn.Module, path: str) -> MultiHeadAttention:
    """Return one attention layer.

    Raises:
        UserError: it does not exist; the message names those that do.
    """
    layers = layers_of(model)
    if path not in layers:
        raise UserError(f"attention layer {path!r} does not exist: the model has {', '.join(layers)}")
    return layers[path]


def hooks_of(layer: MultiHeadAttention, path: str, head: int, change: Change) -> list[Callable[[], Any]]:
    """Return functions each of which registers one hook of a change and returns its handle.

    The input of `w_o` is the concatenation of the heads' outputs, where a head is switched off or patched. The output
    of `w_q` is the concatenation of their queries: a query of zero has the same score, zero, with every key, and the
    softmax of equal scores is uniform over what the mask allows.

    Raises:
        UserError: the head does not exist, or the change is unknown.
    """
    if not 0 <= head < layer.n_heads:
        raise UserError(f"{path} has no head {head}: it has heads 0 to {layer.n_heads - 1}")
    if isinstance(change, Tensor):
        width = layer.w_o.in_features // layer.n_heads
        if change.dim() not in (2, 3) or change.size(-1) != width:
            shapes = f"(T, {width}) or (B, T, {width})"
            raise UserError(f"{path}, head {head}: a replaced output has shape {shapes}, not {tuple(change.shape)}")
    elif change not in ("off", "uniform"):
        raise UserError(f"{path}, head {head}: {change!r} is not a change: give 'off', 'uniform' or a tensor")

    def replace(concatenated: Tensor, value: Tensor | float) -> Tensor:
        """Return (B, T, C) with the D columns of the head replaced."""
        heads = concatenated.unflatten(-1, (layer.n_heads, -1)).clone()  # (B, T, H, D)
        heads[:, :, head] = value
        return heads.flatten(-2)

    def of_queries(_: nn.Module, __: tuple[Any, ...], queries: Tensor) -> Tensor:
        return replace(queries, 0.0)

    def of_outputs(_: nn.Module, args: tuple[Any, ...]) -> tuple[Tensor]:
        return (replace(args[0], 0.0),)

    if isinstance(change, Tensor):
        return patch_hooks(layer, f"{path}, head {head}", change, replace)
    if change == "uniform":
        return [partial(layer.w_q.register_forward_hook, of_queries)]
    return [partial(layer.w_o.register_forward_pre_hook, of_outputs)]


def patch_hooks(
    layer: MultiHeadAttention, name: str, patch: Tensor, replace: Callable[[Tensor, Tensor], Tensor]
) -> list[Callable[[], Any]]:
    """Return functions that register the hooks of one replaced output.

    Args:
        layer: the attention layer.
        name: of the head, in messages.
        patch: (T, D) or (B, T, D).
        replace: puts a patch into concatenated outputs (B, T, C).
    """
    # A decoding step calls `attend` alone, and so no hook of the layer itself.
    in_forward: list[bool] = []

    def enter(*_: Any) -> None:
        in_forward.append(True)

    def leave(*_: Any) -> None:
        in_forward.clear()

    def of_outputs(_: nn.Module, args: tuple[Any, ...]) -> tuple[Tensor]:
        n_sentences, n_queries = args[0].shape[:2]
        if not in_forward:
            raise UserError(
                f"{name}: a step of the search computes no whole sentence of the decoder, so that only heads of the "
                "encoder can be replaced"
            )
        if patch.size(-2) != n_queries:
            raise UserError(f"{name}: the replaced output has {patch.size(-2)} tokens, the sentence {n_queries}")
        if patch.dim() == 3 and len(patch) not in (1, n_sentences):
            raise UserError(f"{name}: the replaced output has {len(patch)} sentences, the batch {n_sentences}")
        return (replace(args[0], patch.to(args[0])),)

    return [
        partial(layer.register_forward_pre_hook, enter),
        partial(layer.w_o.register_forward_pre_hook, of_outputs),
        partial(layer.register_forward_hook, leave, always_call=True),
    ]
