"""A table's rows as lines of a backup: every value with its type, and a digest that does not depend on their order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from azure.data.tables import EdmType, EntityProperty

_MODULUS: Final = 2**256
_KEYS: Final = frozenset({"PartitionKey", "RowKey"})

type Entity = Mapping[str, Any]


@dataclass(slots=True)
class Tally:
    """How many rows there are, and the sum of their SHA-256 digests, by partition: the same in any order."""

    counts: dict[str, int] = field(default_factory=dict)
    sums: dict[str, int] = field(default_factory=dict)

    def add(self, partition: str, line: bytes) -> None:
        """Takes one row's line in."""
        digest = int.from_bytes(hashlib.sha256(line).digest())
        self.counts[partition] = self.counts.get(partition, 0) + 1
        self.sums[partition] = (self.sums.get(partition, 0) + digest) % _MODULUS

    def join(self, others: Iterable[Tally]) -> Tally:
        """This tally with those of other partitions."""
        for other in others:
            self.counts |= other.counts
            self.sums |= other.sums
        return self

    def differences(self, other: Tally) -> list[str]:
        """The partitions in which the two differ; one without rows is as good as none."""
        return [
            partition
            for partition in sorted(self.counts | other.counts)
            if self._member(partition) != other._member(partition)
        ]

    def _member(self, partition: str) -> tuple[int, int]:
        return self.counts.get(partition, 0), self.sums.get(partition, 0)

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(self.counts.values())

    def to_json(self) -> dict[str, Any]:
        """As it stands in a backup."""
        return {p: {"rows": self.counts[p], "digest": f"{self.sums[p]:064x}"} for p in sorted(self.counts)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Tally:
        """What `to_json` wrote. Raises: KeyError, TypeError, ValueError."""
        counts = {partition: int(member["rows"]) for partition, member in document.items()}
        return cls(counts, {partition: int(member["digest"], 16) for partition, member in document.items()})


def line_of(entity: Entity) -> bytes:
    """A row as it came from the SDK, as one line without its line feed; the service's own timestamp is left out."""
    values = {name: _typed(value) for name, value in entity.items() if name not in _KEYS}
    document = {"p": entity["PartitionKey"], "k": entity["RowKey"], "v": values}
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def entity_of(line: bytes) -> dict[str, Any]:
    """The row in a line, for the SDK. Raises: ValueError, KeyError, TypeError where the line holds none."""
    document = json.loads(line)
    values = {name: _untyped(value) for name, value in document["v"].items()}
    return {"PartitionKey": document["p"], "RowKey": document["k"], **values}


def _typed(value: Any) -> Any:
    match value:
        case EntityProperty(value=number, edm_type=EdmType.INT64):
            return {"int64": str(number)}
        case datetime():
            return {"instant": value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")}
        case str() | bool() | int():
            return value
        case _:
            raise TypeError(f"the fleet's table holds no {type(value).__name__}")


def _untyped(value: Any) -> Any:
    match value:
        case {"int64": number}:
            return EntityProperty(int(number), EdmType.INT64)
        case {"instant": text}:
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        case _:
            return value
