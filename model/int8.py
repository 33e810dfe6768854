"""Products of 8-bit integers, which a processor finishes sooner than those of wider numbers: for translation only."""

from functools import partial

import torch
from torch import Tensor

from errors import UserError
from model.linear import Linear, Packed, Product
from model.transformer import BOS, UNK, Transformer

LARGEST = 127  # steps on either side of zero
LARGEST_IN_16_BITS = 64  # of a weight, where the sum of two products has to fit: 2 · 255 · 64 < 2^15
ZERO = 128  # the byte that stands for 0 in what is multiplied: instructions want it unsigned, and a matrix signed
TINY = 1e-9  # in the place of zero, by which nothing can be divided
MARGIN = 1.5  # how much further a product's range reaches than what random sentences fill


def largest_weight() -> int:
    """Say how many steps a weight may count on either side of zero, so that this processor gets sums right.

    VNNI and AMX add products of bytes in 32 bits. AVX2 first adds two in 16 bits, and would cut off what is beyond.

    Returns:
        The number, 0 if the processor has no instructions for products of bytes.
    """
    features = torch.cpu.get_capabilities()
    if not torch.backends.mkldnn.is_available():
        return 0
    if any(features.get(name) for name in ("avx512_vnni", "avx_vnni", "amx_int8")):
        return LARGEST
    return LARGEST_IN_16_BITS if features.get("avx2") else 0


def pack_int8(model: Transformer) -> None:
    """Have all matrices of a model on the CPU, which learns no more, multiplied as 8-bit integers.

    A weight counts steps, `largest_weight` of which are the largest weight that makes the same output. What it is
    multiplied with counts steps of one size for each matrix, found once: so a translation depends on no other, as it
    would if the numbers of a batch chose the steps. Sums are exact integers; norms, softmax and everything else stay in
    float32.

    Raises:
        UserError: the processor has no instructions for it.

    Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", section 2.
    """
    if not largest_weight():
        raise UserError("--precision int8 needs a processor with VNNI or AVX2 instructions: choose 32")
    for weight, reach in _reaches(model).items():
        weight.packed = Packed(partial(lay_out_int8, reach=MARGIN * reach))  # type: ignore[attr-defined]


def lay_out_int8(weight: Tensor, bias: Tensor | None, reach: float) -> Product:
    """Lay out a matrix (M, C) as integers.

    Args:
        weight, bias: float32.
        reach: what lies beyond +-reach in the input of the product is taken for it.
    """
    step = max(reach, TINY) / LARGEST
    weight_steps = weight.abs().amax(dim=1).clamp(min=TINY) / largest_weight()  # (M,), of each output
    integers = (weight / weight_steps.unsqueeze(1)).round().to(torch.int8)
    laid_out = torch.ops.onednn.qlinear_prepack(integers, None)
    zeros = torch.zeros(len(weight), dtype=torch.long)

    def product(x: Tensor) -> Tensor:
        signed = x.mul(1 / step).clamp_(-LARGEST, LARGEST).round_().to(torch.int8)
        unsigned = signed.view(torch.uint8).bitwise_xor_(ZERO)  # adds 128; to bytes directly takes three times as long
        return torch.ops.onednn.qlinear_pointwise.default(
            unsigned, step, ZERO, laid_out, weight_steps, zeros, bias, 1.0, 0, torch.float, "none", [], ""
        )

    return product


@torch.inference_mode()
def _reaches(model: Transformer) -> dict[Tensor, float]:
    """Find the largest number that each matrix is multiplied with, in sentences of random pieces.

    No text is needed for it: layer norms see to it that numbers are about as large whatever a sentence says.
    """
    found: dict[Tensor, float] = {}

    def look(weight: Tensor, x: Tensor) -> None:
        found[weight] = max(found.get(weight, 0.0), x.abs().max().item())

    handles = [
        layer.register_forward_pre_hook(lambda layer, inputs: look(layer.weight, inputs[0]))
        for layer in model.modules()
        if isinstance(layer, Linear)
    ]
    n_pieces = model.embedding.num_embeddings
    ids = torch.randint(UNK + 1, n_pieces, (2, 32, 24), generator=torch.Generator().manual_seed(0))
    src, tgt = ids
    tgt[:, 0] = BOS
    try:
        look(model.embedding.weight, model.decode(tgt, *model.encode(src)))  # what is projected onto the vocabulary
    finally:
        for handle in handles:
            handle.remove()
    return found
