"""The text that a disabled identity carries in IoT Hub: why, within the hub's limit, and by whose hand. Pure."""

from __future__ import annotations

import unicodedata
from typing import Final

LONGEST: Final = 128
"""Characters of a statusReason (Azure docs: IoT Hub devguide, identity registry), counted in UTF-16 as .NET counts:
what fits so, fits by code points too."""
_MARK: Final = "fleetcert: "
_JOINER: Final = "\u200d"


def status_reason(reason: str) -> str:
    """The reason under our mark, cut where a person would see the border of a character."""
    return _cut(f"{_MARK}{reason}", LONGEST)


def is_ours(text: str) -> bool:
    """Whether an identity that carries this text was disabled by fleetcert."""
    return text.startswith(_MARK)


def _cut(text: str, longest: int) -> str:
    used = 0
    for end, character in enumerate(text):
        used += 1 if character <= "\uffff" else 2
        if used > longest:
            return text[: _border(text, end)]
    return text


def _border(text: str, end: int) -> int:
    """The last place up to `end` at which no accent and no joined emoji is torn from what it belongs to."""
    while end and (_continues(text[end]) or text[end - 1] == _JOINER):
        end -= 1
    return end


def _continues(character: str) -> bool:
    return character == _JOINER or unicodedata.category(character) in ("Mn", "Mc", "Me") or "🏻" <= character <= "🏿"
