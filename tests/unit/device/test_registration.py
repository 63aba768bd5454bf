"""What the device makes of DPS's answers; the documented ones and those of a proxy in between."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from fleetcert.certificates import CertificateAuthority, der
from fleetcert.device.dps import MAX_POLLS, ProvisioningClient
from fleetcert.device.errors import RegistrationDisabled, RegistrationRefused
from fleetcert.device.registration import DEFAULT_RETRY_AFTER, DpsAnswer
from shared.errors import InfrastructureFault, Throttled


@dataclass
class FakeDps:
    """Answers in order, and remembers what it was asked."""

    answers: list[DpsAnswer]
    questions: list[Any] = field(default_factory=list)
    pauses: list[timedelta] = field(default_factory=list)
    is_open: bool = False

    @contextmanager
    def connect(self, registration_id: str) -> Iterator[FakeDps]:
        self.questions.append(registration_id)
        self.is_open = True
        yield self
        self.is_open = False

    def register(self, request: bytes) -> DpsAnswer:
        self.questions.append(request)
        return self.answers.pop(0)

    def poll(self, operation_id: str) -> DpsAnswer:
        self.questions.append(operation_id)
        return self.answers.pop(0)


def registering(answers: Sequence[DpsAnswer]) -> tuple[FakeDps, Any]:
    fake = FakeDps(list(answers))
    client = ProvisioningClient(fake, fake.pauses.append)
    return fake, lambda: client.register("dev:1", b"request")


def said(status: int, document: Any, retry_after: float | None = None) -> DpsAnswer:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return DpsAnswer(status, body, timedelta(seconds=retry_after) if retry_after else None)


def assigning(retry_after: float | None = 3) -> DpsAnswer:
    return said(202, {"operationId": "5.op", "status": "assigning"}, retry_after)


def ended(status: str = "assigned", **state: Any) -> DpsAnswer:
    return said(200, {"operationId": "5.op", "status": status, "registrationState": state})


def test_a_registration_polls_as_often_as_it_is_told_with_jitter(issuing_ca: CertificateAuthority) -> None:
    chain = [base64.b64encode(der(certificate)).decode() for certificate in issuing_ca.chain]
    done = ended(assignedHub="hub.example", deviceId="dev-1", issuedCertificateChain=chain)
    fake, call = registering([assigning(3), assigning(None), done])
    assignment = call()
    assert (assignment.hub, assignment.device_id, len(assignment.chain)) == ("hub.example", "dev-1", 2)
    assert fake.questions == ["dev:1", b"request", "5.op", "5.op"]
    assert timedelta(seconds=3) <= fake.pauses[0] <= timedelta(seconds=3.75)
    assert fake.pauses[1] >= DEFAULT_RETRY_AFTER
    assert not fake.is_open


def test_an_unauthorized_device_learns_dps_own_error_code() -> None:
    body = {"errorCode": 401002, "trackingId": "t", "message": "Unauthorized", "timestampUtc": "2026-11-23T10:00:00Z"}
    _, call = registering([said(401, body)])
    with pytest.raises(RegistrationRefused, match="Unauthorized") as refusal:
        call()
    assert refusal.value.code == 401002


@pytest.mark.parametrize("body", [b"<html>proxy</html>", b"[]", b'{"errorCode": "none"}', b'{"errorCode": {}}'])
def test_a_refusal_that_cannot_be_read_keeps_its_http_status(body: bytes) -> None:
    _, call = registering([said(403, body)])
    with pytest.raises(RegistrationRefused) as refusal:
        call()
    assert refusal.value.code == 403


def test_a_throttle_carries_at_least_the_wait_that_dps_asked_for() -> None:
    _, call = registering([said(429, {}, 40)])
    with pytest.raises(Throttled) as throttle:
        call()
    assert timedelta(seconds=40) <= throttle.value.retry_after <= timedelta(seconds=50)


def test_a_disabled_registration_is_told_apart() -> None:
    _, call = registering([assigning(), ended("disabled", errorCode=0, errorMessage="")])
    with pytest.raises(RegistrationDisabled):
        call()


def test_a_failed_registration_carries_its_error() -> None:
    _, call = registering([assigning(), ended("failed", errorCode=400207, errorMessage="Custom allocation failed")])
    with pytest.raises(RegistrationRefused, match="Custom allocation failed") as refusal:
        call()
    assert refusal.value.code == 400207


def test_an_assignment_without_a_certificate_is_no_success() -> None:
    _, call = registering([ended(assignedHub="hub.example", deviceId="dev-1")])
    with pytest.raises(RegistrationRefused, match="no certificate"):
        call()


@pytest.mark.parametrize(
    "answer",
    [
        said(500, b""),
        said(503, b""),
        said(408, b""),
        said(409, b""),
        said(412, b""),
        said(302, b""),
        said(0, b""),
        said(200, b"not json"),
        said(200, ["no object"]),
        ended(assignedHub="hub.example", deviceId="dev-1", issuedCertificateChain=["AAAA"]),
        ended(assignedHub="hub.example", deviceId="dev-1", issuedCertificateChain=[7]),
        ended(deviceId="dev-1", issuedCertificateChain=["AAAA"]),
    ],
    ids=str,
)
def test_what_may_be_better_later_is_a_fault_and_no_refusal(answer: DpsAnswer) -> None:
    _, call = registering([answer])
    with pytest.raises(InfrastructureFault, match="DPS"):
        call()


def test_an_assignment_that_never_ends_is_given_up() -> None:
    fake, call = registering([assigning() for _ in range(MAX_POLLS + 1)])
    with pytest.raises(InfrastructureFault, match="still assigning"):
        call()
    assert len(fake.pauses) == MAX_POLLS
