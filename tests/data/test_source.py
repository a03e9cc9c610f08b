import gzip
import json
import lzma
import os
import pathlib
import subprocess
import sys
import tracemalloc
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


@pytest.mark.parametrize("kind, name, content", [
    (Jsonl, "a.jsonl", '{"text": "a\\u0000b", "label": "1"}\n\n{"text": "é", "label": "2"}'),
    (Table, "a.csv", 'text,label\n"a\0b",1\n\né,2'),
    (Table, "a.tsv", "text\tlabel\na\0b\t1\n\né\t2")])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_records_are_the_same_with_marks_windows_ends_and_nul(write, kind, name, content, end,
                                                              mark):
    path = write(mark + content.replace("\n", end), name)
    assert without_place(kind(path=path).records()) == [
        {"text": "a\0b", "label": "1"}, {"text": "é", "label": "2"}]


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
    "double key": (jsonl('{"text": "a"}\n{"text": "b", "n": [{"x": 1, "x": 2}]}\n'),
                   "a.jsonl:2: not readable as JSON (the key 'x' is there twice)"),
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
             "deep", "double key", "columns", "open quote", "closed quote"]


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


@pytest.mark.parametrize("first, message", [
    (b"te\xffxt,label", "a.csv:1:3: byte 0xff is not UTF-8"),
    (b"text,label" + b"x" * 100, "a.csv:1: the line is longer"),
    (b'"text"x,label', "a.csv:1: broken quotes")])
def test_a_header_is_never_skipped(write, first, message):
    path = write(first + b"\na,b\nc,d\n", "a.csv")
    with pytest.raises(UserError) as error:
        list(Table(path=path, on_bad_line="skip", line_limit=50).records())
    assert message in str(error.value) and "the header is never skipped" in str(error.value)


def test_columns_of_one_name_are_refused(tmp_path):
    with pytest.raises(UserError, match="Table.fields names 'a' twice"):
        Table(path="a.csv", header=False, fields=("a", "b", "a"))
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet
    columns = [pyarrow.array(["x"]), pyarrow.array(["y"])]
    parquet.write_table(pyarrow.table(columns, names=["text", "text"]), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="a.parquet: two columns are called 'text'"):
        list(Parquet(path=str(tmp_path / "a.parquet")).records())


def test_a_parquet_file_damaged_anywhere_is_refused_or_read(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet
    path, refused = tmp_path / "a.parquet", 0
    parquet.write_table(pyarrow.table({"text": [f"text {n}" for n in range(99)]}), path)
    sound = path.read_bytes()
    for place in range(0, len(sound), 7):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 0xff]) + sound[place + 1:])
        try:
            list(Parquet(path=str(path)).records())
        except UserError as error:
            refused += 1
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
    assert refused > 20


def test_a_limit_beyond_the_machine_is_no_limit(write):
    path = write("text,label\na,b\n", "a.csv")
    assert list(Table(path=path, line_limit=10**20).texts()) == ["a"]


def test_a_name_too_long_for_the_system_is_refused():
    with pytest.raises(UserError, match="a: cannot be read .*; check the name and who may read it"):
        Text(path="a" * 300).files()


def test_files_that_may_not_be_read_are_refused(write, tmp_path, monkeypatch):
    """As for a user who may not: the tests may run as root, who may do everything."""
    path = pathlib.Path(write("text\n", "texts/closed.txt"))

    def denied(self, *_, **__):
        if self.name == "closed.txt":
            raise PermissionError(13, "Permission denied", str(self))
        return original(self)

    for name, ask in (("stat", lambda: Text(path=str(path)).files()),
                      ("stat", lambda: Text(path=str(path.parent)).files()),
                      ("open", lambda: Text(path=str(path)).fingerprint())):
        original = getattr(pathlib.Path, name)
        with monkeypatch.context() as patch:
            patch.setattr(pathlib.Path, name, denied)
            with pytest.raises(UserError, match="closed.txt: cannot be read .Permission denied.*;"):
                ask()


