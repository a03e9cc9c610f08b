"""Your own data where a path names it, the embedded world's otherwise."""

import itertools
import json

import pytest

from transformer.data.own import Own, OwnPairs
from transformer.data.source import Text
from transformer.data.world import World, WorldTask
from transformer.error import UserError
from transformer.spec import override


def test_without_a_path_it_is_the_world():
    for own, world in ((Own(), World()), (OwnPairs(), WorldTask(name="translation"))):
        assert own.fingerprint() == world.fingerprint()
        assert own.size() == world.size()
        first = lambda source: list(itertools.islice(source.records(), 5))
        assert first(own) == first(world)
    assert list(itertools.islice(Own().pieces(), 5)) == list(itertools.islice(World().pieces(), 5))


@pytest.mark.parametrize("name, content, documents", [
    ("a.txt", "one\ntwo\n\nthree\n", ["one\ntwo", "three"]),
    ("a.jsonl", '{"text": "one"}\n{"text": "two"}\n', ["one", "two"]),
    ("a.tsv", "n\ttext\n1\tone\n2\ttwo\n", ["one", "two"]),
])
def test_the_suffix_tells_how_text_is_read(tmp_path, name, content, documents):
    (tmp_path / name).write_text(content)
    own = override(Own(), "path", str(tmp_path / name))  # as --data.path does
    assert [text for text, _ in own.pieces()] == documents
    assert [record["text"] for record in own.records()] == documents


def test_the_fingerprint_follows_the_file(tmp_path):
    (tmp_path / "a.txt").write_text("one")
    own = Own(path=str(tmp_path / "a.txt"))
    assert own.fingerprint() == Text(path=own.path).fingerprint() != Own().fingerprint()
    before = own.fingerprint()
    (tmp_path / "a.txt").write_text("two")
    assert own.fingerprint() != before


@pytest.mark.parametrize("name, content", [
    ("a.tsv", "source\ttarget\none\teins\n"), ("a.csv", 'source,target\none,"eins"\n'),
    ("a.jsonl", json.dumps({"source": "one", "target": "eins"}) + "\n"),
])
def test_pairs_come_from_a_table(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    record, = OwnPairs(path=str(tmp_path / name)).records()
    assert (record["source"], record["target"]) == ("one", "eins")


def test_what_cannot_be_read():
    with pytest.raises(UserError, match="pairs.txt.*use .csv, .tsv"):
        OwnPairs(path="pairs.txt")
    with pytest.raises(UserError, match="nowhere.txt: no such file"):
        Own(path="nowhere.txt").fingerprint()
