"""SentencePiece: what is learnt, what is refused, and agreement with the library itself."""

import dataclasses
import itertools
import random

import pytest
import sentencepiece

from transformer.data import piece_tokenizer
from transformer.data.pieces import MODEL_FILE, Pieces, PiecesFile, thinned
from transformer.data.tokenizer import load_tokenizer
from transformer.error import UserError


def babble(lines: int = 1500, seed: int = 3) -> str:
    """Lines of invented words with digits and capitals."""
    chance = random.Random(seed)
    syllables = [first + second for first in "bdfglmnrst" for second in "aeiou"]
    words = ["".join(chance.choices(syllables, k=size)) for size in (1, 2, 2, 3) for _ in range(80)]
    words += [word.title() for word in words[:60]] + ["1984", "20", "don't", "(so)"]
    return "\n".join(" ".join(chance.choices(words, k=9)) + "." for _ in range(lines))


TEXT = babble()
CHOICES = {"model": ("bpe", "unigram"), "byte_fallback": (True, False), "sentinels": (0, 3)}


@pytest.fixture(scope="module")
def bpe():
    return Pieces(vocab=900).train([TEXT])


def raw(tokenizer) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_proto=tokenizer.content[MODEL_FILE])


@pytest.mark.parametrize("values", [*itertools.product(*CHOICES.values())])
def test_the_vocabulary_has_the_size_asked_for_and_its_pieces_in_order(values):
    spec = Pieces(vocab=600, **dict(zip(CHOICES, values)))
    tokenizer = spec.train([TEXT])
    assert tokenizer.size == spec.vocab
    ten = 10 + spec.sentinels
    assert [tokenizer.piece(n) for n in range(10, ten)] == ["<extra_0>", "<extra_1>", "<extra_2>"][
        :spec.sentinels]
    assert tokenizer.encode("\n") == [ten]  # one token, never merged
    assert tokenizer.piece(ten + 1) == "<0x00>" or not spec.byte_fallback
    model = raw(tokenizer)
    assert model.is_control(tokenizer.special["mask"]) and model.is_unknown(1)


def test_byte_fallback_is_what_keeps_new_characters(bpe):
    lossy = Pieces(vocab=700, byte_fallback=False).train([TEXT])
    assert lossy.encode("ba😀")[-1] == lossy.special["unk"]
    assert lossy.decode(lossy.encode("ba😀")) == "ba"
    assert lossy.decode(lossy.encode(TEXT)) == TEXT
    assert bpe.decode(bpe.encode("ba😀")) == "ba😀"


@pytest.mark.parametrize("model", ["bpe", "unigram"])
def test_ids_are_those_of_the_library(model):
    tokenizer = Pieces(vocab=700, model=model).train([TEXT])
    lines = babble(seed=8).split("\n") + ["  x  y", " ", "\n\n", "日本"]
    assert tokenizer.encode_batch(lines) == raw(tokenizer).encode(lines)


def test_long_texts_are_cut_only_where_it_changes_nothing(monkeypatch):
    monkeypatch.setattr(piece_tokenizer, "PART", 50)
    chance = random.Random(2)
    bpe = Pieces(vocab=900).train(TEXT.replace(" ", " " * n) for n in (1, 2, 5))
    assert any(bpe.piece(n) == "\u2581" * 2 for n in range(bpe.size))
    words = TEXT.split()[:20] + [" ", "   ", " " * 7, "\n", "\n\n", "\t", "x" * 60, "日", "\r\n"]
    for _ in range(40):
        text = chance.choice([" ", "\n", "  "]).join(chance.choices(words, k=60))
        parts = list(piece_tokenizer.cut(text))
        assert "".join(parts) == text and len(parts) > 2
        assert bpe.encode(text) == raw(bpe).encode(text)
        assert bpe.encode(text + "\u2581" + text) == (
            raw(bpe).encode(text) + bpe.encode("\u2581") + raw(bpe).encode(text))


def test_long_texts_are_cut_where_they_can_be(monkeypatch):
    monkeypatch.setattr(piece_tokenizer, "PART", 50)
    for text in ("x " * 500, "語語語\n" * 250, "  word" * 200):
        assert max(map(len, piece_tokenizer.cut(text))) <= 56


def test_digits_can_be_split():
    split = Pieces(vocab=900, split_digits=True).train([TEXT])
    whole = Pieces(vocab=900).train([TEXT])
    assert [split.piece(n) for n in split.encode("1984")] == ["1", "9", "8", "4"]
    assert len(whole.encode("1984")) < 4


