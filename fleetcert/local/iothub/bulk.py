"""Bulk changes of the identity registry (Azure docs: Bulk Registry, Update Registry)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fleetcert.local.iothub.errors import HubError, invalid_argument
from fleetcert.local.iothub.etags import Preconditions
from fleetcert.local.iothub.identity_registry import IdentityRegistry
from fleetcert.local.iothub.twins import Twins

MAX_ENTRIES: Final = 100


def change_identities(devices: IdentityRegistry, twins: Twins, entries: Any) -> list[dict[str, Any]]:
    """Applies each entry for itself; returns an error for each that could not be applied.

    Raises: HubError 400004 where there is no list of 1 to 100 objects.
    """
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_ENTRIES:
        raise invalid_argument(f"The body must be a list of 1 to {MAX_ENTRIES} identities.")
    if not all(isinstance(entry, dict) for entry in entries):
        raise invalid_argument("Every identity must be a JSON object.")
    errors = []
    for entry in entries:
        try:
            _change(devices, twins, entry)
        except HubError as error:
            described = {"deviceId": entry.get("id"), "errorCode": error.code, "errorStatus": error.message}
            errors.append(described)
    return errors


def _change(devices: IdentityRegistry, twins: Twins, entry: Mapping[str, Any]) -> None:
    device_id, mode = entry.get("id"), entry.get("importMode", "create")
    if not isinstance(device_id, str):
        raise invalid_argument("An identity needs an id.")
    match mode:
        case "create":
            devices.put(device_id, _identity(entry), Preconditions())
            if entry.get("tags") or entry.get("properties"):
                twins.update(devices.get(device_id), entry, Preconditions())
        case "update" | "updateIfMatchETag":
            devices.get(device_id)
            devices.put(device_id, _identity(entry), _condition(entry, mode, "eTag"))
        case "delete" | "deleteIfMatchETag":
            devices.delete(device_id, _condition(entry, mode, "eTag"))
        case "updateTwin" | "updateTwinIfMatchETag":
            twins.update(devices.get(device_id), entry, _condition(entry, mode, "twinETag"))
        case _:
            raise invalid_argument(f"The importMode {mode!r} is unknown.")


def _identity(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in ("id", "deviceId")}


def _condition(entry: Mapping[str, Any], mode: str, tag: str) -> Preconditions:
    """The entry's ETag where the mode asks for it, else any."""
    return Preconditions(str(entry.get(tag) or "").strip('"') if mode.endswith("IfMatchETag") else "*")
