"""How the local Azure is set up: names, fixed ports, folders, and what the environment may change."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from fleetcert.local.assumptions import Assumptions
from shared.errors import SettingsError

HOST: Final = "localhost"
ADDRESS: Final = "127.0.0.1"

SUBSCRIPTION_ID: Final = str(uuid.uuid5(uuid.NAMESPACE_URL, "fleetcert/local/subscription"))
RESOURCE_GROUP: Final = "local"
DPS_NAME: Final = "local-dps"
ADR_NAMESPACE: Final = "local-adr"
POLICY: Final = "default"
ENROLLMENT_GROUP: Final = "fleet"
HUB_RESOURCE_ID: Final = (
    f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/{RESOURCE_GROUP}/providers/Microsoft.Devices/IotHubs/{HOST}"
)
DPS_RESOURCE_ID: Final = (
    f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/{RESOURCE_GROUP}"
    f"/providers/Microsoft.Devices/provisioningServices/{DPS_NAME}"
)
ADR_NAMESPACE_ID: Final = (
    f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/{RESOURCE_GROUP}"
    f"/providers/Microsoft.DeviceRegistry/namespaces/{ADR_NAMESPACE}"
)

HUB_POLICY: Final = "iothubowner"
DPS_POLICY: Final = "provisioningserviceowner"
EVENT_HUBS_POLICY: Final = "RootManageSharedAccessKey"

IOT_EVENTS: Final = "iot-events"
CONNECTION_EVENTS: Final = "connection-events"
DPS_EVENTS: Final = "dps-events"
EVENT_HUBS: Final[Mapping[str, int]] = {IOT_EVENTS: 4, CONNECTION_EVENTS: 2, DPS_EVENTS: 2}
"""Event hub -> number of partitions."""
CONSUMER_GROUP: Final = "fleetcert"
OTHER_CONSUMER_GROUP: Final = "others"
"""For whoever reads the event hubs beside the app."""

_PROJECT_ROOT: Final = Path(__file__).parents[2]
_DEFAULT_VALIDITY: Final = timedelta(days=30)
_SHORTEST: Final = timedelta(seconds=10)
_LONGEST: Final = timedelta(days=90)
_MARK: Final = ".fleetcert-local"


@dataclass(frozen=True, slots=True)
class FixedPorts:
    """The ports that Azure's SDKs insist on. A second local Azure beside the first needs others, and other clients."""

    mqtt: int = 8883
    amqps: int = 5671
    amqp: int = 5672

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Reads MQTT_PORT, AMQPS_PORT and AMQP_PORT. Raises: SettingsError."""
        return cls(**{name: _port(environment, name, default) for name, default in asdict(cls()).items()})

    @property
    def purposes(self) -> Mapping[int, str]:
        """Port -> what it is for."""
        return {self.mqtt: "MQTT over TLS", self.amqps: "AMQP over TLS", self.amqp: "AMQP of the event hubs"}


@dataclass(frozen=True, slots=True)
class LocalConfig:
    """One start of the local Azure.

    folder: its files, emptied at each start. app: the folder of host.json. validity: of the default policy's leaves.
    throttled: whether the limits of Azure's smallest tier apply. assumptions: on what Azure does not document.
    """

    folder: Path = _PROJECT_ROOT / ".local"
    app: Path = _PROJECT_ROOT
    validity: timedelta = _DEFAULT_VALIDITY
    with_app: bool = True
    throttled: bool = False
    fixed_ports: FixedPorts = FixedPorts()
    assumptions: Assumptions = field(default_factory=Assumptions)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], *, with_app: bool = True) -> LocalConfig:
        """Reads FLEETCERT_LOCAL_DIR, VALIDITY (seconds), THROTTLED (1), ASSUMPTIONS (JSON, as `Assumptions`) and ports.

        Raises: SettingsError.
        """
        folder = environment.get("FLEETCERT_LOCAL_DIR")
        return cls(
            folder=Path(folder).absolute() if folder else _PROJECT_ROOT / ".local",
            validity=_validity(environment.get("VALIDITY", "")),
            with_app=with_app,
            throttled=environment.get("THROTTLED", "") == "1",
            fixed_ports=FixedPorts.from_environment(environment),
            assumptions=_assumptions(environment.get("ASSUMPTIONS") or "{}"),
        )

    @property
    def azure_file(self) -> Path:
        """What tests and operators read: endpoints, names and keys."""
        return self.folder / "azure.json"

    @property
    def settings_file(self) -> Path:
        """The app's settings for Core Tools: beside the app, unless this start has a folder of its own."""
        beside = self.app if self.folder == _PROJECT_ROOT / ".local" else self.folder
        return beside / "local.settings.json"

    def make_clean_folder(self) -> None:
        """Empties the folder. Raises: SettingsError where it holds files that are not ours."""
        if self.folder.exists() and any(self.folder.iterdir()) and not (self.folder / _MARK).exists():
            raise SettingsError(
                "FLEETCERT_LOCAL_DIR", f"{self.folder} is not empty and was not made by `fleetcert local up`"
            )
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, mode=0o700)
        (self.folder / _MARK).touch()


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    setting = f"{name.upper()}_PORT"
    text = environment.get(setting) or str(default)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise SettingsError(setting, f"{text!r} is not a port")
    return int(text)


def _validity(text: str) -> timedelta:
    if not text:
        return _DEFAULT_VALIDITY
    validity = timedelta(seconds=int(text)) if text.isdecimal() else timedelta()
    if not _SHORTEST <= validity <= _LONGEST:
        raise SettingsError("VALIDITY", f"{text!r} is not a number of seconds from 10 to {_LONGEST.days} days")
    return validity


def _assumptions(text: str) -> Assumptions:
    known = {one.name for one in fields(Assumptions)}
    try:
        unknown = msgspec.json.decode(text, type=dict[str, Any]).keys() - known
        if unknown:
            raise SettingsError("ASSUMPTIONS", f"does not know {sorted(unknown)}, only {sorted(known)}")
        return msgspec.json.decode(text, type=Assumptions)
    except msgspec.MsgspecError as problem:
        raise SettingsError("ASSUMPTIONS", f"is not a JSON object of assumptions: {problem}") from problem
