"""Side by side with Hugging Face `generate`: the same ids and the same scores.

Prompts of unequal length, padded on the left. Run with `pytest -m torch` as `test_torch.py`.
"""

from __future__ import annotations

import numpy as np
import pytest
from test_torch import V, gpt2_side, llama_side

from transformer.generation.beam import Beam, PowerPenalty
from transformer.generation.constraint import (Banned, ForcedLast, MinTokens, NoRepeat, Normalised,
                                               Repetition)
from transformer.generation.generate import Greedy, generate
from transformer.interop.importing import bring
from transformer.nn.door import Model, unstack
from transformer.verbs.generate import command

pytestmark = pytest.mark.torch

LENGTHS, NEW, PAD = (7, 3, 5, 2), 9, 60
SIDES = {"gpt2": lambda: gpt2_side(length=32), "llama": llama_side}
RULES = (Repetition(penalty=1.8), NoRepeat(size=2), Banned(tokens=(4, 9)), MinTokens(tokens=4),
         ForcedLast(tokens=(11,)))
THEIRS = dict(repetition_penalty=1.8, no_repeat_ngram_size=2, bad_words_ids=[[4], [9]],
              min_new_tokens=4, forced_eos_token_id=11)
# name: what we are asked, what they are asked, our constraints
CASES = {
    "greedy": (Greedy(), {}, (), {}),
    "greedy, rules": (Greedy(), {}, RULES, THEIRS),
    "likely": (Beam(width=4, answers=4), dict(num_beams=4, num_return_sequences=4), (), {}),
    "full": (Beam(width=3, answers=2, penalty=PowerPenalty(alpha=2.0), until="full"),
             dict(num_beams=3, num_return_sequences=2, length_penalty=2.0, early_stopping=True),
             (), {}),
    "sure": (Beam(width=3, penalty=PowerPenalty(alpha=-0.5), until="sure"),
             dict(num_beams=3, length_penalty=-0.5, early_stopping="never"), (), {}),
    "beams, rules": (Beam(width=4, answers=2), dict(num_beams=4, num_return_sequences=2), RULES,
                     THEIRS),
    "beams, normalised": (Beam(width=4, answers=2), dict(num_beams=4, num_return_sequences=2),
                          (*RULES, Normalised()), dict(THEIRS, renormalize_logits=True)),
}
ASKED = [("gpt2", case) for case in CASES] + [("llama", "likely"), ("llama", "beams, rules")]


@pytest.fixture(scope="module")
def sides():
    """sides(name) -> (our model, its parameters, theirs of the same weights, stop tokens)."""
    torch, made = pytest.importorskip("torch"), {}

    def sides(name):
        if name not in made:
            torch.manual_seed(1)
            side = SIDES[name]()
            theirs = {k: v.detach().numpy() for k, v in side.theirs.named_parameters()}
            made[name] = (Model(side.spec), unstack(side.convert(theirs)), side.theirs,
                          stops(side.theirs))
        return made[name]

    return sides


def prompts():
    draw, width = np.random.default_rng(3), max(LENGTHS)
    segments = (np.arange(width) >= width - np.array(LENGTHS)[:, None]).astype(np.int64)
    return draw.integers(0, V, segments.shape), segments


def theirs(module, stop, new=NEW, **asked):
    """(new tokens, scores or None) of Hugging Face."""
    import torch

    tokens, segments = map(torch.tensor, prompts())
    with torch.no_grad():
        made = module.generate(tokens, attention_mask=segments, max_new_tokens=new, do_sample=False,
                               eos_token_id=stop, pad_token_id=PAD, output_scores=True,
                               return_dict_in_generate=True, **asked)
    scores = getattr(made, "sequences_scores", None)
    return made.sequences[:, tokens.shape[1]:].numpy(), scores


def stops(module):
    """Two tokens that come often, so that answers end at all lengths."""
    found, _ = theirs(module, None, num_beams=4, num_return_sequences=4)
    return np.argsort(-np.bincount(found.ravel()), kind="stable")[:2].tolist()


