"""Enrollment groups and individual enrollments: what they say, what is kept, and what only force changes."""

from __future__ import annotations

from typing import Any

import pytest
from support.onboarding import FakeEnrollments, outcomes

from fleetcert.certificates import CertificateAuthority, thumbprint
from fleetcert.onboarding.attestations import Attestation, ByAuthority, ByCertificate, BySymmetricKey
from fleetcert.onboarding.enrollment_steps import EnrollmentStep
from fleetcert.onboarding.issuing import certify_device, make_root
from fleetcert.onboarding.keys import authority_key, device_key
from fleetcert.onboarding.steps import Verdict
from fleetcert.onboarding.terms import CredentialPolicy, ReprovisionPolicy, Terms
from shared.errors import Conflict, NotPossible

POLICY = CredentialPolicy(name="default")
TERMS = Terms(policy=POLICY)
BY_CA = ByAuthority(["plant-intermediate"])
KEY = ("enrollmentGroups", "fleet")


@pytest.fixture
def service() -> FakeEnrollments:
    return FakeEnrollments()


def authority() -> CertificateAuthority:
    return make_root("plant", authority_key("p256"))


async def group(
    service: FakeEnrollments, attestation: Attestation = BY_CA, terms: Terms = TERMS, *, force: bool = False
) -> Verdict:
    step = EnrollmentStep(service, "enrollmentGroups", "fleet", attestation, terms, force=force)
    return (await outcomes(step))[0].verdict


def stored(service: FakeEnrollments, key: tuple[str, str] = KEY) -> dict[str, Any]:
    return {name: value for name, value in service.documents[key].items() if name != "etag"}


async def test_a_group_says_what_the_manual_steps_say(service: FakeEnrollments):
    assert await group(service) is Verdict.MAKE
    assert stored(service) == {
        "enrollmentGroupId": "fleet",
        "attestation": {"type": "x509", "x509": {"caReferences": {"primary": "plant-intermediate"}}},
        "provisioningStatus": "enabled",
        "credentialPolicyName": "default",
    }
    assert await group(service) is Verdict.KEEP


async def test_a_group_of_a_later_generation_names_the_policy_with_its_namespace_and_ca():
    service = FakeEnrollments(api_version="2026-11-02-preview")
    policy = CredentialPolicy(name="default", namespace="adr", authority="ica-1")
    await group(service, terms=Terms(policy=policy))
    members = {"namespaceName": "adr", "certificateAuthorityName": "ica-1", "certificatePolicyName": "default"}
    assert stored(service).items() >= members.items()
    assert "credentialPolicyName" not in stored(service)


@pytest.mark.parametrize(
    ("version", "policy", "why"),
    [
        ("2026-11-01", POLICY, "wants the ADR namespace and the CA"),
        ("2026-11-01", CredentialPolicy(name="p", namespace="adr"), "wants the ADR namespace and the CA"),
        ("2025-07-01-preview", CredentialPolicy(name="p", namespace="adr", authority="a"), "by its name alone"),
    ],
)
async def test_what_a_version_cannot_say_is_refused(version: str, policy: CredentialPolicy, why: str):
    with pytest.raises(NotPossible, match=why):
        await group(FakeEnrollments(api_version=version), terms=Terms(policy=policy))


@pytest.mark.parametrize(
    ("policy", "members"),
    [
        (ReprovisionPolicy.MIGRATE, {"updateHubAssignment": True, "migrateDeviceData": True}),
        (ReprovisionPolicy.RESET, {"updateHubAssignment": True, "migrateDeviceData": False}),
        (ReprovisionPolicy.NEVER, {"updateHubAssignment": False, "migrateDeviceData": False}),
    ],
)
async def test_a_reprovision_policy_is_called_as_in_azures_command_line(
    service: FakeEnrollments, policy: ReprovisionPolicy, members: dict[str, bool]
):
    await group(service, terms=Terms(policy=POLICY, reprovision=policy))
    assert stored(service)["reprovisionPolicy"] == members


