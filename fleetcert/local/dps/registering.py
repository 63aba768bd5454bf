"""Registration as devices ask for it: one core for REST and MQTT."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

import msgspec

from fleetcert.local.dps.admission import Admission, Evidence, Gate
from fleetcert.local.dps.assignment import Assigner
from fleetcert.local.dps.attestation import TPM_IS_REFUSED
from fleetcert.local.dps.enrollments import IDENTIFIER
from fleetcert.local.dps.errors import Refusal, bad_request
from fleetcert.local.dps.operations_log import OperationsLog, Protocol
from fleetcert.local.dps.registrations import Operation, Operations, Registrations, disabled_state
from fleetcert.local.dps.throttle import Throttle
from shared.clock import Clock

CSR_VERSIONS: Final = ("2025-07-01-preview",)
VERSIONS: Final = ("2018-11-01", "2019-03-31", "2021-06-01", *CSR_VERSIONS)
"""The device API's versions that are served."""
MAX_CSR_TEXT: Final = 12 * 1024
RETRY_AFTER_SECONDS: Final = 1


class RegistrationDocument(msgspec.Struct, rename="camel", kw_only=True):
    """`DeviceRegistration`: what a device sends. `csr`: base64 of DER without header and footer."""

    registration_id: str | None = None
    csr: str | None = None
    tpm: Any = None
    payload: Any = None


@dataclass(frozen=True, slots=True)
class Caller:
    """A device as it asks: who it claims to be, what proves it, and how it speaks."""

    registration_id: str
    evidence: Evidence
    api_version: str
    protocol: Protocol


@dataclass(frozen=True, slots=True)
class Answer:
    """What a device is told. `retry_after`: seconds, while the operation is under way."""

    status: HTTPStatus
    body: dict[str, Any]
    retry_after: int | None = None


class Registering:
    """Attests, assigns, and tells devices how their operations stand.

    assignment_time: how long an operation shows `assigning`. All work is done at once; Azure takes a few seconds.
    """

    def __init__(
        self,
        gate: Gate,
        assigner: Assigner,
        registrations: Registrations,
        log: OperationsLog,
        throttle: Throttle,
        clock: Clock,
        assignment_time: timedelta,
    ) -> None:
        self._gate = gate
        self._assigner = assigner
        self._registrations = registrations
        self._operations = Operations()
        self._log = log
        self._throttle = throttle
        self._clock = clock
        self._assignment_time = assignment_time

    def check_credentials(self, caller: Caller) -> None:
        """Attests without registering, for a transport that refuses before any request. Raises: Refusal."""
        check_caller(caller)
        self._admit(caller)

    def register(self, caller: Caller, body: bytes) -> Answer:
        """Starts a registration. Raises: Refusal."""
        self._throttle.take(self._clock.now())
        csr = _csr(caller, _read(caller, body))
        admission = self._admit(caller)
        if not admission.enrollment.is_enabled:
            return self._report(self._turn_away(caller))
        return self._report(self._assign(caller, admission, csr))

    def poll(self, caller: Caller, operation_id: str) -> Answer:
        """How the operation stands. Raises: Refusal."""
        check_caller(caller)
        self._gate.admit(caller.registration_id, caller.evidence)
        return self._report(self._operations.get(caller.registration_id, operation_id))

    def look_up(self, caller: Caller, body: bytes) -> Answer:
        """The registration as it is, without any certificate. Raises: Refusal."""
        if _read(caller, body).csr is not None:
            raise bad_request("A CSR is not allowed when a registration is looked up")
        self._gate.admit(caller.registration_id, caller.evidence)
        return Answer(HTTPStatus.OK, self._registrations.get(caller.registration_id).to_wire())

    def _admit(self, caller: Caller) -> Admission:
        try:
            return self._gate.admit(caller.registration_id, caller.evidence)
        except Refusal as refusal:
            self._log.failed(caller.registration_id, caller.protocol, refusal.status, refusal.message)
            raise

    def _assign(self, caller: Caller, admission: Admission, csr: bytes | None) -> Operation:
        now = self._clock.now()
        existing = self._registrations.find(caller.registration_id)
        assignment = self._assigner.assign(admission, caller.registration_id, csr, existing, now)
        self._registrations.put(assignment.registration)
        self._log.succeeded(caller.registration_id, caller.protocol)
        return self._operations.start(
            caller.registration_id,
            now + self._assignment_time,
            assignment.registration.status,
            assignment.to_wire(),
        )

    def _turn_away(self, caller: Caller) -> Operation:
        now = self._clock.now()
        description = "The enrollment is disabled"
        self._log.failed(caller.registration_id, caller.protocol, HTTPStatus.UNAUTHORIZED, description)
        state = disabled_state(caller.registration_id, now)
        return self._operations.start(caller.registration_id, now + self._assignment_time, "disabled", state)

    def _report(self, operation: Operation) -> Answer:
        now = self._clock.now()
        body = operation.to_wire(now)
        if now < operation.ready_at:
            return Answer(HTTPStatus.ACCEPTED, body, RETRY_AFTER_SECONDS)
        return Answer(HTTPStatus.OK, body)


def check_caller(caller: Caller) -> None:
    """Raises: Refusal 400 for a version that is not served, or an id that no device can have."""
    if caller.api_version not in VERSIONS:
        raise bad_request(f"The api-version {caller.api_version!r} is not supported, use one of {', '.join(VERSIONS)}")
    if not IDENTIFIER.fullmatch(caller.registration_id):
        raise bad_request(f"The registration id {caller.registration_id!r} is not allowed")


def _read(caller: Caller, body: bytes) -> RegistrationDocument:
    check_caller(caller)
    try:
        document = msgspec.json.decode(body, type=RegistrationDocument) if body.strip() else RegistrationDocument()
    except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
        raise bad_request(f"The body of the request is not valid: {problem}") from problem
    if document.registration_id is not None and document.registration_id != caller.registration_id:
        raise bad_request("The registration id of the body is not that of the request")
    if document.tpm is not None:
        raise bad_request(TPM_IS_REFUSED)
    return document


def _csr(caller: Caller, document: RegistrationDocument) -> bytes | None:
    if document.csr is None:
        return None
    if caller.api_version not in CSR_VERSIONS:
        raise bad_request(f"The member csr needs the api-version {CSR_VERSIONS[0]}")
    if len(document.csr) > MAX_CSR_TEXT:
        raise bad_request("The CSR is larger than 8 KB")
    try:
        return base64.b64decode(document.csr, validate=True)
    except (binascii.Error, ValueError) as problem:
        raise bad_request("The CSR is not base64 of DER") from problem
