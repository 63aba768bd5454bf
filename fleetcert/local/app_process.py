"""The functions host with the app, as a child process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp

from fleetcert.local.config import ADDRESS, LocalConfig
from fleetcert.local.processes import CannotStart, Child, free_ports, start_child

_SECONDS: Final = 90.0
_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class AppProcess:
    """The running host."""

    child: Child
    port: int

    @property
    def url(self) -> str:
        """Its base, without `/api`."""
        return f"http://{ADDRESS}:{self.port}"

    async def wait_until_well(self) -> None:
        """Returns when the app's health answers 200. Raises: ChildDied, CannotStart when the time is over."""
        try:
            async with asyncio.timeout(_SECONDS), aiohttp.ClientSession() as session:
                while (answer := await self._health(session)) != HTTPStatus.OK:
                    self.child.require_alive()
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as problem:
            log = f"the end of {self.child.log_file}:\n{self.child.log_tail()}"
            raise CannotStart(f"the app is not well ({self.url}/api/health says {answer})\n{log}") from problem

    async def _health(self, session: aiohttp.ClientSession) -> int | None:
        try:
            async with session.get(f"{self.url}/api/health") as response:
                return response.status
        except aiohttp.ClientConnectionError:  # it does not listen yet
            return None


def start_app(config: LocalConfig, environment: Mapping[str, str], port: int | None = None) -> AppProcess:
    """Starts the host without waiting for it, on a free port where none is given.

    environment: the settings of app and platform.
    """
    port = port or free_ports(1)[0]
    command: list[str | Path] = [
        *(sys.executable, "-m", "fleetcert.local.functions_host"),
        *("--app", config.app, "--port", str(port)),
    ]
    child = start_child("the functions host", command, config.folder / "functions.log", environment)
    return AppProcess(child, port)
