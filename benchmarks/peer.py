"""The other side of the comparisons: Hugging Face transformers on PyTorch.

Needs the `benchmark` extra. The settings are the fastest that their documentation names: scaled
dot-product attention, fused AdamW, foreach clipping, gradients set to None, torch.compile.
"""

from __future__ import annotations

import torch
import transformers

from benchmarks.shapes import HEADS, VOCAB, WIDTH, Shape

torch.manual_seed(0)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def model(name: str, shape: Shape, length: int | None = None):
    """The same architecture as `ours.model`, without dropout."""
    length = length or shape.length
    common = dict(vocab_size=VOCAB, attn_implementation="sdpa")
    if name == "gpt":
        config = transformers.GPT2Config(
            n_layer=shape.depth, n_embd=WIDTH, n_head=HEADS, n_positions=length, resid_pdrop=0.0,
            embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=2, eos_token_id=3, **common)
        return transformers.GPT2LMHeadModel(config).to(DEVICE)
    if name == "bert":
        config = transformers.BertConfig(
            num_hidden_layers=shape.depth, hidden_size=WIDTH, num_attention_heads=HEADS,
            intermediate_size=4 * WIDTH, max_position_embeddings=length, hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0, hidden_act="gelu_new", **common)
        return transformers.BertForMaskedLM(config).to(DEVICE)
    config = transformers.MarianConfig(
        encoder_layers=shape.depth, decoder_layers=shape.depth, d_model=WIDTH,
        encoder_attention_heads=HEADS, decoder_attention_heads=HEADS, encoder_ffn_dim=4 * WIDTH,
        decoder_ffn_dim=4 * WIDTH, activation_function="relu", dropout=0.0, scale_embedding=True,
        max_position_embeddings=length, pad_token_id=0, eos_token_id=3,
        decoder_start_token_id=2, **common)
    return transformers.MarianMTModel(config).to(DEVICE)


def loss(name: str, model, batch: dict):
    """Mean nats of a batch, with its one fixed shape."""
    if name == "gpt":
        logits = model(input_ids=batch["tokens"], use_cache=False).logits
    elif name == "bert":
        # Its own door would score all positions; scoring the masked ones alone is in its favour.
        hidden = model.bert(input_ids=batch["tokens"]).last_hidden_state
        slots = batch["masked"][..., None].expand(-1, -1, hidden.shape[-1])
        logits = model.cls(hidden.gather(1, slots))
    else:
        logits = model(input_ids=batch["source_tokens"], decoder_input_ids=batch["tokens"],
                       use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.reshape(-1, VOCAB).float(),
                                             batch["targets"].reshape(-1))


def training(name: str, shape: Shape, precision: str, compiled: bool):
    """A function that makes one step and returns its loss, and the number of parameters."""
    made = model(name, shape).train()
    optimizer = torch.optim.AdamW(made.parameters(), lr=1e-4, weight_decay=0.1, fused=True)
    batch = {key: torch.tensor(array, dtype=torch.long, device=DEVICE)
             for key, array in shape.batch().items()}
    forward = torch.compile(loss) if compiled else loss

    def step():
        with torch.autocast(DEVICE, torch.bfloat16, enabled=precision == "bf16"):
            value = forward(name, made, batch)
        value.backward()
        torch.nn.utils.clip_grad_norm_(made.parameters(), 1.0, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return value.detach()

    return step, sum(p.numel() for p in made.parameters())


def wait() -> None:
    """Until the device has done what it was asked to."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def device() -> str:
    return torch.cuda.get_device_name() if DEVICE == "cuda" else "cpu"
