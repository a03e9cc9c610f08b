"""TensorBoard event files, written by hand: scalars only, no TensorFlow.

The file is a sequence of records: length (uint64), masked crc32c of the length, data, masked
crc32c of the data, all little endian. Data is the protocol buffer `tensorflow.Event`, of which
five fields are used: 1 wall_time, 2 step, 3 file_version, 5 summary, 7 session_log.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from pathlib import Path


def _crc_table() -> tuple[int, ...]:
    polynomial, table = 0x82F63B78, []  # Castagnoli, reflected
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (polynomial if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _crc_table()
_DOUBLE, _VARINT, _BYTES, _FLOAT = 1, 0, 2, 5  # wire types of fixed64, varint, bytes, fixed32


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli) of RFC 3720; 0xe3069283 for b"123456789"."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def record(data: bytes) -> bytes:
    """The bytes of one record of the file."""
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def _field(number: int, kind: int, value) -> bytes:
    key = _varint(number << 3 | kind)
    if kind == _VARINT:
        return key + _varint(value)
    if kind == _BYTES:
        return key + _varint(len(value)) + value
    return key + struct.pack("<d" if kind == _DOUBLE else "<f", value)


def _event(step: int, *content: bytes) -> bytes:
    head = _field(1, _DOUBLE, time.time()) + _field(2, _VARINT, step)
    return record(head + b"".join(content))


def _scalar(name: str, value: float) -> bytes:
    return _field(1, _BYTES, _field(1, _BYTES, name.encode()) + _field(2, _FLOAT, value))


def _float32(value: float) -> float:
    """The value, or the infinity it rounds to where fp32 ends."""
    largest = 3.4028234663852886e38
    return value if not abs(value) > largest else float("inf") * (1 if value > 0 else -1)


class Events:
    """One event file in `directory`, which makes TensorBoard forget steps after `restored`."""

    def __init__(self, directory, restored: int | None = None):
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns() // 10**9}.{socket.gethostname()}.{os.getpid()}"
        self._file = open(directory / name, "ab")
        self._file.write(_event(0, _field(3, _BYTES, b"brain.Event:2")))
        if restored is not None:
            start = _field(7, _BYTES, _field(1, _VARINT, 1))  # SessionLog.START
            self._file.write(_event(restored + 1, start))
        self._file.flush()

    def write(self, step: int, numbers: dict[str, float]) -> None:
        """One event with a scalar for each number."""
        values = b"".join(_scalar(name, _float32(float(v))) for name, v in numbers.items())
        self._file.write(_event(step, _field(5, _BYTES, values)))
        self._file.flush()

    def close(self) -> None:
        self._file.close()
