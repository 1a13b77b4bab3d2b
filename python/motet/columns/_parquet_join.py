"""Parquet files of one schema joined without decoding them: row groups are copied, their places in the footer shifted.

A row group is a run of bytes, and the footer has its place in the file. Reading and writing the rows anew takes as long
as parsing them. The footer is a `FileMetaData` of Parquet's `parquet.thrift`, in Thrift's compact protocol; fields that
are not known here are kept as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from motet._atomic_files import AtomicWriter
from motet.errors import DataError

__all__ = ["join_files"]

_MAGIC = b"PAR1"
_COPY_BYTES = 4 << 20

# Field numbers of `parquet.thrift`.
_SCHEMA, _NUM_ROWS, _ROW_GROUPS, _KEY_VALUES = 2, 3, 4, 5
_COLUMNS, _GROUP_OFFSET, _ORDINAL = 1, 5, 7
_CHUNK_OFFSETS = (2, 4, 6)
"""Of a `ColumnChunk`: its own place, and those of its offset index and its column index."""
_CHUNK_METADATA = 3
_PAGE_OFFSETS = (9, 10, 11, 14)
"""Of a `ColumnMetaData`: its data pages, index page, dictionary page and Bloom filter."""

# Types of the compact protocol.
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12

_Struct: TypeAlias = dict[int, tuple[int, Any]]
"""Type and value by field number. The value of a list is the type of its items and the items.

A struct in a list may be encoded already."""


def join_files(parts: Sequence[Path], target: AtomicWriter, key: bytes, value: bytes) -> None:
    """Writes the row groups of all parts, in order, with the metadata of the first part except `value` for `key`.

    `parts`: at least one. Raises `DataError` if their schemas differ.
    """
    target.write(_MAGIC)
    position = len(_MAGIC)
    whole: _Struct = {}
    groups: list[bytes] = []
    rows = 0
    for part in parts:
        footer, end = _read_footer(part)
        whole = whole or footer
        if footer[_SCHEMA] != whole[_SCHEMA]:
            raise DataError(f"rows of one file differ in their types: those of {str(parts[0])!r} and {str(part)!r}")
        for group in footer[_ROW_GROUPS][1][1]:
            _shift_group(group, position - len(_MAGIC))
            # Encoded now: a tenth of the memory of its fields.
            groups.append(_encoded(group))
        rows += footer[_NUM_ROWS][1]
        _copy(part, end, target)
        position += end - len(_MAGIC)
    whole[_NUM_ROWS] = (_I64, rows)
    whole[_ROW_GROUPS] = (_LIST, (_STRUCT, groups))
    for pair in whole[_KEY_VALUES][1][1]:
        if pair[1] == (_BINARY, key):
            pair[2] = (_BINARY, value)
    data = _encoded(whole)
    target.write(data + len(data).to_bytes(4, "little") + _MAGIC)


def _read_footer(path: Path) -> tuple[_Struct, int]:
    """The footer, and where it begins."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(size - 8)
        start = size - 8 - int.from_bytes(file.read(4), "little")
        file.seek(start)
        return _Decoder(file.read(size - 8 - start)).value(_STRUCT), start


def _copy(path: Path, end: int, target: AtomicWriter) -> None:
    """The bytes between the magic at the head and the footer."""
    left = end - len(_MAGIC)
    with path.open("rb") as file:
        file.seek(len(_MAGIC))
        while left:
            data = file.read(min(left, _COPY_BYTES))
            if not data:
                raise DataError(f"{str(path)!r} ends before its footer")
            target.write(data)
            left -= len(data)


def _shift_group(group: _Struct, distance: int) -> None:
    # The number of a row group in its file. It is optional, and has 16 bits.
    group.pop(_ORDINAL, None)
    _shift(group, (_GROUP_OFFSET,), distance)
    for chunk in group[_COLUMNS][1][1]:
        _shift(chunk, _CHUNK_OFFSETS, distance)
        _shift(chunk[_CHUNK_METADATA][1], _PAGE_OFFSETS, distance)


def _shift(struct: _Struct, fields: Sequence[int], distance: int) -> None:
    for number in fields:
        kind, offset = struct.get(number, (_I64, 0))
        # Some writers have 0 for an unknown place.
        if offset:
            struct[number] = (kind, offset + distance)


class _Decoder:
    """Reads values of the compact protocol one behind the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def value(self, kind: int) -> Any:
        if kind in (_TRUE, _FALSE):
            return kind == _TRUE
        if kind in (_I16, _I32, _I64):
            number = self._varint()
            return number >> 1 ^ -(number & 1)
        if kind in (_BYTE, _DOUBLE, _BINARY):
            return self._bytes(self._varint() if kind == _BINARY else 1 if kind == _BYTE else 8)
        if kind in (_LIST, _SET):
            head = self._bytes(1)[0]
            size = head >> 4 if head >> 4 < 15 else self._varint()
            # A boolean is in the type of a field, but an item of a list is a byte.
            item = _BYTE if head & 15 in (_TRUE, _FALSE) else head & 15
            return head & 15, [self.value(item) for _ in range(size)]
        if kind == _STRUCT:
            return self._struct()
        raise DataError(f"the footer of a Parquet file has a value of the unknown type {kind}")

    def _struct(self) -> _Struct:
        fields: _Struct = {}
        number = 0
        while head := self._bytes(1)[0]:
            number = number + (head >> 4) if head >> 4 else self.value(_I16)
            fields[number] = (head & 15, self.value(head & 15))
        return fields

    def _varint(self) -> int:
        number = shift = 0
        while True:
            byte = self._data[self._position]
            self._position += 1
            number |= (byte & 127) << shift
            if byte < 128:
                return number
            shift += 7

    def _bytes(self, size: int) -> bytes:
        start = self._position
        self._position += size
        return self._data[start : self._position]


def _encoded(struct: _Struct) -> bytes:
    data = bytearray()
    _write_value(data, _STRUCT, struct)
    return bytes(data)


def _write_value(data: bytearray, kind: int, value: Any) -> None:
    if kind in (_I16, _I32, _I64):
        _write_varint(data, value << 1 if value >= 0 else (-value << 1) - 1)
    elif kind in (_BYTE, _DOUBLE) or (kind == _STRUCT and isinstance(value, bytes)):
        data += value
    elif kind == _BINARY:
        _write_varint(data, len(value))
        data += value
    elif kind in (_LIST, _SET):
        item, items = value
        data.append(min(len(items), 15) << 4 | item)
        if len(items) >= 15:
            _write_varint(data, len(items))
        for element in items:
            _write_value(data, _BYTE if item in (_TRUE, _FALSE) else item, element)
    elif kind == _STRUCT:
        last = 0
        for number, (field_kind, field) in sorted(value.items()):
            if number - last <= 15:
                data.append(number - last << 4 | field_kind)
            else:
                data.append(field_kind)
                _write_value(data, _I16, number)
            _write_value(data, field_kind, field)
            last = number
        data.append(0)


def _write_varint(data: bytearray, number: int) -> None:
    while number > 127:
        data.append(number & 127 | 128)
        number >>= 7
    data.append(number)
