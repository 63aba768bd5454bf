"""The namespace's resources as ARM shows them (azure-rest-api-specs: deviceregistry, 2026-03-01-preview)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from msgspec import Struct

from fleetcert.certificates import common_name_of
from fleetcert.local.adr.devices import RegisteredDevice
from fleetcert.local.adr.policies import Policy
from fleetcert.local.adr.registry import DeviceRegistry
from fleetcert.local.arm_protocol import LOCATION, Scope
from shared.contracts import format_instant

PROVIDER: Final = "Microsoft.DeviceRegistry/namespaces"
DAY: Final = timedelta(days=1)


class BringYourOwnRoot(Struct, kw_only=True):
    """Whether the customer's root signs the issuing CA."""

    enabled: bool = False


class AuthorityConfiguration(Struct, rename="camel", kw_only=True):
    """The issuing CA that is asked for."""

    key_type: str = "ECC"
    bring_your_own_root: BringYourOwnRoot | None = None


class LeafConfiguration(Struct, rename="camel", kw_only=True):
    """The life of leaves. `validityPeriodInSeconds` exists in the local Azure only."""

    validity_period_in_days: int | None = None
    validity_period_in_seconds: int | None = None


class CertificateConfiguration(Struct, rename="camel", kw_only=True):
    """What a policy says of certificates."""

    certificate_authority_configuration: AuthorityConfiguration | None = None
    leaf_certificate_configuration: LeafConfiguration


class PolicyProperties(Struct, kw_only=True):
    """The properties of a policy as a caller writes them."""

    certificate: CertificateConfiguration


class PolicyDocument(Struct, kw_only=True):
    """A policy as a caller writes it."""

    properties: PolicyProperties


class PolicyReference(Struct, rename="camel", kw_only=True):
    """A policy by its ARM id."""

    resource_id: str | None = None


class DeviceProperties(Struct, rename="camel", kw_only=True):
    """What a caller may change of a device; None leaves it."""

    enabled: bool | None = None
    attributes: dict[str, Any] | None = None
    operating_system_version: str | None = None
    policy: PolicyReference | None = None


class DeviceDocument(Struct, kw_only=True):
    """A change of a device."""

    tags: dict[str, str] | None = None
    properties: DeviceProperties | None = None


class RevokeDocument(Struct, kw_only=True):
    """`DeviceCredentialsRevokeRequest`."""

    disable: bool = False


class Resources:
    """Writes the resources of one namespace."""

    def __init__(self, registry: DeviceRegistry, scope: Scope) -> None:
        self._registry = registry
        self._scope = scope
        self.namespace_id = scope.resource_id(f"{PROVIDER}/{registry.namespace}")

    def namespace(self) -> dict[str, Any]:
        """The namespace with the hubs that are linked to it."""
        endpoints = {
            name: {
                "endpointType": "Microsoft.Devices/IotHubs",
                "address": name,
                "resourceId": self._scope.resource_id(f"Microsoft.Devices/IotHubs/{name}"),
            }
            for name in self._registry.hubs
        }
        properties = {"uuid": self._registry.uuid, "messaging": {"endpoints": endpoints}}
        return self._tracked("", self._registry.namespace, properties) | {"identity": {"type": "SystemAssigned"}}

    def credential(self) -> dict[str, Any]:
        """The credential: Azure does not show the root's certificate, and neither does this."""
        return self._tracked("/credentials", "default", {})

    def policy(self, policy: Policy) -> dict[str, Any]:
        """A policy with its issuing CA."""
        certificate = policy.issuer.certificate
        authority = {
            "keyType": "ECC",
            "subject": f"CN={common_name_of(certificate.subject)}",
            "validityNotBefore": format_instant(certificate.not_valid_before_utc),
            "validityNotAfter": format_instant(certificate.not_valid_after_utc),
            "bringYourOwnRoot": {"enabled": False},
        }
        configuration = {
            "certificateAuthorityConfiguration": authority,
            "leafCertificateConfiguration": _leaf_configuration(policy.validity),
        }
        return self._proxy("/credentials/default/policies", policy.name, {"certificate": configuration})

    def device(self, device: RegisteredDevice) -> dict[str, Any]:
        """A device. It shows nothing of the certificates that were issued, as in Azure."""
        properties: dict[str, Any] = {
            "uuid": device.uuid,
            "enabled": device.enabled,
            "externalDeviceId": device.device_id,
            "attributes": device.attributes,
            "version": device.version,
            "lastTransitionTime": format_instant(device.changed_at),
        }
        if device.operating_system_version is not None:
            properties["operatingSystemVersion"] = device.operating_system_version
        if device.policy is not None:
            properties["policy"] = {"resourceId": f"{self.namespace_id}/credentials/default/policies/{device.policy}"}
        tracked = self._tracked("/devices", device.name, properties)
        return tracked | {"tags": device.tags, "etag": f'"{device.uuid}-{device.version}"'}

    def _tracked(self, path: str, name: str, properties: dict[str, Any]) -> dict[str, Any]:
        return self._proxy(path, name, properties) | {"location": LOCATION}

    def _proxy(self, path: str, name: str, properties: dict[str, Any]) -> dict[str, Any]:
        types = [part for part in path.split("/") if part and part != "default"]
        return {
            "id": f"{self.namespace_id}{path}/{name}" if path else self.namespace_id,
            "name": name,
            "type": "/".join([PROVIDER, *types]),
            "properties": {**properties, "provisioningState": "Succeeded"},
        }


def _leaf_configuration(validity: timedelta) -> dict[str, int]:
    if validity % DAY == timedelta():
        return {"validityPeriodInDays": validity // DAY}
    return {"validityPeriodInSeconds": validity // timedelta(seconds=1)}