@pytest.mark.parametrize(("name", "case"), ASKED)
def test_ids_and_scores_are_those_of_hugging_face(sides, name, case):
    model, params, module, stop = sides(name)
    choose, asked, rules, their_rules = CASES[case]
    tokens, segments = prompts()
    made = generate(model, params, {"tokens": tokens, "segments": segments}, tokens=NEW, stop=stop,
                    pad=PAD, choose=choose, constraints=rules)
    want, scores = theirs(module, stop, **asked, **their_rules)
    np.testing.assert_array_equal(made["tokens"][:, :want.shape[1]], want)
    assert made["lengths"].max() == want.shape[1]
    if scores is not None:
        np.testing.assert_allclose(made["score"], scores, rtol=2e-5, atol=2e-5)


SIZE = dict(vocab_size=V, d_model=30, attn_implementation="eager")
STACKS = dict(encoder_layers=2, decoder_layers=2, encoder_attention_heads=5, encoder_ffn_dim=44,
              decoder_attention_heads=5, decoder_ffn_dim=44, max_position_embeddings=32, **SIZE)
TRANSLATORS = {
    "t5": dict(d_kv=6, d_ff=44, num_layers=2, num_heads=5, relative_attention_num_buckets=8,
               relative_attention_max_distance=16, decoder_start_token_id=0, **SIZE),
    "bart": STACKS,
    "marian": dict(pad_token_id=60, decoder_start_token_id=60, **STACKS),
}
# What each says in its generation_config.json besides; BART and Marian force the last token.
USUAL = dict(num_beams=3, length_penalty=1.5, repetition_penalty=1.3)
SAID = {"t5": dict(eos_token_id=44),
        "marian": dict(eos_token_id=16, bad_words_ids=[[33]], renormalize_logits=True),
        "bart": dict(forced_bos_token_id=5, min_length=5, no_repeat_ngram_size=2,
                     early_stopping=True, eos_token_id=[44, 2])}


def translator(name):
    """One of theirs whose parameters and buffers are nowhere what they began as."""
    import torch
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    config = AutoConfig.for_model(name, **TRANSLATORS[name])
    module = AutoModelForSeq2SeqLM.from_config(config).eval()
    with torch.no_grad():
        for path, parameter in module.named_parameters():
            if "embed_positions" not in path:  # sinusoids, a constant there
                parameter.add_(0.3 * torch.randn(parameter.shape))
        if hasattr(module, "final_logits_bias"):
            module.final_logits_bias.add_(torch.randn(module.final_logits_bias.shape))
    return module


@pytest.fixture(scope="module")
def brought(tmp_path_factory):
    """brought(name) -> (their module, the checkpoint it was imported as)."""
    torch, made = pytest.importorskip("torch"), {}

    def brought(name):
        if name not in made:
            torch.manual_seed(1)
            folder, two = tmp_path_factory.mktemp(name), name in TRANSLATORS
            module = translator(name) if two else SIDES[name]().theirs
            said = SAID[name] if two else dict(pad_token_id=0, eos_token_id=stops(module))
            module.generation_config.update(**USUAL, **said)
            module.save_pretrained(folder / "theirs")
            bring(folder / "theirs", folder / "ours")
            made[name] = module, folder / "ours"
        return made[name]

    return brought


@pytest.mark.parametrize(("name", "beams"), [
    *((name, 3) for name in (*SIDES, *TRANSLATORS)), *((name, 1) for name in TRANSLATORS)])
def test_the_verb_gives_their_sequences_and_scores(brought, tmp_path, name, beams):
    """What is not given comes from generation_config.json; ids stand under the padding too."""
    import torch

    module, checkpoint = brought(name)
    ids, mask = prompts()
    several = min(beams, 2)
    mask = mask[:, ::-1].copy() if name in TRANSLATORS else mask
    np.savez(tmp_path / "in.npz", input_ids=ids, attention_mask=mask)
    command([str(checkpoint), f"--inputs={tmp_path / 'in.npz'}", f"--beams={beams}",
             f"--outputs={tmp_path / 'out.npz'}", f"--max-new-tokens={NEW}",
             f"--num-return-sequences={several}"])
    with np.load(tmp_path / "out.npz") as file:
        made = dict(file)
    with torch.no_grad():
        want = module.generate(torch.tensor(ids), attention_mask=torch.tensor(mask),
                               max_new_tokens=NEW, num_beams=beams, output_scores=True,
                               num_return_sequences=several, return_dict_in_generate=True)
    np.testing.assert_array_equal(made["sequences"], want.sequences)
    if beams > 1:
        np.testing.assert_allclose(made["scores"], want.sequences_scores, rtol=2e-5, atol=2e-5)
