"""`python -m transformer generate` from its arguments to what it prints and writes."""

import functools
import json
from types import SimpleNamespace

import numpy as np
import pytest

import transformer
from transformer.data.packing import Packed
from transformer.data.vocabulary import Bytes
from transformer.error import UserError
from transformer.loaded import Loaded
from transformer.nn.door import unstack
from transformer.objectives.denoising import Denoising
from transformer.objectives.prefix_lm import PrefixLM
from transformer.objectives.sequence_to_sequence import SequenceToSequence
from transformer.objectives.span_corruption import SpanCorruption
from transformer.tasks.language_modelling import LanguageModelling
from transformer.tasks.rewriting import Rewriting, Together
from transformer.verbs.generate import command
from transformer.zoo.gpt2 import gpt2
from transformer.zoo.vaswani import vaswani


@pytest.fixture
def checkpoint(monkeypatch, build):
    """checkpoint(spec, task) makes every checkpoint a tiny model of bytes; -> what `load` gives."""
    def checkpoint(spec, task=None, name="logits"):
        tokenizer = Bytes().train([])
        small = build(spec(tokenizer.size))
        experiment = SimpleNamespace(task=task, objective=SequenceToSequence(), run=None,
                                     rows=Packed(length=48))
        loaded = SimpleNamespace(model=small.model, tokenizer=tokenizer, experiment=experiment,
                                 decoding_params=unstack(small.params), path="runs/tiny")
        loaded.framed = functools.partial(Loaded.framed, loaded)
        monkeypatch.setattr(transformer, "load", lambda path, mesh: loaded, raising=False)
        return loaded
    return checkpoint


SMALL = dict(width=32, depth=1, heads=2)


def decoder(size):
    """A context of 48 bytes."""
    return gpt2(**SMALL, vocab=size + 500, length=48)  # most of the table is no token


def pair(size):
    """An encoder-decoder."""
    return vaswani(**SMALL, hidden=64, vocab=size, dropout=0.0)


def run(capsys, *arguments):
    """(status, what was printed) of the verb."""
    status = command(["anywhere", *arguments])
    return status, capsys.readouterr().out


def test_a_prompt_is_continued(checkpoint, capsys, tmp_path):
    checkpoint(decoder)
    out = tmp_path / "out.json"
    status, printed = run(capsys, "--prompt=Hello", "--tokens=9", f"--json={out}")
    told = json.loads(out.read_text(encoding="utf-8"))
    (sample,) = told["samples"]
    assert status == 0 and printed == "Hello" + sample["text"] + "\n"
    assert len(sample["tokens"]) <= 9 and told["choose"] == {"kind": "Greedy"}
    assert sample["log_probability"] < 0 and told["tokens_per_second"] > 0


def test_the_streamed_text_is_the_text(checkpoint, capsys, tmp_path):
    checkpoint(decoder)
    how = ("--prompt=日本", "--tokens=30", "--temperature=1.3", "--seed=4")
    _, plain = run(capsys, *how)
    assert run(capsys, *how, "--stream") == (0, plain)
    assert run(capsys, *how[:-1], "--seed=5")[1] != plain


def test_samples_do_not_depend_on_their_company(checkpoint, capsys, tmp_path, monkeypatch):
    checkpoint(decoder)
    (tmp_path / "prompts").write_text("One\nAnother one\nThree\n", encoding="utf-8")
    how = (f"--prompts={tmp_path / 'prompts'}", "--samples=3", "--tokens=8", "--top-k=50")
    together = run(capsys, *how)[1]
    texts = together.split("[prompt ")[1:]
    assert len(set(texts)) == 9 and texts[5].startswith("2, sample 3]\nAnother one")
    monkeypatch.setattr("transformer.verbs.generate_text.ROWS", 4)  # the last batch is not full
    assert run(capsys, *how)[1] == together


def test_beam_search_gives_its_best_answers_with_their_scores(checkpoint, capsys, tmp_path):
    checkpoint(decoder)
    out = tmp_path / "out.json"
    how = ("--prompt=Once", "--prompt=Hello", "--tokens=6", f"--json={out}")
    _, printed = run(capsys, *how, "--beams=3", "--samples=2", "--length-penalty-kind=wu")
    assert "[prompt 1, answer 1]\nOnce" in printed and "[prompt 2, answer 2]\nHello" in printed
    told = json.loads(out.read_text(encoding="utf-8"))
    assert told["choose"]["penalty"] == {"kind": "WuPenalty", "alpha": 0.6}
    for first, second in zip(told["samples"][::2], told["samples"][1::2], strict=True):
        assert first["score"] >= second["score"] and first["tokens"] != second["tokens"]
        want = first["log_probability"] / ((5 + len(first["tokens"])) / 6) ** 0.6
        assert first["score"] == pytest.approx(want, rel=1e-5)
    best = [sample["log_probability"] for sample in told["samples"][::2]]
    run(capsys, *how)
    greedy = json.loads(out.read_text(encoding="utf-8"))["samples"]
    assert all(b >= g["log_probability"] - 1e-5 for b, g in zip(best, greedy, strict=True))


