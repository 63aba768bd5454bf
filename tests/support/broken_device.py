"""A device that breaks the contract on purpose: `python broken_device.py DEFECT`. All else is the reference agent."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from fleetcert.device.agent import Agent
from fleetcert.device.assembly import CloudAddress, build_world
from fleetcert.device.credential import OnboardingCredential
from fleetcert.device.csr import KeyKind
from fleetcert.device.errors import ConnectionRefused
from fleetcert.device.keystore import FileKeyStore
from fleetcert.device.messages import Message
from fleetcert.device.options import AgentOptions, World
from fleetcert.device.ports import Hub, HubSession, KeyStore, Operational
from fleetcert.device.report import describe
from fleetcert.device.runner import StopSignal, run, run_until_told
from fleetcert.device.store import DeviceStore


@dataclass
class Tampering:
    """A hub whose messages are changed on their way, or whose old certificates are not used again."""

    hub: Hub
    change: Callable[[Message, Operational], Message | None] = lambda message, _operational: message
    never_goes_back: bool = False
    newest: Operational | None = None

    def connect(
        self, operational: Operational, on_message: Callable[[Message], None], on_lost: Callable[[], None]
    ) -> HubSession:
        if self.newest is None or operational.not_before >= self.newest.not_before:
            self.newest = operational
        elif self.never_goes_back and operational != self.newest:
            raise ConnectionRefused(5, "burnt")

        def pass_on(message: Message) -> None:
            changed = self.change(message, operational)
            if changed:
                on_message(changed)

        return self.hub.connect(operational, pass_on, on_lost)


class OneKey(FileKeyStore):
    """Has every certificate issued for the same key."""

    def create(self, kind: KeyKind) -> str:
        keys = sorted(Path(os.environ["FLEETCERT_STATE_DIR"]).glob("*.key"))
        return keys[0].stem if keys else super().create(kind)


def believe_anything(message: Message, operational: Operational) -> Message:
    return _edited(message, {"deviceId": operational.device_id}, {"thumbprint": operational.thumbprint})


def forget_ids(message: Message, _operational: Operational) -> Message:
    return _edited(message, {"commandId": str(uuid.uuid4())}, {})


def hear_nothing(_message: Message, _operational: Operational) -> None:
    return None


def _edited(message: Message, members: Mapping[str, str], certificate: Mapping[str, str]) -> Message:
    document = json.loads(message.body)
    return replace(
        message,
        body=json.dumps({**document, **members, "certificate": {**document["certificate"], **certificate}}).encode(),
    )


def describe_half(certificate: Any, _onboarding: Any) -> Sequence[Mapping[str, Any]]:
    whole = describe(certificate, None)[0]["certificate"]
    return [{"certificate": {name: whole[name] for name in ("validFrom", "validUntil")}}]


def world_of(defect: str, world: World) -> World:
    match defect:
        case "credulous":
            return replace(world, hub=Tampering(world.hub, believe_anything))
        case "forgetful":
            return replace(world, hub=Tampering(world.hub, forget_ids))
        case "deaf":
            return replace(world, hub=Tampering(world.hub, hear_nothing))
        case "burns-bridges":
            return replace(world, hub=Tampering(world.hub, never_goes_back=True))
        case "mute":
            return replace(world, describe=lambda *_: [])
        case "half":
            return replace(world, describe=describe_half)
        case _:
            return world


def main(defect: str) -> None:
    given, stop = os.environ, StopSignal()
    state = Path(given["FLEETCERT_STATE_DIR"])
    if defect == "fickle":
        shutil.rmtree(state, ignore_errors=True)
    pause = timedelta(milliseconds=20) if defect == "impatient" else timedelta(seconds=1)
    options = AgentOptions(first_pause=pause, longest_pause=pause)
    if defect == "deaf":
        options = replace(options, self_renewal=None)
    onboarding = OnboardingCredential.load(
        Path(given["FLEETCERT_ONBOARDING_CERT"]), Path(given["FLEETCERT_ONBOARDING_KEY"])
    )
    address = CloudAddress(
        id_scope=given["FLEETCERT_ID_SCOPE"],
        dps_endpoint=given["FLEETCERT_DPS_ENDPOINT"],
        ca_bundle=Path(given["FLEETCERT_CA_BUNDLE"]),
        mqtt_port=int(given["FLEETCERT_MQTT_PORT"]),
    )
    keys: KeyStore = OneKey(state) if defect == "one-key" else FileKeyStore(state)
    world = world_of(defect, build_world(address, onboarding, stop, lambda event: print(event.to_wire(), flush=True)))
    agent = Agent(given["FLEETCERT_REGISTRATION_ID"], onboarding, DeviceStore(state, keys), world, options)
    run_until_told([threading.Thread(target=run, args=(agent, stop))], stop)


if __name__ == "__main__":
    main(sys.argv[1])
