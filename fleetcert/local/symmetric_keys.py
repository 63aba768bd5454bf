"""Symmetric-key attestation: the keys of an enrollment, a group's derived keys, and the tokens that devices make."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Final, Self
from urllib.parse import parse_qsl, unquote

KEY_BYTES: Final = range(16, 65)
"""Azure docs: concepts-symmetric-key-attestation, 16 to 64 bytes."""
_PREFIX: Final = "SharedAccessSignature "


@dataclass(frozen=True, slots=True)
class SymmetricKeys:
    """A primary and a secondary key, either of which attests. Raw bytes; base64 on the wire."""

    primary: bytes = field(repr=False)
    secondary: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        """Random keys, as DPS makes them where an enrollment brings none."""
        return cls(secrets.token_bytes(64), secrets.token_bytes(64))

    @classmethod
    def from_base64(cls, primary: str, secondary: str) -> Self:
        """Raises: ValueError where a key is no base64 or of a length that DPS does not take."""
        return cls(_read_key(primary), _read_key(secondary))

    def to_wire(self) -> dict[str, str]:
        """`{primaryKey, secondaryKey}`, as DPS and IoT Hub write them."""
        return {
            "primaryKey": base64.b64encode(self.primary).decode(),
            "secondaryKey": base64.b64encode(self.secondary).decode(),
        }

    def derived_for(self, registration_id: str) -> SymmetricKeys:
        """The keys of one device of a group: HMAC-SHA256 of its registration id under the group's key."""
        message = registration_id.encode()
        return SymmetricKeys(hmac.digest(self.primary, message, sha256), hmac.digest(self.secondary, message, sha256))


@dataclass(frozen=True, slots=True)
class DeviceToken:
    """A device's SAS token, taken apart: what is signed, the signature, and until when it holds (epoch seconds)."""

    resource: str
    signed: bytes
    signature: bytes
    expires: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises: ValueError where the text is no `SharedAccessSignature sr=..&sig=..&se=..[&skn=registration]`."""
        fields = dict(parse_qsl(text.removeprefix(_PREFIX), keep_blank_values=True))
        if not text.startswith(_PREFIX) or not {"sr", "sig", "se"} <= fields.keys():
            raise ValueError("not a shared access signature")
        # What was signed is the resource as it was written, still encoded.
        parts = text.removeprefix(_PREFIX).split("&")
        written = next((part[3:] for part in parts if part.startswith("sr=")), "")
        signature = base64.b64decode(fields["sig"], validate=True)
        return cls(unquote(written), f"{written}\n{fields['se']}".encode(), signature, int(fields["se"]))

    def is_for(self, resource: str, now: datetime) -> bool:
        """Whether the token names this resource (`{idScope}/registrations/{registrationId}`) and has not expired."""
        return self.resource.casefold() == resource.casefold() and now.timestamp() < self.expires

    def is_signed_with(self, keys: SymmetricKeys) -> bool:
        """Whether either key made the signature."""
        return any(
            hmac.compare_digest(hmac.digest(key, self.signed, sha256), self.signature)
            for key in (keys.primary, keys.secondary)
        )


def _read_key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error as problem:
        raise ValueError("a symmetric key is base64") from problem
    if len(key) not in KEY_BYTES:
        raise ValueError(f"a symmetric key has {KEY_BYTES[0]} to {KEY_BYTES[-1]} bytes, not {len(key)}")
    return key
