import gzip
import json
import lzma
import os
import pathlib
import subprocess
import sys
import types

import pytest

from transformer.data import reading
from transformer.data.source import Jsonl, Text
from transformer.data.table import Hub, Parallel, Parquet, Table
from transformer.error import UserError


@pytest.fixture
def write(tmp_path):
    def write(content, name="data.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)
    return write


def without_place(records):
    return [{k: v for k, v in record.items() if k != "where"} for record in records]


# what is read

@pytest.mark.parametrize("documents, expected", [
    ("blank", ["one\ntwo", " three", "four\0\u2028x"]),
    ("line", ["one", "two", " three", "four\0\u2028x"]),
    ("file", ["one\ntwo\n\n \t\n three\n\n\nfour\0\u2028x\n"]),
])
@pytest.mark.parametrize("form", ["plain", "windows", "no last newline"])
def test_text_is_split_into_documents(write, documents, expected, form):
    text = "one\ntwo\n\n \t\n three\n\n\nfour\0\u2028x\n"
    if form == "no last newline":
        text, expected = text[:-1], [document.removesuffix("\n") for document in expected]
    content = text.encode()
    if form == "windows":
        content = b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n")
    source = Text(path=write(content), documents=documents)
    assert [record["text"] for record in source.records()] == expected
    assert list(source.texts()) == expected


def test_a_lone_carriage_return_and_a_later_mark_are_text(write):
    source = Text(path=write("a\rb\n\ufeffc\n"), documents="line")
    assert list(source.texts()) == ["a\rb", "\ufeffc"]


@pytest.mark.parametrize("suffix, opener", [(".gz", gzip.open), (".xz", lzma.open)])
def test_compressed_files_are_read_by_their_suffix(tmp_path, suffix, opener):
    path = tmp_path / f"data.csv{suffix}"
    with opener(path, "wt", encoding="utf-8") as stream:
        stream.write("text,label\né,1\n")
    records = without_place(Table(path=str(path)).records())
    assert records == [{"text": "é", "label": "1"}]


def test_folders_and_globs_are_read_in_order_of_their_names(write, tmp_path):
    for name in ("b.txt", "a/z.txt", "a/.hidden", "c.md", "empty.txt"):
        write("" if name == "empty.txt" else name, f"texts/{name}")
    folder = Text(path=str(tmp_path / "texts"), documents="file")
    assert list(folder.texts()) == ["a/z.txt", "b.txt", "c.md"]
    pattern = Text(path=str(tmp_path / "texts" / "**" / "*.txt"), documents="file")
    assert list(pattern.texts()) == ["a/z.txt", "b.txt"]


def test_a_folder_gives_only_files_of_the_format(write, tmp_path):
    write('{"text": "a"}\n', "set/a.jsonl")
    write("not json", "set/README.md")
    assert list(Jsonl(path=str(tmp_path / "set")).texts()) == ["a"]


def test_records_keep_all_fields_and_say_where_they_come_from(write):
    content = '{"text": "a", "label": 1}\n\n{"other": [2], "text": "\\ud83d\\ude00"}\n'
    path = write(content, "a.jsonl")
    assert list(Jsonl(path=path).records()) == [
        {"text": "a", "label": 1, "where": f"{path}:1"},
        {"other": [2], "text": "\U0001f600", "where": f"{path}:3"}]
    assert list(Jsonl(path=write('{"body": "b"}', "b.jsonl"), field="body").texts()) == ["b"]


def test_quoted_values_may_span_lines_and_tabs_do_not_quote(write):
    path = write('text,label\n"a ""b"", c\n\nd",x\ne,y\n', "a.csv")
    assert list(Table(path=path).records()) == [
        {"text": 'a "b", c\n\nd', "label": "x", "where": f"{path}:2"},
        {"text": "e", "label": "y", "where": f"{path}:5"}]
    path = write('1\t"open quote\n2\tb\n', "a.tsv")
    table = Table(path=path, header=False, fields=("label", "text"))
    assert without_place(table.records()) == [
        {"label": "1", "text": '"open quote'}, {"label": "2", "text": "b"}]
    assert list(table.texts()) == ['"open quote', "b"]
    long = "word " * 100_000
    assert list(Table(path=write(f'text,label\n"{long}",1\n', "long.csv")).texts()) == [long]
    renamed = Table(path=write("x;y\n1;2\n", "a.txt"), delimiter=";", fields=("a", "b"))
    assert without_place(renamed.records()) == [{"a": "1", "b": "2"}]


def test_parquet_is_read_row_by_row(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet
    path = tmp_path / "a.parquet"
    texts = [f"text {n}" for n in range(600)]
    parquet.write_table(pyarrow.table({"text": texts, "label": list(range(600))}), path)
    records = list(Parquet(path=str(path)).records())
    assert records[300] == {"text": "text 300", "label": 300, "where": f"{path}: row 301"}
    assert list(Parquet(path=str(path)).texts()) == texts


def test_parallel_files_give_pairs(write):
    a, b = write("one\ntwo\n", "x.en"), write("eins\r\nzwei", "x.de")
    source = Parallel(source=a, target=b)
    assert without_place(source.records()) == [
        {"source": "one", "target": "eins"}, {"source": "two", "target": "zwei"}]
    assert list(source.texts()) == ["one", "eins", "two", "zwei"]


def test_the_hub_is_asked_by_name(monkeypatch):
    def load_dataset(name, config, split, revision):
        assert (name, config, split, revision) == ("owner/set", "en", "validation", None)
        return [{"text": "a"}, {"text": "b"}]

    fake = types.SimpleNamespace(load_dataset=load_dataset)
    monkeypatch.setitem(sys.modules, "datasets", fake)
    source = Hub(name="owner/set", config="en", split="validation")
    assert list(source.texts()) == ["a", "b"]


@pytest.mark.parametrize("documents", ["blank", "line", "file"])
def test_long_documents_come_in_pieces_that_add_up(write, monkeypatch, documents):
    path = write("\n".join(["word " * n + "\n" * (n % 5 == 0) for n in range(40)]) + "\n\n" * 30)
    source = Text(path=path, documents=documents)
    whole = list(source.texts())
    monkeypatch.setattr(reading, "PIECE", 50)
    joined, held = [], ""
    for piece, last in source.pieces():
        assert len(piece) <= 50
        held += piece
        if last:
            joined, held = [*joined, held], ""
    assert joined == whole and not held
    assert [record["text"] for record in source.records()] == whole


def test_pieces_are_cut_after_lines_and_before_spaces(monkeypatch):
    monkeypatch.setattr(reading, "PIECE", 10)
    pieces = [piece for piece, _ in reading.cut("aaaa bbb cccc\ndd ffffff eeeeeeeeeeee")]
    assert pieces == ["aaaa bbb", " cccc\n", "dd ffffff", " eeeeeeeee", "eee"]


# what is refused, and where

def jsonl(content, **fields):
    return lambda write: Jsonl(path=write(content, "a.jsonl"), **fields)


def table(content, name="a.csv", **fields):
    return lambda write: Table(path=write(content, name), **fields)


def text(content, **fields):
    return lambda write: Text(path=write(content, "a.txt"), **fields)


MALFORMED = {
    "missing": (lambda write: Text(path=write("x") + ".none"), "data.txt.none: no such file"),
    "empty": (text(""), "a.txt: the file is empty"),
    "blank": (text(" \n\n\t\n"), "a.txt: there is nothing in it"),
    "glob": (lambda write: Text(path=write("x") + "*.z"), "no file matches"),
    "utf-8": (text(b"good\nbad \xff here\n"), "a.txt:2:5: byte 0xff is not UTF-8"),
    "utf-16": (text("hello".encode("utf-16")), "a.txt:1:1: byte 0xff is not UTF-8"),
    "long line": (text("a\n" + "b" * 101 + "\nc", line_limit=100), "a.txt:2: the line is longer"),
    "longer line": (text("a\n" + "b" * 3_000_000, line_limit=100), "a.txt:2: the line is longer"),
    "damaged gz": (lambda write: Text(path=write(gzip.compress(b"a\n" * 9999)[:40], "a.gz")),
                   "a.gz: a damaged .gz file"),
    "not gz": (lambda write: Text(path=write(b"plain", "a.gz")), "a.gz: a damaged .gz file"),
    "damaged xz": (lambda write: Text(path=write(lzma.compress(b"a\n" * 9999)[:40], "a.xz")),
                   "a.xz: a damaged .xz file"),
    "not json": (jsonl('{"text": "a"}\n{"text": b}\n'), "a.jsonl:2:10: not JSON"),
    "not an object": (jsonl('{"text": "a"}\n\n["b"]\n'), "a.jsonl:3: a JSON object was expected"),
    "no field": (jsonl('{"text": "a"}\n{"txt": "b", "n": 1}\n'),
                 "a.jsonl:2: no field 'text'; its fields are: txt, n"),
    "no text": (jsonl('{"text": "a"}\n{"text": null}\n'), "a.jsonl:2: field 'text' is not a text"),
    "surrogate": (jsonl('{"text": "a"}\n{"text": "\\ud800"}\n'), "a.jsonl:2: not readable as JSON"),
    "deep": (jsonl('{"text": "a"}\n' + "[" * 200_000), "a.jsonl:2: not readable as JSON"),
    "columns": (table("text,label\na,b\nc\n"), "a.csv:3: 1 columns instead of 2"),
    "open quote": (table('text,label\na,b\n"c,d\n'), "a.csv:3: broken quotes"),
    "closed quote": (table('text,label\na,b\n"c"d,e\n'), "a.csv:3: broken quotes"),
    "delimiter": (table("a;b\n", "a.data"), "the suffix does not tell the delimiter"),
    "header": (table("text,text\na,b\n"), "a.csv:1: the header has 2 columns"),
    "no column": (table("txt,label\na,b\n"), "a.csv:2: no field 'text'"),
    "not parquet": (lambda write: Parquet(path=write("text", "a.parquet")),
                    "a.parquet: not a readable Parquet file"),
    "unequal": (lambda write: Parallel(source=write("a\nb\n", "a"), target=write("c\n", "b")),
                "b: ends after 1 lines"),
    "no hub": (lambda write: Hub(name="owner/set"), "pip install datasets"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_data_is_refused_with_its_place(write, case, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    if case == "not parquet":
        pytest.importorskip("pyarrow")
    make, message = MALFORMED[case]
    with pytest.raises(UserError) as error:
        list(make(write).texts())
    assert message in str(error.value)
    assert "\n" not in str(error.value)


SKIPPABLE = ["utf-8", "long line", "not json", "not an object", "no field", "no text", "surrogate",
             "deep", "columns", "open quote", "closed quote"]


@pytest.mark.parametrize("case", SKIPPABLE)
def test_bad_lines_can_be_skipped_and_are_counted(write, case, capsys):
    import dataclasses
    make, message = MALFORMED[case]
    source = dataclasses.replace(make(write), on_bad_line="skip")
    assert list(source.texts())
    printed = capsys.readouterr().err
    assert "skipped 1 bad lines" in printed and message in printed


def test_lines_after_a_skipped_one_keep_their_numbers(write, capsys):
    path = write('{"n": 1}\n' + "x" * 3_000_000 + '\n{"n": 3}\n\xff\n{"n": 5}\n', "a.jsonl")
    source = Jsonl(path=path, on_bad_line="skip", line_limit=1000)
    assert [record["where"] for record in source.records()] == [f"{path}:{n}" for n in (1, 3, 5)]
    assert "skipped 2 bad lines" in capsys.readouterr().err


def test_nothing_but_bad_lines_is_an_error(write, capsys):
    with pytest.raises(UserError, match="nothing in it but blank or skipped lines"):
        list(Jsonl(path=write("x\ny\n", "a.jsonl"), on_bad_line="skip").texts())


def test_columns_without_names_are_refused():
    with pytest.raises(UserError, match="needs fields"):
        Table(path="a.csv", header=False)


@pytest.mark.parametrize("mode, outcome", [("refuse", "refused"), ("skip", "read")])
def test_memory_stays_bounded_on_a_huge_line(tmp_path, mode, outcome):
    path = tmp_path / "huge.jsonl"
    with path.open("wb") as stream:
        stream.write(b'{"text": "a"}\n')
        stream.seek(320 << 20)  # a hole: a line of 320 MiB of NUL
        stream.write(b'\n{"text": "b"}\n')
    program = (
        "import resource, sys\n"
        "from transformer.data.source import Jsonl\n"
        "from transformer.error import UserError\n"
        "resource.setrlimit(resource.RLIMIT_AS, (256 << 20, 256 << 20))\n"
        "try:\n"
        f"    print('read', list(Jsonl(path={str(path)!r}, on_bad_line={mode!r}).texts()))\n"
        "except UserError as error:\n"
        "    print('refused', error)\n")
    root = pathlib.Path(reading.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(root)}, timeout=60)
    assert done.stdout.startswith(outcome), done.stdout + done.stderr
    assert f"{path}:2: the line is longer" in done.stdout + done.stderr
    if mode == "skip":
        assert "['a', 'b']" in done.stdout


# fingerprints

def test_a_fingerprint_follows_content_and_fields_only(write, tmp_path):
    first = Text(path=write("some text\n", "a/x.txt")).fingerprint()
    copied = write("some text\n", "b/y.txt")
    os.utime(copied, (1, 1))
    assert Text(path=copied).fingerprint() == first
    assert Text(path=copied, documents="line").fingerprint() != first
    assert Text(path=write("some texts\n", "c/x.txt")).fingerprint() != first
    write("more\n", "a/y.txt")
    assert Text(path=str(tmp_path / "a")).fingerprint() != first
    fields = dict(name="a", split="b")
    assert Hub(**fields).fingerprint() != Hub(**fields, revision="c").fingerprint()
    assert Jsonl(path=copied).fingerprint() != Jsonl(path=copied, field="body").fingerprint()


def test_large_files_count_by_size_time_and_edges(write, monkeypatch):
    from transformer.data import fingerprint
    monkeypatch.setattr(fingerprint, "WHOLE", 10)
    monkeypatch.setattr(fingerprint, "EDGE", 4)
    path = write("abcdefghijklmnop")
    seen = set()
    for content, time in (("abcdefghijklmnop", 1), ("abcdefghijklmnop", 2), ("abcdefghijklmnoq", 1),
                          ("xbcdefghijklmnop", 1), ("abcdefghijklmnopq", 1)):
        write(content)
        os.utime(path, (time, time))
        seen.add(Text(path=path).fingerprint())
    assert len(seen) == 5


def test_specs_round_trip():
    from transformer.spec import from_json, to_json
    for spec in (Text(path="a"), Table(path="b", fields=("x", "y")), Hub(name="c")):
        assert from_json(json.loads(json.dumps(to_json(spec)))) == spec
