"""Benchmarks: systems in processes of their own, and our weights in Hugging Face's network."""

import importlib
import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.child import Child, Turns, memory, tree_memory
from benchmarks.confidence import ranks
from benchmarks.sentences import COPIED, plain, read_table
from constants import BOS, EOS, PAD
from errors import UserError
from model import Transformer, TransformerConfig


def answer(connection: Connection, greeting: str) -> None:
    connection.send(None)
    while request := connection.recv():
        if request == "start a process":
            child = multiprocessing.get_context("spawn").Process(target=os.getpid)
            child.start()
            child.join(60)
            connection.send(child.exitcode)
        else:
            connection.send((os.getpid(), f"{greeting} {request}"))


def count_tokens(connection: Connection) -> None:
    turns = Turns(connection)
    for n_tokens in range(10):
        turns.step_done(n_tokens)


def fail(connection: Connection) -> None:
    raise ValueError("cannot start")


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    child = Child(answer, "hello")
    yield child
    child.stop()


@pytest.mark.slow
def test_a_child_answers_from_another_process(child: Child) -> None:
    pid, text = child.ask("world")
    assert text == "hello world" and pid == child.process.pid != os.getpid()


@pytest.mark.slow
def test_a_child_may_start_processes(child: Child) -> None:
    assert child.ask("start a process") == 0


@pytest.mark.slow
def test_the_memory_of_a_process_includes_its_children(child: Child) -> None:
    own, of_child = memory(os.getpid(), "VmRSS"), memory(child.process.pid, "VmRSS")
    assert of_child > 0
    assert tree_memory(os.getpid()) > own + of_child / 2  # both may change in between


@pytest.mark.slow
def test_the_failure_of_a_child_is_an_error_of_the_parent(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(EOFError):
        Child(fail)
    assert "ValueError: cannot start" in capfd.readouterr().err


@pytest.mark.slow
def test_a_turn_is_as_many_steps_as_were_requested_and_a_stopped_child_has_no_memory() -> None:
    child = Child(count_tokens)
    assert child.ask(3)[0] == 0 + 1 + 2
    assert child.ask(2)[0] == 3 + 4
    assert child.peak_memory() > 0
    child.stop()
    assert not child.process.is_alive() and child.peak_memory() == 0


@pytest.mark.slow
def test_hugging_face_with_our_weights_computes_our_logits() -> None:
    pytest.importorskip("transformers")
    from benchmarks.huggingface import m2m100

    torch.manual_seed(1)
    ours = Transformer(TransformerConfig(vocab_size=50, d_model=32, n_heads=4, d_ff=64, n_decoder_layers=2)).eval()
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # biases and norms too, which start alike in all layers
    src = torch.tensor([[5, 6, 7, EOS], [8, 9, EOS, PAD]])
    tgt = torch.tensor([[BOS, 10, 11, 12, 13], [BOS, 14, 15, 16, 17]])
    with torch.inference_mode():
        output = m2m100(ours)(input_ids=src, attention_mask=(src != PAD).long(), decoder_input_ids=tgt)
        torch.testing.assert_close(output.logits.cpu(), ours(src, tgt), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ablations", "equality", "faults", "time_to_bleu", "training", "translation"])
def test_a_benchmark_refuses_a_wrong_output_before_it_begins(name: str, tmp_path: Path) -> None:
    if name not in ("equality", "faults"):
        pytest.importorskip("transformers")
    benchmark = importlib.import_module(f"benchmarks.{name}")
    needed = {"faults": [], "equality": ["--data=x", "--checkpoint=x"], "translation": ["--data=x", "--checkpoint=x"]}
    with pytest.raises(UserError, match=r"--json .*folder does not exist"):
        benchmark.main([*needed.get(name, ["--data=x"]), f"--json={tmp_path / 'absent' / 'file'}"])
    if name == "faults":
        with pytest.raises(UserError, match="--times must be at least 1"):
            benchmark.main(["--times=0"])


# --- judged sentences


def test_translations_are_compared_without_case_punctuation_and_contractions() -> None:
    assert plain("It's late, isn't it?") == plain("it is late is not it")
    assert plain("I can’t.") == plain("I cannot") != plain("I can")


def test_every_sentence_of_the_tables_has_what_is_judged() -> None:
    rows = read_table(COPIED)
    assert len(rows) == 40
    for french, parts in rows:
        missing = [part for part in parts if part not in french and part != "July"]
        assert parts and not missing, french


def test_a_table_without_a_tab_is_refused_by_line(tmp_path: Path) -> None:
    (tmp_path / "table.tsv").write_text("un chat\ta cat\nun chien\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"table\.tsv, line 2: there is no tab"):
        read_table(tmp_path / "table.tsv")


def test_equal_values_have_the_mean_of_their_ranks() -> None:
    assert ranks(np.array([0.5, 0.1, 0.5, 0.9])).tolist() == [2.5, 1.0, 2.5, 4.0]
