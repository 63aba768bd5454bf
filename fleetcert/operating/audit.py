"""Checks the audit's chain, line by line, from the blobs alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from azure.core.exceptions import AzureError
from azure.storage.blob import ContainerClient

from shared.contracts import parse_instant
from shared.domain.audit import Entry, Head, Line, day_of
from shared.errors import FleetcertError

_LONGEST_LINE: Final = 4 * 2**20


class AuditUnreadable(FleetcertError):
    """The container cannot be read, or there is nothing in it to check."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The first line that is not as it was written. line: its number in the blob, from 1."""

    blob: str
    line: int
    problem: str


@dataclass(slots=True)
class Verdict:
    """What was checked. head: the last line that is sound. found_anchor: the line that was asked for was there."""

    blobs: int = 0
    lines: int = 0
    head: Head = field(default_factory=Head)
    found_anchor: bool = False
    broken: Broken | None = None


def verify(container: ContainerClient, day: date | None = None, anchor: str | None = None) -> Verdict:
    """The verdict on the whole chain, or on one day's part of it, which is checked against the day before.

    anchor: the hash of a line that was noted earlier and must be there. Raises: AuditUnreadable.
    """
    try:
        names = list(container.list_blob_names())
        return _verified(container, names, day, anchor)
    except AzureError as problem:
        raise AuditUnreadable(f"the audit in {container.container_name} cannot be read: {problem.message}") from problem


def require_sound(container: ContainerClient) -> None:
    """Raises: AuditUnreadable where there is no chain, or a line of it is not as it was written."""
    if broken := verify(container).broken:
        raise AuditUnreadable(f"the audit is broken at {broken.blob}, line {broken.line}: {broken.problem}")


def entries(container: ContainerClient, since: datetime | None = None, kind: str | None = None) -> Iterator[Entry]:
    """What the chain holds, the oldest first: changes at `since` or later, of a kind; unchecked: `verify` checks.

    Raises: AuditUnreadable.
    """
    try:
        for name in container.list_blob_names():
            if since is None or (_day(name) or since.date()) >= since.date():
                yield from (e for e in _entries(container, name) if _is_wanted(e, since, kind))
    except AzureError as problem:
        raise AuditUnreadable(f"the audit in {container.container_name} cannot be read: {problem.message}") from problem


def _entries(container: ContainerClient, name: str) -> Iterator[Entry]:
    for raw in _lines(container, name):
        _, line = _fault(raw, Head())
        if line is not None and line.next_blob is None:
            yield line.entry


def _is_wanted(entry: Entry, since: datetime | None, kind: str | None) -> bool:
    return (kind in (None, entry.get("kind"))) and (since is None or parse_instant(str(entry["at"])) >= since)


def _verified(container: ContainerClient, names: Sequence[str], day: date | None, anchor: str | None) -> Verdict:
    chosen = [place for place, name in enumerate(names) if day in (None, _day(name))]
    if not chosen:
        raise AuditUnreadable(
            f"the container {container.container_name} holds no audit" + (f" of {day}" if day else "")
        )
    verdict = Verdict(head=_head_before(container, names, chosen[0]))
    for place in chosen:
        following = names[place + 1] if place + 1 < len(names) else None
        verdict.blobs += 1
        _check_blob(container, names[place], following, verdict, anchor)
        if verdict.broken is not None:
            break
    return verdict


def _check_blob(
    container: ContainerClient, name: str, following: str | None, verdict: Verdict, anchor: str | None
) -> None:
    """Takes the blob's lines into the verdict, up to the first that is broken, and looks at how it ends."""
    number, left_for = 0, None
    for number, raw in enumerate(_lines(container, name), 1):
        problem, line = _fault(raw, verdict.head)
        if left_for:
            problem = f"the chain had left this blob for {left_for} before this line"
        if line is None or problem:
            verdict.broken = Broken(name, number, problem or "no line")
            return
        verdict.head, left_for = line.head, line.next_blob
        verdict.lines += 1
        verdict.found_anchor |= line.hash == anchor
    if left_for != following:
        problem = f"the chain goes on in {left_for}" if left_for else "lines are missing at its end"
        verdict.broken = Broken(name, number + 1, f"{problem}, and {following or 'nothing'} follows")


def _fault(raw: bytes, head: Head) -> tuple[str | None, Line | None]:
    try:
        line = Line.from_json(raw)
    except ValueError as problem:
        return str(problem), None
    return line.fault_after(head), line


def _head_before(container: ContainerClient, names: Sequence[str], place: int) -> Head:
    """Where the chain stood before the blob at `place`, as the last line of the blob before it says."""
    if place == 0:
        return Head()
    last = b""
    for raw in _lines(container, names[place - 1]):
        last = raw
    _, line = _fault(last, Head())
    return line.head if line else Head()


def _lines(container: ContainerClient, name: str) -> Iterator[bytes]:
    """The blob's lines as they are downloaded; what stands behind the last line feed is a line too."""
    rest = b""
    for chunk in container.download_blob(name).chunks():
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
        if len(rest) > _LONGEST_LINE:
            break
    if rest:
        yield rest


def _day(name: str) -> date | None:
    try:
        return day_of(name)
    except ValueError:
        return None
