"""What several rooms' tests share: a tiny corpus, and a checkpoint trained on it by the real program."""

import os
import tempfile
from pathlib import Path

import pytest
from programs import ROOT, run

# What tests prepare goes with them, and does not stay in the user's cache; `datasets` reads this when it is imported.
CACHE = tempfile.TemporaryDirectory()
os.environ["HF_DATASETS_CACHE"] = CACHE.name

TINY = [
    "--data.vocab_size=400",
    "--data.batch_tokens=256",
    "--model.d_model=32",
    "--model.n_heads=2",
    "--model.n_encoder_layers=1",
    "--model.n_decoder_layers=2",
    "--model.d_ff=64",
    "--model.dropout=0.1",
    "--model.sampled_after=100",
    "--trainer.accelerator=cpu",
    "--trainer.max_time=null",
    "--trainer.precision=32-true",
    "--trainer.enable_progress_bar=false",
]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of parallel files, written by the phrasebook's grammar."""
    from benchmarks.faults import write_corpus

    folder = tmp_path_factory.mktemp("data") / "corpus"
    write_corpus(folder, n_train=300, n_val=20)
    return folder


@pytest.fixture
def small_phrasebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the phrasebook few sentences to train on, and a cache of its own."""
    import datasets

    from data import phrasebook

    monkeypatch.setitem(phrasebook.SIZES, "train", 1000)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture(scope="session")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder that holds runs/tiny/best.ckpt, made by train.py."""
    folder = tmp_path_factory.mktemp("work")
    config = ROOT / "configs" / "multi30k.yaml"
    steps = ["--trainer.max_steps=30", "--trainer.val_check_interval=15", "--name=tiny"]
    done = run("train.py", "--config", config, f"--data.path={corpus}", *TINY, *steps, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder
