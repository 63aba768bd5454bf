"""Which Azure onboarding works on: a provisioning service by its names, or the local one."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from shared.errors import FleetcertError

DPS: Final = "FLEETCERT_DPS"
RESOURCE_GROUP: Final = "FLEETCERT_RESOURCE_GROUP"
SUBSCRIPTION: Final = "AZURE_SUBSCRIPTION_ID"
ARM_ENDPOINT: Final = "https://management.azure.com"
_DPS_HOST: Final = "{}.azure-devices-provisioning.net"


class TargetUnknown(FleetcertError):
    """It is not said which provisioning service is meant, or not enough of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A provisioning service. dps_host: with a port where it is not 443.

    trust: a PEM file of CAs for the services' own certificates, else the system's. identity: the environment by which
    the local Azure's callers are known; empty for the real one, where azure-identity finds its own way.
    """

    dps: str
    dps_host: str
    resource_group: str | None
    subscription: str | None
    arm_endpoint: str = ARM_ENDPOINT
    trust: str | None = None
    identity: dict[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, dps: str | None, resource_group: str | None, subscription: str | None, local_azure: Path) -> Self:
        """The real service that is named, else the local one where it runs. Raises: TargetUnknown."""
        if dps:
            return cls(
                dps=dps, dps_host=_DPS_HOST.format(dps), resource_group=resource_group, subscription=subscription
            )
        if resource_group:  # a subscription alone may stand in the environment for other tools
            raise TargetUnknown(f"name the provisioning service too (--dps-name, {DPS})")
        if not local_azure.exists():
            raise TargetUnknown(
                f"there is no {local_azure}: run `make up`, or name a provisioning service (--dps-name)"
            )
        return cls._local(local_azure)

    @classmethod
    def _local(cls, local_azure: Path) -> Self:
        local = json.loads(local_azure.read_text())
        return cls(
            dps=local["dps_name"],
            dps_host=local["dps_endpoint"].removeprefix("https://"),
            resource_group=local["resource_group"],
            subscription=local["subscription_id"],
            arm_endpoint=local["arm_endpoint"],
            trust=local["ca_bundle"],
            identity={
                "IDENTITY_ENDPOINT": local["identity_endpoint"],
                "IDENTITY_HEADER": local["identity_header"],
                "NO_PROXY": "localhost,127.0.0.1",
            },
        )

    @property
    def is_local(self) -> bool:
        """Whether it is the local Azure."""
        return bool(self.identity)

    def enter(self, environment: MutableMapping[str, str]) -> None:
        """Lets azure-identity find the local Azure's identity. Nothing for the real Azure."""
        environment.update(self.identity)

    def resource(self) -> tuple[str, str]:
        """Subscription and resource group, which Azure Resource Manager needs. Raises: TargetUnknown."""
        if not self.subscription:
            raise TargetUnknown(
                f"name the subscription (--subscription, {SUBSCRIPTION}): `az account show --query id -o tsv` tells it"
            )
        if not self.resource_group:
            raise TargetUnknown(f"name the resource group of {self.dps} (--resource-group, {RESOURCE_GROUP})")
        return self.subscription, self.resource_group

    def __str__(self) -> str:
        return f"{self.dps} (local)" if self.is_local else f"{self.dps} ({self.dps_host})"
