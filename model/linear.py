"""The product of a layer, by whichever of PyTorch's two libraries is faster for it."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# PyTorch multiplies float32 with MKL, which leaves half of the vector width idle on a processor that is not Intel's.
# oneDNN does not; and it need not lay a matrix out for its vectors at each call, where that was done beforehand.
HAS_WIDE_VECTORS = torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability() == "AVX512"


class Packed:
    """A matrix laid out for oneDNN: by itself (1), and beside others that read the same (their number)."""

    def __init__(self) -> None:
        self.layouts: dict[int, Any] = {}
        self.turn = threading.Lock()

    def get(self, n: int, lay_out: Callable[[], Any]) -> Any:
        """Return a layout, made when it is first needed."""
        if n not in self.layouts:
            with self.turn:  # several threads search with the same model
                if n not in self.layouts:
                    self.layouts[n] = lay_out()
        return self.layouts[n]


def product_dtype(x: Tensor) -> torch.dtype:
    """Return the precision in which x is multiplied: autocast's where it is on, else its own."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (..., C), weight (M, C), bias (M,) -> x weightᵀ + bias (..., M)."""
    packed = getattr(weight, "packed", None)
    if packed is None or torch.is_grad_enabled():
        return F.linear(x, weight, bias)
    return _product(x, packed.get(1, lambda: _lay_out(weight)), bias)


class Linear(nn.Linear):
    """A layer's matrix and bias."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) -> (..., out_features)."""
        return linear(x, self.weight, self.bias)


def linears(x: Tensor, layers: Sequence[Linear]) -> Sequence[Tensor]:
    """Apply several layers to the same x: (..., in_features) -> (..., out_features) each.

    One product of all their matrices, where they are packed: a call takes longer than a small product.
    """
    packed = getattr(layers[0].weight, "packed", None)
    if packed is None or len(layers) == 1 or torch.is_grad_enabled():
        return [layer(x) for layer in layers]

    def lay_out() -> tuple[Tensor, Tensor]:
        return _lay_out(torch.cat([layer.weight for layer in layers])), torch.cat([layer.bias for layer in layers])

    return _product(x, *packed.get(len(layers), lay_out)).split([layer.out_features for layer in layers], dim=-1)


def _lay_out(weight: Tensor) -> Tensor:
    return torch.ops.mkldnn._reorder_linear_weight(weight)


def _product(x: Tensor, laid_out: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise.default(x, laid_out, bias, "none", [], "")


def pack(model: nn.Module) -> None:
    """Have the matrices of a model that learns no more laid out for this processor, where that makes it faster.

    A product is then up to three times faster for few rows, twice for many. Each matrix is laid out when it is first
    needed; what is changed in the weights later has no effect on products outside of training. Copies of the model are
    not packed.
    """
    if HAS_WIDE_VECTORS:
        for weight in model.parameters():
            if weight.ndim == 2 and weight.device.type == "cpu":
                weight.packed = Packed()  # type: ignore[attr-defined]
