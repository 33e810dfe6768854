"""The product of a layer, by whichever of PyTorch's two libraries is faster for it."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# PyTorch multiplies float32 with MKL, which lays a matrix out for its vectors at each call, and where these are of 512
# bits leaves half of them idle, unless the processor is Intel's. oneDNN does neither with a matrix that was laid out
# before. With vectors of 256 bits (an AMD processor, d_model 256) laying out paid off for the output projection only:
# with other matrices MKL is as fast, though slower for the four rows of one sentence.
HAS_ONEDNN = torch.backends.mkldnn.is_available()
VECTORS = torch.backends.cpu.get_cpu_capability()
TALL = 4096  # outputs


Product = Callable[[Tensor], Tensor]  # (..., C) -> (..., M)
LayOut = Callable[[Tensor, Tensor | None], Product]  # of weight (M, C) and bias (M,)


class Packed:
    """A matrix laid out for its processor: by itself, or beside others that read the same.

    It always has the same bias, or never one.
    """

    def __init__(self, lay_out: LayOut) -> None:
        """Args: lay_out, prepares a matrix, and returns how to multiply by it."""
        self.lay_out = lay_out
        self.products: dict[int, Product] = {}  # by the number of matrices

    def __reduce__(self) -> tuple[type["Packed"], tuple[LayOut]]:
        """Send elsewhere what to do, not what was made of it."""
        return Packed, (self.lay_out,)

    def get(self, n: int, make: Callable[[LayOut], Product]) -> Product:
        """Return the product of n matrices, made when it is first needed."""
        if n not in self.products:
            self.products[n] = make(self.lay_out)  # two threads may both; the results are equal
        return self.products[n]


def has_bf16_products(kind: str) -> bool:
    """Say whether a kind of device (`cpu`, `cuda`, ...) is known to multiply bfloat16 itself.

    A processor with AVX2 alone took four to twelve times as long for it as for float32.
    """
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    features = torch.cpu.get_capabilities()
    return kind == "cpu" and bool(features.get("avx512_bf16") or features.get("amx_bf16"))


def product_dtype(x: Tensor) -> torch.dtype:
    """Return the precision in which x is multiplied: autocast's where it is on, else its own."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (..., C), weight (M, C), bias (M,) -> x weightᵀ + bias (..., M)."""
    packed = getattr(weight, "packed", None)
    if packed is None or torch.is_grad_enabled():
        return F.linear(x, weight, bias)
    return packed.get(1, lambda lay_out: lay_out(weight, bias))(x)


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

    def one_product(lay_out: LayOut) -> Product:
        return lay_out(torch.cat([layer.weight for layer in layers]), torch.cat([layer.bias for layer in layers]))

    return packed.get(len(layers), one_product)(x).split([layer.out_features for layer in layers], dim=-1)


def lay_out_for_onednn(weight: Tensor, bias: Tensor | None) -> Product:
    """Lay a matrix out for oneDNN, in its own precision."""
    laid_out = torch.ops.mkldnn._reorder_linear_weight(weight)
    return lambda x: torch.ops.mkldnn._linear_pointwise.default(x, laid_out, bias, "none", [], "")


def pack(model: nn.Module) -> None:
    """Have the matrices of a model that learns no more laid out for this processor, where that makes it faster.

    A product is then up to three times faster for few rows, twice for many. Each matrix is laid out when it is first
    needed; what is changed in the weights later has no effect on products outside of training. Copies of the model are
    not packed.
    """
    for weight in model.parameters():
        if weight.ndim == 2 and weight.device.type == "cpu" and is_faster_laid_out(weight):
            weight.packed = Packed(lay_out_for_onednn)  # type: ignore[attr-defined]


def is_faster_laid_out(weight: Tensor) -> bool:
    """Say whether this processor multiplies a matrix (M, C) sooner where oneDNN has laid it out."""
    tall = VECTORS == "AVX2" and weight.dtype == torch.float and len(weight) >= TALL
    return HAS_ONEDNN and (VECTORS == "AVX512" or tall)
