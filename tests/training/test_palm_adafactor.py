"""PaLM's Adafactor against a loop in numpy, over steps whose rate changes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from transformer.spec import from_json, to_json
from transformer.training import paths
from transformer.training.palm_adafactor import PaLMAdafactor
from transformer.training.schedule import Constant, InverseRoot

UP, SCALE = "stack/segment_0/0_feedforward/up", "stack/segment_0/0_norm/scale"
SHAPES = {UP: (2, 130, 129), SCALE: (2, 5)}  # wide enough for a factoring rule to take it
FIELDS = dict(learning_rate=InverseRoot(scale=0.1, hold=2), decay=0.5)
RATES = [0.1 / np.sqrt(max(n, 2)) for n in range(6)]


def tree(seed):
    rng = np.random.default_rng(seed)
    return {p: rng.normal(size=s) for p, s in SHAPES.items()}


def run(optimizer, steps):
    built = optimizer.build()
    put = lambda values: paths.nested({p: jnp.float32(v) for p, v in values.items()})
    params = put(tree(0))
    state, update = built.init(params), jax.jit(built.update)
    for t in range(1, steps + 1):
        updates, state = update(put(tree(t)), state, params)
        params = optax.apply_updates(params, updates)
    return paths.named(params), state


def test_updates_of_each_layer_by_hand():
    params = tree(0)
    memory = {p: (np.zeros(s), np.zeros(s)) for p, s in SHAPES.items()}
    for t, rate in enumerate(RATES, 1):
        gradients = tree(t)
        norm = np.sqrt(sum((g ** 2).sum() for g in gradients.values()))
        kept = 1 - t ** -0.8
        for path, g in gradients.items():
            for layer in range(2):
                p, (m, v) = params[path][layer], (x[layer] for x in memory[path])
                v[...] = kept * v + (1 - kept) * (g[layer] / norm) ** 2
                x = g[layer] / norm / np.sqrt(v)
                x /= max(1, np.sqrt((x ** 2).mean()))
                m[...] = 0.9 * m + 0.1 * rate * np.sqrt((p ** 2).mean()) * x
                p -= m + 0.5 * rate ** 2 * p * (path == UP)
    got, state = run(PaLMAdafactor(**FIELDS), len(RATES))
    for path in SHAPES:
        np.testing.assert_allclose(got[path], params[path], rtol=2e-4, atol=2e-6, err_msg=path)
    held = {p: x.shape for p, x in paths.named(state["rule"]).items() if "moments" in p}
    assert sorted(held.values()) == sorted(SHAPES.values())  # nothing is factored


def test_the_papers_rates_are_the_default():
    rate = PaLMAdafactor().learning_rate
    assert [float(rate(n)) for n in (0, 9_999, 40_000)] == [np.float32(x) for x in
                                                            (0.01, 0.01, 0.005)]


def test_at_rate_zero_nothing_moves():
    start, (after, _) = tree(0), run(PaLMAdafactor(learning_rate=Constant(peak=0.0)), 2)
    for path in SHAPES:
        np.testing.assert_array_equal(after[path], np.float32(start[path]))


def test_palms_rule_round_trips_as_json():
    optimizer = PaLMAdafactor(**FIELDS)
    assert from_json(to_json(optimizer)) == optimizer
