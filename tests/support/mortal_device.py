"""A device that is killed (SIGKILL) before the n-th thing that it does to its disk or over its network.

The agent and its store are the real ones; the cloud is a file that outlives the device, which has its own process.
"""

from __future__ import annotations

import functools
import json
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from fleetcert.certificates import LeafProfile, thumbprint
from fleetcert.device.agent import Agent
from fleetcert.device.credential import OnboardingCredential
from fleetcert.device.csr import KeyKind
from fleetcert.device.messages import Message
from fleetcert.device.options import AgentOptions, World
from fleetcert.device.ports import Assignment, Chain, IssuanceRequest, Operational, Way
from fleetcert.device.states import State
from fleetcert.device.store import DeviceStore
from fleetcert.onboarding.authority import load_authority
from shared.contracts import RenewCertificate

DEVICE = "dev-1"
COMMAND = "c-1"
START = datetime(2026, 11, 23, tzinfo=UTC)
LIFE = timedelta(days=30)
DISK = ("open", "fdopen", "fsync", "replace", "unlink", "mkdir")
STEPS = 200
GAVE_UP = 3


@dataclass
class Fate:
    """Counts what the device does, and ends it before the n-th time. after_all: called with the count at the end."""

    nth: int
    count: int = 0

    def strike(self) -> None:
        self.count += 1
        if self.count == self.nth:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch_the_disk(self) -> None:
        for name in DISK:
            setattr(os, name, self._watched(getattr(os, name)))

    def _watched(self, real: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(real)
        def operation(*arguments: Any, **options: Any) -> Any:
            self.strike()
            return real(*arguments, **options)

        return operation


@dataclass(frozen=True)
class Cloud:
    """What happened in the cloud, one JSON line each: `issued`, `accepted`, `patch`, `wanted`, `deaths`."""

    folder: Path

    def note(self, **what: Any) -> None:
        with (self.folder / "cloud.jsonl").open("a") as log:
            log.write(f"{json.dumps(what)}\n")

    def noted(self, kind: str) -> list[Any]:
        log = self.folder / "cloud.jsonl"
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [line[kind] for line in lines if kind in line]

    @property
    def twin(self) -> dict[str, Any]:
        """The reported properties, each member as it was last reported."""
        return {name: value for patch in self.noted("patch") for name, value in patch.items()}


class MortalWorld:
    """DPS, ADR and the hub, for one life of the device. Every step of the network may be its last."""

    def __init__(self, cloud: Cloud, fate: Fate, now: datetime) -> None:
        self._cloud = cloud
        self._fate = fate
        self._authority = load_authority(cloud.folder / "ca.pem", cloud.folder / "ca.key")
        self.time = now
        self.deliver: Callable[[Message], None] = lambda _message: None

    def now(self) -> datetime:
        return self.time

    def timer(self) -> float:
        return (self.time - START).total_seconds()

    def register(self, registration_id: str, request: bytes) -> Assignment:
        self._fate.strike()
        return Assignment("hub.example", registration_id, self._issue(request))

    def connect(
        self, operational: Operational, on_message: Callable[[Message], None], on_lost: Callable[[], None]
    ) -> MortalWorld:
        self._fate.strike()
        assert operational.thumbprint in self._cloud.noted("issued")
        self._cloud.note(accepted=operational.thumbprint)
        self.deliver = on_message
        self._command()
        self._fate.strike()
        return self

    def reported(self) -> Mapping[str, Any]:
        self._fate.strike()
        return self._cloud.twin

    def report(self, patch: Mapping[str, Any]) -> None:
        self._fate.strike()
        self._cloud.note(patch=patch)
        if "certificate" in patch and not self._cloud.noted("wanted"):
            self._cloud.note(wanted=patch["certificate"]["thumbprint"])
        self._command()
        self._fate.strike()

    def request_certificate(self, request: IssuanceRequest) -> Chain:
        self._fate.strike()
        return self._issue(request.csr)

    def send(self, message: Message) -> None:
        raise NotImplementedError

    def abort(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self._fate.strike()

    def _command(self) -> None:
        """What was not acknowledged comes again (QoS 1), and this hub never hears an acknowledgement."""
        for wanted in self._cloud.noted("wanted"):
            command = RenewCertificate(
                command_id=COMMAND,
                device_id=DEVICE,
                reason="windowOpen",
                thumbprint=wanted,
                valid_until=START + LIFE,
                renew_by=START + LIFE,
            )
            self.deliver(Message(command.to_json()))

    def _issue(self, request: bytes) -> Chain:
        csr = x509.load_der_x509_csr(request)
        leaf = self._authority.issue_leaf(
            DEVICE,
            csr.public_key(),
            LeafProfile([ExtendedKeyUsageOID.CLIENT_AUTH]),
            not_before=self.time.replace(microsecond=0),
            not_after=self.time.replace(microsecond=0) + LIFE,
        )
        self._cloud.note(issued=thumbprint(leaf), pem=leaf.public_bytes(Encoding.PEM).decode())
        self._fate.strike()
        return (leaf, self._authority.certificate)


def live(folder: Path, bootstrap: tuple[Path, Path], way: Way, nth: int) -> None:
    """One life of the device, to its end or until it has renewed at the command and told so."""
    cloud, fate = Cloud(folder), Fate(nth)
    now = START + timedelta(hours=len(cloud.noted("life")))
    cloud.note(life=nth)
    onboarding = OnboardingCredential.load(*bootstrap)
    fate.watch_the_disk()
    services = MortalWorld(cloud, fate, now)
    world = World(services, services, clock=services, timer=services.timer)
    agent = Agent(
        DEVICE, onboarding, DeviceStore(folder / "state"), world, AgentOptions(renew_by=way, key_kind=KeyKind.P256)
    )
    for _ in range(STEPS):
        services.time += min(agent.step(), timedelta(minutes=1))
        if agent.state is State.OPERATIONAL and cloud.twin.get("renewal", {}).get("outcome") == "renewed":
            cloud.note(operations=fate.count)
            os._exit(0)
    os._exit(GAVE_UP)
