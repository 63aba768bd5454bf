"""Versions as HTTP tells them: a device's ETag is of what is shown of it, and changes when that does and not else."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from shared.schemas.answers import encode
from shared.schemas.devices import DeviceAnswer
from shared.schemas.requests import Malformed

ANY: Final = frozenset({"*"})
"""Whatever version stands, as long as there is one."""

_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e]*"'
_TAGS: Final = rf"\*|{_TAG}(\s*,\s*{_TAG})*"


def etag_of_bytes(content: bytes) -> str:
    """A strong ETag (RFC 9110) of what is sent as it is."""
    return f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'


def etag_of(device: DeviceAnswer) -> str:
    """A strong ETag (RFC 9110)."""
    return etag_of_bytes(encode(device))


def etags(if_match: str) -> frozenset[str]:
    """The ETags that an `If-Match` names; a weak one never fits. ANY where it is `*`. Raises: Malformed."""
    wanted = if_match.strip()
    if not re.fullmatch(_TAGS, wanted):
        raise Malformed('If-Match is * or a list of ETags, e.g. "0b7c..."')
    return ANY if wanted == "*" else frozenset(tag.strip() for tag in wanted.split(","))


def is_known(if_none_match: str | None, etag: str) -> bool:
    """Whether an `If-None-Match` names this version, compared weakly as RFC 9110 has it. None: there is no header."""
    known = (if_none_match or "").strip()
    return known == "*" or etag in [tag.strip().removeprefix("W/") for tag in known.split(",")]
