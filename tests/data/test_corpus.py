import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from transformer.data import decode as decode_module, encode as encode_module
from transformer.data import reading, shards, writer as writer_module
from transformer.data.corpus import Holdout, open_corpus
from transformer.data.encode import encode
from transformer.data.hugging_face import HuggingFace
from transformer.data.pieces import Pieces
from transformer.data.place import cache_root
from transformer.data.source import Jsonl, Text
from transformer.data.vocabulary import Bytes
from transformer.error import UserError
from transformer.spec import from_json

ROOT = pathlib.Path(encode_module.__file__).parents[2]


class Letters:
    """Every UTF-8 byte is a token; id 0 pads and id 1 ends a document."""

    def __init__(self, size=258, special={"pad": 0, "eos": 1}, fingerprint="letters"):
        self.size, self.special, self.fingerprint = size, special, fingerprint
        self.calls = 0

    def encode_batch(self, texts):
        self.calls += 1
        return [[byte + 2 for byte in text.encode()] for text in texts]

    def decode(self, ids):
        return bytes(n - 2 for n in ids if n >= 2).decode(errors="replace")


TEXTS = [f"document {n} " + "word " * (n * 7 % 23) + "é" * (n % 3) for n in range(200)]


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS), encoding="utf-8")
    return Jsonl(path=str(path))


@pytest.fixture
def small(monkeypatch):
    """Batches, pieces and shards so small that two hundred documents need many."""
    monkeypatch.setattr(encode_module, "BATCH", 300)
    monkeypatch.setattr(reading, "PIECE", 100)
    monkeypatch.setattr(writer_module, "SHARD", 1000)


def contents(directory):
    return {f.name: f.read_bytes() for f in sorted(directory.iterdir()) if f.is_file()}


def test_decoding_gives_the_documents_back(data, tmp_path, small):
    corpus = encode(data, Letters(), tmp_path / "cache")
    starts, ends = corpus.spans()
    decoded = [Letters().decode(corpus.tokens[a:b].tolist()) for a, b in zip(starts, ends)]
    assert decoded == TEXTS
    assert all(corpus.tokens[end - 1] == 1 for end in ends)
    assert corpus.bytes == sum(len(text.encode()) for text in TEXTS)
    assert len(corpus) == corpus.bytes + len(TEXTS)
    assert corpus.meta["minimum"] == 1 and corpus.meta["maximum"] == max(corpus.tokens)
    assert len(corpus.meta["shards"]) > 5
    assert from_json(corpus.meta["data"]) == data
    corpus.verify()


def test_batches_and_shards_leave_no_trace(data, tmp_path, small):
    many = encode(data, Letters(), tmp_path / "many")
    with pytest.MonkeyPatch.context() as patch:
        patch.undo()
        patch.setattr(encode_module, "BATCH", 1 << 20)
        patch.setattr(writer_module, "SHARD", 1 << 23)
        one = encode(data, Letters(), tmp_path / "one")
    assert len(one.meta["shards"]) == 1
    for name in shards.FILES.values():
        assert contents(one.directory)[name] == contents(many.directory)[name]


def test_without_an_eos_documents_only_have_ends(data, tmp_path):
    corpus = encode(data, Letters(special={}), tmp_path)
    assert len(corpus) == corpus.bytes == sum(len(text.encode()) for text in TEXTS)
    assert len(corpus.spans()[0]) == len(TEXTS)


def test_documents_without_a_token_leave_no_trace(tmp_path):
    class Deaf(Letters):
        def encode_batch(self, texts):
            return [[] if "deaf" in text else [5] for text in texts]

    path = tmp_path / "a.txt"
    path.write_text("deaf\na\ndeaf\nb\ndeaf\n")
    corpus = encode(Text(path=str(path), documents="line"), Deaf(special={}), tmp_path)
    assert corpus.tokens.tolist() == [5, 5] and corpus.ends.tolist() == [1, 2]
    path.write_text("deaf\n")
    with pytest.raises(UserError, match="no text that gives any token"):
        encode(Text(path=str(path)), Deaf(special={}), tmp_path)


