"""What the twin is told, and when it need not be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcert.certificates import CertificateAuthority
from fleetcert.device.credential import OnboardingCredential
from fleetcert.device.report import describe, holds
from shared.domain.envelope import Envelope
from shared.domain.events import TwinReported
from shared.domain.parsing import parse_hub_event

SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=2)
DOCUMENTS = st.recursive(
    st.dictionaries(st.sampled_from("abc"), SCALARS, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), SCALARS | inner, max_size=3),
    max_leaves=8,
)


def merged(document: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """RFC 7396, straight from its page."""
    result = dict(document)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            below = result.get(name)
            result[name] = merged(below if isinstance(below, Mapping) else {}, value)
        else:
            result[name] = value
    return result


@given(DOCUMENTS, DOCUMENTS)
def test_a_twin_holds_a_patch_exactly_if_the_patch_would_change_nothing(
    document: dict[str, Any], patch: dict[str, Any]
) -> None:
    twin = merged({}, document)  # a twin holds no nulls
    assert holds(twin, patch) == (merged(twin, patch) == twin)
    assert holds(merged(twin, patch), patch)


@pytest.mark.parametrize("with_pem", [True, False])
@pytest.mark.parametrize("by_certificate", [True, False])
def test_every_member_is_in_the_one_patch_and_the_app_reads_it(
    issuing_ca: CertificateAuthority, bootstrap: OnboardingCredential, with_pem: bool, by_certificate: bool
) -> None:
    onboarding = bootstrap.leaf if by_certificate else None
    (patch,) = describe(issuing_ca.certificate, onboarding, with_pem=with_pem)
    assert set(patch["certificate"]) == {"validFrom", "validUntil", "thumbprint", "serialNumber", "issuer", "pem"}
    assert set(patch["onboarding"]) == {"thumbprint", "validUntil", "pem"}
    assert (patch["certificate"]["pem"] is not None) == with_pem
    assert (patch["onboarding"]["pem"] is not None) == (with_pem and by_certificate)
    assert (patch["onboarding"]["thumbprint"] is not None) == by_certificate
    (event,) = parsed({**patch, "$version": 2})
    assert isinstance(event, TwinReported)
    assert event.certificate is not None
    assert event.certificate.valid_until == issuing_ca.certificate.not_valid_after_utc


@pytest.mark.parametrize(
    "answer",
    [
        {"commandId": "c-1", "outcome": "renewed", "reason": None},
        {"commandId": "c-1", "outcome": "refused", "reason": "AnotherCertificate"},
        {"commandId": "c-1", "outcome": "failed", "reason": 'a "certificate" with "tags"'},
        None,
    ],
)
def test_the_app_passes_over_the_answer_to_a_command_and_makes_no_dead_letter_of_it(answer: Any) -> None:
    assert parsed({"renewal": answer, "$version": 3}) == []


def test_an_answer_beside_a_certificate_does_not_hide_it(
    issuing_ca: CertificateAuthority, bootstrap: OnboardingCredential
) -> None:
    (patch,) = describe(issuing_ca.certificate, bootstrap.leaf)
    answer = {"commandId": "c-1", "outcome": "refused", "reason": "AnotherDevice"}
    assert len(parsed({**patch, "renewal": answer, "$version": 2})) == 1


def parsed(reported: dict[str, Any]) -> list[Any]:
    """The app's reading of a twin change as IoT Hub routes it."""
    envelope = Envelope(
        hub="iot-events",
        partition="0",
        sequence_number=1,
        body=json.dumps({"version": 9, "properties": {"reported": reported}}).encode(),
        properties={"deviceId": "dev-1", "hubName": "hub", "opType": "updateTwin"},
        system={"iothub-message-source": "twinChangeEvents"},
        enqueued_at=datetime(2026, 11, 23, tzinfo=UTC),
    )
    return parse_hub_event(envelope)
