"""Merge patches (RFC 7396) and the metadata that a twin keeps of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

type Document = dict[str, Any]


def merged(target: Mapping[str, Any], patch: Mapping[str, Any]) -> Document:
    """The target after the patch: objects merge, null removes, all else replaces."""
    result = dict(target)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            below = result.get(key)
            result[key] = merged(below if isinstance(below, Mapping) else {}, value)
        else:
            result[key] = value
    return result


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> Document:
    """The smallest patch with merged(old, patch) == new, for documents without nulls."""
    patch: Document = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            if below := difference(before, value):
                patch[key] = below
        elif key not in old or before != value or type(before) is not type(value):
            patch[key] = value
    return patch


def stamped(metadata: Mapping[str, Any], patch: Mapping[str, Any], stamp: Mapping[str, Any]) -> Document:
    """A section's metadata after a patch: every object and value that the patch touches carries the stamp."""
    result = {**metadata, **stamp}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = stamped(result.get(key, {}), value, stamp) if isinstance(value, Mapping) else dict(stamp)
    return result
