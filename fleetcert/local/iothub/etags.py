"""ETags of identities and twins, and the conditions that requests put on them (RFC 7232)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from fleetcert.local.iothub.errors import device_already_exists, device_not_found, precondition_failed


def identity_etag(version: int) -> str:
    """An identity's ETag: the base64 of a decimal number, as on real hubs (`MQ==`)."""
    return base64.b64encode(str(version).encode()).decode()


def twin_etag(version: int) -> str:
    """A twin's ETag: the base64 of eight bytes, as on real hubs (`AAAAAAAAAAE=`)."""
    return base64.b64encode(version.to_bytes(8)).decode()


@dataclass(frozen=True, slots=True)
class Preconditions:
    """If-Match and If-None-Match as bare tags: `*`, an ETag without quotes, or empty where the header is absent."""

    if_match: str = ""
    if_none_match: str = ""

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Self:
        """The conditions of a request. Weak and strong tags count alike."""
        return cls(_bare(headers.get("If-Match", "")), _bare(headers.get("If-None-Match", "")))

    def check_put(self, device_id: str, current: str | None) -> None:
        """Whether a PUT may go ahead on an identity with the ETag `current` (None: there is none).

        The table is that of the REST reference but for one row: a PUT without a condition on an identity that exists
        is 409001 on real hubs, where the table says 200.

        Raises: HubError 409001, 412001.
        """
        if self.if_none_match == "*" and current is not None:
            raise precondition_failed()
        if self.if_match:
            self._match(current)
        elif current is not None and not self.if_none_match:
            raise device_already_exists(device_id)

    def check_existing(self, device_id: str, current: str | None) -> None:
        """Whether a DELETE, or a change of a twin, may go ahead; If-Match may be absent.

        An identity that does not exist is 404001 whatever the condition: the SDKs know that answer, while the
        reference's table gives 204 for a DELETE.

        Raises: HubError 404001, 412001.
        """
        if current is None:
            raise device_not_found(device_id)
        if self.if_match:
            self._match(current)

    def _match(self, current: str | None) -> None:
        if current is None or self.if_match not in ("*", current):
            raise precondition_failed()


def _bare(tag: str) -> str:
    return tag.strip().removeprefix("W/").strip('"')
