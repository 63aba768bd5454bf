"""Certificate renewal over MQTT: a CSR to `$iothub/credentials`, answered by 202 and then the chain.

Facts: Azure/azure-iot-sdk-csharp, branch feature/iot-csr-preview (api-version 2025-08-01-preview).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography import x509

from fleetcert.certificates import der
from fleetcert.local.instants import precise
from fleetcert.local.iothub.device import Device
from fleetcert.local.iothub.errors import HubError, invalid_argument
from fleetcert.local.ports import CsrRefused, Registry
from shared.clock import Clock

MAX_CSR_BYTES: Final = 8 * 1024
_OPERATION_LIFE: Final = timedelta(hours=12)
_MEMBERS: Final = frozenset({"id", "csr", "replace"})
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9-]{4,36}")


@dataclass(frozen=True, slots=True)
class IssuanceRequest:
    """A valid request: what to sign, and which pending request it takes the place of (`*`: any)."""

    request_id: str
    csr: bytes
    replace: str | None

    @classmethod
    def parse(cls, device_id: str, request_id: str, payload: bytes) -> IssuanceRequest:
        """Raises: HubError 400004, 400006 (not JSON)."""
        if not _REQUEST_ID.fullmatch(request_id):
            raise invalid_argument("The request id must have 4 to 36 letters, digits and dashes.")
        document = _json_object(payload)
        if unknown := document.keys() - _MEMBERS:
            raise invalid_argument(f"Unknown members: {', '.join(sorted(unknown))}.")
        if document.get("id") != device_id:
            raise invalid_argument("The id is not that of the connected device.")
        return cls(request_id, _decoded_csr(document.get("csr")), _replaced(document.get("replace")))


@dataclass(frozen=True, slots=True)
class PendingIssuance:
    """A request that was accepted and is not answered yet."""

    request: IssuanceRequest
    correlation_id: str
    expires_at: datetime
    timer: asyncio.TimerHandle

    def info(self) -> dict[str, str]:
        """The operation as error documents name it."""
        return {
            "correlationId": self.correlation_id,
            "requestId": self.request.request_id,
            "operationExpires": precise(self.expires_at),
        }


class Issuance:
    """Has ADR sign what connected devices ask for; one request a device at a time."""

    def __init__(self, registry: Registry, clock: Clock, seconds: float) -> None:
        self._registry = registry
        self._clock = clock
        self._seconds = seconds
        self._pending: dict[str, PendingIssuance] = {}

    def request(self, device: Device, request_id: str, payload: bytes) -> Mapping[str, Any]:
        """Accepts a request; the document of the 202. The certificate follows over the device's session.

        Raises: HubError 400004, 400006, 409004 (one is pending), 412001 (nothing to replace).
        """
        request = IssuanceRequest.parse(device.device_id, request_id, payload)
        self._make_room(device.device_id, request)
        expires_at, correlation_id = self._clock.now() + _OPERATION_LIFE, str(uuid.uuid4())
        timer = asyncio.get_running_loop().call_later(self._seconds, self._complete, device)
        self._pending[device.device_id] = PendingIssuance(request, correlation_id, expires_at, timer)
        return {"correlationId": correlation_id, "operationExpires": precise(expires_at)}

    def _make_room(self, device_id: str, request: IssuanceRequest) -> None:
        pending = self._pending.get(device_id)
        if request.replace not in (None, "*", pending and pending.request.request_id):
            raise HubError(412001, "PreconditionFailed", "There is no pending request to replace.")
        if pending is None:
            return
        if request.replace is None:
            message = "A credential operation is pending for this device."
            raise HubError(409004, "CredentialOperationPending", message, pending.info())
        pending.timer.cancel()
        del self._pending[device_id]

    def _complete(self, device: Device) -> None:
        pending = self._pending.pop(device.device_id)
        if device.session is None:
            return  # a device that left asks again
        status, document = self._answer(device.device_id, pending)
        device.session.answer_issuance(status, pending.request.request_id, document)

    def _answer(self, device_id: str, pending: PendingIssuance) -> tuple[int, Mapping[str, Any]]:
        try:
            chain = self._registry.issue(device_id, pending.request.csr)
        except CsrRefused as refusal:
            error = HubError(refusal.code, "CredentialOperationFailed", refusal.message, _failure(pending, refusal))
            return error.status, error.device_document(self._clock.now())
        certificates = [_base64_der(certificate) for certificate in chain]
        return 200, {"correlationId": pending.correlation_id, "certificates": certificates}


def _failure(pending: PendingIssuance, refusal: CsrRefused) -> dict[str, str]:
    return {**pending.info(), "credentialError": "InvalidCsr", "credentialMessage": refusal.message}


def _json_object(payload: bytes) -> dict[str, Any]:
    try:
        document = json.loads(payload)
    except ValueError as problem:
        raise HubError(400006, "InvalidJson", "The payload is not JSON.") from problem
    if not isinstance(document, dict):
        raise invalid_argument("The payload must be a JSON object.")
    return document


def _decoded_csr(csr: Any) -> bytes:
    if not isinstance(csr, str) or not csr or len(csr) > MAX_CSR_BYTES:
        raise invalid_argument(f"The csr must be base64 of at most {MAX_CSR_BYTES} bytes.")
    try:
        return base64.b64decode(csr, validate=True)
    except binascii.Error as problem:
        raise invalid_argument("The csr is not base64.") from problem


def _replaced(replace: Any) -> str | None:
    if replace is None:
        return None
    if isinstance(replace, str) and (replace == "*" or _REQUEST_ID.fullmatch(replace)):
        return replace
    raise invalid_argument("replace must be a request id or '*'.")


def _base64_der(certificate: x509.Certificate) -> str:
    return base64.b64encode(der(certificate)).decode()
