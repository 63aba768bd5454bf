"""The steps of a bulk operation: it takes down which devices it is about, does its work on them, and sees it done.

Each device is asked about again before it is touched: what speaks against it by then is its failure, in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, Protocol

import msgspec

from shared.domain.operations import DeviceFailure, Operation
from shared.domain.selecting import Action, Selector
from shared.errors import TooManyAffected
from shared.services.operations import Advance
from shared.services.selection import Selection
from shared.services.targets import TargetRows

type Phase = Literal["choose", "work", "settle"]

LOOK_AGAIN: Final = timedelta(seconds=5)
"""At devices whose work goes on by itself."""


class Place(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far an operation has come, as its cursor.

    choosing: how far the fleet was looked through; pages: taken down so far; page, item: where the work goes on;
    skipped: chosen devices that cannot be touched.
    """

    phase: Phase = "choose"
    choosing: str | None = None
    pages: int = 0
    page: int = 0
    item: int = 0
    skipped: int = 0

    @classmethod
    def of(cls, operation: Operation) -> Place:
        """The place of an operation that was stored."""
        return msgspec.json.decode(operation.cursor, type=cls) if operation.cursor else cls()

    def to_cursor(self) -> str:
        """As the operation keeps it."""
        return msgspec.json.encode(self).decode()


@dataclass(frozen=True, slots=True)
class Turn:
    """How many devices may be touched now, and how long the next ones wait."""

    devices: int
    wait: timedelta


class Work(Protocol):
    """What is done to each device."""

    @property
    def action(self) -> Action:
        """What is done."""

    async def turn(self) -> Turn:
        """What the throttles leave now."""

    async def do(self, operation: Operation, device_ids: Sequence[str]) -> list[DeviceFailure]:
        """Does it, once for an operation and a device however often it is called. Those for which it is not done.

        Raises: InfrastructureFault.
        """

    async def going_on(self, operation: Operation, device_ids: Sequence[str]) -> int:
        """For how many of them what was begun has not come to its end."""


class BulkHandler:
    """Handles the operations of one kind of work."""

    def __init__(self, work: Work, selection: Selection, targets: TargetRows) -> None:
        self._work = work
        self._selection = selection
        self._targets = targets

    async def advance(self, operation: Operation) -> Advance:
        """See `OperationHandler`."""
        place = Place.of(operation)
        match place.phase:
            case "choose":
                return Advance(await self._choose(operation, place))
            case "work":
                return await self._go_on(operation, place)
            case _:
                return await self._settle(operation, place)

    async def discard(self, operation: Operation) -> None:
        """See `OperationHandler`."""
        await self._targets.remove(operation.id)

    async def _choose(self, operation: Operation, place: Place) -> Operation:
        """A page of the fleet. None is touched before all are counted."""
        selector = Selector.from_parameters(operation.parameters)
        chosen = await self._selection.look(self._work.action, selector, place.choosing)
        wanted = [target.device_id for target in chosen.targets if target.obstacle is None]
        found, allowed = (operation.total or 0) + len(wanted), int(operation.parameters["maxAffected"])
        if found > allowed:
            return operation.gave_up(str(TooManyAffected(found, allowed)))
        pages = await self._targets.put(operation.id, place.pages, wanted)
        skipped = [t for t in chosen.targets if t.obstacle is not None]
        failures = [DeviceFailure(t.device_id, t.obstacle or "") for t in skipped] if selector.ids else []
        next_place = Place(
            phase="work" if chosen.cursor is None else "choose",
            choosing=chosen.cursor,
            pages=pages,
            skipped=place.skipped + len(skipped),
        )
        return operation.progressed(cursor=next_place.to_cursor(), failures=failures, total=found)

    async def _go_on(self, operation: Operation, place: Place) -> Advance:
        """The next devices of a page, as many as may be touched now."""
        if place.page >= place.pages:
            settling = msgspec.structs.replace(place, phase="settle", page=0, item=0)
            return Advance(operation.progressed(cursor=settling.to_cursor()))
        turn = await self._work.turn()
        if not turn.devices:
            return Advance(operation.waiting("the throttle's next minute is waited for"), turn.wait)
        page = await self._targets.page(operation.id, place.page)
        now_due = page[place.item : place.item + turn.devices]
        failures = await self._work.do(operation, now_due)
        done = place.item + len(now_due)
        is_last = done >= len(page)
        after = msgspec.structs.replace(
            place, page=place.page + 1 if is_last else place.page, item=0 if is_last else done
        )
        moved = operation.progressed(cursor=after.to_cursor(), done=len(now_due) - len(failures), failures=failures)
        return Advance(moved)

    async def _settle(self, operation: Operation, place: Place) -> Advance:
        """A page of devices whose work goes on by itself: it is looked at until it has come to its end."""
        if place.page >= place.pages:
            return Advance(operation.finished({"skipped": str(place.skipped)}))
        page = await self._targets.page(operation.id, place.page)
        going_on = await self._work.going_on(operation, page)
        if going_on:
            return Advance(operation.waiting(f"{going_on} devices or more are at it still"), LOOK_AGAIN)
        after = msgspec.structs.replace(place, page=place.page + 1)
        return Advance(operation.progressed(cursor=after.to_cursor()))
