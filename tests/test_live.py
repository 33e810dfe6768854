"""Claims about the live page: its JavaScript computes what Python computes, and the page shows what it computes."""

import base64
import copy
import itertools
import json
import math
import random
import re
import unicodedata
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from embedded import decode_array, embedded_data
from programs import ROOT, run

from constants import BOS, EOS
from errors import UserError
from model import Transformer, TransformerConfig, head_outputs, intervene
from model.transformer import Norm
from translation.hypothesis import SearchOptions
from translation.pytorch_engine import PyTorchEngine
from translation.scoring import forced_pass
from translation.search import search, search_translations
from translation.translator import LOOP_NGRAM_SIZE, Translator, in_capitals, runs_in_loop
from visualization.lesson import lesson
from visualization.live import EXAMPLES, MAX_PARAMETERS, describe_weights, live, quantise, round_weights
from visualization.page import describe, to_uint16
from visualization.sentence import KINDS, Kind, SentenceMaps, take_maps
from visualization.template import json_in_html

if TYPE_CHECKING:
    from browser import Tab, Visit

pytest_plugins = ["browser"]
slow = pytest.mark.slow  # needs a browser

N_FUZZED = 10_000
ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz    éèêàçùœ'’.,!?-",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ ÉÀ0123456789",
    "<>&\"'/\\=;</s><s><unk><pad><0x41>\x00__DATA__",
    " \t\n\r\x0b\x0c\x1c\x1f\x85\xa0\u1680\u2003\u2028\u2029\u202f\u3000\ufeff\u200b\u200d",
    "▁▁a b.",
    "e\u0301a\u0300\u0327o\u0302\u0323ñ가각\u1100\u1161\u11a8ﬁÅ",
    "🙂👩\u200d🔬🇫🇷👍🏽𝔘𐍈",
    "中文العربيةעבריתไทยहिन्दी\u12a0\u1361ᚠᛇ",
    "\ud800\udfffab\udc00",
)
PYTHON_NAMES = {
    "noRepeatNgramSize": "no_repeat_ngram_size",
    "minLength": "min_length",
    "lengthPenalty": "length_penalty",
}
SOURCES = [
    "La fille lance la balle parce qu'elle est rouge.",
    "Le chat noir dort.",
    "Ils mangent des pommes, mais elles sont vertes.",
    "🙂 <b>&amp;</b>",
    "Marie achète un livre et elle le lit",
]
# Two sentences of the same words in another order, so of as many tokens with any tokenizer, and fragments of both.
SWAPPED = ("la fille lance la balle", "la balle lance la fille")
BOTH = "t={}&s={}".format(*SWAPPED)


def fuzzed(words: Sequence[str], n: int = N_FUZZED) -> list[str]:
    """Return random strings of several scripts, half of them mixed with words of the vocabulary.

    A surrogate never stands before another one: two of them are a character in JavaScript but not in Python.
    """
    draw = random.Random(1)
    texts = []
    for _ in range(n):
        parts = []
        for _ in range(draw.randrange(6)):
            alphabet = draw.choice(ALPHABETS)
            parts.append("".join(draw.choice(alphabet) for _ in range(draw.randrange(8))))
            if draw.random() < 0.5:
                parts.append(draw.choice(words).replace("▁", " "))
            if draw.random() < 0.2:
                code = draw.randrange(0x30000)
                parts.append(chr(code) if unicodedata.category(chr(code)) not in ("Cn", "Cs") else "?")
        texts.append(re.sub("([\ud800-\udfff])[\ud800-\udfff]+", r"\1", "".join(parts)))
    return texts


def array(values: Sequence[float], shape: Sequence[int]) -> np.ndarray:
    return np.array(values, dtype=np.float64).reshape(shape)


def in_page(view: Any, code: str, argument: Any = None) -> Any:
    """Evaluate JavaScript with an argument that travels as ASCII, so that lone surrogates survive."""
    return view.evaluate(f"async (json) => {{ const argument = JSON.parse(json); {code} }}", json.dumps(argument))


def done(tab: "Tab") -> Any:
    """Return the browser's page once both networks have translated."""
    tab.page.wait_for_function(
        "() => results.untouched?.pass && (!hasChanges() || results.crossing !== null)", timeout=60_000
    )
    return tab.page


LOAD = "globalThis.ownNetwork ??= new Transformer(DATA.config, await decodeWeights(DATA.weights));"


@pytest.fixture(scope="module")
def translator(trained: Path) -> Translator:
    return Translator.load(trained / "runs" / "tiny" / "best.ckpt", device="cpu")


