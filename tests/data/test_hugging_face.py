"""Tokenizers of the library `tokenizers`: special pieces found, kept out of text, offsets."""

import json

import pytest

from transformer.data.hugging_face import HuggingFace
from transformer.data.tokenizer import load_tokenizer
from transformer.error import UserError

tokenizers = pytest.importorskip("tokenizers")
TEXT = ["the old boat went out to sea", "the sea was old, and the boat!", "mask pad x"] * 20


def byte_level():
    from tokenizers import decoders, models, pre_tokenizers, trainers

    model = tokenizers.Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<mask>", "<extra_id_0>", "<extra_id_1>", "<weird>"]
    model.train_from_iterator(TEXT, trainers.BpeTrainer(
        vocab_size=330, special_tokens=special, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    model.enable_truncation(5)
    model.enable_padding(length=12, pad_id=40, pad_token="t")
    return model


def word_piece():
    from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

    model = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    model.normalizer = normalizers.BertNormalizer()
    model.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    model.decoder = decoders.WordPiece()
    model.train_from_iterator(TEXT, trainers.WordPieceTrainer(
        vocab_size=120, show_progress=False,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    model.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return model


def unigram():
    from tokenizers import decoders, models, pre_tokenizers

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0), ("\u2581sea", -3.0)]
    pieces += [(letter, -4.0) for letter in "aeost"]
    model = tokenizers.Tokenizer(models.Unigram(pieces, unk_id=2))
    model.pre_tokenizer = pre_tokenizers.Metaspace()
    model.decoder = decoders.Metaspace()
    model.add_special_tokens(["<pad>", "</s>", "<unk>"])
    return model


@pytest.fixture(params=[byte_level, word_piece, unigram])
def stored(request, tmp_path):
    request.param().save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def from_model(model, tmp_path):
    model.save(str(tmp_path / "tokenizer.json"))
    return HuggingFace(path=str(tmp_path / "tokenizer.json")).train()


def test_special_pieces_get_our_names(tmp_path):
    special = from_model(byte_level(), tmp_path).special
    assert special == {"bos": 0, "pad": 1, "eos": 2, "mask": 3, "extra_0": 4, "extra_1": 5}
    special = from_model(word_piece(), tmp_path).special
    assert special == {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}


def test_the_configuration_beside_it_names_them_first(tmp_path):
    roles = {"cls_token": "<s>", "sep_token": {"content": "</s>"}, "mask_token": "<weird>",
             "unk_token": "<nowhere>", "pad_token": None}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(roles))
    tokenizer = from_model(byte_level(), tmp_path)
    special = {name: tokenizer.special[name] for name in ("cls", "sep", "mask", "pad", "bos")}
    assert special == {"cls": 0, "sep": 2, "mask": 6, "pad": 1, "bos": 0}
    assert "unk" not in tokenizer.special


def test_special_pieces_in_text_stay_text(stored):
    tokenizer = HuggingFace(path=str(stored)).train()
    text = "a <mask><s> </s> <weird> [MASK] [CLS]<pad> sea"
    ids = tokenizer.encode(text)
    kept_out = {tokenizer._model.token_to_id(t) for t in
                ("<mask>", "<s>", "</s>", "<weird>", "[MASK]", "[CLS]", "<pad>")}
    assert ids and kept_out.isdisjoint(ids)
    assert tokenizer.spans(text)[0] == ids == tokenizer.encode_batch(["", text])[1]


def test_nothing_is_added_cut_or_padded(stored):
    tokenizer = HuggingFace(path=str(stored)).train()
    text = "the sea " * 30
    assert len(tokenizer.encode(text)) >= 60
    assert tokenizer.encode("") == []
    added = set(tokenizer.special.values()) - {tokenizer.special.get("unk")}
    assert added.isdisjoint(tokenizer.encode(text))
    assert tokenizer.encode_batch(["sea", text])[0] == tokenizer.encode("sea")


def test_byte_level_text_comes_back(tmp_path):
    tokenizer = from_model(byte_level(), tmp_path)
    for text in ["", "  a  b ", "\n\r\n\t", "é😀日本", "<s> <mask>", "\0", "\u2581"]:
        ids = tokenizer.encode(text)
        assert tokenizer.decode([0, *ids, 6, 2]) == text  # special pieces without a name vanish too


def test_spans_are_characters(tmp_path):
    tokenizer = from_model(byte_level(), tmp_path)
    ids, spans = tokenizer.spans("sea 😀!")
    assert ids == tokenizer.encode("sea 😀!")
    assert spans[0][0] == 0 and spans[-1] == (5, 6)
    assert spans[-2] == (4, 5) and spans.count((4, 5)) >= 3


def test_words_start_as_each_kind_marks_them(tmp_path):
    for model, text, first in (
            (byte_level(), "the sea,\nx", {0: False, 3: True, 7: True, 8: True}),
            (word_piece(), "boats sea, x", {0: True, 4: False, 6: True, 9: True}),
            (unigram(), "sea toes", {0: True, 3: True, 5: False})):
        tokenizer = from_model(model, tmp_path)
        starts = tokenizer.word_starts()
        assert starts.shape == (tokenizer.size,)
        assert all(starts[n] for n in tokenizer.special.values())
        ids, spans = tokenizer.spans(text)
        found = {span[0]: bool(starts[n]) for n, span in zip(reversed(ids), reversed(spans))}
        assert {at: found[at] for at in first} == first


def test_words_marked_at_their_end_start_anywhere(tmp_path):
    from tokenizers import models

    model = tokenizers.Tokenizer(models.BPE({"a": 0, "a</w>": 1}, [], end_of_word_suffix="</w>"))
    assert from_model(model, tmp_path).word_starts().all()


def test_stored_it_needs_the_first_file_no_more(stored, tmp_path):
    tokenizer = HuggingFace(path=str(stored)).train()
    tokenizer.save(tmp_path / "kept")
    (stored / "tokenizer.json").unlink()
    copy = load_tokenizer(tmp_path / "kept")
    assert copy == tokenizer and copy.special == tokenizer.special
    assert copy.encode_batch(TEXT) == tokenizer.encode_batch(TEXT)
    assert str(tmp_path) not in (tmp_path / "kept" / "spec.json").read_text()


def test_what_is_no_tokenizer_is_refused(tmp_path):
    with pytest.raises(UserError, match="tokenizer.json"):
        HuggingFace(path=str(tmp_path)).train()
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="is not a tokenizer.json"):
        HuggingFace(path=str(tmp_path)).train()


def test_half_a_surrogate_pair_is_refused(stored):
    with pytest.raises(UserError, match="character 1 of a text"):
        HuggingFace(path=str(stored)).train().encode("a\udfff")


def test_an_id_outside_the_vocabulary_is_refused(stored):
    tokenizer = HuggingFace(path=str(stored)).train()
    with pytest.raises(UserError, match="outside the vocabulary"):
        tokenizer.decode([tokenizer.size])
