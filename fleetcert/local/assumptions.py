"""Where Azure's behaviour is not documented, the local Azure takes a position, and every position is a switch.

`docs/assumptions.md` lists them beside what is documented and what was observed. The product's promises hold in both
positions of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Assumptions:
    """The positions taken.

    session_ends_with_certificate: whether IoT Hub closes an MQTT session when the certificate that opened it expires.
    dps_log_shape: whether DPS's resource log arrives as `{"records": [...]}` or record by record.
    block_matches: whether a disabled individual enrollment stops a device by its registration id, or only one that
        presents the enrollment's own credential.
    lifecycle_first: whether `createDeviceIdentity` reaches the event hub before the device's first twin change.
    """

    session_ends_with_certificate: bool = True
    dps_log_shape: Literal["records", "single"] = "records"
    block_matches: Literal["registration-id", "credential"] = "registration-id"
    lifecycle_first: bool = True
