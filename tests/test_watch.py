"""Claims about the attention that training keeps, and about the page that shows how it was learned."""

import csv
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from conftest import TINY
from programs import ROOT, run

from constants import EOS
from errors import UserError, one_sentence
from model import Transformer, TransformerConfig
from training.watch import FOLDER, WatchAttention, figure_of, watch, watched_sentences
from visualization.history import MAX_STEPS, chosen, history, read_step
from visualization.sentence import KINDS, head_statistics, take_maps
from visualize import main

if TYPE_CHECKING:
    from browser import Tab, Visit

pytest_plugins = ["browser"]
slow = pytest.mark.slow  # trains, or needs a browser


class Numbers:
    """Stands in for a `Tokenizer`: the token of an id is its number, and a text is a list of numbers."""

    def tokens(self, ids: list[int]) -> list[str]:
        return [f"▁{id}" for id in ids]

    def decode(self, rows: list[list[int]]) -> list[str]:
        return [" ".join(map(str, row)) for row in rows]

    def encode(self, texts: list[str]) -> list[list[int]]:
        return [[*map(int, text.split()), EOS] for text in texts]


def small() -> Transformer:
    torch.manual_seed(0)
    return Transformer(TransformerConfig(20, d_model=16, n_heads=2, n_encoder_layers=1, n_decoder_layers=2, d_ff=16))


SOURCES = [[5, 6, 7, EOS], [8, EOS]]


class Trainer(SimpleNamespace):
    """Stands in for Lightning's Trainer."""

    def __init__(self, **hparams: Any) -> None:
        data = SimpleNamespace(tokenizer=Numbers(), hparams={"watch": ["5 6 7", "8"], "source_lang": "xx"} | hparams)
        super().__init__(datamodule=data, is_global_zero=True, global_step=0, callback_metrics={}, loggers=[])


