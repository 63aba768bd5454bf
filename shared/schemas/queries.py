"""What stands behind the `?` of a request, as typed models. A parameter that is unknown, or there twice, is refused."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl, urlsplit

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from shared.domain.states import State
from shared.schemas.requests import Choice, Instant, Malformed, Reason, Tag, in_utc

if TYPE_CHECKING:
    from shared.domain.listing import Filter

DEFAULT_PAGE: Final = 100
MAX_PAGE: Final = 500
_MOST_PARAMETERS: Final = 32
_WHOLE_NUMBER: Final = r"-?(0|[1-9][0-9]{0,15})"

Limit = Annotated[int, Meta(ge=1, le=MAX_PAGE, description="How many at most on a page.")]
Cursor = Annotated[str, Meta(min_length=1, max_length=1024, description="From the page before: goes on behind it.")]
Before = Annotated[Instant, Meta(description="Certificates that end before this instant.")]
After = Annotated[Instant, Meta(description="Certificates that end at this instant or later.")]
States = Annotated[tuple[State, ...], Meta(min_length=1, description="Devices in one of these states.")]
Issuer = Annotated[Choice, Meta(description="The issuing CA: its key id in hex, or its name as RFC 4514 writes it.")]
ByTag = Annotated[Tag, Meta(description="Devices with this tag of the twin, as name=value.")]
Text = Annotated[Choice, Meta(description="In any case, a part of an id, a group, a thumbprint or a tag.")]


class NoQuery(Struct, forbid_unknown_fields=True, frozen=True):
    """No parameters are taken."""


class PageQuery(Struct, forbid_unknown_fields=True, frozen=True):
    """A page of a list."""

    limit: Limit = DEFAULT_PAGE
    cursor: Cursor | UnsetType = UNSET


class Which(Struct, forbid_unknown_fields=True, frozen=True, rename="camel"):
    """Which devices a list holds. Filters that are given all have to fit."""

    state: States | UnsetType = UNSET
    expires_before: Before | UnsetType = UNSET
    expires_after: After | UnsetType = UNSET
    issuer: Issuer | UnsetType = UNSET
    tag: ByTag | UnsetType = UNSET
    text: Text | UnsetType = UNSET

    @property
    def filter(self) -> Filter:
        """As the services take it."""
        from shared.domain.listing import Filter  # a cold start need not wait for it

        return Filter(
            expires_before=in_utc(self.expires_before) if self.expires_before else None,
            expires_after=in_utc(self.expires_after) if self.expires_after else None,
            states=frozenset(self.state or ()),
            issuer=self.issuer or None,
            tag=_name_and_value(self.tag) if self.tag else None,
            text=self.text or None,
        )


class ExportRequest(Which, forbid_unknown_fields=True, frozen=True, rename="camel", kw_only=True):
    """Writes the list of devices, those that fit, into a CSV file."""

    reason: Reason


class DeviceQuery(Which, forbid_unknown_fields=True, frozen=True, rename="camel"):
    """A page of devices, and which."""

    limit: Limit = DEFAULT_PAGE
    cursor: Cursor | UnsetType = UNSET


def read_query[T: Struct](url: str, model: type[T]) -> T:
    """The query of a URL, percent-encoded as it came. Raises: Malformed that names the parameter."""
    values: dict[str, Any] = {}
    types = _types(model)
    for name, text in _pairs(url):
        if name in values:
            raise Malformed(f"the parameter {name} is there twice")
        values[name] = _plain(types.get(name), text)
    try:
        return msgspec.convert(values, model)
    except msgspec.ValidationError as problem:
        raise Malformed(f"the query is not valid: {problem}") from problem


def _name_and_value(tag: str) -> tuple[str, str]:
    name, _, value = tag.partition("=")
    return name, value


def _pairs(url: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(urlsplit(url).query, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS)
    except ValueError as problem:
        raise Malformed("the query cannot be read") from problem


@cache
def _types(model: type[Struct]) -> dict[str, Any]:
    """The plain type of each parameter by its name on the wire."""
    hints = get_type_hints(model)
    return {info.encode_name: hints[info.name] for info in msgspec.structs.fields(model)}


def _plain(kind: Any, text: str) -> Any:
    """The text as what JSON would have in its place; one that is no number stays, and is refused as what it is."""
    kinds = (kind, *get_args(kind))
    if int in kinds:
        return int(text) if re.fullmatch(_WHOLE_NUMBER, text) else text
    return text.split(",") if any(get_origin(k) is tuple for k in kinds) else text