def test_constraints_reach_the_answers(checkpoint, capsys, tmp_path):
    checkpoint(decoder)
    out = tmp_path / "out.json"
    rules = ("--no-repeat=1", "--forced-bos=70", "--min-tokens=20", "--repetition-penalty=1.5")
    run(capsys, "--prompt=Hello", "--tokens=20", *rules, f"--json={out}")
    told = json.loads(out.read_text(encoding="utf-8"))
    (sample,) = told["samples"]
    assert sample["tokens"][0] == 70 and len(sample["tokens"]) == 20
    assert len(set(sample["tokens"]) | set(b"Hello")) > 20  # as far as bytes are ids
    assert [rule["kind"] for rule in told["constraints"]] == [
        "Repetition", "NoRepeat", "MinTokens", "ForcedFirst"]


def test_an_encoder_decoder_answers_line_by_line(checkpoint, capsys, tmp_path):
    loaded = checkpoint(pair, Rewriting())
    (tmp_path / "sources").write_text("ab\nlonger\n", encoding="utf-8")
    _, printed = run(capsys, f"--prompts={tmp_path / 'sources'}", "--tokens=6")
    lines = printed.split("\n")[:-1]
    assert len(lines) == 2
    from transformer.generation.generate import generate

    special = loaded.tokenizer.special
    source = [*loaded.tokenizer.encode("ab"), special["eos"]]  # as the task frames it in training
    made = generate(loaded.model, loaded.decoding_params, tokens=6, stop=special["eos"],
                    batch={"tokens": np.array([[special["bos"]]]), "source_tokens": [source]})
    assert loaded.tokenizer.decode(made["tokens"][0]).replace("\n", " ").strip() == lines[0]


@pytest.mark.parametrize(("objective", "opening"), [
    (SpanCorruption(vocab=400), []), (PrefixLM(), []), (Denoising(), ["bos"])])
def test_a_source_has_the_pieces_of_those_it_was_trained_on(checkpoint, objective, opening):
    """An encoder's row of training, from running text, and the same text as a prompt."""
    from transformer.verbs.prompts import prompt_of

    loaded = checkpoint(pair)
    loaded.experiment.objective = objective
    ids, special = loaded.tokenizer.encode("a text to read"), loaded.tokenizer.special
    row = {"tokens": np.array([special["cls"], *ids]), "segments": np.ones(len(ids) + 1, int)}
    made = objective.prepare(row, np.random.default_rng(0), loaded.tokenizer)
    trained = made["source_tokens"][made["source_segments"] > 0]
    source = prompt_of(loaded, "a text to read", "prompt 1").source
    assert source == [*(special[name] for name in opening), *ids, special["eos"]]
    ends = [special[name] for name in ("bos", "eos", "cls")]
    assert [n for n in trained if n in ends] == [n for n in source if n in ends]
    assert (trained[0] == source[0]) and (trained[-1] == source[-1])


def test_a_decoder_trained_to_rewrite_gets_its_special_pieces(checkpoint):
    from transformer.verbs.prompts import prompt_of

    loaded = checkpoint(decoder, Rewriting(layout=Together()))
    special = loaded.tokenizer.special
    prompt = prompt_of(loaded, "ab", "prompt 1")
    assert prompt.shown == "" and prompt.source is None
    want = [special["start"], *loaded.tokenizer.encode("ab"), special["delimiter"]]
    assert prompt.tokens == want


@pytest.mark.parametrize(("task", "opening", "piece"), [
    (None, "bos", "bos"), (LanguageModelling(), "bos", "bos"),
    (LanguageModelling(first="cls"), None, "cls")])
