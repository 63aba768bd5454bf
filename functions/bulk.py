"""`POST /api/bulk/renew|disable`: many devices are looked at, and touched where that is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import azure.functions as func

from functions.edge import Call, Reply, serves
from functions.replies import begun, begun_before
from shared.composition import app
from shared.schemas.bulk import BulkRequest, preview_answer, read_place
from shared.schemas.queries import NoQuery
from shared.schemas.routes import BULK_DISABLE, BULK_RENEW

if TYPE_CHECKING:  # for its name alone
    from shared.domain.selecting import Action

blueprint = func.Blueprint()
_SHOWN: Final = 100


@serves(blueprint, BULK_RENEW)
async def bulk_renew(call: Call[NoQuery, BulkRequest]) -> Reply:
    """Renewals by hand."""
    return await _carried_out(call, "renew")


@serves(blueprint, BULK_DISABLE)
async def bulk_disable(call: Call[NoQuery, BulkRequest]) -> Reply:
    """Containments by hand."""
    return await _carried_out(call, "disable")


async def _carried_out(call: Call[NoQuery, BulkRequest], action: Action) -> Reply:
    """A dry run's preview, or the operation that has begun.

    Raises: Malformed, TooManyAffected, LimitReached, InfrastructureFault.
    """
    wanted, selector = call.body, call.body.selector.selector
    services = await app.services()
    if wanted.dry_run:
        place = read_place(wanted, app.settings.shards)
        return Reply(preview_answer(await services.bulk.preview(action, selector, _SHOWN, wanted.max_affected, place)))
    if (before := await begun_before(call)) is not None:
        return before
    await services.limit.admit()
    actor, reason = call.principal.actor, wanted.reason
    return begun(await services.bulk.start(action, selector, actor, reason, wanted.max_affected, call.claim.id))
