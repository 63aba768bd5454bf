"""`fleetcert local up`: starts everything in order, says where it is, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from rich.console import Console
from rich.table import Table

from fleetcert.local.app_settings import CONTAINERS, QUEUES, TABLES, app_settings, platform_settings
from fleetcert.local.app_switch import SwitchedApp
from fleetcert.local.azurite import Azurite, start_azurite
from fleetcert.local.config import LocalConfig
from fleetcert.local.description import describe, endpoint_rows, write_private_json
from fleetcert.local.listeners import listening
from fleetcert.local.onboarding import prepare_onboarding
from fleetcert.local.processes import Child, require_free_port, watch
from fleetcert.local.server_certificate import create_server_certificate
from fleetcert.local.services import LocalServices
from fleetcert.local.storage import create_storage


async def run(config: LocalConfig) -> None:
    """Runs the local Azure until SIGINT, SIGTERM or SIGHUP.

    Raises: CannotStart, SettingsError; ChildDied when a child process ends by itself.
    """
    serving = asyncio.create_task(_serve(config))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, _cancel_once, serving)
    try:
        await serving
    except asyncio.CancelledError:
        Console(stderr=True).print("The local Azure has stopped.")


def _cancel_once(task: asyncio.Task[None]) -> None:
    """A second Ctrl-C must not interrupt the ending of the children."""
    if not task.cancelling():
        task.cancel()


async def _serve(config: LocalConfig) -> None:
    for port, purpose in config.fixed_ports.purposes.items():
        require_free_port(port, purpose)
    config.make_clean_folder()
    async with AsyncExitStack() as stack:
        azurite = start_azurite(config.folder / "azurite")  # first, because it takes longest
        _end_with(stack, azurite.child)
        certificate = create_server_certificate(config.folder / "tls")
        services = LocalServices(config)
        await stack.enter_async_context(listening(services, certificate))
        settings = await _prepare_storage(config, services, azurite)
        platform = platform_settings(services, azurite.connection_string, certificate.ca_bundle)
        onboarding = prepare_onboarding(services.dps, config.folder / "onboarding")
        app = await _start_app(stack, config, settings | platform)
        description = {
            "functions_url": app.process.url if app else None,
            **describe(services, onboarding, int(config.validity.total_seconds())),
            "storage_connection_string": azurite.connection_string,
            "ca_bundle": str(certificate.ca_bundle),
            "settings": settings,
        }
        _write(stack, config, settings | platform, description)
        _show(config, description)
        await (app.watch([azurite.child]) if app else watch([azurite.child]))


def _end_with(stack: AsyncExitStack, child: Child) -> None:
    stack.push_async_callback(asyncio.to_thread, child.stop)


async def _prepare_storage(config: LocalConfig, services: LocalServices, azurite: Azurite) -> dict[str, str]:
    """Waits for Azurite and creates what the app's settings name. Returns those settings."""
    await asyncio.to_thread(azurite.wait_until_it_answers)
    storage = azurite.connection_string
    settings = app_settings(config, services, storage, os.environ)
    await create_storage(
        storage,
        tables=[settings[name] for name in TABLES],
        queues=[settings[name] for name in QUEUES],
        containers=[settings[name] for name in CONTAINERS],
    )
    return settings


async def _start_app(stack: AsyncExitStack, config: LocalConfig, environment: Mapping[str, str]) -> SwitchedApp | None:
    """The app, once it is well; None where the services are to run alone."""
    if not config.with_app:
        return None
    app = SwitchedApp(config, environment)
    stack.push_async_callback(asyncio.to_thread, lambda: app.process.child.stop())
    await app.process.wait_until_well()
    return app


def _write(
    stack: AsyncExitStack, config: LocalConfig, settings: Mapping[str, str], description: Mapping[str, Any]
) -> None:
    """Writes the files that hold for as long as this start runs."""
    core_tools = {"IsEncrypted": False, "Values": dict(settings)}
    for file, document in ((config.settings_file, core_tools), (config.azure_file, description)):
        stack.callback(file.unlink, missing_ok=True)
        write_private_json(file, document)


def _show(config: LocalConfig, description: Mapping[str, Any]) -> None:
    table = Table("service", "endpoint", title="The local Azure", title_justify="left")
    for row in endpoint_rows(description):
        table.add_row(*row)
    console = Console()
    console.print(table)
    console.print(f"Everything else is in {config.azure_file}. Ctrl-C stops it.", soft_wrap=True)
