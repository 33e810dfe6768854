"""Claims about products of 8-bit integers: near the exact ones, and of each row by itself."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from errors import UserError
from model import Transformer, int8
from model.linear import linears
from model.transformer import UNK, Norm
from translate import Translator

needs_instructions = pytest.mark.skipif(
    not int8.largest_weight(), reason="this processor has no instructions for products of bytes"
)


def distance(found: Tensor, exact: Tensor) -> float:
    """Return the size of the error beside that of what is exact."""
    return ((found - exact).norm() / exact.norm()).item()


@needs_instructions
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("rows", [1, 4, 70])
def test_a_product_of_integers_is_near_the_exact_one(rows: int, with_bias: bool) -> None:
    weight, bias = torch.randn(900, 64), 3 * torch.randn(900) if with_bias else None
    x = torch.randn(rows, 3, 64)
    product = int8.lay_out_int8(weight, bias, reach=x.abs().max().item())
    assert 1e-4 < distance(product(x), torch.nn.functional.linear(x, weight, bias)) < 0.03  # integers, yet near


@needs_instructions
def test_a_row_is_multiplied_the_same_beside_any_other() -> None:
    product = int8.lay_out_int8(torch.randn(96, 64), torch.randn(96), reach=3.0)
    x = torch.randn(50, 64)
    together = product(torch.cat((x, 100 * torch.randn(20, 64))))  # much larger ones
    assert torch.equal(together[:50], product(x))
    assert all(torch.equal(together[i : i + 1], product(x[i : i + 1])) for i in range(50))


@needs_instructions
def test_the_largest_sums_are_exact() -> None:
    weight, x = torch.ones(96, 1024), torch.ones(5, 1024)
    weight[1::2] *= -1
    x[1::2] *= -1
    product = int8.lay_out_int8(weight, None, reach=1.0)
    torch.testing.assert_close(product(x), x @ weight.T, atol=1e-3, rtol=0)


@needs_instructions
def test_what_lies_beyond_reach_is_taken_for_it() -> None:
    product = int8.lay_out_int8(torch.randn(96, 64), None, reach=2.0)
    far = torch.randn(5, 64).sign()
    torch.testing.assert_close(product(9 * far), product(2 * far))
    torch.testing.assert_close(product(far), product(2 * far) / 2, atol=0.2, rtol=0.05)


@needs_instructions
def test_zeros_stay_zeros() -> None:
    weight, bias = torch.randn(96, 64), torch.randn(96)
    weight[3] = 0
    x = torch.randn(5, 64)
    assert torch.equal(int8.lay_out_int8(weight, bias, reach=3.0)(x)[:, 3], bias[3].expand(5))
    never_seen = int8.lay_out_int8(weight, bias, reach=0.0)  # all that was ever multiplied was zero
    torch.testing.assert_close(never_seen(0 * x), bias.expand(5, -1))
    torch.testing.assert_close(never_seen(x), bias.expand(5, -1), atol=1e-5, rtol=0)


@needs_instructions
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_network_of_integer_products_says_about_the_same(norm: Norm) -> None:
    torch.manual_seed(1)
    exact = Transformer(300, 64, 4, 2, 2, 128, norm=norm).eval()
    quantised = Transformer(300, 64, 4, 2, 2, 128, norm=norm).eval()
    quantised.load_state_dict(exact.state_dict())
    int8.pack_int8(quantised)
    src, tgt = torch.randint(UNK + 1, 300, (2, 20, 9))
    with torch.no_grad():
        assert 1e-4 < distance(quantised(src, tgt), exact(src, tgt)) < 0.06
        layers = [quantised.encoder[0].self_attention.w_q, quantised.encoder[0].self_attention.w_k]
        x = torch.randn(3, 5, 64)
        for both, alone in zip(linears(x, layers), (layer(x) for layer in layers), strict=True):
            torch.testing.assert_close(both, alone)
    with_gradient = quantised(src, tgt)  # products of integers have none
    torch.testing.assert_close(with_gradient, exact(src, tgt))


@needs_instructions
def test_a_translator_searches_with_integers_and_looks_at_exact_attention(trained: Path) -> None:
    path = trained / "runs" / "tiny" / "best.ckpt"
    exact, quantised = (Translator.load(path, "cpu", precision) for precision in ("32", "int8"))
    texts = ["Je suis heureux.", "", "La fille court."]
    translations = quantised.translate(texts)
    assert len(translations) == 3 and translations[1] == ""
    probabilities = [
        [sentence.hypotheses[0].log_prob for sentence in translator.search(texts, beam_size=1)]
        for translator in (exact, quantised)
    ]
    assert probabilities[0] != probabilities[1]
    maps = [translator.maps_of_pair("Je suis heureux.", "I am happy.") for translator in (exact, quantised)]
    assert maps[0].log_prob == maps[1].log_prob


@pytest.mark.parametrize(
    ("features", "largest"),
    [({"avx2": True}, 64), ({"avx2": True, "avx_vnni": True}, 127), ({"avx512_vnni": True}, 127), ({"avx": True}, 0)],
)
def test_weights_are_as_fine_as_the_processor_adds_up(
    features: dict[str, bool], largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    assert int8.largest_weight() == largest


def test_a_processor_without_such_products_is_refused(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx": True})
    with pytest.raises(UserError, match="VNNI"):
        Translator.load(trained / "runs" / "tiny" / "best.ckpt", "cpu", precision="int8")


def test_integers_are_refused_on_other_devices(trained: Path) -> None:
    exact = Translator.load(trained / "runs" / "tiny" / "best.ckpt", "cpu")
    with pytest.raises(UserError, match="--device cpu"):
        Translator(exact.model.to("meta"), exact.tokenizer, exact.data, precision="int8")
