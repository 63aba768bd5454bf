"""Who a connecting device is: everything that IoT Hub checks before it accepts a CONNECT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from cryptography import x509

from fleetcert.certificates import common_name_of, sha1_thumbprint, thumbprint
from fleetcert.local.chains import chain_length
from fleetcert.local.iothub.device import Device
from fleetcert.local.ports import Connect, Refused, Registry
from fleetcert.local.symmetric_keys import DeviceToken, SymmetricKeys
from shared.clock import Clock
from shared.contracts import normal_thumbprint

NOT_AUTHORIZED: Final = 5


class DeviceAuthentication:
    """Checks identities, certificates and tokens. `host_name` is what tokens must be made for."""

    def __init__(self, host_name: str, registry: Registry, clock: Clock) -> None:
        self._host_name = host_name
        self._registry = registry
        self._clock = clock
        self._trusted: Mapping[str, x509.Certificate] = {}
        self._since: dict[str, datetime] = {}

    @property
    def authorities(self) -> Mapping[str, tuple[x509.Certificate, datetime]]:
        """The CA certificates of the hub and since when they are there, by name."""
        return {name: (certificate, self._since[name]) for name, certificate in self._trusted.items()}

    def trust(self, authorities: Mapping[str, x509.Certificate]) -> None:
        """Replaces the CA certificates of the hub, by name."""
        self._trusted = dict(authorities)
        self._since = {name: self._since.get(name, self._clock.now()) for name in authorities}

    def check(self, device_id: str, device: Device | None, connect: Connect) -> x509.Certificate | None:
        """The certificate that proves the device, or None where a token does. Raises: Refused with CONNACK 5."""
        if device is None:
            raise _refused("404001: the device is not registered")
        if not device.identity.enabled:
            raise _refused("403012: the device is disabled")
        if connect.client_id != device_id:
            raise _refused("the client id is not the device id")
        authentication = device.identity.written.authentication
        match authentication["type"]:
            case "certificateAuthority":
                return self._check_chain(device_id, connect.peer_chain)
            case "selfSigned":
                return self._check_thumbprint(authentication["x509Thumbprint"], connect.peer_chain)
            case "sas":
                self._check_token(device_id, authentication["symmetricKey"], connect.password)
                return None
            case kind:
                raise _refused(f"the identity's authentication type {kind} admits no connection")

    def _check_chain(self, device_id: str, chain: Sequence[x509.Certificate]) -> x509.Certificate:
        leaf = self._valid_leaf(chain)
        if (name := common_name_of(leaf.subject)) != device_id:
            raise _refused(f"the certificate's common name {name!r} is not the device id")
        if chain_length(chain, list(self._trusted.values()), self._clock.now()) is None:
            raise _refused("the certificate chain does not lead to a CA of the hub")
        if (reason := self._registry.refusal(device_id, leaf)) is not None:
            raise _refused(f"ADR refuses the certificate: {reason}")
        return leaf

    def _check_thumbprint(
        self, thumbprints: Mapping[str, str | None], chain: Sequence[x509.Certificate]
    ) -> x509.Certificate:
        leaf = self._valid_leaf(chain)
        presented = {thumbprint(leaf), sha1_thumbprint(leaf)}  # Azure takes SHA-1 thumbprints too
        if presented.isdisjoint(normal_thumbprint(t) for t in thumbprints.values() if t):
            raise _refused("the certificate's thumbprint is not the identity's")
        return leaf

    def _valid_leaf(self, chain: Sequence[x509.Certificate]) -> x509.Certificate:
        if not chain:
            raise _refused("no client certificate")
        leaf, now = chain[0], self._clock.now()
        if now < leaf.not_valid_before_utc:
            raise _refused(f"the certificate is not valid before {leaf.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}")
        if now > leaf.not_valid_after_utc:
            raise _refused(f"the certificate expired at {leaf.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}")
        return leaf

    def _check_token(self, device_id: str, keys: Mapping[str, str], password: bytes) -> None:
        try:
            token = DeviceToken.parse(password.decode())
        except ValueError as problem:
            raise _refused(f"401003: no shared access signature: {problem}") from problem
        if not token.is_for(f"{self._host_name}/devices/{device_id}", self._clock.now()):
            raise _refused("401003: the shared access signature is expired or for another resource")
        if not token.is_signed_with(SymmetricKeys.from_base64(keys["primaryKey"], keys["secondaryKey"])):
            raise _refused("401003: the shared access signature does not match the device's keys")


def _refused(reason: str) -> Refused:
    return Refused(NOT_AUTHORIZED, reason)
