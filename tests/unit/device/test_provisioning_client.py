"""What the device makes of DPS's answers; the documented ones and those of a proxy in between."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from fleetcert.certificates import CertificateAuthority, der
from fleetcert.device import dps
from fleetcert.device.credential import OnboardingCredential
from fleetcert.device.errors import RegistrationDisabled, RegistrationRefused
from shared.errors import InfrastructureFault, Throttled

type Answer = httpx.Response | Exception


class FakeDps:
    """Answers in order and remembers what it was asked."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.pauses: list[timedelta] = []

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def register(
    bootstrap: OnboardingCredential, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[FakeDps, Callable[[], Any]]]:
    """A registration against these answers: the fake, and the call."""

    def prepare(*answers: Answer) -> tuple[FakeDps, Callable[[], Any]]:
        fake = FakeDps(answers)
        transport = httpx.MockTransport(fake.handle)
        monkeypatch.setattr(httpx, "Client", partial(httpx.Client, transport=transport))
        bundle: Path = bootstrap.certificate_file
        client = dps.ProvisioningClient("https://dps.example/", "0ne1", bootstrap, bundle, fake.pauses.append)
        return fake, lambda: client.register("dev:1", b"request")

    return prepare


def assigning(retry_after: str | None = "3") -> httpx.Response:
    headers = {"retry-after": retry_after} if retry_after else {}
    return httpx.Response(202, json={"operationId": "5.op", "status": "assigning"}, headers=headers)


def ended(status: str = "assigned", **state: Any) -> httpx.Response:
    return httpx.Response(200, json={"operationId": "5.op", "status": status, "registrationState": state})


@pytest.fixture
def assigned(issuing_ca: CertificateAuthority) -> httpx.Response:
    chain = [base64.b64encode(der(certificate)).decode() for certificate in issuing_ca.chain]
    return ended(assignedHub="hub.example", deviceId="dev-1", issuedCertificateChain=chain)


def test_a_registration_sends_the_request_and_polls_as_often_as_it_is_told(register: Any, assigned: Any) -> None:
    fake, call = register(assigning("3"), assigning(None), assigned)
    assignment = call()
    assert (assignment.hub, assignment.device_id, len(assignment.chain)) == ("hub.example", "dev-1", 2)
    first, second, third = fake.requests
    assert first.method == "PUT"
    assert first.url == "https://dps.example/0ne1/registrations/dev%3A1/register?api-version=2025-07-01-preview"
    assert json.loads(first.content) == {"registrationId": "dev:1", "csr": base64.b64encode(b"request").decode()}
    assert second.method == third.method == "GET"
    assert second.url.raw_path == b"/0ne1/registrations/dev%3A1/operations/5.op?api-version=2025-07-01-preview"
    assert timedelta(seconds=3) <= fake.pauses[0] <= timedelta(seconds=3.75)
    assert fake.pauses[1] >= dps.DEFAULT_RETRY_AFTER


def test_an_unauthorized_device_learns_dps_own_error_code(register: Any) -> None:
    body = {"errorCode": 401002, "trackingId": "t", "message": "Unauthorized", "timestampUtc": "2026-11-23T10:00:00Z"}
    _, call = register(httpx.Response(401, json=body))
    with pytest.raises(RegistrationRefused, match="Unauthorized") as refusal:
        call()
    assert refusal.value.code == 401002


def test_a_refusal_that_is_no_json_keeps_its_http_status(register: Any) -> None:
    _, call = register(httpx.Response(403, text="<html>proxy</html>"))
    with pytest.raises(RegistrationRefused) as refusal:
        call()
    assert refusal.value.code == 403


def test_a_throttle_carries_at_least_the_wait_that_dps_asked_for(register: Any) -> None:
    _, call = register(httpx.Response(429, headers={"retry-after": "40"}))
    with pytest.raises(Throttled) as throttle:
        call()
    assert timedelta(seconds=40) <= throttle.value.retry_after <= timedelta(seconds=50)


def test_a_disabled_registration_is_told_apart(register: Any) -> None:
    _, call = register(assigning(), ended("disabled", errorCode=0, errorMessage=""))
    with pytest.raises(RegistrationDisabled):
        call()


def test_a_failed_registration_carries_its_error(register: Any) -> None:
    _, call = register(assigning(), ended("failed", errorCode=400207, errorMessage="Custom allocation failed"))
    with pytest.raises(RegistrationRefused, match="Custom allocation failed") as refusal:
        call()
    assert refusal.value.code == 400207


def test_an_assignment_without_a_certificate_is_no_success(register: Any) -> None:
    _, call = register(ended(assignedHub="hub.example", deviceId="dev-1"))
    with pytest.raises(RegistrationRefused, match="no certificate"):
        call()


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(503),
        httpx.Response(409),
        httpx.Response(200, text="not json"),
        httpx.Response(200, json=["no object"]),
        ended(assignedHub="hub.example", deviceId="dev-1", issuedCertificateChain=["AAAA"]),
        ended(deviceId="dev-1", issuedCertificateChain=["AAAA"]),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout(""),
    ],
    ids=str,
)
def test_what_may_be_better_later_is_a_fault_and_no_refusal(register: Any, answer: Answer) -> None:
    _, call = register(answer)
    with pytest.raises(InfrastructureFault, match="DPS"):
        call()


def test_an_assignment_that_never_ends_is_given_up(register: Any) -> None:
    fake, call = register(*[assigning() for _ in range(dps.MAX_POLLS + 1)])
    with pytest.raises(InfrastructureFault, match="still assigning"):
        call()
    assert len(fake.pauses) == dps.MAX_POLLS
