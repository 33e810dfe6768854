"""Claims about any text at all, found by searching for a counterexample."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from translate import Translator, read_lines

# Halves of UTF-16 pairs, NUL, marks without a letter, right-to-left, line breaks that are not LF: all of it may come.
characters = st.characters(exclude_categories=())
snippets = st.sampled_from(
    [
        "Je suis heureux.",
        "M. Dupont mange. Il dort !",
        "\ud800",
        "\x00",
        "\u2028",
        "\ufeff",
        "\r",
        "\x0b",
        "e" + "\u0301" * 2000,
        "שלום",
        "🙂👩‍👩‍👧",
        "x" * 500,
        " \t\u00a0",
        "</s>",
        "<0x0A>",
        "▁",
        "a.b?c! " * 20,
    ]
)
texts = st.one_of(
    st.text(characters, max_size=30), st.lists(st.one_of(snippets, st.text(characters)), max_size=4).map("".join)
)
lines = st.lists(texts, min_size=1, max_size=4)


def every_line_has_its_own(translator: Translator, texts: list[str]) -> None:
    """Raise AssertionError unless each text has one line of translation, and blank texts a blank one."""
    found = translator.translate(texts, beam_size=1)
    assert len(found) == len(texts)
    for text, translation in zip(texts, found, strict=True):
        assert translation.splitlines() in ([], [translation])  # no line break of any kind
        translation.encode()  # valid Unicode
        if not text.strip():
            assert translation == ""


def bytes_become_lines(raw: bytes) -> None:
    """Raise AssertionError unless a stream of any bytes is read as its lines, each valid text without its line end."""
    found = list(read_lines(io.BytesIO(raw), "fuzz"))
    expected = raw.split(b"\n")
    assert len(found) == len(expected) - (expected[-1] == b"")
    for text, line in zip(found, expected, strict=False):
        assert "\n" not in text
        text.encode()
        if "\ufffd" not in text:
            assert text.encode() == line.removesuffix(b"\r")


@pytest.fixture(scope="module")
def translator(trained: Path) -> Iterator[Translator]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("translate.MAX_PIECES", 20)  # most texts are over-long then, and their parts are soon translated
        yield Translator.load(trained / "runs" / "tiny" / "best.ckpt", device="cpu")


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(texts=lines)
def test_any_text_gives_one_line_for_each(translator: Translator, texts: list[str]) -> None:
    every_line_has_its_own(translator, texts)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(raw=st.one_of(st.binary(), st.lists(st.sampled_from([b"\r", b"\n", b"\xff", "é".encode(), b"a"])).map(b"".join)))
def test_any_bytes_are_read_as_lines(raw: bytes) -> None:
    bytes_become_lines(raw)


def test_a_line_of_thousands_of_characters_without_a_space_is_translated_and_said(
    translator: Translator, capsys: pytest.CaptureFixture[str]
) -> None:
    found = translator.translate(["x" * 20_000, "Il dort."], beam_size=1)
    assert len(found) == 2 and found[1] == translator.translate(["Il dort."], beam_size=1)[0]
    assert "line 1: a sentence longer" in capsys.readouterr().err
