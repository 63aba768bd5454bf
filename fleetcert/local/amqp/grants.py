"""What the tokens of a connection permit (Azure docs: AMQP claims-based security)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Self
from urllib.parse import unquote, urlsplit

from fleetcert.local.ports import AmqpRefused
from shared.clock import Clock


class Service(Enum):
    """The services behind the server; the value is the audience of their bearer tokens."""

    EVENT_HUBS = "https://eventhubs.azure.net"
    IOT_HUB = "https://iothubs.azure.net"


@dataclass(frozen=True, slots=True)
class Scope:
    """An entity and all below it. path: lower case, without slashes at its ends; empty for the whole service."""

    service: Service
    path: str

    @classmethod
    def of_audience(cls, name: str) -> Self:
        """The scope that a put-token names.

        Microsoft's clients say `sb://host/hub` for Event Hubs and `https://host` for IoT Hub; for an IoT Hub bearer
        token they say the token's own audience, `https://iothubs.azure.net/.default`.
        """
        url = urlsplit(name if "://" in name else f"https://{name}")
        if url.scheme == "https":
            return cls(Service.IOT_HUB, "")
        return cls(Service.EVENT_HUBS, entity_path(url.path))

    def covers(self, service: Service, path: str) -> bool:
        """Whether the path lies in the scope."""
        return service is self.service and is_below(entity_path(path), self.path)


class Grants:
    """The scopes that a connection has put tokens for, each until its token expires."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._expiry: dict[Scope, datetime] = {}

    def add(self, scope: Scope, expires_at: datetime) -> None:
        """A later token for the same scope takes the place of the earlier one."""
        self._expiry[scope] = expires_at

    def require(self, service: Service, path: str) -> None:
        """Raises: AmqpRefused (`amqp:unauthorized-access`) unless a token that is still good covers the path."""
        covering = [expiry for scope, expiry in self._expiry.items() if scope.covers(service, path)]
        if not covering:
            raise AmqpRefused("amqp:unauthorized-access", f"Unauthorized access. No token was put for '{path}'.")
        if max(covering) <= self._clock.now():
            raise AmqpRefused("amqp:unauthorized-access", f"ExpiredToken: The token for '{path}' is expired.")


def entity_path(path: str) -> str:
    """A path as scopes compare it: names of entities differ by more than case."""
    return unquote(path).strip("/").lower()


def is_below(path: str, parent: str) -> bool:
    """Whether the path is the parent or lies under it. An empty parent is above all."""
    return not parent or path == parent or path.startswith(f"{parent}/")
