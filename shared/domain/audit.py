"""The audit's chain: one line a change, and every line carries the hash of the line before it.

A line is one JSON object in canonical form (sorted members, no blanks, ASCII): `{"entry","hash","previous","seq"}`. Its
hash is SHA-256 over the same object without `hash`. The chain runs through blobs named `{day}.{number}.jsonl`; the last
line of a blob names the next, so that nobody can append to a blob that the chain has left.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Self

GENESIS: Final = "0" * 64
"""What stands for the hash before the first line."""
CONTINUES: Final = "auditContinues"
"""The kind of a blob's last entry; its member `next` is the name of the blob that follows."""

_NAME: Final = re.compile(r"(\d{4}-\d{2}-\d{2})\.(\d{4})\.jsonl")

type Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain stands: the number and the hash of its last line."""

    seq: int = 0
    hash: str = GENESIS


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the chain. previous: the hash of the line before."""

    seq: int
    previous: str
    hash: str
    entry: Entry

    @classmethod
    def after(cls, head: Head, entry: Entry) -> Self:
        """The line that carries `entry` on from `head`."""
        seq = head.seq + 1
        return cls(seq, head.hash, _digest(seq, head.hash, entry), entry)

    @classmethod
    def from_json(cls, raw: bytes) -> Self:
        """The line in these bytes, unchecked. Raises: ValueError where they are no line in canonical form."""
        document = json.loads(raw)
        try:
            line = cls(document["seq"], document["previous"], document["hash"], document["entry"])
        except (KeyError, TypeError) as problem:
            raise ValueError(f"no line of the audit: {problem}") from problem
        if line.to_json() != raw:
            raise ValueError("not in canonical form")
        return line

    def to_json(self) -> bytes:
        """The line as it stands in a blob, without the line feed."""
        return _canonical({"seq": self.seq, "previous": self.previous, "hash": self.hash, "entry": self.entry})

    @property
    def head(self) -> Head:
        """Where the chain stands after this line."""
        return Head(self.seq, self.hash)

    @property
    def next_blob(self) -> str | None:
        """The blob that the chain goes on in, where this line is the last of its blob."""
        return str(self.entry["next"]) if self.entry.get("kind") == CONTINUES else None

    def fault_after(self, head: Head) -> str | None:
        """What is wrong with this line where it stands after `head`; None where nothing is."""
        if self.seq != head.seq + 1:
            return f"line {head.seq + 1} is expected, and this is line {self.seq}"
        if self.previous != head.hash:
            return "it does not carry the hash of the line before it"
        return None if self.is_whole else "its content does not have its hash"

    @property
    def is_whole(self) -> bool:
        """Whether the content has the hash that the line gives."""
        return self.hash == _digest(self.seq, self.previous, self.entry)


def blob_name(day: date, number: int = 1) -> str:
    """The name of a day's n-th blob; names sort in the order of the chain."""
    return f"{day.isoformat()}.{number:04d}.jsonl"


def following_name(name: str, today: date) -> str:
    """The blob after `name`: the first of `today`, or one more of the day where the clock has not left it.

    A clock that was set back does not take the chain back.
    """
    day, number = _parts(name)
    return blob_name(today) if day < today else blob_name(day, number + 1)


def day_of(name: str) -> date:
    """The day in a blob's name. Raises: ValueError where it is no name of an audit blob."""
    return _parts(name)[0]


def _parts(name: str) -> tuple[date, int]:
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"{name} is no audit blob")
    return date.fromisoformat(match[1]), int(match[2])


def _digest(seq: int, previous: str, entry: Entry) -> str:
    return hashlib.sha256(_canonical({"seq": seq, "previous": previous, "entry": entry})).hexdigest()


def _canonical(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