@pytest.fixture(scope="module")
def file(translator: Translator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("live") / "live.html"
    path.write_text(live(translator), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def rounded(translator: Translator) -> Transformer:
    """The model with the weights of the page."""
    return round_weights(translator.model, "int8").eval()


def random_model(norm: Norm = "post") -> Transformer:
    """Return a random model whose biases and norms are random too, so that leaving one out changes the result."""
    torch.manual_seed(1)
    model = Transformer(
        TransformerConfig(400, 32, n_heads=2, n_encoder_layers=2, n_decoder_layers=2, d_ff=48, norm=norm)
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


# --- weights


@pytest.mark.parametrize("weights", ["int8", "float16"])
def test_rounding_twice_changes_no_weight(weights: Any) -> None:
    once = round_weights(random_model(), weights)
    assert describe_weights(once, weights) == describe_weights(random_model(), weights)
    for a, b in zip(once.parameters(), round_weights(once, weights).parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-6, atol=0)


def test_the_error_of_int8_is_at_most_half_a_scale_of_its_row() -> None:
    matrix = torch.randn(50, 30, generator=torch.Generator().manual_seed(1)) * torch.logspace(-3, 3, 50)[:, None]
    matrix[7] = 0
    scales, integers = quantise(matrix)
    error = np.abs(integers * scales[:, None] - matrix.numpy())
    assert (error <= scales[:, None] * 0.501).all() and np.abs(integers).max() == 127
    assert not integers[7].any() and scales[7] == 0


def test_biases_and_layer_norms_are_not_rounded() -> None:
    model = random_model()
    for a, b in zip(model.parameters(), round_weights(model, "int8").parameters(), strict=True):
        assert torch.equal(a, b) == (a.dim() == 1)


def test_a_model_that_is_too_large_for_a_page_is_refused(translator: Translator) -> None:
    large = copy.copy(translator)
    with torch.device("meta"):
        large.model = Transformer(TransformerConfig(1000, 1024, n_heads=8, n_encoder_layers=3, n_decoder_layers=3))
    assert sum(parameter.numel() for parameter in large.model.parameters()) > MAX_PARAMETERS
    with pytest.raises(UserError, match=r"million parameters, but a page holds at most 40 million: .*--checkpoint"):
        live(large)


def test_an_unknown_format_of_weights_is_refused() -> None:
    with pytest.raises(UserError, match="--weights must be one of int8, float16, not int4"):
        describe_weights(random_model(), "int4")  # type: ignore[arg-type]


def test_the_same_model_gives_the_same_page(translator: Translator) -> None:
    assert live(translator) == live(translator)


# --- equality with Python


@slow
def test_token_ids_equal_those_of_sentencepiece(visit: "Visit", file: Path, translator: Translator) -> None:
    texts = fuzzed(translator.tokenizer.tokens(range(260, len(translator.tokenizer))))
    expected = translator.tokenizer.encode(texts)
    view = done(visit(file))
    found = in_page(view, "return JSON.stringify(argument.map((text) => tokenizer.encode(text)));", texts)
    different = [(t, a, b) for t, a, b in zip(texts, json.loads(found), expected, strict=True) if a != b]
    assert not different, (len(different), different[:3])


@slow
def test_decoded_texts_equal_those_of_sentencepiece(visit: "Visit", file: Path, translator: Translator) -> None:
    draw = random.Random(2)
    n = len(translator.tokenizer)
    rows = [[draw.randrange(n) for _ in range(draw.randrange(12))] for _ in range(2000)]
    rows += [[4 + byte for byte in draw.choice(ALPHABETS).encode(errors="replace")] for _ in range(100)]
    view = done(visit(file))
    found = in_page(view, "return argument.map((ids) => tokenizer.decode(ids));", rows)
    assert found == translator.tokenizer.decode(rows)


@pytest.mark.parametrize("weights", ["int8", "float16"])
@slow
def test_decoded_weights_equal_the_rounded_ones(
    visit: "Visit", tmp_path: Path, translator: Translator, weights: Any
) -> None:
    path = tmp_path / "live.html"
    path.write_text(live(translator, weights), encoding="utf-8")
    found = in_page(
        done(visit(path)),
        """const parameters = await decodeWeights(DATA.weights);
        return Object.entries(parameters).map(([name, { values }]) => {
          const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
          return [name, btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))];
        });""",
    )
    expected = dict(round_weights(translator.model, weights).named_parameters())
    assert [name for name, _ in found] == list(expected)
    for name, text in found:
        values = np.frombuffer(base64.b64decode(text), "<f4")
        np.testing.assert_array_equal(values, expected[name].detach().numpy().ravel(), err_msg=name)


@pytest.mark.parametrize("beam_size", [1, 4])
@slow
def test_tokens_and_scores_of_the_search_equal_those_of_pytorch(
    visit: "Visit", file: Path, corpus: Path, translator: Translator, rounded: Transformer, beam_size: int
) -> None:
    texts = [*SOURCES, *(corpus / "val.fr").read_text(encoding="utf-8").splitlines()]
    sources = translator.tokenizer.encode(texts)
    options = SearchOptions(beam_size=beam_size, n_best=beam_size)
    expected = PyTorchEngine(rounded, "32", ["cpu"]).translate(sources, options, batch_size=1)
    found = in_page(
        done(visit(file)),
        LOAD
        + """return argument.sources.map((src) => {
          const steps = searchTranslations(ownNetwork, src, { beamSize: argument.beamSize });
          let step = steps.next();
          while (!step.done) step = steps.next();
          return step.value;
        });""",
        {"sources": sources, "beamSize": beam_size},
    )
    for text, hypotheses, own in zip(texts, expected, found, strict=True):
        assert [h["tokens"] for h in own[:beam_size]] == [h.tokens for h in hypotheses], text
        assert [h["cut"] for h in own[:beam_size]] == [h.cut for h in hypotheses]
        np.testing.assert_allclose([h["score"] for h in own[:beam_size]], [h.score for h in hypotheses], atol=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"noRepeatNgramSize": 2},
        {"minLength": 12},
        {"lengthPenalty": 0.5},
        {"prefix": [300, 301, 302]},
        {"prefix": [300, 2]},
    ],
)
@slow
def test_options_of_the_search_mean_the_same_as_in_python(
    visit: "Visit", file: Path, translator: Translator, rounded: Transformer, options: dict[str, Any]
) -> None:
    sources = translator.tokenizer.encode(SOURCES[:3])
    prefix = options.get("prefix", [])
    given = {PYTHON_NAMES[name]: value for name, value in options.items() if name in PYTHON_NAMES}
    for src in sources:
        (expected,) = search_translations(rounded, torch.tensor([src]), SearchOptions(beam_size=3, **given), [prefix])
        found = in_page(
            done(visit(file)),
            LOAD
            + """const { src, prefix, options } = argument;
            const steps = searchTranslations(ownNetwork, src, { beamSize: 3, ...options }, prefix);
            let step = steps.next();
            while (!step.done) step = steps.next();
            return step.value[0];""",
            {"src": src, "prefix": prefix, "options": options},
        )
        assert found["tokens"] == expected[0].tokens
        assert found["score"] == pytest.approx(expected[0].score, abs=1e-4)


@pytest.mark.parametrize("beam_size", [1, 3, 5])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"noRepeatNgramSize": 1},
        {"noRepeatNgramSize": 2},
        {"minLength": 4},
        {"lengthPenalty": 0},
        {"prefix": [5, 6]},
    ],
)
@slow
def test_searches_over_random_tables_equal_those_of_python(
    visit: "Visit", file: Path, beam_size: int, options: dict[str, Any]
) -> None:
    # Unlike those of a network that is hardly trained, hypotheses end at many lengths. The logits of the next token
    # depend on the last one and on the position: without the position, the order of bigrams would not matter, and
    # many hypotheses would have equal probabilities.
    vocab_size, limit = 14, 9
    tables = torch.randn(60, limit, vocab_size, vocab_size, generator=torch.Generator().manual_seed(1)) * 2
    prefix = options.get("prefix", [])
    given = {PYTHON_NAMES[name]: value for name, value in options.items() if name in PYTHON_NAMES}
    python_options = SearchOptions(beam_size=beam_size, n_best=beam_size, **given)
    expected = []
    for table in tables:
        positions = iter(table)
        prefixes = torch.tensor([prefix]) if prefix else None
        step = partial(lambda positions, tokens, parents: next(positions)[tokens], positions)
        expected += search(step, torch.tensor([limit]), python_options, prefixes)
    found = in_page(
        done(visit(file)),
        """const { tables, limit, options, prefix } = argument;
        return tables.map((table) => {
          let position = 0;
          const next = (tokens) => {
            const rows = tokens.map((token) => table[position][token]);
            position++;
            return { rows: rows.length, columns: rows[0].length, values: Float32Array.from(rows.flat()) };
          };
          const steps = search(next, limit, options, prefix);
          let step = steps.next();
          while (!step.done) step = steps.next();
          return step.value;
        });""",
        {"tables": tables.tolist(), "limit": limit, "options": {"beamSize": beam_size, **options}, "prefix": prefix},
    )
    for hypotheses, own in zip(expected, found, strict=True):
        best = own[:beam_size]
        assert [(h["tokens"], h["cut"]) for h in best] == [(h.tokens, h.cut) for h in hypotheses]
        np.testing.assert_allclose([h["logProb"] for h in best], [h.log_prob for h in hypotheses], atol=1e-4)
        np.testing.assert_allclose([h["score"] for h in best], [h.score for h in hypotheses], atol=1e-4)
    lengths = {len(h.tokens) for hypotheses in expected for h in hypotheses}
    assert len(lengths) >= 4


def page_of_random_model(translator: Translator, norm: Norm, folder: Path) -> tuple[Path, Transformer]:
    """Write a page of a random model with the tokenizer of `translator` -> the file and the rounded model."""
    other = copy.copy(translator)
    other.model = random_model(norm)
    path = folder / f"{norm}.html"
    path.write_text(live(other), encoding="utf-8")
    return path, round_weights(other.model, "int8").eval()


