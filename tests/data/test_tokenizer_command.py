"""The verb `tokenizer`: one command from raw text to a stored tokenizer."""

import json
import random

import pytest

from transformer.data.pieces import Pieces
from transformer.data.stored_tokenizer import StoredTokenizer
from transformer.data.tokenizer import load_tokenizer
from transformer.data.tokenizer_command import command
from transformer.error import UserError


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    chance = random.Random(4)
    words = ["".join(chance.choices("abdeilmnorstu", k=chance.randrange(2, 8))) for _ in range(300)]
    lines = [" ".join(chance.choices(words, k=8)) for _ in range(800)]
    path = tmp_path_factory.mktemp("text") / "one.txt"
    path.write_text("\n".join(lines) + "\n\n  é 😀\n", encoding="utf-8")
    return path


def run(*arguments) -> int:
    return command([str(argument) for argument in arguments])


@pytest.mark.parametrize("options, kind, size", [
    (["--vocab=600"], "Pieces", 600), (["--vocab=600", "--model=unigram"], "Pieces", 600),
    (["--kind=bytes", "--sentinels=2"], "Bytes", 268), (["--kind=characters"], "Characters", None),
])
def test_train_stores_a_tokenizer_and_says_how_well_it_does(
        text, tmp_path, capsys, options, kind, size):
    assert run("train", text, f"--output={tmp_path / 'new'}", f"--json={tmp_path / 'n'}",
               *options) == 0
    tokenizer = load_tokenizer(tmp_path / "new")
    numbers = json.loads((tmp_path / "n").read_text())
    assert numbers["kind"] == kind == type(tokenizer.spec).__name__
    assert numbers["size"] == tokenizer.size == (size or tokenizer.size)
    assert numbers["fingerprint"] == tokenizer.fingerprint
    body = text.read_text(encoding="utf-8")
    assert numbers["characters"] == len(body) and numbers["lines_changed"] == 0
    assert numbers["tokens"] == len(tokenizer.encode(body))
    assert numbers["characters_per_token"] == pytest.approx(len(body) / numbers["tokens"])
    printed = capsys.readouterr().out
    assert f"{numbers['characters_per_token']:.3f} characters per token" in printed
    assert "exact on all of 802 lines" in printed


def test_train_says_which_lines_a_lossy_setting_changes(text, tmp_path, capsys):
    run("train", text, f"--output={tmp_path}", "--vocab=400", "--no-byte-fallback")
    assert "1 of 802 lines come back changed" in capsys.readouterr().out


def test_the_check_reads_the_beginning_only(text, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("transformer.data.tokenizer_command.CHECKED", 100)
    run("train", text, text, f"--output={tmp_path}", "--kind=bytes")
    assert "first 100 characters" in capsys.readouterr().out


def test_several_files_folders_and_globs_are_read(text, tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.txt").write_text("Ж")
    (tmp_path / "b.txt").write_text("Ω")
    run("train", tmp_path / "more", tmp_path / "b*", text, f"--output={tmp_path / 'out'}",
        "--kind=characters", "--unknown=unk")
    tokenizer = load_tokenizer(tmp_path / "out")
    assert tokenizer.decode(tokenizer.encode("aЖΩ😀ы")) == "aЖΩ😀"


def test_another_tokenizer_is_not_written_over(text, tmp_path):
    run("train", text, f"--output={tmp_path}", "--kind=bytes")
    run("train", text, f"--output={tmp_path}", "--kind=bytes")  # the same again: fine
    with pytest.raises(UserError, match="holds another tokenizer"):
        run("train", text, f"--output={tmp_path}", "--kind=characters")
    assert load_tokenizer(tmp_path).size == 266


def test_bad_input_is_one_line_and_leaves_nothing(text, tmp_path):
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "blank.txt").write_text(" \n\n")
    (tmp_path / "latin.txt").write_bytes(b"fine\nna\xefve\n")
    for file, message in (
            ("empty.txt", "empty"), ("blank.txt", "nothing|no text"), ("none.txt", "no such file"),
            ("latin.txt", "latin.txt:2"), ("*.md", "no file matches")):
        with pytest.raises(UserError, match=message) as refusal:
            run("train", tmp_path / file, f"--output={tmp_path / 'out'}")
        assert "\n" not in str(refusal.value)
    with pytest.raises(UserError, match="at most [0-9]+"):
        run("train", text, f"--output={tmp_path / 'out'}", "--vocab=90000")
    with pytest.raises(UserError, match="--vocab has no meaning for --kind=bytes"):
        run("train", text, f"--output={tmp_path / 'out'}", "--vocab=900", "--kind=bytes")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [[], ["learn"], ["train"], ["train", "x", "--output=y",
                                       "--modle=bpe"], ["train", "x", "--output=y", "--vocab=1e3"]])
