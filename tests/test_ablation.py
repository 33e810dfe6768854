"""Claims about switching off one head at a time and measuring what is lost, and about attention in a notebook."""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up import made_up
from programs import ROOT

from errors import UserError, one_sentence
from model import intervene
from translation.hypothesis import SearchOptions
from translation.translator import Translator
from visualization import attention
from visualization.ablation import Head, Sample, Scores, ablate, changes, measure, table_row, to_json, to_picture
from visualization.page import page
from visualize import main

slow = pytest.mark.slow  # needs a trained checkpoint
GREEDY = SearchOptions(beam_size=1)
BASE = Scores(-1.0, 50.0, [True, True, False, False])
FOUND = [
    (None, BASE),
    (Head("encoder_self", 0, 0), Scores(-1.5, 40.0, [False, True, True, False])),
    (Head("encoder_self", 0, 1), Scores(-1.0, 50.0, [False, False, False, False])),
    (Head("decoder_self", 0, 0), BASE),
    (Head("decoder_self", 0, 1), BASE),
    (Head("cross", 0, 0), BASE),
    (Head("cross", 0, 1), Scores(-0.9, 51.0, [True] * 4)),
]


@pytest.fixture(scope="module")
def translator(trained: Path) -> Translator:
    return Translator.load(trained / "runs" / "tiny" / "best.ckpt", device="cpu")


# --- tables, JSON and pictures


def test_a_row_shows_changes_and_counts_lost_and_gained_pronouns() -> None:
    row = table_row(*FOUND[1], baseline=BASE)
    assert "encoder self-attention, layer 0, head 0" in row
    assert re.findall(r"[-+]?[\d.]+", row.split("head 0")[1]) == [
        "-1.500",
        "-0.500",
        "40.0",
        "-10.0",
        "50.0",
        "+0.0",
        "1",
        "1",
    ]
    assert table_row(None, Scores(-1, 50, []), Scores(-1, 50, [])).startswith("none")


def test_json_and_picture_hold_every_head_at_its_layer() -> None:
    found = to_json(Sample(["a"], ["b"], []), FOUND)
    assert found["baseline"] == {"log_prob": -1.0, "bleu": 50.0, "pronouns": 0.5}
    assert [(head["kind"], head["layer"], head["head"]) for head in found["off"]] == [head for head, _ in FOUND[1:]]
    assert found["off"][1]["pronouns_lost"] == 2 and found["off"][5]["pronouns_gained"] == 2
    np.testing.assert_allclose(changes(FOUND, "log_prob", "encoder_self"), [[-0.5, 0]])
    np.testing.assert_allclose(changes(FOUND, "pronouns", "cross"), [[0, 0.5]])
    assert to_picture(FOUND).startswith(b"\x89PNG") and to_picture(FOUND, "svg") == to_picture(FOUND, "svg")
    without = to_picture([(head, Scores(*scores[:2], [])) for head, scores in FOUND], "svg")
    assert b"pronouns right" in to_picture(FOUND, "svg") and b"pronouns right" not in without


# --- measuring


@slow
def test_ablation_measures_each_head_off_and_leaves_the_model_as_it_was(translator: Translator) -> None:
    sample = Sample(["Il dort.", "Le chat mange."], ["He is sleeping.", "The cat is eating."], [])
    found = list(ablate(translator, sample, GREEDY))
    assert len(found) == 1 + 2 + 4 + 4 and len({head for head, _ in found}) == 11
    n_tokens = sum(map(len, translator.tokenizer.encode(sample.references)))
    with intervene(translator.model, {"decoder.1.cross_attention": {1: "off"}}):
        expected = sum(translator.log_probs(sample.sources, sample.references)) / n_tokens
    assert dict(found)[Head("cross", 1, 1)].log_prob == pytest.approx(expected, abs=1e-5)
    assert dict(found)[Head("cross", 1, 1)].log_prob != found[0][1].log_prob
    assert measure(translator, sample, GREEDY) == found[0][1]


