"""Many devices at once: looked at first, then touched as an operation, at the pace that the hub's throttles leave."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from shared.contracts import normal_thumbprint
from shared.domain.operations import Operation, OperationKind
from shared.domain.record import Actor
from shared.domain.selecting import Action, Selector
from shared.errors import NotFound, TooManyAffected
from shared.services.fleet_circumstances import key_identifier
from shared.services.issuers import stored_issuers
from shared.services.operations import Operations
from shared.services.ports import Table
from shared.services.selection import PAGE, Selection, Target

MAX_AFFECTED: Final = 50
SCANNED_AT_ONCE: Final = 20 * PAGE
"""Rows that one request looks at: a few seconds in Azure."""

KINDS: Final[dict[Action, OperationKind]] = {
    "renew": OperationKind.BULK_RENEW,
    "disable": OperationKind.BULK_DISABLE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a bulk request would do (its dry run).

    matched: devices that were chosen; affected: those of them on which the action can be taken; devices: the first of
    those that were chosen. cursor: None where the whole fleet was looked at; else these numbers are a part, and asking
    again with the cursor gives the next.
    """

    matched: int
    affected: int
    devices: tuple[Target, ...]
    cursor: str | None
    max_affected: int

    @property
    def exceeds(self) -> bool:
        """Whether `start` would refuse it."""
        return self.affected > self.max_affected


class Bulk:
    """Looks at what a selector chooses, and starts operations on it."""

    def __init__(self, table: Table, selection: Selection, operations: Operations) -> None:
        self._table = table
        self._selection = selection
        self._operations = operations

    async def preview(
        self,
        action: Action,
        selector: Selector,
        limit: int = 100,
        max_affected: int = MAX_AFFECTED,
        cursor: str | None = None,
    ) -> Preview:
        """What would be touched, with the first `limit` devices; of a large fleet the part behind `cursor`.

        Raises: InfrastructureFault.
        """
        wanted = await self._resolved(selector)
        targets: list[Target] = []
        async for chosen in self._selection.pages(action, wanted, cursor, SCANNED_AT_ONCE):
            targets.extend(chosen.targets)
            cursor = chosen.cursor
        return Preview(
            matched=len(targets),
            affected=sum(target.obstacle is None for target in targets),
            devices=tuple(targets[:limit]),
            cursor=cursor,
            max_affected=max_affected,
        )

    async def start(
        self,
        action: Action,
        selector: Selector,
        actor: Actor,
        reason: str,
        max_affected: int = MAX_AFFECTED,
        operation_id: str | None = None,
    ) -> Operation:
        """Starts the operation. With an id that is known already (`Operations.new_id`): that operation, as it is.

        The first step takes down which devices it is about, and none is touched before: where a large fleet turns out
        to hold more than `max_affected`, the operation fails with the words of TooManyAffected.
        Raises: TooManyAffected where that is seen at once, InfrastructureFault.
        """
        if operation_id is not None and (known := await self._known(operation_id)) is not None:
            return known
        wanted = await self._resolved(selector)
        seen = await self.preview(action, wanted, 0, max_affected)
        if seen.exceeds:
            raise TooManyAffected(seen.affected, max_affected)
        parameters = {**wanted.to_parameters(), "maxAffected": str(max_affected)}
        return await self._operations.start(KINDS[action], actor, reason, parameters, operation_id=operation_id)

    async def _known(self, operation_id: str) -> Operation | None:
        try:
            return await self._operations.show(operation_id)
        except NotFound:
            return None

    async def _resolved(self, selector: Selector) -> Selector:
        """With the key identifier of an issuing CA that was named by its certificate's thumbprint."""
        if selector.issuer is None:
            return selector
        named = normal_thumbprint(selector.issuer)
        by_thumbprint = {issuer.thumbprint: issuer.pem for issuer in await stored_issuers(self._table)}
        return replace(selector, issuer=key_identifier(by_thumbprint[named]) if named in by_thumbprint else named)
