"""Updates against loops in numpy fp64, written from the published rules."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from transformer.error import UserError
from transformer.spec import from_json, to_json
from transformer.training import paths
from transformer.training.optimizer import SGD, Adafactor, AdamW, GPT1Adam, Lion
from transformer.training.schedule import Constant, Triangle, WarmupLinear

QUERY = "stack/segment_0/0_attention/query"
DECAYED = ("embedding/tokens", "embedding/positions", QUERY)
SHAPES = {
    "embedding/tokens": (7, 4), "embedding/positions": (5, 4),
    QUERY: (3, 4, 2, 2), "stack/segment_0/0_attention/query_bias": (3, 2, 2),
    "stack/segment_0/0_attention_norm/scale": (3, 4),
    "stack/segment_0/0_attention_norm/shift": (3, 4),
    "final_norm/scale": (4,), "heads_mlm/vocab_bias": (7,),
}
RATE = WarmupLinear(peak=1e-2, warmup=4, steps=20)
RATES = [0, 0.25e-2, 0.5e-2, 0.75e-2, 0.8e-2, 0.75e-2, 0.7e-2, 0.65e-2]  # of the first 8 updates
SLANTED = Triangle(peak=1e-2, warmup=4, steps=20)


def tree(seed):
    rng = np.random.default_rng(seed)
    return {path: rng.normal(size=shape) for path, shape in SHAPES.items()}


def clipped(gradients, most):
    norm = np.sqrt(sum((g ** 2).sum() for g in gradients.values()))
    return {p: g * min(1, most / norm) for p, g in gradients.items()}


def nested32(values):
    return paths.nested({p: jnp.asarray(v, jnp.float32) for p, v in values.items()})


def run(optimizer, steps=8, start=None):
    """Parameters after the updates with gradients tree(1), tree(2), ..."""
    built = optimizer.build()
    params = nested32(start or tree(0))
    state = built.init(params)
    with jax.numpy_rank_promotion("raise"):
        update = jax.jit(lambda g, s, p: built.update(g, s, p))
        for t in range(1, steps + 1):
            updates, state = update(nested32(tree(t)), state, params)
            params = optax.apply_updates(params, updates)
    assert int(state["count"]) == steps
    return paths.named(params), state


def loop(rule, steps=8, most=1.0):
    """The same by `rule(t, rate, p, g, memory, decays) -> p`, in fp64."""
    params, memory = tree(0), {p: {} for p in SHAPES}
    for t in range(1, steps + 1):
        gradients = tree(t) if most is None else clipped(tree(t), most)
        for p in SHAPES:
            params[p] = rule(t, RATES[t - 1], params[p], gradients[p], memory[p], p in DECAYED)
    return params


def moments(g, memory, b1, b2):
    memory["m"] = b1 * memory.get("m", 0) + (1 - b1) * g
    memory["v"] = b2 * memory.get("v", 0) + (1 - b2) * g * g
    return memory["m"], memory["v"]


def bert(t, rate, p, g, memory, decays):
    m, v = moments(g, memory, 0.9, 0.999)
    return p - rate * (m / (np.sqrt(v) + 1e-6) + 0.01 * p * decays)


def gpt1(t, rate, p, g, memory, decays):
    m, v = moments(g, memory, 0.9, 0.999)
    rate *= np.sqrt(1 - 0.999 ** t) / (1 - 0.9 ** t)
    return p - rate * (m / (np.sqrt(v) + 1e-8) + 0.01 * p * decays)


def adamw(t, rate, p, g, memory, decays):
    m, v = moments(g, memory, 0.9, 0.99)
    m, v = m / (1 - 0.9 ** t), v / (1 - 0.99 ** t)
    return p - rate * (m / (np.sqrt(v) + 1e-8) + 0.1 * p * decays)


def distilbert(t, rate, p, g, memory, decays):
    """As torch writes it, on the line from the peak at 4 to 0 at 20."""
    m, v = moments(g, memory, 0.9, 0.98)
    rate = 1e-2 * ((t - 1) / 4 if t <= 4 else (21 - t) / 16)
    return p - rate / (1 - 0.9 ** t) * m / (np.sqrt(v) / np.sqrt(1 - 0.98 ** t) + 1e-6)


def lion(t, rate, p, g, memory, decays):
    m = memory.get("m", 0)
    memory["m"] = 0.99 * m + 0.01 * g
    return p - rate * (np.sign(0.9 * m + 0.1 * g) + 0.1 * p * decays)


def nesterov(t, rate, p, g, memory, decays):
    memory["m"] = 0.9 * memory.get("m", 0) + g
    return p - rate * (0.9 * memory["m"] + g)


def descent(t, rate, p, g, memory, decays):
    return p - rate * g


CASES = [
    (AdamW(learning_rate=RATE, eps=1e-6, decay=0.01, correct_bias=False), bert, 1.0),
    (GPT1Adam(learning_rate=RATE), gpt1, 1.0),
    (AdamW(learning_rate=RATE, b2=0.99, decay=0.1), adamw, 1.0),
    (AdamW(learning_rate=SLANTED, b2=0.98, eps=1e-6, clip=5.0), distilbert, 5.0),
    (Lion(learning_rate=RATE, decay=0.1), lion, 1.0),
    (SGD(learning_rate=RATE, momentum=0.9, nesterov=True, clip=2.0), nesterov, 2.0),
    (SGD(learning_rate=RATE, clip=None), descent, None),
]


@pytest.mark.parametrize(("optimizer", "rule", "most"), CASES, ids=lambda c: getattr(
    c, "__name__", type(c).__name__))
def test_published_rule(optimizer, rule, most):
    params, _ = run(optimizer)
    for path, expected in loop(rule, most=most).items():
        np.testing.assert_allclose(params[path], expected, rtol=3e-5, atol=3e-6, err_msg=path)


def test_bert_steps_are_larger_than_corrected_ones_by_the_known_factor():
    at = dict(learning_rate=Constant(peak=1.0), clip=None)
    start = tree(0)
    moved = {correct: run(AdamW(**at, eps=1e-12, correct_bias=correct), 1)[0][QUERY] - start[QUERY]
             for correct in (True, False)}
    np.testing.assert_allclose(moved[False] / moved[True], 0.1 / np.sqrt(0.001), rtol=1e-3)


def test_restored_state_does_not_bring_back_the_old_hyperparameters():
    """The state of a run at rate 1e-2 and decay 0.1, continued at half the rate without decay."""
    params, state = run(AdamW(learning_rate=Constant(peak=1e-2), decay=0.1), 3)
    params = paths.nested(params)
    edited = AdamW(learning_rate=Constant(peak=0.5e-2), decay=0.0).build()
    state = jax.tree.unflatten(  # what a restore does: new structure, old numbers
        jax.tree.structure(edited.init(params)), jax.tree.leaves(state))
    new, _ = jax.jit(edited.update)(nested32(tree(9)), state, params)
    plain = AdamW(learning_rate=Constant(peak=1e-2)).build()
    old, _ = jax.jit(plain.update)(nested32(tree(9)), state, params)
    for a, b in zip(jax.tree.leaves(new), jax.tree.leaves(old)):
        np.testing.assert_allclose(2 * a, b, rtol=1e-6)


def test_frozen_parameters_keep_their_bits_and_have_no_state():
    start = tree(0) | {"embedding/tokens": np.full((7, 4), -0.0)}
    frozen = AdamW(learning_rate=RATE, decay=0.1, freeze=("^embedding/", "bias$"))
    params, state = run(frozen, start=start)
    still = [p for p in SHAPES if p.startswith("embedding/") or p.endswith("bias")]
    for path in SHAPES:
        same = np.asarray(params[path]).tobytes() == np.float32(start[path]).tobytes()
        assert same == (path in still), path
    held = {p for leaf in paths.named(state["rule"]) for p in SHAPES if leaf.endswith(p)}
    assert held == set(SHAPES) - set(still)


def test_frozen_gradients_do_not_count_in_the_norm():
    optimizer = SGD(learning_rate=Constant(peak=1.0), clip=1.0, freeze=("embedding",))
    gradients = tree(1)
    rest = np.sqrt(sum((g ** 2).sum() for p, g in gradients.items() if "embedding" not in p))
    moved = run(optimizer, 1)[0]["final_norm/scale"] - tree(0)["final_norm/scale"]
    np.testing.assert_allclose(moved, -gradients["final_norm/scale"] / rest, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("freeze", "message"), [
    (("^embeding/",), "matches no parameter"), ((".",), "no parameter to train")])
def test_freezing_nothing_or_everything(freeze, message):
    with pytest.raises(UserError, match=message):
        AdamW(learning_rate=RATE, freeze=freeze).build().init(nested32(tree(0)))


def test_layer_wise_decay_of_the_learning_rate():
    """ELECTRA: rate * 0.8^(L + 2 - depth); the embedding has depth 0, heads L + 2."""
    optimizer = SGD(learning_rate=Constant(peak=1.0), clip=None, layer_decay=0.8)
    built = optimizer.build()
    ones = nested32({p: np.ones(s) for p, s in SHAPES.items()})
    with jax.numpy_rank_promotion("raise"):
        moved = paths.named(jax.jit(built.update)(ones, built.init(ones), ones)[0])
    np.testing.assert_allclose(moved["embedding/tokens"], -0.8 ** 5, rtol=1e-6)
    for layer in range(3):
        for path in (QUERY, "stack/segment_0/0_attention_norm/scale"):
            np.testing.assert_allclose(moved[path][layer], -0.8 ** (4 - layer), rtol=1e-6)
    np.testing.assert_allclose(moved["final_norm/scale"], -0.8, rtol=1e-6)
    np.testing.assert_allclose(moved["heads_mlm/vocab_bias"], -1.0)


def test_weight_decay_is_scaled_by_layer_too():
    optimizer = AdamW(learning_rate=Constant(peak=1.0), decay=0.1, layer_decay=0.5)
    built, params = optimizer.build(), nested32(tree(0))
    zero = jax.tree.map(jnp.zeros_like, params)
    moved = paths.named(jax.jit(built.update)(zero, built.init(params), params)[0])
    np.testing.assert_allclose(
        moved[QUERY][2], -0.1 * 0.5 ** 2 * tree(0)[QUERY][2], rtol=1e-5)


def test_decay_can_be_told_to_leave_out_more():
    more = (*paths.NO_DECAY, "^embedding/")
    optimizer = SGD(learning_rate=Constant(peak=1.0), decay=0.1, no_decay=more)
    built, params = optimizer.build(), nested32(tree(0))
    zero = jax.tree.map(jnp.zeros_like, params)
    moved = paths.named(jax.jit(built.update)(zero, built.init(params), params)[0])
    assert {p for p in moved if np.any(moved[p] != 0)} == {QUERY}


@pytest.mark.parametrize("fields", [
    dict(b1=1.0), dict(eps=-1e-8), dict(decay=-0.1), dict(clip=0.0), dict(layer_decay=1.5),
    dict(freeze=("(",)), dict(no_decay=("[",))])
def test_values_out_of_range(fields):
    with pytest.raises(UserError):
        AdamW(learning_rate=RATE, **fields)


def test_every_field_changes_the_updates():
    base = AdamW(learning_rate=RATE, decay=0.1)
    changes = dict(learning_rate=Constant(peak=1e-2), decay=0.2, no_decay=("query",), clip=None,
                   freeze=("final",), layer_decay=0.9, b1=0.8, b2=0.9, eps=1e-3,
                   correct_bias=False)
    assert set(changes) == set(to_json(base)) - {"kind"}
    few = ("embedding/tokens", QUERY, "final_norm/scale")
    start, *gradients = [nested32({p: tree(n)[p] for p in few}) for n in range(3)]

    def moved(optimizer):
        built, total = optimizer.build(), start
        state = built.init(start)
        for gradient in gradients:
            updates, state = built.update(gradient, state, start)
            total = jax.tree.map(jnp.add, total, updates)
        return np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(total)])

    before = moved(base)
    for name, value in changes.items():
        assert np.any(moved(type(base)(**{**vars(base), name: value})) != before), name


def test_round_trip_as_json():
    for optimizer in (*(case[0] for case in CASES), Adafactor(learning_rate=RATE)):
        assert from_json(to_json(optimizer)) == optimizer
