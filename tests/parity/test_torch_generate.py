"""Side by side with Hugging Face `generate`: the same ids and the same scores.

Prompts of unequal length, padded on the left. Run with `pytest -m torch` as `test_torch.py`.
"""

from __future__ import annotations

import numpy as np
import pytest
from test_torch import V, gpt2_side, llama_side

from transformer.generation.beam import Beam, PowerPenalty
from transformer.generation.constraint import Banned, ForcedLast, MinTokens, NoRepeat, Repetition
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


@pytest.fixture(scope="module")
def brought(tmp_path_factory):
    """brought(name) -> (their module, the checkpoint it was imported as)."""
    torch, made = pytest.importorskip("torch"), {}

    def brought(name):
        if name not in made:
            torch.manual_seed(1)
            module, folder = SIDES[name]().theirs, tmp_path_factory.mktemp(name)
            module.generation_config.update(num_beams=3, length_penalty=1.5, pad_token_id=0,
                                            repetition_penalty=1.3, eos_token_id=stops(module))
            module.save_pretrained(folder / "theirs")
            bring(folder / "theirs", folder / "ours")
            made[name] = module, folder / "ours"
        return made[name]

    return brought


@pytest.mark.parametrize("name", SIDES)
def test_the_verb_gives_their_sequences_and_scores(brought, tmp_path, name):
    """What is not given comes from generation_config.json; ids stand under the padding too."""
    import torch

    module, checkpoint = brought(name)
    ids, mask = prompts()
    np.savez(tmp_path / "in.npz", input_ids=ids, attention_mask=mask)
    command([str(checkpoint), f"--inputs={tmp_path / 'in.npz'}",
             f"--outputs={tmp_path / 'out.npz'}", f"--max-new-tokens={NEW}",
             "--num-return-sequences=2"])
    with np.load(tmp_path / "out.npz") as file:
        made = dict(file)
    with torch.no_grad():
        want = module.generate(torch.tensor(ids), attention_mask=torch.tensor(mask),
                               max_new_tokens=NEW, num_return_sequences=2, output_scores=True,
                               return_dict_in_generate=True)
    np.testing.assert_array_equal(made["sequences"], want.sequences)
    np.testing.assert_allclose(made["scores"], want.sequences_scores, rtol=2e-5, atol=2e-5)