def film(
    run: Path,
    steps: dict[int, float],
    every: int = 0,
    first_step: int = 0,
    last_step: int | None = None,
    state: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Call the hooks of the callback as a run does that validates at the steps with a BLEU; return its state."""
    trainer, module, callback = Trainer(), SimpleNamespace(model=small()), WatchAttention(run, every, first_step)
    trainer.global_step = first_step
    if state:
        callback.load_state_dict(state)
    callback.on_fit_start(trainer, module)  # type: ignore[arg-type]
    callback.on_train_start(trainer, module)  # type: ignore[arg-type]
    for step in range(first_step + 1, (last_step or max(steps)) + 1):
        trainer.global_step = step
        callback.on_train_batch_end(trainer, module)  # type: ignore[arg-type]
        if step in steps:
            with torch.no_grad():
                module.model.embedding.weight.mul_(1.5)  # another network, with other maps
            trainer.callback_metrics = {"val_bleu": torch.tensor(steps[step])}
            callback.on_validation_end(trainer, module)  # type: ignore[arg-type]
    return callback.state_dict()


def kept(run: Path) -> list[int]:
    return [int(file.stem) for file in sorted((run / FOLDER).glob("*.npz"))]


# --- what training keeps


def test_kept_maps_equal_those_of_the_forced_pass_over_the_greedy_translation() -> None:
    model = small().train()
    arrays = watch(model, SOURCES, Numbers())  # type: ignore[arg-type]
    assert model.training
    for i, meta in enumerate(json.loads(str(arrays["meta"]))):
        maps = take_maps(model, SOURCES[i], meta["decoder_output_ids"], Numbers())  # type: ignore[arg-type]
        assert meta["source_ids"] == SOURCES[i] and meta["translation"] == maps.translation
        assert meta["decoder_input_tokens"] == maps.decoder_input_tokens
        np.testing.assert_allclose(arrays[f"{i}.log_probs"], maps.log_probs, atol=1e-5)
        for kind in KINDS:
            assert arrays[f"{i}.{kind}"].dtype == np.float16
            np.testing.assert_allclose(arrays[f"{i}.{kind}"], maps.weights(kind), atol=1e-3)


def test_maps_are_kept_at_the_start_at_validations_and_every_n_updates_before_the_first(tmp_path: Path) -> None:
    film(tmp_path, {10: 1.0, 20: 2.0}, every=3)
    assert kept(tmp_path) == [0, 3, 6, 9, 10, 20]
    bleu = [read_step(file)["bleu"] for file in chosen(tmp_path)]
    assert bleu == [None, None, None, None, 1.0, 2.0]
    assert not list(tmp_path.rglob("*.part"))


def test_a_resumed_run_repeats_the_steps_after_its_checkpoint_and_keeps_those_before(tmp_path: Path) -> None:
    state = film(tmp_path, {4: 1.0, 8: 2.0, 12: 3.0})
    before = (tmp_path / FOLDER / "00000008.npz").read_bytes()
    (tmp_path / FOLDER / "00000009.part").touch()
    film(tmp_path, {16: 4.0}, every=3, first_step=8, state=state)
    assert kept(tmp_path) == [0, 4, 8, 16]
    assert (tmp_path / FOLDER / "00000008.npz").read_bytes() == before
    assert not list(tmp_path.rglob("*.part"))


def test_a_run_resumed_before_its_first_validation_still_keeps_maps_every_n_updates(tmp_path: Path) -> None:
    state = film(tmp_path, {}, every=2, last_step=5)
    film(tmp_path, {9: 1.0}, every=2, first_step=5, last_step=12, state=state)
    assert kept(tmp_path) == [0, 2, 4, 6, 8, 9]


def test_only_the_first_process_keeps_maps(tmp_path: Path) -> None:
    trainer, module, callback = Trainer(), SimpleNamespace(model=small()), WatchAttention(tmp_path, 1, 0)
    trainer.is_global_zero = False
    for hook in (
        callback.on_fit_start,
        callback.on_train_start,
        callback.on_train_batch_end,
        callback.on_validation_end,
    ):
        trainer.global_step += 1
        hook(trainer, module)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_file_of_three_sentences_has_kilobytes(tmp_path: Path) -> None:
    film(tmp_path, {1: 1.0})
    assert all(file.stat().st_size < 20_000 for file in (tmp_path / FOLDER).iterdir())


def test_watched_sentences_are_the_given_ones_the_phrasebooks_or_the_first_short_ones_of_validation() -> None:
    data = Trainer().datamodule
    assert watched_sentences(data) == SOURCES
    for text in ("", "5 " * 1024):
        data.hparams["watch"] = [text]
        with pytest.raises(UserError, match=r"data\.watch"):
            watched_sentences(data)
    data.hparams["watch"], data.paths = None, ["folder"]
    rows = [{"src_ids": [5] * n} for n in (41, 3, 40, 2, 4)]
    data.load = lambda: {"val": rows}
    assert [len(ids) for ids in watched_sentences(data)] == [3, 40, 2]
    data.load = lambda: {"val": rows[:1]}
    assert [len(ids) for ids in watched_sentences(data)] == [41]
    data.paths, data.hparams["source_lang"] = ["phrasebook"], "fr"
    data.tokenizer = SimpleNamespace(encode=list)
    assert watched_sentences(data)[0] == "Je suis heureux."
    with pytest.raises(UserError, match="--watch_every"):
        WatchAttention(Path(), -1, 0)


def test_the_figure_shows_the_mean_cross_attention_of_each_sentence() -> None:
    arrays = watch(small(), SOURCES, Numbers())  # type: ignore[arg-type]
    axes = figure_of(arrays).axes
    for i, each in enumerate(axes):
        shown = np.asarray(each.images[0].get_array())
        np.testing.assert_allclose(shown, arrays[f"{i}.cross"].astype(np.float32).mean((0, 1)), atol=1e-6)
    assert len(axes) == 2 and [text.get_text() for text in axes[1].get_xticklabels()] == ["▁8", "▁2"]


@slow
def test_a_run_and_its_resumed_part_keep_one_film_and_draw_it_for_tensorboard(corpus: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    flags = ["--name=film", f"--data.path={corpus}", *TINY, "--trainer.val_check_interval=4", "--watch_every=2"]
    first = ["--config", str(ROOT / "configs" / "multi30k.yaml"), "--trainer.max_steps=4"]
    done = run("train.py", *first, *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert kept(tmp_path / "runs" / "film") == [0, 2, 4]
    done = run("train.py", *flags, "--ckpt_path=last", "--trainer.max_steps=8", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "film"
    assert kept(folder) == [0, 2, 4, 8]
    with (folder / "metrics.csv").open() as file:
        scores = [float(row["val_bleu"]) for row in csv.DictReader(file) if row["val_bleu"]]
    assert [read_step(file)["bleu"] for file in chosen(folder)][2:] == pytest.approx(scores, abs=0.01)
    events = EventAccumulator(str(folder)).Reload()
    assert [image.step for image in events.Images("cross-attention")] == [3, 7]


# --- the page


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "film"
    folder.mkdir()
    film(folder, {6: 12.5, 9: 30.0}, every=2)
    return folder


def test_a_run_of_many_steps_shows_evenly_spaced_ones(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    for step in range(MAX_STEPS * 2):
        (tmp_path / FOLDER / f"{step:08d}.npz").touch()
    steps = [int(file.stem) for file in chosen(tmp_path)]
    assert len(set(steps)) == MAX_STEPS and steps[0] == 0 and steps[-1] == 2 * MAX_STEPS - 1
    assert set(np.diff(steps)) <= {2, 3}


def test_a_run_without_maps_and_a_corrupt_file_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, words in (("absent", "has kept no maps"), ("broken", "00000001.npz cannot be read")):
        (tmp_path / "runs" / "broken" / FOLDER).mkdir(parents=True, exist_ok=True)
        (tmp_path / "runs" / "broken" / FOLDER / "00000001.npz").write_bytes(b"PK\x03\x04")
        with pytest.raises(SystemExit) as stopped, one_sentence():
            main(["history", f"--name={name}", "--output=film.html"])
        error = capsys.readouterr().err
        assert stopped.value.code == 2 and words in error and error.count("\n") == 1
    with pytest.raises(SystemExit), one_sentence():
        main(["history", "--name=broken", "--output=absent/film.html"])
    assert "folder does not exist" in capsys.readouterr().err


def ready(tab: "Tab") -> Any:
    """Return the browser's page once it has drawn its state."""
    tab.page.locator("body[data-ready=true]").wait_for(state="attached")
    return tab.page


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"[\d.]+", text)]


