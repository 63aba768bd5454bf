"""The one place that knows services and adapters together: builds them at their first use, once a process.

Nothing is imported from an SDK and nothing is asked of a network before that, because a cold start pays for both.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Final

from shared.observing import begin_telemetry
from shared.settings import Settings, read_settings

if TYPE_CHECKING:
    from shared.adapters.principal import PlatformPrincipals
    from shared.composition.ports import Adapters
    from shared.composition.services import Services


class Composition:
    """What an environment amounts to."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._composing = asyncio.Lock()
        self._services: Services | None = None
        self._adapters: Adapters | None = None
        self._is_observed = False
        self._close_telemetry: Callable[[], None] | None = None

    @cached_property
    def settings(self) -> Settings:
        """The settings. Raises: SettingsError, at every use until they are right."""
        return read_settings(self._environment)

    @cached_property
    def principals(self) -> PlatformPrincipals:
        """Who reads callers. Raises: SettingsError."""
        from shared.adapters.principal import PlatformPrincipals

        return PlatformPrincipals(
            platform_authenticates=self.settings.platform_authenticates, tenant_id=self.settings.tenant_id
        )

    @cached_property
    def site(self) -> str:
        """The function app's name, as the platform gives it."""
        return self._environment.get("WEBSITE_SITE_NAME") or "fleetcert"

    def expanded(self, text: str) -> str:
        """A binding's member with the value of each setting that it names as `%NAME%`, as the host sees it."""
        return re.sub(r"%(\w+)%", lambda named: self._environment.get(named[1], named[0]), text)

    def observe(self) -> None:
        """Begins to export telemetry at its first call, if it goes anywhere: trouble with it stops nobody's work."""
        if not self._is_observed:
            self._is_observed = True
            self._close_telemetry = begin_telemetry(self._environment)

    async def services(self) -> Services:
        """The services. The first call checks the table's layout.

        Raises: SettingsError, InfrastructureFault; the next call tries again.
        """
        async with self._composing:
            if self._services is None:
                self._services = await self._compose()
            return self._services

    async def close(self) -> None:
        """Closes all connections; a later use composes anew."""
        adapters, self._adapters, self._services = self._adapters, None, None
        if adapters is not None:
            await adapters.connections.aclose()
        if self._close_telemetry is not None:
            await asyncio.to_thread(self._close_telemetry)

    async def _compose(self) -> Services:
        from shared.composition.sdks import build_adapters
        from shared.composition.services import build_services
        from shared.composition.traced import traced

        if self._adapters is None:
            self._adapters = build_adapters(self.settings)
        return await build_services(self.settings, traced(self.settings, self._adapters))


app: Final = Composition(os.environ)
"""What the deployed functions use."""
