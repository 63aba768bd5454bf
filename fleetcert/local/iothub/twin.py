"""A device twin: tags, desired and reported properties, their versions and metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fleetcert.local.instants import NEVER, precise
from fleetcert.local.iothub import twin_rules
from fleetcert.local.iothub.errors import invalid_argument
from fleetcert.local.iothub.etags import twin_etag
from fleetcert.local.iothub.merge import Document, difference, merged, stamped


@dataclass(frozen=True, slots=True)
class Properties:
    """The desired or the reported properties. `section` names their limits."""

    section: str
    values: Document = field(default_factory=dict)
    metadata: Document = field(default_factory=lambda: {"$lastUpdated": NEVER})
    version: int = 1

    def patched(self, patch: Mapping[str, Any], now: datetime) -> tuple[Properties, Document]:
        """The properties after the patch, and the patch as events show it. Raises: HubError 400004, 403100."""
        patch = without_service_members(patch)
        twin_rules.check_values(patch)
        values = merged(self.values, patch)
        twin_rules.check_size(self.section, values)
        version = self.version + 1
        stamp = self._stamp(version, now)
        after = Properties(self.section, values, stamped(self.metadata, patch, stamp), version)
        return after, {**patch, "$metadata": stamped({}, patch, stamp), "$version": version}

    def document(self) -> Document:
        """The properties as the service sees them."""
        return {**self.values, "$metadata": self.metadata, "$version": self.version}

    def device_document(self) -> Document:
        """The properties as the device sees them: no metadata."""
        return {**self.values, "$version": self.version}

    def _stamp(self, version: int, now: datetime) -> Document:
        stamp: Document = {"$lastUpdated": precise(now)}
        if self.section == twin_rules.DESIRED:
            stamp["$lastUpdatedVersion"] = version
        return stamp


@dataclass(slots=True)
class Twin:
    """A device twin. `version` counts every change; the ETag follows tags and desired properties only.

    A new twin has version 2 and properties of version 1, as the lifecycle events in the documentation show.
    """

    tags: Document = field(default_factory=dict)
    desired: Properties = field(default_factory=lambda: Properties(twin_rules.DESIRED))
    reported: Properties = field(default_factory=lambda: Properties(twin_rules.REPORTED))
    version: int = 2
    back_end_version: int = 1

    @property
    def etag(self) -> str:
        """The ETag, without quotes."""
        return twin_etag(self.back_end_version)

    def report(self, patch: Any, now: datetime) -> Document:
        """Merges a device's patch; returns the event's body. Raises: HubError 400004, 403100."""
        self.reported, change = self.reported.patched(_object(patch, "reported properties"), now)
        self.version += 1
        return {"version": self.version, "properties": {"reported": change}}

    def update(self, document: Any, now: datetime) -> Document:
        """Merges a back end's patch of tags and desired properties; returns the event's body.

        Reported properties in it are ignored: they are the device's alone (assumed; the SDKs send whole twins back).
        Raises: HubError 400004, 403100.
        """
        tags, desired = _writable(document)
        change: Document = {"version": self.version + 1}
        tags_after, desired_after = self.tags, self.desired
        if tags is not None:
            twin_rules.check_values(tags)
            tags_after = merged(self.tags, tags)
            twin_rules.check_size(twin_rules.TAGS, tags_after)
            change["tags"] = tags
        if desired is not None:
            desired_after, desired_change = self.desired.patched(desired, now)
            change["properties"] = {"desired": desired_change}
        self._write(tags_after, desired_after)
        return change

    def replace(self, document: Any, now: datetime) -> Document:
        """Puts tags and desired properties as given; returns what changed in the desired ones, as a patch.

        Raises: HubError 400004, 403100.
        """
        given_tags, given_desired = _writable(document)
        tags = merged({}, given_tags or {})
        desired = merged({}, without_service_members(given_desired or {}))
        twin_rules.check_values(tags)
        twin_rules.check_size(twin_rules.TAGS, tags)
        patch = difference(self.desired.values, desired)
        after, _ = self.desired.patched(patch, now)
        self._write(tags, after)
        return patch

    def _write(self, tags: Document, desired: Properties) -> None:
        self.tags, self.desired = tags, desired
        self.version += 1
        self.back_end_version += 1


def without_service_members(document: Mapping[str, Any]) -> Document:
    """The properties without `$version` and `$metadata`, which a back end may send back as it read them."""
    return {key: value for key, value in document.items() if key not in ("$version", "$metadata")}


def _writable(document: Any) -> tuple[Document | None, Document | None]:
    """Tags and desired properties of a twin document, None where it has none."""
    whole = _object(document, "twin")
    tags = whole.get("tags")
    desired = _object(whole.get("properties") or {}, "properties").get("desired")
    return (
        None if tags is None else _object(tags, "tags"),
        None if desired is None else _object(desired, "desired properties"),
    )


def _object(document: Any, what: str) -> Document:
    if not isinstance(document, dict):
        raise invalid_argument(f"The {what} must be a JSON object.")
    return document