@slow
def test_the_slider_shows_translation_bleu_and_entropy_of_each_step(
    visit: "Visit", run_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "film.html").write_text(history(run_folder), encoding="utf-8")
    tab = visit(tmp_path / "film.html")
    view = ready(tab)
    steps = [np.load(file) for file in chosen(run_folder)]
    assert view.get_attribute("#slider", "max") == str(len(steps) - 1) == "4"
    for t, arrays in enumerate(steps):
        view.locator("#slider").fill(str(t))
        ready(tab)
        meta = json.loads(str(arrays["meta"]))[0]
        bleu = "" if np.isnan(arrays["bleu"]) else f"{arrays['bleu']:.1f}"
        shown = view.text_content("#step")
        assert shown.startswith(f"step {arrays['step']}, ") and shown.endswith(f"BLEU {bleu}" if bleu else "measured")
        assert view.text_content("#translation") == meta["translation"]
        entropy = head_statistics(arrays["0.cross"].astype(np.float32), "cross")["entropy"].ravel()
        found = [float(text) for text in view.locator("#heads td span").all_text_contents()]
        np.testing.assert_allclose(found, entropy, atol=0.006)
        titles = view.locator("#map td").evaluate_all("cells => cells.map((cell) => cell.title)")
        weights = [float(title.rsplit(": ", 1)[1].replace("<", "")) for title in titles]
        np.testing.assert_allclose(weights, arrays["0.cross"][-1, 0].astype(float).ravel(), atol=1.1e-3)
    assert tab.accessibility_violations() == []


@slow
def test_play_runs_to_the_last_step_and_the_keyboard_does_everything(
    visit: "Visit", run_folder: Path, tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    (tmp_path / "film.html").write_text(history(run_folder), encoding="utf-8")
    tab = visit(tmp_path / "film.html", "t=4&s=1&k=decoder_self&l=1&h=1")
    view = ready(tab)
    assert view.text_content("#title") == "Decoder self-attention, layer 1, head 1"
    assert view.locator("#map .hatched").count() > 0 and view.input_value("#sentence") == "1"
    view.keyboard.press("ArrowLeft")
    expect(view.locator("#slider")).to_have_value("3")
    ready(tab)
    assert numbers(view.text_content("#step"))[0] == 6
    view.keyboard.press("k")
    view.keyboard.press("s")
    ready(tab)
    assert view.text_content("#title").startswith("Cross") and view.input_value("#sentence") == "0"
    view.locator("#heads button").first.focus()
    view.keyboard.press("Enter")
    ready(tab)
    assert view.text_content("#title") == "Cross-attention, layer 0, head 0"
    assert view.evaluate("document.activeElement.ariaLabel") == "layer 0, head 0"  # the focus stays
    view.click("#play")
    assert view.text_content("#play") == "Pause"
    view.locator("#play", has_text="Play").wait_for()  # playing ends at the last step
    assert view.input_value("#slider") == "4"
    view.click("#play")  # from the first step again
    expect(view.locator("#slider")).to_have_value(re.compile("[0-3]"))
    view.click("#play")
    expect(view).to_have_url(re.compile("k=cross"))


@slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_narrow_screen(visit: "Visit", run_folder: Path, tmp_path: Path, scheme: str) -> None:
    (tmp_path / "film.html").write_text(history(run_folder), encoding="utf-8")
    view = ready(visit(tmp_path / "film.html", viewport={"width": 360, "height": 800}, color_scheme=scheme))
    assert view.evaluate("document.documentElement.scrollWidth") <= 360
