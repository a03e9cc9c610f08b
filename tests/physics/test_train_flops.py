"""The cost of a training row against arithmetic by hand: 2 FLOPs a multiply-add, 3 passes."""

import dataclasses

import pytest

from transformer.nn.count import train_flops
from transformer.nn.door import Model
from transformer.zoo.albert import albert
from transformer.zoo.bart import bart
from transformer.zoo.electra import electra
from transformer.zoo.gpt2 import gpt2
from transformer.zoo.gpt3 import gpt3
from transformer.zoo.palm import palm
from transformer.zoo.t5 import t5

T, S, N, D, L, H, V, F = 10, 7, 3, 24, 4, 2, 50, 96


def flops(spec, *how):
    return train_flops(Model(spec), *how)


def layer(tokens, width, hidden, gated=False):
    """Multiply-adds of the maps of one layer: queries, keys, values, output; up and down."""
    return tokens * (4 * width * width + (2 + gated) * width * hidden)


def scores(queries, keys, width):
    """Of attention over all heads: queries times keys, probabilities times values."""
    return 2 * queries * keys * width


NAMED = dict(width=D, depth=L, heads=H, vocab=V)


def test_gpt2():
    madds = L * (layer(T, D, F) + scores(T, T, D) / 2) + T * D * V
    assert flops(gpt2(**NAMED), T) == 6 * madds
    assert flops(gpt3(**NAMED), T) == 6 * madds  # what a band leaves out is not counted


def test_palm_has_keys_and_values_of_one_head():
    K = 8
    maps = T * (2 * D * H * K + 2 * D * K + 3 * D * 4 * D)
    madds = L * (maps + scores(T, T, H * K) / 2) + T * D * V
    assert flops(palm(**NAMED, head_dim=K), T) == 6 * madds


@pytest.mark.parametrize("how", [{}, dict(shared=()), dict(groups=2), dict(shared=("attention",))],
                         ids=str)
def test_albert_computes_what_it_shares_at_every_repeat(how):
    R = 6
    heads = N * (D * R + R * V) + 2 * D  # masked slots; the sentence order, of one vector
    madds = T * R * D + L * (layer(T, D, F) + scores(T, T, D)) + heads + D * D  # and the pooler
    assert flops(albert(**NAMED, rank=R, **how), T, 0, N) == 6 * madds


def test_the_inner_layers_of_a_group_all_count():
    R, spec = 6, albert(**NAMED, rank=6, inner=3, outputs=(), pooler=False)
    assert flops(spec, T) == 6 * (T * R * D + 3 * L * (layer(T, D, F) + scores(T, T, D)))


def test_electra_pays_for_both_parts():
    """A generator of half the width scores the masked slots, the discriminator every token."""
    R, half = 6, D // 2
    generator = T * R * half + L * (layer(T, half, F // 2) + scores(T, T, half))
    generator += N * (half * R + R * V)
    discriminator = T * R * D + L * (layer(T, D, F) + scores(T, T, D)) + T * (D * D + D)
    spec = electra(**NAMED, rank=R, generator=0.5)
    assert flops(spec, T, 0, N) == 6 * (generator + discriminator)


@pytest.mark.parametrize("gated", [False, True])
def test_t5(gated):
    K = 8
    look = lambda queries, keys: 2 * (queries + keys) * D * H * K  # queries, output; keys, values
    encoder = look(S, S) + S * (2 + gated) * D * F + scores(S, S, H * K)
    decoder = look(T, T) + look(T, S) + T * (2 + gated) * D * F
    decoder += scores(T, T, H * K) / 2 + scores(T, S, H * K)
    madds = L * (encoder + decoder) + T * D * V
    assert flops(t5(**NAMED, head_dim=K, hidden=F, gated=gated), T, S) == 6 * madds


def test_the_map_of_a_rank_is_paid_on_each_side_that_goes_through_it():
    spec = bart(**NAMED, hidden=F)
    narrow = lambda embedding: dataclasses.replace(embedding, rank=6)
    one = dataclasses.replace(spec, source_embedding=None, heads=())
    assert flops(dataclasses.replace(one, embedding=narrow(one.embedding)), T, S) - flops(
        one, T, S) == 6 * (T + S) * 6 * D
    assert flops(dataclasses.replace(one, embedding=narrow(spec.embedding),
                                     source_embedding=narrow(spec.embedding)), T, S) - flops(
        one, T, S) == 6 * (T + S) * 6 * D
