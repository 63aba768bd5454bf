from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from fleetcert.certificates import common_name, common_name_of
from fleetcert.local.adr.devices import RESOURCE_NAME, resource_name
from fleetcert.local.adr.policies import PolicyInvalid, leaf_validity
from fleetcert.local.adr.registry import DeviceRegistry
from fleetcert.local.chains import chain_length
from fleetcert.local.ports import CsrRefused
from shared.errors import NotFound

NOW = datetime(2026, 11, 23, 10, 0, 0, 654321, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.instant = NOW

    def now(self) -> datetime:
        return self.instant


class Hub:
    host_name = "hub"

    def __init__(self) -> None:
        self.trusted = {}

    def trust(self, authorities) -> None:
        self.trusted = authorities


@pytest.fixture
def registry() -> DeviceRegistry:
    registry = DeviceRegistry("adr", Clock())
    registry.register("dev-1", "default")
    return registry


@pytest.fixture
def hub(registry) -> Hub:
    hub = Hub()
    registry.link(hub)
    return hub


def request(name: str = "dev-1") -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(common_name(name))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def trusts(hub: Hub, chain) -> bool:
    return chain_length(chain, list(hub.trusted.values()), NOW) is not None


def test_a_leaf_lives_exactly_as_long_as_its_policy_says(registry):
    leaf, *_ = registry.issue("dev-1", request())

    assert leaf.not_valid_before_utc == NOW.replace(microsecond=0)
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(days=30)


def test_the_chain_runs_from_leaf_to_root(registry):
    leaf, issuer, root = registry.issue("dev-1", request())

    leaf.verify_directly_issued_by(issuer)
    issuer.verify_directly_issued_by(root)
    assert root == registry.root
    assert root.signature_hash_algorithm.name == "sha384"
    assert isinstance(issuer.public_key().curve, ec.SECP384R1)


def test_a_leaf_is_for_client_authentication_only_and_names_the_device(registry):
    leaf, *_ = registry.issue("dev-1", request())

    usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert common_name_of(leaf.subject) == "dev-1"


@pytest.mark.parametrize("device_id", ["unknown", "dev-1"])
def test_an_unknown_or_disabled_device_gets_no_certificate(registry, device_id):
    registry.change_device("dev-1", enabled=False)

    with pytest.raises(CsrRefused):
        registry.issue(device_id, request(device_id))


def test_a_policy_that_does_not_exist_issues_nothing(registry):
    with pytest.raises(CsrRefused, match="does not exist"):
        registry.issue("dev-1", request(), "missing")


def test_a_device_without_a_policy_gets_no_certificate(registry):
    registry.register("dev-2", None)

    with pytest.raises(CsrRefused, match="no credential policy"):
        registry.issue("dev-2", request("dev-2"))


def test_registering_again_does_not_enable_a_disabled_device(registry):
    registry.change_device("dev-1", enabled=False)

    registry.register("dev-1", "default")

    assert not registry.device_named("dev-1").enabled


def test_a_certificate_that_was_just_issued_is_not_refused(registry):
    leaf, *_ = registry.issue("dev-1", request())

    assert registry.refusal("dev-1", leaf) is None


def test_revoking_a_device_refuses_what_was_issued_before_and_nothing_after(registry):
    before, *_ = registry.issue("dev-1", request())

    registry.revoke_device("dev-1", disable=False)
    after, *_ = registry.issue("dev-1", request())

    assert "revoked" in (registry.refusal("dev-1", before) or "")
    assert registry.refusal("dev-1", after) is None


def test_revoking_one_device_leaves_the_others_alone(registry):
    registry.register("dev-2", "default")
    leaf, *_ = registry.issue("dev-2", request("dev-2"))

    registry.revoke_device("dev-1", disable=False)

    assert registry.refusal("dev-2", leaf) is None


def test_a_certificate_of_another_device_is_refused(registry):
    registry.register("dev-2", "default")
    leaf, *_ = registry.issue("dev-2", request("dev-2"))

    assert registry.refusal("dev-1", leaf) is not None


def test_revoking_with_disable_stops_issuance_until_the_device_is_enabled(registry):
    registry.revoke_device("dev-1", disable=True)
    with pytest.raises(CsrRefused):
        registry.issue("dev-1", request())

    registry.change_device("dev-1", enabled=True)

    assert registry.issue("dev-1", request())


def test_a_disabled_device_is_refused_whatever_it_presents(registry):
    leaf, *_ = registry.issue("dev-1", request())
    foreign, *_ = _foreign_chain()
    registry.change_device("dev-1", enabled=False)

    assert "disabled" in registry.refusal("dev-1", leaf)
    assert "disabled" in registry.refusal("dev-1", foreign)


def test_certificates_of_other_authorities_are_not_the_registrys_business(registry):
    foreign, *_ = _foreign_chain()

    assert registry.refusal("dev-1", foreign) is None


def test_hubs_trust_the_issuing_ca_and_not_the_root(registry, hub):
    leaf, issuer, root = registry.issue("dev-1", request())

    assert list(hub.trusted.values()) == [issuer]
    assert trusts(hub, [leaf, issuer, root])


def test_a_new_policys_issuing_ca_reaches_the_hubs_only_when_it_is_synchronized(registry, hub):
    registry.put_policy("short", timedelta(minutes=1))
    chain = registry.issue("dev-1", request(), "short")
    assert not trusts(hub, chain)

    registry.synchronize()

    assert trusts(hub, chain)


def test_revoking_an_issuer_makes_hubs_distrust_its_certificates_at_once(registry, hub):
    before = registry.issue("dev-1", request())

    registry.revoke_issuer("default")

    assert not trusts(hub, before)
    assert trusts(hub, registry.issue("dev-1", request()))


def test_deleting_a_policy_does_not_invalidate_what_it_issued(registry, hub):
    registry.put_policy("short", timedelta(minutes=1))
    chain = registry.issue("dev-1", request(), "short")

    registry.delete_policy("short")
    registry.synchronize()

    assert trusts(hub, chain)
    with pytest.raises(NotFound):
        registry.policy("short")


def test_changing_a_policys_validity_keeps_its_issuing_ca(registry):
    issuer = registry.policy("default").issuer

    registry.put_policy("default", timedelta(seconds=10))

    assert registry.policy("default").issuer == issuer
    assert registry.policy("default").validity == timedelta(seconds=10)


@pytest.mark.parametrize(
    ("days", "seconds", "validity"),
    [(1, None, timedelta(days=1)), (90, None, timedelta(days=90)), (None, 10, timedelta(seconds=10))],
)
def test_validity_is_given_in_days_or_locally_in_seconds(days, seconds, validity):
    assert leaf_validity(days, seconds) == validity


@pytest.mark.parametrize(
    ("days", "seconds"), [(0, None), (91, None), (None, 9), (None, 90 * 86400 + 1), (None, None), (30, 60)]
)
def test_an_impossible_validity_is_refused(days, seconds):
    with pytest.raises(PolicyInvalid):
        leaf_validity(days, seconds)


@pytest.mark.parametrize("name", ["ab", "-abc", "a" * 64, "a b c"])
def test_a_policys_name_follows_arms_rules(registry, name):
    with pytest.raises(PolicyInvalid):
        registry.put_policy(name, timedelta(days=1))


@pytest.mark.parametrize("device_id", ["dev-1", "a" * 64])
def test_a_device_id_that_arm_allows_is_its_resource_name(device_id):
    assert resource_name(device_id) == device_id


@pytest.mark.parametrize("device_id", ["a", "dev:1", "$$$", "x" * 128, "dev.1", "dev_1"])
def test_every_other_device_id_gets_a_name_of_its_own_that_arm_allows(device_id):
    assert RESOURCE_NAME.fullmatch(resource_name(device_id))
    assert resource_name(device_id) != resource_name(device_id + "'")


def _foreign_chain():
    foreign = DeviceRegistry("other", Clock())
    foreign.register("dev-1", "default")
    return foreign.issue("dev-1", request())
