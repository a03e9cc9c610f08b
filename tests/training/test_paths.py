"""Paths: which parameters decay, and how deep they lie."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer.error import UserError
from transformer.nn.door import Model
from transformer.training import paths
from transformer.verbs.models import families


def tree(**shapes):
    return paths.nested({p.replace("__", "/"): jnp.zeros(s) for p, s in shapes.items()})


def test_names_and_back():
    state = {"b": (jnp.ones(1), {"c": jnp.ones(2)}), "a": [jnp.ones(3)]}
    named = paths.named(state)
    assert list(named) == ["a/0", "b/0", "b/1/c"]
    again = paths.like(state, {path: 2 * leaf for path, leaf in named.items()})
    assert jax.tree.structure(again) == jax.tree.structure(state)
    assert again["b"][1]["c"].tolist() == [2, 2]
    assert paths.nested(named)["b"]["1"]["c"] is named["b/1/c"]


def test_what_decays_is_told_by_name_and_by_the_rank_of_one_layer():
    """A stacked norm has rank 2 and a stacked bias rank 3, yet neither decays."""
    params = tree(
        embedding__tokens=(9, 4), embedding__types=(2, 4), embedding__norm__scale=(4,),
        stack__segment_0__0_attention__query=(3, 4, 2, 2),
        stack__segment_0__0_attention__query_bias=(3, 2, 2),
        stack__segment_0__0_attention_norm__shift=(3, 4), stack__segment_0__0_gate=(3, 4),
        stack__final_norm__scale=(4,), heads_mlm__vocab_bias=(9,), heads_x__classes=(4, 2))
    decays = paths.named(paths.decayed(params))
    assert {p for p, d in decays.items() if d} == {
        "embedding/tokens", "embedding/types", "stack/segment_0/0_attention/query",
        "heads_x/classes"}


def test_depth_counts_blocks_within_a_pattern_and_segments_after_each_other():
    params = tree(
        embedding__tokens=(9, 4), stack__segment_0__0_attention__query=(1, 4, 4),
        stack__segment_1__0_attention__query=(3, 4, 4),
        stack__segment_1__1_attention__query=(3, 4, 4),
        stack__segment_1__1_attention_norm__scale=(3, 4), stack__final_norm__scale=(4,),
        pooler__dense=(4, 4), heads_mlm__norm__scale=(4,))
    depths = {p: np.asarray(d).tolist() for p, d in paths.depths(params).items()}
    assert depths == {
        "embedding/tokens": 0, "stack/segment_0/0_attention/query": [1],
        "stack/segment_1/0_attention/query": [2, 4, 6],
        "stack/segment_1/1_attention/query": [3, 5, 7],
        "stack/segment_1/1_attention_norm/scale": [3, 5, 7],
        "stack/final_norm/scale": 8, "pooler/dense": 8, "heads_mlm/norm/scale": 9}


def test_more_than_ten_segments_are_in_the_order_of_their_numbers():
    params = tree(**{f"stack__segment_{n}__0_up": (2, 4, 4) for n in range(12)})
    assert paths.depths(params)["stack/segment_10/0_up"].tolist() == [21, 22]


def test_each_stack_of_an_encoder_decoder_counts_its_own_layers():
    params = tree(encoder__segment_0__0_up=(2, 4, 4), decoder__segment_0__0_up=(3, 4, 4))
    depths = paths.depths(params)
    assert depths["encoder/segment_0/0_up"].tolist() == [1, 2]
    assert depths["decoder/segment_0/0_up"].tolist() == [1, 2, 3]


def test_what_layers_share_is_as_deep_as_the_last_of_them():
    """ALBERT with shared attention, a second segment that shares all it has, T5's bias."""
    params = tree(
        embedding__project=(2, 4), stack__bias__table=(8, 2),
        stack__segment_0__0_feedforward__up=(3, 4, 4),
        stack__shared_0__0_attention__query=(4, 4), stack__shared_1__0_attention__query=(4, 4),
        stack__shared_1__1_feedforward__up=(4, 4), stack__final_norm__scale=(4,))
    depths = {p: np.asarray(d).tolist() for p, d in paths.depths(params).items()}
    assert paths.layers(params) == 5 and depths == {
        "embedding/project": 0, "stack/bias/table": 0,
        "stack/segment_0/0_feedforward/up": [1, 2, 3],
        "stack/shared_0/0_attention/query": 3, "stack/shared_1/0_attention/query": 4,
        "stack/shared_1/1_feedforward/up": 5, "stack/final_norm/scale": 6}
    assert [p for p in paths.named(params) if paths.stacked(p)] == [
        "stack/segment_0/0_feedforward/up"]


def test_shared_biases_and_norms_do_not_decay():
    params = tree(stack__shared_0__0_attention__query=(4, 2, 2),
                  stack__shared_0__0_attention__query_bias=(2, 2),
                  stack__shared_0__0_attention_norm__scale=(4,))
    assert {p for p, d in paths.named(paths.decayed(params)).items() if d} == {
        "stack/shared_0/0_attention/query"}


def test_a_pair_counts_each_half():
    params = tree(
        generator__stack__segment_0__0_up=(2, 4, 4), generator__heads_mlm__vocab_bias=(9,),
        discriminator__embedding__tokens=(9, 4), discriminator__stack__segment_0__0_up=(3, 4, 4),
        discriminator__source_embedding__norm__scale=(4,),
        discriminator__heads_replaced__classes=(4, 1))
    depths = {p: np.asarray(d).tolist() for p, d in paths.depths(params).items()}
    assert depths == {
        "generator/stack/segment_0/0_up": [1, 2], "generator/heads_mlm/vocab_bias": 5,
        "discriminator/embedding/tokens": 0, "discriminator/stack/segment_0/0_up": [1, 2, 3],
        "discriminator/source_embedding/norm/scale": 0,
        "discriminator/heads_replaced/classes": 5}


def test_recurrent_layers_count_one_by_one():
    params = tree(
        encoder__layer_0_forward__input=(4, 3, 4), encoder__layer_0_backward__bias=(3, 4),
        decoder__start__shown_0=(4, 4), decoder__layer_1__recurrent=(4, 3, 4),
        decoder__readout__state=(4, 4, 2), heads_logits__unembedding=(4, 9))
    assert paths.layers(params) == 2 and paths.depths(params) == {
        "encoder/layer_0_forward/input": 1, "encoder/layer_0_backward/bias": 1,
        "decoder/start/shown_0": 0, "decoder/layer_1/recurrent": 2, "decoder/readout/state": 3,
        "heads_logits/unembedding": 4}


def test_a_parameter_without_depth_is_named():
    with pytest.raises(UserError, match="stack/mystery"):
        paths.depths(tree(stack__mystery=(4, 4)))


@pytest.mark.parametrize("family", families())
def test_every_parameter_of_every_architecture_has_a_depth_and_the_right_decay(family):
    """Decay is for matrices: names alone say the same as the ranks of one layer's parameters."""
    shapes = Model(getattr(families()[family], family)("tiny")).shapes()
    depths, decays = paths.depths(shapes), paths.named(paths.decayed(shapes))
    for path, leaf in paths.named(shapes).items():
        vector = path.endswith("bias") or path.split("/")[-1] in ("scale", "shift", "score")
        assert decays[path] == (not vector), path
        stack = leaf.shape[0] if paths.stacked(path) else 1
        assert np.min(depths[path]) >= 0 and np.size(depths[path]) == stack, path
    assert {0, 1, 2} <= set(np.concatenate([np.ravel(d) for d in depths.values()]).tolist())
