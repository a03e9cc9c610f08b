"""The other side on an accelerator: Hugging Face transformers on PyTorch, as fast as documented.

Parameters in float32 and bf16 autocast, as this project has it; flash or memory-efficient scaled
dot-product attention, fused AdamW, foreach clipping, torch.compile. Of T5 1.1 the library ties the
output to the token table whatever it is told: 25 million parameters fewer to update than ours.
"""

from __future__ import annotations

import gc

import torch
import transformers

from benchmarks import peer
from benchmarks.workloads import Workload


def config(work: Workload):
    """(class of the model, its configuration)."""
    size = dict(work.size)
    tokens = dict(bos_token_id=2, eos_token_id=3, pad_token_id=0)
    if work.family == "gpt2":
        return transformers.GPT2LMHeadModel, transformers.GPT2Config(
            n_layer=size["depth"], n_embd=size["width"], n_head=size["heads"],
            n_positions=size["length"], vocab_size=size["vocab"], resid_pdrop=0.0, embd_pdrop=0.0,
            attn_pdrop=0.0, **tokens)
    if work.family == "bert":
        return transformers.BertForMaskedLM, transformers.BertConfig(
            num_hidden_layers=size["depth"], hidden_size=size["width"],
            num_attention_heads=size["heads"], intermediate_size=4 * size["width"],
            max_position_embeddings=size["length"], vocab_size=size["vocab"],
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, hidden_act="gelu_new")
    if work.family == "t5":
        return transformers.T5ForConditionalGeneration, transformers.T5Config(
            d_model=size["width"], num_layers=size["depth"], num_heads=size["heads"],
            d_ff=size["hidden"], d_kv=64, vocab_size=size["vocab"], dropout_rate=0.0,
            feed_forward_proj="gated-gelu", tie_word_embeddings=False, decoder_start_token_id=0)
    return transformers.LlamaForCausalLM, transformers.LlamaConfig(
        hidden_size=size["width"], num_hidden_layers=size["depth"],
        num_attention_heads=size["heads"], num_key_value_heads=size["kv_heads"],
        intermediate_size=size["hidden"], vocab_size=size["vocab"], tie_word_embeddings=True,
        max_position_embeddings=work.length, rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 500_000.0}, **tokens)


def model(work: Workload):
    """The model on the device; with eager attention where the library has no other for it."""
    kind, settings = config(work)
    for attention in ("sdpa", "eager"):
        settings._attn_implementation = attention
        try:
            return kind(settings).to(peer.DEVICE)
        except ValueError:
            continue
    raise SystemExit(f"{kind.__name__} has neither sdpa nor eager attention")


def loss(work: Workload, model, batch: dict):
    """Mean nats of a batch."""
    if work.family == "bert":  # scoring the masked slots alone, as ours does, is in its favour
        hidden = model.bert(input_ids=batch["tokens"]).last_hidden_state
        slots = batch["masked"][..., None].expand(-1, -1, hidden.shape[-1])
        logits = model.cls(hidden.gather(1, slots))
    elif work.family == "t5":
        logits = model(input_ids=batch["source_tokens"], decoder_input_ids=batch["tokens"],
                       use_cache=False).logits
    else:
        logits = model(input_ids=batch["tokens"], use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(),
                                             batch["targets"].flatten())


def training(work: Workload, precision: str, compiled: bool, rows: int):
    """(a function that makes one step, number of parameters).

    Raises:
      MemoryError: it does not fit.
    """
    try:
        step, parameters = _training(work, precision, compiled, rows)
        step()
        peer.wait()
        return step, parameters
    except torch.OutOfMemoryError:
        pass  # outside of this block, where the exception no longer holds the tensors
    torch._dynamo.reset()
    gc.collect()
    torch.cuda.empty_cache()
    raise MemoryError


def _training(work, precision, compiled, rows):
    torch.set_float32_matmul_precision("high")
    made = model(work).train()
    optimizer = torch.optim.AdamW(made.parameters(), lr=1e-4, weight_decay=0.1, fused=True)
    batch = {key: torch.tensor(array, dtype=torch.long, device=peer.DEVICE)
             for key, array in work.shape(rows).batch().items()}
    forward = torch.compile(loss) if compiled else loss

    def step():
        with torch.autocast(peer.DEVICE, torch.bfloat16, enabled=precision == "bf16"):
            value = forward(work, made, batch)
        value.backward()
        torch.nn.utils.clip_grad_norm_(made.parameters(), 1.0, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step, sum(p.numel() for p in made.parameters())
