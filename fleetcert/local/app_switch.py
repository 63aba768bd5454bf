"""Stopping and starting the app alone, beside a running local Azure: it rests as long as a file says so.

What `az functionapp stop` and `start` are in Azure. The services, and what waits in them, stay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from time import monotonic, sleep
from typing import Final

import httpx

from fleetcert.local.app_process import AppProcess, start_app
from fleetcert.local.config import LocalConfig
from fleetcert.local.processes import Child
from shared.errors import FleetcertError

_FILE: Final = "app-stopped"
_POLL_SECONDS: Final = 0.1
_SECONDS: Final = 90.0


class AppDoesNotFollow(FleetcertError):
    """The app did not stop or start in time."""


class SwitchedApp:
    """The app's process in the hands of `fleetcert local up`."""

    def __init__(self, config: LocalConfig, environment: Mapping[str, str]) -> None:
        self._config = config
        self._environment = environment
        self._app = start_app(config, environment)
        self._rests = False

    @property
    def process(self) -> AppProcess:
        """The process; where the app rests, the one that ran last."""
        return self._app

    async def watch(self, others: Sequence[Child]) -> None:
        """Heeds the switch until a child ends by itself. Raises: ChildDied."""
        while True:
            for child in others:
                child.require_alive()
            await self._heed()
            await asyncio.sleep(_POLL_SECONDS)

    async def _heed(self) -> None:
        wanted = (self._config.folder / _FILE).exists()
        if wanted and not self._rests:
            await asyncio.to_thread(self._app.child.stop)
        elif self._rests and not wanted:
            self._app = start_app(self._config, self._environment, self._app.port)
        elif not self._rests:
            self._app.child.require_alive()
        self._rests = wanted


def stop_app(folder: Path, url: str) -> None:
    """Stops the app of the local Azure in `folder`, and returns when it is gone. Raises: AppDoesNotFollow."""
    (folder / _FILE).touch()
    _await(url, None)


def start_stopped_app(folder: Path, url: str) -> None:
    """Starts it again, where it was, and returns when its health answers 200. Raises: AppDoesNotFollow."""
    (folder / _FILE).unlink(missing_ok=True)
    _await(url, HTTPStatus.OK)


def _await(url: str, wanted: int | None) -> None:
    deadline = monotonic() + _SECONDS
    while (seen := _health(url)) != wanted:
        if monotonic() > deadline:
            raise AppDoesNotFollow(f"{url}/api/health says {seen} after {_SECONDS:.0f} s: does `make up` still run?")
        sleep(_POLL_SECONDS)


def _health(url: str) -> int | None:
    """The status; None where nobody listens."""
    try:
        return httpx.get(f"{url}/api/health", timeout=_SECONDS).status_code
    except httpx.TransportError:
        return None
