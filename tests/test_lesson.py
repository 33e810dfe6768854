"""Claims about the lesson: the page computes the model's values itself, and explains each cell."""

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from embedded import embedded_data

from constants import BOS, EOS
from errors import UserError
from model import Transformer, TransformerConfig, attention_maps
from model.transformer import Norm
from visualization.lesson import lesson
from visualization.sentence import KINDS, Kind, take_maps

if TYPE_CHECKING:
    from browser import Tab, Visit

pytest_plugins = ["browser"]
slow = pytest.mark.slow  # needs a browser

HOSTILE = [
    "<s>",
    "</s>",
    "▁</script>",
    "<img src=x onerror=alert(1)>",
    "<!--",
    "&amp;",
    "▁\u2028",
    "▁مرحبا",
    "🙂",
    "▁Je",
]
SRC, TGT = [9, 2, 3, 4, 5, EOS], [6, 7, 8, 9, EOS]  # ids are indices of HOSTILE, except BOS and EOS


class HostileTokenizer:
    """Stands in for a `Tokenizer` whose tokens and texts contain HTML."""

    def tokens(self, ids: Sequence[int]) -> list[str]:
        special = {BOS: "<s>", EOS: "</s>"}
        return [special.get(i, HOSTILE[i % len(HOSTILE)]) for i in ids]

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        return ["source & </script>", "<b>translation</b>"][: len(rows)]


tokens = HostileTokenizer().tokens


def tiny(norm: Norm = "pre", d_model: int = 16, seed: int = 1) -> Transformer:
    """Return a random model whose biases and norms are random too, so that leaving one out changes the result."""
    torch.manual_seed(seed)
    config = TransformerConfig(12, d_model, n_heads=2, n_encoder_layers=2, n_decoder_layers=3, d_ff=32, norm=norm)
    model = Transformer(config)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter, std=0.3)
    with torch.no_grad():
        for layer in [*model.encoder, *model.decoder]:
            for weights in (layer.self_attention.w_q.weight, layer.self_attention.w_k.weight):
                weights.mul_(2)  # scores large enough for the softmax to saturate without the division
    return model


def page(model: Transformer, kind: Kind = "encoder_self", layer: int = 0) -> str:
    maps = take_maps(model, SRC, TGT, HostileTokenizer())  # type: ignore[arg-type]
    return lesson(model, maps, kind, layer)