def test_a_mistyped_command_line_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        command(arguments)
    assert stop.value.code == 2


def test_help_tells_every_option_with_its_default(capsys):
    with pytest.raises(SystemExit) as stop:
        command(["train", "--help"])
    printed = capsys.readouterr().out
    assert stop.value.code == 0
    for words in ("--vocab INT", "(8192)", "--model {bpe,unigram}", "(bpe)", "characters of text",
                  "(10000000)", "--character-coverage FLOAT", "(0.9995)", "--json PATH"):
        assert words in " ".join(printed.split())


def test_inspect_and_encode_print_what_they_write(text, tmp_path, capsys):
    run("train", text, f"--output={tmp_path / 't'}", "--vocab=500")
    tokenizer = load_tokenizer(tmp_path / "t")
    run("inspect", tmp_path / "t", "--pieces=3", f"--json={tmp_path / 'i'}")
    numbers = json.loads((tmp_path / "i").read_text())
    assert numbers["special"] == tokenizer.special and len(numbers["pieces"]) == 500
    assert numbers["word_starts"] == int(tokenizer.word_starts().sum())
    printed = capsys.readouterr().out
    assert "500 ids" in printed and "<mask> 4" in printed

    (tmp_path / "lines").write_text("one two\n<mask> 😀\n", encoding="utf-8")
    run("encode", tmp_path / "t", "--text=é", f"--inputs={tmp_path / 'lines'}",
        f"--json={tmp_path / 'e'}")
    numbers = json.loads((tmp_path / "e").read_text(encoding="utf-8"))
    assert numbers["texts"] == ["é", "one two", "<mask> 😀"]
    assert numbers["ids"] == tokenizer.encode_batch(numbers["texts"])
    printed = capsys.readouterr().out
    assert " ".join(map(str, numbers["ids"][2])) in printed and "decodes to" not in printed
    with pytest.raises(UserError, match="--text=TEXT or --inputs=FILE"):
        run("encode", tmp_path / "t")


def test_inspect_opens_other_kinds_of_file(text, tmp_path, capsys):
    run("train", text, f"--output={tmp_path / 't'}", "--vocab=500")
    (tmp_path / "x.model").write_bytes((tmp_path / "t" / "pieces.model").read_bytes())
    run("inspect", tmp_path / "x.model")
    assert "PiecesFile" in capsys.readouterr().out
    same = StoredTokenizer(path=str(tmp_path / "t")).train()
    assert same == load_tokenizer(tmp_path / "t") and isinstance(same.spec, Pieces)
    with pytest.raises(UserError, match="nowhere"):
        run("inspect", tmp_path / "nowhere")
    tokenizers = pytest.importorskip("tokenizers")
    tokenizers.Tokenizer(tokenizers.models.BPE({"a": 0}, [])).save(str(tmp_path / "tokenizer.json"))
    run("inspect", tmp_path / "tokenizer.json")
    assert "HuggingFace" in capsys.readouterr().out
