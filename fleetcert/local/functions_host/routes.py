"""Routes of HTTP triggers: ASP.NET route templates with constraints, most specific first.

Azure docs: "HTTP trigger, customize the HTTP endpoint"; constraints as in ASP.NET's route constraint reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from fleetcert.local.functions_host.settings import ConfigurationError

type Constraint = Callable[[str], bool]

_SEGMENT: Final = re.compile(
    r"\{(?P<all>\*{0,2})(?P<name>\w+)(?P<constraints>(?::\w+(?:\([^)]*\))?)*)(?P<optional>\?)?\}"
)
_CONSTRAINT: Final = re.compile(r":(\w+)(?:\(([^)]*)\))?")
_PATTERNS: Final[Mapping[str, str]] = {
    "alpha": r"[A-Za-z]+",
    "bool": r"(?i:true|false)",
    "decimal": r"-?\d+(\.\d+)?",
    "double": r"-?\d+(\.\d+)?",
    "float": r"-?\d+(\.\d+)?",
    "guid": r"[0-9A-Fa-f]{8}(-?[0-9A-Fa-f]{4}){3}-?[0-9A-Fa-f]{12}",
    "int": r"-?\d+",
    "long": r"-?\d+",
}


@dataclass(frozen=True, slots=True)
class Route:
    """One route of one function. methods: upper case, empty for all of them."""

    function: str
    methods: frozenset[str]
    pattern: re.Pattern[str]
    constraints: tuple[tuple[str, Constraint], ...]
    precedence: tuple[int, ...]

    def match(self, raw_path: str) -> dict[str, str] | None:
        """The route parameters of a still percent-encoded path, decoded; None where it is not this route's."""
        match = self.pattern.fullmatch(raw_path)
        if match is None:
            return None
        values = {name: _decode(value) for name, value in match.groupdict().items() if value is not None}
        met = all(check(values[name]) for name, check in self.constraints if name in values)
        return values if met else None


class RouteTable:
    """All routes of an app."""

    def __init__(self, routes: list[Route]) -> None:
        self._routes = sorted(routes, key=lambda route: route.precedence)

    def find(self, method: str, raw_path: str) -> tuple[str, dict[str, str]] | None:
        """The function's name and its route parameters; None for an unknown path and for a method not listed."""
        for route in self._routes:
            if route.methods and method not in route.methods:
                continue
            if (values := route.match(raw_path)) is not None:
                return route.function, values
        return None


def compile_route(function: str, template: str, methods: list[str], prefix: str) -> Route:
    """The route of a trigger below the route prefix. Raises: ConfigurationError for what this host cannot match."""
    segments = [segment for segment in f"{prefix}/{template}".split("/") if segment]
    parts: list[str] = []
    constraints: list[tuple[str, Constraint]] = []
    precedence: list[int] = []
    for segment in segments:
        parameter = _SEGMENT.fullmatch(segment)
        if parameter is None:
            parts.append("/" + _literal(segment))
            precedence.append(0)
            continue
        checks = list(_constraints(parameter["constraints"]))
        constraints += [(parameter["name"], check) for check in checks]
        parts.append(_parameter(parameter))
        precedence.append(3 if parameter["all"] else 1 if checks else 2)
    return Route(
        function=function,
        methods=frozenset(method.upper() for method in methods),
        pattern=re.compile("".join(parts) + "/?", re.IGNORECASE),
        constraints=tuple(constraints),
        precedence=(*precedence, 0),
    )


def _literal(segment: str) -> str:
    if "{" in segment or "}" in segment:
        raise ConfigurationError(f"route segment {segment!r} mixes text and parameters: not supported locally")
    return re.escape(segment)


def _parameter(parameter: re.Match[str]) -> str:
    name = parameter["name"]
    if parameter["all"]:
        return f"(?:/(?P<{name}>.*))?"
    pattern = f"/(?P<{name}>[^/]+)"
    return f"(?:{pattern})?" if parameter["optional"] else pattern


def _constraints(text: str) -> Iterator[Constraint]:
    for name, argument in _CONSTRAINT.findall(text):
        if name in _PATTERNS:
            yield _matches(re.compile(_PATTERNS[name]))
        elif name in _WITH_ARGUMENTS:
            yield _WITH_ARGUMENTS[name](*(float(value) for value in argument.split(",")))
        elif name != "required":
            raise ConfigurationError(f"route constraint {name!r} is not supported locally")


def _matches(pattern: re.Pattern[str]) -> Constraint:
    return lambda value: pattern.fullmatch(value) is not None


def _length(least: float, most: float | None = None) -> Constraint:
    return lambda value: least <= len(value) <= (least if most is None else most)


def _range(least: float, most: float) -> Constraint:
    integer = re.compile(_PATTERNS["int"])
    return lambda value: integer.fullmatch(value) is not None and least <= int(value) <= most


_WITH_ARGUMENTS: Final[Mapping[str, Callable[..., Constraint]]] = {
    "length": _length,
    "minlength": lambda least: _length(least, float("inf")),
    "maxlength": lambda most: _length(0, most),
    "range": _range,
    "min": lambda least: _range(least, float("inf")),
    "max": lambda most: _range(float("-inf"), most),
}


def _decode(value: str) -> str:
    # ASP.NET decodes a route value once, and leaves an encoded slash alone.
    return unquote(re.sub("%2f", "%252F", value, flags=re.IGNORECASE))