@pytest.mark.parametrize("size, kind", [(258, "<u2"), (1 << 16, "<u2"), ((1 << 16) + 1, "<u4")])
def test_ids_take_two_bytes_where_the_vocabulary_allows(data, tmp_path, size, kind):
    class Last(Letters):
        def encode_batch(self, texts):
            return [[self.size - 1] for _ in texts]

    corpus = encode(data, Last(size=size), tmp_path)
    assert corpus.tokens.dtype == np.dtype(kind) and max(corpus.tokens) == size - 1


def test_a_tokenizer_that_leaves_its_vocabulary_is_refused(data, tmp_path):
    with pytest.raises(UserError, match="the tokenizer gave id 197, but its vocabulary has 100"):
        encode(data, Letters(size=100), tmp_path)


# views

def test_views_cut_documents_and_count_their_bytes(data, tmp_path):
    corpus = encode(data, Letters(), tmp_path)
    assert corpus.bytes == sum(len(text.encode()) for text in TEXTS)
    train, valid = corpus.split(Holdout(fraction=0.3))
    assert len(train) == int(len(corpus) * 0.7) and len(train) + len(valid) == len(corpus)
    assert train.stop == valid.start and valid.stop == len(corpus)
    (train_starts, train_ends), (starts, ends) = train.spans(), valid.spans()
    assert len(train_starts) + len(starts) == len(TEXTS) + 1  # the cut one is on both sides
    assert train_ends[-1] == starts[0] == valid.start and ends[-1] == valid.stop
    text = Letters().decode(valid.tokens[valid.start:valid.stop].tolist())
    assert valid.bytes == len(text.encode())
    assert train.bytes + valid.bytes == corpus.bytes
    inner = valid.view(10, 15)
    assert (inner.start, inner.stop) == (valid.start + 10, valid.start + 15)
    assert len({c.fingerprint for c in (corpus, train, valid, inner)}) == 4
    whole = corpus.view(0, len(corpus))
    assert whole.fingerprint == corpus.fingerprint and whole.bytes == corpus.bytes


def test_a_cut_at_the_end_of_a_document_cuts_none(data, tmp_path):
    corpus = encode(data, Letters(), tmp_path)
    cut = int(corpus.ends[9])
    first, second = corpus.view(0, cut), corpus.view(cut, len(corpus))
    assert len(first.spans()[0]) == 10 and len(second.spans()[0]) == len(TEXTS) - 10
    assert first.bytes == sum(len(text.encode()) for text in TEXTS[:10])


LONG = "Ünïcode: 你好吗 世界\nand  words , don't\u2028𝒳 break\n\n cut " * 30


def byte_fallback():
    """LLaMA's decoder, which turns a whole run of bytes into U+FFFD where one of them is broken."""
    tokenizers = pytest.importorskip("tokenizers")
    from tokenizers import decoders, models, pre_tokenizers
    pieces = [("<unk>", 0.0), ("\u2581", -2.0), *((letter, -4.0) for letter in "abcdeorsw")]
    pieces += [(f"<0x{byte:02X}>", -9.0) for byte in range(256)]
    model = tokenizers.Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    model.pre_tokenizer = pre_tokenizers.Metaspace()
    model.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    return model


def word_piece():
    """BERT's decoder, which joins pieces with spaces."""
    tokenizers = pytest.importorskip("tokenizers")
    from tokenizers import decoders, models, pre_tokenizers
    words = ["[UNK]", "and", "word", "##s", "break", "cut", ":", ",", "Ün", "##ïcode", "你好吗"]
    model = tokenizers.Tokenizer(models.WordPiece({w: n for n, w in enumerate(words)},
                                                  unk_token="[UNK]"))
    model.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    model.decoder = decoders.WordPiece(cleanup=False)
    return model


def long_tokenizer(name, tmp_path):
    if name == "Bytes":
        return Bytes().train()
    if name == "Pieces":
        return Pieces(vocab=300, character_coverage=0.98).train([LONG])
    {"word_piece": word_piece, "byte_fallback": byte_fallback}[name]().save(
        str(tmp_path / "tokenizer.json"))
    return HuggingFace(path=str(tmp_path)).train()


