"""In and out again: the same bytes, nothing half-written, nothing changed that was only read."""

import hashlib
import json
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest

from transformer.__main__ import command
from transformer.error import UserError, guarded
from transformer.interop import exporting, original, weights
from transformer.interop.family import Unsupported
from transformer.interop.folder import WEIGHTS, Folder
from transformer.interop.importing import bring, read
from transformer.interop.proof import Disproved
from transformer.loaded import load
from transformer.training import paths
from transformer.zoo.bart import bart
from transformer.zoo.bert import bert
from transformer.zoo.gpt2 import gpt2
from transformer.zoo.gpt3 import gpt3
from transformer.zoo.palm import palm
from transformer.zoo.t5 import t5


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """The comparison with torch has tests of its own."""
    monkeypatch.setattr(original, "missing", lambda: ["torch"])


def digest(folder):
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*") if path.is_file()}


def send(step, target):
    return exporting.send(load(step, stored=True), target)


@pytest.mark.parametrize(("model_type", "name", "dtype"), [
    ("gpt2", "GPT2DoubleHeadsModel", np.float16), ("albert", "AlbertForPreTraining", np.float32),
    ("t5", "T5ForSequenceClassification", ml_dtypes.bfloat16),
    ("gpt_neox", "GPTNeoXForCausalLM", np.float32),
])
def test_in_and_out_again_are_the_same_bytes(model_type, name, dtype, hugging_face, tmp_path):
    made = hugging_face(model_type, name, dtype)
    (made.path / "generation_config.json").write_text('{"eos_token_id": 2}')
    before = digest(made.path)
    assert command(["import", str(made.path), str(tmp_path / "ours")]) == 0
    assert digest(made.path) == before  # it is only read
    loaded = load(tmp_path / "ours")
    assert loaded.model.spec == made.spec
    here = paths.named(loaded.params)
    assert all(np.array_equal(here[path], np.float32(made.params[path])) for path in made.params)
    assert json.loads((tmp_path / "ours" / "generation_config.json").read_text()) == {
        "eos_token_id": 2}

    assert command(["export", str(tmp_path / "ours"), str(tmp_path / "again")]) == 0
    after = digest(tmp_path / "again")
    assert after[WEIGHTS] == before[WEIGHTS]
    tree = json.loads((tmp_path / "again" / "config.json").read_text())
    assert {name: tree[name] for name in made.tree} == made.tree
    report = json.loads((tmp_path / "again" / "parity.json").read_text())
    assert report["bit_exact"] and report["tensors"] == len(Folder(made.path).tensors().names)
    for kinds in report["outputs"].values():
        assert set(kinds) == {"ragged", "padded", "packed"}
        assert all(one == {"largest_difference": 0.0, "argmax_agreement": 1.0}
                   for one in kinds.values())
    assert report["original"] == {"ran": False, "why": "not run: torch not installed"}
    assert {"README.md", "generation_config.json"} <= after.keys()
    assert command(["verify", str(tmp_path / "ours")]) == 0


def test_shards_are_read_and_written(hugging_face, tmp_path, monkeypatch):
    made = hugging_face("bert", "BertForMaskedLM", shard=20_000)
    assert not (made.path / WEIGHTS).exists() and len(list(made.path.glob("model-0*"))) > 2
    bring(made.path, tmp_path / "ours")
    monkeypatch.setattr(weights.write, "__defaults__", (20_000,))
    send(tmp_path / "ours", tmp_path / "again")
    assert {n: d for n, d in digest(tmp_path / "again").items() if n.startswith("model")} == {
        n: d for n, d in digest(made.path).items() if n.startswith("model")}


@pytest.mark.parametrize("make", [gpt2, bart])
def test_a_padded_vocabulary_is_cut_back(make, checkpoint, tmp_path):
    from transformer.data.vocabulary import Bytes

    tokenizer = Bytes().train()
    spec = make(width=24, depth=2, heads=2, vocab=384, length=32)
    report = send(checkpoint(spec, tokenizer), tmp_path / "theirs")
    assert report["vocabulary"] == {"model": 384, "written": tokenizer.size}
    found = read(Folder(tmp_path / "theirs"))
    assert found.spec.embedding.vocab == tokenizer.size
    whole = load(tmp_path / "step").params["embedding"]["tokens"]
    assert np.array_equal(found.params["embedding/tokens"], whole[:tokenizer.size])


