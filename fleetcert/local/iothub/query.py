"""The part of IoT Hub's query language that fleet applications use: `SELECT * FROM devices [WHERE a = 'x' AND ..]`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fleetcert.local.iothub.errors import HubError

_QUERY: Final = re.compile(r"\s*select\s+\*\s+from\s+devices\s*(?:\bwhere\b(?P<where>.*))?", re.I | re.S)
_CONDITION: Final = re.compile(
    r"\s*(?P<path>[A-Za-z_][\w.]*)\s*=\s*(?P<literal>'(?:[^']|'')*'|\"[^\"]*\"|-?\d+(?:\.\d+)?|true|false)\s*", re.I
)
_AND: Final = re.compile(r"and\b", re.I)
_ROOTS: Final = frozenset(
    {"deviceId", "status", "statusReason", "connectionState", "authenticationType", "tags", "properties"}
)


@dataclass(frozen=True, slots=True)
class Query:
    """A conjunction of equalities on the members of a twin."""

    conditions: tuple[tuple[tuple[str, ...], Any], ...]

    @classmethod
    def parse(cls, text: str) -> Query:
        """Raises: HubError 400000-class that says what is understood here."""
        query = _QUERY.fullmatch(text)
        if query is None:
            raise _not_understood("only SELECT * FROM devices [WHERE ...]")
        where = query["where"]
        return cls(() if where is None else tuple(_conditions(where)))

    def matches(self, twin: Mapping[str, Any]) -> bool:
        """Whether the twin document fulfils every condition; a member that is missing fulfils none."""
        return all(_same(_member(twin, path), value) for path, value in self.conditions)


def _conditions(where: str) -> list[tuple[tuple[str, ...], Any]]:
    conditions: list[tuple[tuple[str, ...], Any]] = []
    position = 0
    while (match := _CONDITION.match(where, position)) is not None:
        conditions.append((_path(match["path"]), _literal(match["literal"])))
        position = match.end()
        if position == len(where):
            return conditions
        if (conjunction := _AND.match(where, position)) is None:
            break
        position = conjunction.end()
    raise _not_understood("only conditions of the form path = literal, joined by AND")


def _path(path: str) -> tuple[str, ...]:
    parts = tuple(path.split("."))
    if parts[0] not in _ROOTS:
        raise _not_understood(f"only conditions on {', '.join(sorted(_ROOTS))}")
    return parts


def _literal(literal: str) -> Any:
    if literal[0] == "'":
        return literal[1:-1].replace("''", "'")
    return literal[1:-1] if literal[0] == '"' else json.loads(literal.lower())


def _member(document: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if not isinstance(document, Mapping):
            return None
        document = document.get(name)
    return document


def _same(left: Any, right: Any) -> bool:
    """Equality that does not take true for 1."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _not_understood(what: str) -> HubError:
    return HubError(400000, "GenericBadRequest", f"The local IoT Hub understands a part of the query language: {what}.")
