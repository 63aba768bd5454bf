"""Function keys: what authLevel FUNCTION and ADMIN ask for (Azure docs: "Work with access keys in Azure Functions")."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field

from aiohttp import web


def _new_key() -> str:
    return secrets.token_urlsafe(40)


@dataclass(frozen=True, slots=True)
class Keys:
    """The host's keys, random unless given. The master key opens everything."""

    function: str = field(default_factory=_new_key, repr=False)
    master: str = field(default_factory=_new_key, repr=False)

    def admits(self, request: web.Request, auth_level: str) -> bool:
        """Whether the request's `x-functions-key` header or `code` parameter opens a function of that authLevel."""
        level = auth_level.upper()
        if level == "ANONYMOUS":
            return True
        given = request.headers.get("x-functions-key") or request.query.get("code") or ""
        accepted = [self.master] if level == "ADMIN" else [self.master, self.function]
        return any(hmac.compare_digest(given.encode(), key.encode()) for key in accepted)
