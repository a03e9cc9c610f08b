"""What stands around a text that an imported model reads."""

import json

import pytest
from tiny_tokenizers import STORED, word_piece

from transformer.data.pieces import MODEL_FILE, Pieces
from transformer.interop.family import known
from transformer.interop.importing import bring
from transformer.loaded import load
from transformer.verbs.fill import fill
from transformer.verbs.prompts import prompt_of

SIZE = 320  # ids, at least those of every tokenizer here


@pytest.fixture
def imported(hugging_face, tmp_path):
    """imported(model_type, write) -> the checkpoint of a tiny model; write(folder) a tokenizer."""
    def imported(model_type, write):
        name = next(iter(known()[model_type].architectures))
        made = hugging_face(model_type, name, vocab_size=SIZE)
        write(made.path)
        found = bring(made.path, tmp_path / "ours")
        return load(tmp_path / "ours"), found.notes
    return imported


@pytest.mark.parametrize("name", STORED)
def test_texts_stand_between_the_pieces_of_their_tokenizer(name, imported):
    model_type, write, before, behind = STORED[name]
    loaded, notes = imported(model_type, write)
    ids, special = loaded.tokenizer.encode("the sea"), loaded.tokenizer.special
    assert ids and notes == []
    before, behind = ([special[each] for each in names] for names in (before, behind))
    assert loaded.framed(ids) == [*before, *ids, *behind]
    prompt = prompt_of(loaded, "the sea", "prompt 1")
    if prompt.source is not None:
        assert prompt.source == [*before, *ids, *behind]
    elif model_type in ("gpt2", "llama"):  # what is continued has no end
        assert prompt.tokens == [*before, *ids]


@pytest.mark.parametrize(("model_type", "said", "before", "behind"), [
    ("llama", {}, ["bos"], []), ("gemma", {}, ["bos"], []), ("qwen3", {}, [], []),
    ("llama", {"add_bos_token": False, "add_eos_token": True}, [], ["eos"]),
    ("t5", {}, [], ["eos"]), ("marian", {}, [], ["eos"]), ("bart", {}, ["bos"], ["eos"]),
    ("albert", {}, ["cls"], ["eos"])])
def test_a_sentence_piece_model_says_nothing_so_its_family_does(
        model_type, said, before, behind, imported, pieces):
    def write(folder):
        (folder / "spiece.model").write_bytes(pieces)
        (folder / "tokenizer_config.json").write_text(json.dumps(said))

    loaded, _ = imported(model_type, write)
    special = loaded.tokenizer.special
    assert loaded.framed([70]) == [*(special[n] for n in before), 70, *(special[n] for n in behind)]


@pytest.fixture(scope="module")
def pieces():
    """The bytes of a SentencePiece model."""
    return Pieces(vocab=300).train(["a tale of two towns " * 20]).content[MODEL_FILE]


def test_what_is_not_one_special_piece_is_told(imported):
    def write(folder):
        word_piece(folder)
        tree = json.loads((folder / "tokenizer.json").read_text())
        once, rule = {"Sequence": {"id": "A", "type_id": 0}}, tree["post_processor"]
        twice = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}] * 2
        rule = {"type": "TemplateProcessing", "single": [*twice, once], "pair": [once, once],
                "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]}}}
        (folder / "tokenizer.json").write_text(json.dumps({**tree, "post_processor": rule}))

    loaded, notes = imported("bert", write)
    assert loaded.framed([9]) == [9]
    assert notes == ["texts are read without the ids [2, 2] that its tokenizer puts around them: "
                     "they are not one special piece"]


def test_every_door_frames_as_it_does(imported, tmp_path, monkeypatch):
    """fill, and the rows that evaluation reads."""
    from transformer.data.source import Text
    from transformer.verbs import fill as door
    from transformer.wiring import data_of

    loaded, _ = imported("bert", word_piece)
    text, seen = tmp_path / "text.txt", []
    text.write_text("the old boat went out\nthe sea\n")
    monkeypatch.setenv("TRANSFORMER_CACHE", str(tmp_path))
    rows = data_of(loaded.experiment, Text(path=str(text), documents="line"), loaded.tokenizer).rows
    row = rows.example(0)
    lines = [row["tokens"][row["segments"] == n].tolist() for n in (1, 2)]
    encode = loaded.tokenizer.encode
    assert lines == [[2, *encode(line), 3] for line in ("the old boat went out", "the sea")]

    def batches(rows, limit):
        seen.extend(rows)
        return iter(())

    monkeypatch.setattr(door, "batches", batches)
    fill(loaded, ["the <mask> sea"])
    assert seen == [[2, *encode("the"), 4, *encode("sea"), 3]]
