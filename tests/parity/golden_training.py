"""Gradients and training of the golden models in torch, after the authors' own update rules.

Written from the papers' code, not from this project's: google-research/bert `optimization.py` and
openai/finetune-transformer-lm `opt.py`. Float32, no dropout.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from golden_models import LAST, PEAKS, STEPS, WARMUP
from torch.nn.functional import cross_entropy


def loss(model, lessons: dict, number: int):
    """Of one batch: the mean over its predictions, and BERT's of its labels beside it."""
    batch = {key: torch.tensor(array[number]) for key, array in lessons.items()}
    if "masked" in batch:
        out = model(input_ids=batch["tokens"], attention_mask=batch["segments"],
                    token_type_ids=batch["types"])
        slots = batch["masked"][..., None].expand(-1, -1, out.prediction_logits.shape[-1])
        return (mean(out.prediction_logits.gather(1, slots), batch)
                + cross_entropy(out.seq_relationship_logits, batch["labels"]))
    if "source_tokens" in batch:
        out = model(input_ids=batch["source_tokens"], attention_mask=batch["source_segments"],
                    decoder_input_ids=batch["tokens"], decoder_attention_mask=batch["segments"])
    else:
        out = model(input_ids=batch["tokens"], attention_mask=batch["segments"])
    return mean(out.logits, batch)


def mean(logits, batch):
    """Cross-entropy over the predictions that count, in nats."""
    nats = cross_entropy(logits.transpose(1, 2), batch["targets"], reduction="none")
    return (nats * batch["weights"]).sum() / batch["weights"].sum()


def gradients(model, lessons: dict) -> dict:
    """{name: gradient} of the first batch."""
    model.zero_grad()
    loss(model, lessons, 0).backward()
    return {key: zero_if_none(p) for key, p in model.named_parameters()}


def zero_if_none(parameter):
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def train(name: str, model, lessons: dict) -> tuple[np.ndarray, dict]:
    """The loss before each of ten updates, and {name: parameter} after them."""
    rule = {"bert": bert_adamw, "openai-gpt": gpt1_adam}[name]
    named = dict(model.named_parameters())
    moments = {key: (torch.zeros_like(p), torch.zeros_like(p)) for key, p in named.items()}
    losses = []
    for step in range(STEPS):
        model.zero_grad()
        value = loss(model, lessons, step)
        value.backward()
        losses.append(value.item())
        with torch.no_grad():
            clip_by_global_norm([p.grad for p in named.values()], 1.0)
            for key, p in named.items():
                rule(key, p, *moments[key], step)
    return np.array(losses, np.float32), {key: p.detach() for key, p in named.items()}


def clip_by_global_norm(gradients: list, most: float) -> None:
    norm = torch.sqrt(sum((g * g).sum() for g in gradients))
    for g in gradients:
        g *= most / torch.maximum(norm, torch.tensor(most))


def bert_adamw(key: str, p, m, v, step: int) -> None:
    """AdamWeightDecayOptimizer: no bias correction, no decay of norms and biases.

    The rate is read before the step is counted: linear from 0, then the decayed one.
    """
    peak = PEAKS["bert"]
    rate = peak * step / WARMUP if step < WARMUP else peak * (1 - step / LAST)
    m.mul_(0.9).add_(0.1 * p.grad)
    v.mul_(0.999).add_(0.001 * p.grad * p.grad)
    update = m / (v.sqrt() + 1e-6)
    if not any(word in key for word in ("LayerNorm", "bias")):
        update = update + 0.01 * p
    p.sub_(rate * update)


def gpt1_adam(key: str, p, m, v, step: int) -> None:
    """`adam` with l2 on what has more than one dimension; the correction scales both."""
    x, t = step / LAST, step + 1
    warm = WARMUP / LAST
    schedule = x / warm if x <= warm else 0.5 * (1 + math.cos(math.pi * x))
    rate = PEAKS["openai-gpt"] * schedule * math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    m.mul_(0.9).add_(0.1 * p.grad)
    v.mul_(0.999).add_(0.001 * p.grad * p.grad)
    update = m / (v.sqrt() + 1e-8)
    if p.ndim > 1:
        update = update + 0.01 * p
    p.sub_(rate * update)
