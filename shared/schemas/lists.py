"""Pages of devices and of a device's history as callers see them, and the cursors between pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET, Struct, UnsetType

from shared.contracts import format_instant
from shared.domain.keys import EXPIRES
from shared.domain.states import Evidence, State
from shared.schemas.answers import ActorAnswer, actor_answer, opaque, transparent
from shared.schemas.requests import Malformed

if TYPE_CHECKING:  # the services bring cryptography with them, which a cold start need not wait for
    from shared.domain.listing import DeviceLine
    from shared.services.histories import HistoryLine, HistoryPage
    from shared.services.listing import Page


class DeviceLineAnswer(Struct, frozen=True, rename="camel"):
    """A device in a list."""

    device_id: str
    state: State
    reason: str
    hub: str
    enrollment_group: str | None
    tags: dict[str, str]
    valid_from: str | None
    valid_until: str | None
    thumbprint: str | None
    evidence: Evidence | None
    issuer: str | None


class PageAnswer(Struct, frozen=True, rename="camel"):
    """Devices by expiry, the earliest first. cursor: asks for the next page; null on the last.

    partial: a bounded number of devices was looked at and the page is not full; there may be more behind the cursor.
    """

    devices: list[DeviceLineAnswer]
    cursor: str | None
    partial: bool


class ChangeAnswer(Struct, frozen=True, rename="camel"):
    """One change of a device. details: what it was about, by kind."""

    at: str
    kind: str
    actor: ActorAnswer
    reason: str
    details: dict[str, str]
    event_id: str


class HistoryAnswer(Struct, frozen=True, rename="camel"):
    """Changes of a device, the newest first. cursor: asks for the next page; null on the last."""

    device_id: str
    changes: list[ChangeAnswer]
    cursor: str | None


def page_answer(page: Page) -> PageAnswer:
    """A page as callers see it; its cursor is opaque to them."""
    return PageAnswer([_line(line) for line in page.devices], opaque(page.cursor), page.is_partial)


def history_answer(device_id: str, page: HistoryPage) -> HistoryAnswer:
    """A page of a device's history."""
    return HistoryAnswer(device_id, [_change(line) for line in page.lines], opaque(page.cursor))


def read_cursor(text: str | UnsetType, begins: str = EXPIRES) -> str | None:
    """The key behind a cursor that a page gave, of rows whose keys begin so.

    Raises: Malformed, so that no other rows can be reached by it.
    """
    if text is UNSET:
        return None
    key = transparent(text)
    if not key.startswith(begins):
        raise Malformed("the cursor is not one that a page gave")
    return key


def _line(line: DeviceLine) -> DeviceLineAnswer:
    return DeviceLineAnswer(
        device_id=line.device_id,
        state=State(line.state),
        reason=line.reason,
        hub=line.hub,
        enrollment_group=line.enrollment_group,
        tags=dict(line.tags),
        valid_from=line.valid_from,
        valid_until=line.valid_until,
        thumbprint=line.thumbprint,
        evidence=Evidence(line.evidence) if line.evidence else None,
        issuer=line.issuer,
    )


def _change(line: HistoryLine) -> ChangeAnswer:
    details = dict(line.details)
    return ChangeAnswer(
        format_instant(line.at), line.kind, actor_answer(line.actor), line.reason, details, line.event_id
    )
