"""Registrations: what DPS remembers of a device, and the operation that a device polls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import uuid4

from fleetcert.local.dps.errors import not_found, precondition_failed
from fleetcert.local.dps.etags import matches, new_etag
from fleetcert.local.instants import precise

type Status = Literal["assigned", "failed", "disabled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """The state of one registration. `group` is None for a device that came in by an individual enrollment."""

    registration_id: str
    device_id: str
    group: str | None
    hub: str
    status: Status
    substatus: str
    created: datetime
    updated: datetime
    etag: str
    error_code: int = 0
    error_message: str = ""

    def to_wire(self) -> dict[str, Any]:
        """`DeviceRegistrationState` of the service's REST; it says nothing of certificates."""
        state: dict[str, Any] = {
            "registrationId": self.registration_id,
            "createdDateTimeUtc": precise(self.created),
            "status": self.status,
            "lastUpdatedDateTimeUtc": precise(self.updated),
            "etag": self.etag,
        }
        if self.status == "assigned":
            state |= {"assignedHub": self.hub, "deviceId": self.device_id, "substatus": self.substatus}
        if self.error_code:
            state |= {"errorCode": self.error_code, "errorMessage": self.error_message}
        return state


@dataclass(frozen=True, slots=True)
class Operation:
    """A registration under way: until `ready_at` it is `assigning`, then it has this state."""

    id: str
    ready_at: datetime
    status: Status
    state: dict[str, Any]

    def to_wire(self, now: datetime) -> dict[str, Any]:
        """`RegistrationOperationStatus` at the instant `now`."""
        if now < self.ready_at:
            return {"operationId": self.id, "status": "assigning"}
        return {"operationId": self.id, "status": self.status, "registrationState": self.state}


class Registrations:
    """The registrations of the service, under ids that are compared without case."""

    def __init__(self) -> None:
        self._by_id: dict[str, Registration] = {}

    def find(self, registration_id: str) -> Registration | None:
        """The registration, if there is one."""
        return self._by_id.get(registration_id.casefold())

    def get(self, registration_id: str) -> Registration:
        """Raises: Refusal 404."""
        registration = self.find(registration_id)
        if registration is None:
            raise not_found("Registration not found")
        return registration

    def put(self, registration: Registration) -> None:
        """Stores the registration's new state."""
        self._by_id[registration.registration_id.casefold()] = registration

    def delete(self, registration_id: str, if_match: str | None = None) -> None:
        """Forgets the registration; the device stays in its hub. Raises: Refusal 404 or 412."""
        if not matches(if_match, self.get(registration_id).etag):
            raise precondition_failed()
        del self._by_id[registration_id.casefold()]

    def of_group(self, group: str) -> Sequence[Registration]:
        """The registrations that came in by the group."""
        wanted = group.casefold()
        return tuple(one for one in self._by_id.values() if one.group and one.group.casefold() == wanted)


class Operations:
    """The latest operation of each registration; older ones are forgotten."""

    def __init__(self) -> None:
        self._by_registration: dict[str, Operation] = {}

    def start(self, registration_id: str, ready_at: datetime, status: Status, state: dict[str, Any]) -> Operation:
        """A new operation with the outcome that it will show."""
        operation = Operation(f"5.{uuid4().hex[:16]}.{uuid4()}", ready_at, status, state)
        self._by_registration[registration_id.casefold()] = operation
        return operation

    def get(self, registration_id: str, operation_id: str) -> Operation:
        """Raises: Refusal 404."""
        operation = self._by_registration.get(registration_id.casefold())
        if operation is None or operation.id != operation_id:
            raise not_found("Operation not found")
        return operation


def disabled_state(registration_id: str, now: datetime) -> dict[str, Any]:
    """The state of a device whose enrollment is disabled: nothing but that.

    Azure docs: how-to-use-custom-allocation-policies ("result status: disabled" where an individual enrollment
    disables the device).
    """
    return {
        "registrationId": registration_id,
        "createdDateTimeUtc": precise(now),
        "status": "disabled",
        "lastUpdatedDateTimeUtc": precise(now),
        "etag": new_etag(),
    }