@pytest.mark.parametrize("normalization, text, comes_back", [
    ("identity", "ＡＢ  ﬁΣİ\n", "ＡＢ  ﬁΣİ\n"),
    ("lowercase", "ＡB  ﬁAİx\n", "ａb  ﬁaix\n"),
    ("nfkc", "ＡＢ  ﬁΣ\n", "AB  fiΣ\n"),
    ("nfkc_cf", "ＡＢ  ﬁΣ\n", "ab  fiσ\n"),
    ("nmt_nfkc", "ＡＢ \tﬁΣ\n", "AB  fiΣ\n"),
    ("nmt_nfkc_cf", "ＡＢ \tﬁΣ\n", "ab  fiσ\n"),
])
def test_normalization_changes_the_text_and_keeps_spaces_and_newlines(
        normalization, text, comes_back):
    tokenizer = Pieces(vocab=700, normalization=normalization).train([TEXT])
    assert tokenizer.decode(tokenizer.encode(text)) == comes_back
    ids, spans = tokenizer.spans(text)
    assert ids == tokenizer.encode(text)
    assert spans[0][0] == 0 and spans[-1][1] == len(text)
    assert all(0 <= first < last <= len(text) for first, last in spans)


def test_lower_case_is_learnt_in_lower_case():
    tokenizer = Pieces(vocab=700, normalization="lowercase").train([TEXT])
    learnt = [tokenizer.piece(n) for n in range(267, tokenizer.size)]
    assert learnt == [piece.lower() for piece in learnt]
    assert tokenizer.encode("DON'T") == tokenizer.encode("don't")


def test_rare_characters_get_no_piece_below_full_coverage():
    text = TEXT + " ж"
    full = Pieces(vocab=700, character_coverage=1.0).train([text])
    some = Pieces(vocab=700, character_coverage=0.99).train([text])
    assert len(full.encode("жж")) == 2 and len(some.encode("жж")) == 4


def test_special_pieces_all_over_the_text_teach_nothing_special():
    text = (TEXT + "\n") + "<mask> <s></s> <pad> <unk> <0x41> a\u2581b \u2585 \0 \t\n" * 3000
    for model in ("bpe", "unigram"):
        tokenizer = Pieces(vocab=700, model=model).train([text])
        ids = tokenizer.encode(text[-4000:])
        assert set(tokenizer.special.values()).isdisjoint(ids)
        assert tokenizer.decode(ids) == text[-4000:]


def test_a_vocabulary_that_does_not_fit_the_text_is_refused_with_one_that_does():
    for model in ("bpe", "unigram"):
        with pytest.raises(UserError, match="vocab 50000 is too large.*at most [0-9]+") as refusal:
            Pieces(vocab=50_000, model=model).train([TEXT])
        most = int(str(refusal.value).split("at most ")[1].split(";")[0])
        assert Pieces(vocab=most, model=model).train([TEXT]).size == most
        assert "\n" not in str(refusal.value)
    many = "".join(map(chr, range(0x4E00, 0x4E00 + 300)))
    with pytest.raises(UserError, match="vocab 300 is too small for the char.*at least [0-9]+"):
        Pieces(vocab=300).train([many])


@pytest.mark.parametrize("fields, message", [
    ({"vocab": 267}, "267 ids are taken"), ({"vocab": 12, "byte_fallback": False, "sentinels": 1},
                                            "12 ids are taken"),
    ({"character_coverage": 0.2}, "between 0.98 and 1"), ({"sample": 0}, "sample is 0"),
    ({"model": "word"}, "must be one of"), ({"normalization": "nfc"}, "must be one of"),
])
def test_fields_out_of_range_are_refused(fields, message):
    with pytest.raises(UserError, match=message):
        Pieces(**fields)


def test_thinning_draws_evenly_within_its_budget():
    lines = [f"{n:09d}" for n in range(40_000)]
    kept = thinned(iter(lines), 90_000)
    assert 45_000 * 0.9 < sum(map(len, kept)) <= 90_000
    assert kept == sorted(kept) and kept == thinned(lines, 90_000)
    odd = sum(int(line) % 2 for line in kept) / len(kept)
    late = sum(int(line) >= 20_000 for line in kept) / len(kept)
    assert abs(odd - 0.5) < 0.03 and abs(late - 0.5) < 0.03
    assert thinned(lines, 10**6) == lines


