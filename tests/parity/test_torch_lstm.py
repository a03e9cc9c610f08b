"""Sutskever's model beside torch.nn.LSTM over reversed, packed sequences: logits and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer.nn.door import Model
from transformer.zoo.rnn import rnn

pytestmark = pytest.mark.torch

V, D, R, L, B, S, T = 40, 12, 9, 3, 4, 7, 6
LENGTHS = [7, 4, 1, 6]


@pytest.fixture(scope="module")
def torch():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    torch.set_grad_enabled(True)
    return torch


def module(torch):
    """(modules by name, batch of arrays -> logits)."""
    lstm = lambda: torch.nn.LSTM(R, D, num_layers=L, batch_first=True)
    made = torch.nn.ModuleDict({"source": torch.nn.Embedding(V, R), "encoder": lstm(),
                                "table": torch.nn.Embedding(V, R), "decoder": lstm(),
                                "out": torch.nn.Linear(D, V, bias=False)})

    def call(batch):
        source = torch.as_tensor(batch["source_tokens"]).long()
        turned = torch.stack([torch.cat([row[:n].flip(0), row[n:]])
                              for row, n in zip(source, LENGTHS)])
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            made["source"](turned), LENGTHS, batch_first=True, enforce_sorted=False)
        _, state = made["encoder"](packed)
        tokens = torch.as_tensor(batch["tokens"]).long()
        return made["out"](made["decoder"](made["table"](tokens), state)[0])

    return made, call


def layer(named, side: str, n: int, bias) -> dict:
    """Their gates [4 D, in], in our order, as [in, 4, D]. bias: of their two vectors."""
    weight = lambda name: named[f"{side}.weight_{name}_l{n}"].T.reshape(-1, 4, D)
    both = (named[f"{side}.bias_{name}_l{n}"].reshape(4, D) for name in ("ih", "hh"))
    return {"input": weight("ih"), "recurrent": weight("hh"), "bias": bias(*both)}


def ours(named, bias) -> dict:
    return {"embedding": {"tokens": named["table.weight"]},
            "source_embedding": {"tokens": named["source.weight"]},
            "encoder": {f"layer_{n}_backward": layer(named, "encoder", n, bias) for n in range(L)},
            "decoder": {f"layer_{n}": layer(named, "decoder", n, bias) for n in range(L)},
            "heads_logits": {"unembedding": named["out.weight"].T}}


def test_logits_and_gradients(torch):
    draw = np.random.default_rng(0)
    batch = {"tokens": draw.integers(0, V, (B, T)), "source_tokens": draw.integers(0, V, (B, S)),
             "source_segments": np.arange(S) < np.array(LENGTHS)[:, None]}
    probe = draw.standard_normal((B, T, V)).astype(np.float32)
    made, call = module(torch)
    theirs = call(batch)
    (theirs * torch.as_tensor(probe)).sum().backward()
    named = dict(made.named_parameters())
    model = Model(rnn(style="sutskever", width=D, embedding=R, depth=L, vocab=V, source_vocab=V))
    params = ours({n: p.detach().numpy() for n, p in named.items()}, lambda a, b: a + b)
    batch = {name: jnp.asarray(value, jnp.int32) for name, value in batch.items()}
    assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, model.shapes())

    def loss(params):
        logits = model.apply(params, batch)["logits"]
        return (logits * probe).sum(), logits

    slopes, logits = jax.jit(jax.grad(loss, has_aux=True))(params)
    np.testing.assert_allclose(logits, theirs.detach(), atol=2e-6)
    # their two biases have one gradient, which is ours
    want = ours({n: p.grad.numpy() for n, p in named.items()}, lambda a, b: a)
    for (path, slope), other in zip(jax.tree_util.tree_leaves_with_path(slopes),
                                    jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(slope, other, atol=1e-4 * np.abs(other).max(),
                                   err_msg=jax.tree_util.keystr(path))