FORCED = (
    LOAD
    + """const { src, tgt, changes } = argument;
    const { logProbs, maps } = forcedPass(ownNetwork, src, tgt, changes);
    const plain = (heads) => heads.map(({ values }) => [...values]);
    return { logProbs, maps: Object.fromEntries(Object.entries(maps).map(([path, heads]) => [path, plain(heads)])) };"""
)


@pytest.mark.parametrize("norm", ["pre", "post"])
@slow
def test_attention_weights_and_log_probabilities_equal_those_of_pytorch(
    visit: "Visit", tmp_path: Path, translator: Translator, norm: Norm
) -> None:
    path, model = page_of_random_model(translator, norm, tmp_path)
    assert model.config.norm == norm
    src, tgt = translator.tokenizer.encode([SOURCES[0], "The girl throws the ball."])
    maps = take_maps(model, src, tgt, translator.tokenizer)
    found = in_page(done(visit(path)), FORCED, {"src": src, "tgt": tgt})
    np.testing.assert_allclose(found["logProbs"], maps.log_probs, atol=1e-4)
    paths: dict[Kind, str] = {
        "encoder_self": "encoder.{}.self_attention",
        "decoder_self": "decoder.{}.self_attention",
        "cross": "decoder.{}.cross_attention",
    }
    for kind in KINDS:
        expected = maps.weights(kind)
        for layer, heads in enumerate(expected):
            own = array(found["maps"][paths[kind].format(layer)], heads.shape)
            np.testing.assert_allclose(own, heads, atol=1e-4, err_msg=f"{kind} {layer}")


@slow
def test_a_step_with_cache_equals_the_full_pass(visit: "Visit", tmp_path: Path, translator: Translator) -> None:
    path, _ = page_of_random_model(translator, "post", tmp_path)
    difference = in_page(
        done(visit(path)),
        LOAD
        + """const [src, tgt] = [[300, 310, 320, EOS], [BOS, 330, 340, 350, 360, 370]];
        const full = ownNetwork.forward(src, tgt);
        const step = translationStep(ownNetwork, src);
        let largest = 0;
        tgt.forEach((token, t) => {
          const { values } = step([token, token], [0, 0]);
          for (let i = 0; i < 2 * full.columns; i++)
            largest = Math.max(largest, Math.abs(values[i] - full.values[t * full.columns + (i % full.columns)]));
        });
        return largest;""",
    )
    assert difference < 1e-4


@slow
def test_changes_of_the_network_equal_the_same_changes_in_python(
    visit: "Visit", tmp_path: Path, translator: Translator
) -> None:
    path, model = page_of_random_model(translator, "pre", tmp_path)
    src, tgt = translator.tokenizer.encode([SOURCES[0], "The girl throws the ball."])
    view = done(visit(path))

    def log_probs(changed: Transformer) -> np.ndarray:
        logits, _, _ = forced_pass(changed, src, tgt)
        return logits[0].log_softmax(-1).gather(1, torch.tensor(tgt)[:, None])[:, 0].numpy()

    def own(**changes: Any) -> list[float]:
        return in_page(view, FORCED, {"src": src, "tgt": tgt, "changes": changes})["logProbs"]

    before = log_probs(model)
    width = model.config.d_model // model.config.n_heads
    off = copy.deepcopy(model)  # the columns of W_O that a head multiplies are zero
    off.get_submodule("decoder.1.cross_attention").w_o.weight.data[:, width : 2 * width] = 0
    uniform = copy.deepcopy(model)  # without queries all scores of a head are equal
    uniform.get_submodule("encoder.0.self_attention").w_q.weight.data[:width] = 0
    uniform.get_submodule("encoder.0.self_attention").w_q.bias.data[:width] = 0
    causal = copy.deepcopy(model)
    causal.get_submodule("decoder.0.self_attention").w_q.weight.data[:width] = 0
    causal.get_submodule("decoder.0.self_attention").w_q.bias.data[:width] = 0
    unplaced = copy.deepcopy(model)
    unplaced.positions.zero_()

    def scaled(factor: float) -> Transformer:
        changed = copy.deepcopy(model)
        for name, parameter in changed.named_parameters():
            if ".w_q." in name:
                parameter.data *= factor
        return changed

    cases = [
        (off, own(heads={"decoder.1.cross_attention": {"1": "off"}})),
        (uniform, own(heads={"encoder.0.self_attention": {"0": "uniform"}})),
        (causal, own(heads={"decoder.0.self_attention": {"0": "uniform"}})),
        (unplaced, own(positions=False)),
        (scaled(math.sqrt(width)), own(divide=False)),
        (scaled(1 / 2.5), own(temperature=2.5)),
    ]
    for changed, found in cases:
        expected = log_probs(changed)
        assert np.abs(expected - before).max() > 1e-3  # the change has an effect
        np.testing.assert_allclose(found, expected, atol=1e-4)


def log_probs_of(model: Transformer, src: list[int], tgt: list[int]) -> np.ndarray:
    logits, _, _ = forced_pass(model, src, tgt)
    return logits[0].log_softmax(-1).gather(1, torch.tensor(tgt)[:, None])[:, 0].numpy()


def outputs_for(model: Transformer, src: list[int], tgt: list[int]) -> dict[str, torch.Tensor]:
    """Return the outputs (H, T, D) of all heads by module path."""
    with torch.no_grad(), head_outputs(model) as outputs:
        forced_pass(model, src, tgt)
    return {path: heads[0] for path, heads in outputs.items()}


@pytest.mark.parametrize(
    "patched",
    [
        {"encoder.1.self_attention": [0]},
        {"decoder.1.self_attention": [1]},  # that of layer 0 depends on the target tokens alone
        {"decoder.1.cross_attention": [0, 1]},
        {"encoder.0.self_attention": [0], "decoder.0.cross_attention": [1], "decoder.1.self_attention": [0, 1]},
    ],
)
@slow
def test_patched_heads_equal_intervene_with_their_outputs_for_the_second_sentence(
    visit: "Visit", tmp_path: Path, translator: Translator, patched: dict[str, list[int]]
) -> None:
    path, model = page_of_random_model(translator, "pre", tmp_path)
    src, second, tgt = translator.tokenizer.encode([*SWAPPED, "The girl throws the ball."])
    others = outputs_for(model, second, tgt)
    before = log_probs_of(model, src, tgt)
    with intervene(model, {path: {head: others[path][head] for head in heads} for path, heads in patched.items()}):
        expected = log_probs_of(model, src, tgt)
    assert np.abs(expected - before).max() > 1e-3  # the change has an effect
    heads = {path: {str(head): "patched" for head in heads} for path, heads in patched.items()}
    found = in_page(done(visit(path)), FORCED, {"src": src, "tgt": tgt, "changes": {"heads": heads, "second": second}})
    np.testing.assert_allclose(found["logProbs"], expected, atol=1e-4)