def test_training_reads_a_stream_and_keeps_the_sample_only():
    alive, most = 0, 0

    class Document(str):
        def __del__(self):
            nonlocal alive
            alive -= 1

    def documents():
        nonlocal alive, most
        for seed in range(30):
            alive += 1
            most = max(most, alive)
            yield Document(babble(60, seed))

    assert Pieces(vocab=500, sample=8000).train(documents()).size == 500
    assert most <= 3


def test_a_line_without_spaces_longer_than_any_limit_is_learnt_from():
    tokenizer = Pieces(vocab=275).train(["bado" * 20_000])
    assert len(tokenizer.encode("badobado")) <= 2
    wide = Pieces(vocab=275).train(["日本" * 20_000])
    assert len(wide.encode("日本日本")) <= 2


@pytest.mark.parametrize("mark", ["\u2581", "\u2585", "\0"])
def test_lines_with_the_marks_of_the_library_are_learnt_from(mark):
    tokenizer = Pieces(vocab=275).train([f"badobado{mark}badobado\n" * 50])
    assert len(tokenizer.encode("badobado")) == 1


def test_bytes_start_a_word_only_where_they_are_a_mark(bpe):
    starts = bpe.word_starts()
    byte = {bpe.piece(n): bool(starts[n]) for n in range(11, 11 + 256)}
    assert byte["<0x28>"] and byte["<0x0D>"] and not byte["<0x41>"]
    assert not any(byte[f"<0x{n:02X}>"] for n in range(0x80, 0x100))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A model trained elsewhere, with a dummy prefix and other special pieces."""
    path = tmp_path_factory.mktemp("elsewhere") / "their.model"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT.split("\n")), model_prefix=str(path)[:-6], vocab_size=400,
        pad_id=3, unk_id=0, bos_id=-1, eos_id=1, unk_piece="[?]", hard_vocab_limit=False,
        control_symbols=["[CLS]", "[MASK]"], user_defined_symbols=["[SEP]"], minloglevel=2)
    return path


def test_a_model_file_encodes_and_decodes_as_the_library_does(path):
    tokenizer = PiecesFile(path=str(path)).train()
    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    lines = TEXT.split("\n")[:200] + ["a  b ", "\u2581", "[CLS] x [SEP] [MASK]"]
    assert tokenizer.encode_batch(lines) == model.encode(lines)
    for line in lines:
        assert tokenizer.decode(model.encode(line)) == model.decode(
            [n for n in model.encode(line) if n])


def test_a_model_file_has_the_special_pieces_that_it_declares(path):
    tokenizer = PiecesFile(path=str(path)).train()
    names = {name: tokenizer.piece(n) for name, n in tokenizer.special.items()}
    assert names == {"pad": "<pad>", "unk": "[?]", "eos": "</s>", "cls": "[CLS]",
                     "mask": "[MASK]"}  # no bos; [SEP] is matched in text, so it is not special


def test_the_fingerprint_of_a_model_file_does_not_know_the_path(path, tmp_path):
    tokenizer = PiecesFile(path=str(path)).train()
    copy = tmp_path / "copy.model"
    copy.write_bytes(path.read_bytes())
    assert PiecesFile(path=str(copy)).train() == tokenizer
    tokenizer.save(tmp_path / "kept")
    copy.unlink()
    assert load_tokenizer(tmp_path / "kept") == tokenizer
    assert str(tmp_path) not in (tmp_path / "kept" / "spec.json").read_text()


def test_files_that_are_no_model_are_refused(tmp_path):
    (tmp_path / "x.model").write_bytes(b"junk")
    with pytest.raises(UserError, match="x.model is not a SentencePiece model"):
        PiecesFile(path=str(tmp_path / "x.model")).train()
    with pytest.raises(UserError, match="y.model"):
        PiecesFile(path=str(tmp_path / "y.model")).train()


def test_every_field_of_the_spec_changes_the_vocabulary():
    base = Pieces(vocab=600)
    changes = {"vocab": 601, "model": "unigram", "normalization": "nfkc_cf", "byte_fallback": False,
               "split_digits": True, "character_coverage": 0.98, "sentinels": 1, "sample": 3000}
    assert set(changes) == {field.name for field in dataclasses.fields(Pieces)}
    def pieces(spec):
        tokenizer = spec.train([TEXT + " ж"])
        return tuple(map(tokenizer.piece, range(tokenizer.size)))

    changed = [pieces(dataclasses.replace(base, **{n: value})) for n, value in changes.items()]
    assert len({pieces(base), *changed}) == 1 + len(changes)
