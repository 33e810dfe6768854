"""Claims about taking attention maps, exporting them, and what they say about words."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up import made_up

import translate
from errors import one_sentence
from maps.__main__ import line_links, main
from maps.align import Reading, align, alignment_error_rate, best_reading, diagonal, gold_links, parse_pharaoh, pharaoh
from maps.export import export
from maps.picture import picture
from maps.report import Link, antecedent_shares, pronouns_right
from maps.sentence import KINDS, SentenceMaps, head_statistics, merge, take_maps, word_spans
from translate import Translator

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def translator(trained: Path) -> Translator:
    return Translator.load(trained / "runs" / "tiny" / "best.ckpt", device="cpu")


# --- taking maps


@pytest.mark.parametrize("beam_size", [1, 4])
def test_the_forced_pass_has_the_probability_that_the_search_found(translator: Translator, beam_size: int) -> None:
    for sentence in translator.search(["Je suis heureux.", "Le chat mange."], beam_size):
        for hypothesis in sentence.hypotheses:
            if not hypothesis.cut:
                maps = translator.maps(sentence.ids, hypothesis.tokens)
                assert maps.log_prob == pytest.approx(hypothesis.log_prob, abs=1e-4)


def test_every_row_sums_to_one_and_never_sees_the_future(translator: Translator) -> None:
    maps = translator.maps_of_pair("Le chat noir mange.", "The black cat is eating.")
    for kind in KINDS:
        np.testing.assert_allclose(maps.weights(kind).sum(-1), 1, atol=1e-5)
    future = np.triu(np.ones(maps.decoder_self.shape[-2:], dtype=bool), k=1)
    assert future.any() and (maps.decoder_self[..., future] == 0).all()
    assert maps.encoder_self.shape[:2] == (1, 2) and maps.cross.shape[:2] == (2, 2)
    assert maps.decoder_input_tokens[1:] == maps.decoder_output_tokens[:-1]


def test_looking_changes_neither_mode_nor_translation(translator: Translator) -> None:
    before = translator.translate(["Il dort."])
    translator.model.train()
    maps = take_maps(translator.model, [5, 6, 2], [7, 2], translator.tokenizer.pieces, "", "")
    assert translator.model.training
    translator.model.eval()
    assert maps.cross.shape[-2:] == (2, 3)
    assert translator.translate(["Il dort."]) == before


# --- pieces and words


def test_pieces_become_words_and_special_tokens_stay_alone() -> None:
    assert word_spans(["▁Je", "▁heur", "eux", ".", "</s>"]) == [(0, 1), (1, 4), (4, 5)]
    assert word_spans(["<s>", "x", "▁y"]) == [(0, 1), (1, 2), (2, 3)]
    assert word_spans([]) == []


def test_merging_adds_keys_and_averages_queries() -> None:
    weights = np.array([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4]])
    np.testing.assert_allclose(merge(weights, [(0, 2)], [(0, 1), (1, 3)]), [[0.2, 0.8]])


def test_head_statistics_tell_sharp_from_even_heads() -> None:
    sharp, even = np.eye(4), np.full((4, 4), 0.25)
    found = head_statistics(np.stack([sharp, even])[None], "cross")
    np.testing.assert_allclose(found["entropy"], [[0, 1]], atol=1e-6)
    np.testing.assert_allclose(found["maximum"], [[1, 0.25]])
    assert found["distance"][0, 0] == 0 and found["distance"][0, 1] > 1
    causal = np.tril(np.ones((4, 4))) / np.arange(1, 5)[:, None]
    np.testing.assert_allclose(head_statistics(causal[None, None], "decoder_self")["entropy"], [[1]], atol=1e-6)


# --- files

HOSTILE = ["▁</script>", "▁$x_1$", "▁é", "\x01", "▁عربي", "▁🙂"]


def test_exported_arrays_and_json_hold_the_weights(tmp_path: Path) -> None:
    maps = made_up(HOSTILE, ["▁a", "▁b"])
    written = export([("1", maps)], tmp_path / "new" / "folder", Reading(0, None, "output"), ["npz", "json"])
    assert [path.name for path in written] == ["1.npz", "1.json"]
    arrays = np.load(written[0], allow_pickle=False)
    said = json.loads(written[1].read_text())
    for kind in KINDS:
        assert arrays[kind].dtype == np.float32
        np.testing.assert_array_equal(arrays[kind], maps.weights(kind))
        np.testing.assert_allclose(said["attention"][kind]["weights"], maps.weights(kind), atol=1e-7)
    assert arrays["decoder_input_ids"].tolist() == maps.decoder_input_ids
    assert json.loads(str(arrays["meta"]))["source_tokens"] == said["source_tokens"] == maps.source_tokens
    assert said["alignment"] == pharaoh(align(maps, Reading(0, None, "output")))


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


def test_a_large_picture_has_fewer_dots_and_not_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maps.picture.MOST_DOTS", 1e6)
    small, large = (picture(made_up(["▁a"] * n, ["▁b"] * n), "cross", [0], [0]) for n in (2, 60))
    dots = [int.from_bytes(png[16:20]) * int.from_bytes(png[20:24]) for png in (small, large)]
    assert dots[0] < 5e5 and 0.95e6 < dots[1] < 1.02e6


def test_long_sentences_share_a_page_with_few_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maps.export.PAGE_WEIGHTS", 100)
    maps = made_up(["▁a"] * 2, ["▁b"] * 2)  # 18 + 36 + 36 weights
    written = export([(str(i), maps) for i in range(5)], tmp_path, Reading(0, None, "output"), ["html"])
    assert [path.name for path in written] == ["0.html", "2.html", "4.html"]


def test_a_layer_that_only_the_decoder_has_is_drawn_where_it_is(tmp_path: Path) -> None:
    written = export([("1", made_up(["▁a"], ["▁b"]))], tmp_path, Reading(0, None, "output"), ["png"], layers=[1])
    assert [path.name for path in written] == ["1.decoder_self.png", "1.cross.png"]


def test_translate_writes_the_attention_of_what_it_translates(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(trained)
    monkeypatch.setattr("maps.export.picture", lambda *_: b"")  # each takes a second
    lines = ["Il dort. Elle mange.", "", "Ça va ?"]
    (tmp_path / "in").write_text("\n".join(lines) + "\n", encoding="utf-8")
    translate.main([f"--input={tmp_path / 'in'}", f"--attention={tmp_path / 'look'}"])
    names = {path.name for path in (tmp_path / "look").iterdir()}
    assert {"1.1.npz", "1.2.json", "3.1.cross.svg", "3.1.encoder_self.png", "1.1.html"} <= names
    assert not any(name.startswith("2.") or name.endswith(".part") for name in names)
    said = [json.loads((tmp_path / "look" / f"1.{i}.json").read_text())["translation"] for i in (1, 2)]
    assert capsys.readouterr().out.splitlines()[0] == " ".join(said)


# --- word alignment


def planted(layer: int, head: int | None, side: str) -> tuple[SentenceMaps, set[tuple[int, int]]]:
    """Maps in which one head (or all of a layer) knows that two target words stand in reverse order."""
    maps = made_up(["▁un", "▁deux", "▁tro", "is"], ["▁two", "▁o", "ne", "▁three"])
    piece_links = {0: 1, 1: 0, 2: 0, 3: 2}  # target piece -> source piece
    for t, s in piece_links.items():
        row = t + 1 if side == "input" else t
        maps.cross[layer, slice(None) if head is None else head, row] = np.eye(5)[s] * 0.9 + 0.02
    return maps, {(0, 1), (1, 0), (2, 2)}


@pytest.mark.parametrize("reading", [Reading(1, 0, "output"), Reading(0, 1, "input")])
def test_the_head_that_aligns_is_found(reading: Reading) -> None:
    maps, gold = planted(*reading)
    assert align(maps, reading) == gold
    assert best_reading([maps], [gold]) == reading
    assert alignment_error_rate([align(maps, reading)], [gold]) == 0


def test_alignment_error_counts_missing_and_false_links() -> None:
    assert alignment_error_rate([{(0, 0), (1, 2)}], [{(0, 0), (1, 1)}]) == 0.5
    assert parse_pharaoh(pharaoh({(1, 2), (0, 0)})) == {(1, 2), (0, 0)} and pharaoh({(1, 2), (0, 0)}) == "0-0 1-2"
    assert diagonal(3, 3) == {(0, 0), (1, 1), (2, 2)}
    assert gold_links([{"alignment": "0-1 2-3"}], "en") == [{(1, 0), (3, 2)}]


def test_words_of_several_sentences_are_counted_through() -> None:
    reading = Reading(1, 0, "output")
    maps, gold = planted(*reading)
    assert line_links([maps, maps], reading) == gold | {(s + 3, t + 3) for s, t in gold}


# --- pronouns


def test_the_head_that_finds_the_antecedent_is_counted() -> None:
    maps = made_up(["▁La", "▁fille", "▁voit", "▁le", "▁chat", "▁elle"], ["▁x"])
    link = Link(pronoun=5, antecedent=1, nouns=[1, 4], pronoun_translated=0)
    maps.encoder_self[0, 0, 5] = [0.6, 0.2, 0, 0, 0.1, 0, 0.1]  # strongest of all is no noun: nouns alone count
    maps.encoder_self[0, 1, 5] = [0, 0.1, 0, 0, 0.2, 0.7, 0]
    shares, chance = antecedent_shares([maps], [link])
    assert shares.tolist() == [[1.0, 0.0]] and chance == 0.5


def test_a_pronoun_is_right_at_its_place_only() -> None:
    link = Link(0, 0, [0], pronoun_translated=1)
    assert pronouns_right(["But It runs."], ["But it is running."], [link]) == 1
    assert pronouns_right(["It runs", "x"], ["But it runs", "But it"], [link, link]) == 0


# --- the door


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
        (["walkthrough", "a", "--output=absent/file.html"], "absent/file.html"),
        (["walkthrough", "Il dort. Tu manges.", "--output=lesson.html"], "one sentence"),
        (["walkthrough", "a", "--output=lesson.html", "--layer=1"], "layer 1"),
        (["align", "--input=absent", "--output=links"], "absent is missing"),
        (["report"], "phrasebook"),
        (["report", "--checkpoint=other"], "other is missing"),
    ],
)
def test_a_wrong_look_is_refused_in_a_sentence(
    trained: Path, arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(trained)
    with pytest.raises(SystemExit) as stopped, one_sentence():
        main(arguments)
    err = capsys.readouterr().err
    assert stopped.value.code == 2 and words in err.splitlines()[-1]
    assert not list(trained.glob("*.part")) and not (trained / "lesson.html").exists()


@pytest.mark.usefixtures("small_phrasebook")
def test_the_report_counts_alignment_and_pronouns(trained: Path, tmp_path: Path, capsys: Captured) -> None:
    checkpoint = torch.load(trained / "runs" / "tiny" / "best.ckpt", weights_only=True)
    checkpoint["datamodule_hyper_parameters"] |= {"path": "phrasebook", "streaming": True}
    torch.save(checkpoint, tmp_path / "other.ckpt")
    main(["report", f"--checkpoint={tmp_path / 'other.ckpt'}", "--beam_size=1"])
    said = capsys.readouterr().out
    shares = [float(share) for share in re.findall(r"([\d.]+)%", said)]
    assert len(shares) >= 7 and all(0 <= share <= 100 for share in shares)
    assert "of 185 that stand for a noun" in said and "62 test sentences with a choice of nouns" in said
    assert "1,000 test pairs" in said and "of the diagonal" in said and "head 1" in said and "--start" in said


def test_align_writes_a_line_for_each_line(trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.chdir(trained)
    Path("in.fr").write_text("Il dort. Tu manges.\n\nÇa va ?\n", encoding="utf-8")
    Path("in.en").write_text("He is sleeping. You eat.\n\nHow are you?\n", encoding="utf-8")
    main(["align", "--input=in.fr", "--output=links", "--target=in.en", "--layer=0", "--head=1"])
    lines = Path("links").read_text().split("\n")
    assert len(lines) == 4 and lines[1] == lines[3] == "" and lines[0] and lines[2]
    assert {t for _, t in parse_pharaoh(lines[0])} == {0, 1, 2, 3, 4}  # every target word has a link
    main(["align", "--input=in.fr", "--output=links"])
    assert "taking the mean" in capsys.readouterr().err


# --- going on with a file


def test_an_interrupted_translation_goes_on_to_the_same_bytes(
    trained: Path, tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained)
    monkeypatch.setattr(translate, "WINDOW", 4)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    flags = [f"--input={corpus / 'test.fr'}", "--beam_size=2"]
    translate.main([*flags, f"--output={whole}"])
    part = tmp_path / "killed.part"
    part.write_bytes(whole.read_bytes()[: whole.read_bytes().index(b"\n") * 9 + 3])
    before = part.read_bytes().count(b"\n")
    searched: list[str] = []
    search = Translator.search

    def counting(self: Translator, texts: list[str], *args: object, **kwargs: object) -> object:
        searched.extend(texts)
        return search(self, texts, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Translator, "search", counting)
    translate.main([*flags, f"--output={killed}", "--resume"])
    assert killed.read_bytes() == whole.read_bytes() and not part.exists()
    assert before >= 4 and len(searched) == 20 - before // 4 * 4


@torch.no_grad()
def test_lone_surrogates_become_replacement_characters(translator: Translator) -> None:
    assert translator.translate(["a \ud800 b"]) == translator.translate(["a \ufffd b"])
