"""Training: loss, optimizer, schedule, compilation, checkpoints, and runs of train.py that are disturbed."""

import copy
import csv
import json
import logging
import math
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from conftest import TINY
from lightning.pytorch.callbacks import Timer
from programs import ROOT, run, start
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.optim import Muon

import evaluate
import train
import training.optimizer as optimizers
from benchmarks.faults import (
    MOMENTS,
    SETTINGS,
    STEPS,
    Training,
    differences,
    disturb,
    kill_and_resume,
    resume,
    rows_of,
    write_corpus,
)
from constants import BOS, EOS, PAD
from data.batching import Batch, group_by_length, pad
from errors import UserError, one_sentence
from model import Transformer, TransformerConfig
from training.checkpoints import intact, newest_intact, saved_step
from training.hardware import choose_precision
from training.loss import projected_cross_entropy
from training.module import TrainingConfig, TranslationModule
from training.optimizer import ITERATIONS, MuonAdamW, adam_groups, muon_groups, orthogonalise
from training.schedule import FractionDone, inverse_sqrt_decay, linear_decay
from translation.hypothesis import SearchOptions
from translation.search import search_translations

V = 50
CONFIG = ROOT / "configs" / "multi30k.yaml"
MIDDLE = STEPS // 2

Captured = pytest.CaptureFixture[str]


def small_config(**sizes: Any) -> TransformerConfig:
    defaults = {"d_model": 32, "n_heads": 4, "n_encoder_layers": 1, "n_decoder_layers": 2, "d_ff": 64, "dropout": 0.0}
    return TransformerConfig(V, **(defaults | sizes))


def small(seed: int = 0, **sizes: Any) -> Transformer:
    torch.manual_seed(seed)
    return Transformer(small_config(**sizes))


def sentences(rows: int, length: int, seed: int = 1) -> Tensor:
    return torch.randint(4, V, (rows, length), generator=torch.Generator().manual_seed(seed))


def idle_trainer() -> L.Trainer:
    """A Trainer that does nothing but tell modules the number of processes and of steps."""
    extras = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    return L.Trainer(accelerator="cpu", max_steps=10, **dict.fromkeys(extras, False))


# --- loss


@pytest.mark.parametrize("consistency", [0.0, 3.0])
def test_projected_cross_entropy_and_its_gradients_equal_pytorchs(consistency: float) -> None:
    passes = 2 if consistency else 1
    hidden, embedding = torch.randn(passes, 300, 16, requires_grad=True), torch.randn(V, 16, requires_grad=True)
    targets = torch.randint(1, V, (300,))
    targets[::7] = PAD
    real = targets != PAD
    logits = (hidden @ embedding.T)[:, real]
    repeated = targets[real].repeat(passes)
    theirs = F.cross_entropy(logits.flatten(0, 1), repeated, label_smoothing=0.1, reduction="sum")
    if consistency:
        p, q = logits.log_softmax(-1)
        divergences = [F.kl_div(a, b, log_target=True, reduction="sum") for a, b in ((p, q), (q, p))]
        theirs = theirs + consistency / 2 * sum(divergences)
    ours = projected_cross_entropy(hidden, embedding, targets, 0.1, consistency)
    torch.testing.assert_close(ours, theirs)
    gradients = [torch.autograd.grad(loss / 7, [hidden, embedding]) for loss in (ours, theirs)]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    assert not gradients[0][0][:, ~real].any()  # padding gets no gradient


def test_the_loss_computes_in_the_dtype_of_autocast() -> None:
    hidden, embedding = torch.randn(1, 60, 16, requires_grad=True), torch.randn(V, 16, requires_grad=True)
    targets = torch.randint(1, V, (60,))
    exact = projected_cross_entropy(hidden, embedding, targets, 0.1)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = projected_cross_entropy(hidden, embedding, targets, 0.1)
    assert rounded.dtype == torch.float32 and rounded != exact
    torch.testing.assert_close(rounded, exact, atol=0, rtol=0.01)
    rounded.backward()
    assert hidden.grad is not None and hidden.grad.dtype == torch.float32


# --- optimizer


