"""Ranges of a file (RFC 9110, section 14): a file is read in pieces that memory can hold."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from shared.errors import FleetcertError

MOST: Final = 8 * 2**20
"""Bytes of one answer. A range may be answered by less than was asked for: `Content-Range` says by what."""
_RANGE: Final = r"bytes=([0-9]{1,18})-([0-9]{0,18})"


class RangeRequired(FleetcertError):
    """The file is larger than one answer (400)."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the file has {size} bytes: ask for pieces of it, e.g. by Range: bytes=0-{MOST - 1}")


class RangeNotSatisfiable(FleetcertError):
    """The file ends before the range begins (416)."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the file has {size} bytes")
        self.size = size


class ByteRange(Struct, frozen=True):
    """From `start` on, at most `length` bytes. is_asked: there was such a header; else the whole file is wanted."""

    start: int = 0
    length: int = MOST
    is_asked: bool = False

    @classmethod
    def read(cls, header: str | None) -> ByteRange:
        """The range of a `Range` header. Of another form than `bytes=a-b` it is as good as none, as RFC 9110 allows."""
        match = re.fullmatch(_RANGE, (header or "").strip())
        if match is None:
            return cls()
        start = int(match[1])
        end = int(match[2]) if match[2] else start + MOST - 1
        return cls(start, min(end - start + 1, MOST), is_asked=True) if start <= end else cls()

    def check(self, size: int) -> None:
        """That a file of so many bytes can be answered so. Raises: RangeRequired, RangeNotSatisfiable."""
        if self.is_asked and self.start >= size:
            raise RangeNotSatisfiable(size)
        if not self.is_asked and size > MOST:
            raise RangeRequired(size)
