"""TensorBoard event files, read back by an independent reader of records and protocol buffers."""

import math
import struct

import pytest

from transformer.training.events import Events, crc32c, record


def crc_bit_by_bit(data):
    """CRC-32C by polynomial division, without a table."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def unmasked(crc):
    rotated = (crc - 0xA282EAD8) % 2**32
    return (rotated >> 17 | rotated << 15) % 2**32


def records(data):
    while data:
        length, = struct.unpack("<Q", data[:8])
        body, tail = data[12:12 + length], data[12 + length:16 + length]
        assert unmasked(struct.unpack("<I", data[8:12])[0]) == crc_bit_by_bit(data[:8])
        assert unmasked(struct.unpack("<I", tail)[0]) == crc_bit_by_bit(body)
        yield body
        data = data[16 + length:]


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at


def message(data):
    """[(field number, value), ...] of a protocol buffer."""
    at, fields = 0, []
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 1:
            value, at = struct.unpack("<d", data[at:at + 8])[0], at + 8
        elif key & 7 == 5:
            value, at = struct.unpack("<f", data[at:at + 4])[0], at + 4
        else:
            length, at = varint(data, at)
            value, at = data[at:at + length], at + length
        fields.append((key >> 3, value))
    return fields


def events(directory):
    path, = directory.glob("events.out.tfevents.*")
    return [dict(message(body)) for body in records(path.read_bytes())]


def scalars(event):
    values = [dict(message(v)) for n, v in message(event[5]) if n == 1]
    return {v[1].decode(): v[2] for v in values}


@pytest.mark.parametrize(("data", "crc"), [  # RFC 3720 B.4, and the usual check value
    (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E)])
def test_crc32c(data, crc):
    assert crc32c(data) == crc == crc_bit_by_bit(data)


def test_a_record(tmp_path):
    assert list(records(record(b"abc") + record(b""))) == [b"abc", b""]


def test_scalars_are_read_back(tmp_path):
    log = Events(tmp_path)
    log.write(1, {"loss": 2.5, "validation_loss": 3})
    log.write(2**40, {"loss": math.nan, "large": 1e300, "small": -1e300})
    log.close()
    version, first, second = events(tmp_path)
    assert version[3] == b"brain.Event:2" and version[1] > 1e9
    assert first[2] == 1 and scalars(first) == {"loss": 2.5, "validation_loss": 3.0}
    values = scalars(second)
    assert second[2] == 2**40 and math.isnan(values["loss"])
    assert (values["large"], values["small"]) == (math.inf, -math.inf)


def test_a_resumed_run_takes_back_the_steps_after_the_checkpoint(tmp_path):
    Events(tmp_path, restored=40).close()
    _, start = events(tmp_path)
    assert start[2] == 41 and message(start[7]) == [(1, 1)]


def test_what_is_written_is_there_at_once(tmp_path):
    log = Events(tmp_path)
    log.write(1, {"loss": 1.0})
    assert len(events(tmp_path)) == 2
    log.close()
