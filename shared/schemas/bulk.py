"""Many devices at once: which, and what the request would touch."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from shared.domain.keys import DEVICE, EXPIRES, shard_names
from shared.domain.states import State
from shared.schemas.answers import opaque, transparent
from shared.schemas.requests import DEVICE_ID_GRAMMAR, Choice, Instant, Malformed, Reason, Tag, in_utc

if TYPE_CHECKING:  # the services bring cryptography with them, which a cold start need not wait for
    from shared.domain.selecting import Selector
    from shared.services.bulk import Preview

MOST_IDS: Final = 1000
MAX_AFFECTED: Final = 50
"""Both are the services' own, as a test holds: a cold start need not wait for those."""
_PLACE: Final = r"(s[0-9]{2,3}) (.*)"

DeviceId = Annotated[str, Meta(min_length=1, max_length=128, pattern=f"^{DEVICE_ID_GRAMMAR}$")]
Ids = Annotated[tuple[DeviceId, ...], Meta(min_length=1, max_length=MOST_IDS, description="These devices.")]
ByTag = Annotated[Tag, Meta(description="Devices with this tag of the twin, as name=value.")]
Group = Annotated[Choice, Meta(description="Devices of this enrollment group.")]
Issuer = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=256,
        pattern="^[0-9A-Fa-f: ]+$",
        description="Devices under this issuing CA: its certificate's SHA-256 thumbprint or its key id, in hex.",
    ),
]
Before = Annotated[Instant, Meta(description="Devices whose certificate ends before this instant.")]


class SelectorRequest(Struct, forbid_unknown_fields=True, frozen=True, rename="camel"):
    """Which devices: exactly one member is given."""

    ids: Ids | UnsetType = UNSET
    tag: ByTag | UnsetType = UNSET
    enrollment_group: Group | UnsetType = UNSET
    issuer: Issuer | UnsetType = UNSET
    state: State | UnsetType = UNSET
    expiring_before: Before | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Raises: ValueError, which msgspec tells as what is wrong with the request."""
        given = [name for name in self.__struct_fields__ if getattr(self, name) is not UNSET]
        if len(given) != 1:
            raise ValueError("give exactly one of ids, tag, enrollmentGroup, issuer, state, expiringBefore")

    @property
    def selector(self) -> Selector:
        """As the services take it."""
        from shared.domain.selecting import Selector  # a cold start need not wait for it

        return Selector(
            ids=self.ids or (),
            tag=self.tag or None,
            enrollment_group=self.enrollment_group or None,
            issuer=self.issuer or None,
            state=self.state or None,
            expiring_before=in_utc(self.expiring_before) if self.expiring_before else None,
        )


OneSelector = Annotated[SelectorRequest, Meta(extra_json_schema={"minProperties": 1, "maxProperties": 1})]
Affected = Annotated[int, Meta(ge=1, le=10_000_000, description="More devices than this are not touched.")]
Cursor = Annotated[str, Meta(min_length=1, max_length=1024, description="Of a dry run: goes on with the fleet's rest.")]


class BulkRequest(Struct, forbid_unknown_fields=True, frozen=True, rename="camel"):
    """Looks at what it would touch, and touches it where `dryRun` is false."""

    selector: OneSelector
    reason: Reason
    dry_run: bool = True
    max_affected: Affected = MAX_AFFECTED
    cursor: Cursor | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Raises: ValueError, which msgspec tells as what is wrong with the request."""
        if self.cursor is not UNSET and not self.dry_run:
            raise ValueError("a cursor is of a dry run")


class TargetAnswer(Struct, frozen=True, rename="camel"):
    """A device that was chosen. state: null where it is not known; obstacle: why it would not be touched."""

    device_id: str
    state: str | None
    obstacle: str | None


class PreviewAnswer(Struct, frozen=True, rename="camel"):
    """What would be touched: `affected` of `matched` devices; devices: the first 100.

    exceeds: more than `maxAffected`, so that it would be refused. cursor: only a part of the fleet was looked at, and
    asking again with it looks at the next; null where all was looked at.
    """

    matched: int
    affected: int
    max_affected: int
    exceeds: bool
    devices: list[TargetAnswer]
    cursor: str | None


def preview_answer(preview: Preview) -> PreviewAnswer:
    """A dry run as callers see it."""
    return PreviewAnswer(
        matched=preview.matched,
        affected=preview.affected,
        max_affected=preview.max_affected,
        exceeds=preview.exceeds,
        devices=[TargetAnswer(target.device_id, target.state, target.obstacle) for target in preview.devices],
        cursor=opaque(preview.cursor),
    )


def read_place(request: BulkRequest, shards: int) -> str | None:
    """The place behind a dry run's cursor: a shard, and a key of the rows that the selector looks at.

    Raises: Malformed, so that no other rows can be reached by it.
    """
    if request.cursor is UNSET:
        return None
    place = transparent(request.cursor)
    match = re.fullmatch(_PLACE, place)
    begins = DEVICE if request.selector.expiring_before is UNSET else EXPIRES
    if match is None or match[1] not in shard_names(shards) or not (match[2] == "" or match[2].startswith(begins)):
        raise Malformed("the cursor is not one that a dry run gave")
    return place