@slow
def test_the_search_with_patched_heads_of_the_decoder_agrees_with_the_forced_pass(
    visit: "Visit", tmp_path: Path, translator: Translator
) -> None:
    # The random model prefers other tokens at each step, so the hypotheses continue different ones. A search that
    # forbids repeated n-grams has other probabilities than the pass where it forbids a token.
    path, _ = page_of_random_model(translator, "post", tmp_path)
    src, second = translator.tokenizer.encode(SWAPPED)
    heads = {"decoder.1.self_attention": {"1": "patched"}, "decoder.1.cross_attention": {"0": "patched"}}
    found = in_page(
        done(visit(path)),
        LOAD
        + """const { src, changes } = argument;
        const step = changedStep(ownNetwork, src, changes);
        const options = { beamSize: 4, noRepeatNgramSize: 0, minLength: 6 };
        const steps = searchTranslations(ownNetwork, src, options, [], step);
        let found = steps.next();
        let switches = 0;
        for (; !found.done; found = steps.next())
          switches += found.value.candidates.filter(({ status }) => status === "kept")
            .some(({ parent }, i) => parent !== i);
        return [switches, found.value.map(({ tokens, logProb }) => ({
          logProb,
          forced: forcedPass(ownNetwork, src, tokens, changes).logProb,
          untouched: forcedPass(ownNetwork, src, tokens).logProb,
        }))];""",
        {"src": src, "changes": {"heads": heads, "second": second}},
    )
    switches, hypotheses = found
    assert switches >= 2 and len(hypotheses) >= 4
    for hypothesis in hypotheses:
        assert hypothesis["logProb"] == pytest.approx(hypothesis["forced"], abs=1e-3)
        assert abs(hypothesis["logProb"] - hypothesis["untouched"]) > 0.1


CAPITALS = [
    "LE CHAT NOIR DORT.",
    "Le CHAT NOIR DORT.",
    "SNCF",
    "CHATS !",
    "ÇA VA ?",
    "L’ÉTÉ N’EST PAS LÀ",
    "E\u0301TE\u0301",
    "  LE\u2003CHAT\x1cDORT ",
    "ΑΣ ΣΑΣ ΟΔΟΣ",
    "ΣΣΣ ΣΟΣ",
    "İL EST LÀ",
    "ǄEP ǄEP",
    "ǅEP ǄEP",
    "GROẞE STRAẞE",
    "Ⅳ Ⅷ",
    "𐐀𐐁 𐐂𐐃",
    "🅰",
    "🅰🅱 LÀ",
    "14:30 !",
    "中文 ABCDE",
    "",
]


@slow
def test_sentences_in_capitals_are_encoded_as_python_does(visit: "Visit", file: Path, translator: Translator) -> None:
    words = translator.tokenizer.tokens(range(260, len(translator.tokenizer)))
    texts = [*CAPITALS, *(text.upper() for text in fuzzed(words, 3000))]
    sentences = [" ".join(text.split()) for text in texts]
    capitals = [in_capitals(sentence) for sentence in sentences]
    assert 100 < sum(capitals) < len(texts) - 100
    expected = translator.tokenizer.encode(
        [s.capitalize() if upper else s for s, upper in zip(sentences, capitals, strict=True)]
    )
    found = in_page(
        done(visit(file)),
        "return argument.map((text) => [inCapitals(text), encodeSentence(tokenizer, text)]);",
        texts,
    )
    wanted = [list(each) for each in zip(capitals, expected, strict=True)]
    different = [(t, a, b) for t, a, b in zip(texts, found, wanted, strict=True) if a != b]
    assert not different, (len(different), different[:3])


# --- the page


def options_of(view: Any, network: str = "untouched") -> SearchOptions:
    """Return the options of the search whose result the page shows."""
    repeated = view.evaluate("(network) => results[network].isRepeated", network)
    return SearchOptions(no_repeat_ngram_size=LOOP_NGRAM_SIZE if repeated else 0)


def chips(view: Any, network: str = "untouched") -> list[str]:
    return view.locator(f"#{network} .chip .token").all_text_contents()


@slow
def test_typed_text_is_translated_as_pytorch_does(
    visit: "Visit", file: Path, translator: Translator, rounded: Transformer
) -> None:
    view = done(visit(file))
    view.fill("#text", SOURCES[1])
    view.wait_for_function("(text) => state.text === text && results.untouched?.pass", arg=SOURCES[1])
    ids = translator.tokenizer.encode([SOURCES[1]])
    ((best,),) = PyTorchEngine(rounded, "32", ["cpu"]).translate(ids, options_of(view), 1)
    tokens = best.tokens if best.tokens[-1] == EOS else [*best.tokens, EOS]
    assert chips(view) == translator.tokenizer.tokens(tokens)
    maps = take_maps(rounded, ids[0], best.tokens, translator.tokenizer)
    shown = [float(text.strip("< %")) for text in view.locator("#untouched .chip small").all_text_contents()]
    np.testing.assert_allclose(shown, 100 * np.exp(maps.log_probs), atol=0.11)
    view.locator("#body").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        view.keyboard.press(key)
    assert f"weight {maps.cross[-1, 0, 1, 1]:.3f}".replace("0.000", "<0.001") in view.text_content("#readout")


@slow
def test_choosing_an_alternative_forces_it_and_the_search_continues(
    visit: "Visit", file: Path, translator: Translator, rounded: Transformer
) -> None:
    view = done(visit(file))
    view.focus("#untouched-1")
    view.keyboard.press("Enter")
    choices = view.locator("#alternatives .alternative button .token").all_text_contents()
    assert len(choices) >= 5 and view.locator("#alternatives .alternative button").first.evaluate(
        "(node) => node === document.activeElement"
    )
    view.keyboard.press("Tab")
    chosen = view.evaluate("() => document.activeElement.textContent")
    first = chips(view)[0]
    view.keyboard.press("Enter")
    view.wait_for_function("() => state.prefix.length === 2 && results.untouched?.pass")
    assert chips(view)[:2] == [first, chosen]
    prefix = view.evaluate("() => state.prefix")
    src = translator.tokenizer.encode([view.input_value("#text")])
    ((expected,),) = PyTorchEngine(rounded, "32", ["cpu"]).translate(src, options_of(view), 1, [prefix])
    assert view.evaluate("() => results.untouched.hypotheses[0].tokens") == expected.tokens
    assert view.locator("#untouched .chip.forced").count() == 2


@slow
def test_a_head_that_is_off_changes_the_other_translation_only(
    visit: "Visit", file: Path, rounded: Transformer
) -> None:
    view = done(visit(file, "k=decoder_self&l=1&h=1"))
    before = chips(view)
    view.check("input[name=change][value=off]")
    done(visit_same(view))
    assert chips(view) == before and view.locator("#changed .chip").count() > 0
    assert "log-probability of" in view.text_content("#comparison")
    assert view.text_content("#head-1-1 .badge") == "off"
    src, tgt = view.evaluate("() => [results.untouched.inputs.src, results.untouched.tgt]")
    changed = copy.deepcopy(rounded)
    changed.get_submodule("decoder.1.self_attention").w_o.weight.data[:, 16:] = 0
    logits, _, _ = forced_pass(changed, src, tgt)
    expected = logits[0].log_softmax(-1).gather(1, torch.tensor(tgt)[:, None]).sum().item()
    assert view.evaluate("() => results.crossing") == pytest.approx(expected, abs=1e-3)
    view.click("#undo")
    view.locator("#changed").wait_for(state="hidden")


