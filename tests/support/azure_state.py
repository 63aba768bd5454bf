"""What the double of `az` begins with: a tenant and a subscription in which nothing was deployed yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

SCRIPT: Final = Path(__file__).with_name("fake_azure.py")
ME: Final = "00000000-0000-0000-0000-0000000000aa"
FRESH: Final[dict[str, Any]] = {
    "me": ME,
    "signed_in": True,
    "may_register": True,
    "providers": {"Microsoft.Devices": "Registered", "Microsoft.DeviceRegistry": "NotRegistered"},
    "apps": {},
    "principals": {"89d10474-74af-4874-99a7-c23c2f643083": {"id": "iot-hub-principal"}},
    "credentials": {},
    "assignments": [],
    "dps_certificates": {},
    "groups": {},
    "refuse_groups": 0,
    "hub_certificates": 0,
    "roles": {},
    "role_assignments": {},
    "policy": {"state": "Unlocked", "etag": "1", "immutabilityPeriodSinceCreationInDays": 400},
    "environment": {},
    "stopped": False,
    "calls": [],
    "changes": [],
}