def learn(model: Transformer, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for step in range(steps):
        model(sentences(2, 5, seed=step), sentences(2, 5, seed=step + 100)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def groups_of(model: Transformer, kind: str = "muon", rate: float = 0.02) -> list[dict[str, Any]]:
    return muon_groups(model, rate, rate / 10) if kind == "muon" else adam_groups(model, rate / 10)


@pytest.mark.parametrize("kind", ["muon", "adam"])
def test_the_optimizer_changes_every_weight_and_resumes_exactly(kind: str, tmp_path: Path) -> None:
    model = small()
    initial = {name: p.clone() for name, p in model.named_parameters()}
    optimizer = MuonAdamW(groups_of(model, kind))
    learn(model, optimizer, 2)
    other = small(seed=3)
    other.load_state_dict(model.state_dict())
    resumed = MuonAdamW(groups_of(other, kind, rate=0.5))
    torch.save(optimizer.state_dict(), tmp_path / "state")
    resumed.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    learn(model, optimizer, 3)
    learn(other, resumed, 3)
    for (name, ours), theirs in zip(model.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs), name
        if not name.endswith("w_k.bias"):  # a softmax does not change if all its scores do by the same number
            assert not torch.equal(ours, initial[name]), name


def test_muon_updates_the_matrices_of_the_layers_and_adamw_the_rest() -> None:
    model = small()
    names = {id(p): name for name, p in model.named_parameters()}
    muon, rest = ([names[id(p)] for p in group["params"]] for group in groups_of(model))
    assert sorted([*muon, *rest]) == sorted(names.values())
    assert all(name.startswith(("encoder.", "decoder.")) and name.endswith("weight") for name in muon)
    assert not any("norm" in name for name in muon) and "embedding.weight" in rest


@pytest.mark.parametrize("shape", [(48, 48), (24, 96), (96, 24)])
def test_in_bfloat16_muon_equals_pytorchs(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimizers, "has_bf16_matmul", lambda device_type: True)
    ours, theirs = (nn.Parameter(torch.ones(shape)) for _ in range(2))
    optimizers_of_both = (
        MuonAdamW([{"params": [ours], "method": "muon", "lr": 0.02}]),
        Muon([theirs], lr=0.02, weight_decay=0.0, ns_steps=ITERATIONS),
    )
    for _ in range(3):
        ours.grad = theirs.grad = torch.randn(shape)
        for optimizer in optimizers_of_both:
            optimizer.step()
    torch.testing.assert_close(ours, theirs)


def test_adam_equals_pytorchs_adam_with_the_papers_constants() -> None:
    model, other = small(), small()
    optimizer = MuonAdamW(adam_groups(model, 0.01))
    theirs = torch.optim.Adam(other.parameters(), lr=0.01, betas=(0.9, 0.98), eps=1e-9)
    for _ in range(3):
        for a, b in zip(model.parameters(), other.parameters(), strict=True):
            a.grad = b.grad = torch.randn_like(a)
        optimizer.step()
        theirs.step()
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("shape", [(48, 48), (24, 96), (96, 24)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_orthogonalise_keeps_singular_vectors_and_brings_singular_values_near_one(
    shape: tuple[int, int], dtype: torch.dtype
) -> None:
    matrix = torch.randn(shape)
    found = orthogonalise(matrix, dtype).float()
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    inside = left.T @ found @ right.T
    lengths = inside.diagonal()
    tolerance = 1e-4 if dtype == torch.float32 else 0.05
    torch.testing.assert_close(inside, lengths.diag(), atol=tolerance, rtol=0)
    large = values > values.max() / 20  # smaller ones would need more iterations
    assert large.sum() > 20 and lengths[large].min() > 0.6 and lengths.max() < 1.3
    assert lengths.min() > 0


@pytest.mark.parametrize("has_bf16", [True, False])
def test_muon_multiplies_in_bfloat16_only_where_the_hardware_has_it(
    has_bf16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimizers, "has_bf16_matmul", lambda device_type: has_bf16)
    dtypes = set()
    monkeypatch.setattr(optimizers, "orthogonalise", lambda x, dtype: dtypes.add(dtype) or orthogonalise(x, dtype))
    model = small()
    learn(model, MuonAdamW(groups_of(model)), 1)
    assert dtypes == {torch.bfloat16 if has_bf16 else torch.float32}


@pytest.mark.parametrize("kind", ["muon", "adam"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_update_with_one_gradient_that_is_not_finite_changes_no_weight_and_no_state(kind: str, value: float) -> None:
    model = small()
    optimizer = MuonAdamW(groups_of(model, kind))
    learn(model, optimizer, 2)
    weights, state = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    for n in (1, 2):
        model(sentences(2, 5), sentences(2, 5)).square().mean().backward()
        model.decoder[0].feed_forward.expand.bias.grad[3] = value  # type: ignore[union-attr,index,operator]
        optimizer.step()
        assert (optimizer.skipped, optimizer.skipped_in_a_row) == (n, n)
        assert all(torch.equal(weights[name], found) for name, found in model.state_dict().items())
        for before, after in zip(state["state"].values(), optimizer.state_dict()["state"].values(), strict=True):
            assert all(torch.equal(before[name], after[name]) for name in before)
        optimizer.zero_grad()
    learn(model, optimizer, 1)
    assert (optimizer.skipped, optimizer.skipped_in_a_row) == (2, 0)
    assert not torch.equal(weights["embedding.weight"], model.embedding.weight)
    resumed = MuonAdamW(groups_of(small(), kind))
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert resumed.skipped == 2


@pytest.mark.slow
def test_the_copy_task_is_learned_in_seconds() -> None:
    model = small(n_decoder_layers=1)
    optimizer = MuonAdamW(muon_groups(model, 0.02, 0.005))
    peaks = [group["lr"] for group in optimizer.param_groups]
    for step in range(300):
        src = sentences(64, 8, seed=step)
        src[:, -1] = EOS
        tgt = F.pad(src, (1, 0), value=BOS)
        F.cross_entropy(model(src, tgt[:, :-1]).flatten(0, 1), src.flatten()).backward()
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * (1 - step / 300)
        optimizer.step()
        optimizer.zero_grad()
    src = sentences(50, 8, seed=10_000)
    src[:, -1] = EOS
    found = search_translations(model.eval(), src, SearchOptions())
    correct = sum(h[0].tokens == row for h, row in zip(found, src.tolist(), strict=True))
    assert correct >= 48


# --- schedule


def test_schedules_rise_then_fall() -> None:
    assert linear_decay(0, 0.0, 100) == pytest.approx(0.01)
    assert linear_decay(500, 0.5, 100) == pytest.approx(0.5)
    assert linear_decay(999, 1.0, 100) == 0
    paper = [inverse_sqrt_decay(step, 0.0, 100) for step in (0, 99, 399)]
    assert paper == pytest.approx([0.01, 1.0, 0.5])


def run_at(step: int, max_steps: int, world_size: int = 1, broadcast: Any = lambda x: x) -> Any:
    """A Trainer at an update, after 25 of 100 seconds."""
    timer = Timer(duration={"seconds": 100})
    timer.time_elapsed = lambda *_: 25.0  # type: ignore[method-assign]
    timer.time_remaining = lambda *_: 75.0  # type: ignore[method-assign]
    return SimpleNamespace(
        global_step=step,
        max_steps=max_steps,
        callbacks=[timer],
        world_size=world_size,
        log_every_n_steps=10,
        strategy=SimpleNamespace(broadcast=broadcast),
    )


@pytest.mark.parametrize(("max_steps", "expected"), [(100, 0.5), (1000, 0.25), (-1, 0.25)])
def test_the_fraction_done_follows_steps_or_time_whichever_is_larger(max_steps: int, expected: float) -> None:
    assert FractionDone()(run_at(50, max_steps)) == pytest.approx(expected)


def test_several_processes_agree_on_the_time_at_log_steps_only() -> None:
    fraction_done, steps = FractionDone(), []
    for step in range(5, 35):
        fraction_done(run_at(step, -1, 2, lambda x, step=step: steps.append(step) or x))
    assert steps == [5, 10, 20, 30]  # the first one, too


@pytest.mark.parametrize("name", ["consistency", "learning_rate", "adamw_learning_rate", "warmup_steps", "seed"])
@pytest.mark.parametrize("value", [-1, math.nan])
def test_training_settings_without_a_meaning_are_refused(name: str, value: float) -> None:
    with pytest.raises(UserError, match=f"training.{name} must be at least 0"):
        TrainingConfig(**{name: value})  # type: ignore[arg-type]


# --- nothing waits for a GPU


@pytest.mark.parametrize(
    ("device", "autocast", "training"),
    [
        ("cuda", False, TrainingConfig(consistency=3.0)),
        ("cpu", True, TrainingConfig(consistency=3.0)),
        ("cpu", False, TrainingConfig(optimizer="adam")),
    ],
)
def test_a_training_step_reads_no_value_from_the_device(device: str, autocast: bool, training: TrainingConfig) -> None:
    """Fake tensors have shapes but no values: whatever needs a value, and would make a GPU wait, raises.

    Without a GPU, PyTorch's autograd refuses CUDA tensors. So the backward pass is that of fake CPU tensors.
    """
    with FakeTensorMode(), torch.device(device):
        module = TranslationModule(small_config(n_decoder_layers=1, dropout=0.1), training)
        module.trainer = idle_trainer()
        optimizer = module.configure_optimizers()
        src, tgt = torch.ones(5, 7, dtype=torch.long), torch.ones(5, 9, dtype=torch.long)
        assert src.device.type == module.device.type == device
        for _ in range(2):
            with torch.autocast(device, torch.bfloat16, enabled=autocast):
                loss = module.training_step(Batch(torch.arange(5), src, tgt, 40), 0)
            if device == "cpu":
                loss.backward()
            else:
                for parameter in module.parameters():
                    parameter.grad = torch.empty_like(parameter)
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            module.on_before_optimizer_step(optimizer)
            optimizer.step()
            optimizer.zero_grad()
        for value in (loss, optimizer.skipped):
            with pytest.raises(DataDependentOutputException):
                value.item()


# --- compilation


def batches_like_multi30k(n: int) -> Iterator[Batch]:
    """Batches of random ids, with the lengths that sentences of 12 ± 4 words have, and some of one row."""
    rng = np.random.default_rng(0)
    src = np.clip(rng.normal(15, 5, 30 * n), 3, 60).astype(int)
    tgt = np.clip(src + rng.normal(0, 2, len(src)), 3, 60).astype(int)
    cuts = group_by_length(src, tgt, 600, [1])[:n]
    cuts[n // 3] = cuts[n // 3][:1]
    cuts[n // 2] = cuts[n // 2][:1]
    for rows in cuts:
        src_ids = pad([rng.integers(4, V, src[i]).tolist() for i in rows])
        tgt_ids = pad([[BOS, *rng.integers(4, V, tgt[i]).tolist()] for i in rows])
        yield Batch(torch.from_numpy(rows.astype(int)), src_ids, tgt_ids, int(tgt[rows].sum()))


class Compilations:
    """A backend for torch.compile that counts graphs and runs them as they are."""

    def __init__(self) -> None:
        self.n = 0

    def __call__(self, graph: torch.fx.GraphModule, example_inputs: list[Tensor]) -> Callable[..., Any]:
        self.n += 1
        return graph.forward


@pytest.fixture
def compilations() -> Iterator[Compilations]:
    torch.compiler.reset()  # forget what other tests have compiled
    logging.disable(logging.DEBUG)  # pytest would collect thousands of messages of the compiler
    yield Compilations()
    logging.disable(logging.NOTSET)


@pytest.mark.slow
def test_an_epoch_compiles_at_most_eight_full_graphs(compilations: Compilations) -> None:
    module = TranslationModule(small_config(n_decoder_layers=1, dropout=0.1), TrainingConfig(consistency=3.0))
    module.trainer = idle_trainer()
    module.hidden_states = torch.compile(  # type: ignore[method-assign]
        module.hidden_states, fullgraph=True, dynamic=True, backend=compilations
    )
    batches = list(batches_like_multi30k(200))
    assert len({tuple(batch.src.shape) for batch in batches}) > 50 and min(len(batch.rows) for batch in batches) == 1
    for batch in batches:
        module.training_step(batch, 0)
    assert 1 <= compilations.n <= 8


@pytest.mark.slow
@pytest.mark.usefixtures("compilations")
def test_a_compiled_training_step_has_the_gradients_of_the_plain_one() -> None:
    batch = next(batches_like_multi30k(10))
    gradients = []
    for compiled in (False, True):
        module = TranslationModule(small_config(n_decoder_layers=1), TrainingConfig())
        module.trainer = idle_trainer()
        if compiled:  # forward and backward pass become graphs, which run without a C++ compiler
            module.hidden_states = torch.compile(  # type: ignore[method-assign]
                module.hidden_states, fullgraph=True, backend="aot_eager"
            )
        module.training_step(batch, 0).backward()
        gradients.append([p.grad for p in module.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1])


# --- hardware


@pytest.mark.parametrize(
    ("features", "gpu", "chosen"),
    [
        ({"avx512_bf16": True}, None, "bf16-mixed"),
        ({"amx_bf16": True}, None, "bf16-mixed"),
        ({"avx2": True}, None, "32-true"),
        ({"avx512_bf16": True}, False, "32-true"),  # the GPU decides, not the CPU beside it
        ({}, True, "bf16-mixed"),
    ],
)
def test_precision_auto_is_bfloat16_where_the_hardware_has_it(
    features: dict[str, bool], gpu: bool | None, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu is not None)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: gpu)
    assert choose_precision("auto") == chosen
    on_cpu = "bf16-mixed" if any("bf16" in name for name in features) else "32-true"
    assert choose_precision("auto", "cpu") == on_cpu
    assert choose_precision("16-mixed") == "16-mixed"


# --- checkpoints


def damage(file: Path, how: str) -> None:
    """Make a checkpoint corrupt: flip a bit, cut it in the middle, or delete it."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(content if how == "flipped" else content[: len(content) // 2])
    if how == "missing":
        file.unlink()
    assert not intact(file)


@pytest.mark.parametrize(("how", "word"), [("cut", "corrupt"), ("flipped", "corrupt"), ("missing", "missing")])
def test_a_checkpoint_that_is_not_intact_is_named_and_the_one_before_it_is_chosen(
    how: str, word: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("last.ckpt", "last.previous.ckpt"):
        torch.save({"global_step": 3, "weights": torch.randn(1000)}, tmp_path / name)
    assert newest_intact(tmp_path) == tmp_path / "last.ckpt"
    damage(tmp_path / "last.ckpt", how)
    with caplog.at_level("INFO"):
        assert newest_intact(tmp_path) == tmp_path / "last.previous.ckpt"
    assert f"last.ckpt is {word}" in caplog.text and "last.previous.ckpt" in caplog.text
    assert not (tmp_path / "last.ckpt").exists()


def test_a_run_without_an_intact_checkpoint_is_not_started_again_from_the_first_step(tmp_path: Path) -> None:
    assert newest_intact(tmp_path) is None  # stopped before its first checkpoint
    for name in ("last.ckpt", "best.ckpt"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UserError, match=r"last.ckpt is corrupt, .*best.ckpt is corrupt"):
        newest_intact(tmp_path)


class Payload:
    """An object whose pickle runs a command when it is read."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch payload-was-run",)


@pytest.mark.parametrize("content", [Payload(), {"weights": torch.ones(3)}, {"global_step": "ten"}, 7])
def test_a_hostile_or_foreign_checkpoint_is_refused_and_no_code_in_it_is_run(
    content: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, "file.ckpt")
    with pytest.raises(UserError, match=r"file\.ckpt is not a checkpoint"):
        saved_step(Path("file.ckpt"))
    assert not Path("payload-was-run").exists()


# --- runs of train.py


def scalars(run: Path) -> dict[str, list[tuple[int, float]]]:
    """The curves of loss and BLEU in the files of TensorBoard."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run)).Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in ("loss", "val_bleu")}


@pytest.mark.slow
def test_a_run_writes_checkpoints_its_settings_and_its_curves(trained: Path) -> None:
    folder = trained / "runs" / "tiny"
    names = {file.name for file in folder.iterdir()}
    assert {"best.ckpt", "last.ckpt", "config.yaml", "metrics.csv"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert any(row["val_bleu"] for row in rows) and any(row["loss"] for row in rows)
    checkpoint = torch.load(folder / "best.ckpt", weights_only=True)  # one file without code
    assert {"state_dict", "hyper_parameters", "datamodule_hyper_parameters", "sentencepiece"} <= set(checkpoint)
    assert TransformerConfig(**checkpoint["hyper_parameters"]["model"]).d_model == 32


@pytest.mark.slow
def test_a_run_without_progress_ends_early_and_prints_a_translation_in_its_direction(
    corpus: Path, tmp_path: Path
) -> None:
    direction = ["--data.source_lang=en", "--data.target_lang=fr", "--name=en-fr"]
    no_progress = ["--training.learning_rate=0", "--training.adamw_learning_rate=0", "--training.patience=1"]
    steps = ["--trainer.max_steps=30", "--trainer.val_check_interval=3"]
    settings = [*TINY, *direction, *no_progress, *steps]
    done = run("train.py", "--config", CONFIG, f"--data.path={corpus}", *settings, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert saved_step(tmp_path / "runs" / "en-fr" / "last.ckpt") == 6  # the second validation
    assert "I am happy. →" in done.stdout and 'best.ckpt "I am happy."' in done.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("small_phrasebook")
def test_best_ckpt_names_the_cross_attention_that_aligns_words_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train, "ALIGNED_PAIRS", 10)
    steps = ["--trainer.max_steps=2", "--trainer.val_check_interval=2", "--trainer.limit_val_batches=1"]
    tiny = [flag for flag in TINY if "vocab_size" not in flag]
    train.main([*tiny, *steps, "--data.vocab_size=600"])
    alignment = torch.load("runs/phrasebook/best.ckpt", weights_only=True)["alignment"]
    assert alignment.keys() == {"layer", "head", "side"} and alignment["side"] in ("input", "output")
    assert "Next: uv run translate.py --checkpoint runs/phrasebook/best.ckpt" in capsys.readouterr().out
    assert intact(Path("runs/phrasebook/best.ckpt"))


def test_a_file_called_phrasebook_has_no_known_alignments() -> None:
    corpora = {"phrasebook": {"val": None}}
    data: Any = SimpleNamespace(paths=["corpora/phrasebook.tsv"], corpora=corpora, load=lambda: corpora)
    train.keep_alignment(Path("absent.ckpt"), data)  # reads no checkpoint


@pytest.mark.slow
@pytest.mark.usefixtures("small_phrasebook")
def test_each_of_several_corpora_has_scores_of_its_own(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train, "ALIGNED_PAIRS", 10)
    paths = [f"--data.path=[{corpus}, phrasebook]", "--data.weights=[2, 1]", "--name=mixed"]
    steps = ["--trainer.max_steps=2", "--trainer.val_check_interval=2"]
    tiny = [flag for flag in TINY if "vocab_size" not in flag]
    train.main([f"--config={CONFIG}", *tiny, *paths, *steps, "--data.vocab_size=600"])
    (row,) = [row for row in rows_of(Path("runs/mixed")) if row["val_bleu"]]
    for name in ("val_bleu", "val_chrf"):
        of_each = [float(row[f"{name}_{part}"]) for part in ("corpus", "phrasebook")]
        assert float(row[name]) == pytest.approx(sum(of_each) / 2)
    assert "phrasebook: validation BLEU" in capsys.readouterr().err
    assert torch.load("runs/mixed/best.ckpt", weights_only=True)["alignment"]
    evaluate.main(["--name=mixed", "--beam_size=1", "--json=scores"])
    scores = json.loads(Path("scores").read_text())
    assert scores["corpus"]["sentences"] == 20 and scores["phrasebook"]["sentences"] == 200


@pytest.mark.slow
def test_a_run_begins_with_the_weights_sizes_and_tokenizer_of_another_and_resumes(
    trained: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    origin = shutil.copy(trained / "runs" / "tiny" / "best.ckpt", "origin.ckpt")
    other = [flag for flag in TINY if "trainer" in flag] + ["--data.batch_tokens=256"]
    still = ["--training.learning_rate=0", "--training.adamw_learning_rate=0", "--model.dropout=0.3"]
    flags = [f"--data.path={corpus}", f"--init_from={origin}", "--name=adapted", "--trainer.val_check_interval=2"]
    train.main([f"--config={CONFIG}", *other, *flags, *still, "--trainer.max_steps=2"])
    assert f"sizes, tokenizer and weights come from {origin}" in capsys.readouterr().err
    adapted, source = (torch.load(path, weights_only=True) for path in ("runs/adapted/last.ckpt", origin))
    for name, weight in source["state_dict"].items():
        assert torch.equal(adapted["state_dict"][name], weight)
    assert torch.equal(adapted["sentencepiece"], source["sentencepiece"])
    sizes = adapted["hyper_parameters"]["model"]
    assert sizes == source["hyper_parameters"]["model"] | {"dropout": 0.3}
    Path(origin).unlink()  # a run needs only its own files
    train.main(["--name=adapted", "--ckpt_path=last", "--trainer.max_steps=4"])
    assert saved_step(Path("runs/adapted/last.ckpt")) == 4
    # The tokenizer is that of the origin, whatever the corpus holds.
    changed = Path(shutil.copytree(corpus, "changed"))
    for lang in ("fr", "en"):
        first, *others = (changed / f"train.{lang}").read_text(encoding="utf-8").splitlines(keepends=True)
        (changed / f"train.{lang}").write_text("".join([*others, first]), encoding="utf-8")
    with pytest.raises(UserError, match="other training pairs"):
        train.main(["--name=adapted", "--ckpt_path=last", "--trainer.max_steps=6", "--data.path=changed"])


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["64-true", "bf16-true"])
def test_other_precisions_of_lightning_train(precision: str, corpus: Path, tmp_path: Path) -> None:
    steps = [f"--trainer.precision={precision}", "--trainer.max_steps=3", "--trainer.log_every_n_steps=1"]
    tiny = [flag for flag in TINY if "precision" not in flag]
    flags = ["--config", CONFIG, f"--data.path={corpus}", *tiny, *steps, "--name=other"]
    done = run("train.py", *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [row["skipped_updates"] for row in rows_of(tmp_path / "runs" / "other")] == list("000")


@pytest.mark.slow
def test_a_resumed_run_takes_the_learning_rates_that_it_is_given(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "runs" / "tiny", tmp_path / "runs" / "slower")
    flags = ["--training.learning_rate=0.001", "--training.adamw_learning_rate=0.0005", "--training.warmup_steps=1"]
    more = ["--trainer.max_steps=40", "--trainer.val_check_interval=15", "--trainer.log_every_n_steps=1"]
    done = run("train.py", "--name=slower", "--ckpt_path=last", *flags, *more, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rates = [float(row["learning_rate"]) for row in rows_of(tmp_path / "runs" / "slower") if row["learning_rate"]]
    assert rates[-10:] == pytest.approx([0.001 * (1 - step / 40) for step in range(30, 40)])
    muon, adamw = torch.load(tmp_path / "runs" / "slower" / "last.ckpt", weights_only=True)["optimizer_states"][0][
        "param_groups"
    ]
    assert muon["lr"] == pytest.approx(0.001 / 40) and adamw["lr"] == pytest.approx(0.0005 / 40)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--name=tiny"], "exists"),
        (["--name=none", "--ckpt_path=last"], "config.yaml is missing"),
        (["--ckpt_path=last"], "no run --name phrasebook"),
        (["--name=tiny", "--ckpt_path=absent.ckpt"], "absent.ckpt is missing"),
        (["--name=tiny", "--ckpt_path=last", f"--config={CONFIG}"], "leave --config out"),
        (["--name=new", "--data.path=/nowhere/at/all"], "no such file"),
        (["--name=new", "--init_from=absent.ckpt"], "absent.ckpt is missing"),
        (["--name=new", "--model.wings=2"], "wings"),
        (["--name=new", "--trainer.callbacks=[]"], "callbacks"),
        (["--name=new", "--model.n_heads=7"], "n_heads 7"),
        (["--name=new", "--model.n_heads=0"], "n_heads must be at least 1"),
        (["--name=new", "--model.d_ff=-64"], "d_ff must be at least 1"),
        (["--name=new", "--model.d_model=33", "--model.n_heads=3"], "d_model must be even"),
        (["--name=new", "--model.dropout=1.5"], "dropout must be at least 0 and below 1"),
        (["--name=new", "--training.learning_rate=-0.1"], "learning_rate must be at least 0"),
        (["--name=new", "--training.label_smoothing=1"], "label_smoothing must be at least 0 and below 1"),
        (["--name=new", "--trainer.max_steps=-1"], "training.decay linear needs an end of the run"),
        (["--name=new", "--trainer.val_check_interval=0.5"], "val_check_interval"),
        (["--name=new", "--trainer.log_every_n_steps=0"], "log_every_n_steps"),
        (["--name=new", "--save_every_minutes=.inf"], "--save_every_minutes must be from 0 to 1,000,000, not inf"),
        (["--name=new", "--save_every_minutes=.nan"], "--save_every_minutes must be from 0 to 1,000,000, not nan"),
        (["--name=new", "--save_every_minutes=-1"], "--save_every_minutes must be from 0 to 1,000,000, not -1"),
        (["--name=new", "--data.watch=['']"], "data.watch: '' has 1 tokens"),
        (["--name=new", "--trainer.devices=0"], "trainer: "),
        (["--name=new", "--trainer.accelerator=abacus"], "trainer: "),
        (["--name=new", "--trainer.precision=7"], "trainer: "),
        (["--name=new", "--trainer.precision=transformer-engine"], "trainer: "),
        (["--config=absent.yaml"], "absent.yaml"),
    ],
)
def test_a_wrong_start_is_refused_in_one_sentence(
    trained: Path, corpus: Path, flags: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    usual = ["--config", str(CONFIG), f"--data.path={corpus}", *TINY, "--trainer.max_steps=1"]
    monkeypatch.chdir(trained)
    monkeypatch.setattr(train, "describe_device", lambda trainer: pytest.fail("training has begun"))
    if words.startswith(("no such file", "data.watch")):  # found by reading the corpus
        monkeypatch.setattr(train, "describe_device", lambda trainer: "device")
    with pytest.raises(SystemExit) as stopped, one_sentence():
        train.main(flags if any("ckpt_path" in flag for flag in flags) else [*usual, *flags])
    assert stopped.value.code == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and words in errors[0]
    assert not (trained / "runs" / "new").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--model.d_model=64"], "model.d_model 32, not 64"),
        (["--training.optimizer=adam"], "training.optimizer muon, not adam"),
        (["--data.path=changed"], "another tokenizer"),
        (["--data.batch_tokens=512"], "data.batch_tokens 256, not 512"),
        (["--data.max_ratio=4"], "data.max_ratio 3.0, not 4.0"),
    ],
)
def test_a_run_resumes_only_with_its_own_architecture_tokenizer_and_batches(
    trained: Path, corpus: Path, flags: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained)
    shutil.copytree(corpus, "changed", dirs_exist_ok=True)
    for lang in ("fr", "en"):
        lines = (corpus / f"train.{lang}").read_text(encoding="utf-8").splitlines(keepends=True)
        Path(f"changed/train.{lang}").write_text("".join(lines[:250]), encoding="utf-8")
    with pytest.raises(UserError, match=words):
        train.main(["--name=tiny", "--ckpt_path=last", "--trainer.max_steps=40", *flags])


@pytest.mark.slow
def test_a_checkpoint_of_an_older_version_is_refused_in_one_sentence(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(trained / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    last = Path("runs/tiny/last.ckpt")
    checkpoint = torch.load(last, weights_only=True)
    checkpoint["hyper_parameters"] = checkpoint["hyper_parameters"]["model"]
    torch.save(checkpoint, last)
    with pytest.raises(UserError, match="another version"):
        train.main(["--name=tiny", "--ckpt_path=last", "--trainer.max_steps=40"])


def test_the_settings_of_the_phrasebook_do_not_leak_into_another_configuration(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("name: other\ndata: {batch_tokens: 99}\n")
    parser = train.make_parser()
    other = train.parse(parser, [f"--config={tmp_path / 'other.yaml'}"])
    assert (other.name, other.data.batch_tokens) == ("other", 99)
    assert (other.model.d_model, other.trainer.max_steps) == (256, -1)  # defaults
    default = train.parse(parser, ["--data.batch_tokens=99"])
    assert (default.name, default.data.batch_tokens) == ("phrasebook", 99)
    assert (default.model.d_model, default.trainer.max_steps) == (128, 800)  # of configs/phrasebook.yaml


@pytest.mark.parametrize("config", ["fr_en", "multi30k", "multi30k_10min", "tatoeba"])
def test_a_local_corpus_must_be_named(config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"data\.path"):
        train.main(["--config", str(ROOT / "configs" / f"{config}.yaml"), "--trainer.accelerator=cpu"])


@pytest.mark.slow
@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_configuration_builds_and_trains(config: Path, corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "stand-in"
    if config.stem in ("opus_books", "wmt14_base", "wmt14_big"):  # the form that these data sets have on the Hub
        import pyarrow as pa
        import pyarrow.parquet

        (path / ("en-fr" if config.stem == "opus_books" else "fr-en")).mkdir(parents=True)
        for split, name in (("train", "train"), ("val", "validation"), ("test", "test")):
            sides = [(corpus / f"{split}.{lang}").read_text(encoding="utf-8").splitlines() for lang in ("fr", "en")]
            table = pa.table({"translation": [{"fr": a, "en": b} for a, b in zip(*sides, strict=True)]})
            if config.stem != "opus_books" or split == "train":
                pa.parquet.write_table(table, next(path.iterdir()) / f"{name}-00000-of-00001.parquet")
    else:
        path = corpus
    small = [flag for flag in TINY if "d_model" not in flag and "n_heads" not in flag and "dropout" not in flag]
    steps = ["--trainer.devices=1", "--trainer.max_steps=1", "--trainer.val_check_interval=1"]
    flags = [f"--data.path={path}", *small, "--model.d_model=64", *steps, "--trainer.limit_val_batches=1"]
    done = run("train.py", "--config", config, *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    name = yaml.safe_load(config.read_text(encoding="utf-8"))["name"]
    assert (tmp_path / "runs" / name / "last.ckpt").exists()


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["muon", "adam"])
def test_the_loss_falls_in_bfloat16(
    optimizer: str, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rate = {"muon": 0.02, "adam": 0.005}[optimizer]
    flags = [f"--training.optimizer={optimizer}", f"--training.learning_rate={rate}", "--training.warmup_steps=1"]
    length = ["--trainer.max_steps=30", "--trainer.limit_val_batches=0", "--trainer.log_every_n_steps=1"]
    settings = [*TINY, *flags, *length, "--trainer.precision=bf16-mixed"]
    train.main([f"--config={CONFIG}", "--name=half", f"--data.path={corpus}", *settings])
    found = [float(row["loss"]) for row in rows_of(tmp_path / "runs" / "half")]
    assert len(found) == 30 and found[-1] < found[0] - 1


# --- runs that are killed, stopped, or short of disk space


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a corpus and runs/undisturbed."""
    folder = tmp_path_factory.mktemp("faults")
    write_corpus(folder / "corpus")
    undisturbed = Training(folder, *SETTINGS, "--name=undisturbed")
    assert undisturbed.wait() == 0, undisturbed.output()
    return folder


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> Path:
    return folder / "runs" / "undisturbed"


@pytest.fixture(scope="module")
def stopped(folder: Path) -> Path:
    """A run that SIGTERM stopped half-way."""
    code = disturb(folder, "stopped", "epoch", MIDDLE, 0, signal.SIGTERM, "--save_every_minutes=0")
    assert code == 128 + signal.SIGTERM
    return folder / "runs" / "stopped"


def copy_of(run: Path, name: str) -> Path:
    return Path(shutil.copytree(run, run.parent / name))


def kill_at(step: int) -> None:
    """Patch: kill the process when it begins a step."""
    original = TranslationModule.training_step

    def training_step(self: TranslationModule, *args: Any) -> Tensor:
        if self.global_step == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, *args)

    TranslationModule.training_step = training_step  # type: ignore[method-assign]


@pytest.mark.slow
@pytest.mark.parametrize("moment", sorted(set(MOMENTS) - {"epoch"}))
def test_a_killed_run_loses_nothing(folder: Path, undisturbed: Path, moment: str) -> None:
    assert kill_and_resume(folder, moment, seed=1) == []


@pytest.fixture(scope="module")
def resumed(folder: Path, undisturbed: Path) -> subprocess.CompletedProcess[str]:
    """A run that was killed in an epoch, after its first validation, and resumed in a new Python."""
    killed = Training(folder, *SETTINGS, "--name=killed", "--save_every_minutes=60", patches=[(kill_at, 14)])
    assert killed.wait() == -signal.SIGKILL
    run = folder / "runs" / "killed"
    assert saved_step(run / "last.ckpt") == 8  # of the validation
    assert len(rows_of(run)) > 9  # some will be logged again
    return start("train.py", "--name=killed", "--ckpt_path=last", cwd=folder)


@pytest.mark.slow
def test_a_run_killed_in_an_epoch_and_resumed_in_a_new_python_loses_nothing_and_its_curves_join(
    folder: Path, undisturbed: Path, resumed: subprocess.CompletedProcess[str]
) -> None:
    assert resumed.returncode == 0, resumed.stderr
    run = folder / "runs" / "killed"
    assert differences(run, undisturbed) == []
    assert scalars(run) == scalars(undisturbed)
    assert [step for step, _ in scalars(run)["loss"]] == list(range(STEPS))


@pytest.mark.slow
def test_stderr_names_device_corpus_model_scores_and_samples_and_nothing_else(
    resumed: subprocess.CompletedProcess[str],
) -> None:
    lines = [line for line in resumed.stderr.splitlines() if not line.startswith("warning: line 1")]
    beginnings = ["device: CPU", "train:", "val:", "test:", "model:"]
    for step in (16, 24):
        beginnings += [f"step {step}: validation BLEU", "  ", "  ", "  "]
    assert [line[: len(start)] for line, start in zip(lines, beginnings, strict=True)] == beginnings
    translation, command, page = resumed.stdout.strip().splitlines()
    assert translation.startswith("Je suis heureux. →") and command.startswith("Next: uv run translate.py")
    assert page.startswith("Open runs/") and "translator.html in a browser" in page


@pytest.mark.slow
def test_a_run_resumes_from_the_checkpoint_before_a_corrupt_one(folder: Path, stopped: Path, undisturbed: Path) -> None:
    run = copy_of(stopped, "flipped")
    damage(run / "last.ckpt", "flipped")
    resumed = resume(folder, "flipped")
    assert "last.ckpt is corrupt" in resumed.output() and "last.previous.ckpt" in resumed.output()
    assert differences(run, undisturbed) == []


def last_output(folder: Path) -> str:
    return max(folder.glob("*.log"), key=lambda file: file.stat().st_mtime).read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_signal_saves_the_run_and_prints_how_to_resume_it(folder: Path, undisturbed: Path) -> None:
    assert disturb(folder, "interrupted", "validation", 3, 0, signal.SIGINT) == 128 + signal.SIGINT
    output = last_output(folder)
    assert "stopped by SIGINT at step" in output and "--name interrupted --ckpt_path last" in output
    assert "Traceback" not in output
    resumed = resume(folder, "interrupted")
    assert resumed.process.exitcode == 0, resumed.output()
    assert differences(folder / "runs" / "interrupted", undisturbed) == []


def fill_disk(size: int) -> None:
    """Patch: let no file grow beyond a size."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.slow
def test_a_full_disk_is_reported_in_one_sentence_and_leaves_the_last_checkpoint_intact(
    folder: Path, stopped: Path, undisturbed: Path
) -> None:
    run = copy_of(stopped, "full")
    before = {file.name: file.read_bytes() for file in run.glob("*.ckpt")}
    resumed = resume(folder, "full", patches=[(fill_disk, len(before["last.ckpt"]) // 2)])
    output = resumed.output()
    assert resumed.process.exitcode == 2 and "Traceback" not in output, output
    assert "error: runs/full: File too large" in output and "--ckpt_path last" in output
    assert before == {file.name: file.read_bytes() for file in run.glob("*.ckpt")}
    assert not list(run.glob("*.part"))
    resume(folder, "full")
    assert differences(run, undisturbed) == []


def test_a_full_gpu_is_reported_with_the_setting_to_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "full").mkdir(parents=True)
    for advice in ("lower --data.batch_tokens$", "--init_from runs/full/last.ckpt"):
        with pytest.raises(UserError, match=advice), train.explained_stops("full", 0):
            raise torch.OutOfMemoryError("CUDA out of memory")
        (tmp_path / "runs" / "full" / "last.ckpt").touch()


# --- gradients that are not finite


def spoil(first: int, last: int, rank: int = 0) -> None:
    """Patch: make the losses of some steps NaN, in one process only."""
    original = TranslationModule.training_step

    def training_step(self: TranslationModule, *args: Any) -> Tensor:
        is_spoiled = first <= self.global_step <= last and self.global_rank == rank
        return original(self, *args) * (math.nan if is_spoiled else 1)

    TranslationModule.training_step = training_step  # type: ignore[method-assign]


def keep_states(file: str, n_steps: int) -> None:
    """Patch: write the weights and the states of the optimizer after each of n_steps steps to one file."""
    kept: list[Any] = []

    def on_train_batch_end(self: TranslationModule, *_: Any) -> None:
        optimizer = self.optimizers(use_pl_optimizer=False)
        state = optimizer.state_dict()["state"]  # type: ignore[union-attr]
        kept.append(copy.deepcopy({"weights": self.state_dict(), "optimizer": state}))
        if len(kept) == n_steps:
            torch.save(kept, file)

    TranslationModule.on_train_batch_end = on_train_batch_end  # type: ignore[method-assign]


def same(a: Any, b: Any) -> bool:
    """Return whether nested states are equal bit by bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return torch.equal(a, b) if isinstance(a, Tensor) else a == b


@pytest.mark.slow
def test_updates_that_are_not_finite_are_skipped_and_counted_by_a_resumed_run_too(folder: Path) -> None:
    steps, first, last = 14, 6, 9
    settings = [*SETTINGS, f"--trainer.max_steps={steps}"]
    spoiled = (spoil, first, last)
    whole = Training(folder, *settings, "--name=spoiled", patches=[spoiled, (keep_states, "kept.pt", steps)])
    assert whole.wait() == 0, whole.output()
    kept = torch.load(folder / "kept.pt")
    assert all(same(kept[first - 1], state) for state in kept[first : last + 1])
    assert not same(kept[first - 2]["weights"], kept[first - 1]["weights"])
    assert not same(kept[last]["weights"], kept[last + 1]["weights"])
    counts = [row["skipped_updates"] for row in rows_of(folder / "runs" / "spoiled") if row["loss"]]
    assert counts == [str(min(4, max(0, step - first + 1))) for step in range(steps)]
    assert f"step {first + 1}: updates skipped because their gradients were not finite: 1\n" in whole.output()
    flags = ["--name=spoiled-killed", "--save_every_minutes=0"]
    killed = Training(folder, *settings, *flags, patches=[spoiled, (kill_at, last)])
    assert killed.wait() == -signal.SIGKILL
    resume(folder, "spoiled-killed", patches=[spoiled])
    assert differences(folder / "runs" / "spoiled-killed", folder / "runs" / "spoiled") == []


@pytest.mark.slow
def test_twenty_skipped_updates_in_a_row_stop_the_run_with_advice(folder: Path) -> None:
    training = Training(folder, *SETTINGS, "--name=nan", patches=[(spoil, 5, STEPS)])
    assert training.wait() == 2
    output = training.output()
    assert "Traceback" not in output and "the gradients of 20 updates in a row were not finite" in output
    weights = torch.load(folder / "runs" / "nan" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(tensor.isfinite().all() for tensor in weights.values())


# --- several processes


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def together(folder: Path, *arguments: str, patches: Any = (), world: int = 2) -> list[Training]:
    """Train in several processes, with the environment that Lightning's own launcher gives them."""
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "NODE_RANK": "0", "WORLD_SIZE": str(world)}
    flags = ["--trainer.strategy=ddp", f"--trainer.devices={world}"]
    ranks = [
        Training(folder, *arguments, *flags, environment=address | {"LOCAL_RANK": str(rank)}, patches=patches)
        for rank in range(world)
    ]
    for training in ranks:
        training.wait()
    return ranks


class PlainGradientDescent(torch.optim.SGD):
    """An optimizer that does not amplify differences of the gradients."""

    skipped = skipped_in_a_row = torch.zeros(())


def descend_plainly() -> None:
    """Patch: replace the optimizer."""

    def configure_optimizers(self: TranslationModule) -> torch.optim.Optimizer:
        self.peaks = [0.1]
        return PlainGradientDescent(self.parameters(), lr=0.1)

    TranslationModule.configure_optimizers = configure_optimizers  # type: ignore[method-assign]


def record(name: str) -> None:
    """Patch: write the rows of each shard, its loss and the gradient of each step, one file for each process."""
    kept: list[dict[str, Any]] = []
    step, before_update = TranslationModule.training_step, TranslationModule.on_before_optimizer_step

    def training_step(self: TranslationModule, batch: Any, batch_idx: int) -> Tensor:
        loss = step(self, batch, batch_idx)
        kept.append({"epoch": self.current_epoch, "rows": batch.rows.tolist(), "loss": loss.item()})
        return loss

    def on_before_optimizer_step(self: TranslationModule, optimizer: Any) -> None:
        kept[-1]["gradient"] = torch.cat([p.grad.flatten() for p in self.parameters()])  # type: ignore[union-attr]
        torch.save(kept, f"{name}-{self.global_rank}.pt")
        before_update(self, optimizer)

    TranslationModule.training_step = training_step  # type: ignore[method-assign]
    TranslationModule.on_before_optimizer_step = on_before_optimizer_step  # type: ignore[method-assign]


@pytest.mark.slow
@pytest.mark.parametrize(("optimizer", "tolerance"), [("sgd", 1e-5), ("muon", 1e-3)])
def test_two_processes_learn_what_one_learns(folder: Path, optimizer: str, tolerance: float) -> None:
    patches: list[tuple] = [(descend_plainly,)] if optimizer == "sgd" else []
    exact = ["--model.dropout=0", "--trainer.precision=32-true", "--trainer.limit_val_batches=0"]
    steps = 20  # more than an epoch
    settings = [*SETTINGS, *exact, f"--trainer.max_steps={steps}"]
    one = Training(folder, *settings, f"--name=one-{optimizer}", patches=[*patches, (record, f"one-{optimizer}")])
    assert one.wait() == 0, one.output()
    two = together(folder, *settings, f"--name=two-{optimizer}", patches=[*patches, (record, f"two-{optimizer}")])
    assert [rank.process.exitcode for rank in two] == [0, 0], two[0].output()
    one_kept, first, second = (
        torch.load(folder / f"{name}-{optimizer}-{rank}.pt") for name, rank in (("one", 0), ("two", 0), ("two", 1))
    )
    assert len(one_kept) == len(first) == len(second) == steps and one_kept[-1]["epoch"] == 1
    for alone, a, b in zip(one_kept, first, second, strict=True):
        assert alone["loss"] == pytest.approx((a["loss"] + b["loss"]) / 2, abs=tolerance)
        assert torch.equal(a["gradient"], b["gradient"])
        if optimizer == "sgd":
            torch.testing.assert_close(alone["gradient"], a["gradient"], atol=tolerance, rtol=0)
        assert sorted(alone["rows"]) == sorted(a["rows"] + b["rows"])  # no row twice, none left out
    epoch = [row for step in one_kept if step["epoch"] == 0 for row in step["rows"]]
    assert sorted(epoch) == list(range(len(epoch)))


@pytest.mark.slow
def test_two_processes_skip_a_nan_of_one_and_lose_nothing_when_they_are_killed(folder: Path) -> None:
    steps, killed_at = 14, 10
    flags = [*SETTINGS, "--model.dropout=0.1", "--save_every_minutes=0", f"--trainer.max_steps={steps}"]
    spoiled = (spoil, 3, 3, 1)
    whole = together(folder, *flags, "--name=pair", patches=[spoiled])
    assert [rank.process.exitcode for rank in whole] == [0, 0], whole[0].output()
    rows = [row for row in rows_of(folder / "runs" / "pair") if row["loss"]]
    assert [row["skipped_updates"] for row in rows] == ["0"] * 3 + ["1"] * (steps - 3) and rows[3]["loss"] == "nan"
    killed = together(folder, *flags, "--name=pair-killed", patches=[spoiled, (kill_at, killed_at)])
    assert -signal.SIGKILL in [rank.process.exitcode for rank in killed]
    copy_of(folder / "runs" / "pair-killed", "alone")
    together(folder, "--name=pair-killed", "--ckpt_path=last")
    assert differences(folder / "runs" / "pair-killed", folder / "runs" / "pair") == []
    # Another number of processes resumes with the same batches; only the random numbers of dropout differ.
    alone = resume(folder, "alone", "--trainer.strategy=auto", "--trainer.devices=1")
    assert alone.process.exitcode == 0, alone.output()
    assert [row["step"] for row in rows_of(folder / "runs" / "alone")] == [
        row["step"] for row in rows_of(folder / "runs" / "pair")
    ]


@pytest.mark.slow
def test_processes_that_torchrun_starts_on_two_nodes_train_together(folder: Path, undisturbed: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    flags = ["--trainer.strategy=ddp", "--trainer.devices=1", "--trainer.num_nodes=2", "--name=nodes"]
    flags += ["--trainer.max_steps=10"]
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc_per_node=1"]
    command += ["--master_addr=127.0.0.1", f"--master_port={free_port()}"]
    training = [str(ROOT / "train.py"), *SETTINGS, *flags]
    nodes = [
        subprocess.Popen(
            [*command, f"--node_rank={node}", *training], cwd=folder, env=environment, stderr=subprocess.PIPE
        )
        for node in (0, 1)
    ]
    for node in nodes:
        _, errors = node.communicate(timeout=300)
        assert node.returncode == 0, errors.decode()
    steps = [row["step"] for row in rows_of(folder / "runs" / "nodes")]
    assert steps == [row["step"] for row in rows_of(undisturbed) if int(row["step"]) < 10]