def model_weights(model: Transformer, kind: Kind, layer: int) -> np.ndarray:
    """Return the weights (H, T, S) that `attention_maps` records."""
    path = f"encoder.{layer}.self_attention" if kind == "encoder_self" else f"decoder.{layer}."
    path += {"encoder_self": "", "decoder_self": "self_attention", "cross": "cross_attention"}[kind]
    with torch.no_grad(), attention_maps(model.eval()) as maps:
        model(torch.tensor([SRC]), torch.tensor([[BOS, *TGT[:-1]]]))
    return maps[path][0].double().numpy()


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layer", [0, 1])
def test_attention_of_the_exported_inputs_equals_the_values(norm: Norm, kind: Kind, layer: int) -> None:
    model = tiny(norm)
    data = embedded_data(page(model, kind, layer))
    given, values = data["inputs"], data["model"]
    if layer == 0 and kind != "cross":
        ids = torch.tensor([data["queries"]["ids"]])
        np.testing.assert_allclose(values["x"], model.eval().embed(ids)[0].detach(), atol=1e-6)
        np.testing.assert_array_equal(given["embedding"], model.embedding.weight[ids[0]].detach())
    x = values["x"] if "embedding" in given else given["x"]

    def normalise(y: np.ndarray) -> np.ndarray:
        centred = y - y.mean(-1, keepdims=True)
        return centred / np.sqrt(y.var(-1, keepdims=True) + data["eps"]) * given["scale"] + given["shift"]

    query_input = normalise(x) if norm == "pre" else x
    context = given["context"] if kind == "cross" else query_input
    q, k = query_input @ given["w_q"] + given["b_q"], context @ given["w_k"] + given["b_k"]
    v = context @ given["w_v"] + given["b_v"]
    split = [y.reshape(len(y), 2, 8).swapaxes(0, 1) for y in (q, k, v)]
    scores = split[0] @ split[1].swapaxes(1, 2) / np.sqrt(8)
    powers = np.exp(np.where(np.array(data["mask"], bool), scores, -np.inf))
    weights = powers / powers.sum(-1, keepdims=True)
    heads = (weights @ split[2]).swapaxes(0, 1).reshape(len(x), -1)
    output = heads @ given["w_o"] + given["b_o"]
    result = x + output if norm == "pre" else normalise(x + output)
    for name, mine in {"q": q, "k": k, "v": v, "weights": weights, "heads": heads, "output": output}.items():
        np.testing.assert_allclose(values[name], mine, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(values["result"], result, atol=1e-5)
    np.testing.assert_allclose(values["weights"], model_weights(model, kind, layer), atol=1e-6)
    assert (np.triu(values["weights"], 1) == 0).all() == (kind == "decoder_self")


def test_a_lesson_changes_neither_mode_nor_hooks_of_the_model() -> None:
    model = tiny().train()
    page(model)
    assert model.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize(("kind", "layer", "valid"), [("encoder_self", 2, "0 to 1"), ("cross", -1, "0 to 2")])
def test_a_layer_that_does_not_exist_is_refused_with_the_layers_that_do(kind: Kind, layer: int, valid: str) -> None:
    with pytest.raises(UserError, match=f"--layer {layer} .*{valid}"):
        page(tiny(), kind, layer)


def test_a_lesson_of_width_256_is_smaller_than_three_megabytes() -> None:
    assert len(page(tiny(d_model=256)).encode()) < 3e6


# --- in a browser

Show = Callable[..., "Tab"]


@pytest.fixture
def show(visit: "Visit", tmp_path: Path) -> Show:
    """Open a lesson in a browser; `visit` fails if it makes a request or reports an error."""

    file = tmp_path / "lesson.html"
    tabs: dict[str, Tab] = {}

    def open_lesson(html: str, fragment: str = "", **options: Any) -> "Tab":
        file.write_text(html, encoding="utf-8")
        if repr(options) in tabs:
            tabs[repr(options)].open(file.as_uri(), fragment)
        else:
            tabs[repr(options)] = visit(file, fragment, **options)
        return tabs[repr(options)]

    return open_lesson


def cell(page: Any, grid: str, i: int, j: int) -> Any:
    return page.locator(f"#{grid} [data-i='{i}'][data-j='{j}']")


def number(text: str) -> float:
    return float(text.replace("−", "-").strip("() ="))


def difference(page: Any) -> float:
    return float(page.locator("#difference data").get_attribute("value"))


@pytest.mark.parametrize("norm", ["pre", "post"])
@slow
def test_the_page_computes_the_models_values(norm: Norm, show: Show) -> None:
    model = tiny(norm)
    for kind in KINDS:
        for layer in (0, 1):
            view = show(page(model, kind, layer), "step=softmax&head=1").page
            assert 0 < difference(view) < 1e-4, (kind, layer)
            differences = view.locator(".check data").evaluate_all("(all) => all.map((data) => Number(data.value))")
            assert max(differences) == difference(view)
            weights = model_weights(model, kind, layer)[1]
            cells = np.array(view.locator("#softmax-weights [role=gridcell]").all_inner_texts())
            cells = cells.reshape(len(weights), -1)
            assert (cells[:, -1] == "1.00").all()  # the sum of each row
            hidden = np.triu(np.ones(weights.shape, bool), 1) if kind == "decoder_self" else weights < 0
            assert ((cells[:, :-1] == "") == hidden).all()
            shown = [number(text) for text in cells[:, :-1][~hidden]]
            np.testing.assert_allclose(shown, weights[~hidden], atol=0.00501)


@slow
def test_a_page_whose_values_differ_from_the_model_reports_it(show: Show) -> None:
    model = tiny()
    data = embedded_data(page(model))["model"]["output"].astype("<f4")
    original = base64.b64encode(data.tobytes()).decode()
    data[2, 3] += 0.01
    view = show(page(model).replace(original, base64.b64encode(data.tobytes()).decode())).page
    assert difference(view) == pytest.approx(0.01, abs=1e-4)
    assert "disagree" in view.locator("#difference").inner_text()


@slow
def test_a_clicked_score_equals_its_dot_product_written_out(show: Show) -> None:
    model = tiny()
    view = show(page(model), "step=scores&head=1").page
    values = embedded_data(page(model))["model"]
    q, k = values["q"][:, 8:], values["k"][:, 8:]
    clicked = cell(view, "scores-scores", 2, 3)
    clicked.click()
    panel = view.locator("#scores .explanation")
    terms = [text.split("×") for text in panel.locator(".term").all_inner_texts()]
    assert len(terms) == 8
    total = sum(number(left) * number(right) for left, right in terms)
    assert total == pytest.approx(q[2] @ k[3], abs=2e-3)
    assert number(panel.locator(".after").inner_text()) == pytest.approx(q[2] @ k[3], abs=6e-5)
    assert number(clicked.inner_text()) == pytest.approx(q[2] @ k[3], abs=0.00501)
    largest = int(np.abs(q[2] * k[3]).argmax())
    left, right = panel.locator(".term.largest").inner_text().split("×")
    assert (number(left), number(right)) == pytest.approx((q[2, largest], k[3, largest]), abs=6e-5)


@slow
def test_without_the_division_the_softmax_saturates_and_a_notice_appears(show: Show) -> None:
    view = show(page(tiny()), "step=scale&head=0").page

    def largest() -> float:
        return max(number(text) for text in view.locator("#scale-weights [data-i='0']").all_inner_texts()[:-1])

    before, checked = largest(), difference(view)
    means = [number(text) for text in view.locator(".saturation .mean").all_inner_texts()]
    assert means[1] > means[0]
    view.locator("#divide").uncheck()
    assert largest() > before
    assert view.locator("#undivided").is_visible()
    assert difference(view) == checked  # it compares the values with the division
    view.locator("#divide-again").click()
    assert largest() == before and not view.locator("#undivided").is_visible()


@slow
def test_scores_of_later_tokens_are_minus_infinity(show: Show) -> None:
    view = show(page(tiny(), "decoder_self"), "step=mask").page
    for i in range(len(TGT)):
        for j in range(len(TGT)):
            text = cell(view, "mask-masked", i, j).inner_text()
            assert (text == "−∞") == (j > i)
    cell(view, "mask-masked", 0, 2).click()
    assert view.locator("#mask .equation").inner_text().endswith("= −∞")


@slow
def test_hostile_tokens_appear_literally(show: Show) -> None:
    view = show(page(tiny(), "cross", 2), "step=tokens").page
    view.on("dialog", lambda dialog: pytest.fail(dialog.message))
    for side, ids in (("queries", [BOS, *TGT[:-1]]), ("keys", SRC)):
        assert view.locator(f"[data-tokens={side}] li > .token").all_text_contents() == tokens(ids)
    assert view.locator("header b").all_text_contents() == ["source & </script>", "<b>translation</b>"]
    view.evaluate("location.hash = 'step=softmax'")
    assert set(tokens(SRC)) < set(view.locator("#softmax [role=columnheader]").all_text_contents())
    cell(view, "softmax-weights", 1, 2).click()
    assert "<img src=x onerror=alert(1)>" in view.locator("#softmax .explanation").inner_text()
    assert view.locator("img").count() == 0


@slow
def test_the_keyboard_moves_through_steps_and_cells(show: Show) -> None:
    view = show(page(tiny()), "step=values&head=1").page
    visible = view.locator(".step:visible")
    assert visible.get_attribute("id") == "values"
    view.keyboard.press("ArrowRight")
    view.wait_for_selector("#heads:visible")
    view.keyboard.press("ArrowLeft")
    view.wait_for_selector("#values:visible")
    assert visible.count() == 1 and "step=values&head=1" in view.url
    grid = view.locator("#values-head")
    grid.focus()
    for key in ("Home", "ArrowRight", "ArrowDown", "ArrowDown", "Enter"):
        view.keyboard.press(key)
    assert visible.get_attribute("id") == "values"
    heading = view.locator("#values .explanation h3").inner_text()
    assert "row 2" in heading and "column 1" in heading
    view.keyboard.press("Escape")
    view.keyboard.press("ArrowRight")
    view.wait_for_selector("#heads:visible")


@slow
def test_a_large_matrix_has_few_cells_in_the_document_and_every_cell_can_be_reached(show: Show) -> None:
    model = tiny(d_model=256)
    view = show(page(model), "step=matrices", viewport={"width": 360, "height": 740}).page
    grid = view.locator("#matrices-w_q")
    assert 0 < grid.locator("[role=gridcell]").count() < 1000
    grid.focus()
    view.keyboard.press("End")
    for _ in range(40):
        view.keyboard.press("PageDown")
    view.keyboard.press("End")
    last = model.encoder[0].self_attention.w_q.weight[255, 255].item()
    assert number(cell(view, "matrices-w_q", 255, 255).inner_text()) == pytest.approx(last, abs=0.00501)
    assert view.evaluate("document.documentElement.scrollWidth") <= 360


@slow
def test_print_shows_all_steps_and_how_much_of_a_matrix_is_left_out(show: Show) -> None:
    view = show(page(tiny())).page
    view.emulate_media(media="print")
    steps = view.locator(".step")
    assert steps.count() == view.locator(".step:visible").count() == 16
    assert "12 of 16 rows, 10 of 16 columns" in view.locator("#matrices .printed").first.inner_text()
    view.emulate_media(media="screen")  # other tests use the same tab


@slow
def test_axe_finds_no_serious_violation(show: Show) -> None:
    tab = show(page(tiny(), "decoder_self"))
    view = tab.page
    for step, scheme in [("dictionary", "light"), ("projections", "light"), ("softmax", "dark")]:
        view.emulate_media(color_scheme=scheme)
        view.evaluate(f"location.hash = 'step={step}'")
        view.wait_for_selector(f"#{step}:visible")
        if step == "softmax":
            view.locator("#softmax [role=gridcell]").first.click()
        assert tab.accessibility_violations() == [], step
    view.emulate_media(color_scheme="light")  # other tests use the same tab
