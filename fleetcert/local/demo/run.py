"""The demo's course: start the local Azure and a fleet, act as the operator, wait for what must come, check it all."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import psutil
from rich.console import Console
from rich.live import Live

from fleetcert.local.child_azure import child_azure
from fleetcert.local.cloud import Cloud
from fleetcert.local.config import LocalConfig
from fleetcert.local.demo.agents import FleetLog
from fleetcert.local.demo.claims import CLAIMS, Sight, Summary, summarize
from fleetcert.local.demo.pace import Pace
from fleetcert.local.demo.screen import Screen, show_summary
from fleetcert.local.manners import Manner
from fleetcert.local.processes import start_child

_DEADLINE_SECONDS: Final = 285.0
_PATIENCE_SECONDS: Final = 12.0
_LOOK_SECONDS: Final = 1.0


def run(devices: int, console: Console) -> Summary:
    """Runs the demo with so many devices and writes `.local/demo.json`. Raises: CannotStart, ChildDied."""
    logging.getLogger("azure").setLevel(logging.ERROR)
    config, pace = LocalConfig.from_environment(os.environ), Pace.of(devices)
    screen = Screen()
    with Memory() as memory, local_azure(config, console, pace) as azure, Cloud(azure) as cloud:
        started = time.monotonic()
        with (
            fleet(config, devices, pace) as agents,
            Live(screen, console=console, refresh_per_second=4, transient=True),
        ):
            Course(cloud, agents, devices, screen, started).follow()
            summary = _final(cloud, devices, started)
    summary.seconds = round(time.monotonic() - started, 1)
    summary.peak_rss_mb = round(memory.peak / 2**20, 1)
    (config.folder / "demo.json").write_text(json.dumps(asdict(summary), indent=2) + "\n")
    show_summary(console, summary)
    return summary


@contextmanager
def local_azure(config: LocalConfig, console: Console, pace: Pace) -> Iterator[dict[str, Any]]:
    """The local Azure with the app, until it has said where everything is."""
    with ExitStack() as stack:
        with console.status("starting the local Azure"):
            environment = {"VALIDITY": str(pace.validity_seconds)}
            azure = stack.enter_context(child_azure(config.azure_file, environment))
        console.print(f"The local Azure is up; certificates live {pace.validity_seconds} seconds.")
        yield azure


@contextmanager
def fleet(config: LocalConfig, devices: int, pace: Pace) -> Iterator[FleetLog]:
    """The simulated devices, in a process of their own, and what they say."""
    events = config.folder / "fleet-events.jsonl"
    command: list[str | Path] = [
        *(sys.executable, "-m", "fleetcert.local.fleet"),
        *("--azure", config.azure_file, "--devices", str(devices)),
        *("--directory", config.folder / "fleet", "--events", events),
        *("--stagger-seconds", str(pace.stagger_seconds)),
    ]
    child = start_child("the simulated fleet", command, config.folder / "fleet.log")
    try:
        yield FleetLog(events)
        child.require_alive()
    finally:
        child.stop()


class Course:
    """What has to come, in its order, and what the operator does on the way."""

    def __init__(self, cloud: Cloud, agents: FleetLog, devices: int, screen: Screen, started: float) -> None:
        self._cloud = cloud
        self._agents = agents
        self._devices = devices
        self._screen = screen
        self._started = started
        self._acted = False
        self._told: set[str] = set()

    def follow(self) -> None:
        """Looks until every claim holds, or time is up."""
        while time.monotonic() - self._started < _DEADLINE_SECONDS:
            self._screen.seconds = time.monotonic() - self._started
            sight = Sight.of(self._cloud, self._devices, is_final=False)
            self._screen.fleet(Counter(one["state"] for one in sight.records.values()), self._agents.doing())
            self._show(sight)
            if not self._acted and all(map(sight.is_recorded_exactly, sight.manners)):
                self._act(sight)
            if self._acted and not any(failure for claim in CLAIMS for failure in claim(sight)):
                return
            time.sleep(_LOOK_SECONDS)

    def _act(self, sight: Sight) -> None:
        """The operator shuts one device out, renews another by hand, and has the fleet written into a file."""
        self._acted = True
        for device_id in sight.named(Manner.DISABLED):
            self._cloud.disable(device_id, "demo: reported stolen")
            self._screen.tell(f"operator: POST /api/devices/{device_id}/disable")
        for device_id in sight.named(Manner.GOOD)[:1]:
            self._cloud.renew(device_id, "demo: by hand")
            self._screen.tell(f"operator: POST /api/devices/{device_id}/renew")
        self._cloud.export("demo: for the auditor")
        self._screen.tell("operator: POST /api/fleet/exports")

    def _show(self, sight: Sight) -> None:
        stage, total = self._screen.stage, self._devices
        shut_out = len(sight.named(Manner.DISABLED))
        stage("registered with DPS by CSR", len(sight.issued), total)
        stage("recorded to the second", sum(map(sight.is_recorded_exactly, sight.manners)), total)
        stage("commanded (cloud-to-device)", sum(sight.commands(d) > 0 for d in sight.obedient), len(sight.obedient))
        stage("renewed", sum(map(sight.has_renewed, sight.obedient)), len(sight.obedient))
        stage("refused by the hub", min(shut_out, sum(map(sight.refusals_by_hub, sight.manners))), shut_out)
        stage("blocked by DPS", min(shut_out, sum(map(sight.refusals_by_dps, sight.manners))), shut_out)
        for alert in sight.alerts:
            if alert["id"] not in self._told:
                self._told.add(alert["id"])
                level = f" ({alert['data']['level']})" if "level" in alert["data"] else ""
                self._screen.tell(f"{alert['type']}{level} {alert['subject']}")


def _final(cloud: Cloud, devices: int, started: float) -> Summary:
    """The claims at the end, once what is under way has come to rest."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (summary := summarize(Sight.of(cloud, devices))).failures and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    return summary


class Memory:
    """Watches the resident memory of this process and all its children."""

    def __init__(self) -> None:
        self.peak = 0
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        self._watcher.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._done.set()
        self._watcher.join()

    def _watch(self) -> None:
        this = psutil.Process()
        while not self._done.wait(0.5):
            self.peak = max(self.peak, sum(map(_resident, [this, *this.children(recursive=True)])))


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0  # it ended meanwhile
