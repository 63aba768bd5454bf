"""What both bulk triggers do: look at what would be touched, and touch it where that is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from functions.edge import Call, Reply
from functions.replies import begun, begun_before
from shared.composition import app
from shared.schemas.bulk import BulkRequest, preview_answer, read_place
from shared.schemas.queries import NoQuery

if TYPE_CHECKING:  # for its name alone
    from shared.domain.selecting import Action

_SHOWN: Final = 100


async def carried_out(call: Call[NoQuery, BulkRequest], action: Action) -> Reply:
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
