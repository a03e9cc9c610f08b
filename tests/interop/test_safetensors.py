"""The format: what is written reads back, and nothing that a file says is believed unchecked."""

import json
import os

import ml_dtypes
import numpy as np
import pytest

from transformer.error import UserError
from transformer.interop import safetensors
from transformer.interop.folder import INDEX, WEIGHTS, Folder

TENSORS = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.float16([1.5, -2.0]),
           "none": np.zeros((0, 4), np.float32), "one": np.array(7.0, np.float32),
           "brain": np.array([1.5, np.nan, -3.0], ml_dtypes.bfloat16)}


def written(path, tensors=TENSORS):
    about = {name: (array.dtype, array.shape) for name, array in tensors.items()}
    names = list(safetensors.ordered(about))
    safetensors.write(path, {name: about[name] for name in names}, (tensors[n] for n in names))
    return path


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def test_what_is_written_reads_back(tmp_path):
    file = safetensors.File(written(tmp_path / WEIGHTS))
    assert file.entries.keys() == TENSORS.keys()
    assert all(same(file.read(name), TENSORS[name]) for name in TENSORS)


def test_it_is_the_published_format(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    there = library.load_file(written(tmp_path / WEIGHTS))
    assert all(same(there[name], TENSORS[name]) for name in TENSORS)
    library.save_file(dict(TENSORS), tmp_path / "theirs", {"format": "pt"})
    file = safetensors.File(tmp_path / "theirs")
    assert all(same(file.read(name), TENSORS[name]) for name in TENSORS)
    assert (tmp_path / "theirs").read_bytes() == (tmp_path / WEIGHTS).read_bytes()


def forged(path, header, data=b"\0" * 8, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(text) if length is None else length
    path.write_bytes(size.to_bytes(8, "little") + text + data)
    return path


def entry(shape=(2,), offsets=(0, 8), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


HOSTILE = {
    "empty": b"",
    "seven bytes": b"\1\0\0\0\0\0\0",
    "longest header": dict(header={}, length=2**63),
    "header beyond the file": dict(header={"a": entry()}, length=10_000),
    "no JSON": dict(header=b"{'a': 1}"),
    "no UTF-8": dict(header=b'{"\xff": 1}'),
    "a list": dict(header=[1, 2]),
    "deep": dict(header=b"[" * 100_000),
    "twice": dict(header=b'{"a": {"dtype":"F32","shape":[2],"data_offsets":[0,8]}, '
                         b'"a": {"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'),
    "control character": dict(header={"a\0b": entry()}),
    "newline": dict(header={"a\nb": entry()}),
    "no name": dict(header={"": entry()}),
    "unknown type": dict(header={"a": entry(dtype="X32")}),
    "no shape": dict(header={"a": {"dtype": "F32", "data_offsets": [0, 8]}}),
    "shape of text": dict(header={"a": entry(shape="2")}),
    "negative shape": dict(header={"a": entry(shape=(-1, -2))}),
    "float shape": dict(header={"a": entry(shape=(2.0,))}),
    "shape beyond the bytes": dict(header={"a": entry(shape=(2**31, 2**31))}),
    "shape that overflows": dict(header={"a": entry(shape=(2**62, 4))}),
    "backwards": dict(header={"a": entry(offsets=(8, 0))}),
    "outside": dict(header={"a": entry(offsets=(8, 16))}),
    "overlap": dict(header={"a": entry(), "b": entry(offsets=(4, 12))}, data=b"\0" * 12),
    "alias": dict(header={"a": entry(), "b": entry()}),
    "hole": dict(header={"a": entry(), "b": entry(offsets=(12, 20))}, data=b"\0" * 20),
    "trailing bytes": dict(header={"a": entry()}, data=b"\0" * 9),
    "three offsets": dict(header={"a": entry(offsets=(0, 4, 8))}),
    "a number for a tensor": dict(header={"a": 3}),
    "no numbers, but no array": dict(header={"a": entry((2**62, 0), (0, 0))}, data=b""),
    "dimensions": dict(header={"a": entry((1,) * 70 + (2,))}),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused(kind, tmp_path):
    what = HOSTILE[kind]
    if isinstance(what, bytes):
        (tmp_path / WEIGHTS).write_bytes(what)
    else:
        forged(tmp_path / WEIGHTS, **what)
    with pytest.raises(UserError, match="no safetensors file that can be trusted"):
        safetensors.File(tmp_path / WEIGHTS)


def test_any_changed_byte_is_refused_or_harmless(tmp_path):
    """Never another exception, and never more memory than the file has."""
    whole, draw = written(tmp_path / WEIGHTS).read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(draw.integers(1, 4)):
            data[draw.integers(len(data))] = draw.integers(256)
        (tmp_path / WEIGHTS).write_bytes(data[:draw.integers(len(data) + 1)] if draw.random() < 0.3
                                         else data)
        try:
            file = safetensors.File(tmp_path / WEIGHTS)
            for name in file.entries:
                assert file.read(name).nbytes <= len(whole)
        except UserError:
            pass


def test_types_that_no_parameter_has_are_named(tmp_path):
    file = safetensors.File(forged(tmp_path / WEIGHTS, {"a": entry((1,), dtype="I64")}))
    with pytest.raises(UserError, match="a is I64, but parameters are F32, BF16, F16"):
        file.read("a")


def sharded(folder, index):
    written(folder / "one.safetensors", {"a": TENSORS["a"]})
    written(folder / "two.safetensors", {"b": TENSORS["b"]})
    (folder / INDEX).write_text(json.dumps({"weight_map": index}))
    return Folder(folder)


def test_shards_are_one_model(tmp_path):
    there = sharded(tmp_path, {"a": "one.safetensors", "b": "two.safetensors"}).tensors()
    assert there.names == {"a", "b"} and same(there.read("b"), TENSORS["b"])


@pytest.mark.parametrize(("index", "words"), [
    ({"a": "../one.safetensors"}, "leads out"), ({"a": "/etc/passwd"}, "leads out"),
    ({"a": "one\0.safetensors"}, "leads out"), ({"a": "..\\one"}, "leads out"),
    ({"a": "link.safetensors"}, "link that leads out"), ({"a": "none"}, "there is no file none"),
    ({"a": 3}, "no weight_map"), ({"a": "one.safetensors"}, None),
    ({"a": "one.safetensors", "b": "one.safetensors"}, "disagree about b"),
    ({"a": "one.safetensors", "b": "two.safetensors", "c": "two.safetensors"}, "disagree about c"),
])
def test_an_index_leads_nowhere_else(index, words, tmp_path):
    (tmp_path / "model").mkdir()
    written(tmp_path / "outside", {"a": TENSORS["a"]})
    os.symlink(tmp_path / "outside", tmp_path / "model" / "link.safetensors")
    folder = sharded(tmp_path / "model", index)
    if words is None:
        assert folder.tensors().names == {"a"}
        return
    with pytest.raises(UserError, match=words):
        folder.tensors()


def test_the_cache_of_the_hub_is_one_place(tmp_path):
    """There a snapshot's files are links into the blobs of the same model, and nowhere else."""
    blobs, snapshot = tmp_path / "models--a" / "blobs", tmp_path / "models--a" / "snapshots" / "1"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    written(blobs / "f00")
    os.symlink("../../blobs/f00", snapshot / WEIGHTS)
    assert Folder(snapshot).tensors().names == TENSORS.keys()
    (snapshot / WEIGHTS).unlink()
    os.symlink(written(tmp_path / "other"), snapshot / WEIGHTS)
    with pytest.raises(UserError, match="link that leads out"):
        Folder(snapshot).tensors()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pkl"])
def test_pickles_are_never_opened(name, tmp_path):
    (tmp_path / name).write_bytes(b"\x80\x04cos\nsystem\n(S'touch canary'\ntR.")
    with pytest.raises(UserError, match=f"{name} is a pickle, a program"):
        Folder(tmp_path).tensors()
    with pytest.raises(UserError, match="no weights here"):
        Folder(tmp_path.parent).tensors()
