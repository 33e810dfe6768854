"""Claims about recording attention maps, exporting them, and aligning words by them."""

import base64
import hashlib
import json
import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up import made_up

import translate
from constants import BOS, EOS, MAX_TOKENS
from errors import UserError, one_sentence
from model import Transformer, TransformerConfig
from translation.hypothesis import SearchOptions
from translation.translator import Translator
from visualization.align import (
    Reading,
    align,
    align_line,
    alignment_error_rate,
    best_reading,
    default_reading,
    diagonal,
    gold_links,
    parse_pharaoh,
    pharaoh,
)
from visualization.export import export
from visualization.picture import picture
from visualization.report import PronounLink, antecedent_accuracy, pronoun_accuracy
from visualization.sentence import (
    KINDS,
    SentenceMaps,
    head_statistics,
    maps_of,
    maps_of_pair,
    merge,
    take_maps,
    word_spans,
)
from visualization.template import fill
from visualize import main

Captured = pytest.CaptureFixture[str]
slow = pytest.mark.slow  # needs a trained checkpoint


@pytest.fixture(scope="module")
def translator(trained: Path) -> Translator:
    return Translator.load(trained / "runs" / "tiny" / "best.ckpt", device="cpu")


# --- recording maps


@slow
@pytest.mark.parametrize("beam_size", [1, 4])
def test_the_forced_pass_has_the_log_probability_of_the_search(translator: Translator, beam_size: int) -> None:
    for sentence in translator.search(
        ["Je suis heureux.", "Le chat mange."], SearchOptions(beam_size, n_best=beam_size, no_repeat_ngram_size=0)
    ):
        for hypothesis in sentence.hypotheses:
            if not hypothesis.cut:
                maps = maps_of(translator, sentence.ids, hypothesis.tokens)
                assert maps.log_prob == pytest.approx(hypothesis.log_prob, abs=1e-4)


@slow
def test_every_row_sums_to_one_and_has_no_weight_on_later_tokens(translator: Translator) -> None:
    maps = maps_of_pair(translator, "Le chat noir mange.", "The black cat is eating.")
    for kind in KINDS:
        np.testing.assert_allclose(maps.weights(kind).sum(-1), 1, atol=1e-5)
    future = np.triu(np.ones(maps.decoder_self.shape[-2:], dtype=bool), k=1)
    assert future.any() and (maps.decoder_self[..., future] == 0).all()
    assert maps.encoder_self.shape[:2] == (1, 2) and maps.cross.shape[:2] == (2, 2)
    assert maps.decoder_input_tokens[1:] == maps.decoder_output_tokens[:-1]


@slow
def test_recording_changes_neither_mode_nor_translation(translator: Translator) -> None:
    before = translator.translate(["Il dort."])
    translator.model.train()
    maps = take_maps(translator.model, [5, 6, EOS], [7, EOS], translator.tokenizer)
    assert translator.model.training
    translator.model.eval()
    assert maps.cross.shape[-2:] == (2, 3)
    assert translator.translate(["Il dort."]) == before


class Numbers:
    """Stands in for a `Tokenizer`: the token of an id is its number."""

    def tokens(self, ids: list[int]) -> list[str]:
        return [f"▁{id}" for id in ids]

    def decode(self, rows: list[list[int]]) -> list[str]:
        return [" ".join(map(str, row)) for row in rows]


def test_maps_append_eos_to_a_hypothesis_that_the_length_limit_has_cut() -> None:
    model = Transformer(TransformerConfig(10, d_model=8, n_heads=2, n_encoder_layers=1, n_decoder_layers=1, d_ff=8))
    cut, complete = (take_maps(model, [5, EOS], ids, Numbers()) for ids in ([6, 7], [6, 7, EOS]))  # type: ignore[arg-type]
    assert cut.decoder_output_ids == [6, 7, EOS] and cut.decoder_input_ids == [BOS, 6, 7]
    assert cut.cross.shape[-2:] == (3, 2)
    for kind in KINDS:
        np.testing.assert_array_equal(cut.weights(kind), complete.weights(kind))


def test_maps_of_a_cut_hypothesis_fit_the_positions_of_the_network() -> None:
    model = Transformer(TransformerConfig(10, d_model=8, n_heads=1, n_encoder_layers=1, n_decoder_layers=1, d_ff=8))
    maps = take_maps(model, [5, EOS], [6] * MAX_TOKENS, Numbers())  # type: ignore[arg-type]
    assert maps.decoder_output_ids == [*[6] * (MAX_TOKENS - 1), EOS]


