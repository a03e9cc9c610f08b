"""What every tokenizer promises, for every kind that this project makes."""

import json
import pickle
import random
import subprocess
import sys

import numpy as np
import pytest

from transformer.data.pieces import Pieces
from transformer.data.special import special_pieces
from transformer.data.tokenizer import load_tokenizer
from transformer.data.vocabulary import Bytes, Characters
from transformer.error import UserError

TYPED = "".join(special_pieces(2).values())  # the special pieces, spelled in ordinary text
NASTY = [
    "", " ", "   ", "\n", "\n\n\n", "\t", "\r\n", "a\r\nb\rc\n", " a", "a ", "  a   b  ", "\0",
    "a\0b", TYPED, "<0x41><0x0A>", "a<mask>b <s> x</s>", "\u2581", "\u2581\u2581",
    "a\u2581 \u2581b \u2581",
    "\u2585\u2047 \u2047", "\ufeffa", "\ufffd", "\u2028\u2029\x85\x0b\x0c", "e\u0301é", "ﬁ Ⅳ ①",
    "\u3000全角 空白", "😀👩‍👩‍👧🏽", "שלום עולם", "\U0010ffff\U000e0001", "\ud7ff\ue000", "x" * 5000,
    " " * 5000, "word " * 4000, "\u2581 " * 50 + "tail\n", "\x1b[0m\x7f\x80\x9f\xa0",
]


def babble(lines: int = 1500) -> str:
    """Sentences of invented words, with digits, accents and some Japanese."""
    chance = random.Random(5)
    syllables = [first + second for first in "bdfglmnrst" for second in "aeiouéü"]
    words = ["".join(chance.choices(syllables, k=size)) for size in (1, 2, 2, 3) for _ in range(60)]
    words += ["日本", "語", "12", "<mask>", "  "]
    return "\n".join(" ".join(chance.choices(words, k=9)) + "." for _ in range(lines))


KINDS = {
    "bpe": Pieces(vocab=700),
    "unigram": Pieces(vocab=700, model="unigram", sentinels=2),
    "digits": Pieces(vocab=700, split_digits=True, sample=5000, character_coverage=0.99),
    "bytes": Bytes(),
    "characters": Characters(sentinels=2),
}


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request):
    return KINDS[request.param].train([babble(), "", "tail"])


def strings(number: int) -> list[str]:
    """Random text: plain, spaced, bits of special pieces, and any code points but surrogates."""
    chance, made = random.Random(11), []
    any_character = [c for c in map(chr, chance.choices(range(0x110000), k=4000))
                     if not 0xD800 <= ord(c) < 0xE000]
    bits = ["<s>", "<pad>", "\u2581", " ", "  ", "\n", "\r", "\t", "\0", "ba", "lo", "<", ">", "日"]
    for _ in range(number):
        pool = chance.choice([any_character, bits, bits + any_character[:20]])
        made.append("".join(chance.choices(pool, k=chance.randrange(40))))
    return made


def test_every_text_comes_back_and_never_as_a_special_piece(tokenizer):
    texts = NASTY + strings(1500) + [babble(40)]
    special = set(tokenizer.special.values())
    for text, ids in zip(texts, tokenizer.encode_batch(texts), strict=True):
        assert tokenizer.decode(ids) == text
        assert special.isdisjoint(ids)
        assert all(0 <= n < tokenizer.size for n in ids)


def test_one_text_and_a_batch_agree(tokenizer):
    texts = NASTY + strings(200)
    assert tokenizer.encode_batch(texts) == [tokenizer.encode(text) for text in texts]
    assert tokenizer.encode_batch([]) == []


def test_special_pieces_have_the_first_ids_in_their_order(tokenizer):
    names = ["pad", "unk", "bos", "eos", "mask", "cls", "sep", "start", "delimiter", "extract"]
    names += [f"extra_{n}" for n in range(tokenizer.spec.sentinels)]
    assert tokenizer.special == {name: n for n, name in enumerate(names)}
    spelled = special_pieces(tokenizer.spec.sentinels)
    assert {name: tokenizer.piece(n) for name, n in tokenizer.special.items()} == spelled
    assert tokenizer.decode(range(len(names))) == ""


def test_spans_cover_the_text_in_order(tokenizer):
    for text in NASTY + strings(300):
        ids, spans = tokenizer.spans(text)
        assert ids == tokenizer.encode(text)
        assert len(spans) == len(ids)
        covered = 0
        for (first, last), before in zip(spans, [(0, 0), *spans]):
            assert first < last and (first == covered or (first, last) == before)
            covered = last
        assert covered == len(text)


def test_spans_of_a_split_character_are_that_character(tokenizer):
    ids, spans = tokenizer.spans("a😀b")
    assert spans == [(0, 1), *[(1, 2)] * 4, (2, 3)]
    assert [tokenizer.decode([ids[0]]), tokenizer.decode(ids[1:5])] == ["a", "😀"]


def test_words_start_at_spaces_marks_and_special_pieces(tokenizer):
    starts = tokenizer.word_starts()
    assert starts.dtype == bool and starts.shape == (tokenizer.size,)
    assert all(starts[n] for n in tokenizer.special.values())
    ids, spans = tokenizer.spans("baba lolo, mi(\nru")
    first = {spans[at][0] for at, n in enumerate(ids) if starts[n]}
    assert {4, 9, 10, 13, 14} <= first  # the spaces, the marks, the newline
    assert first.isdisjoint({1, 2, 3, 6, 7, 8, 12})  # inside words