def test_plain_text_begins_with_what_its_training_rows_began_with(checkpoint, task, opening, piece):
    from transformer.verbs.prompts import continuation, prompt_of

    loaded = checkpoint(decoder, task)
    loaded.experiment.rows = Packed(length=48, opening=opening)
    encode, special = loaded.tokenizer.encode, loaded.tokenizer.special
    prompt = prompt_of(loaded, "ab", "prompt 1")
    assert prompt.tokens == [special[piece], *encode("ab")] and prompt.shown == "ab"
    assert continuation(loaded, prompt, encode(" cd")) == " cd"


def test_new_tokens_fill_the_context_by_default(checkpoint, capsys, tmp_path):
    checkpoint(decoder).tokenizer.special.pop("eos")  # nothing stops it
    out = tmp_path / "out.json"
    run(capsys, "--prompt=" + "x" * 40, f"--json={out}")
    assert len(json.loads(out.read_text())["samples"][0]["tokens"]) == 8


@pytest.mark.parametrize("arguments,message", [
    (["--prompt="], "prompt 1 is empty"),
    (["--prompt=" + "x" * 48], "longer than the context: it has 48 tokens"),
    (["--prompt=ab", "--tokens=47"], "at most 46 new"),
    (["--prompt=ab", "--tokens=0"], "at least 1"),
    (["--prompt=ab", "--top-p=2"], "top_p"),
    (["--prompt=ab", "--temperature=0", "--top-p=2"], "top_p"),
    (["--prompt=ab", "--temperature=-1"], "temperature"),
    (["--prompt=ab", "--samples=0"], "--samples"),
    (["--prompt=ab", "--seed=99999999999999999999"], "--seed"),
    (["--prompt=ab", "--samples=2", "--stream"], "--stream"),
    (["--prompts=missing.txt"], "missing.txt"),
    (["--prompt=ab", "--beams=2", "--stream"], "--stream .* --beams"),
    (["--prompt=ab", "--beams=2", "--top-k=3"], "--beams searches and --top-k draws"),
    (["--prompt=ab", "--beams=2", "--samples=3"], "3 answers are asked of 2 beams"),
    (["--prompt=ab", "--beams=0"], "Beam.width is 0"),
    (["--prompt=ab", "--length-penalty=2"], "--length-penalty is about beam search"),
    (["--prompt=ab", "--temperature=0", "--samples=2"], "greedy gives one answer"),
    (["--prompt=ab", "--forced-bos=9999"], "forced bos: there is no token 9999"),
    (["--prompt=ab", "--eos-token-id=99999999999"], "eos: there is no token 99999999999"),
    (["--prompt=ab", "--pad-token-id=-1"], "pad: there is no token -1"),
    (["--prompt=ab", "--decoder-start-token-id=99999"], "start: there is no token 99999"),
    (["--prompt=ab", "--repetition-penalty=0"], "repetition penalty is 0.0"),
    (["--prompt=ab", "--outputs=x.npz"], "--inputs and --outputs belong together"),
    (["--inputs=missing.npz", "--outputs=x.npz"], "missing.npz: there is no such file"),
])
def test_mistakes_are_named(checkpoint, arguments, message):
    checkpoint(decoder)
    with pytest.raises(UserError, match=message):
        command(["anywhere", *arguments])


@pytest.mark.parametrize("stored", [{"do_sample": True, "num_return_sequences": 3},
                                    {"num_beams": 4}])
def test_a_stream_of_several_is_refused_whoever_asks_for_them(checkpoint, tmp_path, stored):
    checkpoint(decoder).path = tmp_path
    (tmp_path / "generation_config.json").write_text(json.dumps(stored))
    with pytest.raises(UserError, match="--stream shows .* (--samples=1|--beams=1)"):
        command(["anywhere", "--prompt=ab", "--stream"])


def test_a_model_without_next_tokens_is_refused(checkpoint):
    loaded = checkpoint(decoder)
    loaded.model = SimpleNamespace(spec=SimpleNamespace(heads=(("mlm", None), ("nsp", None))))
    with pytest.raises(UserError, match="mlm, nsp"):
        command(["anywhere", "--prompt=a"])


@pytest.mark.parametrize("arguments", [[], ["anywhere"], ["anywhere", "--prompt=a", "--prompts=b"],
                                       ["anywhere", "--prompt=a", "--seed=x"]])
def test_mistyped_commands_exit_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        command(arguments)
    assert stopped.value.code == 2 and "usage" in capsys.readouterr().err


def test_help_names_types_and_defaults(capsys):
    with pytest.raises(SystemExit):
        command(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    for word in ("int (default: 0)", "(default: 1)", "float in (0, 1]", "UTF-8", "nats"):
        assert word in told
