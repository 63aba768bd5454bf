"""A device's version as HTTP tells it: an ETag of what is shown of it, which changes when that does and not else."""

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
_TAGS: Final = re.compile(rf"\*|{_TAG}(\s*,\s*{_TAG})*")


def etag_of(device: DeviceAnswer) -> str:
    """A strong ETag (RFC 9110)."""
    return f'"{hashlib.blake2b(encode(device), digest_size=12).hexdigest()}"'


def etags(if_match: str) -> frozenset[str]:
    """The ETags that an `If-Match` names; a weak one never fits. ANY where it is `*`. Raises: Malformed."""
    wanted = if_match.strip()
    if not _TAGS.fullmatch(wanted):
        raise Malformed('If-Match is * or a list of ETags, e.g. "0b7c..."')
    return ANY if wanted == "*" else frozenset(tag.strip() for tag in wanted.split(","))
