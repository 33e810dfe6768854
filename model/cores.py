"""The cores of one processor: a job for each, instead of all of them in each matrix product."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Result = TypeVar("Result")
MOST = 8  # jobs at the same time; more would wait for each other, as Python runs in one thread at a time


class _Whole:
    """How many threads this process has while they are shared out, and by how many callers they are."""

    lock = threading.Lock()
    threads = callers = 0


def workers() -> int:
    """Say how many jobs the processor does at the same time, each with as many threads as the others."""
    threads = whole_threads()
    return threads // -(-threads // MOST)


def whole_threads() -> int:
    """Return the number of threads of this process, even while they are shared out."""
    with _Whole.lock:
        return _Whole.threads if _Whole.callers else torch.get_num_threads()


def run_parallel(jobs: Sequence[Callable[[], Result]], at_once: int) -> list[Result]:
    """Do jobs, so many at the same time, under the caller's autocast; return their results in order.

    Each has its share of the threads of this process, even where there are fewer jobs: threads that share the products
    of a small network wait for each other.
    """
    enabled, dtype = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")
    cache = torch.is_autocast_cache_enabled()

    def do(job: Callable[[], Result]) -> Result:
        with torch.autocast("cpu", dtype, enabled, cache):  # which a thread does not inherit
            return job()

    with _shared_out(at_once) as share:
        if min(len(jobs), at_once) < 2:  # starting threads is work
            return [job() for job in jobs]
        with ThreadPoolExecutor(at_once, initializer=torch.set_num_threads, initargs=(share,)) as pool:
            return list(pool.map(do, jobs))


@contextmanager
def _shared_out(at_once: int) -> Iterator[int]:
    """Give this thread its share of all threads, for so many jobs at the same time.

    A server answers in new threads, each of which begins with the number that was set last, even if that is a share.
    """
    with _Whole.lock:
        if not _Whole.callers:
            _Whole.threads = torch.get_num_threads()
        _Whole.callers += 1
        share = max(1, _Whole.threads // at_once)
        torch.set_num_threads(share)
    try:
        yield share
    finally:
        with _Whole.lock:
            _Whole.callers -= 1
            torch.set_num_threads(_Whole.threads)


def sum_of_losses(losses: Sequence[Callable[[], Tensor]], model: nn.Module) -> Tensor:
    """Compute losses and their gradients side by side; return the sum, which knows its gradient already.

    Gradients are added in the order of the losses, whichever is finished first: the same batch gives the same bits.

    Args:
        losses: each computes a scalar from all parameters of the model.
        model: on a processor, unless there is one loss only.
    """
    if len(losses) == 1:
        return losses[0]()
    parameters = list(model.parameters())

    def learn(loss: Callable[[], Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        value = loss()
        return value.detach(), torch.autograd.grad(value, parameters)

    found = run_parallel([partial(learn, loss) for loss in losses], len(losses))
    total, gradients = found[0]
    for value, more in found[1:]:
        total = total + value
        torch._foreach_add_(gradients, more)
    return _KnownGradient.apply(total, gradients, *parameters)


class _KnownGradient(torch.autograd.Function):
    """A number whose gradient was computed with it."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: Sequence[Tensor], *parameters: Tensor) -> Tensor:
        """Keep the gradients of `value` for as many parameters."""
        ctx.gradients = gradients
        return value

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Hand them out."""
        torch._foreach_mul_(ctx.gradients, grad_outputs[0])
        return None, None, *ctx.gradients
