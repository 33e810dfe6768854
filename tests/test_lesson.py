"""The lesson: the page must come to the model's own numbers by itself, and show what it says."""

import base64
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browser import Tab

from errors import UserError
from maps.lesson import lesson
from maps.sentence import KINDS, Kind, take_maps
from model import Transformer, attention_maps
from model.transformer import BOS, EOS, Norm

pytest_plugins = ["browser"]

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
SRC, TGT = [9, 2, 3, 4, 5, EOS], [6, 7, 8, 9, EOS]  # pieces are numbered as in HOSTILE, the end mark by its id


def names(ids: Sequence[int]) -> list[str]:
    return ["</s>" if i == EOS else HOSTILE[i % len(HOSTILE)] if i != BOS else "<s>" for i in ids]


def tiny(norm: Norm = "pre", d_model: int = 16, seed: int = 1) -> Transformer:
    """A random model whose biases and norms are random too, so that none can be forgotten unnoticed."""
    torch.manual_seed(seed)
    model = Transformer(12, d_model, 2, 2, 3, d_ff=32, dropout=0.1, norm=norm)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter, std=0.3)
    with torch.no_grad():
        for layer in [*model.encoder, *model.decoder]:
            for weights in (layer.self_attention.w_q.weight, layer.self_attention.w_k.weight):
                weights.mul_(2)  # scores large enough for the softmax to saturate without the division
    return model


def page(model: Transformer, kind: Kind = "encoder_self", layer: int = 0) -> str:
    maps = take_maps(model, SRC, TGT, names, "source & </script>", "<b>translation</b>")
    return lesson(model, maps, kind, layer)