@pytest.mark.parametrize(("make", "start"), [(bart, "eos"), (t5, "pad")])
def test_answers_begin_there_as_here(make, start, checkpoint, tmp_path):
    """BART answers from the end token, T5 from padding, and only the configs can say so."""
    from transformer.data.vocabulary import Bytes

    tokenizer = Bytes().train()
    sizes = dict(width=24, depth=1, heads=2, hidden=32, vocab=tokenizer.size)
    step = checkpoint(make(**sizes), tokenizer, start=start)
    send(step, tmp_path / "theirs")
    for name in ("config.json", "generation_config.json"):
        tree = json.loads((tmp_path / "theirs" / name).read_text())
        assert tree["decoder_start_token_id"] == tokenizer.special[start]
    bring(tmp_path / "theirs", tmp_path / "again")
    np.savez(tmp_path / "in.npz", input_ids=np.arange(40, 52).reshape(2, 6))
    found = []
    for each in (step, tmp_path / "again"):
        assert command(["generate", str(each), "--inputs", str(tmp_path / "in.npz"), "--outputs",
                        str(tmp_path / "out.npz"), "--tokens=6"]) == 0
        found.append(np.load(tmp_path / "out.npz")["sequences"])
    assert (found[0][:, 0] == tokenizer.special[start]).all()
    assert np.array_equal(*found)


def test_what_no_output_needs_is_left_out(checkpoint, tmp_path):
    spec = bert(width=24, depth=2, heads=2, vocab=61, length=32, outputs=bert("nano").heads[:1])
    report = send(checkpoint(spec), tmp_path / "theirs")
    assert report["architecture"] == "BertForMaskedLM"
    assert report["notes"] == ["the pooler, which no head reads, is left out"]
    assert not any("pooler" in name for name in Folder(tmp_path / "theirs").tensors().names)


@pytest.mark.parametrize(("spec", "reason"), [
    (palm("tiny"), "residual: ParallelNorm -> PreNorm"),
    (gpt3("tiny"), "stack.segments.1.sublayers.attention.reach: Both -> Causal"),
    (gpt2(width=24, depth=1, heads=2, vocab=61, length=32, bias=False),
     "sublayers.attention.bias: False -> True"),
])
def test_what_has_no_counterpart_is_refused(spec, reason, checkpoint, tmp_path, capsys):
    step = checkpoint(spec)
    assert guarded(command, ["export", str(step), str(tmp_path / "theirs")]) == 3
    line = capsys.readouterr().err
    assert reason in line and "--format=stablehlo" in line and line.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step"]


def test_a_fault_in_the_export_leaves_nothing(checkpoint, tmp_path, monkeypatch):
    step = checkpoint(gpt2(width=24, depth=2, heads=2, vocab=61, length=32))
    right = weights.tensor

    def swapped(row, params, n):
        return right(row, params, 1 - n if row.layers else n)

    monkeypatch.setattr(weights, "tensor", swapped)
    with pytest.raises(Disproved, match="reads back otherwise") as raised:
        send(step, tmp_path / "theirs")
    assert raised.value.status == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step"]


def test_a_config_that_says_something_else_leaves_nothing(checkpoint, tmp_path, monkeypatch):
    step = checkpoint(gpt2(width=24, depth=2, heads=2, vocab=61, length=32))
    write = exporting._write

    def lied(path, tree):
        write(path, {**tree, "layer_norm_epsilon": 0.1} if path.name == "config.json" else tree)

    monkeypatch.setattr(exporting, "_write", lied)
    with pytest.raises(Disproved, match="(logits|hidden) differs by .* on ragged"):
        send(step, tmp_path / "theirs")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step"]


@pytest.mark.parametrize(("code", "said", "status"), [
    (original.ABSENT, "transformers 4.0.0 has no GPT2LMHeadModel", 0),
    (1, "RuntimeError: mat1 and mat2", 1)])
