"""The .npz files of arrays: whatever is in them, it is read or refused in one line."""

import io

import numpy as np
import pytest

from transformer.error import UserError
from transformer.interop.array_files import read_inputs

IDS = np.arange(60).reshape(2, 30)


def packed(save, *arrays, **named):
    file = io.BytesIO()
    save(file, *arrays, **named)
    return file.getvalue()


def test_whole_numbers_come_back(tmp_path):
    (tmp_path / "in.npz").write_bytes(packed(np.savez_compressed, input_ids=IDS.astype(np.uint8)))
    found = read_inputs(tmp_path / "in.npz")["input_ids"]
    assert found.dtype == np.int64 and np.array_equal(found, IDS)


@pytest.mark.parametrize(("data", "message"), [
    (b"no arrays", "no .npz file that can be read"), (b"", "no .npz file that can be read"),
    (packed(np.save, IDS), "one array without a name; write it with np.savez"),
    (packed(np.savez, input_ids=IDS)[:-9], "no .npz file that can be read"),
    (packed(np.savez, input_ids=np.array([{}])), "allow_pickle"),
], ids=["text", "empty", "npy", "truncated", "objects"])
def test_what_is_no_file_of_arrays_is_refused(data, message, tmp_path):
    (tmp_path / "in.npz").write_bytes(data)
    with pytest.raises(UserError, match=message):
        read_inputs(tmp_path / "in.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_any_changed_byte_is_refused_or_harmless(save, tmp_path):
    whole, draw, refused = packed(save, input_ids=IDS), np.random.default_rng(0), 0
    for _ in range(150):
        data = bytearray(whole)
        data[draw.integers(len(data))] = draw.integers(256)
        (tmp_path / "in.npz").write_bytes(data)
        try:
            read_inputs(tmp_path / "in.npz")
        except UserError:
            refused += 1
    assert refused > 50