def exported(html: str) -> dict[str, Any]:
    """What the page was given, its arrays decoded."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, flags=re.DOTALL)
    assert found

    def decode(value: dict[str, Any]) -> Any:
        if value.keys() != {"shape", "float32"}:
            return value
        return np.frombuffer(base64.b64decode(value["float32"]), "<f4").reshape(value["shape"]).astype(float)

    return json.loads(found[1], object_hook=decode)


def own_weights(model: Transformer, kind: Kind, layer: int) -> np.ndarray:
    path = f"encoder.{layer}.self_attention" if kind == "encoder_self" else f"decoder.{layer}."
    path += {"encoder_self": "", "decoder_self": "self_attention", "cross": "cross_attention"}[kind]
    with torch.no_grad(), attention_maps(model.eval()) as maps:
        model(torch.tensor([SRC]), torch.tensor([[BOS, *TGT[:-1]]]))
    return maps[path][0].double().numpy()


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layer", [0, 1])
def test_the_exported_inputs_lead_to_the_models_own_values(norm: Norm, kind: Kind, layer: int) -> None:
    model = tiny(norm)
    data = exported(page(model, kind, layer))
    given, made = data["inputs"], data["model"]
    if layer == 0 and kind != "cross":
        ids = torch.tensor([data["queries"]["ids"]])
        np.testing.assert_allclose(made["x"], model.eval().embed(ids)[0].detach(), atol=1e-6)
        np.testing.assert_array_equal(given["embedding"], model.embedding.weight[ids[0]].detach())
    x = made["x"] if "embedding" in given else given["x"]

    def normalise(y: np.ndarray) -> np.ndarray:
        centred = y - y.mean(-1, keepdims=True)
        return centred / np.sqrt(y.var(-1, keepdims=True) + data["eps"]) * given["scale"] + given["shift"]

    asks = normalise(x) if norm == "pre" else x
    answers = given["context"] if kind == "cross" else asks
    q, k = asks @ given["w_q"] + given["b_q"], answers @ given["w_k"] + given["b_k"]
    v = answers @ given["w_v"] + given["b_v"]
    split = [y.reshape(len(y), 2, 8).swapaxes(0, 1) for y in (q, k, v)]
    scores = split[0] @ split[1].swapaxes(1, 2) / np.sqrt(8)
    powers = np.exp(np.where(np.array(data["mask"], bool), scores, -np.inf))
    weights = powers / powers.sum(-1, keepdims=True)
    heads = (weights @ split[2]).swapaxes(0, 1).reshape(len(x), -1)
    output = heads @ given["w_o"] + given["b_o"]
    result = x + output if norm == "pre" else normalise(x + output)
    for name, mine in {"q": q, "k": k, "v": v, "weights": weights, "heads": heads, "output": output}.items():
        np.testing.assert_allclose(made[name], mine, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(made["result"], result, atol=1e-5)
    np.testing.assert_allclose(made["weights"], own_weights(model, kind, layer), atol=1e-6)
    assert (np.triu(made["weights"], 1) == 0).all() == (kind == "decoder_self")


def test_looking_leaves_the_model_as_it_was() -> None:
    model = tiny().train()
    page(model)
    assert model.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize(("kind", "layer", "valid"), [("encoder_self", 2, "0 to 1"), ("cross", -1, "0 to 2")])
def test_a_layer_that_does_not_exist_is_refused_with_those_that_do(kind: Kind, layer: int, valid: str) -> None:
    with pytest.raises(UserError, match=f"--layer {layer} .*{valid}"):
        page(tiny(), kind, layer)


def test_a_page_of_width_256_is_smaller_than_three_megabytes() -> None:
    assert len(page(tiny(d_model=256)).encode()) < 3e6


# ---------------------------------------------------------------- in a browser

Show = Callable[..., Any]


@pytest.fixture
def show(visit: Callable[..., Any], tmp_path: Path) -> Show:
    """Open a lesson; `visit` makes sure that it asks for nothing and fails nowhere."""

    def open_lesson(html: str, fragment: str = "", **options: Any) -> Any:
        file = tmp_path / "lesson.html"
        file.write_text(html, encoding="utf-8")
        return visit(file, fragment, **options).page

    return open_lesson


def cell(page: Any, grid: str, i: int, j: int) -> Any:
    return page.locator(f"#{grid} [data-i='{i}'][data-j='{j}']")


def number(text: str) -> float:
    return float(text.replace("−", "-").strip("() ="))


def difference(page: Any) -> float:
    return float(page.locator("#difference data").get_attribute("value"))


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_the_page_comes_to_the_models_values_by_itself(norm: Norm, show: Show) -> None:
    model = tiny(norm)
    for kind in KINDS:
        for layer in (0, 1):
            opened = show(page(model, kind, layer), "step=softmax&head=1")
            assert 0 < difference(opened) < 1e-4, (kind, layer)
            differences = opened.locator(".check data").evaluate_all("(all) => all.map((data) => Number(data.value))")
            assert max(differences) == difference(opened)
            weights = own_weights(model, kind, layer)[1]
            cells = np.array(opened.locator("#softmax-weights [role=gridcell]").all_inner_texts())
            cells = cells.reshape(len(weights), -1)
            assert (cells[:, -1] == "1.00").all()  # the sum of each row
            hidden = np.triu(np.ones(weights.shape, bool), 1) if kind == "decoder_self" else weights < 0
            assert ((cells[:, :-1] == "") == hidden).all()
            shown = [number(text) for text in cells[:, :-1][~hidden]]
            np.testing.assert_allclose(shown, weights[~hidden], atol=0.00501)
            opened.context.close()


def test_a_page_of_other_numbers_says_that_something_is_wrong(show: Show) -> None:
    model = tiny()
    data = exported(page(model))["model"]["output"].astype("<f4")
    written = base64.b64encode(data.tobytes()).decode()
    data[2, 3] += 0.01
    opened = show(page(model).replace(written, base64.b64encode(data.tobytes()).decode()))
    assert difference(opened) == pytest.approx(0.01, abs=1e-4)
    assert "something is wrong" in opened.locator("#difference").inner_text()


def test_a_clicked_score_is_the_sum_that_is_written_out(show: Show) -> None:
    model = tiny()
    opened = show(page(model), "step=scores&head=1")
    made = exported(page(model))["model"]
    q, k = made["q"][:, 8:], made["k"][:, 8:]
    clicked = cell(opened, "scores-scores", 2, 3)
    clicked.click()
    panel = opened.locator("#scores .explanation")
    terms = [text.split("×") for text in panel.locator(".term").all_inner_texts()]
    assert len(terms) == 8
    total = sum(number(left) * number(right) for left, right in terms)
    assert total == pytest.approx(q[2] @ k[3], abs=2e-3)
    assert number(panel.locator(".after").inner_text()) == pytest.approx(q[2] @ k[3], abs=6e-5)
    assert number(clicked.inner_text()) == pytest.approx(q[2] @ k[3], abs=0.00501)
    largest = int(np.abs(q[2] * k[3]).argmax())
    left, right = panel.locator(".term.largest").inner_text().split("×")
    assert (number(left), number(right)) == pytest.approx((q[2, largest], k[3, largest]), abs=6e-5)


def test_without_the_division_the_softmax_saturates_and_the_page_says_so(show: Show) -> None:
    opened = show(page(tiny()), "step=scale&head=0")

    def largest() -> float:
        return max(number(text) for text in opened.locator("#scale-weights [data-i='0']").all_inner_texts()[:-1])

    before, checked = largest(), difference(opened)
    means = [number(text) for text in opened.locator(".saturation .mean").all_inner_texts()]
    assert means[1] > means[0]
    opened.locator("#divide").uncheck()
    assert largest() > before
    assert opened.locator("#undivided").is_visible()
    assert difference(opened) == checked  # it speaks of the model, which divides
    opened.locator("#divide-again").click()
    assert largest() == before and not opened.locator("#undivided").is_visible()


def test_the_future_is_minus_infinity_and_never_a_number(show: Show) -> None:
    opened = show(page(tiny(), "decoder_self"), "step=mask")
    for i in range(len(TGT)):
        for j in range(len(TGT)):
            text = cell(opened, "mask-masked", i, j).inner_text()
            assert (text == "−∞") == (j > i)
    cell(opened, "mask-masked", 0, 2).click()
    assert opened.locator("#mask .sumline").inner_text().endswith("= −∞")


def test_hostile_pieces_are_shown_as_they_are(show: Show) -> None:
    opened = show(page(tiny(), "cross", 2), "step=pieces")
    opened.on("dialog", lambda dialog: pytest.fail(dialog.message))
    for side, ids in (("queries", [BOS, *TGT[:-1]]), ("keys", SRC)):
        assert opened.locator(f"[data-pieces={side}] b").all_text_contents() == names(ids)
    assert opened.locator("header b").all_text_contents() == ["source & </script>", "<b>translation</b>"]
    opened.evaluate("location.hash = 'step=softmax'")
    assert set(names(SRC)) < set(opened.locator("#softmax [role=columnheader]").all_text_contents())
    cell(opened, "softmax-weights", 1, 2).click()
    assert "<img src=x onerror=alert(1)>" in opened.locator("#softmax .explanation").inner_text()
    assert opened.locator("img").count() == 0


def test_keys_alone_walk_through_the_steps_and_the_cells(show: Show) -> None:
    opened = show(page(tiny()), "step=values&head=1")
    visible = opened.locator(".step:visible")
    assert visible.get_attribute("id") == "values"
    opened.keyboard.press("ArrowRight")
    opened.wait_for_selector("#heads:visible")
    opened.keyboard.press("ArrowLeft")
    opened.wait_for_selector("#values:visible")
    assert visible.count() == 1 and "step=values&head=1" in opened.url
    grid = opened.locator("#values-head")
    grid.focus()
    for key in ("Home", "ArrowRight", "ArrowDown", "ArrowDown", "Enter"):
        opened.keyboard.press(key)
    assert visible.get_attribute("id") == "values"
    assert "row 2" in (said := opened.locator("#values .explanation h3").inner_text()) and "column 1" in said
    opened.keyboard.press("Escape")
    opened.keyboard.press("ArrowRight")
    opened.wait_for_selector("#heads:visible")


def test_a_large_matrix_keeps_few_cells_and_still_reaches_all(show: Show) -> None:
    model = tiny(d_model=256)
    opened = show(page(model), "step=matrices", viewport={"width": 360, "height": 740})
    grid = opened.locator("#matrices-w_q")
    assert 0 < grid.locator("[role=gridcell]").count() < 1000
    grid.focus()
    opened.keyboard.press("End")
    for _ in range(40):
        opened.keyboard.press("PageDown")
    opened.keyboard.press("End")
    last = model.encoder[0].self_attention.w_q.weight[255, 255].item()
    assert number(cell(opened, "matrices-w_q", 255, 255).inner_text()) == pytest.approx(last, abs=0.00501)
    assert opened.evaluate("document.documentElement.scrollWidth") <= 360


def test_print_shows_all_steps_and_says_what_is_left_out(show: Show) -> None:
    opened = show(page(tiny()))
    opened.emulate_media(media="print")
    steps = opened.locator(".step")
    assert steps.count() == opened.locator(".step:visible").count() == 16
    assert "12 of 16 rows, 10 of 16 columns" in opened.locator("#matrices .block").first.inner_text()


def test_axe_finds_no_serious_fault(show: Show) -> None:
    opened = show(page(tiny(), "decoder_self"))
    for step, scheme in [("dictionary", "light"), ("projections", "light"), ("softmax", "dark")]:
        opened.emulate_media(color_scheme=scheme)
        opened.evaluate(f"location.hash = 'step={step}'")
        opened.wait_for_selector(f"#{step}:visible")
        if step == "softmax":
            opened.locator("#softmax [role=gridcell]").first.click()
        assert Tab(opened).serious_faults() == [], step
