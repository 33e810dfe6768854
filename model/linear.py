"""The product of a layer, by whichever of PyTorch's two libraries is faster for it."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# PyTorch multiplies float32 with MKL, which leaves half of the vector width idle on a processor that is not Intel's.
# oneDNN does not; and it need not lay a matrix out for its vectors at each call, where that was done beforehand.
HAS_WIDE_VECTORS = torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability() == "AVX512"


class Packed:
    """A matrix laid out for oneDNN: by itself, and beside those that read the same, each when first needed."""

    alone: Tensor | None = None
    joint: tuple[Tensor, Tensor] | None = None  # weights and biases


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (..., C), weight (M, C), bias (M,) -> x weightᵀ + bias (..., M)."""
    packed = getattr(weight, "packed", None)
    if packed is None or torch.is_grad_enabled():
        return F.linear(x, weight, bias)
    if packed.alone is None:
        packed.alone = torch.ops.mkldnn._reorder_linear_weight(weight)
    return product(x, packed.alone, bias)


def product(x: Tensor, laid_out: Tensor, bias: Tensor | None) -> Tensor:
    """Multiply by a matrix that is laid out."""
    return torch.ops.mkldnn._linear_pointwise.default(x, laid_out, bias, "none", [], "")


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
    if packed.joint is None:
        weights, biases = torch.cat([y.weight for y in layers]), torch.cat([y.bias for y in layers])
        packed.joint = torch.ops.mkldnn._reorder_linear_weight(weights), biases
    return product(x, *packed.joint).split([layer.out_features for layer in layers], dim=-1)


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
