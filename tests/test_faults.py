"""Claims about training that is killed, stopped, starved of disk, fed with NaN or spread over processes."""

import math
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmarks.faults import (
    MOMENTS,
    ROOT,
    SETTINGS,
    STEPS,
    Training,
    disturb,
    kill_and_resume,
    losses,
    resume,
    rows_of,
    write_corpus,
)
from errors import UserError
from model.checkpoints import intact, newest_intact
from model.module import TranslationModule

MIDDLE = STEPS // 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a corpus and runs/whole, which nobody disturbed."""
    folder = tmp_path_factory.mktemp("faults")
    write_corpus(folder / "corpus")
    whole = Training(folder, *SETTINGS, "--name=whole")
    assert whole.wait() == 0, whole.said()
    return folder


# --- killed


@pytest.fixture(scope="module")
def stopped(folder: Path) -> Path:
    """A run that SIGTERM stopped half-way."""
    code = disturb(folder, "stopped", "epoch", MIDDLE, 0, signal.SIGTERM, "--save_every_minutes=0")
    assert code == 128 + signal.SIGTERM
    return folder / "runs" / "stopped"


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("seed", [1])
def test_a_killed_run_loses_nothing(folder: Path, moment: str, seed: int) -> None:
    assert kill_and_resume(folder, moment, seed) == []


def test_the_curves_join_where_rows_are_logged_again(folder: Path) -> None:
    run, whole = folder / "runs" / "board", folder / "runs" / "whole"
    killed = Training(folder, *SETTINGS, "--name=board", "--save_every_minutes=60", patches=[(stop_at, 14)])
    assert killed.wait() == -signal.SIGKILL
    assert torch.load(run / "last.ckpt", weights_only=True)["global_step"] == 8
    assert len(rows_of(run)) > 9  # a row for each of 8 steps and for a validation
    resume(folder, "board")
    assert losses(run, whole) == []
    found = []
    for path in (run, whole):
        events = EventAccumulator(str(path)).Reload()
        found.append({tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in ("loss", "val_bleu")})
    assert found[0] == found[1] and [step for step, _ in found[0]["loss"]] == list(range(STEPS))