# --- tokens and words


def test_tokens_become_words_and_special_tokens_are_words_of_their_own() -> None:
    assert word_spans(["▁Je", "▁heur", "eux", ".", "</s>"]) == [(0, 1), (1, 4), (4, 5)]
    assert word_spans(["<s>", "x", "▁y"]) == [(0, 1), (1, 2), (2, 3)]
    assert word_spans([]) == []


def test_merging_adds_keys_and_averages_queries() -> None:
    weights = np.array([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4]])
    np.testing.assert_allclose(merge(weights, [(0, 2)], [(0, 1), (1, 3)]), [[0.2, 0.8]])


def test_head_statistics_differ_between_sharp_and_even_heads() -> None:
    sharp, even = np.eye(4), np.full((4, 4), 0.25)
    found = head_statistics(np.stack([sharp, even])[None], "cross")
    np.testing.assert_allclose(found["entropy"], [[0, 1]], atol=1e-6)
    np.testing.assert_allclose(found["maximum"], [[1, 0.25]])
    assert found["distance"][0, 0] == 0 and found["distance"][0, 1] > 1
    causal = np.tril(np.ones((4, 4))) / np.arange(1, 5)[:, None]
    np.testing.assert_allclose(head_statistics(causal[None, None], "decoder_self")["entropy"], [[1]], atol=1e-6)


# --- files

HOSTILE = ["▁</script>", "▁$x_1$", "▁é", "\x01", "▁عربي", "▁🙂"]


def test_exported_arrays_and_json_contain_the_weights(tmp_path: Path) -> None:
    maps = made_up(HOSTILE, ["▁a", "▁b"])
    written = export([("1", maps)], tmp_path / "new" / "folder", Reading(0, None, "output"), ["npz", "json"])
    assert [path.name for path in written] == ["1.npz", "1.json"]
    arrays = np.load(written[0], allow_pickle=False)
    exported = json.loads(written[1].read_text())
    for kind in KINDS:
        assert arrays[kind].dtype == np.float32
        np.testing.assert_array_equal(arrays[kind], maps.weights(kind))
        np.testing.assert_allclose(exported["attention"][kind]["weights"], maps.weights(kind), atol=1e-7)
    assert arrays["decoder_input_ids"].tolist() == maps.decoder_input_ids
    assert json.loads(str(arrays["meta"]))["source_tokens"] == exported["source_tokens"] == maps.source_tokens
    assert exported["alignment"] == pharaoh(align(maps, Reading(0, None, "output")))


@pytest.mark.parametrize("form", ["png", "svg"])
def test_pictures_show_the_chosen_heads_of_any_tokens(form: str) -> None:
    maps = made_up(HOSTILE, ["▁a"] * 3)
    one, every = picture(maps, "cross", [1], [0], form), picture(maps, "cross", form=form)  # type: ignore[arg-type]
    assert len(one) < len(every)
    assert one == picture(maps, "cross", [1], [0], form)  # type: ignore[arg-type]
    if form == "svg":
        ET.fromstring(every)
        assert b"layer 1, head 0" in one and b"layer 0" not in one and b"layer 0, head 1" in every
    else:
        assert every.startswith(b"\x89PNG")


def test_a_large_picture_has_about_the_largest_number_of_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visualization.picture.MAX_PIXELS", 1e6)
    small, large = (picture(made_up(["▁a"] * n, ["▁b"] * n), "cross", [0], [0]) for n in (2, 60))
    n_pixels = [int.from_bytes(png[16:20]) * int.from_bytes(png[20:24]) for png in (small, large)]
    assert n_pixels[0] < 5e5 and 0.95e6 < n_pixels[1] < 1.02e6


def test_a_page_of_long_sentences_contains_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visualization.export.MAX_PAGE_WEIGHTS", 100)
    maps = made_up(["▁a"] * 2, ["▁b"] * 2)  # 18 + 36 + 36 weights
    written = export([(str(i), maps) for i in range(5)], tmp_path, Reading(0, None, "output"), ["html"])
    assert [path.name for path in written] == ["0.html", "2.html", "4.html"]