@slow
@pytest.mark.usefixtures("small_phrasebook")
def test_ablate_prints_and_writes_the_scores_of_the_own_corpus(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = torch.load(trained / "runs" / "tiny" / "best.ckpt", weights_only=True)
    checkpoint["datamodule_hyper_parameters"] |= {"path": "phrasebook", "streaming": True}
    path, output, drawn = tmp_path / "phrasebook.ckpt", tmp_path / "scores.json", tmp_path / "heads.svg"
    torch.save(checkpoint, path)
    flags = ["--sentences=5", "--beam_size=1", f"--json={output}", f"--picture={drawn}"]
    main(["ablate", f"--checkpoint={path}", *flags])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 11 and lines[2].startswith("none") and "pronouns of 5 sentences" in lines[0]
    scores = json.loads(output.read_text())
    assert scores["sentences"] == scores["pronoun_sentences"] == 5 and len(scores["off"]) == 10
    ET.parse(drawn)


@slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sentences=0"], "--sentences must be at least 1"),
        (["--source=in"], "--source and --reference belong together"),
        (["--source=absent", "--reference=absent"], "absent is missing"),
        (["--picture=heads.gif"], "must end in .png or .svg"),
        (["--json=absent/file.json"], "folder does not exist"),
    ],
)
def test_wrong_flags_of_ablate_are_refused_in_one_sentence(
    trained: Path,
    arguments: list[str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(trained)
    with pytest.raises(SystemExit) as stopped, one_sentence():
        main(["ablate", *arguments])
    assert stopped.value.code == 2 and words in capsys.readouterr().err.splitlines()[-1]


# --- attention in a notebook


@slow
def test_attention_translates_or_takes_a_given_translation(translator: Translator) -> None:
    own = attention(translator, "Il dort.", options=GREEDY)
    assert own.translation == translator.translate(["Il dort."], GREEDY)[0]
    assert attention(translator, "Il dort.", "He sleeps.").translation == "He sleeps."
    for text, message in ((" ", "empty"), ("Il dort. Tu manges.", "2 sentences")):
        with pytest.raises(UserError, match=message):
            attention(translator, text)
    for pair in (("Il dort.", "x " * 1100), ("x " * 1100, "He sleeps.")):  # the network has fewer positions
        with pytest.raises(UserError, match="tokens, EOS included: give at most 200"):
            attention(translator, *pair)


def test_a_notebook_shows_the_page_in_a_frame() -> None:
    maps = made_up(["▁</iframe>", '▁"x"'], ["▁b"])
    html = maps._repr_html_()
    assert html.count("<") == 2 and html.startswith('<iframe srcdoc="') and html.endswith("></iframe>")
    assert unescape(re.search(r'srcdoc="([^"]*)"', html)[1]) == page([maps])  # type: ignore[index]


def test_maps_are_saved_in_the_format_of_the_suffix(tmp_path: Path) -> None:
    maps = made_up(["▁a"], ["▁b"])
    assert maps.save(tmp_path / "x.html").read_text(encoding="utf-8") == page([maps])
    np.testing.assert_array_equal(np.load(maps.save(str(tmp_path / "x.npz")))["cross"], maps.cross)
    assert json.loads(maps.save(tmp_path / "x.json").read_text())["source_tokens"] == maps.source_tokens
    assert maps.save(tmp_path / "x.PNG").read_bytes().startswith(b"\x89PNG")
    drawn = maps.save(tmp_path / "x.svg").read_text(encoding="utf-8")
    assert all(title in drawn for title in ("encoder self-attention", "masked self-attention", "cross-attention"))
    for name in ("x", "x.pdf"):
        with pytest.raises(UserError, match=r"must be one of \.npz, \.json, \.png, \.svg, \.html"):
            maps.save(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        maps.save(tmp_path / "absent" / "x.npz")


def test_importing_visualization_imports_neither_matplotlib_nor_lightning() -> None:
    script = "import sys, visualization; sys.exit(any(name in sys.modules for name in ('matplotlib', 'lightning')))"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=120).returncode == 0
