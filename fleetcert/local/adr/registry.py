"""The namespace: a root CA, policies with their issuing CAs, devices, and the hubs that trust those CAs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from fleetcert.certificates import CertificateAuthority, LeafProfile, common_name_of
from fleetcert.local.adr.devices import RegisteredDevice
from fleetcert.local.adr.policies import Policy, check_name
from fleetcert.local.adr.signing_requests import approved_key
from fleetcert.local.ports import CsrRefused, ProvisionedHub
from shared.clock import Clock
from shared.errors import NotFound

DEFAULT_POLICY: Final = "default"
DEFAULT_VALIDITY: Final = timedelta(days=30)
ROOT_LIFETIME: Final = timedelta(days=3650)
ISSUER_LIFETIME: Final = timedelta(days=1825)
OPERATIONAL: Final = LeafProfile(extended_key_usages=(ExtendedKeyUsageOID.CLIENT_AUTH,))


class DeviceRegistry:
    """An ADR namespace with certificate management; implements `fleetcert.local.ports.Registry`.

    Azure's preview allows one policy per namespace; here there may be several, so that tests can shorten validity.
    """

    def __init__(self, namespace: str, clock: Clock, *, default_validity: timedelta = DEFAULT_VALIDITY) -> None:
        self.namespace = namespace
        self.uuid = str(uuid4())
        self.policies: dict[str, Policy] = {}
        self._clock = clock
        self._devices: dict[str, RegisteredDevice] = {}
        self._hubs: dict[str, ProvisionedHub] = {}
        self._trusted: dict[str, x509.Certificate] = {}
        self._own_issuers: dict[bytes, str] = {}
        self._root = self._create_root()
        self.put_policy(DEFAULT_POLICY, default_validity)

    @property
    def root(self) -> x509.Certificate:
        """The certificate of the namespace's root CA, which Azure calls the credential."""
        return self._root.certificate

    @property
    def hubs(self) -> Mapping[str, ProvisionedHub]:
        """The linked hubs by host name."""
        return self._hubs

    @property
    def devices(self) -> Sequence[RegisteredDevice]:
        """All devices, in the order of their registration."""
        return tuple(self._devices.values())

    def now(self) -> datetime:
        """The present instant to the second, as certificates write it."""
        return self._clock.now().replace(microsecond=0)

    # -- PKI ---------------------------------------------------------------------------------------------------------

    def put_policy(self, name: str, validity: timedelta) -> Policy:
        """Creates a policy with an issuing CA, or changes the validity of one that exists.

        A new issuing CA reaches the hubs with the next `synchronize`, as in Azure. Raises: PolicyInvalid.
        """
        existing = self.policies.get(name)
        issuer = existing.issuer if existing else self._create_issuer(check_name(name))
        self.policies[name] = Policy(name, validity, issuer)
        return self.policies[name]

    def delete_policy(self, name: str) -> None:
        """Ends issuance; certificates that were issued stay good (Azure docs: certificate policy management).

        Raises: NotFound.
        """
        self.policy(name)
        del self.policies[name]

    def policy(self, name: str) -> Policy:
        """The policy. Raises: NotFound."""
        try:
            return self.policies[name]
        except KeyError:
            raise NotFound("policy", name) from None

    def revoke_issuer(self, name: str) -> Policy:
        """Gives the policy a new issuing CA and takes the old one's trust away at every hub. Raises: NotFound."""
        revoked = self.policy(name)
        del self._trusted[common_name_of(revoked.issuer.certificate.subject)]
        self.policies[name] = Policy(name, revoked.validity, self._create_issuer(name))
        self.synchronize()
        return self.policies[name]

    def policy_of(self, issuer: x509.Certificate) -> str | None:
        """The policy that an issuing CA was made for, whether it still exists or not; None for another's CA."""
        return self._own_issuers.get(issuer.subject.public_bytes())

    def link(self, hub: ProvisionedHub) -> None:
        """Links a hub to the namespace and brings the issuing CAs to it."""
        self._hubs[hub.host_name] = hub
        self.synchronize()

    def synchronize(self) -> None:
        """Brings the issuing CAs' certificates to every linked hub."""
        for hub in self._hubs.values():
            hub.trust(dict(self._trusted))

    # -- devices -----------------------------------------------------------------------------------------------------

    def register(self, device_id: str, policy: str | None) -> None:
        """The device exists in the namespace from now on; a device that exists keeps its state but the policy."""
        device = self._devices.get(device_id)
        if device is None:
            self._devices[device_id] = RegisteredDevice(device_id, policy, self.now())
        elif device.policy != policy:
            device.policy = policy
            device.changed(self.now())

    def issue(self, device_id: str, csr: bytes, policy: str | None = None) -> Sequence[x509.Certificate]:
        """Leaf, issuing CA and root for a DER CSR whose common name is the device's id. Raises: CsrRefused."""
        device = self._devices.get(device_id)
        if device is None or not device.enabled:
            raise CsrRefused(f"the device {device_id!r} is {'disabled' if device else 'not registered'}")
        issuing = self._issuing_policy(policy or device.policy)
        key = approved_key(csr, device_id)
        not_before = self.now()
        leaf = issuing.issuer.issue_leaf(
            device_id, key, OPERATIONAL, not_before=not_before, not_after=not_before + issuing.validity
        )
        device.record_issued(leaf)
        return (leaf, *issuing.issuer.chain)

    def refusal(self, device_id: str, certificate: x509.Certificate) -> str | None:
        """Why this certificate must not be used now, or None. Certificates of other CAs are not ADR's business."""
        device = self._devices.get(device_id)
        if device is not None and not device.enabled:
            return "the device is disabled in the device registry"
        if not self._issued_here(certificate):
            return None
        if device is None or not device.accepts(certificate.serial_number):
            return "the certificate was revoked"
        return None

    def device_named(self, name: str) -> RegisteredDevice:
        """The device by the name of its ARM resource. Raises: NotFound."""
        for device in self._devices.values():
            if device.name == name:
                return device
        raise NotFound("device", name)

    def change_device(
        self,
        name: str,
        *,
        enabled: bool | None = None,
        attributes: dict[str, Any] | None = None,
        operating_system_version: str | None = None,
        policy: str | None = None,
        tags: dict[str, str] | None = None,
    ) -> RegisteredDevice:
        """Changes what is given and leaves what is None. Raises: NotFound for the device or the policy."""
        device = self.device_named(name)
        if policy is not None:
            device.policy = self.policy(policy).name
        device.enabled = device.enabled if enabled is None else enabled
        device.attributes = device.attributes if attributes is None else attributes
        device.operating_system_version = operating_system_version or device.operating_system_version
        device.tags = device.tags if tags is None else tags
        device.changed(self.now())
        return device

    def revoke_device(self, name: str, *, disable: bool) -> RegisteredDevice:
        """Revokes all certificates of the device, which may come back through DPS unless `disable`.

        Raises: NotFound.
        """
        device = self.device_named(name)
        device.revoke()
        device.enabled = device.enabled and not disable
        device.changed(self.now())
        return device

    # -- private -----------------------------------------------------------------------------------------------------

    def _create_root(self) -> CertificateAuthority:
        key = ec.generate_private_key(ec.SECP384R1())
        now = self.now()
        return CertificateAuthority.create_root(
            f"{self.namespace}-root", key, not_before=now, not_after=now + ROOT_LIFETIME
        )

    def _create_issuer(self, policy: str) -> CertificateAuthority:
        key = ec.generate_private_key(ec.SECP384R1())
        now = self.now()
        # Successive issuing CAs of a policy need names of their own: a verifier looks an issuer up by its name.
        name = f"{self.namespace}-{policy}-{uuid4().hex[:8]}"
        issuer = self._root.issue_authority(name, key, not_before=now, not_after=now + ISSUER_LIFETIME)
        self._own_issuers[issuer.certificate.subject.public_bytes()] = policy
        self._trusted[name] = issuer.certificate
        return issuer

    def _issuing_policy(self, name: str | None) -> Policy:
        if name is None:
            raise CsrRefused("no credential policy is linked to the device")
        try:
            return self.policy(name)
        except NotFound as problem:
            raise CsrRefused(f"the credential policy {name!r} does not exist") from problem

    def _issued_here(self, certificate: x509.Certificate) -> bool:
        return certificate.issuer.public_bytes() in self._own_issuers
