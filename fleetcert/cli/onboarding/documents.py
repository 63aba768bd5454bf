"""Showing a document of DPS's service API as it is."""

from __future__ import annotations

import asyncio

from rich.console import Console

from fleetcert.onboarding.target import Target
from shared.errors import NotFound


def show_document(target: Target, api_version: str | None, *path: str) -> None:
    """Prints it as JSON. A plain read holds no keys. Raises: NotFound, FleetcertError."""
    from fleetcert.onboarding.connecting import DEFAULT_API_VERSION, enrollments_of

    async def work() -> None:
        async with enrollments_of(target, api_version or DEFAULT_API_VERSION) as service:
            document = await service.get(*path)
        if document is None:
            raise NotFound("enrollment", path[-1])
        Console(soft_wrap=True).print_json(data=document)

    asyncio.run(work())
