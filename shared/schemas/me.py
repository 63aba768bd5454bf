"""Who asks: what `GET me` answers."""

from __future__ import annotations

from msgspec import Struct

from shared.schemas.access import Principal, Role


class MeAnswer(Struct, frozen=True, rename="camel"):
    """The caller. roles: those of this API. revocation: whether certificates can be revoked here at all."""

    name: str
    object_id: str
    app_id: str
    roles: tuple[Role, ...]
    revocation: bool


def me_answer(principal: Principal, *, can_revoke: bool) -> MeAnswer:
    """The caller as callers see themselves."""
    roles = tuple(role for role in Role if role in principal.roles)
    return MeAnswer(principal.name, principal.object_id, principal.app_id, roles, can_revoke)
