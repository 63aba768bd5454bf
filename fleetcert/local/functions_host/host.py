"""The host: loads an app, starts a listener for each trigger, serves HTTP, and stops without losing work."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Protocol

from aiohttp import web

from fleetcert.local.functions_host.connections import connection
from fleetcert.local.functions_host.engine import Engine, Function
from fleetcert.local.functions_host.event_hubs import EventHubListener
from fleetcert.local.functions_host.gate import Gate, GateSettings
from fleetcert.local.functions_host.host_file import Extensions, read_host_file
from fleetcert.local.functions_host.http import HttpFront, HttpFunction
from fleetcert.local.functions_host.invoker import Invoker, Stopping
from fleetcert.local.functions_host.keys import Keys
from fleetcert.local.functions_host.outputs import SUPPORTED, OutputBindings
from fleetcert.local.functions_host.queues import QueueListener
from fleetcert.local.functions_host.settings import ConfigurationError, expand_binding
from fleetcert.local.functions_host.timers import TimerListener

_HOST_STORAGE: Final = "AzureWebJobsStorage"
_FIRST_RESTART: Final = timedelta(seconds=1)
_LAST_RESTART: Final = timedelta(seconds=30)
_GRACE: Final = timedelta(seconds=5)

logger = logging.getLogger(__name__)


class Listener(Protocol):
    """What brings events to a function."""

    async def run(self) -> None:
        """Works until it is cancelled or the host stops; raises what it cannot cope with and is then started again."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """What listeners are built from."""

    invoker: Invoker
    settings: Mapping[str, str]
    extensions: Extensions


class FunctionsHost:
    """A running app. One host a process at a time; a second one must load the same directory."""

    def __init__(
        self,
        app_directory: Path,
        settings: Mapping[str, str],
        port: int = 0,
        *,
        keys: Keys | None = None,
        drain_limit: timedelta = timedelta(seconds=30),
    ) -> None:
        """settings: app settings, see read_settings. port: 0 takes a free one.

        drain_limit: how long a stop waits for running invocations. Raises: ConfigurationError.
        """
        self.keys = keys or Keys()
        self.errors: dict[str, str] = {}  # why a function does not run, by its name
        self.engine = Engine(app_directory)
        self._settings = settings
        self._port = port
        self._drain_limit = drain_limit
        self._extensions = read_host_file(app_directory, settings).extensions
        self._outputs = OutputBindings(settings, self._extensions.queues.message_encoding)
        self._invoker = Invoker(self.engine, self._outputs)
        self._gate_settings = GateSettings.read(settings)
        self._functions: dict[str, Function] = {}
        self._timers: dict[str, TimerListener] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self._started = time.monotonic()

    @property
    def url(self) -> str:
        """Where HTTP is served, without a slash at the end."""
        if self._runner is None or not self._runner.addresses:
            raise RuntimeError("the host is not started")
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def start(self) -> None:
        """Loads the app and starts every trigger. Raises: IndexingFailed, OSError for a port in use."""
        os.environ.update(self._settings)
        if self._gate_settings is not None:
            os.environ["WEBSITE_AUTH_ENABLED"] = "True"  # as App Service tells an app that it authenticates
        functions = await self.engine.start()
        self._functions = {function.name: function for function in functions}
        http_functions: list[HttpFunction] = []
        listeners: dict[str, Listener] = {}
        for function in functions:
            self._prepare(function, http_functions, listeners)
        await self._serve_http(http_functions)
        for name, listener in listeners.items():
            self._spawn(self._supervise(name, listener))
        logger.info("%d functions at %s, %d in error", len(functions), self.url, len(self.errors))

    async def stop(self) -> None:
        """Takes no new work, lets running invocations finish, and closes everything."""
        if self._site is not None:
            await self._site.stop()
        await self._invoker.drain(self._drain_limit)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()
        await self._outputs.close()
        await asyncio.to_thread(self.engine.stop)

    async def run_now(self, name: str) -> bool:
        """Starts a timer function once, besides its schedule; False where there is no such timer."""
        timer = self._timers.get(name)
        if timer is not None:
            self._spawn(self._run_timer(timer))
        return timer is not None

    def _prepare(self, function: Function, http_functions: list[HttpFunction], listeners: dict[str, Listener]) -> None:
        """Sorts a function to its trigger; one that cannot run is in error and leaves the others alone."""
        try:
            binding = expand_binding(function.trigger, self._settings)
            _check_outputs(function, self._settings)
            if binding["type"] == "httpTrigger":
                http = HttpFunction(function, binding)
                http.route(self._extensions.http.route_prefix)
                http_functions.append(http)
            else:
                listeners[function.name] = self._listener(function, binding)
        except ConfigurationError as error:
            self.errors[function.name] = str(error)
            logger.warning("the function %s is in error: %s", function.name, error)

    def _listener(self, function: Function, binding: Mapping[str, Any]) -> Listener:
        if binding["type"] == "timerTrigger":
            storage = connection(self._settings, _HOST_STORAGE)
            self._timers[function.name] = TimerListener(function, binding, self._invoker, storage)
            return self._timers[function.name]
        if binding["type"] == "queueTrigger":
            storage = connection(self._settings, binding.get("connection") or _HOST_STORAGE)
            return QueueListener(function, binding, self._invoker, storage, self._extensions.queues)
        if binding["type"] == "eventHubTrigger":
            return EventHubListener(
                function,
                binding,
                self._invoker,
                source=connection(self._settings, binding["connection"]),
                storage=connection(self._settings, _HOST_STORAGE),
                options=self._extensions.event_hubs,
            )
        raise ConfigurationError(f"the local host does not know the trigger {binding['type']}")

    async def _serve_http(self, functions: list[HttpFunction]) -> None:
        front = HttpFront(
            functions, self._extensions.http.route_prefix, self._invoker, Gate(self._gate_settings), self.keys
        )
        self._runner = web.AppRunner(
            front.application(self._status, self.run_now),
            access_log=None,
            shutdown_timeout=_GRACE.total_seconds(),
        )
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await self._site.start()

    async def _supervise(self, name: str, listener: Listener) -> None:
        """Keeps a listener running: a service that is away now may be back later, as Azure's host sees it."""
        pause = _FIRST_RESTART
        while not self._invoker.is_stopping:
            try:
                await listener.run()
            except Exception as error:  # whatever a listener raises, the others and the next attempt go on
                self.errors[name] = f"the listener stopped: {error}"
                logger.exception("the listener of %s stopped, again in %s", name, pause)
            else:
                return
            await asyncio.sleep(pause.total_seconds())
            self.errors.pop(name, None)
            pause = min(pause * 2, _LAST_RESTART)

    async def _run_timer(self, timer: TimerListener) -> None:
        try:
            await timer.run_now()
        except Stopping:
            logger.info("the host stops: a timer that was asked for does not run")

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _status(self) -> Mapping[str, Any]:
        return {
            "id": "local",
            "state": "Running",
            "version": "4.local",
            "processUptime": int((time.monotonic() - self._started) * 1000),
            "functions": sorted(self._functions),
            "errors": [f"{name}: {error}" for name, error in self.errors.items()],
        }


def _check_outputs(function: Function, settings: Mapping[str, str]) -> None:
    for binding in function.outputs:
        if binding["type"] not in SUPPORTED:
            raise ConfigurationError(f"the local host does not know the output binding {binding['type']}")
        if binding["type"] == "queue":
            connection(settings, expand_binding(binding, settings)["connection"])
