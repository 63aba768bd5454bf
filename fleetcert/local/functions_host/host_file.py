"""host.json, typed, with the defaults of the extensions (Azure docs: host.json reference for Functions 4.x)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec

from fleetcert.local.functions_host.settings import ConfigurationError, read_json

_TIME_SPAN = re.compile(r"(?:(\d+)\.)?(\d+):(\d+):(\d+(?:\.\d+)?)")
_OVERRIDE = "AzureFunctionsJobHost__"
_MAX_QUEUE_BATCH = 32


class TimeSpan(timedelta):
    """A .NET TimeSpan, written `[d.]hh:mm:ss[.fffffff]`."""

    @classmethod
    def parse(cls, text: str) -> TimeSpan:
        """Raises: ValueError."""
        match = _TIME_SPAN.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a time span (hh:mm:ss)")
        days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
        return cls(days=days, hours=hours, minutes=minutes, seconds=seconds)


class HttpOptions(msgspec.Struct, frozen=True, rename="camel"):
    """extensions.http."""

    route_prefix: str = "api"


class QueueOptions(msgspec.Struct, frozen=True, rename="camel"):
    """extensions.queues."""

    batch_size: int = 16
    new_batch_threshold: int | None = None
    max_dequeue_count: int = 5
    visibility_timeout: TimeSpan = TimeSpan()
    max_polling_interval: TimeSpan = TimeSpan(minutes=1)
    message_encoding: Literal["base64", "none"] = "base64"

    @property
    def threshold(self) -> int:
        """At how many messages in flight the next batch is fetched."""
        if self.new_batch_threshold is not None:
            return self.new_batch_threshold
        return (os.process_cpu_count() or 1) * self.batch_size // 2


class InitialOffset(msgspec.Struct, frozen=True, rename="camel"):
    """extensions.eventHubs.initialOffsetOptions: where a partition without a checkpoint starts."""

    type: Literal["fromStart", "fromEnd", "fromEnqueuedTime"] = "fromStart"
    enqueued_time_utc: datetime | None = None


class EventHubOptions(msgspec.Struct, frozen=True, rename="camel"):
    """extensions.eventHubs."""

    max_event_batch_size: int = 100
    min_event_batch_size: int = 1
    batch_checkpoint_frequency: int = 1
    prefetch_count: int = 300
    load_balancing_update_interval: TimeSpan = TimeSpan(seconds=10)
    partition_ownership_expiration_interval: TimeSpan = TimeSpan(seconds=30)
    initial_offset_options: InitialOffset = InitialOffset()


class Extensions(msgspec.Struct, frozen=True, rename="camel"):
    """extensions."""

    http: HttpOptions = HttpOptions()
    queues: QueueOptions = QueueOptions()
    event_hubs: EventHubOptions = EventHubOptions()


class HostFile(msgspec.Struct, frozen=True, rename="camel"):
    """host.json, as far as this host reads it."""

    version: str = ""
    extensions: Extensions = Extensions()


def read_host_file(app_directory: Path, settings: Mapping[str, str]) -> HostFile:
    """host.json with `AzureFunctionsJobHost__a__b` settings laid over it. Raises: ConfigurationError."""
    content = read_json(app_directory / "host.json")
    for name, value in settings.items():
        if name.startswith(_OVERRIDE):
            _override(content, name.removeprefix(_OVERRIDE).split("__"), value)
    try:
        host_file = msgspec.convert(content, HostFile, strict=False, dec_hook=_decode)
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigurationError(f"host.json: {error}") from error
    _check(host_file)
    return host_file


def _override(content: dict[str, Any], path: list[str], value: str) -> None:
    *parents, member = path
    for parent in parents:
        content = content.setdefault(parent, {})
    content[member] = value


def _decode(kind: type, value: Any) -> Any:
    if kind is TimeSpan and isinstance(value, str):
        return TimeSpan.parse(value)
    raise NotImplementedError(kind)


def _check(host_file: HostFile) -> None:
    if host_file.version != "2.0":
        raise ConfigurationError('host.json must be there and say "version": "2.0"')
    if not 1 <= host_file.extensions.queues.batch_size <= _MAX_QUEUE_BATCH:
        raise ConfigurationError(f"host.json: queues.batchSize must be 1 to {_MAX_QUEUE_BATCH}")
    if host_file.extensions.event_hubs.min_event_batch_size != 1:
        raise ConfigurationError("host.json: the local host knows eventHubs.minEventBatchSize 1 only")