def test_a_layer_that_only_the_decoder_has_is_drawn_for_the_decoder_only(tmp_path: Path) -> None:
    written = export([("1", made_up(["▁a"], ["▁b"]))], tmp_path, Reading(0, None, "output"), ["png"], layers=[1])
    assert [path.name for path in written] == ["1.decoder_self.png", "1.cross.png"]


@slow
def test_translate_writes_the_attention_of_its_translations(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(trained)
    monkeypatch.setattr("visualization.export.picture", lambda *_: b"")  # a picture takes a second
    lines = ["Il dort. Elle mange.", "", "Ça va ?"]
    (tmp_path / "in").write_text("\n".join(lines) + "\n", encoding="utf-8")
    translate.main([f"--input={tmp_path / 'in'}", f"--attention={tmp_path / 'maps'}"])
    names = {path.name for path in (tmp_path / "maps").iterdir()}
    assert {"1.1.npz", "1.2.json", "3.1.cross.svg", "3.1.encoder_self.png", "1.1.html"} <= names
    assert not any(name.startswith("2.") or name.endswith(".part") for name in names)
    translations = [json.loads((tmp_path / "maps" / f"1.{i}.json").read_text())["translation"] for i in (1, 2)]
    assert capsys.readouterr().out.splitlines()[0] == " ".join(translations)


def policy_of(html: str) -> dict[str, str]:
    """Return the directives of a page's content security policy."""
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)[1]  # type: ignore[index]
    return dict(directive.strip().split(" ", 1) for directive in policy.split(";"))


@pytest.mark.parametrize("template", ["attention.html", "lesson.html", "history.html"])
def test_a_page_loads_nothing_and_its_policy_allows_its_own_scripts_and_styles_only(template: str) -> None:
    html = fill(template, {"token": "</script><script>alert(1)</script>"})
    directives = policy_of(html)
    assert directives["default-src"] == directives["base-uri"] == directives["form-action"] == "'none'"
    for tag in ("script", "style"):
        contents = re.findall(rf"<{tag}>(.*?)</{tag}>", html, flags=re.DOTALL)
        hashes = [base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() for content in contents]
        assert hashes and directives[f"{tag}-src"].split() == [f"'sha256-{hash}'" for hash in hashes]
    assert not re.search(r"<(link|script|img)[^>]* (href|src)=", html) and "__DATA__" not in html
    assert html.count("<script") == html.count("</script>") == html.count("<script>") + 1  # the data


def test_the_policy_of_the_live_page_allows_the_pages_that_it_shows_in_a_frame_and_nothing_else() -> None:
    html = fill("live.html", {"token": "</script>__DATA__"})
    own, lesson, attention = (policy_of(page) for page in (html, fill("lesson.html", {}), fill("attention.html", {})))
    for directive in ("script-src", "style-src"):
        framed = {*lesson[directive].split(), *attention[directive].split()}
        rest = set(own[directive].split()) - framed
        tag = directive.removesuffix("-src")
        contents = re.findall(rf"<{tag}(?: data-worker)?>(.*?)</{tag}>", html, flags=re.DOTALL)
        hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(c.encode()).digest()).decode()}'" for c in contents}
        assert framed < set(own[directive].split()) and rest <= hashes <= rest | framed
    assert own["frame-src"] == own["worker-src"] == "blob:"
    names = {"default-src", "script-src", "style-src", "img-src", "worker-src", "frame-src", "base-uri", "form-action"}
    assert own.keys() == names and own["default-src"] == "'none'"
    pages = re.findall(r'<script type="application/json" data-page="([\w.]+)">(.*?)</script>', html, flags=re.DOTALL)
    assert ["{}".join(json.loads(content)) for _, content in pages] == [fill(name, {}) for name, _ in pages]
    assert [name for name, _ in pages] == ["lesson.html", "attention.html"]


# --- word alignment


def aligned_maps(layer: int, head: int | None, side: str) -> tuple[SentenceMaps, set[tuple[int, int]]]:
    """Return maps in which one head (or all heads of a layer) aligns a pair whose first two words are swapped."""
    maps = made_up(["▁un", "▁deux", "▁tro", "is"], ["▁two", "▁o", "ne", "▁three"])
    token_links = {0: 1, 1: 0, 2: 0, 3: 2}  # target token -> source token
    for t, s in token_links.items():
        row = t + 1 if side == "input" else t
        maps.cross[layer, slice(None) if head is None else head, row] = np.eye(5)[s] * 0.9 + 0.02
    return maps, {(0, 1), (1, 0), (2, 2)}


