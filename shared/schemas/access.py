"""Who calls, as the HTTP edge knows it, and the two ways to be turned away."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from shared.errors import FleetcertError

if TYPE_CHECKING:
    from shared.domain.record import Actor


class Role(StrEnum):
    """The Entra app roles of the API."""

    READ = "Fleet.Read"
    RENEW = "Certificates.Renew"
    CONTAIN = "Devices.Contain"


class Unauthenticated(FleetcertError):
    """Nobody is known to call (401)."""


class Forbidden(FleetcertError):
    """The caller lacks a role (403). roles: one of them would do."""

    def __init__(self, roles: Sequence[Role]) -> None:
        super().__init__(f"this needs the role {' or '.join(roles)}")
        self.roles = tuple(roles)


class Principal(Struct, frozen=True, kw_only=True):
    """A caller whom the platform has authenticated. object_id and app_id are Entra's; app_id may be empty."""

    name: str
    object_id: str
    app_id: str
    roles: frozenset[str]

    @property
    def actor(self) -> Actor:
        """As the history names the caller."""
        from shared.domain.record import Actor  # a cold start need not wait for it

        return Actor(name=self.name, object_id=self.object_id, app_id=self.app_id)

    def require(self, *roles: Role) -> None:
        """That the caller has one of them. Raises: Forbidden."""
        if self.roles.isdisjoint(roles):
            raise Forbidden(roles)


NOBODY: Final = Principal(name="", object_id="", app_id="", roles=frozenset())
"""Calls what is open to everybody."""
