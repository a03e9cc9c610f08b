"""Three updates of one row of two weights, worked out by hand to six decimals.

p = (3, 4), rate 0.1; gradients (0.3, -0.4), (0.6, 0.8), (-1.8, 0.4). The third is longer than 1:
where the recipe clips, it counts as (-0.976187, 0.216930).
"""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from transformer.training.adadelta import Adadelta
from transformer.training.lamb import LAMB
from transformer.training.optimizer import Adafactor, AdamW, GPT1Adam
from transformer.training.palm_adafactor import PaLMAdafactor
from transformer.training.schedule import Constant, InverseRoot

RATE = Constant(peak=0.1)
GRADIENTS = ((0.3, -0.4), (0.6, 0.8), (-1.8, 0.4))
WORKED = {
    # m / sqrt(v) is 0.1 / sqrt(0.001) = 3.1623 at first: p -= 0.1 (3.1619 + 0.03)
    "bert": (AdamW(learning_rate=RATE, eps=1e-6, decay=0.01, correct_bias=False),
             ((2.680806, 4.312203), (2.267981, 4.152317), (2.317299, 3.937454))),
    # the same times sqrt(0.001) / 0.1 = 0.3162 at first: p -= 0.1 (1 + 0.0095)
    "gpt1": (GPT1Adam(learning_rate=RATE),
             ((2.899051, 4.098735), (2.801851, 4.061160), (2.811706, 4.017773))),
    # BERT's step times |p| / |u|: 5 / |(3.1919, -3.1220)| = 1.1399 at first, then 1.0608
    "lamb": (LAMB(learning_rate=RATE),
             ((2.642554, 4.349617), (2.167982, 4.165757), (2.273238, 3.708091))),
    # x = (1, -1), (1, 1) as clipped, times RMS(p) = 3.5355, 3.6026
    "adafactor": (Adafactor(learning_rate=RATE),
                  ((2.646447, 4.353553), (2.286189, 3.993296), (2.701276, 3.794716))),
    # steps of 0.001 / sqrt(0.05 * 0.09) * 0.3 at first: the root of eps is the first step's size
    "adadelta": (Adadelta(learning_rate=Constant(peak=1.0)),
                 ((2.995528, 4.004472), (2.989843, 3.998787), (2.996871, 3.996738))),
    # the rates are 0.1, 0.1, 0.0707; m = 0.1 * 0.1 * 3.5355 at first, decay 0.01 * 3
    "palm": (PaLMAdafactor(learning_rate=InverseRoot(scale=0.1, hold=1)),
             ((2.934645, 3.995355), (2.838425, 3.952168), (2.796396, 3.919420))),
}


def test_adadelta_on_gradients_of_a_size():
    """Small gradients are eps's business: thirty times larger they move thirty times as far."""
    put = lambda row: {"heads_x": {"classes": jnp.array([row])}}
    moved = []
    for scale in (1.0, 30.0):
        built = Adadelta(learning_rate=Constant(peak=1.0), clip=1e-5, scale=scale).build()
        state = built.init(put((3.0, 4.0)))
        updates, _ = built.update(put((1.0, 0.0)), state, put((3.0, 4.0)))
        moved.append(float(updates["heads_x"]["classes"][0, 0]))
    np.testing.assert_allclose(moved, [-1e-5, -3e-4], rtol=1e-2)


@pytest.mark.parametrize("name", WORKED)
def test_three_updates(name):
    optimizer, expected = WORKED[name]
    built = optimizer.build()
    put = lambda row: {"heads_x": {"classes": jnp.array([row])}}
    params = put((3.0, 4.0))
    state = built.init(params)
    for gradient, after in zip(GRADIENTS, expected, strict=True):
        updates, state = built.update(put(gradient), state, params)
        params = optax.apply_updates(params, updates)
        np.testing.assert_allclose(params["heads_x"]["classes"], [after], atol=2e-6)