@slow
def test_a_patched_head_of_the_encoder_gives_the_translation_of_python(
    visit: "Visit", file: Path, translator: Translator, rounded: Transformer
) -> None:
    view = done(visit(file, f"{BOTH}&k=encoder_self&h=1"))
    view.locator("input[name=change][value=uniform]").focus()
    view.keyboard.press("ArrowRight")
    view.wait_for_function("() => hasChanges()")
    done(visit_same(view))
    assert view.text_content("#head-0-1 .badge") == "patched"
    assert "its output for the second sentence" in view.text_content("#change-text")
    src, second = translator.tokenizer.encode(SWAPPED)
    tgt = view.evaluate("() => results.untouched.tgt")
    path = "encoder.0.self_attention"
    before = log_probs_of(rounded, src, tgt).sum()
    with intervene(rounded, {path: {1: outputs_for(rounded, second, tgt)[path][1]}}):
        ((best,),) = PyTorchEngine(rounded, "32", ["cpu"]).translate([src], options_of(view, "changed"), 1)
        crossing = log_probs_of(rounded, src, tgt).sum()
        log_probs = take_maps(rounded, src, best.tokens, translator.tokenizer).log_probs
    found = view.evaluate("() => results.changed.hypotheses[0]")
    assert found["tokens"] == best.tokens and found["logProb"] == pytest.approx(best.log_prob, abs=1e-4)
    np.testing.assert_allclose(view.evaluate("() => results.changed.pass.logProbs"), log_probs, atol=1e-4)
    assert view.evaluate("() => results.crossing") == pytest.approx(crossing, abs=1e-4)
    assert abs(crossing - before) > 1e-3


@slow
def test_a_second_sentence_of_another_length_patches_nothing_and_is_explained(
    visit: "Visit", file: Path, translator: Translator
) -> None:
    view = visit(file, f"t={SWAPPED[0]}&s=le chat&x=encoder_self.0.1.patched&r=patched").page
    view.wait_for_function("() => results.untouched?.pass")
    own, other = (len(ids) for ids in translator.tokenizer.encode([SWAPPED[0], "le chat"]))
    note = f"The text has {own} tokens and the second sentence {other}, EOS included"
    assert note in view.text_content("#second-note") and note in view.text_content("#changed")
    assert view.evaluate("() => results.changed") is None and view.locator("#changed .chip").count() == 0
    assert view.locator("#map-changed").is_disabled() and view.locator("#find").is_disabled()
    assert view.locator("#body").is_visible()  # the map of the untouched network
    view.fill("#second", SWAPPED[1])
    view.wait_for_function("() => results.changed?.pass")
    assert f"Both sentences have {own} tokens" in view.text_content("#second-note")
    assert view.locator("#map-changed").is_enabled() and view.locator("#find").is_enabled()
    view.fill("#second", " ")
    view.wait_for_function("() => results.changed === null")
    assert f"Type a second sentence of as many tokens as the text: {own}" in view.text_content("#changed")
    view.click("#undo")
    view.locator("#changed").wait_for(state="hidden")


@slow
def test_each_sentence_of_the_pair_is_the_second_of_the_other_until_another_is_typed(
    visit: "Visit", file: Path
) -> None:
    view = done(visit(file))
    she, he, _, happy = EXAMPLES["fr"]
    assert view.input_value("#second") == he
    view.click(f'#examples button:text-is("{he}")')
    assert view.input_value("#second") == she
    view.click(f'#examples button:text-is("{happy}")')
    assert view.input_value("#second") == "" and "Type a second" in view.text_content("#second-note")
    view.fill("#second", "Je dors.")
    view.wait_for_function("() => state.second === 'Je dors.'")
    view.click(f'#examples button:text-is("{she}")')
    assert view.input_value("#second") == "Je dors."


@slow
def test_a_reload_restores_patched_heads_and_the_second_sentence(visit: "Visit", file: Path) -> None:
    fragment = f"{BOTH}&k=decoder_self&l=0&h=1&x=encoder_self.0.1.patched~decoder_self.0.1.patched&r=patched"
    tab = visit(file, fragment)
    before = (done(tab).inner_text("main"), tab.page.evaluate("() => fragment()"))
    assert tab.page.input_value("#second") == SWAPPED[1] and tab.page.is_checked("input[value=patched]")
    assert tab.page.input_value("#ranking") == "patched"
    assert [tab.page.text_content(f"#head-0-{head}") for head in range(2)] == ["", "patched"]
    tab.page.wait_for_function("() => location.hash.includes('decoder_self.0.1.patched')")
    tab.page.reload()
    after = (done(tab).inner_text("main"), tab.page.evaluate("() => fragment()"))
    timeless = [text.split("tokens in")[0] for text, _ in (before, after)]
    assert timeless[0] == timeless[1] and before[1] == after[1]


def visit_same(view: Any) -> Any:
    """Wrap a page as `done` expects it."""

    class Same:
        page = view

    return Same()


@slow
def test_find_ranks_all_heads_by_the_fall_that_python_computes(
    visit: "Visit", file: Path, rounded: Transformer
) -> None:
    view = done(visit(file))
    view.click("#find")
    view.wait_for_function("() => results.found?.done")
    heads = view.evaluate("() => results.found.heads")
    falls = [head["fall"] for head in heads]
    assert falls == sorted(falls, reverse=True) and len(falls) == 2 + 4 + 4
    assert view.locator("#found li").count() == len(falls)
    src, tgt = view.evaluate("() => [results.untouched.inputs.src, results.untouched.tgt]")

    def log_prob(model: Transformer) -> float:
        logits, _, _ = forced_pass(model, src, tgt)
        return logits[0].log_softmax(-1).gather(1, torch.tensor(tgt)[:, None]).sum().item()

    for head in heads:
        without = copy.deepcopy(rounded)
        start = 16 * head["head"]
        without.get_submodule(head["path"]).w_o.weight.data[:, start : start + 16] = 0
        assert head["fall"] == pytest.approx(log_prob(rounded) - log_prob(without), abs=1e-3)


@slow
def test_find_ranks_all_heads_by_what_patching_them_does_in_python(
    visit: "Visit", file: Path, translator: Translator, rounded: Transformer
) -> None:
    view = done(visit(file, BOTH))
    view.click("#find")
    view.wait_for_function("() => results.found?.done")
    view.select_option("#ranking", "patched")
    assert view.locator("#found li").count() == 0  # the ranking of the other choice is gone
    view.click("#find")
    view.wait_for_function("() => results.found?.done")
    heads = view.evaluate("() => results.found.heads")
    falls = [head["fall"] for head in heads]
    assert falls == sorted(falls, reverse=True) and len(falls) == 2 + 4 + 4
    src, second = translator.tokenizer.encode(SWAPPED)
    tgt = view.evaluate("() => results.untouched.tgt")
    others, before = outputs_for(rounded, second, tgt), log_probs_of(rounded, src, tgt).sum()
    for head in heads:
        with intervene(rounded, {head["path"]: {head["head"]: others[head["path"]][head["head"]]}}):
            assert head["fall"] == pytest.approx(before - log_probs_of(rounded, src, tgt).sum(), abs=1e-4)
    assert max(map(abs, falls)) > 1e-2


# Two frames after each message of the worker, what the page has and shows; the next message waits for that.
WATCH = """() => {
  const receive = worker.onmessage;
  const frame = () => new Promise(requestAnimationFrame);
  let last = Promise.resolve();
  globalThis.watched = [];
  worker.onmessage = (event) => (last = last.then(() => watch(event)));
  async function watch(event) {
    receive(event);
    await frame();
    await frame();
    const network = shownNetwork();
    const isOwn = requestOfLane.get(network) === event.data.id;
    if (!isOwn || !["encoded", "step"].includes(event.data.type)) return;
    const heads = allHeads(config).map(({ kind, layer, head, path }) => [path, head, weightsOf(kind, layer, head)]);
    const isHidden = byId("body").hidden;
    watched.push({
      tokens: results[network].tokens.map(({ id }) => id),
      heads: structuredClone(heads.filter(([, , weights]) => weights)),
      labels: isHidden ? 0 : byId("body").querySelectorAll(".rows bdi").length,
      height: isHidden ? 0 : byId("body").querySelector("canvas").height,
    });
  }
}"""


