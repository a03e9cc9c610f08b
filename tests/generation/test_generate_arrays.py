"""Token ids in, token ids out: the contract with those who compare with Hugging Face."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

import transformer
from transformer.data.vocabulary import Bytes
from transformer.error import UserError
from transformer.generation.beam import Beam, PowerPenalty, WuPenalty
from transformer.generation.constraint import Banned, ForcedLast, NoRepeat, Normalised, Repetition
from transformer.generation.generate import Greedy, Sample, generate
from transformer.nn.door import unstack
from transformer.objectives.sequence_to_sequence import SequenceToSequence
from transformer.verbs import choosing
from transformer.verbs.generate import command
from transformer.verbs.generation_config import defaults, joined

IDS = np.array([[7, 9, 11, 13], [5, 8, 21, 34]])
MASK = np.array([[1, 1, 1, 1], [0, 0, 1, 1]])  # padding is on the left, over ordinary tokens


@pytest.fixture
def answered(monkeypatch, tmp_path, tiny):
    """answered(family, arrays, *options, config=None) -> {output: array} of the verb."""
    def answered(name, arrays, *options, config=None):
        small = tiny(name)
        experiment = SimpleNamespace(objective=SequenceToSequence(), run=None, task=None)
        loaded = SimpleNamespace(model=small.model, tokenizer=Bytes().train([]), path=tmp_path,
                                 decoding_params=unstack(small.params), experiment=experiment)
        monkeypatch.setattr(transformer, "load", lambda path, mesh: loaded, raising=False)
        np.savez(tmp_path / "in.npz", **arrays)
        (tmp_path / "generation_config.json").write_text(json.dumps(config or {}))
        command(["anywhere", f"--inputs={tmp_path / 'in.npz'}", "--outputs",
                 str(tmp_path / "out.npz"), *options])
        with np.load(tmp_path / "out.npz") as made:
            return dict(made)
    return answered


def test_sequences_begin_with_the_prompt_and_end_with_padding(answered, tiny):
    small = tiny("gpt2")
    batch = {"tokens": IDS, "segments": MASK}
    free = generate(small.model, unstack(small.params), batch, tokens=6)["tokens"]
    eos = int(free[0, 2])  # the first row stops after three tokens, at the latest
    made = answered("gpt2", {"input_ids": IDS, "attention_mask": MASK}, "--max-new-tokens=6",
                    f"--eos-token-id={eos}", "--pad-token-id=3", "--beams=1")
    assert made["sequences"].dtype == np.int64 and made["scores"].dtype == np.float32
    np.testing.assert_array_equal(made["sequences"][:, :4], IDS)
    stop = free[0].tolist().index(eos) + 1
    want = free[0, :stop].tolist() + [3] * (made["sequences"].shape[1] - 4 - stop)
    assert made["sequences"][0, 4:].tolist() == want and (made["scores"] < 0).all()


def test_beams_are_ranked_by_their_scores(answered, tiny):
    small = tiny("gpt2")
    made = answered("gpt2", {"input_ids": IDS, "attention_mask": MASK}, "--max-new-tokens=5",
                    "--num-return-sequences=2", "--length-penalty=2",
                    config={"num_beams": 3, "eos_token_id": [1, 2], "pad_token_id": 0})
    want = generate(small.model, unstack(small.params), {"tokens": IDS, "segments": MASK},
                    tokens=5, stop=(1, 2),
                    choose=Beam(width=3, answers=2, penalty=PowerPenalty(alpha=2.0)))
    np.testing.assert_array_equal(made["sequences"][:, :4], np.repeat(IDS, 2, 0))
    np.testing.assert_array_equal(made["sequences"][:, 4:],
                                  want["tokens"][:, :want["lengths"].max()])
    np.testing.assert_allclose(made["scores"], want["score"], rtol=1e-6)


def test_an_encoder_decoder_begins_with_its_start_token(answered):
    how = ("vaswani", {"input_ids": IDS, "attention_mask": MASK}, "--max-new-tokens=3")
    config = {"decoder_start_token_id": 17, "forced_bos_token_id": 6, "max_length": 3}
    made = answered(*how, config=config)["sequences"]
    assert made[:, :2].tolist() == [[17, 6]] * 2 and made.shape == (2, 4)
    assert answered(*how, "--decoder-start-token-id=18", config=config)["sequences"][0, 0] == 18
    assert answered(*how[:2], config=config)["sequences"].shape == (2, 3)  # max_length, all told
    begun = {**how[1], "decoder_input_ids": np.array([[40, 41], [50, 51]])}
    made = answered("vaswani", begun, "--max-new-tokens=2", config=config)["sequences"]
    assert made[:, :3].tolist() == [[17, 40, 41], [17, 50, 51]]
    assert made[0, 3] != 6  # nothing is forced behind a longer prompt
    with pytest.raises(UserError, match="start: there is no token 99999; the vocabulary has"):
        answered(*how, "--decoder-start-token-id=99999")
    with pytest.raises(UserError, match="start: there is no token 99999"):
        answered(*how, config={"bos_token_id": 99999})


@pytest.mark.parametrize("name", ["eos", "pad"])
@pytest.mark.parametrize("token", [99999999999, 5000, -1])
def test_ids_that_the_vocabulary_does_not_have_are_refused(answered, name, token):
    with pytest.raises(UserError, match=f"{name}: there is no token {token}; the vocabulary has"):
        answered("gpt2", {"input_ids": IDS}, f"--{name}-token-id={token}")


@pytest.mark.parametrize(("arrays", "message"), [
    ({"input_ids": IDS + 5000}, "input_ids holds 50.., which lies outside the vocabulary"),
    ({"input_ids": -IDS}, "outside the vocabulary"),
    ({"input_ids": IDS, "attention_mask": MASK[:, :3]}, r"attention_mask is \[2, 3\]"),
    ({"input_ids": IDS, "attention_mask": MASK * 2}, "attention_mask holds 2"),
    ({"input_ids": IDS[0]}, r"input_ids are \[4\], but they must be \[batch, length\]"),
    ({"input_ids": np.array(7)}, r"input_ids are \[\], but"),
    ({"input_ids": IDS * 1.0}, "input_ids is float64"),
    ({"inputs_ids": IDS}, "no input 'inputs_ids'; did you mean input_ids"),
    ({"input_ids": IDS, "token_type_ids": MASK}, "generate does not read token_type_ids"),
    ({"attention_mask": MASK}, "there is no input_ids"),
    ({"input_ids": IDS, "decoder_input_ids": IDS[:1]}, r"decoder_input_ids are \[1, 4\]"),
    ({"input_ids": IDS, "decoder_input_ids": IDS}, "one stack and does not read decoder_input_ids"),
])
def test_arrays_that_are_wrong_are_refused(answered, arrays, message):
    with pytest.raises(UserError, match=message):
        answered("gpt2", arrays)


def test_what_generation_config_says(tmp_path, capsys):
    """As the released BART for summaries has it, and a little more."""
    config = {"num_beams": 4, "length_penalty": 2.0, "early_stopping": True, "min_length": 56,
              "max_length": 142, "no_repeat_ngram_size": 3, "forced_bos_token_id": 0,
              "forced_eos_token_id": 2, "eos_token_id": 2, "pad_token_id": 1,
              "decoder_start_token_id": 2, "bad_words_ids": [[8], [5, 6]], "typical_p": 0.9,
              "repetition_penalty": 1.2, "num_return_sequences": 1, "temperature": 0.5,
              "top_p": None}
    (tmp_path / "generation_config.json").write_text(json.dumps(config))
    found = defaults(tmp_path)
    assert choosing.choice(found) == Beam(width=4, penalty=PowerPenalty(alpha=2.0), until="full")
    rules = choosing.constraints(found, 50)
    assert rules[:3] == (Repetition(penalty=1.2), NoRepeat(size=3), Banned(tokens=(8,)))
    assert rules[-1] == ForcedLast(tokens=(2,)) and found["eos"] == (2,) and found["start"] == 2
    told = capsys.readouterr().err
    assert "not applied: typical_p, bad_words_ids of several tokens" in told
    given = joined({"beams": 2, "length_penalty_kind": "wu", "length_penalty": 0.6}, found)
    assert choosing.choice(given) == Beam(width=2, penalty=WuPenalty(alpha=0.6), until="full")
    assert choosing.choice(joined({"top_k": 5}, found)) == Sample(top_k=5)
    assert defaults(tmp_path / "nowhere") == {}


def test_scores_are_normalised_again_last_of_all(tmp_path, capsys):
    """As the released Marian has it; and a search that was stored with draws does not draw."""
    (tmp_path / "generation_config.json").write_text(json.dumps(
        {"renormalize_logits": True, "num_beams": 2, "do_sample": True, "suppress_tokens": [3]}))
    found = defaults(tmp_path)
    assert choosing.choice(found) == Beam(width=2)
    assert choosing.constraints(found, 9) == (Banned(tokens=(3,)), Normalised())
    assert "not applied: do_sample (beam search does not draw)" in capsys.readouterr().err


@pytest.mark.parametrize(("config", "message"), [
    ({"early_stopping": "often"}, "early_stopping is 'often', but it must be true, false or"),
    ({"early_stopping": [1]}, r"early_stopping is \[1\], but"),
    ({"bad_words_ids": 5}, "bad_words_ids is 5, but it must be a list of lists"),
    ({"bad_words_ids": [[]]}, r"bad_words_ids is \[\[\]\], but"),
    ({"max_length": "20"}, "max_length is '20', but it must be a whole number above 0"),
    ({"max_new_tokens": 10**12}, "max_new_tokens is 10{12}, but"),
    ({"min_length": -4}, "min_length is -4, but it must be a whole number from 0"),
    ({"num_beams": 2.5}, "num_beams is 2.5, but"),
    ({"length_penalty": "long"}, "length_penalty is 'long', but it must be a number"),
    ({"do_sample": "yes"}, "do_sample is 'yes', but it must be true or false"),
    ({"do_sample": True, "top_k": "5"}, "top_k is '5', but"),
    ({"renormalize_logits": 2}, "renormalize_logits is 2, but"),
    ({"eos_token_id": "2"}, "eos_token_id is '2', but it must be a token id or a list of them"),
    ({"suppress_tokens": [1, None]}, r"suppress_tokens is \[1, None\], but"),
    ({"pad_token_id": [1, 2]}, r"pad_token_id is \[1, 2\], but it must be a token id$"),
    ({"decoder_start_token_id": 10**20}, "decoder_start_token_id is 10{20}, but"),
])
def test_entries_of_another_kind_are_refused(tmp_path, config, message):
    (tmp_path / "generation_config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="generation_config.json: " + message):
        defaults(tmp_path)


def test_a_negative_id_stands_for_none(tmp_path):
    """So the first LLaMA on the hub was padded."""
    (tmp_path / "generation_config.json").write_text('{"pad_token_id": -1, "eos_token_id": [2]}')
    assert defaults(tmp_path) == {"eos": (2,)}


@pytest.mark.parametrize(("config", "given", "want"), [
    ({"do_sample": True, "temperature": 0.6, "top_p": 0.9}, {},
     Sample(temperature=0.6, top_k=50, top_p=0.9)),
    ({"do_sample": True, "top_k": 0, "num_return_sequences": 2}, {}, Sample(answers=2)),
    ({"do_sample": True, "temperature": 0.6}, {"beams": 1}, Greedy()),
    ({"temperature": 0.6, "top_k": 9}, {}, Greedy()),
    ({"num_beams": 3, "early_stopping": "never"}, {}, Beam(width=3, until="sure")),
])
def test_draws_and_searches_replace_each_other(tmp_path, config, given, want):
    (tmp_path / "generation_config.json").write_text(json.dumps(config))
    assert choosing.choice(joined(given, defaults(tmp_path))) == want


def test_a_config_that_is_no_object_is_refused(tmp_path):
    for text, message in (("[1]", "one object, but holds list"), ("{", "generation_config.json: ")):
        (tmp_path / "generation_config.json").write_text(text)
        with pytest.raises(UserError, match=message):
            defaults(tmp_path)