def test_the_original_may_lack_the_class_but_must_not_fail(
        code, said, status, checkpoint, tmp_path, monkeypatch, capsys):
    step = checkpoint(gpt2(width=24, depth=1, heads=2, vocab=61, length=32))
    monkeypatch.setattr(original, "missing", lambda: [])
    monkeypatch.setattr(original.subprocess, "run", lambda words, **how: SimpleNamespace(
        returncode=code, stderr=f"a warning\n{said}\n"))
    assert guarded(command, ["export", str(step), str(tmp_path / "theirs")]) == status
    out = capsys.readouterr()
    if status:
        assert f"transformers cannot run the export, so it is not kept: {said}" in out.err
        assert out.err.count("\n") == 1 and not (tmp_path / "theirs").exists()
        return
    report = json.loads((tmp_path / "theirs" / "parity.json").read_text())
    assert report["original"] == {"ran": False, "why": f"not run: {said}"} and said in out.out


def test_a_diverged_run_is_not_exported(checkpoint, tmp_path):
    loaded = load(checkpoint(gpt2(width=24, depth=2, heads=2, vocab=61, length=32)), stored=True)
    loaded.params["embedding"]["positions"][3, 3] = np.nan
    with pytest.raises(UserError, match="embedding/positions is not finite"):
        exporting.send(loaded, tmp_path / "theirs")


@pytest.mark.parametrize(("entries", "status", "words"), [
    ({"model_type": "mamba"}, 3, "supported: albert, bart, bert"),
    ({"architectures": ["GPT2ForJokes"]}, 3, "GPT2LMHeadModel, GPT2Model"),
    ({"n_embd": 35}, 2, "wte.weight is [61, 30], but its config.json makes it [61, 35]"),
    ({"n_layer": 4}, 2, "lacks transformer.h.3"),
    ({"n_layer": 2}, 2, "nothing here reads transformer.h.2"),
    ({"n_layer": 10_000}, 2, "lacks transformer.h.3"),
    ({"n_layer": 10**9}, 2, "n_layer is 1000000000, but it must be a whole number from 1 to"),
    ({"n_head": "five"}, 2, "n_head is 'five', but it must be a whole number above 0"),
    ({"n_head": 7}, 2, "does not divide by 7 heads"),
    ({"activation_function": "quick_gelu"}, 2, "activation_function is 'quick_gelu'"),
    ({"scale_attn_by_inverse_layer_idx": True}, 2, "nothing else is supported"),
    ({"vocab_size": 10**20}, 2, "but it must be a whole number above 0, at most 1,073,741,824"),
    ({"n_positions": 10**20}, 2, "n_positions is 10"), ({"model_type": []}, 3, "model_type []"),
    ({"quantization_config": {}}, 2, "quantised"), ({"quantization_config": None}, 0, "GPT2"),
    ({"architectures": []}, 0, "GPT2LMHeadModel"),
    ({"auto_map": {"AutoModel": "evil.py"}}, 0, "GPT2LMHeadModel"),
])
def test_mistakes_and_what_is_not_supported(entries, status, words, hugging_face, tmp_path, capsys):
    made = hugging_face("gpt2", "GPT2LMHeadModel")
    (made.path / "config.json").write_text(json.dumps(made.tree | entries))
    (made.path / "evil.py").write_text("raise SystemExit('never run')")
    target = tmp_path / "ours"
    assert guarded(command, ["import", str(made.path), str(target)]) == status
    out = capsys.readouterr()
    assert words in (out.err or out.out) and out.err.count("\n") == (status > 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == (
        ["theirs"] if status else ["ours", "theirs"])


def test_what_exists_is_not_overwritten(hugging_face, tmp_path):
    made = hugging_face("gpt2", "GPT2Model")
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "mine").write_text("")
    with pytest.raises(UserError, match="ours exists; remove it, or name another place"):
        bring(made.path, tmp_path / "ours")
    with pytest.raises(UserError, match="there is no folder .*none; make it first"):
        bring(made.path, tmp_path / "none" / "ours")
    with pytest.raises(UserError, match="there is no such directory"):
        bring(tmp_path / "nowhere", tmp_path / "other")