def test_decode_drops_special_pieces_and_refuses_what_is_no_id(tokenizer):
    ids = tokenizer.encode("ba lo")
    special = tokenizer.special
    assert tokenizer.decode([special["bos"], *ids, special["mask"], special["eos"]]) == "ba lo"
    assert tokenizer.decode(np.array(ids, np.int32)) == "ba lo"
    for wrong in (-1, tokenizer.size):
        with pytest.raises(UserError, match=f"{wrong} is outside the vocabulary"):
            tokenizer.decode([*ids, wrong])


def test_broken_utf8_decodes_to_the_replacement_character(tokenizer):
    ids = tokenizer.encode("ba\0😀")
    assert tokenizer.decode(ids[:-1]).startswith("ba\0\ufffd")


def test_half_a_surrogate_pair_is_refused(tokenizer):
    for texts in (["ba", "lo\ud800"], ["ba " * 9000, "lo\ud800"]):
        with pytest.raises(UserError, match="character 2 of a text is '.ud800'"):
            tokenizer.encode_batch(texts)


def test_training_twice_gives_the_same_and_other_text_another(tokenizer):
    again = tokenizer.spec.train(iter([babble(), "", "tail"]))
    assert again == tokenizer and again.fingerprint == tokenizer.fingerprint
    other = tokenizer.spec.train([babble(1400) + "ß"])
    assert (other == tokenizer) == isinstance(tokenizer.spec, Bytes)


def test_saved_and_loaded_and_sent_to_a_process_it_is_the_same(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "one")
    (tmp_path / "one").rename(tmp_path / "moved")
    for copy in (load_tokenizer(tmp_path / "moved"), pickle.loads(pickle.dumps(tokenizer))):
        assert copy == tokenizer and copy.spec == tokenizer.spec
        assert (copy.size, copy.special) == (tokenizer.size, tokenizer.special)
        assert copy.encode_batch(NASTY) == tokenizer.encode_batch(NASTY)
    stored = {file.name for file in (tmp_path / "moved").iterdir()}
    assert stored == {"spec.json", *tokenizer.content}


def test_the_fingerprint_covers_every_field_that_changes_ids():
    text = [babble(300)]
    kinds = [Bytes(), Bytes(sentinels=1), Characters(), Characters(unknown="unk"),
             Characters(sentinels=1), Pieces(vocab=500), Pieces(vocab=501),
             Pieces(vocab=500, normalization="lowercase"), Pieces(vocab=500, sentinels=1)]
    assert len({kind.train(text).fingerprint for kind in kinds}) == len(kinds)


def test_changed_or_missing_files_are_refused(tmp_path):
    tokenizer = Characters().train(["abc"])
    tokenizer.save(tmp_path)
    (tmp_path / "characters.txt").write_text("abd")
    with pytest.raises(UserError, match="do not match their fingerprint"):
        load_tokenizer(tmp_path)
    (tmp_path / "characters.txt").unlink()
    with pytest.raises(UserError, match="characters.txt"):
        load_tokenizer(tmp_path)
    with pytest.raises(UserError, match="nowhere.spec.json"):
        load_tokenizer(tmp_path / "nowhere")
    (tmp_path / "spec.json").write_text("{")
    with pytest.raises(UserError, match="not JSON"):
        load_tokenizer(tmp_path)
    (tmp_path / "spec.json").write_text(json.dumps({"spec": {"kind": "Bites"}}))
    with pytest.raises(UserError, match="did you mean Bytes"):
        load_tokenizer(tmp_path)
    (tmp_path / "plain").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        tokenizer.save(tmp_path / "plain")


def test_an_interrupted_save_does_not_load(tmp_path):
    old, new = Characters().train(["abc"]), Characters().train(["xyz"])
    old.save(tmp_path)
    assert new.fingerprint  # computed before the content is spoilt
    new.content = {"characters.txt": b"xyz", "second": None}  # fails after the first file
    with pytest.raises(TypeError):
        new.save(tmp_path)
    with pytest.raises(UserError):
        load_tokenizer(tmp_path)


def test_characters_keep_what_they_saw_and_may_lose_the_rest():
    tokenizer = Characters(unknown="unk").train(["ba", "\ncab\r"])
    assert [tokenizer.piece(n) for n in range(10, tokenizer.size)] == ["\n", "\r", "a", "b", "c"]
    assert tokenizer.encode("a😀c") == [12, tokenizer.special["unk"], 14]
    assert tokenizer.spans("a😀c")[1] == [(0, 1), (1, 2), (2, 3)]
    assert tokenizer.decode(tokenizer.encode("a😀c")) == "ac"


@pytest.mark.parametrize("spec", [Characters(), Pieces()])
def test_half_a_surrogate_pair_is_not_learnt(spec):
    with pytest.raises(UserError, match="half of a surrogate pair"):
        spec.train([babble(300), "a\ud800 b"])


@pytest.mark.parametrize("spec", [Characters(), Pieces()])
def test_nothing_to_learn_from_is_refused(spec):
    for documents in ([], ["", ""]):
        with pytest.raises(UserError, match="no text to learn"):
            spec.train(documents)


def test_bytes_read_no_document():
    def documents():
        raise AssertionError
        yield

    assert Bytes().train(documents()).encode("é\n") == [10 + 0xC3, 10 + 0xA9, 10 + 0x0A]


def test_negative_sentinels_are_refused():
    for kind in (Bytes, Characters, Pieces):
        with pytest.raises(UserError, match="sentinels is -1"):
            kind(sentinels=-1)


def test_importing_loads_no_heavy_library():
    code = ("import sys, transformer.data.tokenizer, transformer.data.tokenizer_command\n"
            "print(*{'jax', 'sentencepiece', 'tokenizers', 'flax'} & set(sys.modules))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
