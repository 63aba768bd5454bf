"""App settings as Core Tools read them: local.settings.json, overridden by the environment, with %NAME% expansion."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_REFERENCE = re.compile(r"%([^%]+)%")


class ConfigurationError(Exception):
    """A setting, host.json or a binding cannot be used; the message names it."""


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file, empty where the file is missing. Raises: ConfigurationError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ConfigurationError(f"{path.name} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path.name} is not a JSON object")
    return content


def read_settings(app_directory: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """`Values` of local.settings.json overridden by the environment. Raises: ConfigurationError."""
    local = read_json(app_directory / "local.settings.json")
    if local.get("IsEncrypted"):
        raise ConfigurationError("local.settings.json is encrypted: decrypt it with `func settings decrypt`")
    values = local.get("Values", {})
    if not all(isinstance(value, str) for value in values.values()):
        raise ConfigurationError("local.settings.json: every member of Values must be a string")
    return {**values, **environment}


def expand(text: str, settings: Mapping[str, str]) -> str:
    """Replaces each %NAME% by that setting. Raises: ConfigurationError for a setting that is missing."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in settings:
            raise ConfigurationError(f"'{match[0]}' does not resolve to a value: set {match[1]}")
        return settings[match[1]]

    return _REFERENCE.sub(value, text)


def expand_binding(binding: Mapping[str, Any], settings: Mapping[str, str]) -> dict[str, Any]:
    """A binding with every string member expanded. Raises: ConfigurationError."""
    return {key: expand(value, settings) if isinstance(value, str) else value for key, value in binding.items()}
