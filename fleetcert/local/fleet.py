"""A simulated fleet: N reference agents in one process, some of them with bad manners.

    python -m fleetcert.local.fleet --azure .local/azure.json --devices 25 --directory .local/fleet

Each agent is the real one, with keys, a connection and a bootstrap certificate of its own. An event is one JSON line,
which says what the device did, where it stands (`state`) and how it is connected (`link`).
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Self, TextIO

import typer

from fleetcert.certificates import CertificateAuthority
from fleetcert.device.agent import Agent
from fleetcert.device.assembly import CloudAddress, build_agent, build_world
from fleetcert.device.credential import OnboardingCredential
from fleetcert.device.errors import Stopped
from fleetcert.device.events import AgentEvent
from fleetcert.device.options import AgentOptions
from fleetcert.device.runner import StopSignal, run, run_until_told
from fleetcert.local.manners import Manner, options_of, with_manner
from fleetcert.onboarding.authority import issue_device_credential, load_authority

BAD_MANNERS: Final = (Manner.DEAF, Manner.LIAR, Manner.GARBLED, Manner.DISABLED)

OPTIONS: Final = AgentOptions(
    self_renewal=Fraction(9, 10),
    longest_pause=timedelta(seconds=10),
    settled_after=timedelta(seconds=20),
    hub_given_up_after=timedelta(seconds=10),
)
"""Certificates of a demonstration live for minutes, so that a pause of a quarter of an hour would outlast it. It shows
how commands renew: a device that renewed by itself at 80 % would be ahead of one that comes a few seconds late."""


@dataclass(frozen=True, slots=True)
class FleetSite:
    """What the fleet needs of azure.json."""

    address: CloudAddress
    ca_certificate: Path
    ca_key: Path
    root_certificate: Path

    @classmethod
    def from_azure(cls, azure: dict[str, Any]) -> Self:
        """Reads the keys of DESIGN's section 8. Raises: KeyError that names one that is missing."""
        onboarding = azure["onboarding"]
        return cls(
            CloudAddress(
                dps_endpoint=azure["dps_endpoint"],
                id_scope=azure["dps_id_scope"],
                ca_bundle=Path(azure["ca_bundle"]),
                mqtt_port=int(azure["mqtt_port"]),
            ),
            ca_certificate=Path(onboarding["ca_cert"]),
            ca_key=Path(onboarding["ca_key"]),
            root_certificate=Path(onboarding["root_cert"]),
        )


class EventLog:
    """Writes one JSON line an event, from any thread."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._gate = threading.Lock()

    def write(self, manner: Manner, event: AgentEvent) -> None:
        """The event's members, and `manner`."""
        line = json.dumps({**event.to_wire(), "manner": manner.value})
        with self._gate:
            self._stream.write(f"{line}\n")
            self._stream.flush()


def device_names(count: int, manners: Iterable[Manner] = BAD_MANNERS) -> dict[str, Manner]:
    """Device ids and their manners: `sim-deaf`, `sim-liar`, .. as far as the count goes, then `sim-001`, `sim-002`.."""
    bad = {f"sim-{manner.value}": manner for manner in tuple(manners)[:count]}
    return bad | {f"sim-{number:03}": Manner.GOOD for number in range(1, count - len(bad) + 1)}


@dataclass(frozen=True, slots=True)
class Fleet:
    """Where simulated devices live, and whom they tell. `stagger` lies between the starts of two of them."""

    site: FleetSite
    directory: Path
    events: EventLog
    stop: StopSignal
    stagger: timedelta

    def threads(self, names: dict[str, Manner]) -> list[threading.Thread]:
        """One thread a device, not yet started; each makes its device when its turn has come."""
        site = self.site
        authority = load_authority(site.ca_certificate, site.ca_key, site.root_certificate)
        return [
            threading.Thread(target=self._live, args=(one, manner, authority, self.stagger * position), name=one)
            for position, (one, manner) in enumerate(names.items())
        ]

    def _live(self, device_id: str, manner: Manner, authority: CertificateAuthority, delay: timedelta) -> None:
        try:
            self.stop.pause(delay)
        except Stopped:
            return
        run(self._agent(device_id, manner, authority), self.stop)

    def _agent(self, device_id: str, manner: Manner, authority: CertificateAuthority) -> Agent:
        home = self.directory / device_id
        files = issue_device_credential(home / "device", authority, device_id, key_type="ec", force=True)
        onboarding = OnboardingCredential.load(files.full_chain, files.key)
        observe = partial(self.events.write, manner)
        world = with_manner(manner, build_world(self.site.address, onboarding, self.stop, observe))
        return build_agent(device_id, onboarding, home / "state", world, options_of(manner, OPTIONS))


def main(
    devices: Annotated[int, typer.Option(min=1, help="How many devices.")] = 25,
    azure: Annotated[Path, typer.Option(help="What the local Azure says about itself.")] = Path(".local/azure.json"),
    directory: Annotated[Path, typer.Option(help="Where the devices keep their keys.")] = Path(".local/fleet"),
    events: Annotated[Path | None, typer.Option(help="Where events go; standard output where not given.")] = None,
    stagger_seconds: Annotated[float, typer.Option(help="Between the starts of two devices.")] = 0.1,
) -> None:
    """Runs the fleet until SIGINT or SIGTERM."""
    logging.basicConfig(level=logging.WARNING)
    site = FleetSite.from_azure(json.loads(azure.read_text()))
    stop = StopSignal()
    with events.open("a") if events else nullcontext(sys.stdout) as stream:
        fleet = Fleet(site, directory, EventLog(stream), stop, timedelta(seconds=stagger_seconds))
        run_until_told(fleet.threads(device_names(devices)), stop)


if __name__ == "__main__":
    typer.run(main)