async def test_what_differs_is_named_and_changed_by_force_alone(service: FakeEnrollments):
    await group(service)
    disabled = Terms(policy=None, status="disabled", hubs=["b", "a"])
    with pytest.raises(NotPossible) as refused:
        await group(service, ByAuthority(["other"]), disabled)
    for part in ("provisioningStatus is 'enabled', not 'disabled'", "credentialPolicyName is 'default', not None",
                 "iotHubs", "it does not attest by CA other", "--force changes it"):  # fmt: skip
        assert part in str(refused.value)
    assert stored(service)["provisioningStatus"] == "enabled"
    assert await group(service, ByAuthority(["other"]), disabled, force=True) is Verdict.REPLACE
    assert stored(service)["iotHubs"] == ["b", "a"]
    assert "credentialPolicyName" not in stored(service)
    assert stored(service)["attestation"]["x509"]["caReferences"] == {"primary": "other"}


async def test_what_is_not_asked_for_stays_as_it_is(service: FakeEnrollments):
    await group(service)
    theirs = {"initialTwin": {"tags": {"site": "Bern"}}, "allocationPolicy": "static", "iotHubs": ["a", "b"]}
    service.store(KEY, {**service.documents[KEY], **theirs})
    assert await group(service, terms=Terms(policy=POLICY, hubs=["b", "a"])) is Verdict.KEEP
    await group(service, terms=Terms(policy=POLICY, status="disabled"), force=True)
    assert stored(service).items() >= theirs.items()


async def test_the_keys_of_a_group_survive_a_change(service: FakeEnrollments):
    await group(service, BySymmetricKey())
    keys = service.keys[KEY]
    assert "primaryKey" not in str(service.documents)
    await group(service, BySymmetricKey(), Terms(policy=POLICY, status="disabled"), force=True)
    assert service.keys[KEY] == keys
    assert stored(service)["provisioningStatus"] == "disabled"


async def test_a_change_that_somebody_else_overtakes_is_a_conflict(service: FakeEnrollments):
    await group(service)
    theirs = {**service.documents[KEY], "provisioningStatus": "disabled", "allocationPolicy": "static"}
    service.meanwhile = lambda: service.store(KEY, theirs)
    with pytest.raises(Conflict):
        await group(service, terms=Terms(policy=CredentialPolicy(name="other")), force=True)
    assert stored(service)["allocationPolicy"] == "static"


async def test_an_individual_enrollment_attests_by_the_devices_own_certificate(service: FakeEnrollments):
    leaf = certify_device(authority(), "dev-1", device_key("p256").public_key())
    attestation = ByCertificate([leaf])
    step = EnrollmentStep(service, "enrollments", "dev-1", attestation, TERMS, device_id="hub-1")
    assert (await outcomes(step))[0].verdict is Verdict.MAKE
    document = service.documents["enrollments", "dev-1"]
    assert (document["registrationId"], document["deviceId"]) == ("dev-1", "hub-1")
    sent = document["attestation"]["x509"]["clientCertificates"]
    assert sent["primary"]["certificate"].startswith("-----BEGIN CERTIFICATE")
    answered = {"info": {"sha256Thumbprint": thumbprint(leaf).upper()}}
    document["attestation"]["x509"]["clientCertificates"] = {"primary": answered}  # DPS gives no certificates out
    assert (await outcomes(step))[0].verdict is Verdict.KEEP


def test_an_attestation_knows_itself_among_others():
    leaves = [certify_device(authority(), "dev-1", device_key("p256").public_key()) for _ in range(2)]
    infos = [{"info": {"sha256Thumbprint": thumbprint(leaf).upper()}} for leaf in leaves]
    documents: list[tuple[Attestation, dict[str, Any]]] = [
        (BySymmetricKey(), {"type": "symmetricKey"}),
        (BY_CA, {"type": "x509", "x509": {"caReferences": {"primary": "PLANT-Intermediate", "secondary": None}}}),
        (ByAuthority(["a", "b"]), {"type": "x509", "x509": {"caReferences": {"primary": "a", "secondary": "b"}}}),
        (
            ByCertificate(leaves[:1]),
            {"type": "x509", "x509": {"clientCertificates": {"primary": infos[0]}, "caReferences": None}},
        ),
        (
            ByCertificate(leaves),
            {"type": "x509", "x509": {"clientCertificates": {"primary": infos[0], "secondary": infos[1]}}},
        ),
    ]
    for position, (attestation, _) in enumerate(documents):
        assert [attestation.is_in(document) for _, document in documents] == [
            other == position for other in range(len(documents))
        ]
