"""Registration with a CSR at the Device Provisioning Service, over HTTPS.

The onboarding credential authenticates by mutual TLS. Facts: azure-rest-api-specs, DPS device data plane,
2025-07-01-preview (`RuntimeRegistration_RegisterDeviceAndIssueCertificate`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx

from fleetcert.device.credential import OnboardingCredential
from fleetcert.device.csr import chain_from_wire, to_wire
from fleetcert.device.errors import RegistrationDisabled, RegistrationRefused
from fleetcert.device.ports import Assignment
from fleetcert.device.tls import client_context
from shared.errors import InfrastructureFault, Throttled

API_VERSION: Final = "2025-07-01-preview"
DEFAULT_RETRY_AFTER: Final = timedelta(seconds=2)
"""Between two polls where DPS does not say: it allows a device 5 in 10 seconds (Azure docs: iot-dps-limits)."""
MAX_POLLS: Final = 60
RETRY_LATER: Final = frozenset({408, 409, 412})
"""Somebody else wrote the registration at the same time, or the request was too slow: neither is the device's fault."""

type Pause = Callable[[timedelta], None]


class ProvisioningClient:
    """One device's way to DPS. `endpoint` is its base URL; `pause` sleeps, and may raise Stopped."""

    def __init__(
        self, endpoint: str, id_scope: str, onboarding: OnboardingCredential, ca_bundle: Path, pause: Pause
    ) -> None:
        self._base = f"{endpoint.rstrip('/')}/{quote(id_scope, safe='')}/registrations"
        self._onboarding = onboarding
        self._ca_bundle = ca_bundle
        self._pause = pause

    def register(self, registration_id: str, request: bytes) -> Assignment:
        """Registers, waits for the assignment, and returns it with the certificate issued for the DER `request`.

        Raises: RegistrationRefused, RegistrationDisabled, Throttled, InfrastructureFault, Stopped.
        """
        with httpx.Client(verify=self._tls(), params={"api-version": API_VERSION}, timeout=30) as client:
            url = f"{self._base}/{quote(registration_id, safe='')}"
            body = {"registrationId": registration_id, "csr": to_wire(request)}
            response = _send(client, "PUT", f"{url}/register", body)
            for _ in range(MAX_POLLS):
                operation = _document(response)
                if operation.get("status") not in {"unassigned", "assigning"}:
                    return _assignment(operation)
                self._pause(with_jitter(_retry_after(response)))
                operation_id = quote(str(operation.get("operationId", "")), safe="")
                response = _send(client, "GET", f"{url}/operations/{operation_id}")
        raise InfrastructureFault("DPS", f"still assigning after {MAX_POLLS} polls")

    def _tls(self) -> Any:
        return client_context(self._ca_bundle, self._onboarding.certificate_file, self._onboarding.key_file)


def with_jitter(delay: timedelta) -> timedelta:
    """The delay and up to a quarter more, so that a fleet that was told the same second does not return in it."""
    return delay * (1 + random.random() / 4)  # noqa: S311 - spreads load, hides nothing


def _send(client: httpx.Client, method: str, url: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
    try:
        response = client.request(method, url, json=body)
    except httpx.TransportError as problem:
        raise InfrastructureFault("DPS", str(problem) or type(problem).__name__) from problem
    if response.is_success:
        return response
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise Throttled("DPS", with_jitter(_retry_after(response)))
    if response.is_server_error or response.status_code in RETRY_LATER:
        raise InfrastructureFault("DPS", f"HTTP {response.status_code}")
    raise _refusal(response)


def _refusal(response: httpx.Response) -> RegistrationRefused:
    """DPS's documented error body; a proxy on the way may have answered with something else."""
    try:
        error = _document(response)
    except InfrastructureFault:
        error = {}
    message = str(error.get("message") or response.reason_phrase)
    return RegistrationRefused(int(error.get("errorCode") or response.status_code), message)


def _document(response: httpx.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError as problem:
        raise InfrastructureFault("DPS", "the answer is no JSON") from problem
    if not isinstance(document, dict):
        raise InfrastructureFault("DPS", "the answer is no JSON object")
    return document


def _retry_after(response: httpx.Response) -> timedelta:
    text = response.headers.get("retry-after", "")
    return timedelta(seconds=int(text)) if text.isdecimal() else DEFAULT_RETRY_AFTER


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
    except (KeyError, ValueError) as problem:
        raise InfrastructureFault("DPS", f"the assignment cannot be read: {problem}") from problem
