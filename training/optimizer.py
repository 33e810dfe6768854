"""The optimizer: Muon and AdamW by parameter groups."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer
from torch.optim.adamw import adamw

from model import Transformer
from training.hardware import has_bf16_matmul

MOMENTUM = 0.95  # of Muon
ITERATIONS = 4  # of Muon's orthogonalisation; a fifth, which is usual, did not improve BLEU
LINEAR, CUBIC, QUINTIC = 3.4445, -4.7750, 2.0315  # coefficients of its polynomial, chosen by Jordan et al.
BETA_1, BETA_2 = 0.9, 0.98  # of Adam (Vaswani et al. 2017, section 5.3)


class MuonAdamW(Optimizer):
    """Muon or AdamW, by parameter group; an update whose gradients are not all finite changes no weight and no state.

    Muon is momentum whose update is replaced by the nearest orthogonal matrix, so that no direction dominates the
    update (Jordan et al. 2024). That suits matrices that map activations to activations. AdamW, here without weight
    decay, updates embeddings, layer norms and biases.

    Whether the gradients are finite is a tensor on their device, which multiplies each update by 0 or 1. A Python `if`
    would make a GPU wait for the host at every step.

    Args:
        groups: parameter groups {"params", "lr", "method"}, with method `muon` or `adamw`; for `adamw`, "eps" too.

    Attributes:
        skipped: number of updates that were skipped, a tensor ().
        skipped_in_a_row: number of updates that were skipped since the last one that was not, a tensor ().
    """

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        # `fused` makes `load_state_dict` keep AdamW's step counts in float32 on the parameter's device.
        super().__init__(groups, {"fused": True})
        device = self.param_groups[0]["params"][0].device
        self.matmul_dtype = torch.bfloat16 if has_bf16_matmul(device.type) else torch.float32
        self.skipped = torch.zeros((), dtype=torch.long, device=device)
        self.skipped_in_a_row = torch.zeros((), dtype=torch.long, device=device)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Update all weights once; parameters without a gradient stay as they are."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        updated = [(group, [p for p in group["params"] if p.grad is not None]) for group in self.param_groups]
        # A norm is finite if and only if all its terms are (and their squares do not overflow).
        norm = get_total_norm([p.grad for _, parameters in updated for p in parameters])
        finite = norm.isfinite()  # (), on the device
        for group, parameters in updated:
            update = self._muon if group["method"] == "muon" else self._adamw
            update(parameters, group, finite)
        self.skipped += ~finite
        self.skipped_in_a_row.add_(1).mul_(~finite)
        return loss

    def _muon(self, matrices: list[Tensor], group: dict[str, Any], finite: Tensor) -> None:
        """Update matrices by the orthogonalised momentum of their gradients."""
        for matrix in matrices:
            state = self.state[matrix]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(matrix)
            momentum = state["momentum_buffer"]
            gradient = torch.where(finite, matrix.grad, 0)  # type: ignore[arg-type]  # 0 times NaN would be NaN
            factor = finite.to(matrix.dtype)  # 0 or 1
            momentum.lerp_(gradient, (1 - MOMENTUM) * factor)
            look_ahead = gradient.lerp(momentum, MOMENTUM)  # Nesterov
            direction = orthogonalise(look_ahead, self.matmul_dtype)
            # An orthogonal matrix with M rows and C < M columns keeps the norm of its input but spreads it over more
            # numbers: their root mean square falls by √(C / M), which this factor undoes.
            scale = max(1.0, matrix.size(0) / matrix.size(1)) ** 0.5
            matrix.addcmul_(direction, factor, value=-group["lr"] * scale)

    def _adamw(self, parameters: list[Tensor], group: dict[str, Any], finite: Tensor) -> None:
        """Update parameters by PyTorch's fused AdamW, which changes nothing if `found_inf` is 1."""
        if finite.device.type not in ("cpu", "cuda") and not finite:  # other devices ignore `found_inf`
            return
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
                state["exp_avg"] = torch.zeros_like(parameter)
                state["exp_avg_sq"] = torch.zeros_like(parameter)
        states = [self.state[parameter] for parameter in parameters]
        adamw(
            parameters,
            [parameter.grad for parameter in parameters],  # type: ignore[misc]
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            found_inf=(~finite).to(torch.float32),
            amsgrad=False,
            beta1=BETA_1,
            beta2=BETA_2,
            lr=group["lr"],
            weight_decay=0.0,
            eps=group["eps"],
            maximize=False,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the state of all parameters, the groups, and the counts of skipped updates."""
        return super().state_dict() | {"skipped": self.skipped, "skipped_in_a_row": self.skipped_in_a_row}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        super().load_state_dict(state_dict)
        self.skipped = state_dict["skipped"].to(self.skipped.device, copy=True)
        self.skipped_in_a_row = state_dict["skipped_in_a_row"].to(self.skipped.device, copy=True)


def muon_groups(model: Transformer, learning_rate: float, adamw_learning_rate: float) -> list[dict[str, Any]]:
    """Return parameter groups: Muon for the matrices of all layers, AdamW for embeddings, layer norms and biases."""
    layers = (*model.encoder, *model.decoder)
    matrices = [p for layer in layers for p in layer.parameters() if p.ndim == 2]
    of_muon = set(matrices)
    others = [p for p in model.parameters() if p not in of_muon]
    return [
        {"params": matrices, "method": "muon", "lr": learning_rate},
        {"params": others, "method": "adamw", "lr": adamw_learning_rate, "eps": 1e-8},
    ]


def adam_groups(model: Transformer, learning_rate: float) -> list[dict[str, Any]]:
    """Return one parameter group for the paper's Adam (section 5.3), which is AdamW without weight decay."""
    return [{"params": list(model.parameters()), "method": "adamw", "lr": learning_rate, "eps": 1e-9}]


def orthogonalise(matrix: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a matrix with the singular vectors of `matrix` and singular values near 1, computed by matmuls alone.

    Each iteration maps a singular value s to 3.4445 s - 4.775 s³ + 2.0315 s⁵. The large first coefficient lifts small
    singular values fast; the others bring values between 0.7 and 1.2 back into that range.

    Args:
        matrix: (M, C).
        dtype: compute dtype of the matmuls, and dtype of the result.

    Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks".
    """
    x = matrix.to(dtype)
    if x.size(0) > x.size(1):
        x = x.T  # x xᵀ is then the smaller of the two Gram matrices
    x = x / x.norm().clamp(min=1e-7)  # the Frobenius norm bounds the largest singular value, so none is above 1
    for _ in range(ITERATIONS):
        gram = x @ x.T
        higher = torch.addmm(gram, gram, gram, beta=CUBIC, alpha=QUINTIC)  # CUBIC · x xᵀ + QUINTIC · (x xᵀ)²
        x = torch.addmm(x, higher, x, beta=LINEAR)  # LINEAR · x + higher · x
    return x if x.shape == matrix.shape else x.T
