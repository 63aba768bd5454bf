"""What answers have in common: how they travel, who did something, and places in the table that callers cannot read."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from msgspec import Struct, field

from shared.schemas.requests import Malformed

if TYPE_CHECKING:  # the services bring cryptography with them, which a cold start need not wait for
    from shared.domain import record

_ENCODER: Final = msgspec.json.Encoder()


class ActorAnswer(Struct, frozen=True, rename="camel"):
    """A person or an app by the ids of Entra (empty: not known), or fleetcert itself."""

    name: str
    object_id: str
    app_id: str


class HealthAnswer(Struct, frozen=True):
    """All is well."""

    status: Literal["ok"] = "ok"


class DocumentAnswer(Struct, frozen=True):
    """An OpenAPI document."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]


class SchemasAnswer(Struct, frozen=True):
    """A JSON Schema document with definitions."""

    schema: str = field(name="$schema")
    id: str = field(name="$id")
    defs: dict[str, Any] = field(name="$defs")


def encode(answer: Struct) -> bytes:
    """The answer as JSON."""
    return _ENCODER.encode(answer)


def actor_answer(actor: record.Actor) -> ActorAnswer:
    """Who did it."""
    return ActorAnswer(actor.name, actor.object_id, actor.app_id)


def opaque(key: str | None) -> str | None:
    """A place in the table as callers get it; none stays none."""
    return base64.urlsafe_b64encode(key.encode()).decode() if key else None


def transparent(text: str) -> str:
    """What `opaque` made opaque. Raises: Malformed."""
    try:
        return base64.b64decode(text, altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError) as problem:
        raise Malformed("the cursor is not one that a page gave") from problem
