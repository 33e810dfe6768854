"""Claims about the attention page, driven in a headless browser with the network off."""

import base64
import csv
import gzip
import io
import xml.etree.ElementTree as ElementTree
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from embedded import embedded_data
from made_up import made_up

from visualization.page import page
from visualization.sentence import KINDS, merge, word_spans

if TYPE_CHECKING:
    from browser import Tab, Visit

pytest_plugins = ["browser"]
slow = pytest.mark.slow  # needs a browser

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
SHORT = sentence([], [], seed=1)  # EOS only
SENTENCES = [PLAIN, sentence(HOSTILE, HOSTILE[::-1], seed=2), SHORT]
LONG = sentence([f"▁mot{i}" for i in range(199)], [f"▁word{i}" for i in range(199)], seed=3)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "small.html"
    file.write_text(page(SENTENCES), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "large.html"
    file.write_text(page([LONG, PLAIN]), encoding="utf-8")
    return file


def shown(tab: "Tab") -> Any:
    """Return the browser's page once it has drawn its maps."""
    tab.page.locator("main[aria-busy=false]").wait_for(state="attached")
    return tab.page


def press(view: Any, *keys: str) -> None:
    """Press keys one after the other, each after the page has handled the one before."""
    for key in keys:
        view.keyboard.press(key)
        view.evaluate("() => keysHandled")


def go(view: Any, fragment: str) -> None:
    """Show what a fragment describes on an open page."""
    view.evaluate("(fragment) => restore(fragment)", fragment)


def readout(view: Any) -> str:
    return view.text_content("#readout")


def download(view: Any, button: str) -> bytes:
    with view.expect_download() as saved:
        view.click(button)
    return Path(saved.value.path()).read_bytes()


# --- the file


def test_a_page_of_30_tokens_and_6_layers_of_8_heads_has_at_most_half_a_megabyte() -> None:
    maps = sentence([f"▁m{i}" for i in range(29)], [f"▁w{i}" for i in range(29)], n_layers=(6, 6), n_heads=8)
    assert len(page([maps]).encode()) <= 500_000


def test_large_pages_are_compressed_and_small_pages_are_not() -> None:
    assert not embedded_data(page([PLAIN]))["compressed"]
    data = embedded_data(page([LONG]))
    raw = gzip.decompress(base64.b64decode(data["sentences"][0]["maps"]["cross"]["weights"]))
    assert data["compressed"] and np.frombuffer(raw, "<u2").size == LONG.cross.size


def test_the_same_sentences_give_the_same_page() -> None:
    assert page([LONG]) == page([LONG])


# --- the numbers


@pytest.mark.parametrize("name", ["small", "large"])
@slow
def test_decoded_weights_equal_the_arrays(visit: "Visit", request: pytest.FixtureRequest, name: str) -> None:
    view = shown(visit(request.getfixturevalue(name)))
    for s, maps in enumerate(SENTENCES if name == "small" else [LONG]):
        for kind in KINDS:
            # Base64 of float32: a list of two million numbers takes a minute to leave the browser.
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
            assert error <= 1 / 131070 + 1e-7, (s, kind)  # plus the rounding of float32


@slow
def test_the_readout_shows_the_weight_of_the_cell(visit: "Visit", small: Path) -> None:
    view = shown(visit(small, "k=cross&l=2&h=1&q=3&c=1"))
    assert f"weight {PLAIN.cross[2, 1, 3, 1]:.3f}" in readout(view)
    assert "reads ▁t" not in readout(view) and "reads t, predicts ▁is" in readout(view)
    view.hover(".cells", position={"x": 1, "y": 1})
    assert f"weight {PLAIN.cross[2, 1, 0, 0]:.3f}" in readout(view)
    assert "reads <s>, predicts ▁The" in readout(view)


@slow
def test_the_mean_of_heads_is_their_mean(visit: "Visit", small: Path) -> None:
    view = shown(visit(small, "k=encoder_self&l=1&h=mean&q=2&c=4"))
    assert f"weight {PLAIN.encoder_self[1, :, 2, 4].mean():.3f}" in readout(view)


@slow
def test_words_add_keys_and_average_queries(visit: "Visit", small: Path) -> None:
    view = shown(visit(small, "k=cross&l=0&h=0&w=1&q=1&c=1"))
    words = merge(PLAIN.cross, word_spans(PLAIN.decoder_output_tokens), word_spans(PLAIN.source_tokens))
    assert "predicts cat" in readout(view) and "chatte" in readout(view)
    assert f"weight {words[0, 0, 1, 1]:.3f}" in readout(view)


@slow
def test_switching_to_words_and_back_keeps_the_cursor_at_the_same_token(visit: "Visit", small: Path) -> None:
    view = shown(visit(small, "k=cross&l=0&h=0&q=5&c=3&p=5"))
    press(view, "w")
    assert "predicts sleeping." in readout(view) and "dort" in readout(view)
    press(view, "w")
    assert "predicts ▁sleep" in readout(view)


@slow
def test_hiding_special_tokens_does_not_change_the_other_weights(visit: "Visit", small: Path) -> None:
    view = shown(visit(small, "k=cross&l=0&h=0&q=3&c=1&x=1&p=3"))
    row = PLAIN.cross[0, 0, 3]
    assert f"weight {row[1]:.3f}" in readout(view)
    assert f"{row[-1]:.3f}" in view.text_content(".facts")  # the weight on </s>
    labels = view.locator(".columns .label").all_text_contents()
    assert labels == FRENCH


@slow
def test_masked_cells_are_transparent_and_have_no_weight(visit: "Visit", small: Path) -> None:
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


@slow
def test_larger_weights_have_darker_colours(visit: "Visit", small: Path) -> None:
    view = shown(visit(small, "k=cross&l=1&h=2"))
    ramp = view.evaluate("() => colours.palette.map(([r, g, b]) => 0.2126 * r + 0.7152 * g + 0.0722 * b)")
    assert all(low >= high for low, high in zip(ramp, ramp[1:], strict=False)) and ramp[0] > 2 * ramp[-1]


# --- hostile text


@slow
def test_hostile_tokens_appear_literally(visit: "Visit", small: Path) -> None:
    view = shown(visit(small, "s=1&k=cross"))
    # Playwright replaces lone surrogates in what it returns.
    expected = [token.replace("\ud800", "\ufffd") for token in HOSTILE]
    for labels, tokens in ((".columns .label", [*expected, "</s>"]), (".rows .reads", ["<s>", *expected[::-1]])):
        assert [text.replace("\ud800", "\ufffd") for text in view.locator(labels).all_text_contents()] == tokens
    assert view.locator("img").count() == 0
    assert view.locator("script").count() == 4  # the data and the page's three scripts
    assert all(token in view.text_content("#source") for token in HOSTILE[:7])


@slow
def test_a_downloaded_svg_is_valid_xml_for_hostile_tokens(visit: "Visit", small: Path) -> None:
    view = shown(visit(small))
    for fragment in ["s=1&k=cross", "s=1&k=decoder_self&w=1", "s=1&k=encoder_self&v=lines"]:
        go(view, fragment)
        picture = ElementTree.fromstring(download(view, "#svg"))
        texts = [node.text for node in picture.iter("{http://www.w3.org/2000/svg}text")]
        assert {"query", "key"} <= set(texts)
        assert all(token in "".join(texts) for token in [*HOSTILE[:7], "\ufffd"])
    go(view, "s=2&x=1")  # all tokens are hidden
    ElementTree.fromstring(download(view, "#svg"))


@slow
def test_control_characters_become_symbols_in_a_picture(visit: "Visit", small: Path) -> None:
    view = shown(visit(small))
    assert view.evaluate(r"""() => printable("a\u0000b\n\u007f\ufffe\ud800c")""") == "a␀b␊␡��c"


# --- use


@slow
def test_every_key_of_the_help_works(visit: "Visit", small: Path) -> None:
    view = shown(visit(small))
    press(view, "k", "l", "h")  # cross, the last layer and the mean are the last of their lists
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
    assert view.text_content("#source") == SENTENCES[1].source
    press(view, "?")
    assert view.locator("#help").is_visible()
    press(view, "Escape")
    assert not view.locator("#help").is_visible()


@slow
def test_arrow_keys_move_the_selection_in_tabs_and_in_the_grid_of_heads(visit: "Visit", small: Path) -> None:
    view = shown(visit(small, "k=encoder_self&l=0&h=0"))
    view.focus("[role=tab][aria-selected=true]")
    press(view, "ArrowRight")
    assert view.text_content("[role=tab]:focus") == "Decoder"
    view.focus(".heads button[aria-pressed=true]")
    press(view, "ArrowDown", "ArrowRight")
    assert view.get_attribute(":focus", "id") == "head-1-1"
    assert view.text_content("#title-0") == "Decoder self-attention · layer 1 · head 1"


@slow
def test_a_click_pins_a_query_and_a_second_click_unpins_it(visit: "Visit", small: Path) -> None:
    view = shown(visit(small, "k=cross&l=0&h=0"))
    view.click(".cells", position={"x": 3, "y": 3})
    assert "Query 0, pinned" in view.text_content("#details")
    weights = [float(text) for text in view.locator(".details tbody td:nth-child(3)").all_inner_texts()]
    assert np.allclose(weights, np.sort(PLAIN.cross[0, 0, 0])[::-1], atol=6e-4)
    view.click(".cells", position={"x": 3, "y": 3})
    assert "pinned" not in view.text_content("#details")


@slow
def test_a_click_into_the_other_panel_makes_it_active(visit: "Visit", small: Path) -> None:
    view = shown(visit(small, "s=0&k=cross&l=0&h=0&s2=0&k2=encoder_self&l2=1&h2=1", **WIDE))
    view.click(".panel:nth-child(2) .cells", position={"x": 3, "y": 3})
    assert view.text_content(".panel.active h2") == "Encoder self-attention · layer 1 · head 1"
    assert view.get_attribute("#tab-encoder_self", "aria-selected") == "true"
    assert view.locator(".details").nth(1).locator("h2").text_content() == "Query 0, pinned"
    assert view.locator(".details").nth(0).locator("h2").text_content() == "No query selected"


@slow
def test_panels_with_the_same_rows_share_the_query(visit: "Visit", small: Path) -> None:
    view = shown(visit(small, "s=0&k=cross&l=0&h=0&s2=0&k2=cross&l2=1&h2=1", **WIDE))
    press(view, "ArrowDown", "ArrowDown", "Enter")
    assert [node.text_content() for node in view.locator(".details h2").all()] == ["Query 1, pinned"] * 2


@slow
def test_two_panels_have_one_colour_scale(visit: "Visit", small: Path) -> None:
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
    assert darkest == view.evaluate("(top) => weightColour(top, 1)[0]", float(top))


@slow
def test_a_reload_shows_the_same(visit: "Visit", small: Path) -> None:
    tab = visit(small, "s=1&k=decoder_self&l=1&h=3")
    press(shown(tab), "ArrowDown", "ArrowDown", "Enter", "ArrowRight", "c", "s", "k", "m", "ArrowDown", "v", "w", "x")
    tab.page.wait_for_function("() => !isStale")
    before = (tab.page.url, tab.page.inner_text("main"), readout(tab.page))
    tab.page.reload()
    assert (tab.page.url, shown(tab).inner_text("main"), readout(tab.page)) == before


@slow
def test_a_held_key_changes_the_url_rarely(visit: "Visit", small: Path) -> None:
    view = shown(visit(small))  # browsers ignore changes after the first hundred or two in 30 seconds
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


@slow
def test_labels_preview_and_pin_their_query(visit: "Visit", small: Path) -> None:
    view = shown(visit(small, "k=cross&l=0&h=0"))
    view.hover(".rows .label[data-q='3']")
    assert "Query 3 reads t, predicts ▁is" in readout(view)
    view.click(".rows .label[data-q='3']")
    view.click(".columns .label[data-c='2']")
    assert "Query 3, pinned" in view.text_content("#details")
    assert f"weight {PLAIN.cross[0, 0, 3, 2]:.3f}" in readout(view)


@slow
def test_invalid_fields_of_a_fragment_become_the_defaults(visit: "Visit", small: Path) -> None:
    view = shown(visit(small, "s=99&k=__proto__&l=-1&h=x&q=1e9&s2=0&l2=%F0"))
    assert view.text_content("#title-0") == "Cross-attention · layer 2 · mean of heads"


@slow
def test_a_page_without_a_fragment_opens_at_its_start(visit: "Visit", tmp_path: Path) -> None:
    file = tmp_path / "start.html"
    file.write_text(page(SENTENCES, start="s=0&k=encoder_self&l=1&h=2&q=3&p=3"), encoding="utf-8")
    view = shown(visit(file))
    assert view.text_content("#title-0") == "Encoder self-attention · layer 1 · head 2"
    press(view, "s", "k")
    view.click("#reset")
    assert "Query 3, pinned" in view.text_content("#details")


@slow
def test_a_sentence_of_one_token_is_shown(visit: "Visit", small: Path) -> None:
    view = shown(visit(small))
    for kind in KINDS:
        go(view, f"s=2&k={kind}&q=0&c=0&p=0")
        assert "weight 1.000" in readout(view) and "one unmasked key" in view.text_content(".facts")
    press(view, "x", "ArrowDown", "v", "w")  # its only token is hidden now
    assert "special tokens, which are hidden" in view.inner_text(".body")


# --- downloads


@slow
def test_a_csv_contains_the_weights(visit: "Visit", small: Path) -> None:
    view = shown(visit(small, "s=1&k=cross&l=1&h=2&x=1"))
    rows = list(csv.reader(io.StringIO(download(view, "#csv").decode(), newline="")))
    maps = SENTENCES[1]
    expected = [token.replace("\ud800", "\ufffd") for token in HOSTILE]
    assert rows[0] == ["reads", "predicts", *expected, "hidden weight"]
    assert [row[:2] for row in rows[1:]] == [
        [a, b] for a, b in zip(["<s>", *expected[::-1]], expected[::-1], strict=False)
    ]
    numbers = np.array([row[2:] for row in rows[1:]], dtype=float)
    assert np.abs(numbers - maps.cross[1, 2, :-1]).max() < 1e-5
    assert np.allclose(numbers.sum(1), 1, atol=1e-4)


@slow
def test_a_png_shows_two_panels_side_by_side(visit: "Visit", small: Path) -> None:
    view = shown(visit(small, "k=cross&l=1&h=2"))
    one = download(view, "#png")
    press(view, "c")
    two = download(view, "#png")
    sizes = [int.from_bytes(png[16:20]) for png in (one, two)]  # width, in the header
    assert one[:8] == two[:8] == b"\x89PNG\r\n\x1a\n" and sizes[1] > 1.5 * sizes[0]


# --- accessibility and small screens


@pytest.mark.parametrize("scheme", ["light", "dark"])
@slow
def test_axe_finds_no_serious_violation(visit: "Visit", small: Path, scheme: str) -> None:
    tab = visit(small, color_scheme=scheme, **WIDE)
    states = ["k=decoder_self&q=2&c=1&p=3", "s=0&k=cross&v=lines&s2=1&k2=cross&p2=2", "s=1&x=1&w=1&q=1&c=1"]
    for fragment in states:
        go(shown(tab), fragment)
        assert tab.accessibility_violations() == []
    press(tab.page, "?")
    assert tab.accessibility_violations() == []


@slow
def test_a_screen_of_360_pixels_does_not_scroll_sideways(visit: "Visit", small: Path, large: Path) -> None:
    for file in (small, large):
        view = shown(visit(file, viewport={"width": 360, "height": 740}))
        for fragment in ["k=decoder_self&p=3&q=2&c=1", "k=cross&v=lines&p=3", "s=1&k=cross&s2=0&k2=cross"]:
            go(view, fragment)
            assert view.evaluate("() => document.documentElement.scrollWidth") <= 360
            box = view.locator(".cells, .connections").first.bounding_box()
            assert 0 < box["x"] < 300 and box["width"] > 60


@slow
def test_the_last_of_200_tokens_can_be_scrolled_into_view(visit: "Visit", large: Path) -> None:
    view = shown(visit(large, "k=cross&l=2&h=3&q=198&c=198", **WIDE))
    press(view, "ArrowDown", "ArrowRight")
    assert f"weight {LONG.cross[2, 3, 199, 199]:.3f}" in readout(view)
    corner, cell = view.locator(".corner").bounding_box(), view.locator(".scroll-here").bounding_box()
    assert cell["x"] >= corner["x"] + corner["width"] and cell["y"] >= corner["y"] + corner["height"]
    assert view.locator(".scroll-here").evaluate(
        "(node) => node.getBoundingClientRect().right <= node.closest('.body').getBoundingClientRect().right"
    )
