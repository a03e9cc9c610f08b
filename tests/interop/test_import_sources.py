"""What a checkpoint can be imported from besides one plain file, and what can be done with it."""

import json

import numpy as np
import pytest
from flax import serialization

from transformer.__main__ import command
from transformer.data.no_text import NoText
from transformer.error import UserError, guarded
from transformer.interop import stablehlo
from transformer.interop.folder import FLAX, WEIGHTS, Folder
from transformer.interop.importing import bring, read
from transformer.interop.tokenizer import tokenizer_in
from transformer.loaded import load
from transformer.training import paths


def flax_tree(folder):
    """The tensors of a directory as the deleted Flax classes kept them."""
    there, flat = Folder(folder).tensors(), {}
    for name in there.names:
        *path, last = name.split(".")
        array, table = there.read(name), any(
            word in path[-1] for word in ("embed", "wte", "wpe", "shared", "relative_attention"))
        norm = any(word in path[-1].lower() for word in ("norm", "ln_"))
        word = {"weight": "embedding" if table else "scale" if norm else "kernel"}.get(last, last)
        flat["/".join((*path, word))] = array.T if word == "kernel" else array
    return paths.nested(flat)


@pytest.mark.parametrize(("model_type", "name"), [
    ("gpt2", "GPT2LMHeadModel"), ("bert", "BertForPreTraining"),
    ("t5", "T5ForConditionalGeneration"), ("bart", "BartForConditionalGeneration")])
def test_flax_weights_are_the_same_model(model_type, name, hugging_face):
    made = hugging_face(model_type, name)
    tree = flax_tree(made.path)
    if model_type == "t5":  # its norm kept PyTorch's word
        assert "scale" in tree["encoder"]["final_layer_norm"]
    (made.path / FLAX).write_bytes(serialization.msgpack_serialize(tree))
    (made.path / WEIGHTS).unlink()
    found = read(Folder(made.path))
    assert found.params.keys() == made.params.keys()
    assert all(np.array_equal(found.params[path], made.params[path]) for path in made.params)


@pytest.mark.parametrize("data", [b"", b"\x80\x04", b"\xc1", b"\x81\xa1a\xc0",
                                  serialization.msgpack_serialize({"a\0b": np.ones(2)})])
def test_what_is_no_msgpack_is_refused(data, hugging_face):
    made = hugging_face("gpt2", "GPT2LMHeadModel")
    (made.path / WEIGHTS).unlink()
    (made.path / FLAX).write_bytes(data)
    with pytest.raises(UserError, match="is no flax_model.msgpack|lacks transformer"):
        read(Folder(made.path))


