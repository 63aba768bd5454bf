"""What callers may send. Unknown members are refused: a misspelt one would be ignored, and nobody the wiser."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from shared.contracts import MAX_PEM_BYTES
from shared.errors import FleetcertError

MAX_BODY_BYTES: Final = 64 * 1024
DEVICE_ID_GRAMMAR: Final = r"[A-Za-z0-9\-:.+%_#*?!(),=@;$']{1,128}"
"""Azure docs: IoT Hub devguide, identity registry."""
IDEMPOTENCY_KEY_GRAMMAR: Final = "[!-~]{1,255}"
_FIRST: Final = datetime(1, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_SECRET: Final = rb"(?i)PRIVATE KEY-----|Shared(Access|Secret)Key=|AccountKey="
"""PEM of every kind of private key, and the connection strings of Azure."""

LONGEST_REASON: Final = 256
Reason = Annotated[
    str, Meta(min_length=1, max_length=LONGEST_REASON, pattern=r"\S", description="why, for the history")
]
Instant = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset")]
Tag = Annotated[str, Meta(min_length=2, max_length=512, pattern="^[^=]+=", description="name=value")]
Choice = Annotated[str, Meta(min_length=1, max_length=256)]
Pem = Annotated[str, Meta(max_length=MAX_PEM_BYTES, pattern="-----BEGIN CERTIFICATE-----")]


class Malformed(FleetcertError):
    """The request is no JSON, or an id or parameter is not of its form (400)."""


class Invalid(FleetcertError):
    """The JSON is read, and is not what this operation takes (422)."""


class UnsupportedMediaType(FleetcertError):
    """A body must be application/json (415). A browser's form cannot be sent across sites that way."""

    def __init__(self) -> None:
        super().__init__("send the body as application/json")


class LengthRequired(FleetcertError):
    """A body without Content-Length does not reach the app: Azure's host drops it (411)."""

    def __init__(self) -> None:
        super().__init__("send the body with its Content-Length, and not in chunks")


class BodyTooLarge(FleetcertError):
    """The body is larger than any that is meant (413)."""

    def __init__(self) -> None:
        super().__init__(f"a body may have {MAX_BODY_BYTES} bytes")


class SecretSent(FleetcertError):
    """The body holds a private key or an access key, which nobody here must ever see (422)."""

    def __init__(self) -> None:
        super().__init__(
            "the body holds a private key or an access key: it is not taken, and its owner should replace the key"
        )


class RenewRequest(Struct, forbid_unknown_fields=True, frozen=True):
    """Asks a device to renew its certificate now."""

    reason: Reason


class EnableRequest(Struct, forbid_unknown_fields=True, frozen=True):
    """Undoes what `disable` did."""

    reason: Reason


class RevokeRequest(Struct, forbid_unknown_fields=True, frozen=True):
    """Makes every certificate that was ever issued to the device invalid."""

    reason: Reason


class DisableRequest(Struct, forbid_unknown_fields=True, frozen=True, rename="camel"):
    """Shuts a device out. onboarding_pem: the public onboarding certificate, where fleetcert does not know it."""

    reason: Reason
    onboarding_pem: Pem | None = None


def read_body[T](body: bytes, headers: Mapping[str, str], model: type[T]) -> T:
    """The body of a request as what its route takes. Nothing of it is ever logged.

    Raises: UnsupportedMediaType, LengthRequired, BodyTooLarge, SecretSent, Malformed, Invalid.
    """
    if (headers.get("content-type") or "").partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType
    if not body and headers.get("transfer-encoding"):
        raise LengthRequired
    if len(body) > MAX_BODY_BYTES:
        raise BodyTooLarge
    if re.search(_SECRET, body):
        raise SecretSent
    return decode(body, model)


def decode[T](body: bytes, model: type[T]) -> T:
    """The request in a JSON body. Raises: Malformed, Invalid."""
    try:
        document = msgspec.json.decode(body)
        return msgspec.convert(_with_whole_numbers(document), model)
    except msgspec.ValidationError as problem:
        raise Invalid(str(problem)) from problem
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise Malformed(f"the body is not JSON: {problem}") from problem


def device_id(text: str | None) -> str:
    """A device id of IoT Hub's grammar: 1 to 128 characters. Raises: Malformed."""
    if text is None or not re.fullmatch(DEVICE_ID_GRAMMAR, text):
        raise Malformed("a device id has 1 to 128 of A-Z a-z 0-9 - : . + % _ # * ? ! ( ) , = @ ; $ '")
    return text


def idempotency_key(headers: Mapping[str, str]) -> str | None:
    """The `Idempotency-Key` of a request, or None. Raises: Malformed."""
    key = headers.get("idempotency-key")
    if key is not None and not re.fullmatch(IDEMPOTENCY_KEY_GRAMMAR, key):
        raise Malformed("an Idempotency-Key has 1 to 255 visible characters of ASCII")
    return key


def in_utc(instant: datetime) -> datetime:
    """The instant in UTC; one whose offset leads out of the calendar is the calendar's end."""
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        return _FIRST if instant.year == 1 else _LAST


def _with_whole_numbers(document: Any) -> Any:
    """The document with 5 for 5.0: JSON knows one kind of number, and JSON Schema takes both for an integer."""
    match document:
        case dict():
            return {name: _with_whole_numbers(member) for name, member in document.items()}
        case list():
            return [_with_whole_numbers(member) for member in document]
        case float() if document.is_integer():
            return int(document)
        case _:
            return document
