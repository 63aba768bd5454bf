"""A list of registration ids as CSV: which devices a fleet has, and which lines name none."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fleetcert.onboarding.names import check_registration_id
from shared.errors import NotPossible

COLUMN: Final = "registrationId"
_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class Device:
    """A device, and the line that names it, counted from 1."""

    line: int
    registration_id: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that led to no credential: what it says, and why."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class Roster:
    """Every line that is not blank is in one of the two."""

    devices: list[Device] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)


def read_roster(path: Path, *, for_certificate: bool = True) -> Roster:
    """Reads a CSV whose first line names a column `registrationId`, or whose lines hold one id each.

    Separated by commas, semicolons or tabs; a byte order mark is skipped; what is no UTF-8 is a bad line. A device has
    one line: quotes do not reach over its end, so that one that is left open spoils no other line.
    for_certificate: ids have to fit into a common name. Raises: NotPossible.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
            return _sorted_out(_cells(file), for_certificate=for_certificate)
    except OSError as problem:
        raise NotPossible(f"{path} cannot be read: {problem.strerror}") from problem


type _Line = tuple[int, str, list[str] | None]
"""Number, text, and its cells; None where they cannot be told apart."""


def _cells(lines: Iterable[str]) -> Iterator[_Line]:
    separator: str | None = None
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r\n")
        if not text.strip():
            continue
        separator = separator or next((mark for mark in ";\t" if mark in text), ",")
        yield number, text, _split(text, separator)


def _split(text: str, separator: str) -> list[str] | None:
    try:
        return [cell.strip() for cell in next(csv.reader([text], delimiter=separator, strict=True))]
    except csv.Error:
        return None


def _sorted_out(lines: Iterator[_Line], *, for_certificate: bool) -> Roster:
    roster, first_seen = Roster(), dict[str, int]()
    position: int | None = None
    for number, text, cells in lines:
        if position is None:
            position = _position(cells)
            if cells is not None and _is_header(cells):
                continue
        try:
            registration_id = _checked(cells, position, first_seen, for_certificate=for_certificate)
        except NotPossible as problem:
            roster.rejected.append(Rejected(number, _readable(text), str(problem)))
            continue
        first_seen[registration_id.casefold()] = number
        roster.devices.append(Device(number, registration_id))
    return roster


def _position(first: list[str] | None) -> int:
    if first is None or len(first) == 1:
        return 0
    for position, cell in enumerate(first):
        if _plain(cell) == _plain(COLUMN):
            return position
    raise NotPossible(f"the first line names no column {COLUMN}, and there are {len(first)} columns")


def _checked(cells: list[str] | None, position: int, first_seen: dict[str, int], *, for_certificate: bool) -> str:
    if cells is None:
        raise NotPossible("the line cannot be split: a quote is not closed, or stands within a cell")
    text = cells[position] if position < len(cells) else ""
    registration_id = check_registration_id(text, for_certificate=for_certificate)
    before = first_seen.get(registration_id.casefold())
    if before is not None:  # DPS compares without case
        raise NotPossible(f"the registration id is that of line {before}")
    return registration_id


def _is_header(cells: list[str]) -> bool:
    return any(_plain(cell) == _plain(COLUMN) for cell in cells)


def _plain(name: str) -> str:
    return name.replace("_", "").replace(" ", "").replace("-", "").casefold()


def _readable(text: str) -> str:
    """Short, and without what a terminal or a UTF-8 file cannot take."""
    return text.encode("utf-8", "backslashreplace").decode()[:_SHOWN]
