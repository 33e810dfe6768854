"""What the hardware computes fast."""

import torch


def has_bf16_matmul(device_type: str) -> bool:
    """Return whether a kind of device (`cpu`, `cuda`, ...) has instructions for bfloat16 matmuls.

    Without them, a CPU with AVX2 needs 4 to 12 times as long for a bfloat16 matmul as for a float32 matmul.
    """
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    features = torch.cpu.get_capabilities()
    return device_type == "cpu" and bool(features.get("avx512_bf16") or features.get("amx_bf16"))


def choose_precision(precision: str, accelerator: str = "auto") -> str:
    """Return Lightning's name of a precision; `auto` is bfloat16 where the hardware has it, and float32 elsewhere.

    Args:
        precision: `auto`, or any precision of Lightning, which is returned as it is.
        accelerator: Lightning's `accelerator`.
    """
    if precision != "auto":
        return precision
    device_type = "cuda" if torch.cuda.is_available() and accelerator != "cpu" else "cpu"
    return "bf16-mixed" if has_bf16_matmul(device_type) else "32-true"