@pytest.mark.parametrize("reading", [Reading(1, 0, "output"), Reading(0, 1, "input")])
def test_best_reading_is_the_head_that_aligns(reading: Reading) -> None:
    maps, gold = aligned_maps(*reading)
    assert align(maps, reading) == gold
    assert best_reading([maps], [gold]) == reading
    assert alignment_error_rate([align(maps, reading)], [gold]) == 0


def test_the_default_reading_is_the_checkpoints_or_the_usual_one() -> None:
    translator = Translator.__new__(Translator)
    translator.model = Transformer(TransformerConfig(10, d_model=8, n_heads=2, n_decoder_layers=3))
    translator.alignment = {"layer": None, "head": None, "side": "input"}
    assert default_reading(translator) == Reading(None, None, "input")
    translator.alignment = None
    assert default_reading(translator) == Reading(1, None, "output")
    for changes in ({"layer": 3}, {"layer": "0"}, {"head": 2}, {"side": "left"}, {"other": 1}):
        translator.alignment = {"layer": 0, "head": 1, "side": "input"} | changes
        with pytest.raises(UserError, match="does not fit its network"):
            default_reading(translator)


def test_alignment_error_counts_missing_and_false_links() -> None:
    assert alignment_error_rate([{(0, 0), (1, 2)}], [{(0, 0), (1, 1)}]) == 0.5
    assert parse_pharaoh(pharaoh({(1, 2), (0, 0)})) == {(1, 2), (0, 0)} and pharaoh({(1, 2), (0, 0)}) == "0-0 1-2"
    assert diagonal(3, 3) == {(0, 0), (1, 1), (2, 2)}
    assert gold_links([{"alignment": "0-1 2-3"}], "en") == [{(1, 0), (3, 2)}]


def test_words_of_several_sentences_are_counted_through_the_line() -> None:
    reading = Reading(1, 0, "output")
    maps, gold = aligned_maps(*reading)
    assert align_line([maps, maps], reading) == gold | {(s + 3, t + 3) for s, t in gold}


# --- pronouns


def test_antecedent_accuracy_compares_the_weights_of_nouns_only() -> None:
    maps = made_up(["▁La", "▁fille", "▁voit", "▁le", "▁chat", "▁elle"], ["▁x"])
    link = PronounLink(pronoun=5, antecedent=1, nouns=[1, 4], pronoun_translated=0)
    maps.encoder_self[0, 0, 5] = [0.6, 0.2, 0, 0, 0.1, 0, 0.1]  # the largest weight is not on a noun
    maps.encoder_self[0, 1, 5] = [0, 0.1, 0, 0, 0.2, 0.7, 0]
    accuracy, chance = antecedent_accuracy([maps], [link])
    assert accuracy.tolist() == [[1.0, 0.0]] and chance == 0.5


def test_a_pronoun_is_correct_at_its_position_only() -> None:
    link = PronounLink(0, 0, [0], pronoun_translated=1)
    assert pronoun_accuracy(["But It runs."], ["But it is running."], [link]) == 1
    assert pronoun_accuracy(["It runs", "x"], ["But it runs", "But it"], [link, link]) == 0


# --- the program