def test_a_folder_that_may_not_be_listed_is_refused(write, tmp_path, monkeypatch):
    write("a\n", "texts/a.txt")
    write("b\n", "texts/closed/b.txt")
    write("c\n", "texts/.hidden/c.txt")
    scandir = os.scandir

    def denied(place):
        if str(place).endswith(("closed", ".hidden")):
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(UserError, match="texts/closed: cannot be read .Permission denied"):
        Text(path=str(tmp_path / "texts")).files()


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


@pytest.mark.parametrize("begin, line, message", [
    ('text,label\n"', "x" * (1 << 20), "a.csv:2: the line is longer"),
    ('text,label\n"', "word\n" * (1 << 18), "a.csv:2: broken quotes")])
def test_memory_stays_bounded_on_an_open_quote(tmp_path, begin, line, message):
    path = tmp_path / "a.csv"
    with path.open("w") as stream:
        stream.write(begin)
        for _ in range(100):
            stream.write(line)
    tracemalloc.start()
    with pytest.raises(UserError, match=message):
        list(Table(path=str(path), line_limit=1_000_000).texts())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 << 20


# fingerprints

def test_a_fingerprint_follows_what_decides_the_reading(write):
    content = "a,b\tc\n1,2\t3\n"
    comma, tab = (Table(path=write(content, f"x.{kind}")) for kind in ("csv", "tsv"))
    assert without_place(comma.records()) != without_place(tab.records())
    assert comma.fingerprint() != tab.fingerprint()
    packed = gzip.compress(content.encode())
    plain, opened = (Text(path=write(packed, name)) for name in ("a.txt", "a.txt.gz"))
    assert plain.fingerprint() != opened.fingerprint()
    assert Table(path=write(content, "other.csv")).fingerprint() == comma.fingerprint()


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


# readers of lines and pairs

@pytest.mark.parametrize("content", [
    "a\u2028b\n\x0c c\x85d\n\ne\rf", "\ufeffa\u2028b\r\n\x0c c\x85d\r\n\r\ne\rf\r\n"])
def test_the_lines_of_a_verb_are_the_lines_of_its_file(write, content):
    from transformer.verbs.lines import read_lines
    texts = read_lines(pathlib.Path(write(content)))
    assert texts == ["a\u2028b", "\x0c c\x85d", "", "e\rf"]


@pytest.mark.parametrize("content, message", [
    (b"good\nbad \xff", "data.txt:2:5: byte 0xff is not UTF-8; convert the file to UTF-8$"),
    (b"", "data.txt is empty; give one text on each line")])
def test_a_verb_refuses_what_is_no_text(write, content, message):
    from transformer.verbs.lines import read_lines
    with pytest.raises(UserError, match=message):
        read_lines(pathlib.Path(write(content)))
    with pytest.raises(UserError, match="cannot be read"):
        read_lines(pathlib.Path("/nowhere/at all"))


@pytest.mark.parametrize("header, outcome", [
    ("source\ttarget\n", ["ein Haus", "zwei"]),
    ("", "no field 'source'; it has a house, ein Haus")])
def test_no_pair_is_taken_for_a_header(write, header, outcome):
    pytest.importorskip("jax")
    from configs.pretrain.vaswani import experiment
    from transformer.tasks.task import text
    path = write(f"{header}a house\tein Haus\ntwo\tzwei\n", "a.tsv")
    source = experiment(path=path, validation=path).data
    if header:
        assert [text(record, "target") for record in source.records()] == outcome
    else:
        with pytest.raises(UserError, match=f"a.tsv:2: {outcome}"):
            [text(record, "source") for record in source.records()]


@pytest.mark.parametrize("path, reader", [
    ("a.jsonl", "Jsonl"), ("a.csv.gz", "Table"), ("folder/a.parquet", "Parquet")])
def test_a_table_is_no_plain_text(path, reader):
    with pytest.raises(UserError, match=f"read it as {reader}"):
        Text(path=path)
