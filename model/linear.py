"""The product of a layer, by whichever of PyTorch's two libraries is faster for it."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# PyTorch multiplies float32 with MKL, which leaves half of the vector width idle on a processor that is not Intel's.
# oneDNN does not; and it need not lay a matrix out for its vectors at each call, where that was done beforehand.
HAS_WIDE_VECTORS = torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability() == "AVX512"


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (..., C), weight (M, C), bias (M,) -> x weightᵀ + bias (..., M)."""
    if not hasattr(weight, "packed") or torch.is_grad_enabled():
        return F.linear(x, weight, bias)
    if weight.packed is None:
        weight.packed = torch.ops.mkldnn._reorder_linear_weight(weight)
    return torch.ops.mkldnn._linear_pointwise.default(x, weight.packed, bias, "none", [], "")


class Linear(nn.Linear):
    """A layer's matrix and bias."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) -> (..., out_features)."""
        return linear(x, self.weight, self.bias)


def linears(x: Tensor, layers: Sequence[Linear]) -> Sequence[Tensor]:
    """Apply several layers to the same x: (..., in_features) -> (..., out_features) each.

    One product of all their matrices, where they are packed: a call takes longer than a small product.
    """
    weight = layers[0].weight
    if not hasattr(weight, "packed") or torch.is_grad_enabled():
        return [layer(x) for layer in layers]
    if weight.joint is None:
        weight.joint = torch.cat([layer.weight for layer in layers]), torch.cat([layer.bias for layer in layers])
        weight.joint[0].packed = None
    return linear(x, *weight.joint).split([layer.out_features for layer in layers], dim=-1)


def pack(model: nn.Module) -> None:
    """Have the matrices of a model that learns no more laid out for this processor, where that makes it faster.

    A product is then up to three times faster for few rows, twice for many. Each matrix is laid out when it is first
    needed; what is changed in the weights later has no effect on products outside of training. Copies of the model are
    not packed.
    """
    if HAS_WIDE_VECTORS:
        for weight in model.parameters():
            if weight.ndim == 2 and weight.device.type == "cpu":
                weight.packed = weight.joint = None  # type: ignore[attr-defined]