@pytest.mark.parametrize("name", ["Bytes", "Pieces", "word_piece", "byte_fallback"])
@pytest.mark.parametrize("block", [40, 41, 43, 97, 1 << 20])
def test_text_in_blocks_adds_up_to_the_text(tmp_path, monkeypatch, name, block):
    monkeypatch.setattr(decode_module, "BLOCK", block)
    tokenizer, path = long_tokenizer(name, tmp_path), tmp_path / "a.jsonl"
    texts = [LONG, "two words", " \n", LONG[7:] + "end"]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    corpus, asked = encode(Jsonl(path=str(path)), tokenizer, tmp_path), []
    decode = type(tokenizer).decode

    def noted(self, ids):
        asked.append(len(ids))
        return decode(self, ids)

    documents = [tokenizer.decode(corpus.tokens[a:b]) for a, b in zip(*corpus.spans())]
    view = corpus.view(300, len(corpus) - 20)
    kept = [tokenizer.decode(corpus.tokens[a:b]) for a, b in zip(*view.spans())]
    sides = [len(tokenizer.decode(ids).encode()) for ids in (corpus.tokens[:300],
                                                             corpus.tokens[-20:])]
    monkeypatch.setattr(type(tokenizer), "decode", noted)
    assert view.bytes == corpus.bytes - sum(sides)
    for part, held in ((corpus, documents), (view, kept)):
        assert part.words() == sum(len(text.split()) + text.count("\n") for text in held)
    assert max(asked) <= block + 32


@pytest.mark.parametrize("fraction", [0, 1, 1.5, -0.1])
def test_an_impossible_holdout_is_refused(fraction):
    with pytest.raises(UserError, match="between 0 and 1"):
        Holdout(fraction=fraction)


def test_a_holdout_of_nothing_is_refused():
    with pytest.raises(UserError, match="leaves one side empty"):
        Holdout(fraction=0.1).cut(1)
    assert Holdout(fraction=0.1).cut(1_115_394) == 1_003_854  # nanoGPT's split of Shakespeare


# the cache

def test_a_corpus_is_encoded_once(data, tmp_path):
    tokenizer = Letters()
    first = encode(data, tokenizer, tmp_path)
    calls = tokenizer.calls
    assert encode(data, tokenizer, tmp_path).directory == first.directory
    assert tokenizer.calls == calls
    other = encode(data, Letters(fingerprint="other"), tmp_path)
    pathlib.Path(data.path).write_text('{"text": "new"}\n')
    changed = encode(data, tokenizer, tmp_path)
    assert len({first.directory, other.directory, changed.directory}) == 3
    assert not [f for f in (tmp_path / "corpora").iterdir() if "unfinished" in f.name]


def test_a_new_format_is_another_corpus(data, tmp_path, monkeypatch):
    first = encode(data, Letters(), tmp_path)
    monkeypatch.setattr(shards, "FORMAT", shards.FORMAT + 1)
    assert encode(data, Letters(), tmp_path).directory != first.directory
    with pytest.raises(UserError, match="it has format 1, this program reads 2"):
        open_corpus(first.directory, Letters())


