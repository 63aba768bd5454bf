"""A device's version as HTTP tells it: an ETag of what is shown of it, which changes when that does and not else."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from shared.schemas.answers import encode
from shared.schemas.devices import DeviceAnswer
from shared.schemas.requests import Malformed

_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e]*"'
_TAGS: Final = re.compile(rf"\*|{_TAG}(\s*,\s*{_TAG})*")


def etag_of(device: DeviceAnswer) -> str:
    """A strong ETag (RFC 9110)."""
    return f'"{hashlib.blake2b(encode(device), digest_size=12).hexdigest()}"'


def admits(if_match: str, device: DeviceAnswer | None) -> bool:
    """Whether an `If-Match` names the device as it stands; a weak ETag never does. None: there is no such device.

    Raises: Malformed.
    """
    wanted = if_match.strip()
    if not _TAGS.fullmatch(wanted):
        raise Malformed('If-Match is * or a list of ETags, e.g. "0b7c..."')
    if device is None:
        return False
    return wanted == "*" or etag_of(device) in [tag.strip() for tag in wanted.split(",")]
