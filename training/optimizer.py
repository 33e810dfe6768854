"""How the weights move: which optimizer for which matrix, and how fast at which time."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from errors import UserError
from model.cores import run_parallel, workers
from model.linear import has_bf16_products
from model.transformer import Transformer

MOMENTUM = 0.95
STEPS = 4  # of Muon's iteration; with a fifth, which is usual, a network learns no more and an update takes longer
SLOPE, CUBIC, QUINTIC = 3.4445, -4.7750, 2.0315  # of Muon's polynomial, as Jordan et al. chose it
PERIOD = 3  # updates of which one moves a matrix


def orthogonalise(matrix: Tensor, dtype: torch.dtype) -> Tensor:
    """Bring all singular values of a matrix near 1, by products alone; its directions stay.

    Each step takes a singular value s to 3.4445 s - 4.775 s³ + 2.0315 s⁵, which lifts small ones soonest.

    Args:
        matrix: (M, C).
        dtype: of the products.

    Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks".
    """
    x = matrix.to(dtype)
    if x.size(0) > x.size(1):
        x = x.T  # of the smaller Gram matrix
    x = x / x.norm().clamp(min=1e-7)  # no singular value is above 1
    for _ in range(STEPS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=CUBIC, alpha=QUINTIC), x, beta=SLOPE)
    return x if x.shape == matrix.shape else x.T


class PeriodicMuon(Optimizer):
    """Muon that moves its matrix at every third update, and then three times as far.

    Its momentum takes every gradient, but turns slowly; to orthogonalise it at each update is most of the work.
    PyTorch's Muon multiplies in bfloat16 everywhere; here the products are of float32 where hardware is not known to
    have bfloat16 products.
    """

    def __init__(self, matrix: nn.Parameter, learning_rate: float, updates: int) -> None:
        """Args: matrix; learning_rate of one update; updates, where to start counting."""
        super().__init__([matrix], {"lr": PERIOD * learning_rate, "updates": updates})
        self.dtype = torch.bfloat16 if has_bf16_products(matrix.device.type) else torch.float

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take the gradient into the momentum; move the matrix where it is its turn."""
        (group,) = self.param_groups
        (matrix,) = group["params"]
        if matrix.grad is None:  # nothing is learned from this update
            return None
        state = self.state[matrix]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        momentum = state["momentum_buffer"].lerp_(matrix.grad, 1 - MOMENTUM)
        group["updates"] += 1
        if group["updates"] % PERIOD == 0:
            direction = orthogonalise(matrix.grad.lerp(momentum, MOMENTUM), self.dtype)  # Nesterov's look ahead
            matrix.add_(direction, alpha=-group["lr"] * max(1, matrix.size(0) / matrix.size(1)) ** 0.5)
        return None


class MuonAdamW(Optimizer):
    """Muon for the weight matrices inside the network, AdamW for embeddings, norms and biases, behind one interface.

    Muon replaces the momentum of a matrix by the nearest orthogonal matrix, so that no direction of the update
    dominates (Jordan et al. 2024); that makes sense only for matrices that map activations to activations. Each matrix
    has a Muon of its own, which one core does beside the others; at each update it is the turn of a third of them. One
    interface lets the Trainer clip, accumulate, schedule and save as with any optimizer.
    """

    def __init__(self, model: Transformer, learning_rate: float, adamw_learning_rate: float) -> None:
        layers = (*model.encoder, *model.decoder)
        matrices = [p for layer in layers for p in layer.parameters() if p.ndim == 2]
        matrices.sort(key=torch.numel, reverse=True)  # so that no core waits long for the last
        chosen = set(matrices)
        others = [p for p in model.parameters() if p not in chosen]
        self.parts: list[Optimizer] = [
            AdamW(others, lr=adamw_learning_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
            *(PeriodicMuon(matrix, learning_rate, i) for i, matrix in enumerate(matrices)),
        ]
        super().__init__([group for part in self.parts for group in part.param_groups], {})
        self._share_groups()

    def _share_groups(self) -> None:
        """Let schedulers see the very dictionaries from which the parts read their learning rates."""
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Move all weights once."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        on_cpu = self.param_groups[0]["params"][0].device.type == "cpu"
        run_parallel([part.step for part in self.parts], workers() if on_cpu else 1)
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all parts."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what `state_dict` returned.

        Raises:
            UserError: the state has other parts: another version of this class wrote it.
        """
        if len(state_dict["parts"]) != len(self.parts):
            saved = len(state_dict["parts"])
            raise UserError(
                f"--ckpt_path: the checkpoint's optimizer has {saved} parts, not {len(self.parts)}: it is of another "
                "version of this program, which can translate with it, but not train it on"
            )
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._share_groups()


def paper_adam(model: nn.Module, learning_rate: float) -> Optimizer:
    """Adam as in section 5.3 of the paper: betas 0.9 and 0.98, epsilon 1e-9, no weight decay."""
    # Not fused: Lightning clips no gradients of an optimizer that could scale them itself.
    return torch.optim.Adam(model.parameters(), lr=learning_rate, betas=(0.9, 0.98), eps=1e-9)


def linear_decay(step: int, progress: float, warmup_steps: int) -> float:
    """Rise over `warmup_steps`, then fall in a straight line to zero at progress 1; a factor of the learning rate."""
    return min(1.0, (step + 1) / max(1, warmup_steps)) * max(0.0, 1.0 - progress)


def inverse_sqrt_decay(step: int, _: float, warmup_steps: int) -> float:
    """Rise over `warmup_steps`, then fall with the root of the step (section 5.3, equation 3); 1 at the peak."""
    warmup_steps = max(1, warmup_steps)
    return min((step + 1) / warmup_steps, (warmup_steps / (step + 1)) ** 0.5)