@pytest.mark.parametrize("beam_size", [1, 4])
@pytest.mark.parametrize("patch", ["", "&x=decoder_self.1.1.patched~cross.1.0.patched~encoder_self.0.0.off"])
@slow
def test_maps_grow_while_the_search_runs_and_equal_those_of_the_forced_pass(
    visit: "Visit", tmp_path: Path, translator: Translator, beam_size: int, patch: str
) -> None:
    path, _ = page_of_random_model(translator, "pre", tmp_path)
    network = "changed" if patch else "untouched"
    view = done(visit(path, f"b={beam_size}&n={network}"))
    view.evaluate(WATCH)
    view.evaluate("(hash) => { location.hash = hash; }", f"{BOTH}&b={beam_size}&n={network}{patch}")
    view.wait_for_function("(text) => state.text === text && results[state.network]?.pass", arg=SWAPPED[0])
    found = in_page(
        view,
        LOAD
        + """const { inputs, changes } = results[state.network];
        return watched.map(({ tokens, heads, labels, height }) => {
          const { maps } = forcedPass(ownNetwork, inputs.src, tokens.length ? tokens : [EOS], changes);
          const shapes = heads.map(([path, head, { rows, columns }]) =>
            rows === maps[path][head].rows && columns === maps[path][head].columns);
          const differences = heads.flatMap(([path, head, { values }]) =>
            [...values].map((value, i) => Math.abs(value - maps[path][head].values[i])));
          const largest = differences.reduce((most, value) => (value <= most ? most : value), 0);
          return { tokens, labels, height, largest, nHeads: heads.length, isSameShape: shapes.every(Boolean) };
        });""",
    )
    # A translation that runs in a loop is searched again: what follows is about the last search.
    found = found[max(i for i, step in enumerate(found) if step["tokens"] == []) :]
    # The first message has the maps of the encoder alone; each of the others adds a row to those of the decoder.
    assert [len(step["tokens"]) for step in found] == list(range(len(found))) and len(found) > 4
    for step in found:
        assert step["largest"] < 1e-5 and step["isSameShape"], step
        assert step["nHeads"] == (4 if step["tokens"] == [] else 12)
        assert step["labels"] == step["height"] == len(step["tokens"])
    if beam_size == 1:
        last = view.evaluate("() => results[state.network].tgt")
        assert found[-1]["tokens"] == last[: len(found[-1]["tokens"])]
    else:  # another hypothesis became the best one
        assert any(a["tokens"] != b["tokens"][:-1] for a, b in itertools.pairwise(found))


@slow
def test_the_maps_of_the_encoder_are_shown_before_the_first_token(visit: "Visit", file: Path) -> None:
    view = done(visit(file, "k=encoder_self"))
    view.evaluate(WATCH)
    view.fill("#text", SOURCES[1])
    view.wait_for_function("(text) => state.text === text && results.untouched?.pass", arg=SOURCES[1])
    first = view.evaluate("() => watched[0]")
    n_source = view.evaluate("() => results.untouched.inputs.src.length")
    assert first["tokens"] == [] and first["labels"] == first["height"] == n_source


@slow
def test_a_text_in_capitals_is_translated_as_python_does(
    visit: "Visit", file: Path, translator: Translator, rounded: Transformer
) -> None:
    python = copy.copy(translator)
    python.engine = PyTorchEngine(rounded, "32", ["cpu"])
    view = done(visit(file))
    translations = []
    for text in ("LE CHAT NOIR DORT.", "ÇA VA ?", "SNCF", "Le CHAT dort.", "L’ÉTÉ EST LÀ"):
        view.fill("#text", text)
        view.wait_for_function("(text) => state.text === text && results.untouched?.pass", arg=text)
        (expected,) = python.translate([text])
        assert view.text_content("#untouched .name b") == expected
        assert view.locator("#capitals").is_visible() is in_capitals(text)
        assert not in_capitals(text) or view.text_content("#status") == f"Translation: {expected}"
        translations.append(expected)
    assert any(translation.isupper() for translation in translations)


@slow
def test_a_translation_that_runs_in_a_loop_is_searched_again_as_python_does(
    visit: "Visit", file: Path, translator: Translator, rounded: Transformer
) -> None:
    python = copy.copy(translator)
    python.engine = PyTorchEngine(rounded, "32", ["cpu"])
    view = done(visit(file))
    repeated = []
    for text in (*SOURCES, "x" * 30):
        (free,) = python.translate([text], SearchOptions(no_repeat_ngram_size=0))
        (expected,) = python.translate([text])
        view.fill("#text", text)
        view.wait_for_function("(text) => state.text === text && results.untouched?.pass", arg=text)
        assert view.text_content("#untouched .name b") == expected
        repeated.append(runs_in_loop(text, free))
        assert ("it ran in a loop" in view.text_content("#untouched .name")) is repeated[-1]
    assert any(repeated)
    texts = ["", "a a a a", "aaa", "aaaa", "abc, abc, abc, abc,", "🙂🙂🙂🙂", "a b a b a b a b", f"{'x' * 41}." * 4]
    pairs = list(itertools.product(texts, repeat=2))
    found = in_page(view, "return argument.map((pair) => runsInLoop(...pair));", pairs)
    assert found == [runs_in_loop(*pair) for pair in pairs]


@slow
def test_steps_of_the_search_show_kept_and_pruned_hypotheses(visit: "Visit", file: Path) -> None:
    view = done(visit(file))
    view.focus("#step")
    view.keyboard.press("Home")
    assert "token 1 of" in view.text_content("#step-name")
    assert view.locator("#hypotheses tbody tr").count() == 8
    assert view.locator("#hypotheses .kept").count() + view.locator("#hypotheses .finished").count() >= 4
    assert view.locator("#hypotheses .pruned").count() >= 1


@slow
def test_a_reload_shows_the_same_live_page(visit: "Visit", file: Path) -> None:
    tab = visit(file, "t=Le chat dort.&b=2&k=encoder_self&l=0&h=1&x=cross.0.1.uniform&d=0&y=-7&p=300.301")
    before = (done(tab).inner_text("main"), tab.page.evaluate("() => fragment()"))
    tab.page.wait_for_function("() => decodeURIComponent(location.hash).includes('cross.0.1.uniform')")
    tab.page.reload()
    after = (done(tab).inner_text("main"), tab.page.evaluate("() => fragment()"))
    timeless = [text.split("tokens in")[0] for text, _ in (before, after)]
    assert timeless[0] == timeless[1] and before[1] == after[1]


@slow
def test_invalid_fields_of_the_live_fragment_become_the_defaults(visit: "Visit", file: Path) -> None:
    view = done(
        visit(file, "b=99&k=__proto__&l=-1&h=x&x=cross.9.9.off~__proto__.0.0.off~cross.0.0.toString&y=1e9&p=5.x")
    )
    assert view.evaluate("() => [state.beam, state.kind, state.layer, state.head, state.prefix, hasChanges()]") == [
        4,
        "cross",
        1,
        0,
        [],
        False,
    ]


