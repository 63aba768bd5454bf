"""A twin's tags as a record keeps them: names with dots for what is nested, values as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from shared.domain.changes import Reduction
from shared.domain.events import TagsChanged
from shared.domain.record import DeviceRecord, State

_MOST_TAGS: Final = 50
_LONGEST_VALUE: Final = 256


def flatten(tags: Mapping[str, Any]) -> dict[str, str | None]:
    """`{"site": {"city": "Bern"}, "rack": None}` as `{"site.city": "Bern", "rack": None}`; None says: removed."""
    return dict(_flattened(tags, ""))


def _flattened(tags: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str | None]]:
    for name, value in tags.items():
        if name.startswith("$"):
            continue  # IoT Hub's own metadata
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{name}.")
        elif value is None:
            yield f"{prefix}{name}", None
        else:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            yield f"{prefix}{name}", text[:_LONGEST_VALUE]


def merged(known: Mapping[str, str], patch: Mapping[str, str | None]) -> dict[str, str]:
    """The tags after a merge patch: None removes a tag and all below it."""
    kept = {name: value for name, value in known.items() if not _is_removed(name, patch)}
    kept |= {name: value for name, value in patch.items() if value is not None}
    return dict(sorted(kept.items())[:_MOST_TAGS])


def _is_removed(name: str, patch: Mapping[str, str | None]) -> bool:
    parts = name.split(".")
    paths = (".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    return any(path in patch and patch[path] is None for path in paths)


def tags_changed(record: DeviceRecord | None, event: TagsChanged) -> Reduction | None:
    """Tags of a device that is known; a stranger's tags make no record, and an older change is old news."""
    if record is None or record.state is State.RETIRED or record.hub not in ("", event.hub):
        return None
    if event.twin_version <= record.twin_version:
        return None
    tags = merged({} if event.is_whole else record.tags, event.tags)
    return Reduction(replace(record, tags=tags, twin_version=event.twin_version))
