"""What callers may send. Unknown members are refused: a misspelt one would be ignored, and nobody the wiser."""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from shared.contracts import MAX_PEM_BYTES
from shared.errors import FleetcertError

DEVICE_ID: Final = re.compile(r"[A-Za-z0-9\-:.+%_#*?!(),=@;$']{1,128}")
"""Azure docs: IoT Hub devguide, identity registry."""

DEFAULT_PAGE: Final = 100
MAX_PAGE: Final = 500

Reason = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"\S", description="why, for the history")]
Pem = Annotated[str, Meta(max_length=MAX_PEM_BYTES, pattern="-----BEGIN CERTIFICATE-----")]


class Malformed(FleetcertError):
    """The request is no JSON, or an id or parameter is not of its form (400)."""


class Invalid(FleetcertError):
    """The JSON is read, and is not what this operation takes (422)."""


class RenewRequest(Struct, forbid_unknown_fields=True, frozen=True):
    """Asks a device to renew its certificate now."""

    reason: Reason


class DisableRequest(Struct, forbid_unknown_fields=True, frozen=True, rename="camel"):
    """Shuts a device out. onboarding_pem: the public onboarding certificate, where fleetcert does not know it."""

    reason: Reason
    onboarding_pem: Pem | None = None


def decode[T](body: bytes, model: type[T]) -> T:
    """The request in a JSON body. Raises: Malformed, Invalid."""
    try:
        return msgspec.json.decode(body, type=model)
    except msgspec.ValidationError as problem:
        raise Invalid(str(problem)) from problem
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise Malformed(f"the body is not JSON: {problem}") from problem


def device_id(text: str | None) -> str:
    """A device id of IoT Hub's grammar: 1 to 128 characters. Raises: Malformed."""
    if text is None or not DEVICE_ID.fullmatch(text):
        raise Malformed("a device id has 1 to 128 of A-Z a-z 0-9 - : . + % _ # * ? ! ( ) , = @ ; $ '")
    return text


def page_limit(text: str | None) -> int:
    """How many devices a page may hold: 1 to 500, 100 where nothing is asked. Raises: Malformed."""
    if text is None:
        return DEFAULT_PAGE
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= MAX_PAGE):
        raise Malformed(f"limit is a whole number from 1 to {MAX_PAGE}")
    return int(text)
