"""What DPS answers to a registration with a CSR, over whichever transport.

Facts: azure-rest-api-specs, DPS device data plane, 2025-07-01-preview (`RuntimeRegistration_RegisterDeviceAndIssue..`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from fleetcert.device.csr import chain_from_wire
from fleetcert.device.errors import RegistrationDisabled, RegistrationRefused
from fleetcert.device.ports import Assignment
from fleetcert.device.schedule import with_jitter
from shared.errors import InfrastructureFault, Throttled

API_VERSION: Final = "2025-07-01-preview"
DEFAULT_RETRY_AFTER: Final = timedelta(seconds=2)
"""Between two polls where DPS does not say: it allows a device 5 in 10 seconds (Azure docs: iot-dps-limits)."""
_TOO_MANY_REQUESTS: Final = 429
_RETRY_LATER: Final = frozenset({408, 409, 412})
"""Somebody else wrote the registration at the same time, or the request was too slow: neither is the device's fault."""


@dataclass(frozen=True, slots=True)
class DpsAnswer:
    """An answer of DPS. status: as of HTTP. retry_after: where DPS says it."""

    status: int
    body: bytes
    retry_after: timedelta | None = None

    @property
    def pause(self) -> timedelta:
        """How long to wait before the next question; with jitter."""
        return with_jitter(self.retry_after or DEFAULT_RETRY_AFTER)


@dataclass(frozen=True, slots=True)
class Assigning:
    """The registration is under way: ask again, after the pause."""

    operation_id: str
    pause: timedelta


def outcome(answer: DpsAnswer) -> Assignment | Assigning:
    """What an answer says. Raises: RegistrationRefused, RegistrationDisabled, Throttled, InfrastructureFault."""
    if not 200 <= answer.status < 300:
        raise _problem(answer)
    operation = _document(answer.body)
    if operation.get("status") in {"unassigned", "assigning"}:
        return Assigning(str(operation.get("operationId", "")), answer.pause)
    return _assignment(operation)


def _problem(answer: DpsAnswer) -> InfrastructureFault | RegistrationRefused:
    if answer.status == _TOO_MANY_REQUESTS:
        return Throttled("DPS", answer.pause)
    if answer.status >= 500 or answer.status in _RETRY_LATER or answer.status < 200:
        return InfrastructureFault("DPS", f"HTTP {answer.status}")
    if 300 <= answer.status < 400:
        return InfrastructureFault("DPS", f"HTTP {answer.status}: a redirection, which DPS never sends")
    return _refusal(answer)


def _refusal(answer: DpsAnswer) -> RegistrationRefused:
    """DPS's documented error body; a proxy on the way may have answered with something else."""
    try:
        error = _document(answer.body)
        code = int(error.get("errorCode") or answer.status)
    except (InfrastructureFault, TypeError, ValueError):
        error, code = {}, answer.status
    return RegistrationRefused(code, str(error.get("message") or f"HTTP {answer.status}"))


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError as problem:
        raise InfrastructureFault("DPS", "the answer is no JSON") from problem
    if not isinstance(document, dict):
        raise InfrastructureFault("DPS", "the answer is no JSON object")
    return document


def _assignment(operation: Mapping[str, Any]) -> Assignment:
    state = operation.get("registrationState") or {}
    status = operation.get("status")
    code, message = int(state.get("errorCode") or 0), str(state.get("errorMessage") or status)
    if status == "disabled":
        raise RegistrationDisabled(code, message)
    if status != "assigned":
        raise RegistrationRefused(code, message)
    if not state.get("issuedCertificateChain"):
        raise RegistrationRefused(code, "assigned, but no certificate was issued: has the enrollment a policy?")
    try:
        chain = chain_from_wire(state["issuedCertificateChain"])
        return Assignment(hub=state["assignedHub"], device_id=state["deviceId"], chain=chain)
    except (KeyError, TypeError, ValueError) as problem:
        raise InfrastructureFault("DPS", f"the assignment cannot be read: {problem}") from problem