def rewritten(made, change):
    """The directory with other names or tensors in its file."""
    from transformer.interop import safetensors

    there = Folder(made.path).tensors()
    tensors = change({name: there.read(name) for name in there.names})
    about = {name: (array.dtype, array.shape) for name, array in tensors.items()}
    names = list(safetensors.ordered(about))
    safetensors.write(made.path / WEIGHTS, {name: about[name] for name in names},
                      (tensors[name] for name in names))
    return read(Folder(made.path))


def same(found, made):
    return found.params.keys() == made.params.keys() and all(
        np.array_equal(found.params[path], made.params[path]) for path in made.params)


def test_the_spellings_of_older_files(hugging_face):
    def bare(tensors):  # GPT-2 on the hub: no prefix, and buffers
        short = {name.removeprefix("transformer."): a for name, a in tensors.items()}
        return {**short, "h.0.attn.bias": np.ones((1, 1, 4, 4), np.float32)}

    made = hugging_face("gpt2", "GPT2LMHeadModel")
    assert same(rewritten(made, bare), made)


def test_another_class_of_the_family_is_passed_over(hugging_face):
    def pretrained(tensors):  # BERT on the hub: both heads, whatever `architectures` says
        old = {name.replace("LayerNorm.weight", "LayerNorm.gamma")
               .replace("LayerNorm.bias", "LayerNorm.beta"): a for name, a in tensors.items()}
        return {**old, "bert.pooler.dense.weight": np.ones((30, 30), np.float32),
                "cls.seq_relationship.bias": np.ones(2, np.float32),
                "bert.embeddings.position_ids": np.ones((1, 23), np.float32)}

    made = hugging_face("bert", "BertForMaskedLM")
    found = rewritten(made, pretrained)
    assert same(found, made)
    assert found.notes == ["BertForMaskedLM does not read bert.pooler.dense.weight, "
                           "cls.seq_relationship.bias"]
    with pytest.raises(UserError, match="nothing here reads bert.extra"):
        rewritten(made, lambda tensors: {**tensors, "bert.extra": np.ones(2, np.float32)})


@pytest.mark.parametrize(("change", "tied"), [
    (lambda table: {"lm_head.weight": table}, True),
    (lambda table: {"lm_head.weight": table + 1}, False),
])
def test_tied_is_what_the_tensors_say(change, tied, hugging_face):
    made = hugging_face("gpt2", "GPT2LMHeadModel")
    table = made.params["embedding/tokens"]
    found = rewritten(made, lambda tensors: {**tensors, **change(table)})
    assert ("heads_logits/unembedding" not in found.params) == tied
    assert np.array_equal(found.params["embedding/tokens"], table)


def test_a_file_may_keep_the_other_of_two_tied_tensors(hugging_face):
    made = hugging_face("openai-gpt", "OpenAIGPTDoubleHeadsModel")
    assert "lm_head.weight" in Folder(made.path).tensors().names  # as their class writes it
    assert same(read(Folder(made.path)), made)
    kept = "transformer.tokens_embed.weight"
    moved = lambda tensors: {kept if n == "lm_head.weight" else n: a for n, a in tensors.items()}
    assert same(rewritten(made, moved), made)


@pytest.mark.parametrize("other", [lambda bias: bias + 1, lambda bias: bias[:, None]])
def test_tied_tensors_that_differ_are_refused(other, hugging_face):
    """The same bytes in another shape are another tensor."""
    made, alias = hugging_face("bert", "BertForMaskedLM"), "cls.predictions.decoder.bias"
    with pytest.raises(UserError, match="decoder.bias and cls.predictions.bias differ"):
        rewritten(made, lambda tensors: {**tensors, alias: other(tensors["cls.predictions.bias"])})


def test_families_are_listed_where_one_is_unknown():
    from transformer.interop.family import of_type

    with pytest.raises(Unsupported, match="albert, bart, .*gpt2, .*, roberta, t5$"):
        of_type("mamba")