def damage_file(last: Path, damage: str) -> None:
    data = bytearray(last.read_bytes())
    data[len(data) // 2] ^= 255
    last.write_bytes(data if damage == "flipped" else data[: len(data) // 2])
    if damage == "missing":
        last.unlink()
    assert not intact(last)


@pytest.mark.parametrize(("damage", "word"), [("torn", "torn"), ("flipped", "torn"), ("missing", "missing")])
def test_a_bad_checkpoint_is_named_and_the_one_before_is_chosen(
    stopped: Path, tmp_path: Path, damage: str, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "run"
    shutil.copytree(stopped, run)
    damage_file(run / "last.ckpt", damage)
    with caplog.at_level("INFO"):
        assert newest_intact(run) == run / "last.previous.ckpt"
    assert f"last.ckpt is {word}" in caplog.text and "last.previous.ckpt" in caplog.text
    assert not (run / "last.ckpt").exists()


def test_a_run_goes_on_from_the_checkpoint_before_a_bad_one(folder: Path, stopped: Path) -> None:
    run = folder / "runs" / "flipped"
    shutil.copytree(stopped, run)
    damage_file(run / "last.ckpt", "flipped")
    resumed = resume(folder, "flipped")
    assert "last.ckpt is torn" in resumed.said() and "last.previous.ckpt" in resumed.said()
    assert losses(run, folder / "runs" / "whole") == []


def test_a_run_without_a_whole_checkpoint_is_not_started_over(tmp_path: Path) -> None:
    assert newest_intact(tmp_path) is None  # killed before its first checkpoint: it is
    for name in ("last.ckpt", "best.ckpt"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UserError, match=r"last.ckpt is torn, .*best.ckpt is torn"):
        newest_intact(tmp_path)


# --- stopped


@pytest.mark.parametrize(("signum", "moment"), [(signal.SIGINT, "epoch"), (signal.SIGTERM, "validation")])
def test_a_signal_saves_and_says_how_to_go_on(folder: Path, signum: signal.Signals, moment: str) -> None:
    name = signum.name
    assert disturb(folder, name, moment, 3, 0, signum) == 128 + signum
    said = max((folder.glob("*.log")), key=lambda file: file.stat().st_mtime).read_text(encoding="utf-8")
    assert f"stopped by {name} at step" in said and f"--name {name} --ckpt_path last" in said
    assert "Traceback" not in said
    resumed = resume(folder, name)
    assert resumed.process.exitcode == 0, resumed.said()
    assert losses(folder / "runs" / name, folder / "runs" / "whole") == []


# --- a full disk


def fill_disk(size: int) -> None:
    """Let no file grow beyond a size."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_full_disk_stops_in_a_sentence_and_spares_the_last_checkpoint(folder: Path, stopped: Path) -> None:
    run = folder / "runs" / "full"
    shutil.copytree(stopped, run)
    before = {file.name: file.read_bytes() for file in run.glob("*.ckpt")}
    resumed = resume(folder, "full", patches=[(fill_disk, len(before["last.ckpt"]) // 2)])
    said = resumed.said()
    assert resumed.process.exitcode == 2 and "Traceback" not in said, said
    assert "error: runs/full: File too large" in said and "--ckpt_path last" in said
    assert before == {file.name: file.read_bytes() for file in run.glob("*.ckpt")}
    assert not list(run.glob("*.part"))
    resume(folder, "full")
    assert losses(run, folder / "runs" / "whole") == []


# --- not finite


def spoil(first: int, last: int, rank: int = 0) -> None:
    """Make the losses of some steps NaN, on one process only."""
    original = TranslationModule.loss

    def loss(self: TranslationModule, *args: Any) -> torch.Tensor:
        bad = self.trainer.training and first <= self.global_step <= last and self.global_rank == rank
        return original(self, *args) * (math.nan if bad else 1)

    TranslationModule.loss = loss  # type: ignore[method-assign]


def snapshots(file: str) -> None:
    """Keep weights, states and schedule after each step."""
    kept: list[Any] = []

    def on_train_batch_end(self: TranslationModule, *_: Any) -> None:
        optimizer = self.optimizers(use_pl_optimizer=False)
        schedule = {key: value for key, value in self.lr_schedulers().state_dict().items() if key != "lr_lambdas"}
        state = {"weights": self.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule}
        torch.save(state, file)
        kept.append(torch.load(file))
        torch.save(kept, file)

    TranslationModule.on_train_batch_end = on_train_batch_end  # type: ignore[method-assign]


def same(a: Any, b: Any) -> bool:
    """Compare nested states bit for bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def test_an_update_that_is_not_finite_is_skipped_and_counted(folder: Path) -> None:
    patches = [(spoil, 3, 4), (snapshots, "kept.pt")]
    training = Training(folder, *SETTINGS, "--name=nan", "--trainer.max_steps=8", patches=patches)
    assert training.wait() == 0, training.said()
    kept = torch.load(folder / "kept.pt")
    assert same(kept[2], kept[3]) and same(kept[3], kept[4])
    assert not same(kept[1]["weights"], kept[2]["weights"]) and not same(kept[4]["weights"], kept[5]["weights"])
    assert "update skipped (2 in a row, 2 in all)" in training.said()
    counts = [row["skipped_updates"] for row in rows_of(folder / "runs" / "nan") if row["loss"]]
    assert counts == list("00012222")


def test_a_killed_run_goes_on_counting(folder: Path) -> None:
    spoiled = [(spoil, MIDDLE - 3, MIDDLE + 3)]
    whole = Training(folder, *SETTINGS, "--name=spoiled", patches=spoiled)
    assert whole.wait() == 0
    first = Training(
        folder, *SETTINGS, "--name=killed", "--save_every_minutes=0", patches=[*spoiled, (stop_at, MIDDLE)]
    )
    assert first.wait() == -signal.SIGKILL
    resume(folder, "killed", patches=spoiled)
    assert losses(folder / "runs" / "killed", folder / "runs" / "spoiled") == []
    assert rows_of(folder / "runs" / "killed")[-1]["skipped_updates"] == "7"


def stop_at(step: int) -> None:
    """Kill the process, when it begins a step."""
    original = TranslationModule.training_step

    def training_step(self: TranslationModule, *args: Any) -> torch.Tensor:
        if self.global_step == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, *args)

    TranslationModule.training_step = training_step  # type: ignore[method-assign]


def test_many_in_a_row_stop_the_run_with_advice(folder: Path) -> None:
    training = Training(folder, *SETTINGS, "--name=lost", patches=[(spoil, 5, STEPS)])
    assert training.wait() == 2
    assert "Traceback" not in training.said() and "20 losses or gradients in a row are not finite" in training.said()
    weights = torch.load(folder / "runs" / "lost" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(tensor.isfinite().all() for tensor in weights.values())


# --- several processes


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def together(folder: Path, *arguments: str, patches: Any = (), world: int = 2) -> list[Training]:
    """Train on several processes, with the environment that Lightning's own launcher gives them."""
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "NODE_RANK": "0", "WORLD_SIZE": str(world)}
    flags = ["--trainer.strategy=ddp", f"--trainer.devices={world}"]
    ranks = [
        Training(folder, *arguments, *flags, environment=address | {"LOCAL_RANK": str(rank)}, patches=patches)
        for rank in range(world)
    ]
    for training in ranks:
        training.wait()
    return ranks


def plain_gradient_descent() -> None:
    """Replace the optimizer, so that differences of the gradients are not made larger."""
    TranslationModule.configure_optimizers = lambda self: torch.optim.SGD(self.parameters(), lr=0.1)  # type: ignore
    TranslationModule.on_train_start = lambda self: None  # type: ignore[method-assign]  # there is no schedule to set


def record(name: str) -> None:
    """Write the loss and the gradient of each step, and the rows of each share, one file a process."""
    kept: list[dict[str, Any]] = []
    original = TranslationModule.on_before_optimizer_step
    step = TranslationModule.training_step

    def training_step(self: TranslationModule, batch: Any, batch_idx: int) -> torch.Tensor:
        kept.append({"epoch": self.current_epoch, "rows": batch.rows.tolist()})
        return step(self, batch, batch_idx)

    def on_before_optimizer_step(self: TranslationModule, optimizer: Any) -> None:
        gradient = torch.cat([p.grad.flatten() for p in self.parameters()])  # type: ignore[union-attr]
        kept[-1] |= {"loss": self.mean_loss.item(), "gradient": gradient}
        torch.save(kept, f"{name}-{self.global_rank}.pt")
        original(self, optimizer)

    TranslationModule.training_step = training_step  # type: ignore[method-assign]
    TranslationModule.on_before_optimizer_step = on_before_optimizer_step  # type: ignore[method-assign]


@pytest.mark.parametrize(("optimizer", "tolerance"), [("sgd", 1e-5), ("real", 1e-3)])
def test_two_processes_learn_what_one_does(folder: Path, optimizer: str, tolerance: float) -> None:
    patches: list[tuple] = [(plain_gradient_descent,)] if optimizer == "sgd" else []
    exact = ["--model.dropout=0", "--model.sampled_after=0", "--trainer.precision=32-true"]
    settings = [*SETTINGS, *exact, "--trainer.limit_val_batches=0"]
    one = Training(folder, *settings, f"--name=one-{optimizer}", patches=[*patches, (record, f"one-{optimizer}")])
    assert one.wait() == 0, one.said()
    for rank in together(
        folder, *settings, f"--name=two-{optimizer}", patches=[*patches, (record, f"two-{optimizer}")]
    ):
        assert rank.process.exitcode == 0, rank.said()
    one_kept, first, second = (torch.load(folder / f"{name}-{optimizer}-{i}.pt") for name, i in
                               (("one", 0), ("two", 0), ("two", 1)))  # fmt: skip
    assert len(one_kept) == len(first) == len(second) == STEPS
    for alone, a, b in zip(one_kept, first, second, strict=True):
        assert alone["loss"] == pytest.approx(a["loss"], abs=tolerance) and a["loss"] == b["loss"]
        if optimizer == "sgd":
            torch.testing.assert_close(alone["gradient"], a["gradient"], atol=tolerance, rtol=0)
        assert sorted(alone["rows"]) == sorted(a["rows"] + b["rows"])  # split, none twice, none left out
    epoch = [row for step in one_kept if step["epoch"] == 0 for row in step["rows"]]
    assert sorted(epoch) == list(range(len(epoch)))


def test_a_process_killed_and_resumed_among_two_loses_nothing(folder: Path) -> None:
    settings = [*SETTINGS, "--model.dropout=0.1"]
    whole = together(folder, *settings, "--name=pair", "--save_every_minutes=0")
    assert [rank.process.exitcode for rank in whole] == [0, 0], whole[0].said()
    killed = together(folder, *settings, "--name=pair-killed", "--save_every_minutes=0", patches=[(stop_at, MIDDLE)])
    assert -signal.SIGKILL in [rank.process.exitcode for rank in killed]
    shutil.copytree(folder / "runs" / "pair-killed", folder / "runs" / "alone")
    together(folder, "--name=pair-killed", "--ckpt_path=last")
    assert losses(folder / "runs" / "pair-killed", folder / "runs" / "pair") == []
    # Another number of processes goes on with the same batches; only random draws differ.
    alone = resume(folder, "alone", "--trainer.strategy=auto", "--trainer.devices=1")
    assert alone.process.exitcode == 0, alone.said()
    assert [row["step"] for row in rows_of(folder / "runs" / "alone")] == [
        row["step"] for row in rows_of(folder / "runs" / "pair")
    ]


def test_a_nan_of_one_process_is_skipped_by_all(folder: Path) -> None:
    ranks = together(folder, *SETTINGS, "--name=pair-nan", "--trainer.max_steps=6", patches=[(spoil, 3, 3, 1)])
    assert [rank.process.exitcode for rank in ranks] == [0, 0], ranks[0].said()
    rows = [row for row in rows_of(folder / "runs" / "pair-nan") if row["loss"]]
    assert [row["skipped_updates"] for row in rows] == list("000111") and rows[3]["loss"] == "nan"


def test_two_launchers_train_together(folder: Path) -> None:
    """As on two machines: what torchrun starts on each."""
    port = free_port()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    flags = ["--trainer.strategy=ddp", "--trainer.devices=1", "--trainer.num_nodes=2", "--name=nodes"]
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc_per_node=1"]
    command += ["--master_addr=127.0.0.1", f"--master_port={port}"]
    training = [str(ROOT / "train.py"), *SETTINGS, *flags]
    nodes = [
        subprocess.Popen(
            [*command, f"--node_rank={node}", *training], cwd=folder, env=environment, stderr=subprocess.PIPE
        )
        for node in (0, 1)
    ]
    for node in nodes:
        _, said = node.communicate(timeout=300)
        assert node.returncode == 0, said.decode()
    together_rows = [row["step"] for row in rows_of(folder / "runs" / "nodes")]
    assert together_rows == [row["step"] for row in rows_of(folder / "runs" / "whole")]
