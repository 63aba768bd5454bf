"""The simulated devices' manners: good ones, and those that a fleet's back end has to live with.

A manner lies between the agent and the real services, as part of the world it meets: the agent is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any

from cryptography import x509

from fleetcert.device.messages import Message
from fleetcert.device.options import AgentOptions, World
from fleetcert.device.ports import Assignment, Hub, HubSession, Operational, Registrar
from fleetcert.device.report import describe, describe_certificate, describe_onboarding
from shared.contracts import CERTIFICATE_PROPERTY, reported_patch
from shared.errors import InfrastructureFault

FALSE_EXPIRY = timedelta(days=3650)


class Manner(StrEnum):
    """How a simulated device behaves.

    deaf: hears no command, does not renew by itself, and does not come back after its certificate has expired.
    liar: claims an expiry ten years away. garbled: its first report cannot be read, the next ones can. disabled: as
    good as the good ones; it is the operator who shuts it out.
    """

    GOOD = "good"
    DEAF = "deaf"
    LIAR = "liar"
    GARBLED = "garbled"
    DISABLED = "disabled"


def options_of(manner: Manner, options: AgentOptions) -> AgentOptions:
    """How the agent of a device of that manner is set: the deaf one does not renew by itself either."""
    return replace(options, self_renewal=None) if manner is Manner.DEAF else options


def with_manner(manner: Manner, world: World) -> World:
    """The world as a device of that manner meets it."""
    match manner:
        case Manner.DEAF:
            return replace(world, hub=_DeafHub(world.hub), registrar=_OnceRegistrar(world.registrar))
        case Manner.LIAR:
            return replace(world, describe=_describe_falsely)
        case Manner.GARBLED:
            return replace(world, describe=_GarbledFirst())
        case _:
            return world


@dataclass(frozen=True, slots=True)
class _DeafHub:
    """Takes messages and keeps them from the agent."""

    hub: Hub

    def connect(
        self, operational: Operational, on_message: Callable[[Message], None], on_lost: Callable[[], None]
    ) -> HubSession:
        del on_message
        return self.hub.connect(operational, lambda _message: None, on_lost)


@dataclass(slots=True)
class _OnceRegistrar:
    """Lets a device onboard once; afterwards DPS is out of its reach."""

    registrar: Registrar
    is_used: bool = False

    def register(self, registration_id: str, request: bytes) -> Assignment:
        if self.is_used:
            raise InfrastructureFault("DPS", "out of this device's reach")
        assignment = self.registrar.register(registration_id, request)
        self.is_used = True
        return assignment


def _describe_falsely(
    certificate: x509.Certificate, onboarding: x509.Certificate | None
) -> Sequence[Mapping[str, Any]]:
    true = describe_certificate(certificate)
    false = replace(true, valid_until=true.valid_until + FALSE_EXPIRY)
    return [reported_patch(false, describe_onboarding(onboarding))]


@dataclass(slots=True)
class _GarbledFirst:
    """Sends a report that no reader understands before the first proper one."""

    is_garbled: bool = True

    def __call__(
        self, certificate: x509.Certificate, onboarding: x509.Certificate | None
    ) -> Sequence[Mapping[str, Any]]:
        proper = describe(certificate, onboarding)
        if not self.is_garbled:
            return proper
        self.is_garbled = False
        garbled = describe_certificate(certificate).to_wire() | {"validFrom": "yesterday"}
        return [{CERTIFICATE_PROPERTY: garbled}, *proper]