@pytest.mark.parametrize("command", [["lesson", "a"], ["live"], ["align", "--input=in"], ["history"]])
@pytest.mark.parametrize("output", [".", "absent/file", "pipe"])
def test_a_wrong_output_is_refused_before_a_model_is_read(
    command: list[str], output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    monkeypatch.setattr(Translator, "load", lambda *_: pytest.fail("a model is read"))
    with pytest.raises(UserError, match=f"--output {re.escape(output)}"):
        main([*command, f"--output={output}"])


@slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", " ", "--output=out"], "empty"),
        (["export", "a", "--output=out", "--target=" + "x " * 300], "--target has"),
        (["export", "a", "b", "--output=out", "--target=c"], "one sentence"),
        (["export", "a", "--output=runs/tiny/best.ckpt"], "cannot be a folder"),
        (["export", "a", "--output=out", "--layer=2"], "--layer 2"),
        (["export", "a", "--output=out", "--head=9"], "--head 9"),
        (["export", "a", "--output=out", "--picture_layers", "7"], "--picture_layers 7"),
        (["export", "a", "--output=out", "--beam_size=0"], "beam_size"),
        (["lesson", "a", "--output=absent/file.html"], "absent/file.html"),
        (["lesson", "Il dort. Tu manges.", "--output=lesson.html"], "one sentence"),
        (["lesson", "a", "--output=lesson.html", "--layer=1"], "layer 1"),
        (["align", "--input=absent", "--output=links"], "absent is missing"),
        (["report"], "phrasebook"),
        (["report", "--checkpoint=other"], "other is missing"),
    ],
)
def test_wrong_flags_are_refused_in_one_sentence(
    trained: Path, arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(trained)
    with pytest.raises(SystemExit) as stopped, one_sentence():
        main(arguments)
    err = capsys.readouterr().err
    assert stopped.value.code == 2 and words in err.splitlines()[-1]
    assert not list(trained.glob("*.part")) and not (trained / "lesson.html").exists()


@slow
@pytest.mark.usefixtures("small_phrasebook")
def test_the_report_measures_alignment_and_pronouns(trained: Path, tmp_path: Path, capsys: Captured) -> None:
    checkpoint = torch.load(trained / "runs" / "tiny" / "best.ckpt", weights_only=True)
    checkpoint["datamodule_hyper_parameters"] |= {"path": "phrasebook", "streaming": True}
    path = tmp_path / "phrasebook.ckpt"
    torch.save(checkpoint, path)
    rows = list(Translator.load(path).corpus().load()["test"])
    n_pronouns = sum(row["pronoun_fr"] >= 0 for row in rows)
    n_choices = sum(len(row["nouns_fr"]) > 1 for row in rows)
    main(["report", f"--checkpoint={path}", "--beam_size=1"])
    report = capsys.readouterr().out
    percentages = [float(number) for number in re.findall(r"([\d.]+)%", report)]
    assert len(percentages) >= 7 and all(0 <= number <= 100 for number in percentages)
    assert 0 < n_choices < n_pronouns < len(rows) == 200
    assert f"of {n_pronouns} that stand for a noun" in report
    assert f"{n_choices} test sentences with more than one noun" in report
    assert "200 test pairs" in report and "of the diagonal" in report and "head 1" in report and "--start" in report


@slow
def test_align_writes_a_line_for_each_line(trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.chdir(trained)
    Path("in.fr").write_text("Il dort. Tu manges.\n\nÇa va ?\n", encoding="utf-8")
    Path("in.en").write_text("He is sleeping. You eat.\n\nHow are you?\n", encoding="utf-8")
    main(["align", "--input=in.fr", "--output=links", "--target=in.en", "--layer=0", "--head=1"])
    lines = Path("links").read_text().split("\n")
    assert len(lines) == 4 and lines[1] == lines[3] == "" and lines[0] and lines[2]
    assert {t for _, t in parse_pharaoh(lines[0])} == {0, 1, 2, 3, 4}  # every target word has a link
    main(["align", "--input=in.fr", "--output=links"])
    assert "the mean of decoder layer 0 is used" in capsys.readouterr().err


# --- translate.py


@slow
def test_a_resumed_translation_equals_an_uninterrupted_one(
    trained: Path, tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained)
    monkeypatch.setattr(translate, "WINDOW", 4)
    complete, killed = tmp_path / "complete", tmp_path / "killed"
    flags = [f"--input={corpus / 'test.fr'}", "--beam_size=2"]
    translate.main([*flags, f"--output={complete}"])
    part = tmp_path / "killed.part"
    lines = complete.read_bytes().splitlines(keepends=True)
    part.write_bytes(b"".join(lines[:9]) + lines[9][:3])  # two windows, one line and the start of the next
    searched: list[str] = []
    search = Translator.search

    def counting_search(self: Translator, texts: list[str], *args: object, **kwargs: object) -> object:
        searched.extend(texts)
        return search(self, texts, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Translator, "search", counting_search)
    translate.main([*flags, f"--output={killed}", "--resume"])
    assert killed.read_bytes() == complete.read_bytes() and not part.exists()
    assert len(lines) == 20 and len(searched) == 12  # the two complete windows are not translated again


@slow
def test_lone_surrogates_become_replacement_characters(translator: Translator) -> None:
    assert translator.translate(["a \ud800 b"]) == translator.translate(["a \ufffd b"])
