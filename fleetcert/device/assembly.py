"""An agent as it runs on a device: DPS, IoT Hub over MQTT, and its memory on the disk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from fleetcert.device.agent import Agent
from fleetcert.device.credential import Onboarding
from fleetcert.device.dps import DpsTransport, ProvisioningClient
from fleetcert.device.dps_https import HttpsDps
from fleetcert.device.dps_mqtt import MqttDps
from fleetcert.device.events import Observer
from fleetcert.device.hub import MqttHub
from fleetcert.device.keystore import FileKeyStore
from fleetcert.device.messages import OnMessage
from fleetcert.device.options import AgentOptions, World
from fleetcert.device.report import describe
from fleetcert.device.runner import StopSignal
from fleetcert.device.store import DeviceStore

AZURE: Final = "https://global.azure-devices-provisioning.net"
"""The endpoint of every DPS in the public cloud (Azure docs: iot-dps)."""


class Protocol(StrEnum):
    """How DPS is spoken to."""

    HTTPS = "https"
    MQTT = "mqtt"


@dataclass(frozen=True, slots=True)
class CloudAddress:
    """Where DPS and IoT Hub are, and whom to trust there.

    id_scope: of the DPS. dps_endpoint: base URL; over MQTT its host name counts. ca_bundle: PEM file; None: the
    system's CAs. mqtt_port: of the hub, and of DPS over MQTT.
    """

    id_scope: str
    dps_endpoint: str = AZURE
    ca_bundle: Path | None = None
    mqtt_port: int = 8883
    dps_protocol: Protocol = Protocol.HTTPS


def build_world(
    address: CloudAddress, onboarding: Onboarding, stop: StopSignal, observe: Observer, *, with_pem: bool = True
) -> World:
    """The real services as one device meets them. with_pem: whether certificates are reported whole."""
    return World(
        registrar=ProvisioningClient(_transport(address, onboarding), stop.pause),
        hub=MqttHub(address.ca_bundle, address.mqtt_port),
        observe=observe,
        describe=partial(describe, with_pem=with_pem),
    )


def build_agent(
    registration_id: str,
    onboarding: Onboarding,
    state_directory: Path,
    world: World,
    options: AgentOptions | None = None,
    *,
    passphrase: bytes | None = None,
    on_message: OnMessage | None = None,
) -> Agent:
    """An agent that lives in `state_directory`. passphrase: encrypts its keys. on_message: takes foreign messages.

    Raises: DiskFault, KeyStoreLocked.
    """
    store = DeviceStore(state_directory, FileKeyStore(state_directory, passphrase))
    if on_message:
        world = replace(world, on_message=on_message)
    return Agent(registration_id, onboarding, store, world, options)


def _transport(address: CloudAddress, onboarding: Onboarding) -> DpsTransport:
    if address.dps_protocol is Protocol.HTTPS:
        return HttpsDps(address.dps_endpoint, address.id_scope, onboarding, address.ca_bundle)
    host = urlsplit(address.dps_endpoint).hostname or address.dps_endpoint
    return MqttDps(host, address.id_scope, onboarding, address.ca_bundle, address.mqtt_port)
