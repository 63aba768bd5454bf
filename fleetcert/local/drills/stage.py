"""What every drill has: the local Azure, a clock, somebody to tell, and patience that ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from fleetcert.local.cloud import Cloud
from shared.errors import FleetcertError

_LOOK_SECONDS: Final = 0.5

type Tell = Callable[[str], None]


class DrillFailed(FleetcertError):
    """What had to come did not come, or the drill cannot begin; the message says which."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One run of a drill. folder: its devices and notes. show: takes one line of text."""

    azure: Mapping[str, Any]
    cloud: Cloud
    folder: Path
    show: Tell
    started: float = field(default_factory=time.monotonic)

    def tell(self, text: str) -> None:
        """One line of the timeline."""
        self.show(f"{self.seconds:6.1f} s  {text}")

    @property
    def seconds(self) -> float:
        """Since the drill began."""
        return time.monotonic() - self.started

    def wait_for(self, what: str, holds: Callable[[], bool], seconds: float = 120) -> None:
        """Looks until it holds. An answer that fails or does not come counts as no. Raises: DrillFailed."""
        deadline = time.monotonic() + seconds
        while not self._tried(holds):
            if time.monotonic() > deadline:
                raise DrillFailed(f"after {seconds:.0f} s it does not hold that {what}")
            time.sleep(_LOOK_SECONDS)

    def recorded(self, device_ids: Iterable[str]) -> dict[str, str | None]:
        """Device id -> the thumbprint in the app's record."""
        return {d: (self.cloud.record(d).get("certificate") or {}).get("thumbprint") for d in device_ids}

    def behind(self, device_ids: Iterable[str]) -> list[str]:
        """The devices whose record is not what their twin reports."""
        reported, recorded = self.cloud.reported(), self.recorded(device_ids)
        return [d for d, thumbprint in recorded.items() if not thumbprint or thumbprint != reported.get(d)]

    def _tried(self, holds: Callable[[], bool]) -> bool:
        try:
            return holds()
        except httpx.HTTPError:
            return False


@contextmanager
def stage(azure: Mapping[str, Any], folder: Path, show: Tell) -> Iterator[Stage]:
    """A stage on the local Azure of that azure.json. Raises: DrillFailed where the app does not run."""
    if not azure["functions_url"]:
        raise DrillFailed("the local Azure runs without the app: start it with `make up`")
    folder.mkdir(parents=True, exist_ok=True)
    with Cloud(azure) as cloud:
        yield Stage(azure, cloud, folder, show)
