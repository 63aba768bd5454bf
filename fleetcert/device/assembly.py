"""An agent as it runs on a device: DPS over HTTPS, IoT Hub over MQTT, credentials on the disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fleetcert.device.agent import Agent
from fleetcert.device.credential import OnboardingCredential
from fleetcert.device.dps import ProvisioningClient
from fleetcert.device.events import Observer
from fleetcert.device.hub import MqttHub
from fleetcert.device.keystore import Keystore
from fleetcert.device.options import AgentOptions, World
from fleetcert.device.runner import StopSignal


@dataclass(frozen=True, slots=True)
class CloudAddress:
    """Where DPS and IoT Hub are, and whom to trust there.

    dps_endpoint: base URL, `https://global.azure-devices-provisioning.net` in Azure. ca_bundle: PEM file.
    """

    dps_endpoint: str
    id_scope: str
    ca_bundle: Path
    mqtt_port: int = 8883


def build_world(address: CloudAddress, onboarding: OnboardingCredential, stop: StopSignal, observe: Observer) -> World:
    """The real services as one device meets them."""
    registrar = ProvisioningClient(address.dps_endpoint, address.id_scope, onboarding, address.ca_bundle, stop.pause)
    return World(registrar=registrar, hub=MqttHub(address.ca_bundle, address.mqtt_port), observe=observe)


def build_agent(
    registration_id: str,
    onboarding: OnboardingCredential,
    state_directory: Path,
    world: World,
    options: AgentOptions | None = None,
) -> Agent:
    """An agent whose credentials live in `state_directory`."""
    return Agent(registration_id, onboarding, Keystore(state_directory), world, options)