def test_word_pieces_from_vocab_txt(tmp_path):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hel", "##lo", "wor", "##ld", "!"]
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n")
    tokenizer = tokenizer_in(Folder(tmp_path), 10)
    assert tokenizer.encode("Héllo world!") == [5, 6, 7, 8, 9]
    assert tokenizer.special == {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert tokenizer_in(Folder(tmp_path), 10).encode("Hello world") == [1, 7, 8]


def test_byte_pairs_from_vocab_and_merges(tmp_path):
    words = ["l", "o", "w", "Ġ", "lo", "low", "Ġlow", "<|endoftext|>"]
    (tmp_path / "vocab.json").write_text(json.dumps({w: n for n, w in enumerate(words)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\nl o\nlo w\nĠ low\n")
    tokenizer = tokenizer_in(Folder(tmp_path), 8)
    assert tokenizer.encode("low low") == [5, 6] and tokenizer.decode([5, 6]) == "low low"
    assert tokenizer.special["eos"] == 7
    (tmp_path / "merges.txt").write_text("#version: 0.2\nl o\nlo w</w>\n")  # GPT-1's
    (tmp_path / "vocab.json").write_text(json.dumps(
        {w: n for n, w in enumerate(["l", "o", "w</w>", "lo", "low</w>", "<unk>"])}))
    assert tokenizer_in(Folder(tmp_path), 6).encode("Low low") == [4, 4]


def test_sentence_pieces_from_a_model(tmp_path):
    from transformer.data.pieces import MODEL_FILE, Pieces

    ours = Pieces(vocab=300, byte_fallback=True).train(["a tale of two towns " * 20])
    (tmp_path / "spiece.model").write_bytes(ours.content[MODEL_FILE])
    assert tokenizer_in(Folder(tmp_path), 300).size == 300


@pytest.fixture(scope="module")
def pieces():
    """The bytes of a SentencePiece model: pad 0, unk 1, bos 2, eos 3."""
    from transformer.data.pieces import MODEL_FILE, Pieces

    return Pieces(vocab=300).train(["a tale of two towns " * 20]).content[MODEL_FILE]


@pytest.mark.parametrize(("model_type", "name", "start", "piece"), [
    ("bart", "BartForConditionalGeneration", 3, "eos"), ("bart", "BartModel", 2, "bos"),
    ("t5", "T5ForConditionalGeneration", 0, "pad"), ("marian", "MarianMTModel", 0, "pad"),
    ("t5", "T5Model", 77, "pad")])
def test_a_decoder_begins_from_what_its_config_says(model_type, name, start, piece, pieces,
                                                    hugging_face, tmp_path):
    made = hugging_face(model_type, name, vocab_size=300, decoder_start_token_id=start)
    (made.path / "spiece.model").write_bytes(pieces)
    bring(made.path, tmp_path / "ours")
    loaded = load(tmp_path / "ours")
    assert loaded.experiment.objective.start == piece
    assert stablehlo._start(loaded) == start  # and as an id, whatever it is called


def test_without_a_tokenizer_ids_are_all_there_is(tmp_path):
    tokenizer = tokenizer_in(Folder(tmp_path), 61)
    assert tokenizer.size == 61 and tokenizer.spec == NoText(size=61)
    for door in (lambda: tokenizer.encode("text"), lambda: tokenizer.decode([1])):
        with pytest.raises(UserError, match="imported without a tokenizer"):
            door()


@pytest.fixture
def imported(hugging_face, tmp_path):
    """A GPT-2 with a tokenizer, as a checkpoint."""
    made = hugging_face("gpt2", "GPT2LMHeadModel")
    words = [*"abcdefghijklmnopqrstuvwxyz .", "Ġ", "Ċ", "<|endoftext|>"]
    (made.path / "vocab.json").write_text(json.dumps({w: n for n, w in enumerate(words)}))
    (made.path / "merges.txt").write_text("#version: 0.2\n")
    bring(made.path, tmp_path / "ours")
    return made, tmp_path / "ours"


def test_every_program_reads_it(imported, tmp_path, capsys):
    made, step = imported
    assert command(["generate", str(step), "--prompt=once", "--tokens=3"]) == 0
    (tmp_path / "lines.txt").write_text("a line\nanother\n")
    assert command(["embed", str(step), "--inputs", str(tmp_path / "lines.txt"),
                    "--outputs", str(tmp_path / "v.npy")]) == 0
    assert np.load(tmp_path / "v.npy").shape == (2, 30)
    import evaluate

    (tmp_path / "text.txt").write_text("a line of text.\n\nanother line.\n" * 4)
    assert evaluate.main([str(step), "--data", str(tmp_path / "text.txt"), "--batch=2"]) == 0
    assert "perplexity" in capsys.readouterr().out


def test_a_run_starts_from_it(imported):
    from transformer.wiring import transfer

    made, step = imported
    fresh = paths.named(load(step).params)
    params, left = transfer(paths.nested({p: a * 0 for p, a in fresh.items()}), step)
    assert left == [] and all(np.array_equal(paths.named(params)[p], fresh[p]) for p in fresh)


@pytest.mark.parametrize("name", ["GPT2LMHeadModel", "GPT2Model"])
def test_a_table_is_learnt_from_it(name, imported, tmp_path):
    """Its tokenizer has no piece for tasks, so a text stands between its only one; a model that
    predicts no token learns the class alone."""
    from transformer.training.config import stages

    made, step = imported
    if name == "GPT2Model":
        tree = json.loads((made.path / "config.json").read_text())
        (made.path / "config.json").write_text(json.dumps({**tree, "architectures": [name]}))
        bring(made.path, step.with_name("bare"))
        step = step.with_name("bare")
    (tmp_path / "train.csv").write_text("text,label\n" + "a b,x\nb,y\n" * 20)
    argument = f"train={tmp_path}/train.csv,start={step},classes=(x,y),batch=4"
    told, = stages(f"configs/finetune/table.py:{argument}", []).values()
    tokenizer = load(step).tokenizer
    row = told.task.example({"text": "abc", "label": "y"}, tokenizer, 8)
    eos = tokenizer.special["eos"]
    assert row["tokens"].tolist() == [eos, *tokenizer.encode("abc"), eos] and row["pooled"] == 4
    assert (told.objective.auxiliary > 0) == (name == "GPT2LMHeadModel")


def arrays(tmp_path, **given):
    np.savez(tmp_path / "in.npz", **given)
    return ["--inputs", str(tmp_path / "in.npz"), "--outputs", str(tmp_path / "out")]


IDS = np.arange(6).reshape(2, 3)


def test_logits_go_from_file_to_file(imported, tmp_path):
    made, step = imported
    mask = np.array([[1, 1, 0], [0, 1, 1]])
    files = arrays(tmp_path, input_ids=IDS, attention_mask=mask)
    assert command(["logits", str(step), *files]) == 0
    with np.load(tmp_path / "out") as out:
        assert {n: (a.dtype, a.shape) for n, a in out.items()} == {
            "logits": (np.float32, (2, 3, 61)), "last_hidden_state": (np.float32, (2, 3, 30))}
        padded = out["logits"]
    other = np.where(mask > 0, IDS, 50)  # whatever stands under the padding
    assert command(["logits", str(step), *arrays(tmp_path, input_ids=other,
                                                 attention_mask=mask)]) == 0
    with np.load(tmp_path / "out") as out:
        np.testing.assert_allclose(out["logits"][mask > 0], padded[mask > 0], atol=1e-6)


@pytest.mark.parametrize(("given", "words"), [
    (dict(input_ids=IDS + 56), "input_ids holds 61, which lies outside the vocabulary (0 to 60)"),
    (dict(input_ids=IDS - 1), "holds -1"), (dict(ids=IDS), "there is no input 'ids'"),
    (dict(attention_mask=IDS), "there is no input_ids"),
    (dict(input_ids=IDS * 1.0), "must be of whole numbers"),
    (dict(input_ids=IDS[0]), "[batch, length]"),
    (dict(input_ids=IDS, attention_mask=IDS), "outside 0 and 1"),
    (dict(input_ids=IDS, attention_mask=IDS[:, :2]), "attention_mask is [2, 2]"),
    (dict(input_ids=IDS, token_type_ids=IDS), "does not read token_type_ids"),
    (dict(input_ids=IDS, decoder_input_ids=IDS), "does not read decoder_input_ids"),
    (dict(input_ids=IDS, position_ids=IDS + 20), "outside the model's positions (0 to 22)"),
    (dict(input_ids=np.zeros((1, 24), int)), "the model has positions for 23"),
])
def test_inputs_that_cannot_be_read(given, words, imported, tmp_path, capsys):
    _, step = imported
    assert guarded(command, ["logits", str(step), *arrays(tmp_path, **given)]) == 2
    line = capsys.readouterr().err
    assert words in line and line.count("\n") == 1
    assert not list(tmp_path.glob("out*"))
