"""Claims about changing single attention heads from outside."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from constants import PAD
from errors import UserError
from model import MultiHeadAttention, Transformer, TransformerConfig, attention_maps, head_outputs, intervene
from translation.hypothesis import SearchOptions
from translation.scoring import log_probs_of_pairs
from translation.search import search_translations
from translation.translator import Translator

V, H, D = 50, 4, 8
EVERY_KIND = ["encoder.1.self_attention", "decoder.0.self_attention", "decoder.1.cross_attention"]


def small(seed: int = 0) -> Transformer:
    """A random model in eval mode, with biases."""
    torch.manual_seed(seed)
    config = TransformerConfig(V, d_model=H * D, n_heads=H, n_encoder_layers=2, n_decoder_layers=2, d_ff=64, dropout=0)
    model = Transformer(config).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.2)
    return model


def ids(rows: int, length: int, seed: int = 1) -> Tensor:
    return torch.randint(4, V, (rows, length), generator=torch.Generator().manual_seed(seed))


def padded_source() -> Tensor:
    src = ids(2, 6)
    src[1, 4:] = PAD
    return src


# --- the three changes


@pytest.mark.parametrize("path", EVERY_KIND)
def test_a_head_that_is_off_equals_a_head_whose_columns_of_w_o_are_zero(path: str) -> None:
    model, by_hand, src, tgt = small(), small(), padded_source(), ids(2, 5, seed=2)
    layer = by_hand.get_submodule(path)
    assert isinstance(layer, MultiHeadAttention)
    with torch.no_grad():
        layer.w_o.weight[:, 2 * D : 3 * D] = 0
        expected = by_hand(src, tgt)
        with intervene(model, {path: {2: "off"}}):
            found = model(src, tgt)
        unchanged = model(src, tgt)
    torch.testing.assert_close(found, expected)
    assert (unchanged - expected).abs().max() > 1e-3


@pytest.mark.parametrize("path", EVERY_KIND)
def test_a_uniform_head_returns_the_mean_of_the_values_that_the_mask_allows(path: str) -> None:
    model, src, tgt = small(), padded_source(), ids(2, 5, seed=2)
    calls: dict[str, Tensor] = {}
    layer = model.get_submodule(path)
    layer.w_v.register_forward_hook(lambda _, args, output: calls.update(values=output))
    with intervene(model, {path: {1: "uniform"}}), head_outputs(model) as outputs, attention_maps(model) as maps:
        model(src, tgt)
    values = calls["values"][:, :, D : 2 * D]  # (B, S, D)
    if path == "decoder.0.self_attention":
        counts = torch.arange(1, 6)[:, None]
        expected = values.cumsum(1) / counts  # (B, T, D): the mean of the past
    else:
        visible = (src != PAD)[:, :, None]  # (B, S, 1)
        mean = (values * visible).sum(1) / visible.sum(1)  # (B, D)
        expected = mean[:, None].expand(-1, outputs[path].size(2), -1)
    torch.testing.assert_close(outputs[path][:, 1], expected, atol=1e-6, rtol=1e-5)
    assert maps[path][0, 1].unique().numel() <= (6 if "decoder.0" in path else 2)  # uniform in the maps, too
    assert maps[path][0, 0].unique().numel() > 6


@pytest.mark.parametrize("path", EVERY_KIND)
def test_a_head_patched_with_its_own_output_changes_nothing_and_with_another_changes_the_logits(path: str) -> None:
    model, src, other, tgt = small(), ids(1, 6), ids(1, 6, seed=9), ids(1, 5, seed=2)
    with head_outputs(model) as own:
        before = model(src, tgt)
    with head_outputs(model) as others:
        model(other, tgt if "cross" in path or "encoder" in path else ids(1, 5, seed=8))
    with intervene(model, {path: {3: own[path][:, 3]}}):
        assert torch.equal(model(src, tgt), before)
    with intervene(model, {path: {3: others[path][0, 3]}}):  # without the dimension of the batch
        assert (model(src, tgt) - before).abs().max() > 1e-3


def test_a_sentence_with_all_heads_patched_from_another_has_its_attention_output() -> None:
    model, src, other = small(), ids(1, 6), ids(1, 6, seed=9)
    path = "encoder.0.self_attention"
    results: list[Tensor] = []
    handle = model.get_submodule(path).register_forward_hook(lambda _, args, output: results.append(output))
    with head_outputs(model) as others:
        model.encode(other)
    with intervene(model, {path: {h: others[path][0, h] for h in range(H)}}):
        model.encode(src)
    handle.remove()
    torch.testing.assert_close(results[1], results[0])


# --- nothing is left behind


def test_after_the_block_and_after_an_exception_the_model_is_as_before() -> None:
    model, src, tgt = small(), ids(2, 6), ids(2, 5)
    before, state = model(src, tgt), set(vars(model.encoder[0].self_attention))
    changes: dict[str, dict[int, Any]] = {path: {0: "off", 1: "uniform", 2: torch.ones(6, D)} for path in EVERY_KIND}
    del changes["decoder.0.self_attention"][2], changes["decoder.1.cross_attention"][2]
    with intervene(model, changes):
        assert not torch.equal(model(src, tgt), before)
    assert torch.equal(model(src, tgt), before)
    with pytest.raises(ZeroDivisionError), intervene(model, changes):
        _ = 1 / 0
    assert torch.equal(model(src, tgt), before)
    assert set(vars(model.encoder[0].self_attention)) == state
    with pytest.raises(UserError), intervene(model, {EVERY_KIND[0]: {0: "off", 9: "off"}}):
        pass
    assert torch.equal(model(src, tgt), before)


def test_an_inner_block_adds_to_the_outer_one_and_ends_alone() -> None:
    model, src, tgt = small(), ids(2, 6), ids(2, 5)
    first, second = {EVERY_KIND[0]: {0: "off"}}, {EVERY_KIND[0]: {1: "off"}}
    both = {EVERY_KIND[0]: {0: "off", 1: "off"}}
    with intervene(model, both):
        expected = model(src, tgt)
    with intervene(model, first):
        alone = model(src, tgt)
        with intervene(model, second):
            assert torch.equal(model(src, tgt), expected)
        assert torch.equal(model(src, tgt), alone)


def test_gradients_flow_through_a_model_whose_heads_are_changed() -> None:
    model = small()
    with intervene(model, {EVERY_KIND[0]: {0: "off", 1: "uniform"}}):
        model(ids(2, 6), ids(2, 5)).sum().backward()
    layer = model.get_submodule(EVERY_KIND[0])
    assert layer.w_v.weight.grad[:D].abs().max() == 0  # the head that is off
    assert layer.w_q.weight.grad[D : 2 * D].abs().max() == 0  # the uniform head has no query
    assert layer.w_v.weight.grad[D:].abs().max() > 0


def test_the_model_without_changes_compiles_to_one_graph_after_a_block() -> None:
    model, src, tgt = small(), ids(2, 6), ids(2, 5)
    with intervene(model, {path: {0: "off", 1: "uniform"} for path in EVERY_KIND}):
        model(src, tgt)
    graphs: list[object] = []

    def backend(graph: torch.fx.GraphModule, _: list[Tensor]) -> torch.fx.GraphModule:
        graphs.append(graph)
        return graph

    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    torch.testing.assert_close(compiled(src, tgt), model(src, tgt))
    assert len(graphs) == 1


# --- what does not exist


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder.2.self_attention": {0: "off"}}, "encoder.0.self_attention, encoder.1.self_attention, decoder.0"),
        ({"encoder.0": {0: "off"}}, "'encoder.0' does not exist"),
        ({"encoder.0.self_attention": {4: "off"}}, "has no head 4: it has heads 0 to 3"),
        ({"encoder.0.self_attention": {-1: "off"}}, "has no head -1"),
        ({"encoder.0.self_attention": {0: "on"}}, "'on' is not a change"),
        ({"encoder.0.self_attention": {0: torch.zeros(6, D + 1)}}, r"shape \(T, 8\)"),
    ],
)
def test_unknown_layers_heads_and_changes_are_named(changes: Any, message: str) -> None:
    with pytest.raises(UserError, match=message), intervene(small(), changes):
        pass


@pytest.mark.parametrize(
    ("shape", "message"),
    [((5, D), "has 5 tokens, the sentence 6"), ((3, 6, D), "has 3 sentences, the batch 2")],
)
def test_a_patch_from_another_length_or_another_batch_is_refused(shape: tuple[int, ...], message: str) -> None:
    model = small()
    changes = {"encoder.0.self_attention": {0: torch.zeros(shape)}}
    with intervene(model, changes), pytest.raises(UserError, match=message):
        model.encode(ids(2, 6))


# --- decoding


@pytest.mark.parametrize("change", ["off", "uniform"])
@pytest.mark.parametrize("path", EVERY_KIND)
def test_decoding_steps_have_the_logits_of_the_forward_pass_under_a_change(path: str, change: Any) -> None:
    model, src, tgt = small(), padded_source(), ids(2, 5, seed=2)
    with torch.no_grad(), intervene(model, {path: {2: change}}):
        expected = model(src, tgt)  # (B, T, V)
        memory, src_mask = model.encode(src)
        caches = model.start_cache(memory)
        for t in range(tgt.size(1)):
            logits, caches = model.decode_step(tgt[:, t : t + 1], caches, src_mask)
            torch.testing.assert_close(logits, expected[:, t], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("beam_size", [1, 4])
def test_a_search_under_a_change_equals_the_search_of_a_model_changed_by_hand(beam_size: int) -> None:
    model, by_hand, src = small(3), small(3), ids(6, 7)
    with torch.no_grad():
        for path in EVERY_KIND:
            by_hand.get_submodule(path).w_o.weight[:, : 2 * D] = 0
    options = SearchOptions(beam_size, n_best=beam_size)
    untouched = search_translations(model, src, options)
    with intervene(model, {path: {0: "off", 1: "off"} for path in EVERY_KIND}):
        found = search_translations(model, src, options)
    expected = search_translations(by_hand, src, options)

    def tokens(sentences: list[list[Any]]) -> list[list[list[int]]]:
        return [[hypothesis.tokens for hypothesis in hypotheses] for hypotheses in sentences]

    assert tokens(found) == tokens(expected) != tokens(untouched)
    assert tokens(search_translations(model, src, options)) == tokens(untouched)


@pytest.mark.parametrize("beam_size", [1, 4])
def test_a_search_with_a_patched_encoder_has_the_log_probability_of_the_patched_forward_pass(beam_size: int) -> None:
    model, src, other = small(3), ids(1, 7), ids(1, 7, seed=5)
    with head_outputs(model) as others:
        model.encode(other)
    patch = {
        f"encoder.{i}.self_attention": {h: others[f"encoder.{i}.self_attention"][:, h] for h in range(H)}
        for i in (0, 1)
    }
    options = SearchOptions(beam_size, no_repeat_ngram_size=0)
    with intervene(model, patch):
        (patched,) = search_translations(model, src, options)
        (forced,) = log_probs_of_pairs(model, src.tolist(), [patched[0].tokens], 1)
    assert patched[0].log_prob == pytest.approx(forced, abs=1e-3)
    (unpatched,) = log_probs_of_pairs(model, src.tolist(), [patched[0].tokens], 1)
    assert abs(patched[0].log_prob - unpatched) > 0.1


@pytest.mark.parametrize("path", EVERY_KIND[1:])
@pytest.mark.parametrize("n_tokens", [5, 1])  # with one token it has the shape of a step
def test_a_patched_head_of_the_decoder_is_refused_in_a_search(path: str, n_tokens: int) -> None:
    model = small()
    changes = {path: {0: torch.zeros(n_tokens, D)}}
    with intervene(model, changes):
        model(ids(1, 6), ids(1, n_tokens))  # a forward pass allows it
        with pytest.raises(UserError, match="only heads of the encoder"):
            search_translations(model, ids(1, 6), SearchOptions(1))


@pytest.mark.slow
@pytest.mark.parametrize("beam_size", [1, 4])
def test_a_translator_translates_under_a_change_and_afterwards_as_before(trained: Path, beam_size: int) -> None:
    translator = Translator.load(trained / "runs" / "tiny" / "best.ckpt", device="cpu")
    options, texts = SearchOptions(beam_size), ["Je suis heureux.", "Le chat mange."]
    before = translator.search(texts, options)
    cross_off = {f"decoder.{i}.cross_attention": dict.fromkeys(range(2), "off") for i in range(2)}
    with intervene(translator.model, cross_off):  # type: ignore[arg-type]
        changed = translator.search(texts, options)
    # Without cross-attention every source has the same translation.
    assert changed[0].hypotheses[0].tokens[:5] == changed[1].hypotheses[0].tokens[:5]
    assert changed[0].hypotheses[0].log_prob != before[0].hypotheses[0].log_prob
    assert translator.search(texts, options) == before