@pytest.mark.parametrize(
    "text", ["...", "🙂👩‍🔬", "</script><img src=x onerror=alert(1)>", "<s> </s> &amp;", "\ufeff\u200b", "x" * 90]
)
@slow
def test_any_text_is_shown_literally(visit: "Visit", file: Path, text: str) -> None:
    view = done(visit(file))
    view.fill("#text", text)
    view.wait_for_function("(text) => state.text === text && results.untouched?.pass", arg=text)
    ids = view.evaluate("() => results.untouched.inputs.src")
    assert view.locator("#body .columns bdi").all_text_contents() == view.evaluate(
        "(ids) => tokenizer.tokens(ids)", ids
    )
    assert view.locator("main script, main img").count() == 0


@slow
def test_blank_and_over_long_texts_are_explained(visit: "Visit", file: Path) -> None:
    view = done(visit(file))
    view.fill("#text", " \n ")
    view.wait_for_function("() => results.untouched === null")
    assert view.locator(".chip").count() == 0 and view.locator("#problem").is_hidden()
    view.fill("#text", "mot " * 400)
    view.locator("#problem").wait_for(state="visible")
    assert "but this page translates at most 200: shorten it" in view.text_content("#problem")
    view.click("#examples button")
    view.wait_for_function("() => results.untouched?.pass")
    assert view.locator("#problem").is_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@slow
def test_axe_finds_no_serious_violation_in_the_live_page(visit: "Visit", file: Path, scheme: str) -> None:
    tab = visit(file, f"{BOTH}&x=cross.1.0.off~encoder_self.0.1.patched&k=encoder_self&h=1", color_scheme=scheme)
    view = done(tab)
    view.click("#find")
    view.wait_for_function("() => results.found?.done")
    assert tab.accessibility_violations() == []
    view.click("#untouched-0")
    assert tab.accessibility_violations() == []


@slow
def test_the_live_page_fits_a_screen_of_360_pixels(visit: "Visit", file: Path) -> None:
    view = done(visit(file, "x=cross.1.0.off", viewport={"width": 360, "height": 740}))
    view.click("#untouched-0")
    assert view.evaluate("() => document.documentElement.scrollWidth") <= 360
    view.fill("#text", "x" * 150)
    view.wait_for_function("() => state.text.length === 150 && results.untouched?.pass && results.crossing !== null")
    assert view.evaluate("() => document.documentElement.scrollWidth") <= 360
    view.check("input[name=change][value=patched]")
    view.wait_for_function("() => isWaiting()")
    assert view.locator("#second-note").is_visible()
    assert view.evaluate("() => document.documentElement.scrollWidth") <= 360


# --- the lesson and the attention page, opened from the live page

MARKUP = "</script><img src=x onerror=alert(1)> <!-- __DATA__ &amp; <b>"
UNIFORM = "x=encoder_self.0.0.uniform"  # a change that shows in all weights


def opened(view: Any, button: str) -> Any:
    """Press a button by the keyboard -> the frame of the page that it opens, once it has the focus and is drawn."""
    view.focus(button)
    view.keyboard.press("Enter")
    view.wait_for_function("() => document.activeElement.tagName === 'IFRAME'")
    frame = view.query_selector("#viewer iframe").content_frame()
    frame.locator(".step:visible, main[aria-busy=false]").first.wait_for()
    return frame


def data_of(frame: Any) -> dict[str, Any]:
    return json.loads(json.dumps(frame.evaluate("() => DATA")), object_hook=decode_array)


def maps_of_page(view: Any, model: Transformer, translator: Translator, network: str = "untouched") -> SentenceMaps:
    """Return what Python computes for the text and the translation that the page shows."""
    src, tgt = view.evaluate("(network) => [results[network].inputs.src, results[network].tgt]", network)
    return take_maps(model, src, tgt, translator.tokenizer)


