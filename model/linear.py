"""The product of a layer, by whichever of PyTorch's two libraries is faster for it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WORTH_A_CALL = 1_000_000  # multiplications; a call of oneDNN costs 10 µs more than one of MKL

# PyTorch multiplies float32 with MKL, which leaves half of the vector width idle on a processor that is not Intel's.
# oneDNN, which it takes for bfloat16, does not: twice the rate in the layers, four times in the output projection.
HAS_WIDE_VECTORS = torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability() == "AVX512"


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (..., C), weight (M, C), bias (M,) -> x weightᵀ + bias (..., M)."""
    if (
        HAS_WIDE_VECTORS
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and x.numel() * len(weight) > WORTH_A_CALL
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
    ):
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return F.linear(x, weight, bias)


class Linear(nn.Linear):
    """A layer's matrix and bias."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) -> (..., out_features)."""
        return linear(x, self.weight, self.bias)