def test_the_cache_directory_follows_the_environment(monkeypatch, tmp_path):
    for name in ("TRANSFORMER_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_root() == pathlib.Path("/home/someone/.cache/transformer")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_root() == pathlib.Path("/xdg/transformer")
    monkeypatch.setenv("TRANSFORMER_CACHE", "/own")
    assert cache_root() == pathlib.Path("/own")
    assert cache_root(tmp_path) == tmp_path


def test_a_cache_that_cannot_be_written_is_an_error(data, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the cache .* set TRANSFORMER_CACHE"):
        encode(data, Letters(), tmp_path / "file")


def test_data_that_changes_meanwhile_is_refused(data, tmp_path):
    class Meddler(Letters):
        def encode_batch(self, texts):
            pathlib.Path(data.path).write_text('{"text": "new"}\n')
            return super().encode_batch(texts)

    with pytest.raises(UserError, match="the data changed while it was read"):
        encode(data, Meddler(), tmp_path)


# what is refused on opening

def edit(**changes):
    def change(directory):
        meta = json.loads((directory / "meta.json").read_text())
        shard = {k: v for k, v in changes.items() if k in meta["shards"][0]}
        meta["shards"][0] |= shard
        (directory / "meta.json").write_text(json.dumps(meta | changes))
    return change


def shorten(name, keep):
    def change(directory):
        size = (directory / name).stat().st_size
        os.truncate(directory / name, int(keep(size)))
    return change


def swap(directory):
    np.fromfile(directory / "tokens.bin", ">u2").astype("<u2").tofile(directory / "tokens.bin")


def write_meta(content):
    return lambda directory: (directory / "meta.json").write_text(content)


DAMAGE = {
    "a byte short": (shorten("tokens.bin", lambda n: n - 1), "tokens.bin has .* bytes instead of"),
    "4 KiB short": (shorten("tokens.bin", lambda n: n - 4096), "tokens.bin has .* instead of"),
    "half": (shorten("tokens.bin", lambda n: n // 2), "tokens.bin has .* bytes instead of"),
    "longer": (shorten("tokens.bin", lambda n: n + 2), "tokens.bin has .* bytes instead of"),
    "ends": (shorten("ends.bin", lambda n: n - 8), "ends.bin has .* bytes instead of"),
    "sizes": (shorten("sizes.bin", lambda n: 0), "sizes.bin has 0 bytes instead of"),
    "no tokens": (lambda d: (d / "tokens.bin").unlink(), "tokens.bin has 0 bytes instead of"),
    "other byte order": (swap, "the bytes of shard 0 were changed"),
    "other dtype": (edit(dtype="<u4"), "its ids are <u4, for 258 ids"),
    "high id": (edit(maximum=258), "shard 0 has ids from 1 to 258, but the vocabulary has 258"),
    "low id": (edit(minimum=-1), "shard 0 has ids from -1"),
    "fewer tokens": (edit(tokens=7), "bytes instead of"),
    "no meta": (lambda d: (d / "meta.json").unlink(), "meta.json is missing or damaged"),
    "torn meta": (write_meta('{"format": 1, "dtype"'), "meta.json is missing or damaged"),
    "empty meta": (write_meta("{}"), "meta.json is missing or damaged"),
    "odd meta": (write_meta('{"format": 1, "shards": 3}'), "meta.json is missing or damaged"),
    "no shards": (edit(shards=[]), "meta.json is missing or damaged"),
    "old format": (edit(format=0), "it has format 0, this program reads 1"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_corpus_is_refused(data, tmp_path, case):
    directory = encode(data, Letters(), tmp_path).directory
    damage, message = DAMAGE[case]
    damage(directory)
    with pytest.raises(UserError, match=message) as error:
        encode(data, Letters(), tmp_path)
    assert str(directory) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("other", [Letters(fingerprint="other"), Letters(size=259)])
def test_another_tokenizer_is_refused(data, tmp_path, other):
    directory = encode(data, Letters(), tmp_path).directory
    with pytest.raises(UserError, match="was encoded by another tokenizer"):
        open_corpus(directory, other)


@pytest.mark.parametrize("name", shards.FILES.values())
def test_verify_finds_every_flipped_bit(data, tmp_path, small, name):
    corpus = encode(data, Letters(), tmp_path)
    content = bytearray((corpus.directory / name).read_bytes())
    content[len(content) // 2] ^= 4
    (corpus.directory / name).write_bytes(content)
    with pytest.raises(UserError, match=r"the bytes of shard \d+ were changed"):
        open_corpus(corpus.directory, Letters()).verify()


@pytest.mark.parametrize("name", ["tokens.bin", "sizes.bin"])
def test_a_shard_is_checked_when_it_is_first_read(data, tmp_path, small, name, monkeypatch):
    from transformer.data.rows import Chunks, Packed
    corpus = encode(data, Letters(), tmp_path)
    content = bytearray((corpus.directory / name).read_bytes())
    content[len(content) // 2] ^= 4
    (corpus.directory / name).write_bytes(content)
    corpus = open_corpus(corpus.directory, Letters())
    for spec in (Chunks(length=64), Packed(length=64)):
        rows = spec.build(open_corpus(corpus.directory, Letters()))
        with pytest.raises(UserError, match=r"the bytes of shard \d+ were changed"):
            for row in range(rows.count):
                rows.example(row)
    summed, check = [], shards.check_shard
    monkeypatch.setattr(shards, "check_shard", lambda *a: (summed.append(a[2]), check(*a)))
    first, edge = corpus.view(0, 500), corpus.meta["shards"][0]["tokens"]
    for _ in range(3):
        Chunks(length=64).build(first).example(0)
        corpus.read(edge - 3, edge + 3)
    assert summed == [0, 1]


def test_tokens_beyond_two_to_the_31_are_reached(tmp_path):
    """A sparse file: 2^31 + 50 tokens, of which only the edges take room."""
    first, hole, last = 10, 2**31, 40
    tokens = first + hole + last
    with (tmp_path / "tokens.bin").open("wb") as stream:
        np.arange(first, dtype="<u2").tofile(stream)
        stream.seek(2 * (first + hole))
        np.arange(100, 100 + last, dtype="<u2").tofile(stream)
    ends = np.array([first, first + hole, tokens], "<i8")
    ends.tofile(tmp_path / "ends.bin")
    ends.tofile(tmp_path / "sizes.bin")
    parts = [{"tokens": n, "documents": 1, "bytes": n, "pieces": 1, "minimum": 0, "maximum": 200}
             for n in (first, hole, last)]
    for number in (0, 2):
        parts[number]["crc32"] = shards.shard_sum(tmp_path, parts, number, 2)
    (tmp_path / "meta.json").write_text(json.dumps({
        "format": 1, "dtype": "<u2", "tokens": tokens, "documents": 3, "bytes": tokens,
        "vocabulary": 258, "tokenizer": "letters", "shards": [{"crc32": 0, **p} for p in parts]}))
    corpus = open_corpus(tmp_path, Letters())
    assert len(corpus) == tokens and corpus.tokens[tokens - 1] == 100 + last - 1

    from transformer.data.rows import Chunks
    rows = Chunks(length=64).build(corpus, lookahead=1)
    assert rows.count == -(-(tokens - 1) // 64) > 2**25
    row = rows.example(rows.count - 1)
    start = (rows.count - 1) * 64
    inside = tokens - start
    assert row["tokens"][:inside][-last:].tolist() == list(range(100, 100 + last))[-inside:]
    assert row["segments"][:inside].max() == 2 and not row["segments"][inside:].any()
    assert corpus.view(2**31, tokens).view(0, 20).start == 2**31


# interruption

class Interrupt(Exception):
    pass


class Fragile(Letters):
    """Stops at its nth call."""

    def __init__(self, stop):
        super().__init__()
        self.stop = stop

    def encode_batch(self, texts):
        if self.calls >= self.stop:
            raise Interrupt
        return super().encode_batch(texts)


def test_an_encoding_continues_after_any_interruption(data, tmp_path, small):
    whole = contents(encode(data, Letters(), tmp_path / "whole").directory)
    total, stop, attempts = 0, 1, 0
    while True:
        tokenizer = Fragile(stop)
        try:
            corpus = encode(data, tokenizer, tmp_path / "broken")
            break
        except Interrupt:
            attempts += 1
            stop = 3 + attempts % 9  # enough calls for one more shard, now and then
            for unfinished in (tmp_path / "broken" / "corpora").glob("*.unfinished"):
                with (unfinished / "tokens.bin").open("ab") as stream:
                    stream.write(b"torn")  # what a crash may leave behind
                with (unfinished / "shards.jsonl").open("a") as stream:
                    stream.write('{"tokens": 12')
        finally:
            total += tokenizer.calls
    assert attempts >= 5
    assert contents(corpus.directory) == whole
    full = Letters()
    encode(data, full, tmp_path / "count")
    assert total < full.calls * attempts / 2  # finished shards were not encoded again


def test_documents_without_a_token_leave_no_trace_after_an_interruption(tmp_path, monkeypatch):
    class Deaf(Fragile):
        def __init__(self):
            super().__init__(stop=1)
            self.special = {}

        def encode_batch(self, texts):
            super().encode_batch(texts)
            return [[] if "deaf" in text else [5] for text in texts]

    monkeypatch.setattr(encode_module, "BATCH", 1)
    monkeypatch.setattr(encode_module, "AHEAD", 1)
    monkeypatch.setattr(writer_module, "SHARD", 0)  # a shard for every document
    path = tmp_path / "a.txt"
    path.write_text("deaf\na\ndeaf\ndeaf\nb\ndeaf\n")
    source = Text(path=str(path), documents="line")
    for _ in range(5):
        with pytest.raises(Interrupt):
            encode(source, Deaf(), tmp_path)
    corpus = encode(source, Deaf(), tmp_path)
    assert corpus.tokens.tolist() == [5, 5] and corpus.ends.tolist() == [1, 2]


def test_a_shard_damaged_by_a_crash_is_encoded_again(data, tmp_path, small):
    whole = contents(encode(data, Letters(), tmp_path / "whole").directory)
    with pytest.raises(Interrupt):
        encode(data, Fragile(40), tmp_path / "broken")
    unfinished, = (tmp_path / "broken" / "corpora").glob("*.unfinished")
    assert len((unfinished / "shards.jsonl").read_text().splitlines()) > 2
    with (unfinished / "tokens.bin").open("r+b") as stream:
        stream.seek(3000)
        stream.write(bytes(100))
    assert contents(encode(data, Letters(), tmp_path / "broken").directory) == whole


SLOW = """
import pathlib, sys, time
sys.path[:0] = [{root!r}, {tests!r}]
import test_corpus
from transformer.data import encode as encode_module, writer as writer_module
from transformer.data.source import Jsonl
encode_module.BATCH, writer_module.SHARD = 300, 1000

class Slow(test_corpus.Letters):
    def encode_batch(self, texts):
        with open({log!r}, "a") as log:
            log.write(".")
        time.sleep({pause})
        return super().encode_batch(texts)

corpus = encode_module.encode(Jsonl(path={path!r}), Slow(), {cache!r})
print(corpus.directory)
"""


def start(data, tmp_path, cache, pause):
    program = SLOW.format(root=str(ROOT), tests=str(pathlib.Path(__file__).parent), pause=pause,
                          log=str(tmp_path / "log"), path=data.path, cache=str(cache))
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def test_a_killed_encoding_continues_to_the_same_bytes(data, tmp_path, monkeypatch):
    monkeypatch.setattr(encode_module, "BATCH", 300)
    monkeypatch.setattr(writer_module, "SHARD", 1000)
    whole = contents(encode(data, Letters(), tmp_path / "whole").directory)
    process = start(data, tmp_path, tmp_path / "cache", pause=0.05)
    deadline, journal = time.monotonic() + 30, []
    while len(journal) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
        journal = [line for file in (tmp_path / "cache").glob("corpora/*/shards.jsonl")
                   for line in file.read_text().splitlines()]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL and len(journal) >= 4
    tokenizer = Letters()
    corpus = encode(data, tokenizer, tmp_path / "cache")
    assert contents(corpus.directory) == whole
    assert tokenizer.calls <= sum(len(text) + 1 for text in TEXTS) / 300 - 4 * 2


def test_two_processes_encode_once(data, tmp_path):
    processes = [start(data, tmp_path, tmp_path / "cache", pause=0.01) for _ in range(2)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]
    calls = len((tmp_path / "log").read_text())
    shutil.rmtree(tmp_path / "cache")
    alone = start(data, tmp_path, tmp_path / "cache", pause=0)
    alone.communicate(timeout=60)
    assert calls == len((tmp_path / "log").read_text()) - calls


def test_memory_does_not_grow_with_the_corpus(tmp_path):
    """An 80 MB file that is one document."""
    path = tmp_path / "a.txt"
    with path.open("w") as stream:
        for n in range(80):
            stream.write(("word " * 19 + f"{n:04d}\n") * 10_000)
    program = (
        "import resource, sys\n"
        f"sys.path[:0] = [{str(ROOT)!r}, {str(pathlib.Path(__file__).parent)!r}]\n"
        "import test_corpus\n"
        "from transformer.data.encode import encode\n"
        "from transformer.data.source import Text\n"
        "class Words(test_corpus.Letters):\n"
        "    def encode_batch(self, texts):\n"
        "        return [[5] * text.count(' ') for text in texts]\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"corpus = encode(Text(path={str(path)!r}, documents='file'), Words(), {str(tmp_path)!r})\n"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(len(corpus), (after - before) // 1024)\n")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          timeout=60)
    tokens, grown = map(int, done.stdout.split())
    assert tokens == 80 * 10_000 * 19 + 1
    assert grown < 50  # MB


def test_importing_the_data_floor_stays_light():
    program = (f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
               "import transformer.data.encode, transformer.data.stream, transformer.data.table\n"
               "import transformer.data.rows, transformer.data.source\n"
               "heavy = {'jax', 'flax', 'grain', 'pyarrow', 'sentencepiece', 'tokenizers'}\n"
               "print(heavy & set(sys.modules))")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stdout + done.stderr