def assert_close(found: Any, expected: Any, name: str = "") -> None:
    """Compare values of JSON; numbers may differ by 1e-4."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), name
        for key in expected:
            assert_close(found[key], expected[key], f"{name} {key}")
    elif isinstance(expected, float | np.ndarray):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4, err_msg=name)
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected), name
        for i, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_close(one, other, f"{name} {i}")
    else:
        assert found == expected, name


@pytest.mark.parametrize("norm", ["pre", "post"])
@slow
def test_the_lesson_of_a_head_has_the_numbers_of_python(
    visit: "Visit", tmp_path: Path, translator: Translator, norm: Norm
) -> None:
    path, model = page_of_random_model(translator, norm, tmp_path)
    for kind in KINDS:
        for layer in (0, 1):
            tab = visit(path, f"t=Il dort.&k={kind}&l={layer}&h=1")
            view = done(tab)
            frame = opened(view, "#open-lesson")
            expected = embedded_data(lesson(model, maps_of_page(view, model, translator), kind, layer))
            assert_close(data_of(frame), expected, f"{kind} {layer}")
            assert frame.evaluate("() => [DATA.kind, DATA.layer, state.head]") == [kind, layer, 1]
            assert frame.locator("#scores [data-head='1']").get_attribute("aria-pressed") == "true"
            assert f"layer {layer} " in frame.text_content("[data-value=place]")
            shown = array(frame.evaluate("() => Array.from(divided.perHead[1].weights.values)"), (-1,))
            np.testing.assert_allclose(shown, expected["model"]["weights"][1].ravel(), atol=1e-4)
            difference = float(frame.get_attribute("#difference data", "value"))
            assert 0 < difference < 1e-4 and "disagree" not in frame.text_content("#difference")


@slow
def test_the_attention_page_has_the_numbers_of_python(visit: "Visit", tmp_path: Path, translator: Translator) -> None:
    path, model = page_of_random_model(translator, "post", tmp_path)
    view = done(visit(path, "t=Il dort avec elle.&k=encoder_self&l=0&h=1"))
    frame = opened(view, "#open-attention")
    maps = maps_of_page(view, model, translator)
    expected = describe(maps, {kind: to_uint16(maps.weights(kind)) for kind in KINDS})
    data = data_of(frame)
    assert frame.evaluate("() => [active().k, active().l, active().h]") == ["encoder_self", 0, 1]
    assert frame.title() == frame.text_content("h1") == "Attention" and data["scale"] == 65535
    (found,) = data["sentences"]
    for kind in KINDS:
        weights = frame.evaluate("async (kind) => Array.from(await weightsOf(0, kind))", kind)
        np.testing.assert_allclose(array(weights, maps.weights(kind).shape), maps.weights(kind), atol=1e-4)
        del found["maps"][kind]["weights"], expected["maps"][kind]["weights"]
    assert_close(found, expected)


@slow
def test_with_changes_the_attention_page_shows_the_chosen_network_and_the_lesson_the_untouched_one(
    visit: "Visit", file: Path, translator: Translator, rounded: Transformer
) -> None:
    changed = copy.deepcopy(rounded)  # without queries all scores of a head are equal
    for parameter in changed.get_submodule("encoder.0.self_attention.w_q").parameters():
        parameter.data[:16] = 0
    for network, model in (("changed", changed), ("untouched", rounded)):
        view = done(visit(file, f"k=encoder_self&l=0&h=0&{UNIFORM}&n={network}"))
        note = view.text_content("#pages-note")
        assert f"attention page shows the {network} network" in note and "lesson computes the untouched" in note
        frame = opened(view, "#open-attention")
        assert frame.title() == frame.text_content("h1") == f"Attention of the {network} network"
        assert view.text_content("#viewer-title") == f"Attention of the {network} network"
        maps = maps_of_page(view, model, translator, network)
        for kind in KINDS:
            weights = frame.evaluate("async (kind) => Array.from(await weightsOf(0, kind))", kind)
            np.testing.assert_allclose(array(weights, maps.weights(kind).shape), maps.weights(kind), atol=1e-4)
        view.keyboard.press("Escape")
        frame = opened(view, "#open-lesson")
        assert view.text_content("#viewer-title") == "Lesson of the untouched network"
        expected = embedded_data(lesson(rounded, maps_of_page(view, rounded, translator), "encoder_self", 0))
        assert_close(data_of(frame), expected)
    assert np.abs(maps.encoder_self[0, 0] - 1 / maps.encoder_self.shape[-1]).max() > 1e-3  # the change has an effect


@slow
def test_the_keyboard_opens_and_closes_the_pages_and_the_focus_returns(visit: "Visit", file: Path) -> None:
    view = done(visit(file))
    view.evaluate(
        """() => {
          globalThis.urls = new Set();
          const { createObjectURL, revokeObjectURL } = URL;
          URL.createObjectURL = (blob) => (urls.add(createObjectURL(blob)), [...urls].at(-1));
          URL.revokeObjectURL = (url) => (urls.delete(url), revokeObjectURL(url));
        }"""
    )

    def assert_closed(button: str) -> None:
        view.locator("#viewer").wait_for(state="hidden")
        assert view.evaluate("() => [`#${document.activeElement.id}`, urls.size]") == [button, 0]
        assert view.locator("iframe").count() == 0

    for button in ("#open-lesson", "#open-attention"):
        frame = opened(view, button)
        assert view.evaluate("() => urls.size") == 1 and view.locator("#viewer-close").is_visible()
        view.keyboard.press("Escape")
        assert_closed(button)
        opened(view, button)
        view.focus("#viewer-close")
        view.keyboard.press("Escape")
        assert_closed(button)
        opened(view, button)
        view.focus("#viewer-close")
        view.keyboard.press("Enter")
        assert_closed(button)
    frame = opened(view, "#open-lesson")
    view.keyboard.press("ArrowRight")  # the keys of the page work at once
    frame.locator("#scale").wait_for(timeout=5000)
    view.keyboard.press("Escape")
    assert_closed("#open-lesson")


@slow
def test_escape_closes_a_page_only_where_the_page_does_not_use_it(visit: "Visit", file: Path) -> None:
    view = done(visit(file))
    frame = opened(view, "#open-attention")
    for key in ("ArrowDown", "Enter"):  # a cursor and a pin
        view.keyboard.press(key)
    frame.wait_for_function("() => active().p !== null")
    view.keyboard.press("Escape")
    frame.wait_for_function("() => active().p === null")
    view.keyboard.press("Escape")
    frame.wait_for_function("() => active().q === null")
    view.keyboard.press("?")
    frame.locator("#help").wait_for()
    view.keyboard.press("Escape")
    frame.locator("#help").wait_for(state="hidden")
    assert view.locator("#viewer").is_visible()
    view.keyboard.press("Escape")
    view.locator("#viewer").wait_for(state="hidden")
    view.focus("#untouched-0")
    view.keyboard.press("Enter")
    frame = opened(view, "#open-lesson")
    frame.focus("#scores-scores")
    view.keyboard.press("ArrowDown")
    view.keyboard.press("Escape")  # leaves the matrix
    assert view.locator("#viewer").is_visible()
    view.focus("#viewer-close")
    view.keyboard.press("Escape")
    view.locator("#viewer").wait_for(state="hidden")
    assert view.locator("#alternatives").is_visible()  # what lies behind the dialog stays as it was


@pytest.mark.parametrize("scheme", ["light", "dark"])
@slow
def test_axe_finds_no_serious_violation_in_the_opened_pages(visit: "Visit", file: Path, scheme: str) -> None:
    tab = visit(file, UNIFORM, color_scheme=scheme)
    view = done(tab)
    for button in ("#open-lesson", "#open-attention"):
        frame = opened(view, button)
        assert tab.accessibility_violations() == []
        assert tab.accessibility_violations(frame) == []
        view.click("#viewer-close")


@slow
def test_the_opened_pages_fit_a_screen_of_360_pixels(visit: "Visit", file: Path) -> None:
    view = done(visit(file, UNIFORM, viewport={"width": 360, "height": 740}))
    for button in ("#open-lesson", "#open-attention"):
        frame = opened(view, button)
        for part in (view, frame):
            assert part.evaluate("() => document.documentElement.scrollWidth") <= 360
        box = view.locator("#viewer iframe").bounding_box()
        assert box["width"] == 360 and box["height"] > 600
        view.click("#viewer-close")


@slow
def test_markup_in_the_text_is_shown_literally_in_the_opened_pages(
    visit: "Visit", file: Path, translator: Translator
) -> None:
    view = done(visit(file))
    view.on("dialog", lambda dialog: pytest.fail(dialog.message))
    view.fill("#text", MARKUP)
    view.wait_for_function("(text) => state.text === text && results.untouched?.pass", arg=MARKUP)
    tokens = translator.tokenizer.tokens(view.evaluate("() => results.untouched.inputs.src"))
    frame = opened(view, "#open-lesson")
    assert frame.locator("header b").first.text_content() == MARKUP
    frame.click("nav li:nth-child(2) a")
    frame.locator("#tokens").wait_for(timeout=5000)
    assert frame.locator("[data-tokens=keys] li > .token").all_text_contents() == tokens
    assert frame.locator("img").count() == 0
    view.click("#viewer-close")
    frame = opened(view, "#open-attention")
    assert frame.text_content("#source") == MARKUP
    assert frame.locator(".columns .label").all_text_contents() == tokens
    assert frame.locator("img").count() == 0


@slow
def test_json_of_the_page_equals_that_of_python(visit: "Visit", file: Path) -> None:
    texts = [*ALPHABETS, MARKUP, "\x7f\b\f\v\u2028\ud800"]
    data = {"texts": texts, "numbers": [0, -1, 0.5, None, True], "": {}}
    assert in_page(done(visit(file)), "return jsonInHtml(argument);", data) == json_in_html(data)


# --- the program


@slow
def test_the_program_writes_the_page(trained: Path) -> None:
    finished = run("visualize.py", "live", "--output", "page.html", cwd=trained)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.strip() == "page.html" and (trained / "page.html").stat().st_size < 1_000_000


@slow
def test_a_page_that_cannot_be_written_is_reported_in_one_sentence(trained: Path) -> None:
    for output in ("missing/page.html", "runs"):
        finished = run("visualize.py", "live", "--output", output, cwd=trained)
        assert finished.returncode == 2 and finished.stdout == ""
        assert len(finished.stderr.strip().splitlines()) == 1 and output in finished.stderr, finished.stderr


def test_the_default_bos_and_eos_of_the_page_are_those_of_the_project() -> None:
    source = (ROOT / "visualization" / "web" / "live_tokenizer.js").read_text(encoding="utf-8")
    assert "const [PAD, BOS, EOS, UNK] = [0, 1, 2, 3];" in source and (BOS, EOS) == (1, 2)
