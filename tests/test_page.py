"""Claims about the attention page, driven in a headless browser with the network off."""

import base64
import csv
import gzip
import io
import json
import re
import xml.etree.ElementTree as ElementTree
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from made_up import made_up

from maps.page import page
from maps.sentence import KINDS, merge, word_spans

pytest_plugins = ["browser"]

HOSTILE = [
    "</script>",
    "<!--",
    "<img src=x onerror=alert(1)>",
    "&amp;",
    "a\u2028b",
    "مرحبا",
    "👩‍🔬",
    "\ud800",
    "__DATA__",
]
WIDE = {"viewport": {"width": 1440, "height": 900}}


FRENCH, ENGLISH = ["▁La", "▁chat", "te", "▁dort", "."], ["▁The", "▁ca", "t", "▁is", "▁sleep", "ing", "."]
sentence = partial(made_up, n_layers=(2, 3), n_heads=4)
PLAIN = sentence(FRENCH, ENGLISH)
SHORT = sentence([], [], seed=1)  # nothing but the end mark
WRITTEN = [PLAIN, sentence(HOSTILE, HOSTILE[::-1], seed=2), SHORT]
LONG = sentence([f"▁mot{i}" for i in range(199)], [f"▁word{i}" for i in range(199)], seed=3)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "small.html"
    file.write_text(page(WRITTEN), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "large.html"
    file.write_text(page([LONG, PLAIN]), encoding="utf-8")
    return file


def shown(tab):
    """The browser's page, once everything asked for is on it."""
    tab.page.locator("main[aria-busy=false]").wait_for(state="attached")
    return tab.page


def press(view, *keys: str) -> None:
    for key in keys:
        view.keyboard.press(key)
        view.evaluate("() => keysDone")


def go(view, fragment: str) -> None:
    """Show something else on an open page, as its address would."""
    view.evaluate("(fragment) => restore(fragment)", fragment)


def readout(view) -> str:
    return view.text_content("#readout")


def download(view, button: str) -> bytes:
    with view.expect_download() as saved:
        view.click(button)
    return Path(saved.value.path()).read_bytes()


def written(text: str) -> dict:
    """The data that a page carries."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


# --- the file


def test_a_usual_sentence_takes_half_a_megabyte_at_most() -> None:
    usual = sentence([f"▁m{i}" for i in range(29)], [f"▁w{i}" for i in range(29)], n_layers=(6, 6), n_heads=8)
    assert len(page([usual]).encode()) <= 500_000


def test_large_pages_are_compressed_and_small_ones_are_not() -> None:
    assert not written(page([PLAIN]))["compressed"]
    data = written(page([LONG]))
    raw = gzip.decompress(base64.b64decode(data["sentences"][0]["maps"]["cross"]["weights"]))
    assert data["compressed"] and np.frombuffer(raw, "<u2").size == LONG.cross.size


def test_the_same_sentences_give_the_same_page() -> None:
    assert page([LONG]) == page([LONG])


# --- the numbers


@pytest.mark.parametrize("name", ["small", "large"])
def test_decoded_weights_are_those_of_the_arrays(visit, request: pytest.FixtureRequest, name: str) -> None:
    view = shown(visit(request.getfixturevalue(name)))
    for s, maps in enumerate(WRITTEN if name == "small" else [LONG]):
        for kind in KINDS:
            # As base64 of float32: a list of two million numbers would take the browser's wire a minute.
            text = view.evaluate(
                """async ([s, kind]) => {
                  const raw = new Uint8Array((await weightsOf(s, kind)).buffer);
                  let text = "";
                  for (let i = 0; i < raw.length; i += 9999) text += String.fromCharCode(...raw.subarray(i, i + 9999));
                  return btoa(text);
                }""",
                [s, kind],
            )
            decoded = np.frombuffer(base64.b64decode(text), "<f4").astype(np.float64)
            error = np.abs(decoded - maps.weights(kind).ravel()).max()
            assert error <= 1 / 131070 + 1e-7, (s, kind)  # the float32 in which the browser keeps them


def test_known_cells_show_known_values(visit, small: Path) -> None:
    view = shown(visit(small, "k=cross&l=2&h=1&q=3&c=1"))
    assert f"weight {PLAIN.cross[2, 1, 3, 1]:.3f}" in readout(view)
    assert "reads ▁t" not in readout(view) and "reads t, predicts ▁is" in readout(view)
    view.hover(".cells", position={"x": 1, "y": 1})
    assert f"weight {PLAIN.cross[2, 1, 0, 0]:.3f}" in readout(view)
    assert "reads <s>, predicts ▁The" in readout(view)


def test_the_mean_of_heads_is_their_mean(visit, small: Path) -> None:
    view = shown(visit(small, "k=encoder_self&l=1&h=mean&q=2&c=4"))
    assert f"weight {PLAIN.encoder_self[1, :, 2, 4].mean():.3f}" in readout(view)


def test_words_add_keys_and_average_queries(visit, small: Path) -> None:
    view = shown(visit(small, "k=cross&l=0&h=0&w=1&q=1&c=1"))
    words = merge(PLAIN.cross, word_spans(PLAIN.decoder_output_tokens), word_spans(PLAIN.source_tokens))
    assert "predicts cat" in readout(view) and "chatte" in readout(view)
    assert f"weight {words[0, 0, 1, 1]:.3f}" in readout(view)


def test_going_to_words_and_back_keeps_the_place(visit, small: Path) -> None:
    view = shown(visit(small, "k=cross&l=0&h=0&q=5&c=3&p=5"))
    press(view, "w")
    assert "predicts sleeping." in readout(view) and "dort" in readout(view)
    press(view, "w")
    assert "predicts ▁sleep" in readout(view)


def test_hidden_tokens_leave_the_others_as_they_were(visit, small: Path) -> None:
    view = shown(visit(small, "k=cross&l=0&h=0&q=3&c=1&x=1&p=3"))
    row = PLAIN.cross[0, 0, 3]
    assert f"weight {row[1]:.3f}" in readout(view)
    assert f"{row[-1]:.3f}" in view.text_content(".facts")  # the mass on </s>
    labels = view.locator(".columns .label").all_text_contents()
    assert labels == FRENCH


def test_masked_cells_are_no_zeros(visit, small: Path) -> None:
    view = shown(visit(small, "k=decoder_self&l=0&h=0&q=1&c=4"))
    assert "masked" in readout(view) and "weight" not in readout(view)
    alphas = view.evaluate(
        """() => {
          const {width, height} = document.querySelector(".cells canvas");
          const {data} = document.querySelector(".cells canvas").getContext("2d").getImageData(0, 0, width, height);
          return [...data].filter((_, i) => i % 4 === 3);
        }"""
    )
    assert alphas == (255 * np.tri(len(PLAIN.decoder_input_ids), dtype=int)).ravel().tolist()
    rows = list(csv.reader(io.StringIO(download(view, "#csv").decode())))
    assert rows[1][2:] == [f"{PLAIN.decoder_self[0, 0, 0, 0]:.6f}", *[""] * len(ENGLISH)]


def test_darker_cells_are_larger_weights(visit, small: Path) -> None:
    view = shown(visit(small, "k=cross&l=1&h=2"))
    ramp = view.evaluate("() => colours.palette.map(([r, g, b]) => 0.2126 * r + 0.7152 * g + 0.0722 * b)")
    assert all(low >= high for low, high in zip(ramp, ramp[1:], strict=False)) and ramp[0] > 2 * ramp[-1]


# --- hostile text


def test_hostile_tokens_appear_literally(visit, small: Path) -> None:
    view = shown(visit(small, "s=1&k=cross"))
    expected = [token.replace("\ud800", "\ufffd") for token in HOSTILE]  # on the way out; it is whole in the page
    for labels, tokens in ((".columns .label", [*expected, "</s>"]), (".rows .reads", ["<s>", *expected[::-1]])):
        assert [text.replace("\ud800", "\ufffd") for text in view.locator(labels).all_text_contents()] == tokens
    assert view.locator("img").count() == 0
    assert view.locator("script").count() == 2
    assert all(token in view.text_content("#source") for token in HOSTILE[:7])


def test_a_downloaded_svg_is_xml_whatever_the_tokens_say(visit, small: Path) -> None:
    view = shown(visit(small))
    for look in ["s=1&k=cross", "s=1&k=decoder_self&w=1", "s=1&k=encoder_self&v=lines"]:
        go(view, look)
        picture = ElementTree.fromstring(download(view, "#svg"))
        texts = [node.text for node in picture.iter("{http://www.w3.org/2000/svg}text")]
        assert {"query", "key"} <= set(texts)
        assert all(token in "".join(texts) for token in [*HOSTILE[:7], "\ufffd"])
    go(view, "s=2&x=1")  # nothing is left to draw
    ElementTree.fromstring(download(view, "#svg"))


def test_control_characters_are_seen_in_a_picture(visit, small: Path) -> None:
    view = shown(visit(small))
    assert view.evaluate(r"""() => printable("a\u0000b\n\u007f\ufffe\ud800c")""") == "a␀b␊␡��c"


# --- use


def test_the_keyboard_does_everything(visit, small: Path) -> None:
    view = shown(visit(small))
    press(view, "k", "l", "h")  # from cross and the last layer, the mean of heads, round to the first of each
    assert view.text_content("#title-0") == "Encoder self-attention · layer 0 · head 0"
    press(view, "L", "H", "k", "L", "m", "h")
    assert view.text_content("#title-0") == "Decoder self-attention · layer 0 · head 0"
    press(view, "ArrowDown", "ArrowDown", "ArrowRight")
    assert f"weight {PLAIN.decoder_self[0, 0, 1, 1]:.3f}" in readout(view)
    press(view, "Enter", "ArrowDown")
    assert "Query 1, pinned" in view.text_content("#details") and "Query 2 " in readout(view)
    press(view, "Escape")
    assert "pinned" not in view.text_content("#details")
    press(view, "v")
    assert view.locator("canvas.all").count() == 1
    press(view, "v", "x", "w")
    assert view.locator(".columns .label").all_text_contents() == ["The", "cat", "is", "sleeping."]
    press(view, "x", "c", "h", "o")
    assert "head 0" in view.text_content(".panel.active h2")
    press(view, "o")
    assert "head 2" in view.text_content(".panel.active h2")
    press(view, "c", "s")
    assert view.text_content("#source") == WRITTEN[1].source
    press(view, "?")
    assert view.locator("#help").is_visible()
    press(view, "Escape")
    assert not view.locator("#help").is_visible()


def test_arrows_move_the_choice_in_tabs_and_in_the_grid_of_heads(visit, small: Path) -> None:
    view = shown(visit(small, "k=encoder_self&l=0&h=0"))
    view.focus("[role=tab][aria-selected=true]")
    press(view, "ArrowRight")
    assert view.text_content("[role=tab]:focus") == "Decoder"
    view.focus(".heads button[aria-pressed=true]")
    press(view, "ArrowDown", "ArrowRight")
    assert view.get_attribute(":focus", "id") == "head-1-1"
    assert view.text_content("#title-0") == "Decoder self-attention · layer 1 · head 1"


def test_a_click_pins_and_the_second_lets_go(visit, small: Path) -> None:
    view = shown(visit(small, "k=cross&l=0&h=0"))
    view.click(".cells", position={"x": 3, "y": 3})
    assert "Query 0, pinned" in view.text_content("#details")
    weights = [float(text) for text in view.locator(".details tbody td:nth-child(3)").all_inner_texts()]
    assert np.allclose(weights, np.sort(PLAIN.cross[0, 0, 0])[::-1], atol=6e-4)
    view.click(".cells", position={"x": 3, "y": 3})
    assert "pinned" not in view.text_content("#details")


def test_a_click_into_the_other_panel_takes_it_up(visit, small: Path) -> None:
    view = shown(visit(small, "s=0&k=cross&l=0&h=0&s2=0&k2=encoder_self&l2=1&h2=1", **WIDE))
    view.click(".panel:nth-child(2) .cells", position={"x": 3, "y": 3})
    assert view.text_content(".panel.active h2") == "Encoder self-attention · layer 1 · head 1"
    assert view.get_attribute("#tab-encoder_self", "aria-selected") == "true"
    assert view.locator(".details").nth(1).locator("h2").text_content() == "Query 0, pinned"
    assert view.locator(".details").nth(0).locator("h2").text_content() == "No query yet"


def test_panels_with_the_same_rows_share_the_query(visit, small: Path) -> None:
    view = shown(visit(small, "s=0&k=cross&l=0&h=0&s2=0&k2=cross&l2=1&h2=1", **WIDE))
    press(view, "ArrowDown", "ArrowDown", "Enter")
    assert [node.text_content() for node in view.locator(".details h2").all()] == ["Query 1, pinned"] * 2


def test_two_panels_share_one_scale(visit, small: Path) -> None:
    view = shown(visit(small, "s=0&k=cross&l=0&h=0&s2=2&k2=cross&l2=1&h2=1", **WIDE))  # one key has all weight
    assert "1.000 weight" in view.text_content("#legend")
    top = PLAIN.cross[0, 0].max()
    darkest = view.evaluate(
        """() => {
          const canvas = document.querySelector(".cells canvas");
          const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return Math.min(...[...data].filter((_, i) => i % 4 === 0));
        }"""
    )
    assert darkest == view.evaluate("(top) => colour(top, 1)[0]", float(top))


def test_what_is_shown_survives_a_reload(visit, small: Path) -> None:
    tab = visit(small, "s=1&k=decoder_self&l=1&h=3")
    press(shown(tab), "ArrowDown", "ArrowDown", "Enter", "ArrowRight", "c", "s", "k", "m", "ArrowDown", "v", "w", "x")
    tab.page.wait_for_function("() => !isStale")
    before = (tab.page.url, tab.page.inner_text("main"), readout(tab.page))
    tab.page.reload()
    assert (tab.page.url, shown(tab).inner_text("main"), readout(tab.page)) == before


def test_a_held_key_does_not_wear_the_address_out(visit, small: Path) -> None:
    view = shown(visit(small))  # browsers drop changes after the first hundred or two in half a minute
    changes = view.evaluate(
        """() => {
          const replace = history.replaceState.bind(history);
          let changes = 0;
          history.replaceState = (...change) => { changes++; replace(...change); };
          for (let i = 0; i < 300; i++) step("key", i < 298 ? (-1) ** i : 1);
          return changes;
        }"""
    )
    assert changes <= 1
    view.wait_for_function("() => !isStale")
    assert f"&c={view.evaluate('active().c')}" in view.url


def test_labels_can_be_pointed_at_and_pinned(visit, small: Path) -> None:
    view = shown(visit(small, "k=cross&l=0&h=0"))
    view.hover(".rows .label[data-q='3']")
    assert "Query 3 reads t, predicts ▁is" in readout(view)
    view.click(".rows .label[data-q='3']")
    view.click(".columns .label[data-c='2']")
    assert "Query 3, pinned" in view.text_content("#details")
    assert f"weight {PLAIN.cross[0, 0, 3, 2]:.3f}" in readout(view)


def test_a_fragment_that_makes_no_sense_shows_the_default(visit, small: Path) -> None:
    view = shown(visit(small, "s=99&k=__proto__&l=-1&h=x&q=1e9&s2=0&l2=%F0"))
    assert view.text_content("#title-0") == "Cross-attention · layer 2 · mean of heads"


def test_a_page_opens_where_its_maker_said(visit, tmp_path: Path) -> None:
    file = tmp_path / "start.html"
    file.write_text(page(WRITTEN, start="s=0&k=encoder_self&l=1&h=2&q=3&p=3"), encoding="utf-8")
    view = shown(visit(file))
    assert view.text_content("#title-0") == "Encoder self-attention · layer 1 · head 2"
    press(view, "s", "k")
    view.click("#reset")
    assert "Query 3, pinned" in view.text_content("#details")


def test_a_sentence_of_one_token_can_be_looked_at(visit, small: Path) -> None:
    view = shown(visit(small))
    for kind in KINDS:
        go(view, f"s=2&k={kind}&q=0&c=0&p=0")
        assert "weight 1.000" in readout(view) and "no choice" in view.text_content(".facts")
    press(view, "x", "ArrowDown", "v", "w")  # all of it is hidden now
    assert "special" in view.inner_text(".body")


# --- downloads


def test_a_csv_holds_the_numbers(visit, small: Path) -> None:
    view = shown(visit(small, "s=1&k=cross&l=1&h=2&x=1"))
    rows = list(csv.reader(io.StringIO(download(view, "#csv").decode(), newline="")))
    maps = WRITTEN[1]
    expected = [token.replace("\ud800", "\ufffd") for token in HOSTILE]
    assert rows[0] == ["reads", "predicts", *expected, "hidden mass"]
    assert [row[:2] for row in rows[1:]] == [
        [a, b] for a, b in zip(["<s>", *expected[::-1]], expected[::-1], strict=False)
    ]
    numbers = np.array([row[2:] for row in rows[1:]], dtype=float)
    assert np.abs(numbers - maps.cross[1, 2, :-1]).max() < 1e-5
    assert np.allclose(numbers.sum(1), 1, atol=1e-4)


def test_a_png_shows_two_panels_beside_each_other(visit, small: Path) -> None:
    view = shown(visit(small, "k=cross&l=1&h=2"))
    one = download(view, "#png")
    press(view, "c")
    two = download(view, "#png")
    sizes = [int.from_bytes(png[16:20]) for png in (one, two)]  # width, in the header
    assert one[:8] == two[:8] == b"\x89PNG\r\n\x1a\n" and sizes[1] > 1.5 * sizes[0]


# --- everybody


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(visit, small: Path, scheme: str) -> None:
    tab = visit(small, color_scheme=scheme, **WIDE)
    for look in ["k=decoder_self&q=2&c=1&p=3", "s=0&k=cross&v=lines&s2=1&k2=cross&p2=2", "s=1&x=1&w=1&q=1&c=1"]:
        go(shown(tab), look)
        assert tab.serious_faults() == []
    press(tab.page, "?")
    assert tab.serious_faults() == []


def test_a_telephone_need_not_scroll_sideways(visit, small: Path, large: Path) -> None:
    for file in (small, large):
        view = shown(visit(file, viewport={"width": 360, "height": 740}))
        for look in ["k=decoder_self&p=3&q=2&c=1", "k=cross&v=lines&p=3", "s=1&k=cross&s2=0&k2=cross"]:
            go(view, look)
            assert view.evaluate("() => document.documentElement.scrollWidth") <= 360
            box = view.locator(".cells, .strands").first.bounding_box()
            assert 0 < box["x"] < 300 and box["width"] > 60


def test_the_last_of_200_tokens_is_reached(visit, large: Path) -> None:
    view = shown(visit(large, "k=cross&l=2&h=3&q=198&c=198", **WIDE))
    press(view, "ArrowDown", "ArrowRight")
    assert f"weight {LONG.cross[2, 3, 199, 199]:.3f}" in readout(view)
    corner, cell = view.locator(".corner").bounding_box(), view.locator(".scroll-here").bounding_box()
    assert cell["x"] >= corner["x"] + corner["width"] and cell["y"] >= corner["y"] + corner["height"]
    assert view.locator(".scroll-here").evaluate(
        "(node) => node.getBoundingClientRect().right <= node.closest('.body').getBoundingClientRect().right"
    )
