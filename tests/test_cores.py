"""Claims about jobs side by side: they change how long something takes, and nothing else."""

import threading
from collections.abc import Callable
from functools import partial
from itertools import accumulate, combinations, pairwise

import pytest
import torch
from torch import Tensor

from data.batching import Batch, cut_evenly
from data.tokenizer import BOS, PAD, pad
from model import cores
from model.dropout import Dropout
from model.module import TranslationModule
from model.rng import seeded


@pytest.fixture
def batch() -> Batch:
    rng = torch.Generator().manual_seed(1)
    lengths = [[3, 5], [4, 5], [9, 6], [4, 6], [5, 7]]
    src, tgt = (
        [torch.randint(4, 50, (n,), generator=rng).tolist() for n in side] for side in zip(*lengths, strict=True)
    )
    n_tokens = sum(target for _, target in lengths)
    return Batch(torch.arange(5), pad(src), pad([[BOS, *row] for row in tgt]), n_tokens)


def small() -> TranslationModule:
    sizes = {"d_model": 32, "n_heads": 4, "n_encoder_layers": 1, "n_decoder_layers": 2, "d_ff": 64}
    module = TranslationModule(vocab_size=50, dropout=0.0, **sizes)  # type: ignore[arg-type]
    module._trainer = type("Alone", (), {"world_size": 1})()
    return module


@pytest.mark.parametrize("n", [2, 3, 5, 9])
def test_a_shared_batch_holds_every_row_once_and_no_needless_column(batch: Batch, n: int) -> None:
    shares = batch.shard(n)
    assert len(shares) == min(n, 5)
    assert sorted(row for share in shares for row in share.rows.tolist()) == list(range(5))
    for share in shares:
        for ids, whole in ((share.src, batch.src), (share.tgt, batch.tgt)):
            assert (ids != PAD).any(dim=0).all()
            assert all(
                a[a != PAD].tolist() == whole[row][whole[row] != PAD].tolist()
                for row, a in zip(share.rows, ids, strict=True)
            )
        assert share.n_tokens == batch.n_tokens


@pytest.mark.parametrize("n", [2, 3])
def test_shares_are_as_even_as_any_cut_of_the_rows(n: int) -> None:
    widths = sorted([9, 9, 8, 8, 8, 5, 5, 4, 4, 4, 2, 2], reverse=True)

    def largest(places: tuple[int, ...]) -> int:
        return max(widths[start] * (end - start) for start, end in pairwise((0, *places, len(widths))))

    cut = cut_evenly(widths, n)
    assert sum(cut) == len(widths)
    best = min(largest(places) for places in combinations(range(1, len(widths)), n - 1))
    assert largest(tuple(accumulate(cut))[:-1]) == best


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("consistency", [0.0, 2.0])
def test_shares_have_the_loss_and_the_gradient_of_the_whole(batch: Batch, n: int, consistency: float) -> None:
    module = small()

    def gradient(loss: Tensor) -> Tensor:
        module.zero_grad()
        (loss * 3).backward()
        return torch.cat([p.grad.flatten() for p in module.model.parameters() if p.grad is not None])

    def both() -> tuple[Tensor, Tensor, Tensor, Tensor]:
        jobs = [partial(module.loss, share, 0.1, consistency) for share in batch.shard(n)]
        whole, shared = module.loss(batch, 0.1, consistency), cores.sum_of_losses(jobs, module.model)
        return whole.detach(), gradient(whole), shared.detach(), gradient(shared)

    loss, exact, shared_loss, shared = both()
    torch.testing.assert_close(shared_loss, loss, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(shared, exact, atol=1e-6, rtol=1e-5)
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        loss, rounded, shared_loss, shared = both()
    torch.testing.assert_close(shared_loss, loss, atol=1e-6, rtol=3e-2)
    assert (shared - rounded).norm() < 0.5 * (rounded - exact).norm() < 0.05 * exact.norm()  # less than rounding does


def test_jobs_run_at_the_same_time_under_the_autocast_of_their_caller() -> None:
    meeting = threading.Barrier(2, timeout=30)

    def job() -> tuple[bool, torch.dtype]:
        meeting.wait()  # breaks where one job waits for the other
        return torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")

    with torch.autocast("cpu", torch.bfloat16):
        assert cores.run_parallel([job, job], 2) == [(True, torch.bfloat16)] * 2
    assert [enabled for enabled, _ in cores.run_parallel([job, job], 2)] == [False] * 2


def test_a_job_that_fails_fails_all_and_leaves_the_threads_as_they_were() -> None:
    threads = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError):
        cores.run_parallel([lambda: 1, lambda: 1 // 0], 2)
    assert torch.get_num_threads() == threads


def test_callers_that_overlap_leave_the_threads_as_they_were() -> None:
    """As in a server, which answers each question in a new thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    began, end = threading.Event(), threading.Event()
    shares = []

    def long() -> None:
        began.set()
        assert end.wait(30)

    def ask(job: Callable[[], object]) -> None:
        shares.append(cores.run_parallel([lambda: (torch.get_num_threads(), job())[0]], 2))

    try:
        first, second = threading.Thread(target=ask, args=(long,)), threading.Thread(target=ask, args=(end.set,))
        first.start()
        assert began.wait(30)
        second.start()
        first.join()
        second.join()
        later: list[int] = []
        third = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
        third.start()
        third.join()
    finally:
        torch.set_num_threads(before)
    assert shares == [[2], [2]] and later == [4]


def test_dropout_depends_on_its_place_and_on_nobody_beside_it() -> None:
    dropout, x = Dropout(0.5).train(), torch.ones(300, 301)

    def draw(*place: int) -> Tensor:
        with seeded(place, x.device):
            return torch.stack([dropout(x) for _ in range(20)])

    alone = [draw(1, 2), draw(1, 3)]
    assert not torch.equal(*alone)
    for _ in range(3):
        together = cores.run_parallel([partial(draw, 1, 2), partial(draw, 1, 3)], 2)
        assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize(("threads", "expected"), [(1, 1), (2, 2), (8, 8), (9, 4), (12, 6), (16, 8), (64, 8)])
def test_jobs_leave_few_cores_idle(threads: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    n = cores.workers()
    assert n == expected <= cores.MOST
    assert threads - n * (threads // n) <= threads // n
