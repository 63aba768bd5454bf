"""Drill: Azure Storage does not answer for a while, and devices renew meanwhile. Nothing is lost."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from azure.core.utils import parse_connection_string

from fleetcert.device.events import Happened
from fleetcert.local.drills.devices import Devices
from fleetcert.local.drills.stage import DrillFailed, Stage
from fleetcert.local.processes import listener_on


def run(stage: Stage, count: int, seconds: float) -> None:
    """Stops Azurite for so many seconds while so many devices renew, and waits for it all. Raises: DrillFailed."""
    letters = len(stage.cloud.dead_letters())
    with Devices(stage, [f"drill-storage-{number}" for number in range(1, count + 1)]) as devices:
        stage.wait_for("every device is recorded", lambda: not stage.behind(devices.ids))
        stage.tell(f"{count} devices are connected and recorded")
        _during(stage, devices, seconds)
        back = stage.seconds
        stage.tell("storage answers again")
        stage.wait_for("every record is as its twin", lambda: not stage.behind(devices.ids))
        stage.tell(f"{count} of {count} records are as the twins, {stage.seconds - back:.1f} s after storage came back")
    if len(stage.cloud.dead_letters()) != letters:
        raise DrillFailed("events became dead letters: `fleetcert dead-letters list`")
    stage.tell("no event became a dead letter")


def _during(stage: Stage, devices: Devices, seconds: float) -> None:
    count = len(devices.ids)
    before = stage.recorded(devices.ids)
    with _stopped(_azurite(stage)):
        end = time.monotonic() + seconds
        stage.tell(f"storage has stopped: table, queues, blobs, for {seconds:.0f} s")
        devices.renew()
        stage.wait_for("every device renewed", lambda: len(devices.met(Happened.RENEWED)) == count, seconds)
        stage.tell(f"{count} of {count} devices have renewed all the same, at DPS and at the hub")
        stage.tell(f"the app's API says: {stage.cloud.answers()}")
        time.sleep(max(0.0, end - time.monotonic()))
        reported = stage.cloud.reported()
        unseen = sum(reported.get(device_id) != thumbprint for device_id, thumbprint in before.items())
        stage.tell(f"{unseen} new certificates wait in the event hub to be recorded")


@contextmanager
def _stopped(process: psutil.Process) -> Iterator[None]:
    """The process stands still; it goes on however the block ends, by SIGTERM too."""
    signal.signal(signal.SIGTERM, _leave)
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def _leave(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _azurite(stage: Stage) -> psutil.Process:
    endpoint = parse_connection_string(stage.azure["storage_connection_string"])["tableendpoint"]
    process = listener_on(int(endpoint.rpartition(":")[2].partition("/")[0]))
    if process is None:
        raise DrillFailed(f"nobody listens at {endpoint}, or another user does: is `make up` yours?")
    return process
