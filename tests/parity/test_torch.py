"""Side by side with Hugging Face transformers and torch.nn: the same logits, the same gradients.

Random weights, every bias and norm scale moved off its initial value, odd sizes, padding. Run with
`pytest -m torch` where the benchmark extra is installed.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transformer.nn.door import Model
from transformer.nn.head import Masked
from transformer.nn.norm import LayerNorm
from transformer.spec import override
from transformer.zoo.bert import NEXT_SENTENCE, bert
from transformer.zoo.gpt1 import gpt1
from transformer.zoo.gpt2 import gpt2
from transformer.zoo.llama import llama
from transformer.zoo.vaswani import vaswani

pytestmark = pytest.mark.torch

B, T, S, V, DEPTH, LENGTH = 4, 11, 7, 61, 3, 13
# Row 0 whole, row 1 padded right, row 2 padded left, row 3 on both sides.
REAL = np.array([[1] * 11, [1] * 6 + [0] * 5, [0] * 4 + [1] * 7, [0] + [1] * 7 + [0] * 3])
POSITIONS = np.maximum(np.cumsum(REAL, 1) - 1, 0)
SOURCE_REAL = np.array([[1] * 7, [1] * 4 + [0] * 3, [1] * 6 + [0], [1] + [0] * 6])


@pytest.fixture(scope="module", autouse=True)
def torch():
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    torch.manual_seed(0)
    torch.set_grad_enabled(True)
    return torch


@dataclasses.dataclass(frozen=True)
class Side:
    """One architecture on both sides.

    spec: ours. theirs: a torch module. call: (module, batch) -> {name: tensor}. convert: their
    {name: array} -> our parameters; linear, so that it takes gradients too. scored: which entries
    of each output count, as a boolean array that broadcasts against all but the last dimension.
    """

    spec: Any
    theirs: Any
    call: Callable
    convert: Callable
    scored: dict[str, Any]


def moved(module):
    """The module in evaluation, every parameter moved: no zero bias, no unit scale."""
    import torch

    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return module.eval()


def linear(weight, *shape):
    """[out, in] of torch as an input-first array of this shape."""
    return weight.T.reshape(shape)


def stacked(layers):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *layers)


def norm(theirs, name):
    return {"scale": theirs[f"{name}.weight"], "shift": theirs[f"{name}.bias"]}


def gpt_layer(theirs, prefix, heads):
    """One block of GPT-1 or GPT-2: their linear maps are input-first already."""
    D = theirs[f"{prefix}.ln_1.weight"].size
    shape = (D, heads, D // heads)
    three = np.split(theirs[f"{prefix}.attn.c_attn.weight"], 3, 1)
    bias = np.split(theirs[f"{prefix}.attn.c_attn.bias"], 3)
    attention = {name: w.reshape(shape) for name, w in zip(("query", "key", "value"), three)}
    attention |= {f"{name}_bias": b.reshape(shape[1:])
                  for name, b in zip(("query", "key", "value"), bias)}
    attention["out"] = theirs[f"{prefix}.attn.c_proj.weight"].reshape(*shape[1:], D)
    attention["out_bias"] = theirs[f"{prefix}.attn.c_proj.bias"]
    feedforward = {"up": theirs[f"{prefix}.mlp.c_fc.weight"],
                   "up_bias": theirs[f"{prefix}.mlp.c_fc.bias"],
                   "down": theirs[f"{prefix}.mlp.c_proj.weight"],
                   "down_bias": theirs[f"{prefix}.mlp.c_proj.bias"]}
    return {"0_attention": attention, "0_feedforward": feedforward,
            "0_attention_norm": norm(theirs, f"{prefix}.ln_1"),
            "0_feedforward_norm": norm(theirs, f"{prefix}.ln_2")}


def gpt_call(module, batch):
    out = module(input_ids=batch["tokens"], attention_mask=batch["segments"],
                 position_ids=batch["positions"])
    return {"logits": out.logits}


def gpt1_side():
    from transformers import OpenAIGPTConfig, OpenAIGPTLMHeadModel

    config = OpenAIGPTConfig(vocab_size=V, n_positions=LENGTH, n_embd=30, n_layer=DEPTH, n_head=5,
                             attn_implementation="eager")

    def convert(theirs):
        layers = [gpt_layer(theirs, f"transformer.h.{n}", 5) for n in range(DEPTH)]
        return {"embedding": {"tokens": theirs["transformer.tokens_embed.weight"],
                              "positions": theirs["transformer.positions_embed.weight"]},
                "stack": {"segment_0": stacked(layers)}}

    spec = gpt1(width=30, depth=DEPTH, heads=5, vocab=V, length=LENGTH)
    return Side(spec, moved(OpenAIGPTLMHeadModel(config)), gpt_call, convert, {"logits": REAL})


def gpt2_side(length=LENGTH):
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=V, n_positions=length, n_embd=30, n_layer=DEPTH, n_head=5,
                        attn_implementation="eager")

    def convert(theirs):
        layers = [gpt_layer(theirs, f"transformer.h.{n}", 5) for n in range(DEPTH)]
        return {"embedding": {"tokens": theirs["transformer.wte.weight"],
                              "positions": theirs["transformer.wpe.weight"]},
                "stack": {"segment_0": stacked(layers),
                          "final_norm": norm(theirs, "transformer.ln_f")}}

    spec = gpt2(width=30, depth=DEPTH, heads=5, vocab=V, length=length)
    return Side(spec, moved(GPT2LMHeadModel(config)), gpt_call, convert, {"logits": REAL})


def llama_side():
    from transformers import LlamaConfig, LlamaForCausalLM

    D, H, G, K, F = 42, 6, 2, 8, 27  # the heads are not as wide as the stream
    config = LlamaConfig(vocab_size=V, hidden_size=D, intermediate_size=F, num_hidden_layers=DEPTH,
                         num_attention_heads=H, num_key_value_heads=G, head_dim=K,
                         rms_norm_eps=1e-6, tie_word_embeddings=False, attn_implementation="eager")

    def layer(theirs, prefix):
        part = lambda name: theirs[f"{prefix}.{name}.weight"]
        return {
            "0_attention": {"query": linear(part("self_attn.q_proj"), D, H, K),
                            "key": linear(part("self_attn.k_proj"), D, G, K),
                            "value": linear(part("self_attn.v_proj"), D, G, K),
                            "out": linear(part("self_attn.o_proj"), H, K, D)},
            "0_feedforward": {"gate": part("mlp.gate_proj").T, "up": part("mlp.up_proj").T,
                              "down": part("mlp.down_proj").T},
            "0_attention_norm": {"scale": part("input_layernorm")},
            "0_feedforward_norm": {"scale": part("post_attention_layernorm")},
        }

    def convert(theirs):
        layers = [layer(theirs, f"model.layers.{n}") for n in range(DEPTH)]
        return {"embedding": {"tokens": theirs["model.embed_tokens.weight"]},
                "stack": {"segment_0": stacked(layers),
                          "final_norm": {"scale": theirs["model.norm.weight"]}},
                "heads_logits": {"unembedding": theirs["lm_head.weight"].T}}

    spec = llama(width=D, depth=DEPTH, heads=H, kv_heads=G, vocab=V, hidden=F, eps=1e-6)
    spec = override(spec, "stack.segments.0.pattern.0.sublayers.attention.head_dim", str(K))
    return Side(spec, moved(LlamaForCausalLM(config)), gpt_call, convert, {"logits": REAL})


def bert_side(theirs_gelu="gelu_new", ours_gelu="gelu_tanh"):
    from transformers import BertConfig, BertForPreTraining

    D, H, F = 30, 5, 120
    config = BertConfig(vocab_size=V, hidden_size=D, num_hidden_layers=DEPTH, intermediate_size=F,
                        num_attention_heads=H, max_position_embeddings=LENGTH, type_vocab_size=2,
                        hidden_act=theirs_gelu, attn_implementation="eager")

    def dense(theirs, name, weight, *shape):
        return {weight: linear(theirs[f"{name}.weight"], *shape),
                f"{weight}_bias": theirs[f"{name}.bias"]}

    def layer(theirs, prefix):
        attention = dense(theirs, f"{prefix}.attention.output.dense", "out", H, D // H, D)
        for name in ("query", "key", "value"):
            attention |= dense(theirs, f"{prefix}.attention.self.{name}", name, D, H, D // H)
            attention[f"{name}_bias"] = attention[f"{name}_bias"].reshape(H, D // H)
        return {"0_attention": attention,
                "0_feedforward": dense(theirs, f"{prefix}.intermediate.dense", "up", D, F)
                | dense(theirs, f"{prefix}.output.dense", "down", F, D),
                "0_attention_norm": norm(theirs, f"{prefix}.attention.output.LayerNorm"),
                "0_feedforward_norm": norm(theirs, f"{prefix}.output.LayerNorm")}

    def convert(theirs):
        layers = [layer(theirs, f"bert.encoder.layer.{n}") for n in range(DEPTH)]
        table, head = "bert.embeddings", "cls.predictions"
        return {
            "embedding": {"tokens": theirs[f"{table}.word_embeddings.weight"],
                          "types": theirs[f"{table}.token_type_embeddings.weight"],
                          "positions": theirs[f"{table}.position_embeddings.weight"],
                          "norm": norm(theirs, f"{table}.LayerNorm")},
            "stack": {"segment_0": stacked(layers)},
            "pooler": dense(theirs, "bert.pooler.dense", "dense", D, D),
            "heads_mlm": dense(theirs, f"{head}.transform.dense", "transform", D, D)
            | {"norm": norm(theirs, f"{head}.transform.LayerNorm"),
               "vocab_bias": theirs[f"{head}.bias"]},
            "heads_nsp": dense(theirs, "cls.seq_relationship", "classes", D, 2),
        }

    def call(module, batch):
        arguments = dict(input_ids=batch["tokens"], attention_mask=batch["segments"],
                         token_type_ids=batch["types"], position_ids=batch["positions"])
        out = module(**arguments)
        return {"mlm": out.prediction_logits, "nsp": out.seq_relationship_logits,
                "pooled": module.bert(**arguments).pooler_output}

    mlm = Masked(activation=ours_gelu, norm=LayerNorm(eps=1e-12))
    spec = bert(width=D, depth=DEPTH, heads=H, vocab=V, length=LENGTH,
                outputs=(("mlm", mlm), NEXT_SENTENCE))
    spec = override(spec, "stack.segments.0.pattern.0.sublayers.feedforward.activation", ours_gelu)
    first = REAL[:, 0] > 0  # the pooler reads the first token
    return Side(spec, moved(BertForPreTraining(config)), call, convert,
                {"mlm": REAL, "nsp": first, "pooled": first})


def vaswani_side():
    """The original Transformer put together from torch.nn, its attentions without biases."""
    import math

    import torch
    from torch import nn

    D, H, F = 30, 5, 44

    class Block(nn.Module):
        def __init__(self, cross):
            super().__init__()
            looks = ["attention", "cross"] if cross else ["attention"]
            self.looks = nn.ModuleDict({name: nn.MultiheadAttention(
                D, H, bias=False, batch_first=True) for name in looks})
            self.norms = nn.ModuleDict({name: nn.LayerNorm(D, eps=1e-6)
                                        for name in (*looks, "feedforward")})
            self.up, self.down = nn.Linear(D, F), nn.Linear(F, D)

        def forward(self, x, hidden, memory=None, memory_hidden=None):
            found = self.looks["attention"](x, x, x, attn_mask=hidden, need_weights=False)[0]
            x = self.norms["attention"](x + found)
            if memory is not None:
                found = self.looks["cross"](x, memory, memory, key_padding_mask=memory_hidden,
                                            need_weights=False)[0]
                x = self.norms["cross"](x + found)
            return self.norms["feedforward"](x + self.down(torch.relu(self.up(x))))

    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(V, D)
            self.encoder = nn.ModuleList(Block(False) for _ in range(DEPTH))
            self.decoder = nn.ModuleList(Block(True) for _ in range(DEPTH))

        def embed(self, tokens, positions):
            rate = torch.exp(-math.log(10_000) * torch.arange(0, D, 2, dtype=torch.float64) / D)
            angle = positions[..., None] * rate
            wave = torch.stack([angle.sin(), angle.cos()], -1).flatten(-2)
            return self.table(tokens) * math.sqrt(D) + wave.to(self.table.weight.dtype)

        def forward(self, batch):
            apart = lambda name: batch[name][:, :, None] != batch[name][:, None]
            heads = lambda hidden: hidden.repeat_interleave(H, 0)
            memory = self.embed(batch["source_tokens"], batch["source_positions"])
            for block in self.encoder:
                memory = block(memory, heads(apart("source_segments")))
            future = torch.ones(T, T, dtype=torch.bool).triu(1)
            x = self.embed(batch["tokens"], batch["positions"])
            for block in self.decoder:
                x = block(x, heads(apart("segments") | future), memory,
                          batch["source_segments"] == 0)
            return x @ self.table.weight.T

    def look(theirs, prefix):
        three = np.split(theirs[f"{prefix}.in_proj_weight"], 3)
        named = {n: linear(w, D, H, D // H) for n, w in zip(("query", "key", "value"), three)}
        return named | {"out": linear(theirs[f"{prefix}.out_proj.weight"], H, D // H, D)}

    def layer(theirs, prefix, looks):
        made = {f"0_{name}": look(theirs, f"{prefix}.looks.{name}") for name in looks}
        made["0_feedforward"] = {
            "up": theirs[f"{prefix}.up.weight"].T, "up_bias": theirs[f"{prefix}.up.bias"],
            "down": theirs[f"{prefix}.down.weight"].T, "down_bias": theirs[f"{prefix}.down.bias"]}
        for name in (*looks, "feedforward"):
            made[f"0_{name}_norm"] = norm(theirs, f"{prefix}.norms.{name}")
        return made

    def convert(theirs):
        looks = {"encoder": ("attention",), "decoder": ("attention", "cross")}
        return {"embedding": {"tokens": theirs["table.weight"]}} | {
            side: {"segment_0": stacked([layer(theirs, f"{side}.{n}", looks[side])
                                         for n in range(DEPTH)])} for side in looks}

    spec = vaswani(width=D, depth=DEPTH, heads=H, hidden=F, vocab=V)
    return Side(spec, moved(Pair()), lambda module, batch: {"logits": module(batch)}, convert,
                {"logits": REAL})


SIDES = {"gpt1": gpt1_side, "gpt2": gpt2_side, "llama": llama_side, "bert": bert_side,
         "bert_erf": lambda: bert_side("gelu", "gelu"), "vaswani": vaswani_side}


def draw_batch():
    draw = np.random.default_rng(0)
    batch = {"tokens": draw.integers(0, V, (B, T)), "segments": REAL, "positions": POSITIONS,
             "types": draw.integers(0, 2, (B, T)), "source_tokens": draw.integers(0, V, (B, S)),
             "source_segments": SOURCE_REAL, "source_positions": np.tile(np.arange(S), (B, 1)),
             "targets": draw.integers(0, V, (B, T)), "labels": draw.integers(0, 2, B)}
    return {name: value.astype(np.int32) for name, value in batch.items()}


@dataclasses.dataclass(frozen=True)
class Answers:
    """Outputs and gradients of both sides, as arrays; `exact` are their outputs in float64."""

    ours: dict
    theirs: dict
    exact: dict
    our_slopes: Any
    their_slopes: Any


def loss_torch(outputs, side, batch):
    import torch

    total = 0
    for name, targets in (("mlm", "targets"), ("logits", "targets"), ("nsp", "labels")):
        if name in outputs:
            kept = torch.as_tensor(np.asarray(side.scored[name]) > 0)
            total = total + torch.nn.functional.cross_entropy(
                outputs[name][kept], batch[targets][kept].long())
    return total


def loss_jax(outputs, side, batch):
    total = 0.0
    for name, targets in (("mlm", "targets"), ("logits", "targets"), ("nsp", "labels")):
        if name in outputs:
            score = jax.nn.log_softmax(outputs[name])
            picked = jnp.take_along_axis(score, batch[targets][..., None], -1)[..., 0]
            kept = jnp.asarray(side.scored[name] > 0, jnp.float32)
            total = total - (picked * kept).sum() / kept.sum()
    return total


@pytest.fixture(scope="module", params=SIDES)
def answers(request, torch):
    side, batch = SIDES[request.param](), draw_batch()
    tensors = {name: torch.as_tensor(value, dtype=torch.int64) for name, value in batch.items()}
    outputs = side.call(side.theirs, tensors)
    loss_torch(outputs, side, tensors).backward()
    exact = side.call(copy.deepcopy(side.theirs).double(), tensors)
    arrays = lambda tree: {k: v.detach().numpy() for k, v in tree.items()}
    named = dict(side.theirs.named_parameters())
    params = side.convert(arrays(named))
    model = Model(side.spec)
    assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, model.shapes())

    def step(params, batch):
        ours = model.apply(params, batch)
        return loss_jax(ours, side, batch), ours

    slopes, ours = jax.jit(jax.grad(step, has_aux=True))(params, batch)
    their_slopes = side.convert({k: v.grad.numpy() for k, v in named.items()})
    kept = {name: np.asarray(mask) > 0 for name, mask in side.scored.items()}
    pick = lambda tree: {name: np.asarray(tree[name])[kept[name]] for name in kept}
    return Answers(pick(ours), pick(arrays(outputs)), pick(arrays(exact)), slopes, their_slopes)


def test_outputs(answers):
    for name, theirs in answers.theirs.items():
        # their float64 is NaN where padding comes first: such a query sees nothing at all
        rounding = np.nanmax(np.abs(theirs - answers.exact[name]))
        tolerance = min(max(2e-5, 10 * rounding), 2e-4)
        assert np.abs(answers.ours[name] - theirs).max() <= tolerance, name
        assert theirs.std() > 0.03  # and there is something to agree about


def test_gradients(answers):
    slopes = jax.tree_util.tree_leaves_with_path(answers.their_slopes)
    largest = max(np.abs(leaf).max() for _, leaf in slopes)
    for (path, theirs), ours in zip(slopes, jax.tree.leaves(answers.our_slopes), strict=True):
        # a key's bias has no gradient but rounding: the softmax cancels it
        size = max(np.abs(theirs).max(), 1e-3 * largest)
        assert np.abs(ours - theirs).max() <= 1e-3 * size, jax.tree_util.keystr(path)
