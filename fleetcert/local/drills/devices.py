"""The devices of a drill: reference agents in threads, which can be made to reconnect or to renew."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Final, Self

from fleetcert.device.agent import Agent
from fleetcert.device.assembly import build_agent, build_world
from fleetcert.device.credential import OnboardingCredential
from fleetcert.device.events import AgentEvent, Happened
from fleetcert.device.messages import Message
from fleetcert.device.options import AgentOptions
from fleetcert.device.runner import StopSignal, run
from fleetcert.local.drills.stage import Stage
from fleetcert.local.fleet import FleetSite
from fleetcert.onboarding.authority import issue_device_credential, load_authority
from shared.contracts import RenewCertificate

_OPTIONS: Final = AgentOptions(longest_pause=timedelta(seconds=10), settled_after=timedelta(seconds=20))
"""A drill takes a minute: pauses of a quarter of an hour would outlast it."""


@dataclass(frozen=True, slots=True)
class _Running:
    agent: Agent
    thread: threading.Thread
    stop: StopSignal


class Devices:
    """Devices of the default enrollment group; a context manager, which ends them. events: what they met so far."""

    def __init__(self, stage: Stage, ids: Iterable[str]) -> None:
        self.ids = tuple(ids)
        self.events: list[AgentEvent] = []
        self._folder = stage.folder
        self._site = FleetSite.from_azure(dict(stage.azure))
        self._running: dict[str, _Running] = {}

    def __enter__(self) -> Self:
        """Makes a bootstrap certificate for each, and starts them."""
        site = self._site
        authority = load_authority(site.ca_certificate, site.ca_key, site.root_certificate)
        for device_id in self.ids:
            issue_device_credential(
                self._folder / device_id / "device", authority, device_id, key_type="ec", force=True
            )
            self._start(device_id)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, at: TracebackType | None
    ) -> None:
        """Ends them all."""
        self._end()

    def reconnect(self) -> None:
        """Ends every connection and starts the devices again, with what is on their disks, as a power cut would."""
        self._end()
        for device_id in self.ids:
            self._start(device_id)

    def renew(self) -> None:
        """Tells every device to renew its present certificate, in the words of the command."""
        for device_id, running in self._running.items():
            connected = self.all(Happened.CONNECTED, device_id)[-1]
            if connected.not_after is None:
                raise RuntimeError("a device that was connected has a certificate")
            order = RenewCertificate(
                command_id=str(uuid.uuid4()),
                device_id=device_id,
                reason="requested",
                thumbprint=connected.thumbprint,
                valid_until=connected.not_after,
                renew_by=connected.not_after,
            )
            running.agent.inbox.put(Message(order.to_json()))

    def all(self, event: Happened, device_id: str, by: str | None = None) -> Sequence[AgentEvent]:
        """The events of a kind that a device met; by: the service that refused it."""
        return [
            one
            for one in tuple(self.events)
            if (one.event, one.device_id) == (event, device_id) and by in (None, one.detail.get("by"))
        ]

    def met(self, event: Happened, by: str | None = None) -> list[str]:
        """The devices that met such an event."""
        return [device_id for device_id in self.ids if self.all(event, device_id, by)]

    def _start(self, device_id: str) -> None:
        home, stop = self._folder / device_id, StopSignal()
        onboarding = OnboardingCredential.load(home / "device/device-full-chain.pem", home / "device/device.key")
        world = build_world(self._site.address, onboarding, stop, self.events.append)
        agent = build_agent(device_id, onboarding, home / "state", world, _OPTIONS)
        thread = threading.Thread(target=run, args=(agent, stop), name=device_id)
        self._running[device_id] = _Running(agent, thread, stop)
        thread.start()

    def _end(self) -> None:
        for running in self._running.values():
            running.stop.set()
        for running in self._running.values():
            running.thread.join()
        self._running.clear()
