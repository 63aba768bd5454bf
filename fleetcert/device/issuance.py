"""What a device does when IoT Hub does not sign at once.

Codes: Azure/azure-iot-sdk-csharp, branch feature/iot-csr-preview; the pauses are those that it waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from fleetcert.device.errors import IssuanceError

PENDING: Final = 409004
ACTIVE: Final = 409005
NOTHING_TO_REPLACE: Final = frozenset({412001, 412005})
ANY: Final = "*"

_SECOND: Final = timedelta(seconds=1)
PAUSES: Final[Mapping[int, timedelta]] = MappingProxyType(
    {
        ACTIVE: 5 * _SECOND,
        429002: _SECOND,
        429003: _SECOND,
        500001: 300 * _SECOND,
        503001: 5 * _SECOND,
        503102: 5 * _SECOND,
    }
)
"""Code -> how long to wait where the hub does not say."""
_OTHER_PAUSE: Final = 5 * _SECOND


@dataclass(frozen=True, slots=True)
class Replace:
    """A request of ours is pending, and its answer may never reach us: ask again in its place."""

    request_id: str


@dataclass(frozen=True, slots=True)
class AskAfresh:
    """There is nothing to replace any more."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The hub can do it, but not now."""

    pause: timedelta


@dataclass(frozen=True, slots=True)
class TurnToDps:
    """The hub will not do it for this device: the request is at fault, or the device, or the feature."""


type NextStep = Replace | AskAfresh | Wait | TurnToDps


def next_step(error: IssuanceError) -> NextStep:
    """What follows on an error: 400001, 400004, 400006, 400037, 400040, 403010 and 404001 are final."""
    if error.code == PENDING:
        return Replace(error.info.get("requestId") or ANY)
    if error.code in NOTHING_TO_REPLACE:
        return AskAfresh()
    if error.code in PAUSES or error.code // 1000 in {408, 429} or error.code // 100000 == 5:
        return Wait(error.retry_after or PAUSES.get(error.code, _OTHER_PAUSE))
    return TurnToDps()
